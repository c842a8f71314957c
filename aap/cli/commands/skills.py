"""`aap skills`: what agents should know of aap."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, group, place_of

app = group(help="What agents should know of aap, put where they look.")


@app.command("ls", cls=Command)
def ls(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """List the skills, and how the workspace's copies stand."""
    from aap.cli import skills

    return skills.ls(place_of(ctx, workspace, config), as_json=as_json)


@app.command(
    "show",
    cls=Command,
    epilog="""
    aap skills show context-cache
    """,
)
def show(
    name: Annotated[str, typer.Argument(metavar="SKILL", help="The skill's name.")],
    *,
    as_json: Json = False,
) -> int:
    """Print a skill."""
    from aap.cli import skills

    return skills.show(name, as_json=as_json)


@app.command(
    "install",
    cls=Command,
    epilog="""
    aap skills install
    aap skills install --dir ~/.claude/skills
    """,
)
def install(
    ctx: typer.Context,
    *,
    folder: Annotated[
        str | None,
        typer.Option("--dir", metavar="FOLDER", help="Into FOLDER, not into the workspace."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what was changed; keep a backup.")
    ] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Put the skills where agents look, or bring them up to date."""
    from aap.cli import skills

    place = place_of(ctx, workspace, config)
    return skills.install(place, folder=folder, force=force, as_json=as_json)
