"""The processes that descend from this one, however far they ran.

Agents start tools in sessions and process groups of their own, and daemons
leave their parent. With PR_SET_CHILD_SUBREAPER all of them stay our
descendants: an orphan's new parent is this process, not init. (The cgroup says
the same where systemd runs the worker, but not elsewhere, and its files are
read-only under ProtectControlGroups=.)
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_GIVE_UP_AFTER = 10.0


def adopt_orphans() -> None:
    """Become the parent of every orphan among our descendants."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def descendants() -> list[int]:
    """List the living descendants of this process; zombies are none."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                parents[int(name)] = _parent(int(name))
    family: set[int] = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        if not more:
            return sorted(family - {os.getpid()})
        family |= more


def _parent(pid: int) -> int:
    """The parent's pid from /proc/PID/stat, proc(5); 0 for a zombie."""
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The name, in brackets, may hold any character: read from the last bracket.
        state, parent = os.read(fd, 4096).rpartition(b")")[2].split()[:2]
    finally:
        os.close(fd)
    return 0 if state in (b"Z", b"X") else int(parent)


def reap() -> dict[int, int]:
    """Collect the children that ended: pid to exit code, -N for signal N."""
    codes = {}
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            codes[pid] = os.waitstatus_to_exitcode(status)
    return codes


def end_all(grace: float) -> dict[int, int]:
    """End every descendant: SIGTERM, `grace` seconds, then SIGKILL until none is left.

    Returns what `reap` does. Gives up on what even SIGKILL does not end (a process
    that waits for a dead disk): systemd kills the cgroup when the worker ends.
    """
    codes = reap()
    _signal_all(signal.SIGTERM)
    start = time.monotonic()
    while descendants() and time.monotonic() < start + grace + _GIVE_UP_AFTER:
        if time.monotonic() >= start + grace:
            _signal_all(signal.SIGKILL)
        time.sleep(0.01)
        codes |= reap()
    return codes | reap()


def _signal_all(number: signal.Signals) -> None:
    for pid in descendants():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
