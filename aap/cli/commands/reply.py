"""`aap reply`."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, group, place_of

app = group()


@app.command(
    cls=Command,
    epilog="""
    aap reply 1jb3k5 "done, it is on your desk"
    aap reply 1jb3k5 - <answer.txt
    aap reply 1jb3k5 "the chart" --media chart.png
    """,
)
def reply(
    ctx: typer.Context,
    *,
    message_id: Annotated[
        str, typer.Argument(metavar="ID", help="Id or unique beginning of an id.")
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What to say; - reads stdin.")
    ] = None,
    media: Annotated[
        str | None, typer.Option("--media", metavar="FILE", help="Send a file with it.")
    ] = None,
    reply_to: Annotated[
        bool, typer.Option("--reply-to", help="Quote the message, where the channel can.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send it though the same went out before.")
    ] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Answer a message in the chat it came from; the same text goes out once."""
    from aap.cli import reply as replying

    return replying.reply(
        place_of(ctx, workspace, config),
        message_id,
        text,
        media=media,
        quote=reply_to,
        again=again,
        as_json=as_json,
    )
