"""`aap doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, Yes, group, place_of

app = group()


@app.command(
    cls=Command,
    epilog="""
    aap doctor --only spool --only agent
    aap doctor --fix --dry-run
    aap doctor --bundle report.txt
    """,
)
def doctor(
    ctx: typer.Context,
    *,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CHECK", help="Only this check or group; may be repeated."),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="CHECK", help="Not this check or group; may be repeated."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Run the cures that are safe.")] = False,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what --fix would run.")] = False,
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", metavar="FILE", help="Write a report without anything private."),
    ] = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Check everything that a message needs; name the command that mends it."""
    from aap.cli import doctor as checking

    return checking.doctor(
        place_of(ctx, workspace, config),
        only=only or (),
        skip=skip or (),
        fix=fix,
        yes=yes,
        dry_run=dry_run,
        bundle=bundle,
        as_json=as_json,
    )
