"""The folders of one workspace and what may happen to a message in them.

Crash safety rests on three rules. A message is written under a hidden name in
`inbox/` itself, fsynced, renamed, and the folder fsynced: it is whole or it is
not there. Every later step is one rename(2), so it is in one folder whenever
the machine stops. What else must be remembered is appended to `notes/` before
the rename that it explains.
"""

from __future__ import annotations

import errno
import fcntl
import heapq
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from aap import files
from aap.errors import NotFoundError, UsageError, for_all
from aap.inbox import twins
from aap.inbox.entry import Entry, is_visible, read_entry
from aap.inbox.format import FILE as FORMAT
from aap.inbox.format import check_format, mark_format
from aap.inbox.notes import FOLDER as NOTES
from aap.inbox.notes import Notes
from aap.message import ID_CHARS, PRINT_CHARS, IdClock, Name, State, id_time, parse_name

LOGS = "logs"
CONTEXT = "context"
SESSIONS = "sessions"
LOCK = "LOCK"

ALL_STATES = tuple(State)

# The nearer to its end, the later. Of two names the later one counts: what was settled
# or put on hold stays so, and a move that nobody was told of may as well not have been.
_PROGRESS = (State.INBOX, State.ACTIVE, State.DEFERRED, State.FAILED, State.HOLD, State.DONE)
# Between these messages also move back, as fast as programs do it; from the others a person
# brings them back, one by one.
_RESTLESS = frozenset((State.INBOX, State.ACTIVE, State.DEFERRED, State.HOLD))

# What `Spool.read` says of folders, links, sockets and devices: a message is never there.
NO_FILE = frozenset((errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENXIO))

_TOGETHER = 4  # messages from which one sync of the file system is quicker than one each
_LOOKS = 4  # before it is said that there is no such message
_CLOCK_TRUST = 366 * 86400.0  # an id further ahead than this is no clock's, but a made-up name


class Staged(NamedTuple):
    """A message that is written but neither durable nor visible yet.

    Paths are plain strings here: a Path would take a tenth of the time of a delivery.
    """

    id: str
    fd: int
    hidden: str
    target: str


