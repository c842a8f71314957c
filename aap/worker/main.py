"""The worker's command line, its signals and its exit code."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import suppress

from aap import config
from aap.config import Settings
from aap.errors import AapError, Exit, TryAgainError, UsageError
from aap.inbox import Spool
from aap.log import DailyLog
from aap.message import State
from aap.worker.stop import Stop
from aap.worker.worker import Worker

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

        def load() -> Settings:
            return config.load(workspace=workspace).settings

        spool = Spool(config.spool_root(load()))
        spool.create()
        log = DailyLog(spool.logs)
        return _sweep(spool, log) if sweep else _work(spool, log, load)
    except AapError as error:
        print(f"<3>{error}{f' ({error.hint})' if error.hint else ''}", flush=True)  # noqa: T201
        return error.code
    except OSError as error:
        print(f"<3>{error}", flush=True)  # noqa: T201
        return Exit.TRY_AGAIN


def _read_arguments(argv: list[str]) -> tuple[str, bool]:
    words = [word for word in argv if word != "--sweep"]
    if len(words) != 2 or words[0] != "--workspace":
        raise UsageError(USAGE)
    return words[1], "--sweep" in argv


def _sweep(spool: Spool, log: DailyLog) -> int:
    """Bring back what is due, and what a dead worker left when nothing wakes the next one."""
    for entry in spool.admit(time.time()):
        log.event("info", "worker", "readmitted", id=entry.id, attempts=entry.attempts)
    with suppress(TryAgainError), spool.lock():
        for entry in spool.recover():
            log.event("notice", "worker", "recovered", id=entry.id)
    return Exit.OK


def _work(spool: Spool, log: DailyLog, load: Callable[[], Settings]) -> int:
    with Stop(signal.SIGTERM, signal.SIGINT) as stop:
        log.event("info", "worker", "started", workspace=spool.root.parent)
        with spool.lock(_LOCK_PATIENCE):
            Worker(spool, log, load, stop).drain()
            left = spool.count(State.INBOX)
        log.event("info", "worker", "ended", waiting=left or None)
    # Told to stop, 0 is right with work left too: systemd does not start us again.
    return Exit.TRY_AGAIN if left and not stop.asked else Exit.OK
