"""The agent's session of a workspace: when it began, and when a new one is due."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from aap import files

FILE = "SESSION"


class Session(NamedTuple):
    """One session: the commands it belongs to, its start (epoch seconds), its runs so far."""

    key: str
    started: float
    runs: int = 0

    def is_over(self, key: str, max_age: float, max_runs: int, now: float) -> bool:
        """Tell whether the next run needs a new session."""
        return self.key != key or now - self.started > max_age or self.runs >= max_runs

    def next_run(self) -> Session:
        """Count one more run."""
        return self._replace(runs=self.runs + 1)


def read_session(root: Path) -> Session | None:
    """Return the session of the spool at `root`; None if there is none that can be read."""
    try:
        return Session(**json.loads((root / FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def write_session(root: Path, session: Session) -> None:
    """Remember the session."""
    files.write_atomic(root / FILE, json.dumps(session._asdict()).encode())
