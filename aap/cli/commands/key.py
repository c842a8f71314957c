"""`aap key`: the keys of clients."""

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
    help="The keys of clients, each with a name; without any, this machine needs none.",
    epilog="""
    aap key new phone
    aap key new watchdog --scope receipts
    aap key revoke phone          a running API refuses it within a second
    """,
)


@app.command(
    "new",
    cls=Command,
    epilog="""
    aap key new phone
    aap key new watchdog --scope receipts
    """,
)
def new(
    ctx: typer.Context,
    *,
    new_name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is to be.")],
    scope: Annotated[
        str,
        typer.Option(metavar="SCOPE,...", help="What it may do: enqueue, receipts, admin."),
    ] = "enqueue,receipts",
    as_json: Json = False,
    workspace: NoWorkspace = None,
) -> int:
    """Make a key for a client and print it, this once."""
    from aap.cli import key as keys

    place_of_all(ctx, workspace, None)
    return keys.new(new_name, scope, as_json=as_json)


@app.command("ls", cls=Command)
def ls(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: NoWorkspace = None,
    config: ConfigFile = None,
) -> int:
    """List the names of all keys, and what they may do."""
    from aap.cli import key as keys

    return keys.ls(place_of_all(ctx, workspace, config), as_json=as_json)


@app.command(
    "revoke",
    cls=Command,
    epilog="""
    aap key revoke phone
    """,
)
def revoke(
    ctx: typer.Context,
    *,
    key_name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")],
    workspace: NoWorkspace = None,
    config: ConfigFile = None,
) -> int:
    """Take a key away: who has it gets in no longer."""
    from aap.cli import key as keys

    return keys.revoke(place_of_all(ctx, workspace, config), key_name)


@app.command("names", cls=Command, hidden=True)
def names(ctx: typer.Context, *, workspace: Workspace = None, config: ConfigFile = None) -> int:
    """Print the names that the shells complete."""
    from aap.cli import names

    return names.keys(place_of(ctx, workspace, config))
