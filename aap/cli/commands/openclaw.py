"""`aap openclaw`: OpenClaw's own configuration."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, NoWorkspace, group, place_of_all

app = group(
    help="OpenClaw's own configuration: is it made for an inbox behind it?",
    epilog="""
    aap openclaw check
    aap openclaw setup            show what would be changed
    aap openclaw setup --write    change it, with a backup beside it
    """,
)


@app.command("check", cls=Command)
def check(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: NoWorkspace = None,
    config: ConfigFile = None,
) -> int:
    """Say setting by setting whether OpenClaw suits an inbox behind it, and why."""
    from aap.cli import openclaw

    return openclaw.check(place_of_all(ctx, workspace, config), as_json=as_json)


@app.command(
    "setup",
    cls=Command,
    epilog="""
    aap openclaw setup
    aap openclaw setup --write
    """,
)
def setup(
    ctx: typer.Context,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Change the file; a backup stays beside it.")
    ] = False,
    as_json: Json = False,
    workspace: NoWorkspace = None,
    config: ConfigFile = None,
) -> int:
    """Show what should be changed in OpenClaw's configuration, or change it."""
    from aap.cli import openclaw

    return openclaw.setup(place_of_all(ctx, workspace, config), write=write, as_json=as_json)
