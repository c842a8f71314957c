"""`aap inbox watch`: what becomes of messages, as it happens, seen from the folders."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aap.cli import output
from aap.cli.inbox import members, read_digest
from aap.cli.place import Place
from aap.cli.wait import POLL, Folder
from aap.errors import NotFoundError
from aap.inbox import Entry, Spool
from aap.message import Digest, State, parse_name

_INTO = {
    State.INBOX: "arrived",
    State.ACTIVE: "claimed",
    State.DEFERRED: "deferred",
    State.HOLD: "held",
    State.DONE: "settled",
    State.FAILED: "failed",
}
_BACK = {
    State.ACTIVE: "given-back",
    State.DEFERRED: "readmitted",
    State.HOLD: "released",
    State.DONE: "retried",
    State.FAILED: "retried",
}
_COLOURS = {"arrived": "bold", "settled": "green", "deferred": "yellow", "failed": "red",
            "held": "cyan", "removed": "dim"}  # fmt: skip

_NARROW = 60


class Event(NamedTuple):
    """One step of one message; `before` is None for one that was not there."""

    kind: str
    id: str
    before: State | None
    state: State | None  # None: gone


class Scene:
    """Where each message was at the last look.

    The folders are not read at one moment. A message on its way may be seen in
    two of them, or in none: what is gone counts as gone at the second look.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._folders = {state: Folder(spool.folder(state)) for state in State}
        self._names: dict[State, set[str]] = {state: set() for state in State}
        self._where: dict[str, State] = {}
        self._missing: set[str] = set()
        for _ in self.look():
            pass

    def look(self) -> Iterator[Event]:
        """Give what has happened since the last look."""
        missed, self._missing = self._missing, set()
        for state, folder in self._folders.items():
            if folder.changed():
                for event in self._look_into(state):
                    missed.discard(event.id)
                    yield event
        for message_id in missed:
            yield Event("removed", message_id, self._where.pop(message_id), None)

    def _look_into(self, state: State) -> Iterator[Event]:
        names = set(self._spool.names(state))
        before, self._names[state] = self._names[state], names
        for name in before - names:
            known = parse_name(name)
            if known and self._where.get(known.id) is state:
                self._missing.add(known.id)
        for name in sorted(names - before):
            known = parse_name(name)
            if known:
                yield from self._arrive(known.id, state)

    def _arrive(self, message_id: str, state: State) -> Iterator[Event]:
        before = self._where.get(message_id)
        self._where[message_id] = state
        self._missing.discard(message_id)
        if before is None and state is not State.INBOX:
            yield Event("arrived", message_id, None, State.INBOX)
            before = State.INBOX
        if before is None or state is not State.INBOX:
            yield Event(_INTO[state], message_id, before, state)
        elif before is not State.INBOX:
            yield Event(_BACK[before], message_id, before, state)


def watch(place: Place, *, as_json: bool = False) -> int:
    """Print an event a line until interrupted; what is there already is none."""
    spool = place.spool
    scene = Scene(spool)
    while True:
        began = time.monotonic()
        for event in scene.look():
            _print(spool, event, as_json)
        output.flush()
        # A look at very many names takes time: be idle for most of it all the same.
        time.sleep(max(POLL, 5 * (time.monotonic() - began)))


def _print(spool: Spool, event: Event, as_json: bool) -> None:
    entry, digest = _see(spool, event)
    reason = _reason(spool, event)
    moment = time.time()
    if as_json:
        more = members(spool, entry, digest)
        more["state"] = event.state and event.state.value
        origin = event.before and event.before.value
        output.write_json(
            "aap.inbox.event/1",
            time=output.iso(moment),
            event=event.kind,
            **{"from": origin},
            reason=reason or None,
            **more,
        )
        return
    for line in _lines(event, moment, output.one_line(reason or _words(digest))):
        output.write(line)


def _lines(event: Event, moment: float, words: str) -> list[str]:
    """Lay an event out on a line; on two where the terminal is narrow. An id is never cut."""
    kind = output.paint(output.pad(event.kind, 10), _COLOURS.get(event.kind, ""))
    clock = output.paint(time.strftime("%H:%M:%S", time.localtime(moment)), "dim")
    width = output.columns()
    if width is None:
        return [f"{clock}  {kind}  {event.id}  {words}".rstrip()]
    if width < _NARROW:
        return [f"{kind}  {event.id}", *([f"  {output.cut(words, width - 2)}"] if words else [])]
    return [f"{clock}  {kind}  {event.id}  {output.cut(words, width - 44)}".rstrip()]


def _words(digest: Digest) -> str:
    who = digest.sender or digest.sender_id or digest.label
    text = digest.text or " ".join(digest.attachments)
    return f"{who}: {text}" if who else text


def _see(spool: Spool, event: Event) -> tuple[Entry, Digest]:
    """Read the message where it is now, which may be further on."""
    for _ in range(5):
        try:
            entry = spool.find(event.id)
        except NotFoundError:
            break
        if digest := read_digest(spool, entry):
            return entry, digest
    state = event.state or event.before or State.INBOX
    name = parse_name(f"{event.id}.json")
    return Entry(state, Path(f"{event.id}.json"), name), Digest()


def _reason(spool: Spool, event: Event) -> str:
    if event.state not in (State.DEFERRED, State.FAILED):
        return ""
    with suppress(OSError):
        for note in reversed(spool.notes(event.id)):
            if isinstance(note, dict) and note.get("reason"):
                return str(note["reason"])
    return ""
