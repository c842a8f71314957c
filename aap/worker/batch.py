"""What goes into the next run: waiting messages, whole conversations, in order."""

from __future__ import annotations

import json
import os
import time

from aap.bodies import digest
from aap.errors import Exit, describe, exit_of
from aap.inbox import NO_FILE, Entry, Spool
from aap.log import DailyLog
from aap.message import Digest, State, id_time
from aap.worker.upkeep import is_of_one_file

# How far into the inbox one look goes. Order within a conversation holds all the
# same: what is seen is always the oldest part.
WINDOW = 256
# A foreign file that is no JSON yet may still be on its way in (`cp` is no rename), unless
# it has not changed for so long.
RIPE_SECONDS = 2.0
_UNRIPE_WAIT = 0.5
# For so long a message that cannot be read is tried again, and nothing later is taken: of
# which conversation it is nobody knows. Then the fault is none that passes.
_PATIENCE = 2.0
_LOOK_AGAIN = 0.1
_NO_END = "~"  # is above all ids


class Queue:
    """Chooses and claims batches from a spool."""

    def __init__(self, spool: Spool, log: DailyLog, max_body: int) -> None:
        self._spool = spool
        self._log = log
        self._max_body = max_body
        self.wait = 0.0  # after `claim` gave nothing: look again in so many seconds; 0: never
        self._digests: dict[str, Digest] = {}
        self._stuck: set[str] = set()  # names of what is left alone until this worker ends
        self._held_up: set[object] = set()  # conversations that wait for one that is stuck
        self._unread: dict[str, float] = {}  # ids of what could not be read, and since when
        self._end = _NO_END  # the id from which on nothing is taken in this look
        self._watched: dict[str, tuple[tuple[int, int, int], float]] = {}  # foreign files

    def claim(self, limit: int, settle: float, *, mixed: bool = False) -> list[Entry]:
        """Move the next batch to active/ and return it, oldest first; empty if none is ready.

        A batch is of one conversation, or with `mixed` of all that wait.
        People send a thought in pieces: a batch is taken when nothing was added to it
        for `settle` seconds, or when its first message has waited for ten times that.
        One that cannot be moved holds up its conversation, whose order counts, and no other.
        One that cannot be read holds up all later ones for a moment, and then none.
        """
        while True:
            before = len(self._stuck)
            claimed = self._claim_once(limit, settle, mixed=mixed)
            if claimed or len(self._stuck) == before:
                return claimed

    def _claim_once(self, limit: int, settle: float, *, mixed: bool) -> list[Entry]:
        self.wait, self._end = 0.0, _NO_END
        batch = self._choose(mixed=mixed)[:limit]
        if batch and len(batch) < limit and settle > 0:
            self.wait = _unsettled(batch, settle, time.time())
            if self.wait:
                return []
        claimed: list[Entry] = []
        for entry in batch:
            try:
                self._claim_one(entry, claimed)
            except FileNotFoundError:
                if not os.path.lexists(entry.path):  # else the folder for it is missing
                    self._await(entry)
                break
        return claimed

    def _claim_one(self, entry: Entry, claimed: list[Entry]) -> None:
        conversation = self._conversation(entry)
        if conversation in self._held_up:
            return
        try:
            claimed.append(self._spool.claim(entry))
        except FileNotFoundError:
            raise
        except OSError as error:
            self.leave_unmoved(entry, error)
            self._held_up.add(conversation)

    def digest(self, entry: Entry) -> Digest:
        """Return the digest of a message, read once."""
        if entry.id not in self._digests:
            if len(self._digests) > 4 * WINDOW:
                self._digests.clear()
            self._digests[entry.id] = digest(self._spool.read(entry))
            self._unread.pop(entry.id, None)
        return self._digests[entry.id]

    def _choose(self, *, mixed: bool) -> list[Entry]:
        if not self._take_in_foreign():
            return []  # deferred/ may be long
        # Before inbox/: what a person releases meanwhile goes from here to there.
        deferred = self._spool.entries(State.DEFERRED)
        seen = self._look(State.INBOX)
        ready = self._before_end([entry for entry in seen if self._is_ready(entry)])
        if not ready:
            return []
        # Fresh messages never wait for old failures.
        first = min(ready, key=lambda entry: (entry.attempts > 0, entry.id))
        wanted = {self._conversation(entry) for entry in (ready if mixed else [first])}
        # Who writes again brings back what was put off, and in the right order.
        end = ready[-1].id if len(seen) >= WINDOW else _NO_END  # others may wait beyond that
        late = [entry for entry in deferred if entry.id < end and self._is_ready(entry)]
        batch = [entry for entry in ready + late if self._conversation(entry) in wanted]
        return sorted(self._before_end(batch), key=lambda entry: entry.id)

    def _before_end(self, entries: list[Entry]) -> list[Entry]:
        return [entry for entry in entries if entry.id < self._end]

    def _look(self, state: State) -> list[Entry]:
        entries = self._spool.entries(state, limit=WINDOW + len(self._stuck))
        return [entry for entry in entries if entry.path.name not in self._stuck]

    def _conversation(self, entry: Entry) -> object:
        return self.digest(entry).conversation or entry.id

    def _is_ready(self, entry: Entry) -> bool:
        """Tell whether a message can be claimed.

        Puts aside what cannot be read as a message: it would stop the queue for good.
        """
        try:
            if entry.is_foreign:
                return False  # not taken in yet
            if not entry.is_message:
                return self._put_aside(entry, "not a message file")
            if self._conversation(entry) not in self._held_up:
                return True
            self._stuck.add(entry.path.name)  # so that the look goes on beyond it
        except FileNotFoundError:
            self._await(entry)
        except OSError as error:
            return self._cannot_read(entry, error)
        return False

    def _take_in_foreign(self) -> bool:
        """Adopt what others put into inbox/; False if there is nothing in it at all."""
        seen = self._look(State.INBOX)
        for entry in seen:
            if entry.is_foreign:
                self._take_in(entry)
        return bool(seen)

    def _take_in(self, entry: Entry) -> None:
        try:
            raw = self._spool.read(entry, self._max_body + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            self._cannot_read(entry, error)
            return
        try:
            if len(raw) <= self._max_body and _is_object(raw):
                taken = self._spool.adopt(entry)
                self._log.event("info", "worker", "adopted", id=taken.id, name=entry.path.name)
            elif len(raw) > self._max_body:
                self._put_aside(entry, f"larger than MAX_BODY ({self._max_body} bytes)")
            elif self._is_ripe(entry):
                self._put_aside(entry, "not a JSON object")
            else:
                self.wait = _UNRIPE_WAIT
        except FileNotFoundError:
            pass
        except OSError as error:
            self._leave(entry, error)

    def _cannot_read(self, entry: Entry, error: OSError) -> bool:
        """Put aside what is no file of ours to read; what is a message stays one.

        A disk may read it when it is asked again. Raises the error where it is not the
        file's: of too many open files the next worker has none.
        """
        if exit_of(error) == Exit.TRY_AGAIN:
            raise error
        refused = entry.is_foreign and isinstance(error, PermissionError)
        if refused or error.errno in NO_FILE:
            return self._put_aside(entry, f"cannot be read: {error.strerror}")
        if not self._await(entry):
            self._leave(entry, error)
        return False

    def _await(self, entry: Entry) -> bool:
        """Take nothing later than this for a moment; False if that has lasted long enough.

        It can be read in the next one, perhaps. Or it has moved since we looked: it may have
        been settled, but also brought back, and then it comes before what is later.
        """
        now = time.monotonic()
        if now - self._unread.setdefault(entry.id, now) >= _PATIENCE:
            return False
        self.wait = _LOOK_AGAIN
        if not entry.is_foreign:  # which gets its id when it is taken in
            self._end = min(self._end, entry.id)
        return True

    def leave_unmoved(self, entry: Entry, error: OSError) -> None:
        """Leave a message where it is; raises the error where it is not that file's alone."""
        if not is_of_one_file(self._spool, error):
            raise error
        self._leave(entry, error)

    def _leave(self, entry: Entry, error: OSError) -> bool:
        """Work on around it; the exit code tells systemd that inbox/ is not empty."""
        if entry.path.name not in self._stuck:
            self._stuck.add(entry.path.name)
            reason = describe(error)
            self._log.event("error", "worker", "stuck", name=entry.path.name, reason=reason)
        return False

    def _is_ripe(self, entry: Entry) -> bool:
        """Tell whether a file is left alone by who wrote it, by its time or by watching it.

        Its time alone may lie ahead for hours: of `cp -p`, or before the clock was set back.
        """
        found = entry.path.stat()
        now, seen = time.monotonic(), (found.st_ino, found.st_size, found.st_mtime_ns)
        before, since = self._watched.get(entry.path.name, (None, now))
        if seen != before:
            since = now
        self._watched[entry.path.name] = seen, since
        return max(time.time() - found.st_mtime, now - since) >= RIPE_SECONDS

    def _put_aside(self, entry: Entry, reason: str) -> bool:
        try:
            aside = self._spool.put_aside(entry, reason)
            self._log.event(
                "warning", "worker", "put-aside", id=aside.id, name=entry.path.name, reason=reason
            )
        except FileNotFoundError:
            pass
        except OSError as error:  # somebody else's folder, say, cannot be moved
            self._leave(entry, error)
        return False


def _unsettled(batch: list[Entry], settle: float, now: float) -> float:
    """Seconds until the batch is settled. A clock that was set back settles nothing."""
    fresh = [id_time(entry.id) for entry in batch if not entry.attempts]
    if not fresh or now - min(fresh) >= 10 * settle:
        return 0.0
    left = max(fresh) + settle - now
    return left if 0 < left <= settle else 0.0


def _is_object(raw: bytes) -> bool:
    try:
        return isinstance(json.loads(raw), dict)
    except (ValueError, RecursionError):
        return False
