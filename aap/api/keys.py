"""The API's keys, as they are now: a key that was taken away soon stops counting."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from aap.config.keys import KeyRing
from aap.errors import ConfigError

_BELIEVED = 0.5  # seconds between two looks at the file


class LiveKeys:
    """A key ring that is read again when its file has changed.

    Never opens what was closed: once there was a key, one is asked for until the API
    starts again, and a file that cannot be read leaves the keys that were known.
    """

    def __init__(self, file: Path, plain: str = "") -> None:
        self._file = file
        self._plain = plain
        self._looked = 0.0
        self._seen = self._look()
        self._ring = KeyRing.load(file, plain)
        self._required = len(self._ring) > 0

    def __len__(self) -> int:
        self._refresh()
        return max(len(self._ring), int(self._required))

    def check(self, candidate: str | bytes) -> str | None:
        """Return the name of the key that `candidate` is, or None."""
        return self._ring.check(candidate)

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < _BELIEVED:
            return
        self._looked = now
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        with suppress(ConfigError):
            self._ring = KeyRing.load(self._file, self._plain)
            self._required = self._required or len(self._ring) > 0

    def _look(self) -> tuple[int, int, int] | None:
        try:
            facts = self._file.stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_size, facts.st_mtime_ns
