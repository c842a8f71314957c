"""`aap pause` and `aap resume`: the API goes on accepting, the agent gets nothing."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from aap.cli import output
from aap.cli.activity import read_run
from aap.cli.place import Place
from aap.errors import AapError, Exit, NotRunningError, TryAgainError
from aap.inbox import Pause, Spool, end_pause, read_pause, write_pause

if TYPE_CHECKING:
    from aap.systemd.manager import Unit

SCHEMA = "aap.pause/1"
_LEAVE_TIME = 15.0  # seconds that a worker needs to end, besides what its agent is given


def pause(
    place: Place, *, reason: str | None = None, now: bool = False, as_json: bool = False
) -> int:
    """Stop handing messages to the agent; with `now` stop what runs, else it finishes.

    Survives a reboot. Saying it again changes the reason alone.
    """
    place.check_served()
    spool = place.spool
    if not spool.root.parent.is_dir():
        raise place.no_workspace(spool.root.parent)
    spool.create()
    before = read_pause(spool.root)
    since = before.since if before else time.time()
    why = reason if reason is not None else before.reason if before else ""
    # First the file, which a worker obeys at once; then systemd is told, and then
    # the worker, that it may leave.
    paused = Pause(since, why, unwatched=False)
    installed = _is_installed()
    write_pause(spool.root, paused)
    trouble = _stop_watching(place) if installed else ""
    if trouble is None:
        write_pause(spool.root, paused._replace(unwatched=True))
    place.log.event("notice", "cli", "paused", reason=why or None)
    if now:
        _stop_worker(spool, place.settings.stop_grace + _LEAVE_TIME)
    _tell_paused(spool, paused, trouble or "", as_json=as_json)
    return Exit.OK


def resume(place: Place, *, as_json: bool = False) -> int:
    """Hand messages to the agent again, at once.

    Raises NotRunningError where systemd must watch again and cannot be told.
    """
    place.check_served()
    installed = _is_installed()
    was = end_pause(place.spool.root)
    if was:
        place.log.event("notice", "cli", "resumed")
    if installed:
        _watch_again(place)
    if as_json:
        output.write_json(SCHEMA, paused=False, since=None, reason=None, running=None)
    elif was:
        output.note("resumed")
    else:
        output.note("it was not paused")
    return Exit.OK


def _tell_paused(spool: Spool, paused: Pause, trouble: str, *, as_json: bool) -> None:
    run = read_run(spool)
    if as_json:
        reason, since = paused.reason or None, output.iso(paused.since)
        ids = run.ids if run else None
        output.write_json(SCHEMA, paused=True, since=since, reason=reason, running=ids)
        return
    output.note("paused: messages are accepted, and wait for aap resume")
    if run:
        output.note("the agent finishes what it is at; aap pause --now stops it")
    if trouble:
        output.note(f"systemd could not be told ({trouble}), so a worker stays there and waits")


# systemd


def _is_installed() -> bool:
    """Whether systemd may have to be told. Asked before anything is changed: it may fail."""
    from aap.mode import find_mode
    from aap.systemd import record

    return record.read(find_mode()) is not None


def _path_unit(place: Place) -> Unit | None:
    """Return the unit that watches the inbox; None if there is none.

    Raises NotRunningError where systemd cannot be asked.
    """
    from aap.systemd import units
    from aap.systemd.manager import Manager

    manager = Manager()
    manager.check_reachable()
    name = units.worker_path(place.spool.root.parent)
    unit = manager.show(name)[name]
    return unit if unit.load == "loaded" else None


def _stop_watching(place: Place) -> str | None:
    """Stop the path unit; None when it no longer watches, else why a worker must stay."""
    from aap.systemd.manager import Manager

    try:
        unit = _path_unit(place)
        if unit is None:
            return ""  # nobody would start the next worker: it waits for the end of the pause
        Manager().tell("stop", unit.name)
    except AapError as error:
        return str(error)
    return None


def _watch_again(place: Place) -> None:
    from aap.systemd.manager import Manager

    unit = _path_unit(place)
    if unit is None or unit.active == "active":
        return
    manager = Manager()
    manager.tell("start", unit.name)
    after = manager.show(unit.name)[unit.name]
    if after.active != "active":
        raise NotRunningError(f"{unit.name} does not start", hint="aap doctor --only worker.path")


def _stop_worker(spool: Spool, patience: float) -> None:
    """Have the worker end its run and leave; its messages wait in inbox/ again."""
    pid = spool.lock_holder()
    if pid == 0:
        return
    if pid < 0:
        raise TryAgainError("the worker cannot be told to stop: its process id is not known")
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            # The number may belong to another process by now, the handle cannot.
            if spool.lock_holder() == pid:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
        finally:
            os.close(handle)
    deadline = time.monotonic() + patience
    while spool.lock_holder() == pid:
        if time.monotonic() > deadline:
            raise TryAgainError(f"the worker (pid {pid}) does not end", hint=f"kill -9 {pid}")
        time.sleep(0.05)
