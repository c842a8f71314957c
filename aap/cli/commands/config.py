"""`aap config`: the settings."""

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
    help="Settings, each with where it comes from.",
    epilog="""
    aap config list
    aap config set MAX_ATTEMPTS 3
    aap config import ~/.ai-agent-proxy.conf
    """,
)

Key = Annotated[str, typer.Argument(metavar="KEY", help="The setting's name.")]
Apply = Annotated[
    bool, typer.Option("--apply", help="Start again what must be, so that it counts now.")
]


@app.command(
    "list",
    cls=Command,
    epilog="""
    aap config list --origin
    """,
)
def list_settings(
    ctx: typer.Context,
    *,
    origin: Annotated[
        bool, typer.Option("--origin", help="Show the file and the line of each.")
    ] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """List all settings, their values, and where each comes from."""
    from aap.cli import config as settings

    return settings.list_settings(place_of(ctx, workspace, config), origin=origin, as_json=as_json)


@app.command(
    "get",
    cls=Command,
    epilog="""
    aap config get AGENT
    """,
)
def get(
    ctx: typer.Context,
    *,
    key: Key,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Print the value of one setting."""
    from aap.cli import config as settings

    return settings.get(place_of(ctx, workspace, config), key, as_json=as_json)


@app.command(
    "set",
    cls=Command,
    epilog="""
    aap config set RUN_TIMEOUT 30m
    aap config set API_KEY - <key.txt
    """,
)
def set_value(
    ctx: typer.Context,
    *,
    key: Key,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="The value; - reads stdin, or asks for a secret.")
    ],
    apply: Apply = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Set one setting, in your file or with -w in the workspace's."""
    from aap.cli import config as settings

    return settings.set_value(place_of(ctx, workspace, config), key, value, apply=apply)


@app.command(
    "unset",
    cls=Command,
    epilog="""
    aap config unset RUN_TIMEOUT
    """,
)
def unset(
    ctx: typer.Context,
    *,
    key: Key,
    apply: Apply = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Take one setting out of your file, or of the workspace's."""
    from aap.cli import config as settings

    return settings.unset(place_of(ctx, workspace, config), key, apply=apply)


@app.command(
    "edit",
    cls=Command,
    epilog="""
    aap config edit
    EDITOR=nano aap -w work config edit
    """,
)
def edit(
    ctx: typer.Context,
    *,
    apply: Apply = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Change your file, or with -w the workspace's, in an editor."""
    from aap.cli import edit

    return edit.edit(place_of(ctx, workspace, config), apply=apply)


@app.command(
    "explain",
    cls=Command,
    epilog="""
    aap config explain RETRY_MIN
    """,
)
def explain(
    ctx: typer.Context,
    *,
    key: Key,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Say what a setting is and takes, and when a change counts."""
    from aap.cli import config as settings

    return settings.explain(place_of(ctx, workspace, config), key, as_json=as_json)


@app.command("path", cls=Command)
def path(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Print the path of your file."""
    from aap.cli import config as settings

    return settings.path(place_of(ctx, workspace, config), as_json=as_json)


@app.command("validate", cls=Command)
def validate(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Say what is wrong or doubtful in the configuration, line by line."""
    from aap.cli import config as settings

    return settings.validate(place_of(ctx, workspace, config), as_json=as_json)


@app.command(
    "import",
    cls=Command,
    epilog="""
    aap config import ~/.ai-agent-proxy.conf --apply
    """,
)
def import_file(
    ctx: typer.Context,
    *,
    source: Annotated[str, typer.Argument(metavar="FILE", help="An .ai-agent-proxy.conf.")],
    apply: Apply = False,
    as_json: Json = False,
    workspace: NoWorkspace = None,
    config: ConfigFile = None,
) -> int:
    """Take over the settings of an ai-agent-proxy file."""
    from aap.cli import config as settings

    place = place_of_all(ctx, workspace, config)
    return settings.import_file(place, source, apply=apply, as_json=as_json)
