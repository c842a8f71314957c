"""What the worker and the sweep do alike, with the lock held, and what the log says of it."""

from __future__ import annotations

from pathlib import Path

from aap.inbox import Spool
from aap.log import DailyLog


def recover(spool: Spool, log: DailyLog) -> None:
    """Bring back what a dead worker had claimed."""

    def tell(gone: Path) -> None:
        name = f"{gone.parent.name}/{gone.name}"
        log.event("notice", "worker", "twin-removed", name=name)

    for entry in spool.recover(tell):
        log.event("notice", "worker", "recovered", id=entry.id)
