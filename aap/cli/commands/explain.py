"""`aap explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, group, place_of

app = group()


@app.command(
    cls=Command,
    epilog="""
    aap explain                   why nothing moves
    aap explain 1jb3k5            why this message does not, and what became of it
    """,
)
def explain(
    ctx: typer.Context,
    *,
    message_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A message; the workspace if none.")
    ] = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Say why a message, or the workspace, does not move, and what changes it."""
    from aap.cli import explain as explaining

    return explaining.explain(place_of(ctx, workspace, config), message_id, as_json=as_json)
