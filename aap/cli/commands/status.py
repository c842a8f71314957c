"""`aap status`."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, group, place_of

app = group()


@app.command(
    cls=Command,
    epilog="""
    aap status
    aap status --watch
    """,
)
def status(
    ctx: typer.Context,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on; with --json a line for each change.")
    ] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show on one screen whether messages are taken and handled."""
    from aap.cli import status as showing

    return showing.status(place_of(ctx, workspace, config), watch=watch, as_json=as_json)
