"""`aap context`: what the agent keeps between runs."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Command, ConfigFile, Json, Workspace, group, place_of, told
from aap.cli.main import count

app = group(
    help="What the agent keeps between runs, in numbered blocks.",
    epilog="""
    aap context append --cites 001 "Ann moved to Paris, see [001]."
    aap context show 001
    aap context stats
    """,
)


@app.command(
    "append",
    cls=Command,
    epilog="""
    aap context append --cites 001 "Ann moved to Paris, see [001]."
    aap context append - <block.txt
    """,
)
def append(
    ctx: typer.Context,
    *,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT|-", help="The block; - or nothing reads stdin.")
    ] = None,
    cites: Annotated[
        str | None, typer.Option("--cites", metavar="IDS", help="Earlier blocks, as in 001,003.")
    ] = None,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Append a block with the next id, and print that id."""
    from aap.cli import context

    return context.append(place_of(ctx, workspace, config), text, cites=cites)


@app.command(
    "show",
    cls=Command,
    epilog="""
    aap context show 001 003
    """,
)
def show(
    ctx: typer.Context,
    *,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[BLOCK...]", help="Ids of blocks; none is all.")
    ] = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Print the context cache, or some of its blocks."""
    from aap.cli import context

    return context.show(place_of(ctx, workspace, config), ids or (), as_json=as_json)


@app.command("check", cls=Command)
def check(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Find lost, doubled and misplaced blocks, and citations that lead nowhere."""
    from aap.cli import context

    return context.check(place_of(ctx, workspace, config), as_json=as_json)


@app.command(
    "rewrite",
    cls=Command,
    epilog="""
    aap context rewrite new.txt
    """,
)
def rewrite(
    ctx: typer.Context,
    *,
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="The whole new cache.")],
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Replace the context cache by a file; print where the old one is kept."""
    from aap.cli import context

    return context.rewrite(place_of(ctx, workspace, config), source)


@app.command(
    "stats",
    cls=Command,
    epilog="""
    aap context stats --limit 20
    """,
)
def stats(
    ctx: typer.Context,
    *,
    limit: Annotated[
        int,
        typer.Option(
            "--limit",
            metavar="N",
            parser=told(count, "20"),
            help="Only the last N runs; 0 for all.",
        ),
    ] = 0,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Draw how much of each run's input came from the provider's cache."""
    from aap.cli import context

    return context.stats(place_of(ctx, workspace, config), limit=limit, as_json=as_json)
