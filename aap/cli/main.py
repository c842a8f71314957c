"""Where `aap` starts, and the one place where it ends.

Importing typer takes several times as long as Python's own start, and agents,
hooks and shells call a few commands all the time. So the commands in `HOT` are
run straight from here where the arguments fit the small grammar below. Anything
else (`--help`, an unknown option, a value that does not parse) goes to the
Typer tree, which says what is wrong. A test holds `HOT` against that tree.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from aap.cli import output
from aap.errors import AapError, Exit, describe, exit_of
from aap.message import State

Keywords = dict[str, Any]


class Option(NamedTuple):
    """An option of a hot command: the keyword it fills, and how its value is read."""

    keyword: str
    read: Callable[[str], Any] | None = None  # None: a flag
    many: bool = False


class Hot(NamedTuple):
    """A command that needs no argument parser: which function, which options."""

    module: str  # below aap.cli
    function: str
    options: Mapping[str, Option] = MappingProxyType({})
    takes_ids: bool = False  # at least one
    takes_beginning: bool = False  # one, or none


def seconds(text: str) -> float:
    """Read `30`, `90s`, `5m`, `2h`. Raises ValueError."""
    factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    value = float(text[:-1] if factor else text) * (factor or 1)
    if not 0 <= value < 1e9:
        raise ValueError(f"{text!r} is no time to wait")
    return value


def count(text: str) -> int:
    """Read a number of things. Raises ValueError."""
    value = int(text)
    if value < 0:
        raise ValueError(f"{text!r} is no number of things")
    return value


_JSON = {"--json": Option("as_json")}
_STATES = {"--state": Option("states", State, many=True)}
_CONVERSATION = {"--conversation": Option("conversation", str)}

PLACE = {
    "--config": Option("config", str),
    "--workspace": Option("workspace", str),
    "-w": Option("workspace", str),
}

HOT = {
    "ls": Hot(
        "inbox",
        "ls",
        {
            **_STATES,
            **_CONVERSATION,
            "--since": Option("since", str),
            "--older-than": Option("older_than", str),
            "--limit": Option("limit", count),
            "--group": Option("group"),
            "--all": Option("show_all"),
            **_JSON,
        },
    ),
    "show": Hot(
        "inbox",
        "show",
        {
            "--raw": Option("raw"),
            "--attachment": Option("attachment", int),
            "--output": Option("target", str),
            "--force": Option("force"),
            **_JSON,
        },
        takes_ids=True,
    ),
    "new": Hot("inbox", "new", {**_CONVERSATION, **_JSON}),
    "wait": Hot(
        "wait",
        "wait",
        {"--timeout": Option("timeout", seconds), **_STATES, **_CONVERSATION, **_JSON},
    ),
    "done": Hot("changes", "done", {"--all": Option("take_all"), **_STATES}, takes_ids=True),
    "ids": Hot("names", "ids", takes_beginning=True),
    "conversations": Hot("inbox", "complete_conversations"),
}
NAMES = {
    "workspace": Hot("names", "workspaces"),
    "key": Hot("names", "keys"),
}
"""The commands `aap workspace names` and `aap key names`, which the shells use."""


class _NotHotError(Exception):
    """The arguments are the Typer tree's to judge."""


def main() -> NoReturn:
    """Run `aap` with the process's arguments, and exit."""
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed; the exit code tells more
            stream.flush()
    # sys.exit would take all modules apart first: a twelfth of what a hot command takes.
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command; every error ends here, as a line for people and an exit code."""
    output.prepare()
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except AapError as error:
        output.warn(str(error), _in_mode(error.hint))
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # `aap inbox ls | head -1`: the reader has what it wanted
        _drop_stdout()
        return Exit.OK
    except OSError as error:
        return _os_error(error)
    except Exception as error:
        return _unexpected(error)


def _in_mode(hint: str) -> str:
    """Return a hint as it is typed for the aap that is meant."""
    from aap.mode import in_mode

    with suppress(AapError):  # AAP_MODE itself is wrong, and the hint says so
        return in_mode(hint)
    return hint


def _drop_stdout() -> None:
    """Let what could not be written go, or Python would try again at its end and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _os_error(error: OSError) -> int:
    if os.environ.get("AAP_DEBUG"):
        raise error
    try:
        sys.stdout.flush()
    except OSError:  # it was stdout itself: a full disk, a closed descriptor
        _drop_stdout()
    output.warn(describe(error), _sudo(error) or _look_at(error))
    return exit_of(error)


