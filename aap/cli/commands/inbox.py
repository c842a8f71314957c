"""`aap inbox`: the queue."""

from __future__ import annotations

from typing import Annotated

import typer

from aap.cli.commands.parts import (
    All,
    Chat,
    Command,
    ConfigFile,
    Ids,
    Json,
    MaybeIds,
    States,
    Workspace,
    Yes,
    group,
    place_of,
    told,
)
from aap.cli.main import count, seconds

app = group(
    help="The queue: list, show and settle messages.",
    epilog="""
    aap inbox ls --state failed
    aap inbox show 1jb3k5         an id may be cut as long as it is unique
    aap inbox new | aap inbox done -
    aap inbox retry --all --state failed
    """,
)


@app.command(
    "ls",
    cls=Command,
    epilog="""
    aap inbox ls --state failed --since yesterday
    aap inbox ls --conversation telegram//telegram:42
    aap inbox ls --all --limit 0
    """,
)
def ls(
    ctx: typer.Context,
    *,
    states: States = None,
    conversation: Chat = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="That came since 2h, yesterday…")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="That came before 2h, 3d…")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", parser=told(count, "20"), help="At most so many; 0 for all."
        ),
    ] = None,
    group: Annotated[bool, typer.Option("--group", help="Put together by conversation.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Handled ones too.")] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """List the messages that are not handled, oldest first."""
    from aap.cli import inbox

    return inbox.ls(
        place_of(ctx, workspace, config),
        states=states or (),
        conversation=conversation,
        since=since,
        older_than=older_than,
        limit=limit,
        group=group,
        show_all=show_all,
        as_json=as_json,
    )


@app.command(
    "show",
    cls=Command,
    epilog="""
    aap inbox show 1jb3k5
    aap inbox show 1jb3k5 --raw >request.json
    aap inbox show 1jb3k5 --attachment 1 --output chart.png
    """,
)
def show(
    ctx: typer.Context,
    *,
    ids: Ids,
    raw: Annotated[bool, typer.Option("--raw", help="The request, byte for byte.")] = False,
    attachment: Annotated[
        int | None, typer.Option("--attachment", metavar="N", help="Write the N-th attachment.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--output", metavar="FILE|-", help="Where to; - for stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over FILE.")] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show messages: who wrote, where, what, and what became of it."""
    from aap.cli import inbox

    return inbox.show(
        place_of(ctx, workspace, config),
        ids,
        raw=raw,
        attachment=attachment,
        target=target,
        force=force,
        as_json=as_json,
    )


@app.command(
    "new",
    cls=Command,
    epilog="""
    aap inbox new
    aap inbox new --conversation telegram//telegram:42
    """,
)
def new(
    ctx: typer.Context,
    *,
    conversation: Chat = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Print the ids that wait in inbox/, one a line; none is no error."""
    from aap.cli import inbox

    place = place_of(ctx, workspace, config)
    return inbox.new(place, conversation=conversation, as_json=as_json)


@app.command(
    "wait",
    cls=Command,
    epilog="""
    aap inbox wait --timeout 5m && aap inbox ls
    """,
)
def wait(
    ctx: typer.Context,
    *,
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="TIME",
            parser=told(seconds, "30s, 5m or 2h"),
            help="At most 30s, 5m, 2h.",
        ),
    ] = None,
    states: States = None,
    conversation: Chat = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Wait until there is a message, and print its id; exit code 6 if none comes in time."""
    from aap.cli import wait

    place = place_of(ctx, workspace, config)
    return wait.wait(
        place, states=states or (), conversation=conversation, timeout=timeout, as_json=as_json
    )


@app.command("watch", cls=Command)
def watch(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show what becomes of messages, as it happens, until Ctrl-C."""
    from aap.cli import watch

    return watch.watch(place_of(ctx, workspace, config), as_json=as_json)


