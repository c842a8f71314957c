"""What happens on the way of a message, as four witnesses tell it, in order of time.

The client says what it sent and got, the journal what systemd and the API do,
the workspace's log what worker and agent do, and the folders of the spool where
each message is.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from harness.machine import User

from aap import log
from aap.message import State

# So long is an event held back, because the witnesses do not all speak at once:
# journald announces new entries four times a second.
PATIENCE = 0.6
STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"  # SD_MESSAGE_UNIT_STARTING
STARTED = "39f53479d3a045ac8e11786248231fbf"  # SD_MESSAGE_UNIT_STARTED

REASONS = {
    "socket": "a connection came in",
    "path": "the inbox is not empty",
    "timer": "it is time",
}


class Event(NamedTuple):
    """Somebody said something at a time."""

    when: float
    who: str
    what: str


class Tail:
    """The whole lines that came to a file or a pipe since one looked last."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._rest = b""

    def lines(self) -> Iterator[str]:
        with suppress(BlockingIOError):
            while data := os.read(self._fd, 1 << 16):
                self._rest += data
        *whole, self._rest = self._rest.split(b"\n")
        for line in whole:
            yield line.decode("utf-8", "replace")


class Watch(AbstractContextManager["Watch"]):
    """Tells the events of one message, in seconds from the first of them."""

    def __init__(self, user: User, spool: Path) -> None:
        self._user = user
        self._spool = spool
        self._begin = time.time()
        self._zero = 0.0
        self._events: list[Event] = []
        self._held: list[tuple[float, int, Event]] = []
        self._count = itertools.count()  # keeps the order of those with the same time
        self._places: dict[str, str] = {}
        self._client: Tail | None = None
        self._triggers = _triggers(user)
        since = f"--since=@{self._begin:.6f}"
        self._journal = user.machine.start(
            ["journalctl", "--follow", "--lines=all", "--output=json", f"_UID={user.uid}", since],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._journal_tail = Tail(self._journal.stdout.fileno())
        self._log_tail: Tail | None = None
        self._find_moves()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.tell_until(lambda: False, PATIENCE)
        self._tell(before=time.time())
        # On a machine of its own the signal reaches nsenter(1) only; the end of the pipe does more.
        self._journal.kill()
        self._journal.stdout.close()
        self._journal.wait()

    def follow(self, client: subprocess.Popen[str]) -> None:
        """Listen to a client too."""
        self._client = Tail(client.stdout.fileno())

    def tell_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Print events as they come until `done`; False if time is up before."""
        deadline = time.time() + seconds
        while not (finished := done()) and time.time() < deadline:
            self._look()
            self._tell(before=time.time() - PATIENCE)
            time.sleep(0.003)
        self._look()
        return finished

    def heard(self, who: str, word: str) -> list[Event]:
        """Return the events so far in which `who` says something with `word` in it."""
        return [event for event in self._events if event.who == who and word in event.what]

    def _look(self) -> None:
        for find in (self._hear_client, self._hear_journal, self._read_log, self._find_moves):
            for event in find():
                self._events.append(event)
                heapq.heappush(self._held, (event.when, next(self._count), event))

    def _tell(self, before: float) -> None:
        while self._held and self._held[0][0] <= before:
            event = heapq.heappop(self._held)[-1]
            self._zero = self._zero or event.when
            print(f"  {event.when - self._zero:6.3f}  {event.who:8}{event.what}", flush=True)

    # The witnesses

    def _hear_client(self) -> Iterator[Event]:
        for line in self._client.lines() if self._client else ():
            when, _, what = line.partition(" ")
            yield Event(float(when), "client", what)

    def _hear_journal(self) -> Iterator[Event]:
        for line in self._journal_tail.lines():
            entry = json.loads(line)
            when = int(entry["__REALTIME_TIMESTAMP"]) / 1_000_000
            if entry.get("_SYSTEMD_USER_UNIT") == "aap-api.service":
                yield Event(when, "API", entry["MESSAGE"])
            elif entry.get("USER_UNIT", "").startswith("aap") and (what := self._job(entry)):
                yield Event(when, "systemd", what)

    def _job(self, entry: dict[str, str]) -> str:
        unit, kind = entry["USER_UNIT"], entry.get("MESSAGE_ID")
        if kind == STARTED:
            return f"{_short(unit)} runs"
        if kind == STARTING:
            trigger = self._triggers[unit]
            reason = REASONS[trigger.rpartition(".")[2]]
            return f"{_short(trigger)}: {reason}; starts {_short(unit)}"
        return entry["MESSAGE"]

    def _read_log(self) -> Iterator[Event]:
        if self._log_tail is None:
            today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
            with suppress(FileNotFoundError):
                file = os.open(self._spool / "logs" / f"{today}.log", os.O_RDONLY)
                self._log_tail = Tail(file)
        for raw in self._log_tail.lines() if self._log_tail else ():
            line = log.parse_line(raw)
            if line is None:
                continue
            when = datetime.fromisoformat(line.time.replace("Z", "+00:00")).timestamp()
            if when >= self._begin - 0.001:  # the log is cut to milliseconds
                said = " ".join(f"{key}={value}" for key, value in line.fields.items())
                yield Event(when, line.source, line.text or f"{line.event} {said}".rstrip())

    def _find_moves(self) -> Iterator[Event]:
        for state in State:
            for name, when in _names(self._spool / state.value):
                if self._places.get(name) != state.value:
                    self._places[name] = state.value
                    if when >= self._begin:
                        yield Event(when, "spool", f"{state.value}/{name}")


def _triggers(user: User) -> dict[str, str]:
    """Which unit starts which: service by socket, path or timer."""
    kinds = [f"aap*.{kind}" for kind in REASONS]
    pairs = user.systemctl("show", "--property=Id", "--property=Triggers", *kinds).split("\n\n")
    found = {}
    for pair in pairs:
        facts = dict(line.split("=", 1) for line in pair.splitlines())
        found |= dict.fromkeys(shlex.split(facts["Triggers"]), facts["Id"])
    return found


def _short(unit: str) -> str:
    name, at, instance = unit.partition("@")
    return f"{name}@….{instance.rpartition('.')[2]}" if at else unit


def _names(folder: Path) -> list[tuple[str, float]]:
    """Names and, because rename(2) sets the time of change, when each came here."""
    found = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                with suppress(FileNotFoundError):
                    found.append((entry.name, entry.stat(follow_symlinks=False).st_ctime))
    return found