def _sudo(error: OSError) -> str:
    """The way in, for one of the group `aap` who may not do what root may."""
    from aap.mode import SYSTEM, as_root, find_mode

    refused = isinstance(error, PermissionError) and os.geteuid() != 0
    with suppress(AapError):
        return as_root() if refused and find_mode() == SYSTEM else ""
    return ""


def _look_at(error: OSError) -> str:
    """Return the command that shows why; empty where the error says all."""
    import errno
    import shlex
    from pathlib import Path

    looks = {
        errno.EROFS: "findmnt -T",
        errno.ENOSPC: "df -h",
        errno.EDQUOT: "df -h",
        errno.EACCES: "ls -ld",
    }
    look = looks.get(error.errno or 0)
    if not look or not error.filename:
        return ""
    return f"{look} {shlex.quote(str(Path(os.fsdecode(error.filename)).parent))}"


def _unexpected(error: Exception) -> int:
    if os.environ.get("AAP_DEBUG"):
        raise error
    output.warn(
        f"unexpected {type(error).__name__}: {error}",
        "this is a fault in aap; AAP_DEBUG=1 before the same command shows where",
    )
    return Exit.FAILED


def _dispatch(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--version"]:
        from aap import __version__

        output.write(f"aap {__version__}")
        return Exit.OK
    try:
        hot, words, keywords = parse_hot(arguments)
    except _NotHotError:
        from aap.cli import app

        return app.run(arguments)
    return _call_hot(hot, words, keywords)


def _call_hot(hot: Hot, words: Sequence[str], keywords: Keywords) -> int:
    from importlib import import_module

    from aap.cli.place import Place

    function = getattr(import_module(f"aap.cli.{hot.module}"), hot.function)
    place = Place(keywords.pop("workspace", None), keywords.pop("config", None))
    code: int = function(place, *([words] if words else []), **keywords)
    return code


def parse_hot(arguments: Sequence[str]) -> tuple[Hot, list[str], Keywords]:
    """Read the arguments of a hot command: which, the ids, the keywords that were given.

    Raises an error that `_dispatch` knows for anything but a well-formed hot command.
    """
    place: Keywords = {}
    rest = _read_options(list(arguments), PLACE, place)
    if len(rest) < 2:
        raise _NotHotError
    hot = HOT.get(rest[1]) if rest[0] == "inbox" else None
    hot = NAMES.get(rest[0]) if rest[1] == "names" else hot
    if hot is None:
        raise _NotHotError
    given: Keywords = {}
    words: list[str] = []
    rest = rest[2:]
    while rest := _read_options(rest, {**PLACE, **hot.options}, given):
        words.append(rest.pop(0))
    if bool(words) != hot.takes_ids and not (hot.takes_beginning and len(words) == 1):
        raise _NotHotError
    return hot, words, {**place, **given}


def first_word(arguments: Sequence[str]) -> str:
    """Return the command or group that is meant; empty if there is none, or it is not clear."""
    try:
        rest = _read_options(list(arguments), PLACE, {})
    except _NotHotError:
        return ""
    return rest[0] if rest else ""


def _read_options(rest: list[str], options: Mapping[str, Option], into: Keywords) -> list[str]:
    """Take options from the front until a word; return what is left."""
    while rest and rest[0].startswith("-") and rest[0] != "-":
        name, equals, value = rest.pop(0).partition("=")
        option = options.get(name)
        if option is None or (equals and (option.read is None or not name.startswith("--"))):
            raise _NotHotError
        if option.read is None:
            into[option.keyword] = True
            continue
        if not equals:
            value = _value(rest)
        _store(option, option.read, value, into)
    return rest


def _value(rest: list[str]) -> str:
    # Whether "-x" is a value or a forgotten one is for the real parser to say.
    if not rest or rest[0].startswith("-"):
        raise _NotHotError
    return rest.pop(0)


def _store(option: Option, read: Callable[[str], Any], value: str, into: Keywords) -> None:
    try:
        result = read(value)
    except ValueError:
        raise _NotHotError from None
    if option.many:
        into.setdefault(option.keyword, []).append(result)
    else:
        into[option.keyword] = result


if __name__ == "__main__":
    main()
