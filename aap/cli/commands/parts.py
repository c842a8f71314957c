"""What the modules of the command tree share: the classes, and options that mean the same.

Each module beside this one holds one command, or one group of them, as Typer sees it:
names, options and help. A function there parses, calls one plain function, and returns
its exit code; what it calls is imported when it runs, so `aap --help` reads no room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

from aap.cli import output
from aap.cli.place import Place
from aap.errors import UsageError
from aap.message import State

T = TypeVar("T")


class _Help:
    """What the help of commands and groups has in common."""

    epilog: str | None

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """List the options; on a narrow terminal what is said of one goes below it."""
        formatter.write_dl = partial(formatter.write_dl, col_max=min(30, formatter.width // 3))
        super().format_options(ctx, formatter)  # type: ignore[misc]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the examples without filling their lines."""
        _write_examples(self.epilog, formatter)


class Command(_Help, TyperCommand):
    """A command whose examples are printed as they were written."""


class Group(_Help, TyperGroup):
    """A group whose examples are printed as they were written, and its commands' help whole."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """List the commands."""
        shown = [name for name, command in self.commands.items() if not command.hidden]
        self.write_commands(formatter, "Commands", shown)

    def write_commands(self, formatter: Any, title: str, names: Iterable[str]) -> None:
        """List some commands, each with the whole of its first sentence."""
        with formatter.section(title):
            formatter.write_dl(
                [(name, self.commands[name].get_short_help_str(1000)) for name in names]
            )


def _write_examples(examples: str | None, formatter: Any) -> None:
    if not examples:
        return
    with formatter.section("Examples"):
        for line in examples.strip().splitlines():
            formatter.write(f"  {_within(line.strip(), formatter.width)}\n")


def _within(example: str, width: int) -> str:
    """Put the words behind a command below it where the terminal is too narrow for both."""
    command, _, words = example.partition("   ")
    if len(example) + 2 <= width or not words:
        return example
    return "\n      ".join([command, *output.fill(words.strip(), width - 6)])


def group(cls: type[TyperGroup] = Group, **more: Any) -> typer.Typer:
    """Return an empty part of the tree; `more` is what Typer takes."""
    return typer.Typer(
        cls=cls,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **more,
    )


Workspace = Annotated[
    str | None,
    typer.Option(
        "--workspace", "-w", metavar="NAME|PATH", help="The workspace; what has a / is a path."
    ),
]
NoWorkspace = Annotated[str | None, typer.Option("--workspace", "-w", hidden=True)]
"""Of a command that is about all workspaces: taken only to be refused with a reason."""
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


def place_of(ctx: typer.Context, workspace: str | None, config: str | None) -> Place:
    """Return where a command works: the options after it count, else those before it."""
    root: Place = ctx.find_root().obj
    return Place(workspace or root.workspace, config or root.config)


def place_of_all(
    ctx: typer.Context, workspace: str | None, config: str | None, instead: str = ""
) -> Place:
    """Return where a command works that is about all workspaces, and so takes no single one.

    Raises UsageError, with what is to be typed `instead`, if one is named.
    """
    place = place_of(ctx, workspace, config)
    if place.workspace is not None:
        said = f"{ctx.command_path} is of all workspaces, not of {place.workspace} alone"
        raise UsageError(said, hint=instead or f"without -w: {ctx.command_path}")
    return place


def told(read: Callable[[str], T], examples: str) -> Callable[[str], T]:
    """Have what a value cannot be read as end in a UsageError that has `examples`."""

    @wraps(read)
    def parse(text: str) -> T:
        try:
            return read(text)
        except ValueError:
            raise UsageError(f'"{text}" cannot be read', hint=f"such as {examples}") from None

    return parse


def either(first: bool, second: bool, names: str) -> bool | None:
    """Return which of two opposite flags was given, None if neither. Raises UsageError for both."""
    if first and second:
        raise UsageError(f"{names} exclude each other", hint="give one of them")
    return first if first or second else None
