"""Which requests may be retries of a message that the spool holds already.

Ids carry a fingerprint of the client's Idempotency-Key, or else of the body, so the
spool itself knows. Looking through all its names for each request that has a key
would be slow; a map of all fingerprints, read once, says at once that there is none.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import NamedTuple

from aap.api.problems import KeyReusedError
from aap.errors import NotFoundError
from aap.inbox import Entry, Spool
from aap.message import ID_CHARS, PRINT_CHARS, fingerprint, id_time, parse_name

KEY_AGE = 24 * 3600.0
# An SDK gives up long before; a human who says the same again is not a retry.
BODY_AGE = 15 * 60.0
_KNOWN_MAX = 300_000
_PLACES = 1 << 23  # of a map: with so many known, one new key in thirty is looked for in vain
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


class Map:
    """Which fingerprints there may be, in 1 MB: a set of that many would take thirty.

    Two may have one place, so it can be wrong about one that is there, never that it is not.
    """

    def __init__(self) -> None:
        import mmap

        self.count = 0
        # Pages of its own: malloc would put the second such block into the heap, and each
        # time that it is forgotten leave a hole, which smaller ones then settle in. All are
        # there from the start, so that what it takes is seen at once.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
        self._bits = mmap.mmap(-1, _PLACES >> 3, flags=flags)

    def add(self, print_: str) -> None:
        """Note a fingerprint."""
        place = hash(print_) % _PLACES
        self._bits[place >> 3] |= 1 << (place & 7)
        self.count += 1

    def __contains__(self, print_: str) -> bool:
        place = hash(print_) % _PLACES
        return bool(self._bits[place >> 3] & 1 << (place & 7))


class Known:
    """The fingerprints of one spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._forget()

    def _forget(self) -> None:
        self._noted: Map | None = None  # since the first retry asked: before, nothing is kept
        self._read_in: Map | None = None  # what was there then

    def note(self, message_id: str) -> None:
        """A message was accepted."""
        if self._noted is None:
            return
        self._noted.add(message_id[_PRINT])
        if self._noted.count > _KNOWN_MAX:
            self._forget()  # what was pruned is gone when it is read again

    async def find(self, raw: bytes, retry: Retry) -> str | None:
        """Return the id of the message that `raw` repeats, or None. It is on the disk.

        Raises KeyReusedError if the key came with another body; OSError.
        """
        wanted = retry.print_of(raw)
        if not await self._may_have(wanted):
            return None
        return await asyncio.to_thread(self._compare, raw, retry, wanted)

    async def _may_have(self, wanted: str) -> bool:
        if self._noted is None:
            self._noted = Map()  # before the look, so that nothing falls in between
        noted = self._noted
        read_in = self._read_in
        if read_in is None:
            read_in = await asyncio.to_thread(self._read_prints)
        if self._noted is noted:  # and was not forgotten meanwhile
            self._read_in = read_in
        return wanted in read_in or wanted in noted

    def _read_prints(self) -> Map:
        found = Map()
        # What is missed here would be stored again when it is retried, as long as the API lives.
        for _, names in self._spool.everywhere():
            for name in names:
                if parse_name(name):
                    found.add(name[_PRINT])
        return found

    def _compare(self, raw: bytes, retry: Retry, wanted: str) -> str | None:
        oldest = time.time() - retry.max_age
        young = [e for e in self._spool.matches(wanted) if id_time(e.id) >= oldest]
        there = [(entry, self._read(entry)) for entry in young]
        for entry, said in there:
            if said == raw:
                # Seen is not kept: the API that stored it may have been killed in between.
                with suppress(NotFoundError):  # handled and deleted since: no new one all the same
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
