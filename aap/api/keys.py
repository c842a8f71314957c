"""The API's keys, as they are now: a key that was taken away soon stops counting."""

from __future__ import annotations

import time
from pathlib import Path

from aap.config.keys import KeyRing, Scope
from aap.errors import ConfigError

_BELIEVED = 0.5  # seconds between two looks at the file


class LiveKeys:
    """A key ring that is read again when its file has changed.

    Never opens what was closed: once there was a key, one is asked for until the API
    starts again, and once there was one that is a secret, the sample that everyone knows
    is none. A file that cannot be read leaves the keys that were known; where there
    were none it closes, since somebody meant to have one.
    """

    def __init__(self, file: Path, plain: str = "") -> None:
        self._file = file
        self._plain = plain
        self._looked = 0.0
        self._seen = self._look()
        self._ring = KeyRing.load(file, plain)
        self._required = self._ring.is_required
        self._had_secret = not self._ring.lack

    def __len__(self) -> int:
        self._refresh()
        return max(len(self._ring), int(self._required))

    @property
    def lack(self) -> str:
        """What is missing before other machines may be let in; nothing if nobody gets in."""
        return self._ring.lack if self._ring or not self._required else ""

    def check(self, candidate: str | bytes) -> str | None:
        """Return the name of the key that `candidate` is, or None."""
        return self._ring.check(candidate)

    def allows(self, name: str, scope: Scope) -> bool:
        """Tell whether the key of that name has `scope`."""
        return self._ring.allows(name, scope)

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < _BELIEVED:
            return
        self._looked = now
        seen = self._look()
        if seen == self._seen:
            return
        try:
            has_sample = not self._had_secret
            self._ring = KeyRing.load(self._file, self._plain, with_sample=has_sample)
        except ConfigError:  # to be read again at the next look: descriptors may have run out
            self._required = True
            return
        self._seen = seen
        self._required = self._required or self._ring.is_required
        self._had_secret = self._had_secret or not self._ring.lack

    def _look(self) -> tuple[int, ...] | None:
        try:
            facts = self._file.stat()
        except OSError:
            return None
        # The change time covers permissions and a hand that sets the modification time back.
        return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
