"""The messages that a command is about: ids, `-` for stdin, or all of a state."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from aap.cli import output
from aap.errors import AapError, Exit, UsageError, describe, exit_of
from aap.inbox import Entry, Spool
from aap.message import State

T = TypeVar("T")


def for_each(ids: Sequence[str], act: Callable[[str], None]) -> int:
    """Do `act` for every id, also after one failed; return the highest exit code."""
    return _do(expand(ids), act, str)


def for_each_entry(
    spool: Spool,
    ids: Sequence[str],
    states: Sequence[State],
    act: Callable[[Entry], None],
) -> int:
    """Do `act` for the message of every id, or for all that are in `states`.

    `act` is called again if the message moved away meanwhile. What is changed is
    durable when this returns. Returns the highest exit code.
    """
    with spool.together():
        if states:
            return _do(_shown(spool.entries(*states)), act, lambda entry: entry.id)
        finder = _Finder(spool, many="-" in ids or len(ids) > 8)
        return _do(expand(ids), lambda message_id: finder.apply(message_id, act), str)


def chosen(ids: Sequence[str], states: Sequence[State], *, take_all: bool) -> tuple[State, ...]:
    """Return the states of which all messages are meant; none if ids are.

    Raises UsageError where it is not said which messages are.
    """
    if take_all and ids:
        raise UsageError("give ids or --all, not both")
    if take_all and not states:
        raise UsageError("--all of what?", hint="such as --all --state failed")
    if not take_all and states:
        raise UsageError("--state goes with --all", hint=f"--all --state {states[0].value}")
    if not take_all and not ids:
        raise UsageError("give ids, - to read them from stdin, or --all with a --state")
    return tuple(states) if take_all else ()


def expand(ids: Sequence[str]) -> Iterator[str]:
    """Give the ids, with `-` replaced by the first word of each line of stdin."""
    for message_id in ids:
        if message_id != "-":
            yield message_id
            continue
        for line in sys.stdin:
            if words := line.split():
                yield words[0]


def tell(text: str) -> None:
    """Confirm to a person; programs read the exit code."""
    if sys.stderr.isatty():
        output.note(text)


class _Finder:
    """Finds ids. Each search lists every name, so many ids are looked up in one list."""

    def __init__(self, spool: Spool, *, many: bool) -> None:
        self._spool = spool
        self._known = {entry.id: entry for entry in spool.entries()} if many else {}

    def apply(self, message_id: str, act: Callable[[Entry], None]) -> None:
        if entry := self._known.pop(message_id, None):
            with suppress(FileNotFoundError):
                return act(entry)
        return act(self._spool.find(message_id))


def _shown(entries: Sequence[Entry]) -> Iterator[Entry]:
    progress = output.Progress(len(entries))
    for entry in entries:
        yield entry
        progress.step()
    progress.close()


def _do(things: Iterable[T], act: Callable[[T], None], name: Callable[[T], str]) -> int:
    return max((_attempt(act, thing, name) for thing in things), default=Exit.OK)


def _attempt(act: Callable[[T], None], thing: T, name: Callable[[T], str]) -> int:
    try:
        act(thing)
    except AapError as error:
        output.warn(str(error), error.hint)
        return error.code
    except FileNotFoundError:
        output.warn(f"{name(thing)} moved meanwhile", "try again")
        return Exit.TRY_AGAIN
    except OSError as error:
        output.warn(f"{name(thing)}: {describe(error)}")
        return exit_of(error)
    return Exit.OK
