"""`aap inbox done`, `retry`, `hold`, `release`, `rm` and `add`: what a person changes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aap.cli import output
from aap.cli.place import Place
from aap.cli.targets import chosen, for_each_entry, tell
from aap.errors import Exit, TryAgainError, UsageError
from aap.inbox import Entry, Spool
from aap.message import State

_WAITS_FOR_NOTHING = (State.DONE, State.FAILED)


def done(
    place: Place,
    ids: Sequence[str] = (),
    *,
    states: Sequence[State] = (),
    take_all: bool = False,
) -> int:
    """Settle messages: they are handled, and no run will see them again."""

    def settle(entry: Entry) -> str:
        if not entry.is_message:
            raise UsageError(f"{entry.id} is no message", hint=f"aap inbox rm {entry.id}")
        if not place.spool.settle(entry):
            output.note(f"{entry.id} was done already")
            return ""
        place.log.event("info", "cli", "settled", id=entry.id)
        return "done"

    return _change(place, ids, chosen(ids, states, take_all=take_all), settle)


def retry(
    place: Place,
    ids: Sequence[str] = (),
    *,
    states: Sequence[State] = (),
    take_all: bool = False,
) -> int:
    """Let messages be handled (again) now, with all their attempts before them."""

    def back(entry: Entry) -> str:
        _check_idle(entry)
        if entry.state is State.INBOX and not entry.attempts:
            place.spool.assure(entry)
            output.note(f"{entry.id} waits already")
            return ""
        place.spool.retry(entry)
        place.log.event("info", "cli", "retried", id=entry.id)
        return "waits again"

    return _change(place, ids, chosen(ids, states, take_all=take_all), back)


def hold(
    place: Place,
    ids: Sequence[str] = (),
    *,
    states: Sequence[State] = (),
    take_all: bool = False,
) -> int:
    """Put waiting messages aside until they are released."""

    def aside(entry: Entry) -> str:
        _check_idle(entry)
        if entry.state is State.HOLD:
            place.spool.assure(entry)
            output.note(f"{entry.id} is on hold already")
            return ""
        if entry.state in _WAITS_FOR_NOTHING:
            raise UsageError(f"{entry.id} is {entry.state.value}: it waits for nothing")
        moved = place.spool.hold(entry)
        place.log.event("info", "cli", "held", id=moved.id)
        return "on hold"

    return _change(place, ids, chosen(ids, states, take_all=take_all), aside)


def release(
    place: Place,
    ids: Sequence[str] = (),
    *,
    states: Sequence[State] = (),
    take_all: bool = False,
) -> int:
    """Let held or deferred messages be handled now; their attempts still count."""

    def free(entry: Entry) -> str:
        _check_idle(entry)
        if entry.state is State.INBOX:
            place.spool.assure(entry)
            output.note(f"{entry.id} waits already")
            return ""
        if entry.state in _WAITS_FOR_NOTHING:
            said = f"{entry.id} is {entry.state.value}, not on hold"
            raise UsageError(said, hint=f"aap inbox retry {entry.id}")
        place.spool.release(entry)
        place.log.event("info", "cli", "released", id=entry.id)
        return "waits again"

    return _change(place, ids, chosen(ids, states, take_all=take_all), free)


def rm(
    place: Place,
    ids: Sequence[str] = (),
    *,
    states: Sequence[State] = (),
    take_all: bool = False,
    yes: bool = False,
) -> int:
    """Delete messages for good; asks on a terminal, wants `yes` off one."""
    whole = chosen(ids, states, take_all=take_all)
    if not yes and ("-" in ids or not sys.stdin.isatty()):
        raise UsageError("deleting without a terminal to ask on needs --yes")
    if whole and not yes:
        count = sum(place.spool.count(state) for state in whole)
        named = " and ".join(state.value for state in whole)
        if not output.ask(f"delete all messages that are {named}, {count} in number?"):
            return Exit.OK
    asks = not yes and not whole

    def remove(entry: Entry) -> str:
        _check_idle(entry)
        if asks and not output.ask(f"delete {_headline(place.spool, entry)}?"):
            output.note(f"{entry.id} kept")
            return ""
        place.spool.remove(entry)
        place.log.event("info", "cli", "deleted", id=entry.id)
        return "deleted"

    return _change(place, ids, whole, remove)


def _change(
    place: Place, ids: Sequence[str], whole: tuple[State, ...], act: Callable[[Entry], str]
) -> int:
    """Do it, and confirm: each by its id, all of a state by their number."""
    counts: dict[str, int] = {}

    def act_and_tell(entry: Entry) -> None:
        said = act(entry)
        if said and not whole:
            tell(f"{entry.id} {said}")
        elif said:
            counts[said] = counts.get(said, 0) + 1

    code = for_each_entry(place.spool, ids, whole, act_and_tell)
    for said, count in counts.items():
        output.note(f"{said}: {count}")
    if whole and not counts and code == Exit.OK:
        output.note("no such messages")
    return code


def _headline(spool: Spool, entry: Entry) -> str:
    from aap.cli.inbox import read_digest

    digest = read_digest(spool, entry)
    words = output.cut(output.one_line(digest.text if digest else ""), 40)
    return f'{output.one_line(entry.id)} ({entry.state.value}) "{words}"'


def _check_idle(entry: Entry) -> None:
    if entry.state is State.ACTIVE:
        raise TryAgainError(f"{entry.id} is being handled now", hint="try again when its run ends")


def add(place: Place, source: str | None = None, *, text: str | None = None) -> int:
    """Put a message into the inbox: a request body from a file or stdin, or plain words."""
    if (source is None) == (text is None):
        raise UsageError("give a file, - for stdin, or --text", hint="aap inbox add --help")
    raw = _text_body(text) if text is not None else _read_source(source or "-")
    _check_body(raw, place.settings.max_body)
    workspace = place.spool.root.parent
    if not workspace.is_dir():
        raise place.no_workspace(workspace)
    place.spool.create()
    output.write(place.spool.deliver(raw))
    return Exit.OK


def _text_body(text: str) -> bytes:
    import json

    body = {"model": "aap", "messages": [{"role": "user", "content": text}]}
    return json.dumps(body).encode()


def _read_source(source: str) -> bytes:
    return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()


def _check_body(raw: bytes, most: int) -> None:
    """Refuse what the API would refuse. Raises UsageError."""
    import json

    if len(raw) > most:
        raise UsageError(
            f"{output.size(len(raw))} is over MAX_BODY ({output.size(most)})",
            hint="aap config set MAX_BODY 32M",
        )
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise UsageError("nested too deeply to be a request") from None
    except ValueError as error:
        raise UsageError(f"not JSON: {error}") from None
    if not isinstance(body, dict):
        raise UsageError("a message is a JSON object")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")
