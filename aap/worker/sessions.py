"""The agent's sessions: which one the next run resumes, and when a new one is due.

aap owns them by id. "The last one in this folder", which the CLIs offer too, may
be a person's own.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aap import files
from aap.agents import Usage
from aap.inbox import SESSIONS
from aap.message import Conversation, fingerprint

_FAILURES = 2  # failed runs in a row after which the session itself is suspected


class Session(NamedTuple):
    """One session: the commands it belongs to, its id ("" if they need none), its history.

    `conversation` says whose it is, where it is not the whole workspace's.

    `started` is in epoch seconds. `counted` is the usage reported so far by a CLI that
    counts from the session's start: input, cached, output tokens; `spent` is its cost
    so far, which every CLI that tells it counts so.
    """

    key: str
    id: str
    started: float
    conversation: str = ""
    runs: int = 0
    failures: int = 0
    counted: tuple[int, int, int] = (0, 0, 0)
    spent: float = 0.0

    def is_over(self, key: str, max_age: float, max_runs: int, now: float) -> bool:
        """Tell whether the next run needs a new session."""
        spent = self.runs >= max_runs or self.failures >= _FAILURES
        return self.key != key or spent or now - self.started > max_age

    def share(self, usage: Usage) -> Usage:
        """What the last run used, of counts that may be the whole session's."""
        before = self.counted if usage.cumulative else (0, 0, 0)
        return Usage(
            max(0, usage.input - before[0]),
            max(0, usage.cached - before[1]),
            max(0, usage.output - before[2]),
            None if usage.cost is None else round(max(0.0, usage.cost - self.spent), 6),
        )

    def after(self, *, well: bool, usage: Usage | None) -> Session:
        """Count one more run."""
        counted = usage[:3] if usage and usage.cumulative else self.counted
        spent = self.spent if usage is None or usage.cost is None else usage.cost
        failures = 0 if well else self.failures + 1
        return self._replace(runs=self.runs + 1, failures=failures, counted=counted, spent=spent)


class Slot:
    """The place of one session: of the workspace, or of one conversation."""

    def __init__(self, root: Path, conversation: Conversation | None) -> None:
        self.conversation = str(conversation or "")
        name = "workspace" if conversation is None else fingerprint(str(conversation).encode())
        self._path = root / SESSIONS / f"{name}.json"

    def read(self) -> Session | None:
        """Return the session; None if there is none that can be read."""
        try:
            facts = json.loads(files.read_plain(self._path))
            # Other members are a newer aap's.
            known = {field: facts[field] for field in Session._fields if field in facts}
            return Session(**{**known, "counted": tuple(facts.get("counted", (0, 0, 0)))})
        except (OSError, ValueError, TypeError):
            return None

    def write(self, session: Session) -> None:
        """Remember the session, if that can be written.

        On a full disk the next run opens a new one: better than to stop here, where
        the messages of this run are still to be settled.
        """
        with suppress(OSError):
            files.make_folder(self._path.parent)
            files.write_atomic(self._path, json.dumps(session._asdict()).encode())

    def forget(self) -> None:
        """Have the next run start a new session."""
        with suppress(FileNotFoundError):
            self._path.unlink()


def new_id() -> str:
    """Return a random UUID (version 4), as the CLIs want a session's id."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
