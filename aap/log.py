"""One line of a log: written by the worker, read by `aap logs`.

    2026-11-23T21:10:26.123Z info worker claimed id=1jb3… conversation=telegram/default/42
    2026-11-23T21:10:27.456Z info agent | what the agent printed

Values are bare words or JSON strings, so a line never breaks and greps well.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aap import files

LEVELS = {"error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}  # as syslog(3) has them
TEXT_MARK = "|"

_DAY = re.compile(r"[0-9]+-[0-9][0-9]-[0-9][0-9]\.log", re.ASCII)


class Line(NamedTuple):
    """A log line, read back. `fields` are texts; `text` is what the agent printed, if it did."""

    time: str
    level: str
    source: str
    event: str
    fields: dict[str, str]
    text: str = ""


def _timestamp(now: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    return f"{whole}.{int(now * 1000) % 1000:03d}Z"


def _value(value: object) -> str:
    text = str(value)
    plain = text.isascii() and text.isprintable() and text and not set(text) & set(' "=\\')
    if plain:
        return text
    import json

    return json.dumps(text)


def format_line(level: str, source: str, event: str, **fields: object) -> str:
    """Return one line without its newline; fields that are None are left out."""
    pairs = (f"{key}={_value(value)}" for key, value in fields.items() if value is not None)
    return " ".join((_timestamp(time.time()), level, source, event, *pairs))


def format_text(source: str, text: str) -> str:
    """Return the line for one line of text that `source` printed."""
    return f"{_timestamp(time.time())} info {source} {TEXT_MARK} {text}"


def parse_line(line: str) -> Line | None:
    """Read a line back; None for one that aap did not write."""
    head = line.split(" ", 4)
    if len(head) < 4 or head[1] not in LEVELS:
        return None
    moment, level, source, event = head[:4]
    rest = head[4] if len(head) > 4 else ""
    if event == TEXT_MARK:
        return Line(moment, level, source, "output", {}, rest)
    return Line(moment, level, source, event, _parse_fields(rest))


def _parse_fields(rest: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    while "=" in rest:
        key, _, rest = rest.partition("=")
        value, rest = _parse_value(rest)
        fields[key.strip()] = value
    return fields


def _parse_value(rest: str) -> tuple[str, str]:
    if rest.startswith('"'):
        import json

        with suppress(ValueError):
            value, end = json.JSONDecoder().raw_decode(rest)
            return str(value), rest[end:]
    value, _, rest = rest.partition(" ")
    return value, rest


class DailyLog:
    """Appends lines to `<folder>/YYYY-MM-DD.log` (UTC); with `echo`, prints them for the journal.

    Logging never stops the work: where the file cannot be written (full disk),
    the line still goes to the journal.
    """

    def __init__(self, folder: Path, *, echo: bool = True) -> None:
        self._folder = folder
        self._echo = echo
        self._day = ""
        self._fd = -1

    def event(self, level: str, source: str, event: str, **fields: object) -> None:
        """Log one step."""
        line = format_line(level, source, event, **fields)
        # systemd takes <N> at the start of a line for its priority, sd-daemon(3).
        if self._echo:
            self._print(f"<{LEVELS[level]}>{line.split(' ', 2)[2]}")
        self._append(line)

    def text(self, source: str, text: str) -> None:
        """Log one line that `source` printed; to the file alone."""
        self._append(format_text(source, text))

    def prune(self, max_age: float, max_bytes: int) -> None:
        """Delete the files of days that ended over `max_age` seconds ago, and the oldest of more.

        So many that `max_bytes` are left at most; the newest stays, whatever its size.
        """
        oldest = time.strftime("%Y-%m-%d.log", time.gmtime(time.time() - max_age))
        with suppress(OSError), files.real_folder(self._folder) as folder:
            size = 0
            days = sorted((n for n in os.listdir(folder) if _DAY.fullmatch(n)), reverse=True)
            for number, name in enumerate(days):
                with suppress(OSError):
                    size += os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
                    if name < oldest or (number and size > max_bytes):
                        os.unlink(name, dir_fd=folder)

    def _print(self, line: str) -> None:
        with suppress(OSError):
            os.write(1, line.encode("utf-8", "replace") + b"\n")

    def _append(self, line: str) -> None:
        with suppress(OSError):
            self._open(line[:10])
            files.write_all(self._fd, line.encode("utf-8", "replace") + b"\n")

    def _open(self, day: str) -> None:
        if day == self._day:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        # O_NONBLOCK: a FIFO in its place is an error (ENXIO), and waits for no reader.
        flags |= os.O_NONBLOCK
        with files.real_folder(self._folder) as folder:
            fd = os.open(f"{day}.log", flags, files.FILE_MODE, dir_fd=folder)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._day = fd, day
