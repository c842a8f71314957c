"""What goes on in one workspace, read from its spool alone: no service manager is asked.

Of messages only names are read, so this is as quick for a hundred thousand as for one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from aap import files, identity
from aap.inbox import Pause, Spool, read_pause
from aap.log import Line, parse_line
from aap.message import State, id_time

OUTAGE = "OUTAGE"  # the file of a spool by which the worker tells
_TAIL = 1 << 20  # bytes of a day's log in which the last run is looked for


class Outage(NamedTuple):
    """Why no message is given to the agent for now; times are seconds since the epoch."""

    reason: str
    since: float
    retry_at: float


class Run(NamedTuple):
    """What the agent is at."""

    agent: str
    pid: int
    started: float  # seconds since the epoch
    conversation: str  # "" for a run that opens a session, or where the message names none
    ids: tuple[str, ...]


class LastRun(NamedTuple):
    """How the last run ended, as the log has it."""

    ended: float  # seconds since the epoch
    outcome: str  # ok, failed, outage, lost, stopped
    reason: str
    seconds: float


class Queue(NamedTuple):
    """What is in one spool."""

    counts: dict[str, int]
    oldest: str  # id of the message that waits longest in inbox/, or ""
    oldest_at: float  # when it came; seconds since the epoch
    next_retry: float | None  # when the first deferred message is due
    outage: Outage | None
    pause: Pause | None
    run: Run | None
    last_run: LastRun | None


def look_at_spool(root: Path) -> Queue:
    """Return what is in a spool, which need not exist. Raises OSError for one that is closed."""
    with identity.acting_for(root):
        return _look(Spool(root))


def _look(spool: Spool) -> Queue:
    root = spool.root
    first = spool.entries(State.INBOX, limit=1)
    named = first[0] if first and first[0].name else None
    return Queue(
        counts={state.value: spool.count(state) for state in State},
        oldest=first[0].id if first else "",
        oldest_at=id_time(named.id) if named else _arrival(first[0].path) if first else 0.0,
        next_retry=_next_retry(spool),
        outage=read_outage(root),
        pause=read_pause(root),
        run=read_run(spool),
        last_run=read_last_run(spool.logs),
    )


def _arrival(path: Path) -> float:
    with suppress(OSError):
        return path.lstat().st_mtime
    return time.time()


def _next_retry(spool: Spool) -> float | None:
    due = []
    for entry in spool.entries(State.DEFERRED):
        with suppress(OSError):
            due.append(spool.retry_at(entry) or 0.0)
    return min(due, default=None)


def read_outage(root: Path) -> Outage | None:
    """Return the agent's outage that the worker wrote down, if there is one."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        values = json.loads(files.read_plain(root / OUTAGE))
        return Outage(str(values["reason"]), float(values["since"]), float(values["retry_at"]))
    return None


def read_run(spool: Spool) -> Run | None:
    """Return the run that goes on; a killed worker's last word of one counts for nothing."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        facts = json.loads(files.read_plain(spool.root / "RUN"))
        if spool.lock_holder():
            return Run(
                str(facts["agent"]),
                int(facts["pid"]),
                float(facts["started"]),
                str(facts.get("conversation", "")),
                tuple(map(str, facts.get("ids", ()))),
            )
    return None


def read_last_run(logs: Path) -> LastRun | None:
    """Return how the last run ended; None if the last two days' logs tell of none."""
    with suppress(OSError):
        for name in sorted(os.listdir(logs), reverse=True)[:2]:
            for line in _backwards(logs / name):
                if found := _as_last_run(line):
                    return found
    return None


def _backwards(path: Path) -> Iterator[Line]:
    """Give the events of a day's log, the newest first."""
    with os.fdopen(files.open_plain(path), "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        raw = file.read()
    for each in reversed(raw.splitlines()):
        if b" worker run-ended " in each:
            line = parse_line(each.decode("utf-8", "replace"))
            if line:
                yield line


def _as_last_run(line: Line) -> LastRun | None:
    # What an agent printed may look like one.
    if (line.source, line.event) != ("worker", "run-ended"):
        return None
    with suppress(ValueError, LookupError):
        ended = datetime.fromisoformat(line.time.replace("Z", "+00:00")).timestamp()
        seconds = float(line.fields.get("seconds", "0"))
        return LastRun(ended, line.fields["outcome"], line.fields.get("reason", ""), seconds)
    return None
