"""Whether an inbox may take one more message: how full it is, how full its disk is.

And whose it is: a newer aap may have been installed, and have changed what is in it,
while this one still runs.

Counting 100,000 files takes half a second, so they are counted seldom, in a thread,
and what was accepted since is added. The worker only takes away: between two counts
the gauge shows too much at worst, and a count comes before anything is refused.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import NamedTuple

from aap.api.problems import InboxFullError, UnavailableError
from aap.errors import FormatError
from aap.inbox import Spool, check_format
from aap.message import State

_DISK_FRESH = 0.1  # seconds for which a look at the disk is believed
_FRESH = 1.0  # seconds for which a count is believed even when it says "full"
_STALE = 10.0  # seconds after which it is taken again in any case
_FIRST_COUNT = 0.5  # seconds after the start; until then a glance must do
_GLANCE = 500  # files, half a millisecond: all there is but for an agent that is far behind
_SHARE = 50  # counting may take one part in so many of the time


class Levels(NamedTuple):
    """What may wait in an inbox, and what must stay free on its disk."""

    messages: int = 100_000
    size: int = 4 << 30
    free: int = 64 << 20
    free_inodes: int = 1000


class Gauge:
    """The level of one inbox."""

    def __init__(self, spool: Spool, levels: Levels) -> None:
        self._spool = spool
        self._folder = str(spool.folder(State.INBOX))
        self._levels = levels
        self._messages, self._size = self._glance()
        self._pending = 0  # staged, but not in the folder yet
        self._pending_size = 0
        self._room = float("inf")  # bytes that may still be written
        self._disk_seen_at = 0.0
        # The first count waits, so that it does not delay the first answer after a start.
        self._counted_at = time.monotonic() - _STALE + _FIRST_COUNT
        self._cost = 0.0
        self._exact = False  # nothing arrived while it was counted
        self._counting: asyncio.Task[None] | None = None

    def _glance(self) -> tuple[int, int]:
        """Return what at least waits, so that a small limit holds from the first message on."""
        try:
            return self._spool.usage(_GLANCE)
        except OSError:
            return 0, 0  # writing will tell what is wrong

    def enter(self, size: int) -> None:
        """A message of `size` bytes is on its way in."""
        self._pending += 1
        self._pending_size += size

    def settle(self, size: int, *, stored: bool) -> None:
        """It has arrived, or has not."""
        self._pending -= 1
        self._pending_size -= size
        if stored:
            self._messages += 1
            self._size += size

    async def check(self, size: int) -> None:
        """Refuse a message of `size` bytes where there is no room.

        Raises InboxFullError or UnavailableError.
        """
        self._check_disk(size)
        if self._age() > max(_STALE, self._cost * _SHARE):
            self._start_counting()
        if self._is_full(size) and self._age() > (_FRESH if self._exact else self._cost):
            await self._start_counting()
        if self._is_full(size):
            raise InboxFullError("The inbox is full: the agent is behind.", retry_after=10)

    def _check_disk(self, size: int) -> None:
        now = time.monotonic()
        if now - self._disk_seen_at > _DISK_FRESH:
            self._look_at_format()
            self._look_at_disk()
            self._disk_seen_at = now
        if size > self._room:
            raise UnavailableError("The disk is full.", retry_after=10, code="disk_full")

    def _look_at_format(self) -> None:
        try:
            check_format(self._spool.root)
        except FormatError as error:
            said = "The inbox belongs to a newer version of aap than the one that answers here."
            raise UnavailableError(said, retry_after=10, code="newer_spool") from error
        except OSError:
            return  # writing will tell what is wrong

    def _look_at_disk(self) -> None:
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            self._room = float("inf")  # writing will tell what is wrong
            return
        self._room = disk.f_bavail * disk.f_frsize - self._levels.free
        # Some file systems (btrfs) have no fixed number of inodes and report 0.
        if disk.f_files and disk.f_favail < self._levels.free_inodes:
            self._room = -1

    def _is_full(self, size: int) -> bool:
        messages = self._messages + self._pending
        held = self._size + self._pending_size
        return messages >= self._levels.messages or held + size > self._levels.size

    def _age(self) -> float:
        return time.monotonic() - self._counted_at

    def _start_counting(self) -> asyncio.Task[None]:
        if self._counting is None or self._counting.done():
            self._counting = asyncio.get_running_loop().create_task(self._count())
        return self._counting

    async def _count(self) -> None:
        before = self._messages, self._size
        start = time.monotonic()
        try:
            messages, size = await asyncio.to_thread(self._spool.usage)
        except OSError:
            return  # writing will tell what is wrong
        # What arrived while the thread counted may or may not be in its figures.
        self._exact = (self._messages, self._size) == before
        self._messages = messages + self._messages - before[0]
        self._size = size + self._size - before[1]
        self._counted_at = time.monotonic()
        self._cost = self._counted_at - start
