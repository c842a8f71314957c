"""The worker's command line, its signals and its exit code.

What only a run needs is imported after the first line is out: half of the start is
imports, and the lock, the recovery and the sweep can do without most of them.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from aap import SPOOL_FOLDER
from aap.errors import AapError, Exit, TryAgainError, UsageError
from aap.inbox import Spool
from aap.log import DailyLog
from aap.message import State

# The sweep holds the lock for moments; another worker for as long as its agent runs.
_LOCK_PATIENCE = 5.0

USAGE = "usage: python -m aap.worker --workspace PATH [--sweep]"


def main(argv: list[str]) -> int:
    """Work until nothing is ready; return 0 only then, or when told to stop.

    The path unit starts the service again at once while inbox/ is not empty, so
    an exit of 0 with work left would spin, and systemd would give the unit up.
    """
    try:
        workspace, sweep = _read_arguments(argv)
        spool = Spool(workspace / SPOOL_FOLDER)
        spool.create()
        log = DailyLog(spool.logs)
        return _sweep(spool, log) if sweep else _work(spool, log)
    except AapError as error:
        _complain(f"{error} ({error.hint})" if error.hint else str(error))
        return error.code
    except OSError as error:
        _complain(str(error))
        return Exit.TRY_AGAIN


def _complain(text: str) -> None:
    for line in text.splitlines():
        os.write(1, f"<3>{line}\n".encode("utf-8", "replace"))


def _read_arguments(argv: list[str]) -> tuple[Path, bool]:
    words = [word for word in argv if word != "--sweep"]
    if len(words) != 2 or words[0] != "--workspace":
        raise UsageError(USAGE)
    return Path(words[1]), "--sweep" in argv


def _sweep(spool: Spool, log: DailyLog) -> int:
    """Bring back what is due, and what a dead worker left when nothing wakes the next one."""
    for entry in spool.admit(time.time()):
        log.event("info", "worker", "readmitted", id=entry.id, attempts=entry.attempts)
    with suppress(TryAgainError), spool.lock():
        for entry in spool.recover():
            log.event("notice", "worker", "recovered", id=entry.id)
    return Exit.OK


def _work(spool: Spool, log: DailyLog) -> int:
    log.event("info", "worker", "started", workspace=spool.root.parent)

    import signal

    from aap.worker.stop import Stop
    from aap.worker.worker import Worker

    with Stop(signal.SIGTERM, signal.SIGINT) as stop:
        with spool.lock(_LOCK_PATIENCE):
            Worker(spool, log, stop).drain()
            left = spool.count(State.INBOX)
        log.event("info", "worker", "ended", waiting=left or None)
    # Told to stop, 0 is right with work left too: systemd does not start us again.
    return Exit.TRY_AGAIN if left and not stop.asked else Exit.OK
