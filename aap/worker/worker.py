"""The loop: recover, claim, run the agent, settle, look again.

A message is in active/ while a run has it. However the worker ends, the next one
finds it there and brings it back, so it is handled at least once; and `aap inbox
done`, or the good end of a run, is one rename that no crash undoes.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import aap
from aap import WORKSPACE_FILE, blank, config
from aap.agents import Item, Outcome, Verdict, find_agent
from aap.config import Settings
from aap.errors import ConfigError, Exit, NotFoundError, describe, exit_of, for_all
from aap.inbox import Entry, Spool, read_pause
from aap.log import DailyLog
from aap.message import State, id_time
from aap.worker import family
from aap.worker.batch import Queue
from aap.worker.hook import forget_run
from aap.worker.outage import Outage
from aap.worker.retry import longest_delay, next_delay
from aap.worker.runner import Runner, Task
from aap.worker.stop import Stop
from aap.worker.upkeep import readmit, recover
from aap.worker.voice import tell_chat, tell_operator

_PAUSE_POLL = 0.5
_OUTAGE_POLL = 0.5
# Seconds that a worker lives at least where systemd starts the next one at once: else
# messages that come one by one to a quick agent would have one started for each.
_SHORTEST_LIFE = 0.5
_LINGER_POLL = 0.05
_DEFERRED_POLL = 1.0
_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))
_DISK_POLL = 1.0
_UNKNOWN = "(what was sent before cannot be read: look before you answer)"


class Worker:
    """The one worker of a spool. The caller holds the spool's lock.

    Settings are read again for each run, so that a changed one counts at once.
    """

    def __init__(self, spool: Spool, log: DailyLog, stop: Stop) -> None:
        self._spool = spool
        self._log = log
        self._stop = stop
        self._settings = self._load()
        self._queue = Queue(spool, log, self._settings.max_body)
        self._outage = Outage(spool.root)
        self._code = _stamp(Path(aap.__file__))
        self._is_units = _is_started_by_systemd()
        self._settings_file = _stamp(self._workspace / WORKSPACE_FILE)
        life = _SHORTEST_LIFE if self._is_units else 0.0
        self._stays_until = time.monotonic() + life
        self._leaves_work = False
        self._deferred_at, self._look_again_at = 0, 0.0  # nanoseconds of an mtime; monotonic

    @property
    def _workspace(self) -> Path:
        return self._spool.root.parent

    def _load(self) -> Settings:
        return config.load(workspace=str(self._workspace)).settings

    def drain(self) -> bool:
        """Handle messages until none is ready, or `stop` is asked.

        Returns True if it is right to leave although messages wait: the workspace is
        paused and not watched, or the next worker, started at once, has newer code, or
        keeps newer settings from the agent.
        """
        forget_run(self._spool.root)
        recover(self._spool, self._log)
        family.adopt_orphans()
        while self._may_go_on():
            batch = self._next_batch()
            if batch:
                self._handle(batch)
            elif self._queue.wait:
                self._stop.wait(self._queue.wait)
            elif time.monotonic() < self._stays_until:
                self._stop.wait(_LINGER_POLL)
            else:
                break
        self._prune()
        return self._leaves_work

    def _next_batch(self) -> list[Entry]:
        settings = self._settings
        self._readmit()
        # Sessions of their own would be of no use if one run saw all conversations.
        mixed = settings.batch == "workspace" and settings.session == "workspace"
        return self._queue.claim(settings.batch_max, settings.settle, mixed=mixed)

    def _readmit(self) -> None:
        """Bring back what is due. To look at each of thousands for each message takes long."""
        changed = self._spool.folder(State.DEFERRED).stat().st_mtime_ns
        if changed == self._deferred_at and time.monotonic() < self._look_again_at:
            return
        longest = longest_delay(self._settings)
        readmit(self._spool, self._log, longest, self._queue.leave_unmoved)
        self._deferred_at = changed
        self._look_again_at = time.monotonic() + _DEFERRED_POLL

    def _may_go_on(self) -> bool:
        """Wait as long as the workspace is paused; False when it is time to leave."""
        return self._is_current() and self._sit_out_pause()

    def _is_current(self) -> bool:
        """False if aap was replaced by another version: what is loaded later would be its.

        Or if the settings file was, which the unit shows the agent read-only: no mount
        holds the new one before the next worker is started.
        """
        if _stamp(Path(aap.__file__)) not in {self._code, None}:
            self._log.event("notice", "worker", "replaced")
        elif self._is_units and self._has_new_settings():
            self._log.event("notice", "worker", "settings-replaced")
        else:
            return True
        self._leaves_work = True
        return False

    def _has_new_settings(self) -> bool:
        with suppress(OSError):
            blank.make(self._workspace)
        return _stamp(self._workspace / WORKSPACE_FILE) != self._settings_file

    def _sit_out_pause(self) -> bool:
        """Wait for the end of a pause; False if the worker is to leave.

        It leaves a paused workspace only when its path unit does not watch: else
        the next one would be started at once, and again.
        """
        pause = None if self._stop.asked else read_pause(self._spool.root)
        if pause is None:
            return not self._stop.asked
        self._log.event("notice", "worker", "paused", reason=pause.reason or None)
        while pause and not pause.unwatched and not self._stop.asked:
            self._stop.wait(_PAUSE_POLL)
            pause = read_pause(self._spool.root)
        self._leaves_work = pause is not None
        return pause is None and not self._stop.asked

    def _prune(self) -> None:
        settings = self._settings
        try:
            self._spool.prune(settings.done_max_age, settings.done_max, time.time())
        except OSError as error:  # nobody waits for that
            self._log.event("warning", "worker", "not-pruned", reason=describe(error))
        self._log.prune(settings.log_max_age, settings.log_max)

    def _handle(self, batch: list[Entry]) -> None:
        for entry in batch:
            self._log.event(
                "info", "worker", "claimed", id=entry.id, attempt=entry.attempts + 1,
                conversation=self._queue.digest(entry).conversation,
            )  # fmt: skip
        outcome = self._try(batch)
        # All of active/ is this run's: a hook claimed later messages that the agent has seen.
        left = self._spool.entries(State.ACTIVE)
        for entry in left:
            if entry.id not in {each.id for each in batch}:
                self._log.event("info", "worker", "told", id=entry.id)
        if outcome is None:
            self._give_back(left, "stopped")
        elif outcome.verdict is Verdict.OUTAGE:
            self._give_back(left, outcome.reason)
            self._sit_out(outcome.reason)
        else:
            self._end_outage()
            well = outcome.verdict is Verdict.OK
            self._insist(lambda: self._settle(left)) if well else self._defer(left, outcome)

    def _try(self, batch: list[Entry]) -> Outcome | None:
        """Run the agent over a batch; None if the run was stopped from outside."""
        try:
            self._settings = self._load()
            settings = self._settings
            agent = find_agent(settings.agent, settings.agent_init_cli, settings.agent_cli)
        except ConfigError as error:
            return Outcome(Verdict.OUTAGE, str(error))
        runner = Runner(self._spool, self._log, self._stop, settings, agent)
        waiting = self._spool.count(State.INBOX)
        return runner.handle(Task(self._items(batch), waiting))

    def _items(self, batch: list[Entry]) -> list[Item]:
        now = time.time()
        return [
            Item(
                entry.id,
                self._queue.digest(entry),
                age=max(0.0, now - id_time(entry.id)),
                attempts=entry.attempts,
                sent=self._sent(entry.id),
            )
            for entry in batch
        ]

    def _sent(self, message_id: str) -> tuple[str, ...]:
        try:
            notes = self._spool.notes(message_id)
        except OSError as error:
            if exit_of(error) == Exit.TRY_AGAIN:
                raise
            # A folder in its place, a bad block: it would be so for each worker after this one.
            log = self._log.event
            log("error", "worker", "notes-unreadable", id=message_id, reason=describe(error))
            return (_UNKNOWN,)
        if not notes:
            return ()
        from aap.delivery import told

        return told(notes)

    # What becomes of the messages that the run left open

    def _settle(self, left: list[Entry]) -> None:
        def settle(entry: Entry) -> None:
            # Looked for again: `_insist` may come back after minutes. What was deleted
            # meanwhile holds up no other, and what was put back is to be run again.
            with suppress(NotFoundError):
                now = self._spool.find(entry.id)
                if now.state in {State.ACTIVE, State.DONE} and self._spool.settle(now):
                    self._log.event("info", "worker", "settled", id=entry.id)

        for_all(left, settle)

    def _insist(self, settle: Callable[[], None]) -> None:
        """Settle, for another run would do all of it again.

        However long a full disk refuses, and once more after any other fault.
        """
        is_told = False
        while True:
            try:
                return settle()
            except OSError as error:
                if self._stop.asked or (is_told and error.errno not in _FULL):
                    raise
                if not is_told:
                    reason = error.strerror
                    self._log.event("error", "worker", "not-settled", reason=reason)
                is_told = True
                self._stop.wait(_DISK_POLL)

    def _defer(self, left: list[Entry], outcome: Outcome) -> None:
        if not left:
            return
        settings = self._settings
        # One time for all: what belongs together comes back together.
        tries = max(entry.attempts for entry in left)
        delay = next_delay(settings, tries)
        for entry in left:
            with suppress(FileNotFoundError):
                self._put_off(entry, time.time() + delay, outcome.reason)

    def _put_off(self, entry: Entry, at: float, reason: str) -> None:
        tried = entry.attempts + 1
        if tried >= self._settings.max_attempts:
            # Told first: who dies in between tries once more, and tells nobody twice.
            tell_chat(self._spool, self._settings, self._log, entry, self._queue.digest(entry))
            self._spool.fail(entry, reason)
            self._log.event("error", "worker", "failed", id=entry.id, attempts=tried, reason=reason)
            return
        self._spool.defer(entry, at, reason)
        self._log.event("warning", "worker", "deferred", id=entry.id, attempts=tried,
                        seconds=round(at - time.time()), reason=reason)  # fmt: skip

    def _give_back(self, left: list[Entry], reason: str) -> None:
        for entry in left:
            with suppress(FileNotFoundError):
                self._spool.give_back(entry)
                self._log.event("info", "worker", "given-back", id=entry.id, reason=reason)

    # The agent's own faults

    def _sit_out(self, reason: str) -> None:
        """Wait before the agent is tried again: its outage is not the messages' fault."""
        is_new = not self._outage.is_known
        delay = self._outage.begin_or_go_on(reason, time.time())
        self._log.event("error", "worker", "outage", reason=reason, seconds=round(delay))
        if is_new:
            tell_operator(self._settings, self._log, "outage", reason)
        deadline = time.monotonic() + delay
        while not (self._stop.asked or self._outage.is_lifted) and time.monotonic() < deadline:
            self._stop.wait(min(_OUTAGE_POLL, max(0.0, deadline - time.monotonic())))

    def _end_outage(self) -> None:
        if self._outage.end():
            self._log.event("notice", "worker", "outage-over")


def _is_started_by_systemd() -> bool:
    """Tell a unit's own process from what was started within one; systemd.exec(5)."""
    return os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())


def _stamp(path: Path) -> tuple[int, int] | None:
    """Know a file again; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
