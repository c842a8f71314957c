"""`aap logs`."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import Chat, Command, ConfigFile, Json, Workspace, group, place_of

app = group()


@app.command(
    cls=Command,
    epilog="""
    aap logs                          the last day
    aap logs --today --follow
    aap logs --since "2 hours ago"
    aap logs --id 1jb3k5              all steps of one message
    aap logs --errors --since 7d
    """,
)
def logs(
    ctx: typer.Context,
    *,
    today: Annotated[bool, typer.Option("--today", help="Since midnight.")] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Such as 90m, '2 hours ago', 2026-11-23."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    message_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Only lines about this message.")
    ] = None,
    conversation: Chat = None,
    api: Annotated[bool, typer.Option("--api", help="What the API said.")] = False,
    worker: Annotated[bool, typer.Option("--worker", help="What the worker did.")] = False,
    agent: Annotated[bool, typer.Option("--agent", help="What the agent printed.")] = False,
    errors: Annotated[bool, typer.Option("--errors", help="Only warnings and errors.")] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show what the API, the worker and the agent did."""
    from aap.cli import logs as logging

    return logging.logs(
        place_of(ctx, workspace, config),
        today=today,
        since=since,
        follow=follow,
        message_id=message_id,
        conversation=conversation,
        api=api,
        worker=worker,
        agent=agent,
        errors=errors,
        as_json=as_json,
    )
