"""`aap logs`: the worker's daily files and the API's journal as one stream."""

from __future__ import annotations

import heapq
import os
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from aap import files
from aap.cli import output, when
from aap.cli.journal import Journal
from aap.cli.place import Place
from aap.errors import Exit, UsageError
from aap.log import Line, parse_line
from aap.message import State

DAY = 86400.0
RECENT = 600.0  # how far back --follow starts when no time is given
POLL = 0.25

# Who wrote a line, by the option that asks for it.
SOURCES = {"api": ("api", "systemd"), "worker": ("worker", "cli"), "agent": ("agent",)}
_OF_A_RUN = ("run-", "session-", "outage", "command-changed")

_COLOURS = {"error": "red", "warning": "yellow", "debug": "dim"}


def logs(
    place: Place,
    *,
    today: bool = False,
    since: str | None = None,
    follow: bool = False,
    message_id: str | None = None,
    conversation: str | None = None,
    api: bool = False,
    worker: bool = False,
    agent: bool = False,
    errors: bool = False,
    as_json: bool = False,
) -> int:
    """Print log lines in the order of time; with `follow`, go on until interrupted.

    Of `api`, `worker` and `agent` those that are set are shown; all if none is.
    """
    start = _start(today, since, follow)
    only = [part for part, given in (("api", api), ("worker", worker), ("agent", agent)) if given]
    choice = Choice(
        id=place.spool.find(message_id).id if message_id else "",
        conversation=conversation or "",
        ids=set(_ids_of(place, conversation, start)) if conversation else set(),
        sources=frozenset(source for part in only for source in SOURCES[part]),
        errors=errors,
        workspace=place.loaded.name if place.workspace is not None else "",
    )
    files = DailyFiles(place.spool.logs, output.iso(start))
    # Whoever wants the worker alone need not be able to read the journal.
    journal = Journal(start) if choice.wants_journal else None
    past = journal.history() if journal else ()
    shown = 0
    for line in heapq.merge(files.read(), past, key=lambda line: line.time):
        shown += _print(line, choice, as_json)
    if not (shown or follow or as_json):
        day = time.strftime("%b %d %H:%M", time.localtime(start))
        output.note(f"nothing of this kind was logged since {day}")
    if journal and journal.problem:
        output.note(f"the API's lines are missing here: {journal.problem}")
        output.note("  sudo usermod -aG systemd-journal $USER   and log in again")
    if follow:
        _follow(files, journal, choice, as_json)
    return Exit.OK


class Choice:
    """Which lines are wanted.

    The agent's lines name no message: they belong to what the worker claimed last.
    So every line must be shown to `takes`, in order.
    """

    def __init__(
        self,
        id: str = "",  # noqa: A002 - the word that the lines use
        conversation: str = "",
        ids: set[str] | None = None,
        sources: frozenset[str] = frozenset(),
        errors: bool = False,
        *,
        workspace: str = "",
    ) -> None:
        self._id = id
        self._workspace = workspace
        self._conversation = conversation
        self._ids = (ids or set()) | ({id} if id else set())
        self._sources = sources
        self._errors = errors
        self._run: set[str] = set()  # what the worker's current run is about
        self._claiming = False

    @property
    def wants_journal(self) -> bool:
        """Whether the journal can hold a line that is wanted."""
        return not self._sources or "api" in self._sources

    def takes(self, line: Line) -> bool:
        """Tell whether this line, which follows those before, is wanted."""
        self._follow_run(line)
        if self._errors and line.level not in {"error", "warning"}:
            return False
        if self._sources and line.source not in self._sources:
            return False
        if self._is_elsewhere(line):
            return False
        return not (self._id or self._conversation) or self._is_about(line)

    def _is_elsewhere(self, line: Line) -> bool:
        """Whether it is of the one API, and of another workspace; what names none is of all."""
        named = line.fields.get("workspace", "") if line.source == "api" else ""
        return bool(self._workspace and named) and named != self._workspace

    def _follow_run(self, line: Line) -> None:
        message_id = line.fields.get("id", "")
        if self._conversation and line.fields.get("conversation") == self._conversation:
            self._ids.add(message_id)
        if line.source != "worker":
            return
        if line.event == "claimed":
            self._run = {message_id} | (self._run if self._claiming else set())
        elif line.event == "told":
            self._run.add(message_id)
        elif line.event == "started":
            self._run = set()
        self._claiming = line.event == "claimed"

    def _is_about(self, line: Line) -> bool:
        if message_id := line.fields.get("id"):
            return message_id in self._ids
        of_a_run = line.source == "agent" or line.event.startswith(_OF_A_RUN)
        if of_a_run and self._run & self._ids:
            return True
        return any(self._id in text for text in (*line.fields.values(), line.text) if self._id)


def _ids_of(place: Place, conversation: str, start: float) -> Iterator[str]:
    """Find the messages of a conversation: in the daily logs, and among those never claimed."""
    from aap.cli.inbox import waiting

    spool = place.spool
    for line in DailyFiles(spool.logs, output.iso(start)).read(only=(b"claimed",)):
        if line.fields.get("conversation") == conversation:
            yield line.fields.get("id", "")
    for entry, _ in waiting(spool, (State.INBOX, State.HOLD), conversation):
        yield entry.id


