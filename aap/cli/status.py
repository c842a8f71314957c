"""`aap status`: one screen that says whether a message would be taken and handled."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aap import SPOOL_FOLDER
from aap.cli import output
from aap.cli.place import Place
from aap.errors import Exit
from aap.inbox import Pause, Spool, read_pause
from aap.message import State, id_time

if TYPE_CHECKING:
    from aap.systemd.manager import Unit
    from aap.systemd.status import Status, WorkspaceUnits


@dataclass(frozen=True)
class Outage:
    """Why no message is given to the agent for now; times are seconds since the epoch."""

    reason: str
    since: float
    retry_at: float


@dataclass(frozen=True)
class Queue:
    """What is in one spool."""

    counts: dict[str, int]
    oldest: str  # id of the message that waits longest in inbox/, or ""
    oldest_at: float  # when it came; seconds since the epoch
    next_retry: float | None  # when the first deferred message is due
    outage: Outage | None
    pause: Pause | None


def status(place: Place, *, as_json: bool = False) -> int:
    """Show socket, API, and for each workspace its watch, worker and messages.

    Returns Exit.NOT_RUNNING where aap is not installed or not armed. The JSON is
    one document, schema `aap.status/1`. Raises NotRunningError where systemd
    cannot be asked.
    """
    from aap import config
    from aap.systemd.manager import Manager
    from aap.systemd.status import look

    found = look(Manager(), config.workspaces(place.settings))
    queues = [look_at_spool(each.path / SPOOL_FOLDER) for each in found.workspaces]
    if as_json:
        output.write_json("aap.status/1", **_members(found, queues))
    else:
        _print(found, queues)
    return Exit.OK if found.is_armed else Exit.NOT_RUNNING


def look_at_spool(root: Path) -> Queue:
    """Return what is in a spool, which need not exist; of messages only names are read."""
    spool = Spool(root)
    first = spool.entries(State.INBOX, limit=1)
    named = first[0] if first and first[0].name else None
    return Queue(
        counts={state.value: spool.count(state) for state in State},
        oldest=first[0].id if first else "",
        oldest_at=id_time(named.id) if named else _arrival(first[0].path) if first else 0.0,
        next_retry=_next_retry(spool),
        outage=read_outage(root),
        pause=read_pause(root),
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
        values = json.loads((root / "OUTAGE").read_text("utf-8"))
        return Outage(str(values["reason"]), float(values["since"]), float(values["retry_at"]))
    return None


# Shown to people


def _print(found: Status, queues: list[Queue]) -> None:
    if found.record is None:
        output.write("aap is not installed for this user")
        output.note("  aap install --user")
        return
    output.fields([("socket", _socket(found)), ("API", _api(found.api))])
    for each, queue in zip(found.workspaces, queues, strict=True):
        output.write("")
        output.fields([("workspace", f"{each.name}, {each.path}"), *_rows(each, queue)])
    if not found.is_armed:
        output.note("not all is armed; what is wrong, and what mends it: aap doctor")


def _socket(found: Status) -> str:
    if found.socket.active != "active":
        return output.paint(_trouble(found.socket, "not listening"), "red")
    extra = "" if found.socket.is_armed else ", but not after a reboot"
    return "listening on " + " and ".join(found.socket.listen) + extra


def _api(api: Unit) -> str:
    from aap.systemd.status import state_of

    state = state_of(api)
    if state == "idle":
        return "idle, as it should be between requests"
    if state == "running":
        return f"running (pid {api.pid})"
    return output.paint(_trouble(api, state), "red" if state == "failed" else "yellow")


def _rows(each: WorkspaceUnits, queue: Queue) -> list[tuple[str, str]]:
    rows = [
        ("inbox", _paused(queue.pause) if queue.pause else _watch(each)),
        ("worker", _worker(each.worker)),
        ("messages", _counts(queue)),
    ]
    now = time.time()
    if queue.outage:
        reason = output.one_line(queue.outage.reason)
        wait = output.age(queue.outage.retry_at - now)
        rows.append(("agent", output.paint(f"out of order: {reason}; next try in {wait}", "red")))
    if queue.next_retry is not None:
        rows.append(("next retry", _when(queue.next_retry - now)))
    return rows


def _when(seconds: float) -> str:
    return f"in {output.age(seconds)}" if seconds > 0 else "due now"


def _paused(pause: Pause) -> str:
    since = output.age(time.time() - pause.since)
    why = f": {output.one_line(pause.reason)}" if pause.reason else ""
    return output.paint(f"paused for {since}{why}", "yellow") + "; aap resume"


def _watch(each: WorkspaceUnits) -> str:
    if each.watch.active != "active":
        return output.paint(_trouble(each.watch, "not watched"), "red")
    timer = "" if each.timer.is_armed else "; retries are not timed"
    return ("watched" if each.watch.is_armed else "watched, but not after a reboot") + timer


def _worker(worker: Unit) -> str:
    from aap.systemd.status import state_of

    state = state_of(worker)
    if state == "running":
        since = time.clock_gettime(time.CLOCK_MONOTONIC) - worker.active_since
        return output.paint(f"running for {output.age(since)} (pid {worker.pid})", "green")
    if state == "idle":
        return "idle, as it should be while nothing waits"
    return output.paint(_trouble(worker, state), "red" if state == "failed" else "yellow")


def _trouble(unit: Unit, state: str) -> str:
    if unit.load not in ("loaded", "not-found"):
        return f"{state} ({unit.load})"
    return state if unit.result in ("", "success") else f"{state} ({unit.result})"


def _counts(queue: Queue) -> str:
    words = {"inbox": "waiting", "active": "at work", "hold": "on hold"}
    said = [f"{n} {words.get(state, state)}" for state, n in queue.counts.items() if n]
    text = ", ".join(said) or "none"
    if queue.oldest:
        text += f"; the oldest waits for {output.age(time.time() - queue.oldest_at)}"
    return text


# Shown to programs


def _members(found: Status, queues: list[Queue]) -> dict[str, Any]:
    from aap.systemd.status import state_of

    known = found.record
    return {
        "installed": known is not None,
        "armed": found.is_armed,
        "version": known.aap if known else None,
        "sandbox": ("full" if known.plan.mounts else "seccomp") if known else None,
        "socket": {
            "listening": found.socket.active == "active",
            "armed": found.socket.is_armed,
            "result": found.socket.result,
            "listen": found.socket.listen,
        },
        "api": {"state": state_of(found.api), "pid": found.api.pid or None},
        "workspaces": [
            _workspace_members(each, queue)
            for each, queue in zip(found.workspaces, queues, strict=True)
        ],
    }


def _workspace_members(each: WorkspaceUnits, queue: Queue) -> dict[str, Any]:
    from aap.systemd.status import state_of

    outage = queue.outage
    return {
        "name": each.name,
        "path": each.path,
        "watched": each.watch.active == "active",
        "armed": each.is_armed,
        "retries_timed": each.timer.is_armed,
        "worker": {"state": state_of(each.worker), "pid": each.worker.pid or None},
        "messages": queue.counts,
        "oldest": {"id": queue.oldest, "arrived": _iso(queue.oldest_at)} if queue.oldest else None,
        "next_retry": _iso(queue.next_retry),
        "paused": queue.pause
        and {"since": _iso(queue.pause.since), "reason": queue.pause.reason or None},
        "outage": outage
        and {
            "reason": outage.reason,
            "since": _iso(outage.since),
            "retry_at": _iso(outage.retry_at),
        },
    }


def _iso(moment: float | None) -> str | None:
    return None if moment is None else output.iso(moment)
