"""`aap logs`: the worker's daily files and the API's journal as one stream."""

from __future__ import annotations

import heapq
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from aap.cli import output, when
from aap.cli.journal import Journal
from aap.cli.place import Place
from aap.errors import Exit, UsageError
from aap.log import Line, parse_line

DAY = 86400.0
RECENT = 600.0  # how far back --follow starts when no time is given
POLL = 0.25

_COLOURS = {"error": "red", "warning": "yellow", "debug": "dim"}


def logs(
    place: Place,
    *,
    today: bool = False,
    since: str | None = None,
    follow: bool = False,
    message_id: str | None = None,
    as_json: bool = False,
) -> int:
    """Print log lines in the order of time; with `follow`, go on until interrupted."""
    start = _start(today, since, follow)
    wanted = place.spool.find(message_id).id if message_id else ""
    files = DailyFiles(place.spool.logs, output.iso(start))
    journal = Journal(start)
    for line in heapq.merge(files.read(), journal.history(), key=lambda line: line.time):
        _print(line, wanted, as_json)
    if journal.problem:
        output.note(f"the API's lines are missing here: {journal.problem}")
        output.note("  sudo usermod -aG systemd-journal $USER   and log in again")
    if follow:
        _follow(files, journal, wanted, as_json)
    return Exit.OK


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

    def read(self) -> Iterator[Line]:
        """Give the whole lines since the last call, oldest first."""
        for name in self._names():
            with suppress(FileNotFoundError), (self._folder / name).open("rb") as file:
                file.seek(self._offsets.get(name, 0))
                for raw in file:
                    if not raw.endswith(b"\n"):
                        break  # still being written
                    self._offsets[name] = self._offsets.get(name, 0) + len(raw)
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


def _follow(files: DailyFiles, journal: Journal, wanted: str, as_json: bool) -> None:
    process = journal.follow()
    try:
        with _JournalPipe(process, journal) as pipe:
            while True:
                fresh = [*files.read(), *pipe.read()]
                for line in sorted(fresh, key=lambda line: line.time):
                    _print(line, wanted, as_json)
                output.flush()
                pipe.wait()
    finally:
        if process:
            process.kill()
            process.wait()


class _JournalPipe:
    """The following journalctl's output, read without blocking."""

    def __init__(self, process: subprocess.Popen[bytes] | None, journal: Journal) -> None:
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
            if line := self._journal.read(raw):
                yield line


def _print(line: Line, wanted: str, as_json: bool) -> None:
    if wanted and not _is_about(line, wanted):
        return
    if as_json:
        output.write_json("aap.logs.line/1", **_members(line))
        return
    output.write(_human(line))


def _is_about(line: Line, message_id: str) -> bool:
    return any(message_id in value for value in (*line.fields.values(), line.text))


def _members(line: Line) -> dict[str, Any]:
    return {
        "time": line.time,
        "level": line.level,
        "source": line.source,
        "event": line.event,
        "fields": line.fields,
        "text": line.text,
    }


def _human(line: Line) -> str:
    fields = " ".join(f"{key}={_quoted(value)}" for key, value in line.fields.items())
    text = output.harmless(line.text)
    if line.event == "output":
        said = text
    else:
        said = " ".join(part for part in (line.event, fields, text) if part)
    return f"{output.paint(_clock(line.time), 'dim')} {line.source:<6} " + output.paint(
        said, _COLOURS.get(line.level, "")
    )


def _quoted(value: str) -> str:
    text = output.one_line(value)
    return f'"{text}"' if " " in text or not text else text


def _clock(moment: str) -> str:
    """Return a UTC timestamp as local time, as journalctl shows it; as it is, if it is none."""
    try:
        return time.strftime("%b %d %H:%M:%S", time.localtime(when.parse(moment)))
    except UsageError:
        return moment
