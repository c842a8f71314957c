"""The agent's outage: how long it has lasted, and when it is tried again."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from aap import files

FILE = "OUTAGE"
FIRST_DELAY = 10.0
LONGEST_DELAY = 300.0


class Outage:
    """The OUTAGE file of a spool: there while the agent is out of order.

    It holds `{"since", "retry_at"}` (epoch seconds) and `"reason"`, for `aap status`.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / FILE
        self._since = 0.0
        self._delay = 0.0

    @property
    def is_known(self) -> bool:
        """True while it lasts, also for the next worker."""
        return self._path.exists()

    def begin_or_go_on(self, reason: str, now: float) -> float:
        """Remember a failed try; return the seconds until the next one."""
        self._since = self._since or now
        self._delay = min(LONGEST_DELAY, self._delay * 2) if self._delay else FIRST_DELAY
        facts = {"since": self._since, "retry_at": now + self._delay, "reason": reason}
        with suppress(OSError):
            files.write_atomic(self._path, json.dumps(facts).encode())
        return self._delay

    def end(self) -> bool:
        """The agent works again; True if it did not before."""
        self._since = self._delay = 0.0
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True
