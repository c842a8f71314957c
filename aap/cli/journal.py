"""The API's lines in systemd's journal, through journalctl(1)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from aap.cli import output
from aap.log import LEVELS, Line, parse_line
from aap.mode import USER, find_mode

UNIT = "aap-api.service"
_JSON = "--output=json"  # of which journalctl grows quiet, whatever follows
_LEVEL_NAMES = {str(number): name for name, number in LEVELS.items()}


def unit_option() -> str:
    """How journalctl is told of the API's unit: the user's own, or the machine's."""
    return f"--user-unit={UNIT}" if find_mode() == USER else f"--unit={UNIT}"


class Journal:
    """Reads what aap-api.service logged since a moment, then what comes.

    `--user-unit` without `--user`: the latter reads only the user's own journal
    file, which does not exist where the journal is volatile (systemd 252).
    `problem` says, after `history`, why nothing could be read.
    """

    def __init__(self, since: float) -> None:
        self.problem = ""
        self._since = f"--since=@{since:.6f}"
        self._cursor = ""

    def history(self, *matches: str) -> Iterator[Line]:
        """Give the lines so far, oldest first; only those with these fields (`KEY=VALUE`)."""
        process = self._start(_JSON, self._since, *matches)
        if process is None:
            return
        is_empty = True
        with process:
            for raw in process.stdout or ():
                if line := self.read(raw):
                    is_empty = False
                    yield line
            said = (process.stderr.read() if process.stderr else b"").decode("utf-8", "replace")
        # It also hints at other users' journals, which are none of ours; that is no problem.
        if process.returncode or "No journal files" in said:
            self.problem = output.one_line(said) or f"journalctl ended with {process.returncode}"
        elif is_empty:
            self.problem = self._why_empty()

    def _why_empty(self) -> str:
        """Ask for words: as JSON journalctl does not say that there is no journal at all."""
        process = self._start("--lines=1")
        if process is None:
            return self.problem
        said = process.communicate()[1].decode("utf-8", "replace")
        return output.one_line(said) if "No journal files" in said else ""

    def follow(self) -> subprocess.Popen[bytes] | None:
        """Start to follow from where `history` ended; None where there is no journalctl."""
        after = f"--after-cursor={self._cursor}" if self._cursor else self._since
        return self._start(_JSON, "--follow", "--lines=all", after)

    def read(self, raw: bytes) -> Line | None:
        """Read one line of `journalctl -o json`."""
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(raw)
            self._cursor = entry["__CURSOR"]
            return _line(entry)
        return None

    def _start(self, *options: str) -> subprocess.Popen[bytes] | None:
        command = ["journalctl", unit_option(), "--no-pager", *options]
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},
            )
        except OSError as error:
            self.problem = f"journalctl: {error.strerror}"
            return None


def _line(entry: Mapping[str, Any]) -> Line:
    moment = output.iso(int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000)
    level = _LEVEL_NAMES.get(_text(entry.get("PRIORITY")), "error")
    text = _text(entry.get("MESSAGE"))
    if "AAP_EVENT" in entry:  # the API's own: a line of `aap.log` without its first three words
        line = parse_line(f"{moment} {level} api {text}")
        if line:
            return line
    unit = "_SYSTEMD_USER_UNIT" if find_mode() == USER else "_SYSTEMD_UNIT"
    source = "api" if entry.get(unit) == UNIT else "systemd"
    return Line(moment, level, source, "output", {}, text)


def _text(value: Any) -> str:
    """The journal gives bytes that are no UTF-8 as a list of numbers, and too long ones as null."""
    if isinstance(value, list):
        return bytes(b for b in value if isinstance(b, int)).decode("utf-8", "replace")
    return "" if value is None else str(value)
