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
        self._is_written = False

    @property
    def is_known(self) -> bool:
        """True while it lasts, also for the next worker, and if it could not be written down."""
        with suppress(OSError):
            return self._since > 0 or self._path.exists()
        return False

    @property
    def is_lifted(self) -> bool:
        """True once somebody who saw the agent work took the file away: it is due at once."""
        with suppress(OSError):
            return self._is_written and not self._path.exists()
        return False

    def begin_or_go_on(self, reason: str, now: float) -> float:
        """Remember a failed try; return the seconds until the next one."""
        if self.is_lifted:
            self._delay = 0.0
        self._since = self._since or now
        self._delay = min(LONGEST_DELAY, self._delay * 2) if self._delay else FIRST_DELAY
        facts = {"since": self._since, "retry_at": now + self._delay, "reason": reason}
        self._is_written = False
        with suppress(OSError):
            files.write_atomic(self._path, json.dumps(facts).encode())
            self._is_written = True
        return self._delay

    def end(self) -> bool:
        """The agent works again; True if it did not before.

        A file that cannot be taken away must not keep the run from being settled; the
        next good run tries again.
        """
        was_known = self.is_known
        self._since = self._delay = 0.0
        self._is_written = False
        with suppress(OSError):
            self._path.unlink()
        return was_known