@app.command(
    "stats",
    cls=Command,
    epilog="""
    aap inbox stats --since 30d
    """,
)
def stats(
    ctx: typer.Context,
    *,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not of a day: of 2h, 30d…")
    ] = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show how many came, how long they waited and what failed, over time."""
    from aap.cli import stats

    return stats.stats(place_of(ctx, workspace, config), since=since, as_json=as_json)


@app.command(
    "done",
    cls=Command,
    epilog="""
    aap inbox done 1jb3k5
    aap inbox new | aap inbox done -
    """,
)
def done(
    ctx: typer.Context,
    *,
    ids: MaybeIds = None,
    take_all: All = False,
    states: States = None,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Mark messages as handled. Saying it twice does no harm."""
    from aap.cli import changes

    place = place_of(ctx, workspace, config)
    return changes.done(place, ids or (), states=states or (), take_all=take_all)


@app.command(
    "add",
    cls=Command,
    epilog="""
    aap inbox add request.json
    aap inbox add --text "remind me at five"
    """,
)
def add(
    ctx: typer.Context,
    *,
    source: Annotated[
        str | None, typer.Argument(metavar="FILE|-", help="A request body: a JSON object.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="Plain words instead of a file.")
    ] = None,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Put a message into the inbox without the API; print its id."""
    from aap.cli import changes

    return changes.add(place_of(ctx, workspace, config), source, text=text)


@app.command(
    "retry",
    cls=Command,
    epilog="""
    aap inbox retry 1jb3k5
    aap inbox retry --all --state failed
    """,
)
def retry(
    ctx: typer.Context,
    *,
    ids: MaybeIds = None,
    take_all: All = False,
    states: States = None,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Let failed, deferred or held messages be handled again, now."""
    from aap.cli import changes

    place = place_of(ctx, workspace, config)
    return changes.retry(place, ids or (), states=states or (), take_all=take_all)


@app.command(
    "hold",
    cls=Command,
    epilog="""
    aap inbox hold 1jb3k5 1jb3k6
    """,
)
def hold(
    ctx: typer.Context,
    *,
    ids: MaybeIds = None,
    take_all: All = False,
    states: States = None,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Put waiting messages aside until they are released."""
    from aap.cli import changes

    place = place_of(ctx, workspace, config)
    return changes.hold(place, ids or (), states=states or (), take_all=take_all)


@app.command(
    "release",
    cls=Command,
    epilog="""
    aap inbox release --all --state hold
    """,
)
def release(
    ctx: typer.Context,
    *,
    ids: MaybeIds = None,
    take_all: All = False,
    states: States = None,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Let held or deferred messages be handled now."""
    from aap.cli import changes

    place = place_of(ctx, workspace, config)
    return changes.release(place, ids or (), states=states or (), take_all=take_all)


@app.command(
    "rm",
    cls=Command,
    epilog="""
    aap inbox rm 1jb3k5
    aap inbox rm --all --state failed --yes
    """,
)
def rm(
    ctx: typer.Context,
    *,
    ids: MaybeIds = None,
    take_all: All = False,
    states: States = None,
    yes: Yes = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Delete messages for good."""
    from aap.cli import changes

    place = place_of(ctx, workspace, config)
    return changes.rm(place, ids or (), states=states or (), take_all=take_all, yes=yes)


@app.command("ids", cls=Command, hidden=True)
def ids(
    ctx: typer.Context,
    *,
    beginning: Annotated[str, typer.Argument(metavar="[ID]", help="How they begin.")] = "",
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Print the ids that the shells complete."""
    from aap.cli import names

    return names.ids(place_of(ctx, workspace, config), [beginning])


@app.command("conversations", cls=Command, hidden=True)
def conversations(
    ctx: typer.Context, *, workspace: Workspace = None, config: ConfigFile = None
) -> int:
    """Print the conversations that the shells complete."""
    from aap.cli import inbox

    return inbox.complete_conversations(place_of(ctx, workspace, config))
