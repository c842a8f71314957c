"""The root of the command tree, and how a command line runs through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Annotated, Any

import typer

from aap.cli import output
from aap.cli.commands import (
    agent,
    completion,
    config,
    context,
    doctor,
    explain,
    inbox,
    install,
    key,
    logs,
    openclaw,
    parts,
    pause,
    reply,
    send,
    skills,
    status,
    workspace,
)
from aap.cli.commands.parts import ConfigFile, Workspace
from aap.cli.main import first_word
from aap.cli.place import Place
from aap.errors import Exit, UsageError, nearest

_WIDTH = 80  # of help, at most

SECTIONS = {
    "Messages": ("inbox", "reply", "send"),
    "The agent": ("pause", "resume", "agent", "context", "skills"),
    "See what happens": ("status", "explain", "logs", "doctor"),
    "Set up": ("install", "uninstall", "config", "workspace", "key", "openclaw", "completion"),
}

ALONE = (pause, explain, reply, send, logs, install, status, doctor, completion)
GROUPS = (inbox, config, workspace, key, openclaw, context, skills, agent)

EXAMPLES = """
    aap inbox ls                  what waits, and for whom
    aap inbox retry ID            let a message be handled again
    aap logs --today --follow     what happens now
    aap send "hello"              put a message in, as a client would
    man aap                       more, and man 7 aap tells how it works
    """


class Root(parts.Group):
    """The root, which lists its commands by what one wants to do."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """List the commands in their sections."""
        for title, names in SECTIONS.items():
            self.write_commands(formatter, title, names)


def run(arguments: Sequence[str]) -> int:
    """Parse the arguments, run the command, return its exit code.

    Raises UsageError for what the parser refuses, and whatever the command raises.
    """
    command = typer.main.get_command(_whole(_needed(arguments)))
    try:
        code = command.main(
            args=list(arguments),
            prog_name="aap",
            standalone_mode=False,
            # By itself it takes no terminal to have less than 50.
            terminal_width=min(output.columns() or _WIDTH, _WIDTH) - 1,
        )
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


def _needed(arguments: Sequence[str]) -> Sequence[ModuleType]:
    """Name the module that the first word belongs to; all if it is no command, or none is there.

    Typer builds each command from its signature, and takes as long for all of them as it
    takes to be imported.
    """
    word = first_word(arguments)
    found = [module for module in (*ALONE, *GROUPS) if word in _names(module)]
    return found or (*ALONE, *GROUPS)


def _names(module: ModuleType) -> Iterator[str]:
    """The words of the root that a module has."""
    if module in GROUPS:
        yield _name(module)
    else:
        yield from (each.callback.__name__ for each in module.app.registered_commands)


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _usage_error(error: Any) -> UsageError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "aap"
    option = getattr(error, "option_name", "")
    said = " ".join(error.format_message().split()).rstrip(".")
    if context and option and hasattr(error, "possibilities"):
        said = _no_such_option(context.command, option)
    return UsageError(said, hint=f"{path} --help")


def _no_such_option(command: Any, option: str) -> str:
    """Say it, with the option that was meant, or where this one belongs."""
    said = f"No such option '{option}'"
    if any(option in _options(each) for each in _tree(command)):
        return f"{said} here: it goes after the command"
    near = nearest(option, _options(command))
    return f"{said}. Did you mean '{near}'?" if near else said


def _options(command: Any) -> list[str]:
    return [each for p in command.params for each in (*p.opts, *p.secondary_opts) if each[0] == "-"]


def _tree(command: Any) -> Iterator[Any]:
    for each in getattr(command, "commands", {}).values():
        yield each
        yield from _tree(each)


def _version(wanted: bool) -> None:
    if wanted:
        from aap import __version__

        typer.echo(f"aap {__version__}")
        raise typer.Exit


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


def _whole(modules: Iterable[ModuleType]) -> typer.Typer:
    """Put the root together, with the commands of these modules."""
    whole = parts.group(Root, epilog=EXAMPLES)
    whole.callback()(root)
    for module in modules:
        if module in GROUPS:
            whole.add_typer(module.app, name=_name(module))
        else:
            whole.add_typer(module.app)
    return whole


app = _whole((*ALONE, *GROUPS))
