"""The command tree as Typer sees it: names, options and help; the work is done elsewhere.

Each function here parses, calls one plain function, and returns its exit code.
What they call is imported when they run, so `aap --help` reads no room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from aap.cli import output
from aap.cli.main import seconds
from aap.cli.place import Place
from aap.errors import Exit, UsageError
from aap.message import State

SECTIONS = {
    "Messages": ("inbox", "reply", "send"),
    "The agent": ("pause", "resume", "agent", "context", "skills"),
    "See what happens": ("status", "explain", "logs", "doctor"),
    "Set up": ("install", "uninstall", "config", "workspace", "key", "openclaw"),
}


class Command(TyperCommand):
    """A command whose examples are printed as they were written."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the examples without filling their lines."""
        _write_examples(self.epilog, formatter)


class Group(TyperGroup):
    """A group that lists its commands by what one wants to do."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands, in sections where the group has any."""
        if ctx.parent is not None:
            super().format_commands(ctx, formatter)
            return
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, self.commands[name].get_short_help_str(60)) for name in names]
                )

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the examples without filling their lines."""
        _write_examples(self.epilog, formatter)


def _write_examples(examples: str | None, formatter: Any) -> None:
    if not examples:
        return
    with formatter.section("Examples"):
        for line in examples.strip().splitlines():
            formatter.write(f"  {line.strip()}\n")


def _group(**more: Any) -> typer.Typer:
    return typer.Typer(
        cls=Group,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **more,
    )


app = _group(
    epilog="""
    aap inbox ls                  what waits, and for whom
    aap inbox retry ID            let a message be handled again
    aap logs --today --follow     what happens now
    aap send "hello"              put a message in, as a client would
    man aap                       more, with aap.conf(5) and aap-spool(5)
    """
)
inbox_app = _group(
    help="The queue: list, show and settle messages.",
    epilog="""
    aap inbox ls --state failed
    aap inbox show 1jb3k5         an id may be cut as long as it is unique
    aap inbox new | aap inbox done -
    aap inbox retry --all --state failed
    """,
)
config_app = _group(
    help="Settings, each with where it comes from.",
    epilog="""
    aap config list
    aap config set MAX_ATTEMPTS 3
    aap config import ~/.ai-agent-proxy.conf
    """,
)
workspace_app = _group(
    help="Several workspaces, each with messages, agent and session of its own.",
    epilog="""
    aap workspace add work ~/work
    aap -w work config set AGENT codex
    aap -w work inbox ls          or: export AAP_WORKSPACE=work
    aap workspace use work        what is meant where none is named
    """,
)
key_app = _group(
    help="The keys of clients, each with a name; without any, this machine needs none.",
    epilog="""
    aap key new phone
    aap key revoke phone          a running API refuses it within a second
    """,
)
context_app = _group(
    help="What the agent keeps between runs, in numbered blocks.",
    epilog="""
    aap context append --cites 001 "Ann moved to Paris, see [001]."
    aap context show 001
    aap context stats
    """,
)
skills_app = _group(help="What agents should know of aap, put where they look.")
app.add_typer(inbox_app, name="inbox")
app.add_typer(config_app, name="config")
app.add_typer(workspace_app, name="workspace")
app.add_typer(key_app, name="key")
openclaw_app = _group(
    help="OpenClaw's own configuration: is it made for an inbox behind it?",
    epilog="""
    aap openclaw check
    aap openclaw setup            show what would be changed
    aap openclaw setup --write    change it, with a backup beside it
    """,
)
app.add_typer(openclaw_app, name="openclaw")
app.add_typer(context_app, name="context")
agent_app = _group(
    help="The agent that answers: what runs, its sessions, whether it works.",
    epilog="""
    aap agent show
    aap agent test                under the worker unit's own environment
    aap agent init                the next run starts a new session
    """,
)
app.add_typer(skills_app, name="skills")
app.add_typer(agent_app, name="agent")


Workspace = Annotated[
    str | None,
    typer.Option(
        "--workspace", "-w", metavar="NAME|PATH", help="The workspace; what has a / is a path."
    ),
]
ConfigFile = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Read FILE, not your own aap.conf.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Ids = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Ids or unique beginnings of ids; - reads stdin."),
]
MaybeIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[ID...]", help="Ids or unique beginnings of ids; - reads stdin."),
]
All = Annotated[bool, typer.Option("--all", help="Not single ids, but all of a --state.")]
States = Annotated[
    list[State] | None, typer.Option("--state", help="Only this state; may be repeated.")
]
Chat = Annotated[
    str | None,
    typer.Option("--conversation", metavar="C", help="Only of this one: channel/account/chat."),
]


def run(arguments: Sequence[str]) -> int:
    """Parse the arguments, run the command, return its exit code.

    Raises UsageError for what the parser refuses, and whatever the command raises.
    """
    command = typer.main.get_command(app)
    try:
        code = command.main(args=list(arguments), prog_name="aap", standalone_mode=False)
    except typer.Abort:
        return Exit.INTERRUPTED
    except Exception as error:
        # The parser's errors are classes of a library inside typer that moves with
        # its versions; all have these two.
        if not hasattr(error, "format_message") or not hasattr(error, "exit_code"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            output.note(error.format_message())
            return Exit.USAGE
        raise _usage_error(error) from None
    return int(code or Exit.OK)


def _usage_error(error: Any) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "aap"
    return UsageError(error.format_message().rstrip("."), hint=f"{path} --help")


def _place(ctx: typer.Context, workspace: str | None, config: str | None) -> Place:
    """The options after the command, else those before it."""
    root: Place = ctx.find_root().obj
    return Place(workspace or root.workspace, config or root.config)


def _version(wanted: bool) -> None:
    if wanted:
        from aap import __version__

        typer.echo(f"aap {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    workspace: Workspace = None,
    config: ConfigFile = None,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    """A durable inbox between an OpenAI-style client and the coding agent on your own machine."""
    ctx.obj = Place(workspace, config)


# inbox


@inbox_app.command("ls", cls=Command)
def inbox_ls(
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
        int | None, typer.Option("--limit", metavar="N", help="At most so many; 0 for all.")
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
        _place(ctx, workspace, config),
        states=states or (),
        conversation=conversation,
        since=since,
        older_than=older_than,
        limit=limit,
        group=group,
        show_all=show_all,
        as_json=as_json,
    )


@inbox_app.command("show", cls=Command)
def inbox_show(
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
        _place(ctx, workspace, config),
        ids,
        raw=raw,
        attachment=attachment,
        target=target,
        force=force,
        as_json=as_json,
    )


@inbox_app.command("new", cls=Command)
def inbox_new(
    ctx: typer.Context,
    *,
    conversation: Chat = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Print the ids that wait in inbox/, one a line; none is no error."""
    from aap.cli import inbox

    place = _place(ctx, workspace, config)
    return inbox.new(place, conversation=conversation, as_json=as_json)


