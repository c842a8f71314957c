"""`aap install` and `aap uninstall`."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import (
    Command,
    ConfigFile,
    Json,
    NoWorkspace,
    Workspace,
    Yes,
    either,
    group,
    place_of,
    place_of_all,
)

app = group()

System = Annotated[bool, typer.Option("--system", help="For the whole machine.")]
User = Annotated[bool, typer.Option("--user", help="For you alone.")]


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
    system: System = False,
    user: User = False,
    linger: Annotated[
        bool, typer.Option("--linger", help="Run also while you are not logged in.")
    ] = False,
    no_linger: Annotated[
        bool, typer.Option("--no-linger", help="Stop when you log out, unless you linger already.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Put the systemd units in place, or bring them up to date."""
    from aap.cli import install as installing

    return installing.install(
        place_of(ctx, workspace, config),
        linger=either(linger, no_linger, "--linger and --no-linger"),
        system=either(system, user, "--system and --user"),
        yes=yes,
        as_json=as_json,
    )


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
    system: System = False,
    user: User = False,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the messages too.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    workspace: NoWorkspace = None,
    config: ConfigFile = None,
) -> int:
    """Stop aap and take its units away; messages stay."""
    from aap.cli import install as installing

    named = workspace or ctx.find_root().obj.workspace
    place = place_of_all(ctx, workspace, config, f"for it alone: aap workspace rm {named}")
    whose = either(system, user, "--system and --user")
    return installing.uninstall(place, purge=purge, yes=yes, system=whose, as_json=as_json)
