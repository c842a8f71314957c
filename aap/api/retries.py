"""Which requests may be retries of a message that the spool holds already.

Ids carry a fingerprint of the client's Idempotency-Key, or else of the body, so the
spool itself knows. Looking through all its names for each request that has a key
would be slow; a set of all fingerprints, read once, says at once that there is none.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import NamedTuple

from aap.api.problems import KeyReusedError
from aap.errors import NotFoundError
from aap.inbox import Entry, Spool
from aap.message import ID_CHARS, PRINT_CHARS, fingerprint, id_time

KEY_AGE = 24 * 3600.0
# An SDK gives up long before; a human who says the same again is not a retry.
BODY_AGE = 15 * 60.0
_KNOWN_MAX = 300_000
_PRINT = slice(ID_CHARS - PRINT_CHARS, ID_CHARS)


class Retry(NamedTuple):
    """How an earlier delivery of the same request is found: by the client's key, or the body."""

    key: bytes | None = None

    def print_of(self, raw: bytes) -> str:
        """Return the fingerprint that the earlier id carries."""
        return fingerprint(self.key or raw)

    @property
    def max_age(self) -> float:
        """Seconds after which an equal request is a new one."""
        return KEY_AGE if self.key else BODY_AGE


class Known:
    """The fingerprints of one spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._forget()

    def _forget(self) -> None:
        self._prints: set[str] = set()
        self._gathering = False  # nothing is kept before the first retry asks
        self._complete = False

    def note(self, message_id: str) -> None:
        """A message was accepted."""
        if self._gathering:
            self._prints.add(message_id[_PRINT])
        if len(self._prints) > _KNOWN_MAX:
            self._forget()  # what was pruned is gone when it is read again

    async def find(self, raw: bytes, retry: Retry) -> str | None:
        """Return the id of the message that `raw` repeats, or None. It is on the disk.

        Raises KeyReusedError if the key came with another body; OSError.
        """
        if not self._complete:
            self._gathering = True  # before the look, so that nothing falls in between
            self._prints |= await asyncio.to_thread(self._read_prints)
            self._complete = True
        wanted = retry.print_of(raw)
        if wanted not in self._prints:
            return None
        return await asyncio.to_thread(self._compare, raw, retry, wanted)

    def _read_prints(self) -> set[str]:
        return {entry.id[_PRINT] for entry in self._spool.entries() if not entry.is_foreign}

    def _compare(self, raw: bytes, retry: Retry, wanted: str) -> str | None:
        oldest = time.time() - retry.max_age
        young = [e for e in self._spool.matches(wanted) if id_time(e.id) >= oldest]
        there = [(entry, self._read(entry)) for entry in young]
        for entry, said in there:
            if said == raw:
                # Seen is not kept: the API that stored it may have been killed in between.
                self._spool.assure(entry)
                return entry.id
        if retry.key and any(said is not None for _, said in there):
            raise KeyReusedError("This Idempotency-Key was used with another body.")
        return None

    def _read(self, entry: Entry) -> bytes | None:
        """Return its bytes, None if it is gone. Raises OSError: not to know is not to differ."""
        with suppress(FileNotFoundError):  # moved on since: look where it is now
            return self._spool.read(entry)
        with suppress(FileNotFoundError, NotFoundError):
            return self._spool.read(self._spool.find(entry.id))
        return None