def _is_odd(path: Path) -> bool:
    """Whether there is neither a folder nor a regular file, but a link, a FIFO or the like."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return not (stat.S_ISDIR(mode) or stat.S_ISREG(mode))


def _age(found: tuple[State, str]) -> tuple[bool, str]:
    name = found[1]
    return parse_name(name) is None, name


def _pick(found: list[tuple[State, str]], limit: int, newest: bool) -> list[tuple[State, str]]:
    """Pick the first `limit` by age, or the last, in no order."""
    choose = heapq.nlargest if newest else heapq.nsmallest
    # By the bare name first: to parse a name takes twenty times as long as to compare it.
    first = choose(limit, found, key=itemgetter(1))
    if all(parse_name(name) for _, name in first):
        return first
    return choose(limit, found, key=_age)


class Spool:
    """The spool below one folder, `<workspace>/.ai-agent-proxy`.

    Nothing is kept but the clock of ids and times that files did not take: the folders are
    the truth, and other processes change them at any time. Methods raise OSError as the
    kernel gives it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._inbox = str(self.folder(State.INBOX))
        self._notes = Notes(root)
        self._clock: IdClock | None = None
        self._untimed: dict[str, float] = {}  # when deferred ones are due whose files do not say so
        self._unsynced: dict[Path, None] | None = None  # folders, within `together`
        self._moved: list[tuple[Path, Path]] = []  # from where to where, there

    def folder(self, state: State) -> Path:
        """Return the folder of the messages in `state`."""
        return self.root / state.value

    @property
    def logs(self) -> Path:
        """The folder of the daily logs."""
        return self.root / LOGS

    def create(self) -> list[str]:
        """Make the folders that are missing; whoever writes here calls it first.

        Returns the names of what was in the place of ours and had to go: a link would lead
        messages, and deletions, somewhere else; what it leads to stays. Raises FormatError,
        and touches nothing, if a newer aap wrote the spool.
        """
        names = (*(state.value for state in State), NOTES, LOGS, CONTEXT)
        gone = self._clear([FORMAT])
        check_format(self.root)
        gone += self._clear([LOCK, *names])
        for name in names:
            files.make_folder(self.root / name)
        mark_format(self.root)
        return gone

    def _clear(self, names: list[str]) -> list[str]:
        odd = [name for name in names if _is_odd(self.root / name)]
        for name in odd:
            (self.root / name).unlink()
        return odd

    @contextmanager
    def lock(self, patience: float = 0.0) -> Iterator[None]:
        """Be the one worker of this spool for the length of the block.

        Raises TryAgainError if another process still is after `patience` seconds.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.root / LOCK, flags, files.FILE_MODE)
        try:
            with files.naming(self.root / LOCK):
                files.lock(fd, patience, "another worker is at work on this workspace")
            with suppress(OSError):  # a full disk: whose the lock is stays unknown
                os.ftruncate(fd, 0)
                os.pwrite(fd, b"%d\n" % os.getpid(), 0)
            yield
        finally:
            os.close(fd)

    def lock_holder(self) -> int:
        """Return the pid of the worker that holds the lock; 0 if none does, -1 if unknown."""
        try:
            fd = files.open_plain(self.root / LOCK)
        except FileNotFoundError:
            return 0
        try:
            # For a moment and shared: a worker that starts right now tries again.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return 0
        except BlockingIOError:
            text = os.read(fd, 20).strip()
            return int(text) if text.isdigit() else -1
        finally:
            os.close(fd)

    # Delivery

    def deliver(self, raw: bytes, retry_key: bytes | None = None) -> str:
        """Store one message; it is on the disk and visible when its id is returned."""
        with files.naming(self.folder(State.INBOX)):
            staged = self.stage(raw, retry_key)
            (error,) = self.commit([staged])
            if error:
                raise error
        return staged.id

    def stage(self, raw: bytes, retry_key: bytes | None = None) -> Staged:
        """Write a message under a hidden name; `commit` makes it durable and visible.

        The id carries the fingerprint of `retry_key`, else of the body, so that
        `matches` finds a client's retry without any further state.
        """
        message_id = self._next_id(retry_key or raw)
        name = f"{message_id}.json"
        hidden = f"{self._inbox}/.{name}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(hidden, flags, files.FILE_MODE)
        staged = Staged(message_id, fd, hidden, f"{self._inbox}/{name}")
        try:
            files.write_all(fd, raw)
        except BaseException:
            self.discard(staged)
            raise
        return staged

    def commit(self, batch: list[Staged]) -> list[OSError | None]:
        """Make staged messages durable, then visible; one folder fsync serves them all.

        Returns an error, or None, for each message in order. What failed has left
        nothing behind, and its bytes were never trusted: a second fsync after a
        failed one would report success for pages that the kernel has dropped.

        Each fsync is a flush of the disk's cache, so a large batch is written out by
        one syncfs(2) where that is as good; a few messages are not, for syncfs also
        waits for what other programs have written. The first descriptor is the oldest:
        it is told of every failure since the batch began.
        """
        try:
            is_synced = len(batch) >= _TOGETHER and files.sync_file_system(batch[0].fd)
        except OSError as error:
            for staged in batch:
                self.discard(staged)
            return [error] * len(batch)
        results = [self._publish(staged, is_synced=is_synced) for staged in batch]
        try:
            files.fsync_folder(self.folder(State.INBOX))
        except OSError as error:
            return [
                result or self._withdraw(each, error)
                for each, result in zip(batch, results, strict=True)
            ]
        return results

    def discard(self, staged: Staged) -> None:
        """Forget a message that was staged and will not be committed."""
        with suppress(OSError):
            os.close(staged.fd)
        with suppress(OSError):
            os.unlink(staged.hidden)  # noqa: PTH108

    def _publish(self, staged: Staged, *, is_synced: bool) -> OSError | None:
        try:
            if not is_synced:
                os.fsync(staged.fd)
            os.rename(staged.hidden, staged.target)  # noqa: PTH104
        except OSError as error:
            self.discard(staged)
            return error
        with suppress(OSError):  # fsync has said that the bytes are there
            os.close(staged.fd)
        return None

    def _withdraw(self, staged: Staged, error: OSError) -> OSError:
        # The worker may have taken it already. It is then handled although its
        # sender is told to try again: twice is within the promise, never is not.
        with suppress(OSError):
            os.unlink(staged.target)  # noqa: PTH108
        return error

    def _next_id(self, print_of: bytes) -> str:
        if self._clock is None:
            self._clock = IdClock()
        if self._clock.is_doubtful():
            self._clock.raise_to(self._highest_id())
        return self._clock.next(print_of)

    def _highest_id(self) -> str:
        """The newest id that is still to be handled, so that a clock set back breaks no order."""
        ahead = time.time() + _CLOCK_TRUST
        # Before and after inbox/, which may be large: what moves back, or on, is in one of them.
        others = (State.ACTIVE, State.DEFERRED, State.HOLD)
        looked = (*others, State.INBOX, *others)
        names = [name for state in looked for name in self.names(state)]
        for name in sorted(names, reverse=True):  # sorting is quicker than parsing them all
            known = parse_name(name)
            if known and id_time(known.id) < ahead:
                return known.id
        return ""

    # Looking

    def names(self, state: State) -> list[str]:
        """Return the file names in `state` that count, in no order; none if there is no folder."""
        try:
            names = os.listdir(self.folder(state))
        except FileNotFoundError:
            return []
        # There may be a million, nearly all of our own naming, which is seen at a glance.
        return [
            name for name in names if (name[-5:] == ".json" and name[0] != ".") or is_visible(name)
        ]

    def everywhere(self, *states: State) -> Iterator[tuple[State, list[str]]]:
        """Give the names in `states` (all, if none is given), folder by folder: none is missed.

        What moves meanwhile may be seen twice. The folders are not read at one moment. What
        moves on is seen, since they are read in that order; what moves back goes behind the
        look (given back, admitted, released). So the restless ones are read once more, for
        what is new in them: done/ and failed/, which may be large, are not. To be missed all
        the same, a message must move back and then again, all within a look; each move is
        two fsyncs.
        """
        chosen = [state for state in _PROGRESS if state in (states or ALL_STATES)]
        seen: dict[State, set[str]] = {}
        for state in chosen:
            names = self.names(state)
            if state in _RESTLESS:
                seen[state] = set(names)
            yield state, names
        for state, before in seen.items() if len(chosen) > 1 else ():
            yield state, [name for name in self.names(state) if name not in before]

    def entries(self, *states: State, limit: int | None = None) -> list[Entry]:
        """List what is in `states` (all, if none is given), oldest first; opens nothing.

        Foreign files come last: their names tell no time.
        """
        return self.page(*states, limit=limit)[0]

    def page(
        self,
        *states: State,
        limit: int | None = None,
        newest: bool = False,
        since: str = "",
        until: str = "",
    ) -> tuple[list[Entry], int]:
        """Return the first `limit` of `entries(*states)`, and how many there are in all.

        With `newest` the last ones. `since` and `until` are ids, or beginnings as
        `first_id` gives them: only messages from the one up to the other are meant.
        """
        if limit is None:
            looked = self.everywhere(*states)
        else:  # a screen, or a window: the next look shows the rest
            looked = ((state, self.names(state)) for state in states or ALL_STATES)
        found = [(state, name) for state, names in looked for name in names]
        if since or until:
            end = until or "~"
            found = [each for each in found if since <= each[1] < end and parse_name(each[1])]
        total = len(found)
        return self._sorted(found if limit is None else _pick(found, limit, newest)), total

    def _sorted(self, found: list[tuple[State, str]]) -> list[Entry]:
        found.sort(key=_age)
        return [read_entry(state, self.folder(state) / name) for state, name in found]

    def count(self, state: State) -> int:
        """Count what is in the folder of `state`."""
        return len(self.names(state))

    def usage(self, at_most: int | None = None) -> tuple[int, int]:
        """Count the messages in inbox/, and their bytes; `at_most` so many files are looked at."""
        count = size = 0
        with os.scandir(self.folder(State.INBOX)) as found:
            for item in islice(found, at_most):
                with suppress(FileNotFoundError):
                    size += item.stat(follow_symlinks=False).st_size
                    count += is_visible(item.name)
        return count, size

    def matches(self, print_: str) -> list[Entry]:
        """Find the messages whose id carries the fingerprint, oldest first."""
        # Of a key that is new nothing is found: done/, which may be large, is read only once.
        return self._marked(print_) or self._marked(print_, *_RESTLESS)

    def _marked(self, print_: str, *states: State) -> list[Entry]:
        end = slice(ID_CHARS - PRINT_CHARS, ID_CHARS)
        return self._sorted(
            [
                (state, name)
                for state, names in self.everywhere(*states)
                for name in names
                if name[end] == print_ and parse_name(name)
            ]
        )

    def find(self, prefix: str, *states: State) -> Entry:
        """Find the one message whose id starts with `prefix`.

        Raises NotFoundError for none and UsageError for several.
        """
        if not prefix:
            raise UsageError("an id cannot be empty")
        found: list[Entry] = []
        for look in range(_LOOKS):
            time.sleep(look / 1000)
            # To be missed by all, a message must have moved back behind each look.
            if found := self._look_for(prefix, states):
                break
        exact = [entry for entry in found if entry.id == prefix]
        if len({entry.id for entry in exact or found}) > 1:
            ids = ", ".join(entry.id for entry in found[:5])
            raise UsageError(f"{len(found)} messages start with {prefix!r}", hint=f"such as {ids}")
        if not found:
            raise NotFoundError(f"no message {prefix!r}", hint="aap inbox ls --all")
        # Seen twice while it moved, or a twin: what is left to do counts.
        return min(exact or found, key=lambda entry: entry.state is State.DONE)

    def _look_for(self, prefix: str, states: tuple[State, ...]) -> list[Entry]:
        looked = [state for state in _PROGRESS if state in (states or ALL_STATES)]
        return self._sorted([(s, n) for s in looked for n in self.names(s) if n.startswith(prefix)])

    def read(self, entry: Entry, limit: int | None = None) -> bytes:
        """Return the bytes of a message, as they came.

        Raises OSError(EINVAL) for what is no regular file: nothing in the spool
        is followed (a link could point at a secret) or waited for (a FIFO).
        """
        return files.read_plain(entry.path, limit)

    def retry_at(self, entry: Entry) -> float | None:
        """Seconds since the epoch at which a deferred message is due; None for any other."""
        if entry.state is not State.DEFERRED:
            return None
        due = entry.path.stat(follow_symlinks=False).st_mtime
        return max(due, self._untimed.get(entry.id, 0.0))

    # Notes

    def note(self, message_id: str, **event: Any) -> None:
        """Remember something of a message, durably; `event` must be JSON."""
        self._notes.add(message_id, event)

    def _note_if_possible(self, message_id: str, **event: Any) -> None:
        # On a full disk the rename still works, and it must happen: a message
        # that stayed where it was would be run again and again.
        with suppress(OSError):
            self.note(message_id, **event)

    def notes(self, message_id: str) -> list[dict[str, Any]]:
        """What was noted of a message, oldest first; what is no object, as a torn line, is not."""
        return self._notes.read(message_id)

    def lock_notes(self, message_id: str, patience: float = 0.0) -> AbstractContextManager[None]:
        """Be the one who decides by a message's notes, for the length of the block.

        Others may still append. A process that dies lets go. Raises TryAgainError if
        another one still holds it after `patience` seconds.
        """
        return self._notes.lock(message_id, patience)

    # Changes of state

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make all moves within the block durable at its end, with one fsync a folder.

        Raises OSError if that fails; all are taken back then, as `files.move` does it.
        """
        self._unsynced, self._moved = {}, []
        try:
            yield
        finally:
            folders, self._unsynced = self._unsynced, None
            try:
                for_all(folders, files.fsync_folder)
            except OSError:
                for source, target in reversed(self._moved):
                    files.put_back(target, source)
                with suppress(OSError):
                    for_all(folders, files.fsync_folder)
                raise

    def _move(self, entry: Entry, state: State, name: Name | None = None) -> Entry:
        self._untwin(entry)
        new = name or entry.name
        if new is None:
            # A foreign name may have been used before, and rename(2) replaces: give an id.
            # Its fingerprint is the name's, by which a twin is known (aap.inbox.twins).
            files.sync_plain(entry.path)
            new = Name(self._next_id(os.fsencode(entry.path.name)))
        target = self.folder(state) / str(new)
        if self._unsynced is None:
            files.move(entry.path, target)
        else:
            entry.path.rename(target)
            self._moved.append((entry.path, target))
            self._unsynced |= {target.parent: None, entry.path.parent: None}
        return Entry(state, target, parse_name(target.name))

    def _untwin(self, entry: Entry) -> None:
        """Leave a file one name. Raises FileNotFoundError if it is not this one."""
        found = entry.path.lstat()
        if not twins.is_linked(found):
            return
        folders = [self.folder(state) for state in _PROGRESS]
        names = twins.find_names({found.st_ino}, folders).get(found.st_ino, [])
        same = twins.same_message(entry.path, names)
        if not same:
            return
        twins.keep_last(same, found.st_ino)
        if same[-1] != entry.path:
            raise FileNotFoundError(errno.ENOENT, "moved on", str(entry.path))

    def assure(self, entry: Entry) -> None:
        """Make durable that a message is where it is: who brought it there may have died first."""
        if self._unsynced is not None:
            self._unsynced[entry.path.parent] = None
            return
        files.fsync_folder(entry.path.parent)
        while not entry.path.exists():
            entry = self.find(entry.id)
            files.fsync_folder(entry.path.parent)

    def adopt(self, entry: Entry) -> Entry:
        """Give a foreign file an id of its own, in place: ids are never reused, names are.

        Its bytes are made durable first: who put it there need not have done so.
        """
        return self._move(entry, State.INBOX)

    def put_aside(self, entry: Entry, reason: str) -> Entry:
        """Move what is no message out of inbox/ into failed/, where its name can still be read."""
        message_id = self._next_id(os.fsencode(entry.path.name))
        # NAME_MAX is 255 bytes, of which the new id takes a part.
        label = os.fsdecode(os.fsencode(entry.path.name)[: 254 - ID_CHARS])
        suffix = label if label != "json" else "json_"
        name = repr(entry.path.name)
        self._note_if_possible(message_id, event="put-aside", reason=reason, name=name)
        return self._move(entry, State.FAILED, Name(message_id, suffix=suffix))

    def claim(self, entry: Entry) -> Entry:
        """Take a message from inbox/ or deferred/ for the running worker."""
        return self._move(entry, State.ACTIVE)

    def give_back(self, entry: Entry) -> Entry:
        """Return a claimed message, as it was: its run never happened or says nothing of it."""
        return self._move(entry, State.INBOX)

    def settle(self, message: str | Entry) -> bool:
        """Mark a message as handled, wherever it is; False if it was already.

        Either way that is on the disk. Raises NotFoundError if there is no such message.
        """
        entry = self.find(message) if isinstance(message, str) else message
        while entry.state is not State.DONE:
            # It may be claimed or settled between the look and the move: look again.
            with suppress(FileNotFoundError):
                self._move(entry, State.DONE)
                return True
            entry = self.find(entry.id)
        self.assure(entry)
        return False

    def defer(self, entry: Entry, at: float, reason: str) -> Entry:
        """Put a message off until `at`, one attempt older; the mtime carries the time.

        A power cut may take that time back, since the file is not fsynced again: the
        message is then tried early, which does no harm. Messages to which a space saver
        gave one file share their time, that of the last one put off.
        """
        self._note_if_possible(entry.id, event="deferred", reason=reason, retry_at=at)
        self._set_time(entry, at)
        return self._move(entry, State.DEFERRED, self._older(entry))

    def _set_time(self, entry: Entry, at: float) -> None:
        # Where that cannot be, as with another user's file, the message is due at once for
        # all but this process, which would else use up its attempts in a moment. It is
        # an attempt older all the same: one that stayed where it was would be run again
        # without end. A copy of our own, put in its place, could bring a settled one back.
        try:
            os.utime(entry.path, (at, at))
        except OSError:
            self._untimed[entry.id] = at

    def fail(self, entry: Entry, reason: str) -> Entry:
        """Give a message up, one attempt older."""
        self._note_if_possible(entry.id, event="failed", reason=reason)
        return self._move(entry, State.FAILED, self._older(entry))

    def _older(self, entry: Entry) -> Name:
        name = entry.name or Name(entry.id)
        return name._replace(attempts=name.attempts + 1)

    def hold(self, entry: Entry) -> Entry:
        """Put a waiting message aside until `release`."""
        return self._move(entry, State.HOLD)

    def release(self, entry: Entry) -> Entry:
        """Let a held or deferred message be handled now."""
        return self._move(entry, State.INBOX)

    def retry(self, entry: Entry) -> Entry:
        """Let a message be handled again, with all its attempts before it.

        Raises UsageError for what was put aside because it is no message.
        """
        if not entry.is_message:
            raise UsageError(f"{entry.id} is no message, but {entry.path.name!r}")
        fresh = entry.name._replace(attempts=0) if entry.name else None
        return self._move(entry, State.INBOX, fresh)

    def remove(self, entry: Entry) -> None:
        """Delete a message and its notes for good. Raises IsADirectoryError for a folder.

        The message is what counts: notes that cannot be deleted now go later, or stay.
        """
        self._untwin(entry)
        entry.path.unlink()
        if self._unsynced is None:
            files.fsync_folder(entry.path.parent)
        else:
            self._unsynced[entry.path.parent] = None
        self._notes.forget(entry.id)

    # Upkeep

    def recover(self, tell: Callable[[Path], object] | None = None) -> list[Entry]:
        """Bring back what a dead worker had claimed; call it with the lock held.

        Mends what a power cut may have left, too: two names of one message, half-written
        files. Calls `tell` with each name of two that it took away.
        """
        self._sweep_left_overs()
        for gone in self._mend_twins():
            if tell:
                tell(gone)
        recovered: list[Entry] = []

        def bring_back(entry: Entry) -> None:
            with suppress(FileNotFoundError):  # settled meanwhile, or had been
                recovered.append(self._move(entry, State.INBOX))

        for_all(self.entries(State.ACTIVE), bring_back)
        return recovered

    def admit(
        self,
        now: float,
        longest: float = float("inf"),
        leave: Callable[[Entry, OSError], object] | None = None,
    ) -> list[Entry]:
        """Bring back the deferred messages that are due; call it with the lock held.

        One that is further ahead than `longest` seconds is due as well: no delay is
        that long, so the clock has been set back since, perhaps by years. (Without
        the lock a worker could miss a message that moves between its looks at two
        folders, and take a later one of the same conversation.)

        Calls `leave` for one that cannot be moved. Raises the first error that `leave`
        raises, or that there is without it, after all were looked at.
        """
        admitted: list[Entry] = []

        def look_at(entry: Entry) -> None:
            try:
                if not now < (self.retry_at(entry) or 0) <= now + longest:
                    admitted.append(self._move(entry, State.INBOX))
            except FileNotFoundError:
                pass
            except OSError as error:
                if leave is None:
                    raise
                leave(entry, error)

        for_all(self.entries(State.DEFERRED), look_at)
        return admitted

    def prune(self, max_age: float, max_count: int, now: float) -> int:
        """Delete handled messages that arrived over `max_age` seconds ago or exceed `max_count`.

        Only done/ is ever pruned. Returns how many were deleted.
        """
        if self.folder(State.DONE).is_symlink():
            return 0  # what it leads to may be anything
        done = self.entries(State.DONE)
        surplus = len(done) - max_count
        old = [
            entry
            for place, entry in enumerate(done)
            if place < surplus or (entry.name and id_time(entry.id) < now - max_age)
        ]
        for entry in old:
            with suppress(OSError):
                entry.path.unlink()
                self._notes.forget(entry.id)
        self._notes.sweep(self._ids)
        return len(old)

    def _sweep_left_overs(self) -> None:
        """Delete what killed writers left: messages that never were visible, drafts of files."""
        for item in self.folder(State.INBOX).iterdir():
            if item.name.startswith(".") and parse_name(item.name[1:]):
                files.sweep(item)
        active = self.folder(State.ACTIVE)
        for folder in (self.root, active, self.root / CONTEXT, self.root / SESSIONS):
            files.sweep_drafts(folder)

    def _ids(self) -> set[str]:
        # There may be a million: cutting names is much quicker than reading them.
        return {name[:ID_CHARS] for state in ALL_STATES for name in self.names(state)}

    def _mend_twins(self) -> Iterator[Path]:
        folders = [self.folder(state) for state in _PROGRESS]
        # The last three only grow. Two names in one of them alone are none of a move.
        inodes = twins.find_linked(folders[:3]) | twins.find_shared(folders[3:])
        for inode, names in twins.find_names(inodes, folders).items():
            for same in twins.messages(names):
                yield from twins.keep_last(same, inode)
