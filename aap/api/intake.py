"""The way of a message into one workspace's inbox: once, durable, or refused with a reason."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from aap.api.gauge import Gauge, Levels
from aap.api.problems import KeyReusedError, UnavailableError
from aap.api.retries import Known, Retry
from aap.inbox import Spool, Staged
from aap.inbox.committer import Committer
from aap.message import ID_CHARS, PRINT_CHARS, State

_PRINT = slice(ID_CHARS - PRINT_CHARS, ID_CHARS)


class Stored(NamedTuple):
    """A message that is on the disk. `replayed`: it was already, before this request."""

    id: str
    replayed: bool = False


class _Underway(NamedTuple):
    """A message that is being made durable, for those that repeat it meanwhile."""

    raw: bytes
    id: str
    done: asyncio.Future[None]


class Intake:
    """Takes messages for one spool, in the loop's own thread; only fsync runs in another.

    Every system call in a helper thread is a hand-over of the interpreter lock: writing
    32 KiB in the loop takes less time than handing it over.
    """

    def __init__(
        self,
        name: str,
        spool: Spool,
        levels: Levels | None = None,
        on_stale: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.spool = spool
        self._gauge = Gauge(spool, levels or Levels())
        self._known = Known(spool)
        self._underway: dict[str, _Underway] = {}
        self._retrying = asyncio.Lock()
        self._committer = Committer(spool)
        self._finished: list[tuple[_Underway, BaseException | None]] = []
        self._on_stale = on_stale
        self._folder_fd = _hold(spool.folder(State.INBOX))

    def close(self) -> None:
        """Commit what is left."""
        self._committer.close()

    async def put(self, raw: bytes, retry: Retry | None) -> Stored:
        """Store one message. When this returns, it is on the disk.

        `retry` is set where the request may have come before. Raises RequestError.
        """
        if retry is None:
            await self._gauge.check(len(raw))
            return await self._durable(self._stage(raw, None))
        async with self._retrying:  # so that of two equal ones, the second finds the first
            first = await self._find_first(raw, retry)
            if first is None:
                await self._gauge.check(len(raw))
            underway = first or self._stage(raw, retry.key)
        return await self._durable(underway, replayed=first is not None)

    async def _find_first(self, raw: bytes, retry: Retry) -> _Underway | None:
        underway = self._find_underway(raw, retry)
        if underway is not None:
            return underway
        try:
            known = await self._known.find(raw, retry)
        except OSError as error:
            raise self._unavailable(error) from error
        if known is None:
            return None
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return _Underway(raw, known, done)

    def _find_underway(self, raw: bytes, retry: Retry) -> _Underway | None:
        underway = self._underway.get(retry.print_of(raw))
        if underway is None or underway.raw == raw:
            return underway
        if retry.key:
            raise KeyReusedError("This Idempotency-Key was used with another body.")
        return None

    def _stage(self, raw: bytes, key: bytes | None) -> _Underway:
        try:
            staged = self._write(raw, key)
        except OSError as error:
            raise self._unavailable(error) from error
        self._gauge.enter(len(raw))
        self._known.note(staged.id)
        loop = asyncio.get_running_loop()
        underway = _Underway(raw, staged.id, loop.create_future())
        self._underway[staged.id[_PRINT]] = underway
        self._committer.submit(staged, lambda error: self._finish(loop, underway, error))
        return underway

    def _write(self, raw: bytes, key: bytes | None) -> Staged:
        try:
            return self.spool.stage(raw, key)
        except FileNotFoundError:  # a workspace made anew under our feet
            self.spool.create()
            return self.spool.stage(raw, key)

    def _finish(
        self, loop: asyncio.AbstractEventLoop, underway: _Underway, error: BaseException | None
    ) -> None:
        """Called in the committing thread: wake the loop once for a whole batch."""
        self._finished.append((underway, error))
        if len(self._finished) == 1:
            loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        while self._finished:
            underway, error = self._finished.pop()
            self._gauge.settle(len(underway.raw), stored=error is None)
            if self._underway.get(underway.id[_PRINT]) is underway:
                del self._underway[underway.id[_PRINT]]
            if underway.done.done():  # its request was cancelled at the end of a drain
                continue
            if error is None:
                underway.done.set_result(None)
            else:
                underway.done.set_exception(error)

    async def _durable(self, underway: _Underway, *, replayed: bool = False) -> Stored:
        try:
            await underway.done
        except OSError as error:
            raise self._unavailable(error) from error
        return Stored(underway.id, replayed)

    def _unavailable(self, error: OSError) -> UnavailableError:
        if error.errno == errno.EROFS and self._is_stale():
            self._on_stale()
        code = "disk_full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "not_writable"
        reason = os.strerror(error.errno or errno.EIO)
        return UnavailableError(
            f"The message could not be stored: {reason}.", retry_after=10, code=code
        )

    def _is_stale(self) -> bool:
        """Tell a read-only disk from an inbox that was made anew after the sandbox was built.

        ReadWritePaths= is a mount on the folder that was there at the start: a new
        folder of the same name is read-only until the service starts again.
        """
        try:
            return self._folder_fd < 0 or not os.path.samestat(
                os.fstat(self._folder_fd), self.spool.folder(State.INBOX).stat()
            )
        except OSError:
            return True


def _hold(folder: Path) -> int:
    """Open a folder only to know it again: while it is held, no new one gets its inode number."""
    try:
        return os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