def _start(today: bool, since: str | None, follow: bool) -> float:
    if today and since:
        raise UsageError("--today and --since exclude each other")
    if since:
        return when.parse(since)
    if today:
        return when.midnight()
    return time.time() - (RECENT if follow else DAY)


class DailyFiles:
    """The daily files from a moment on; each call of `read` gives the lines that are new.

    The worker opens the next day's file at midnight UTC: the folder is looked at
    again each time, and a day's file is read to its end before the next.
    """

    def __init__(self, folder: Path, since: str) -> None:
        self._folder = folder
        self._since = since
        self._offsets: dict[str, int] = {}
        self._last_time = ""

    def read(self, only: Sequence[bytes] = ()) -> Iterator[Line]:
        """Give the whole lines since the last call, oldest first; with `only`, no others."""
        for name in self._names():
            with suppress(FileNotFoundError), _open(self._folder / name) as file:
                file.seek(self._offsets.get(name, 0))
                for raw in file:
                    if not raw.endswith(b"\n"):
                        break  # still being written
                    self._offsets[name] = self._offsets.get(name, 0) + len(raw)
                    if only and not any(part in raw for part in only):
                        continue
                    if line := self._parse(raw):
                        yield line

    def _names(self) -> list[str]:
        first = f"{self._since[:10]}.log"
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return sorted(n for n in names if n >= first and n.endswith(".log") and n[:1].isdigit())

    def _parse(self, raw: bytes) -> Line | None:
        text = raw.decode("utf-8", "replace").rstrip("\n")
        line = parse_line(text)
        if line is None:  # torn by a crash, or another hand's: it happened about then
            line = Line(self._last_time or self._since, "info", "log", "output", {}, text)
        self._last_time = line.time
        return line if line.time >= self._since else None


def _open(path: Path) -> BinaryIO:
    return os.fdopen(files.open_plain(path), "rb")


def _follow(files: DailyFiles, journal: Journal | None, choice: Choice, as_json: bool) -> None:
    process = journal.follow() if journal else None
    try:
        with _JournalPipe(process, journal) as pipe:
            while True:
                fresh = [*files.read(), *pipe.read()]
                for line in sorted(fresh, key=lambda line: line.time):
                    _print(line, choice, as_json)
                output.flush()
                pipe.wait()
    finally:
        if process:
            process.kill()
            process.wait()


class _JournalPipe:
    """The following journalctl's output, read without blocking."""

    def __init__(self, process: subprocess.Popen[bytes] | None, journal: Journal | None) -> None:
        self._journal = journal
        self._rest = b""
        self._pipe = process.stdout if process else None
        self._said = process.stderr if process else None
        if self._pipe:
            os.set_blocking(self._pipe.fileno(), False)

    def __enter__(self) -> _JournalPipe:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._pipe, self._said):
            if pipe:
                pipe.close()

    def wait(self) -> None:
        """Wait until the journal says something, at most until the files are due again."""
        if self._pipe is None:
            time.sleep(POLL)
        else:
            select.select([self._pipe], [], [], POLL)

    def read(self) -> Iterator[Line]:
        """Give the lines that are there."""
        if self._pipe is None:
            return
        with suppress(BlockingIOError):
            while chunk := os.read(self._pipe.fileno(), 65536):
                self._rest += chunk
            self._pipe.close()
            self._pipe = None
        *whole, self._rest = self._rest.split(b"\n")
        for raw in whole:
            if self._journal and (line := self._journal.read(raw)):
                yield line


def _print(line: Line, choice: Choice, as_json: bool) -> bool:
    """Print a line if it is wanted; tell whether it was."""
    if not choice.takes(line):
        return False
    if as_json:
        output.write_json("aap.logs.line/1", **_members(line))
        return True
    prefix = f"{output.paint(_clock(line.time), 'dim')} {line.source:<7} "
    output.write_hanging(prefix, _said(line), _COLOURS.get(line.level, ""))
    return True


def _members(line: Line) -> dict[str, Any]:
    return {
        "time": line.time,
        "level": line.level,
        "source": line.source,
        "event": line.event,
        "fields": line.fields,
        "text": line.text,
    }


def _said(line: Line) -> str:
    fields = " ".join(f"{key}={_quoted(value)}" for key, value in line.fields.items())
    text = output.harmless(line.text)
    if line.event == "output":
        return text
    return " ".join(part for part in (line.event, fields, text) if part)


def _quoted(value: str) -> str:
    text = output.one_line(value)
    return f'"{text}"' if " " in text or not text else text


def _clock(moment: str) -> str:
    """Return a UTC timestamp as local time, as journalctl shows it; as it is, if it is none."""
    try:
        return time.strftime("%b %d %H:%M:%S", time.localtime(when.parse(moment)))
    except UsageError:
        return moment
