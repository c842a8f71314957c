"""`aap workspace`: several workspaces."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import (
    Command,
    ConfigFile,
    Json,
    NoWorkspace,
    Workspace,
    group,
    place_of,
    place_of_all,
)

app = group(
    help="Several workspaces, each with messages, agent and session of its own.",
    epilog="""
    aap workspace add work ~/work
    aap -w work config set AGENT codex
    aap -w work inbox ls          or: export AAP_WORKSPACE=work
    aap workspace use work        what is meant where none is named
    """,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The workspace's name.")]


@app.command("ls", cls=Command)
def ls(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """List the workspaces; a * stands before the default one."""
    from aap.cli import workspace as workspaces

    return workspaces.ls(place_of(ctx, workspace, config), as_json=as_json)


@app.command(
    "show",
    cls=Command,
    epilog="""
    aap workspace show work
    """,
)
def show(
    ctx: typer.Context,
    *,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The workspace's name.")
    ] = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show a workspace: path, model, units, agent, messages."""
    from aap.cli import workspace as workspaces

    return workspaces.show(place_of(ctx, workspace, config), name, as_json=as_json)


@app.command(
    "add",
    cls=Command,
    epilog="""
    aap workspace add work ~/work
    """,
)
def add(
    ctx: typer.Context,
    *,
    new_name: Annotated[str, typer.Argument(metavar="NAME", help="The name that it gets.")],
    path: Annotated[str, typer.Argument(metavar="FOLDER", help="Its folder; made if missing.")],
    as_json: Json = False,
    workspace: NoWorkspace = None,
    config: ConfigFile = None,
) -> int:
    """Give a folder a name, and have its inbox watched."""
    from aap.cli import workspace as workspaces

    return workspaces.add(place_of_all(ctx, workspace, config), new_name, path, as_json=as_json)


@app.command(
    "use",
    cls=Command,
    epilog="""
    aap workspace use work
    aap workspace use main
    """,
)
def use(
    ctx: typer.Context, *, name: Name, workspace: NoWorkspace = None, config: ConfigFile = None
) -> int:
    """Make a workspace the one that is meant where none is named."""
    from aap.cli import workspace as workspaces

    return workspaces.use(place_of_all(ctx, workspace, config), name)


@app.command(
    "rm",
    cls=Command,
    epilog="""
    aap workspace rm work
    """,
)
def rm(
    ctx: typer.Context, *, name: Name, as_json: Json = False, workspace: NoWorkspace = None
) -> int:
    """Watch a workspace no longer; its messages stay."""
    from aap.cli import workspace as workspaces

    place_of_all(ctx, workspace, None)
    return workspaces.rm(name, as_json=as_json)


@app.command("names", cls=Command, hidden=True)
def names(ctx: typer.Context, *, workspace: Workspace = None, config: ConfigFile = None) -> int:
    """Print the names that the shells complete."""
    from aap.cli import names

    return names.workspaces(place_of(ctx, workspace, config))
