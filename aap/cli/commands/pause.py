"""`aap pause` and `aap resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, group, place_of

app = group()


@app.command(
    cls=Command,
    epilog="""
    aap pause --reason "the agent's account is at its limit"
    aap pause --now
    aap resume
    """,
)
def pause(
    ctx: typer.Context,
    *,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; status and explain say it.")
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Stop the agent in mid-run, too.")] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Give the agent nothing more; messages are accepted and wait."""
    from aap.cli import pause as pausing

    place = place_of(ctx, workspace, config)
    return pausing.pause(place, reason=reason, now=now, as_json=as_json)


@app.command(cls=Command)
def resume(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """End a pause: what waits is handled at once."""
    from aap.cli import pause as pausing

    return pausing.resume(place_of(ctx, workspace, config), as_json=as_json)
