"""The command tree as the shells need it: who takes which words, and what a word may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

PLACES = ("--config", "--workspace", "-w")
"""The options whose values `aap` is given as well when it is asked for names."""


@dataclass(frozen=True)
class Value:
    """What a word may be: fixed `words`, or what a shell finds by `kind`.

    `kind` is words, settings, checks, skills (these four have `words`), ids, conversations,
    names, keys, workspaces, files, folders or anything. `helps` says of each word what it is.
    """

    kind: str
    words: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    many: bool = False


@dataclass(frozen=True)
class Option:
    """An option with its spellings; `value` is None for a flag."""

    names: tuple[str, ...]
    help: str
    value: Value | None


@dataclass(frozen=True)
class Node:
    """A command or a group; `path` is its words after `aap`."""

    path: str
    help: str
    commands: tuple[tuple[str, str], ...]  # name, help
    options: tuple[Option, ...]
    argument: Value | None


def tree() -> list[Node]:
    """Read the Typer tree, the root first; hidden commands are left out."""
    import typer

    from aap.cli.app import app

    return list(_walk(typer.main.get_command(app), ""))


def _walk(command: Any, path: str) -> Iterator[Node]:
    below = [
        (name, each) for name, each in getattr(command, "commands", {}).items() if not each.hidden
    ]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    yield Node(
        path,
        command.get_short_help_str(80).rstrip("."),
        tuple((name, each.get_short_help_str(80).rstrip(".")) for name, each in below),
        (*map(_option, _options(command)), Option(("-h", "--help"), "Show help", None)),
        _value(arguments[0]) if arguments else None,
    )
    for name, each in below:
        yield from _walk(each, f"{path} {name}".strip())


def _options(command: Any) -> list[Any]:
    return [
        p
        for p in command.params
        if p.param_type_name == "option" and not p.hidden and p.name != "help"
    ]


def _option(parameter: Any) -> Option:
    text = (parameter.help or "").rstrip(".")
    names = (*parameter.opts, *parameter.secondary_opts)
    return Option(names, text, None if parameter.is_flag else _value(parameter))


_KINDS = {
    "ID": "ids",
    "C": "conversations",
    "FILE": "files",
    "FILE|-": "files",
    "FOLDER": "folders",
    "NAME": "names",
    "NAME|PATH": "workspaces",
}


_OWN_KINDS = {"key_name": "keys", "new_name": "anything"}  # of what is a NAME to people


def _value(parameter: Any) -> Value:
    if choices := getattr(parameter.type, "choices", None):
        return Value("words", tuple(str(getattr(each, "value", each)) for each in choices))
    metavar = (parameter.metavar or "").strip("[].")
    tables = _tables()
    if metavar in tables:
        return tables[metavar]
    kind = _OWN_KINDS.get(parameter.name) or _KINDS.get(metavar, "anything")
    return Value(kind, many=parameter.nargs == -1)


def _tables() -> dict[str, Value]:
    """The words that are in tables, by the metavar of who takes them."""
    from aap import skillset
    from aap.cli.checks import CHECKS
    from aap.config import SETTINGS
    from aap.config.keys import Scope

    skills = {skill.name: skill.description for skill in skillset.skills()}
    return {
        "KEY": _words("settings", {name: row.help for name, row in SETTINGS.items()}),
        "CHECK": _words("checks", {name: check.why for name, check in CHECKS.items()}),
        "SKILL": _words("skills", skills),
        "SCOPE,": Value("words", tuple(scope.value for scope in Scope)),
    }


def _words(kind: str, helps: Mapping[str, str]) -> Value:
    first = [text.split(". ")[0].rstrip(".") for text in helps.values()]
    return Value(kind, tuple(helps), tuple(shorten(text, 70, placeholder="…") for text in first))


def described(nodes: Sequence[Node]) -> list[Value]:
    """Return what has `helps`, each once, in the order of the tree."""
    values = [value for n in nodes for value in (n.argument, *(o.value for o in n.options))]
    return list(dict.fromkeys(value for value in values if value and value.helps))
