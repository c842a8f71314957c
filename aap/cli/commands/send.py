"""`aap send`."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, group, place_of

app = group()


@app.command(
    cls=Command,
    epilog="""
    aap send "are you there?"
    aap send --stream --responses "are you there?"
    """,
)
def send(
    ctx: typer.Context,
    *,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads stdin.")],
    stream: Annotated[bool, typer.Option("--stream", help="Ask for a streamed answer.")] = False,
    responses: Annotated[
        bool, typer.Option("--responses", help="Use /v1/responses, not /v1/chat/completions.")
    ] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Post a message to the own API, as a client would."""
    from aap.cli import send as sending

    place = place_of(ctx, workspace, config)
    return sending.send(place, text, stream=stream, responses=responses, as_json=as_json)
