"""`aap agent`: what answers."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, group, place_of

app = group(
    help="The agent that answers: what runs, its sessions, whether it works.",
    epilog="""
    aap agent show
    aap agent test                under the worker unit's own environment
    aap agent init                the next run starts a new session
    """,
)


@app.command("show", cls=Command)
def show(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show what would run, and the sessions there are."""
    from aap.cli import agent

    return agent.show(place_of(ctx, workspace, config), as_json=as_json)


@app.command(
    "init",
    cls=Command,
    epilog="""
    aap agent init
    aap agent init --conversation telegram//telegram:42
    """,
)
def init(
    ctx: typer.Context,
    *,
    conversation: Annotated[
        str | None, typer.Option("--conversation", metavar="C", help="Of this one only.")
    ] = None,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Have the next run start a new session."""
    from aap.cli import agent

    return agent.init(place_of(ctx, workspace, config), conversation=conversation)


@app.command(
    "test",
    cls=Command,
    epilog="""
    aap agent test
    aap agent test --here
    """,
)
def test(
    ctx: typer.Context,
    *,
    here: Annotated[bool, typer.Option("--here", help="In this shell's environment.")] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Run the agent once as the worker would, and tell how it went."""
    from aap.cli import agent

    return agent.test(place_of(ctx, workspace, config), here=here, as_json=as_json)
