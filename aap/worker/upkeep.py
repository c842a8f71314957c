"""What the worker and the sweep do alike, with the lock held, and what the log says of it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

from aap.inbox import Entry, Spool
from aap.log import DailyLog
from aap.message import State

# An immutable file, somebody else's folder, a mount point, a folder where it is to go.
_OF_ONE_FILE = frozenset((
    errno.EACCES, errno.EPERM, errno.EBUSY, errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY,
))  # fmt: skip
_MOVED_BETWEEN = (State.DEFERRED, State.INBOX, State.ACTIVE)


def recover(spool: Spool, log: DailyLog) -> None:
    """Bring back what a dead worker had claimed."""

    def tell(gone: Path) -> None:
        name = f"{gone.parent.name}/{gone.name}"
        log.event("notice", "worker", "twin-removed", name=name)

    for entry in spool.recover(tell):
        log.event("notice", "worker", "recovered", id=entry.id)


def readmit(
    spool: Spool, log: DailyLog, longest: float, leave: Callable[[Entry, OSError], object]
) -> None:
    """Bring back what is due; `longest` and `leave` are as `Spool.admit` has them."""
    for entry in spool.admit(time.time(), longest, leave):
        log.event("info", "worker", "readmitted", id=entry.id, attempts=entry.attempts)


def is_of_one_file(spool: Spool, error: OSError) -> bool:
    """Tell whether one file cannot be moved, and no fault of the disk or of a whole folder."""
    return error.errno in _OF_ONE_FILE and all(
        os.access(spool.folder(state), os.W_OK | os.X_OK) for state in _MOVED_BETWEEN
    )
