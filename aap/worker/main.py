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
from aap.errors import AapError, ConfigError, Exit, TryAgainError, UsageError, describe
from aap.inbox import Entry, Spool
from aap.log import DailyLog
from aap.message import State
from aap.worker.upkeep import is_of_one_file, readmit, recover

# The sweep holds the lock for moments; another worker for as long as its agent runs.
_LOCK_PATIENCE = 5.0
_NEWLY_DUE = 60.0  # seconds, of two sweeps

_MODES = ("--sweep", "--try")
USAGE = "usage: python -m aap.worker --workspace PATH [--sweep | --try]"


def main(argv: list[str]) -> int:
    """Work until nothing is ready; return 0 only then, or when told to stop.

    The path unit starts the service again at once while inbox/ is not empty, so
    an exit of 0 with work left would spin, and systemd would give the unit up.
    """
    try:
        workspace, mode = _read_arguments(argv)
        if mode == "--try":
            return _try_out(workspace)
        spool = Spool(workspace / SPOOL_FOLDER)
        gone = spool.create()
        log = DailyLog(spool.logs)
        for name in gone:
            log.event("warning", "worker", "link-removed", name=name)
        return _sweep(spool, log) if mode == "--sweep" else _work(spool, log)
    except AapError as error:
        _complain(f"{error} ({error.hint})" if error.hint else str(error))
        return error.code
    except OSError as error:
        _complain(describe(error))
        return Exit.TRY_AGAIN


def _complain(text: str) -> None:
    for line in text.splitlines():
        os.write(1, f"<3>{line}\n".encode("utf-8", "replace"))


def _read_arguments(argv: list[str]) -> tuple[Path, str]:
    modes = [word for word in argv[2:] if word in _MODES]
    if argv[:1] != ["--workspace"] or len(argv) != 2 + len(modes) or len(modes) > 1:
        raise UsageError(USAGE)
    return Path(argv[1]), modes[0] if modes else ""


def _try_out(workspace: Path) -> int:
    from aap import config
    from aap.worker.trial import print_trial

    print_trial(workspace, config.load(workspace=str(workspace)).settings)
    return Exit.OK


def _sweep(spool: Spool, log: DailyLog) -> int:
    """Bring back what is due, and what a dead worker left when nothing wakes the next one.

    A worker that lives does so itself. What cannot be moved is named when it falls due,
    and not by each sweep from then on.
    """

    def leave(entry: Entry, error: OSError) -> None:
        if not is_of_one_file(spool, error):
            raise error
        try:
            due = spool.retry_at(entry) or 0.0
        except FileNotFoundError:  # it was moved, which may not last
            raise error from None
        if abs(time.time() - due) < _NEWLY_DUE:
            reason = describe(error)
            log.event("error", "worker", "stuck", name=entry.path.name, reason=reason)

    with suppress(TryAgainError), spool.lock():
        recover(spool, log)
        readmit(spool, log, _longest_delay(spool.root.parent), leave)
    return Exit.OK


def _longest_delay(workspace: Path) -> float:
    from aap import config
    from aap.worker.retry import longest_delay

    try:
        return longest_delay(config.load(workspace=str(workspace)).settings)
    except ConfigError:  # the worker will complain
        return float("inf")


def _work(spool: Spool, log: DailyLog) -> int:
    log.event("info", "worker", "started", workspace=spool.root.parent)

    import signal

    from aap.worker.stop import Stop
    from aap.worker.worker import Worker

    with Stop(signal.SIGTERM, signal.SIGINT) as stop:
        with spool.lock(_LOCK_PATIENCE):
            leaves_work = Worker(spool, log, stop).drain()
            left = spool.count(State.INBOX)
        log.event("info", "worker", "ended", waiting=left or None)
    return Exit.TRY_AGAIN if left and not stop.asked and not leaves_work else Exit.OK
