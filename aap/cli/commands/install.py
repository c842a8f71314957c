"""`aap install` and `aap uninstall`."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, Yes, group, place_of

app = group()

System = Annotated[
    bool | None, typer.Option("--system/--user", help="For the whole machine, or for you alone.")
]


@app.command(
    cls=Command,
    epilog="""
    aap install --user --linger
    aap install --yes --json
    """,
)
def install(
    ctx: typer.Context,
    *,
    system: System = None,
    linger: Annotated[
        bool | None,
        typer.Option("--linger/--no-linger", help="Run also while you are not logged in."),
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Put the systemd units in place, or bring them up to date."""
    from aap.cli import install as installing

    place = place_of(ctx, workspace, config)
    return installing.install(place, linger=linger, system=system, yes=yes, as_json=as_json)


@app.command(
    cls=Command,
    epilog="""
    aap uninstall
    aap uninstall --purge         the messages too
    """,
)
def uninstall(
    ctx: typer.Context,
    *,
    system: System = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the messages too.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Stop aap and take its units away; messages stay."""
    from aap.cli import install as installing

    place = place_of(ctx, workspace, config)
    return installing.uninstall(place, purge=purge, yes=yes, system=system, as_json=as_json)