@inbox_app.command("wait", cls=Command)
def inbox_wait(
    ctx: typer.Context,
    *,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="TIME", parser=seconds, help="At most 30s, 5m, 2h."),
    ] = None,
    states: States = None,
    conversation: Chat = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Wait until there is a message, and print its id; exit code 6 if none comes in time."""
    from aap.cli import wait

    place = _place(ctx, workspace, config)
    return wait.wait(
        place, states=states or (), conversation=conversation, timeout=timeout, as_json=as_json
    )


@inbox_app.command("watch", cls=Command)
def inbox_watch(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show what becomes of messages, as it happens, until Ctrl-C."""
    from aap.cli import watch

    return watch.watch(_place(ctx, workspace, config), as_json=as_json)


@inbox_app.command("stats", cls=Command)
def inbox_stats(
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

    return stats.stats(_place(ctx, workspace, config), since=since, as_json=as_json)


@inbox_app.command("done", cls=Command)
def inbox_done(
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

    place = _place(ctx, workspace, config)
    return changes.done(place, ids or (), states=states or (), take_all=take_all)


@inbox_app.command(
    "add",
    cls=Command,
    epilog="""
    aap inbox add request.json
    aap inbox add --text "remind me at five"
    """,
)
def inbox_add(
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

    return changes.add(_place(ctx, workspace, config), source, text=text)


@inbox_app.command("retry", cls=Command)
def inbox_retry(
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

    place = _place(ctx, workspace, config)
    return changes.retry(place, ids or (), states=states or (), take_all=take_all)


@inbox_app.command("hold", cls=Command)
def inbox_hold(
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

    place = _place(ctx, workspace, config)
    return changes.hold(place, ids or (), states=states or (), take_all=take_all)


@inbox_app.command("release", cls=Command)
def inbox_release(
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

    place = _place(ctx, workspace, config)
    return changes.release(place, ids or (), states=states or (), take_all=take_all)


@inbox_app.command("rm", cls=Command)
def inbox_rm(
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

    place = _place(ctx, workspace, config)
    return changes.rm(place, ids or (), states=states or (), take_all=take_all, yes=yes)


@inbox_app.command("ids", cls=Command, hidden=True)
def inbox_ids(ctx: typer.Context, *, workspace: Workspace = None, config: ConfigFile = None) -> int:
    """Print the ids that the shells complete."""
    from aap.cli import inbox

    return inbox.complete_ids(_place(ctx, workspace, config))


@inbox_app.command("conversations", cls=Command, hidden=True)
def inbox_conversations(
    ctx: typer.Context, *, workspace: Workspace = None, config: ConfigFile = None
) -> int:
    """Print the conversations that the shells complete."""
    from aap.cli import inbox

    return inbox.complete_conversations(_place(ctx, workspace, config))


# pause, resume


@app.command(
    cls=Command,
    epilog="""
    aap pause --reason "the agent's account is at its limit"
    aap pause --now
    aap resume
    """,
)
def pause(
    ctx: typer.Context,
    *,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; status and explain say it.")
    ] = None,
    now: Annotated[bool, typer.Option("--now", help="Stop the agent in mid-run, too.")] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Give the agent nothing more; messages are accepted and wait."""
    from aap.cli import pause as pausing

    place = _place(ctx, workspace, config)
    return pausing.pause(place, reason=reason, now=now, as_json=as_json)


@app.command(cls=Command)
def resume(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """End a pause: what waits is handled at once."""
    from aap.cli import pause as pausing

    return pausing.resume(_place(ctx, workspace, config), as_json=as_json)


# explain


@app.command(
    cls=Command,
    epilog="""
    aap explain                   why nothing moves
    aap explain 1jb3k5            why this message does not, and what became of it
    """,
)
def explain(
    ctx: typer.Context,
    *,
    message_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="A message; the workspace if none.")
    ] = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Say why a message, or the workspace, does not move, and what changes it."""
    from aap.cli import explain as explaining

    return explaining.explain(_place(ctx, workspace, config), message_id, as_json=as_json)


# reply, send, logs


@app.command(
    cls=Command,
    epilog="""
    aap reply 1jb3k5 "done, it is on your desk"
    aap reply 1jb3k5 - <answer.txt
    aap reply 1jb3k5 "the chart" --media chart.png
    """,
)
def reply(
    ctx: typer.Context,
    *,
    message_id: Annotated[
        str, typer.Argument(metavar="ID", help="Id or unique beginning of an id.")
    ],
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="What to say; - reads stdin.")
    ] = None,
    media: Annotated[
        str | None, typer.Option("--media", metavar="FILE", help="Send a file with it.")
    ] = None,
    reply_to: Annotated[
        bool, typer.Option("--reply-to", help="Quote the message, where the channel can.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Send it though the same went out before.")
    ] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Answer a message in the chat it came from; the same text goes out once."""
    from aap.cli import reply as replying

    return replying.reply(
        _place(ctx, workspace, config),
        message_id,
        text,
        media=media,
        quote=reply_to,
        again=again,
        as_json=as_json,
    )


@app.command(
    cls=Command,
    epilog="""
    aap send "are you there?"
    aap send --stream --responses "are you there?"
    """,
)
def send(
    ctx: typer.Context,
    *,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say; - reads stdin.")],
    stream: Annotated[bool, typer.Option("--stream", help="Ask for a streamed answer.")] = False,
    responses: Annotated[
        bool, typer.Option("--responses", help="Use /v1/responses, not /v1/chat/completions.")
    ] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Post a message to the own API, as a client would."""
    from aap.cli import send as sending

    place = _place(ctx, workspace, config)
    return sending.send(place, text, stream=stream, responses=responses, as_json=as_json)


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
        _place(ctx, workspace, config),
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


# config

Key = Annotated[str, typer.Argument(metavar="KEY", help="The setting's name.")]
Apply = Annotated[
    bool, typer.Option("--apply", help="Start again what must be, so that it counts now.")
]


@config_app.command("list", cls=Command)
def config_list(
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

    return settings.list_settings(_place(ctx, workspace, config), origin=origin, as_json=as_json)


@config_app.command("get", cls=Command)
def config_get(
    ctx: typer.Context,
    *,
    key: Key,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Print the value of one setting."""
    from aap.cli import config as settings

    return settings.get(_place(ctx, workspace, config), key, as_json=as_json)


@config_app.command(
    "set",
    cls=Command,
    epilog="""
    aap config set RUN_TIMEOUT 30m
    aap config set API_KEY - <key.txt
    """,
)
def config_set(
    ctx: typer.Context,
    *,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The value; - reads stdin.")],
    apply: Apply = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Set one setting, in your file or with -w in the workspace's."""
    from aap.cli import config as settings

    return settings.set_value(_place(ctx, workspace, config), key, value, apply=apply)


@config_app.command("unset", cls=Command)
def config_unset(
    ctx: typer.Context,
    *,
    key: Key,
    apply: Apply = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Take one setting out of your file, or of the workspace's."""
    from aap.cli import config as settings

    return settings.unset(_place(ctx, workspace, config), key, apply=apply)


@config_app.command(
    "edit",
    cls=Command,
    epilog="""
    aap config edit
    EDITOR=nano aap -w work config edit
    """,
)
def config_edit(
    ctx: typer.Context,
    *,
    apply: Apply = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Change your file, or with -w the workspace's, in an editor."""
    from aap.cli import edit

    return edit.edit(_place(ctx, workspace, config), apply=apply)


@config_app.command("explain", cls=Command)
def config_explain(
    ctx: typer.Context,
    *,
    key: Key,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Say what a setting is and takes, and when a change counts."""
    from aap.cli import config as settings

    return settings.explain(_place(ctx, workspace, config), key, as_json=as_json)


@config_app.command("path", cls=Command)
def config_path(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Print the path of your file."""
    from aap.cli import config as settings

    return settings.path(_place(ctx, workspace, config), as_json=as_json)


@config_app.command("validate", cls=Command)
def config_validate(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Say what is wrong or doubtful in the configuration, line by line."""
    from aap.cli import config as settings

    return settings.validate(_place(ctx, workspace, config), as_json=as_json)


@config_app.command("import", cls=Command)
def config_import(
    ctx: typer.Context,
    *,
    source: Annotated[str, typer.Argument(metavar="FILE", help="An .ai-agent-proxy.conf.")],
    apply: Apply = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Take over the settings of an ai-agent-proxy file."""
    from aap.cli import config as settings

    place = _place(ctx, workspace, config)
    return settings.import_file(place, source, apply=apply, as_json=as_json)


# workspace

Name = Annotated[str, typer.Argument(metavar="NAME", help="The workspace's name.")]


@workspace_app.command("ls", cls=Command)
def workspace_ls(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """List the workspaces; a * stands before the default one."""
    from aap.cli import workspace as workspaces

    return workspaces.ls(_place(ctx, workspace, config), as_json=as_json)


@workspace_app.command("show", cls=Command)
def workspace_show(
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

    return workspaces.show(_place(ctx, workspace, config), name, as_json=as_json)


@workspace_app.command("add", cls=Command)
def workspace_add(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Argument(metavar="NEW", help="The name that it gets.")],
    path: Annotated[str, typer.Argument(metavar="FOLDER", help="Its folder; made if missing.")],
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Give a folder a name, and have its inbox watched."""
    from aap.cli import workspace as workspaces

    return workspaces.add(_place(ctx, workspace, config), name, path, as_json=as_json)


@workspace_app.command("use", cls=Command)
def workspace_use(
    ctx: typer.Context, *, name: Name, workspace: Workspace = None, config: ConfigFile = None
) -> int:
    """Make a workspace the one that is meant where none is named."""
    from aap.cli import workspace as workspaces

    return workspaces.use(_place(ctx, workspace, config), name)


@workspace_app.command("rm", cls=Command)
def workspace_rm(*, name: Name, as_json: Json = False) -> int:
    """Watch a workspace no longer; its messages stay."""
    from aap.cli import workspace as workspaces

    return workspaces.rm(name, as_json=as_json)


@workspace_app.command("names", cls=Command, hidden=True)
def workspace_names(
    ctx: typer.Context, *, workspace: Workspace = None, config: ConfigFile = None
) -> int:
    """Print the names that the shells complete."""
    from aap.cli import names

    return names.workspaces(_place(ctx, workspace, config))


# key


@key_app.command("new", cls=Command)
def key_new(
    *,
    name: Annotated[str, typer.Argument(metavar="NEW", help="Whose key it is to be.")],
    as_json: Json = False,
) -> int:
    """Make a key for a client and print it, this once."""
    from aap.cli import key as keys

    return keys.new(name, as_json=as_json)


@key_app.command("ls", cls=Command)
def key_ls(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """List the names of all keys."""
    from aap.cli import key as keys

    return keys.ls(_place(ctx, workspace, config), as_json=as_json)


@key_app.command("revoke", cls=Command)
def key_revoke(
    ctx: typer.Context,
    *,
    key_name: Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")],
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Take a key away: who has it gets in no longer."""
    from aap.cli import key as keys

    return keys.revoke(_place(ctx, workspace, config), key_name)


@key_app.command("names", cls=Command, hidden=True)
def key_names(ctx: typer.Context, *, workspace: Workspace = None, config: ConfigFile = None) -> int:
    """Print the names that the shells complete."""
    from aap.cli import names

    return names.keys(_place(ctx, workspace, config))


# agent


@agent_app.command("show", cls=Command)
def agent_show(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show what would run, and the sessions there are."""
    from aap.cli import agent

    return agent.show(_place(ctx, workspace, config), as_json=as_json)


@agent_app.command("init", cls=Command)
def agent_init(
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

    return agent.init(_place(ctx, workspace, config), conversation=conversation)


@agent_app.command("test", cls=Command)
def agent_test(
    ctx: typer.Context,
    *,
    here: Annotated[bool, typer.Option("--here", help="In this shell's environment.")] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Run the agent once as the worker would, and tell how it went."""
    from aap.cli import agent

    return agent.test(_place(ctx, workspace, config), here=here, as_json=as_json)


# openclaw


@openclaw_app.command("check", cls=Command)
def openclaw_check(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Say setting by setting whether OpenClaw suits an inbox behind it, and why."""
    from aap.cli import openclaw

    return openclaw.check(_place(ctx, workspace, config), as_json=as_json)


@openclaw_app.command("setup", cls=Command)
def openclaw_setup(
    ctx: typer.Context,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Change the file; a backup stays beside it.")
    ] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show what should be changed in OpenClaw's configuration, or change it."""
    from aap.cli import openclaw

    return openclaw.setup(_place(ctx, workspace, config), write=write, as_json=as_json)


# install, uninstall

System = Annotated[
    bool, typer.Option("--system/--user", help="For the whole machine, or for you alone.")
]


@app.command(cls=Command)
def install(
    ctx: typer.Context,
    *,
    system: System = False,
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

    place = _place(ctx, workspace, config)
    return installing.install(place, linger=linger, system=system, yes=yes, as_json=as_json)


@app.command(cls=Command)
def uninstall(
    ctx: typer.Context,
    *,
    system: System = False,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the messages too.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Stop aap and take its units away; messages stay."""
    from aap.cli import install as installing

    place = _place(ctx, workspace, config)
    return installing.uninstall(place, purge=purge, yes=yes, system=system, as_json=as_json)


# status, doctor


@app.command(cls=Command)
def status(
    ctx: typer.Context,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on; with --json a line for each change.")
    ] = False,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Show on one screen whether messages are taken and handled."""
    from aap.cli import status as showing

    return showing.status(_place(ctx, workspace, config), watch=watch, as_json=as_json)


@app.command(
    cls=Command,
    epilog="""
    aap doctor --only spool --only agent
    aap doctor --fix --dry-run
    aap doctor --bundle report.txt
    """,
)
def doctor(
    ctx: typer.Context,
    *,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CHECK", help="Only this check or group; may be repeated."),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", metavar="CHECK", help="Not this check or group; may be repeated."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Run the cures that are safe.")] = False,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what --fix would run.")] = False,
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", metavar="FILE", help="Write a report without anything private."),
    ] = None,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Check everything that a message needs; name the command that mends it."""
    from aap.cli import doctor as checking

    return checking.doctor(
        _place(ctx, workspace, config),
        only=only or (),
        skip=skip or (),
        fix=fix,
        yes=yes,
        dry_run=dry_run,
        bundle=bundle,
        as_json=as_json,
    )


# context


@context_app.command("append", cls=Command)
def context_append(
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

    return context.append(_place(ctx, workspace, config), text, cites=cites)


@context_app.command("show", cls=Command)
def context_show(
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

    return context.show(_place(ctx, workspace, config), ids or (), as_json=as_json)


@context_app.command("check", cls=Command)
def context_check(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Find lost, doubled and misplaced blocks, and citations that lead nowhere."""
    from aap.cli import context

    return context.check(_place(ctx, workspace, config), as_json=as_json)


@context_app.command("rewrite", cls=Command)
def context_rewrite(
    ctx: typer.Context,
    *,
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="The whole new cache.")],
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Replace the context cache by a file; print where the old one is kept."""
    from aap.cli import context

    return context.rewrite(_place(ctx, workspace, config), source)


@context_app.command("stats", cls=Command)
def context_stats(
    ctx: typer.Context,
    *,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", help="Only the last N runs; 0 for all.")
    ] = 0,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """Draw how much of each run's input came from the provider's cache."""
    from aap.cli import context

    return context.stats(_place(ctx, workspace, config), limit=limit, as_json=as_json)


# skills


@skills_app.command("ls", cls=Command)
def skills_ls(
    ctx: typer.Context,
    *,
    as_json: Json = False,
    workspace: Workspace = None,
    config: ConfigFile = None,
) -> int:
    """List the skills, and how the workspace's copies stand."""
    from aap.cli import skills

    return skills.ls(_place(ctx, workspace, config), as_json=as_json)


@skills_app.command("show", cls=Command)
def skills_show(
    name: Annotated[str, typer.Argument(metavar="SKILL", help="The skill's name.")],
    *,
    as_json: Json = False,
) -> int:
    """Print a skill."""
    from aap.cli import skills

    return skills.show(name, as_json=as_json)


@skills_app.command("install", cls=Command)
def skills_install(
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

    place = _place(ctx, workspace, config)
    return skills.install(place, folder=folder, force=force, as_json=as_json)
