"""The loop: recover, claim, run the agent, settle, look again.

A message is in active/ while a run has it. However the worker ends, the next one
finds it there and brings it back, so it is handled at least once; and `aap inbox
done`, or the good end of a run, is one rename that no crash undoes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from aap import config, files
from aap.agents import Agent, Ended, Item, Outcome, Verdict, find_agent, init_prompt, work_prompt
from aap.config import Settings
from aap.errors import ConfigError
from aap.inbox import Entry, Spool
from aap.log import DailyLog
from aap.message import State, id_time
from aap.worker import family
from aap.worker.batch import Queue
from aap.worker.outage import Outage
from aap.worker.run import Limits, Run
from aap.worker.session import Session, read_session, write_session
from aap.worker.stop import Stop

RUN_FILE = "RUN"  # what runs now, for `aap status`; gone when nothing does
_UNRIPE_WAIT = 0.5

# What systemd tells the worker about itself is not for the agent.
_PRIVATE = frozenset((
    "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "CREDENTIALS_DIRECTORY",
    "JOURNAL_STREAM", "INVOCATION_ID", "SYSTEMD_EXEC_PID", "WATCHDOG_USEC", "WATCHDOG_PID",
    "MANAGERPID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
))  # fmt: skip


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

    @property
    def _workspace(self) -> Path:
        return self._spool.root.parent

    def _load(self) -> Settings:
        return config.load(workspace=str(self._workspace)).settings

    def drain(self) -> None:
        """Handle messages until none is ready, or `stop` is asked."""
        self._recover()
        family.adopt_orphans()
        while not self._stop.asked:
            batch = self._queue.claim(self._settings.batch_max)
            if batch:
                self._handle(batch)
            elif self._queue.unripe:
                self._stop.wait(_UNRIPE_WAIT)
            else:
                break
        self._prune()

    def _recover(self) -> None:
        with suppress(FileNotFoundError):
            (self._spool.root / RUN_FILE).unlink()
        for entry in self._spool.recover():
            self._log.event("notice", "worker", "recovered", id=entry.id)

    def _prune(self) -> None:
        settings = self._settings
        self._spool.prune(settings.done_max_age, settings.done_max, time.time())
        self._log.prune(settings.log_max_age)

    def _handle(self, batch: list[Entry]) -> None:
        for entry in batch:
            conversation = self._queue.digest(entry).conversation
            self._log.event(
                "info", "worker", "claimed", id=entry.id, attempt=entry.attempts + 1,
                conversation=conversation,
            )  # fmt: skip
        outcome = self._try(batch)
        left = [entry for entry in batch if entry.path.exists()]
        if outcome is None:
            self._give_back(left, "stopped")
        elif outcome.verdict is Verdict.OUTAGE:
            self._give_back(left, outcome.reason)
            self._sit_out(outcome.reason)
        else:
            self._end_outage()
            self._settle(left) if outcome.verdict is Verdict.OK else self._defer(left, outcome)

    def _try(self, batch: list[Entry]) -> Outcome | None:
        """Run the agent over a batch; None if the run was stopped from outside."""
        try:
            self._settings = self._load()
            settings = self._settings
            agent = find_agent(settings.agent, settings.agent_init_cli, settings.agent_cli)
        except ConfigError as error:
            return Outcome(Verdict.OUTAGE, str(error))
        session, outcome = self._open_session(agent)
        if session is None:
            return outcome
        outcome = self._run(agent, agent.work, self._prompt(batch), [e.id for e in batch])
        if outcome and outcome.verdict is Verdict.OK:
            write_session(self._spool.root, session.next_run())
        return outcome

    def _open_session(self, agent: Agent) -> tuple[Session | None, Outcome | None]:
        """Return the session to work in; without one, what its init run came to."""
        settings, now = self._settings, time.time()
        session = read_session(self._spool.root)
        over = session is None or session.is_over(
            agent.key, settings.session_max_age, settings.session_max_runs, now
        )
        if session and not over:
            return session, None
        for note in agent.notes:
            self._log.event("notice", "worker", "command-changed", note=note)
        if agent.init:
            outcome = self._run(agent, agent.init, init_prompt(self._workspace), [])
            if outcome is None or outcome.verdict is not Verdict.OK:
                return None, _as_outage(outcome)
        session = Session(agent.key, now)
        write_session(self._spool.root, session)
        return session, None

    def _prompt(self, batch: list[Entry]) -> str:
        now = time.time()
        items = [
            Item(
                entry.id,
                self._queue.digest(entry),
                age=max(0.0, now - id_time(entry.id)),
                attempts=entry.attempts,
                sent=tuple(
                    str(note.get("text", ""))
                    for note in self._spool.notes(entry.id)
                    if note.get("event") == "reply"
                ),
            )
            for entry in batch
        ]
        return work_prompt(items, waiting=self._spool.count(State.INBOX))

    def _run(
        self, agent: Agent, argv: tuple[str, ...], prompt: str, ids: list[str]
    ) -> Outcome | None:
        text = prompt.encode("utf-8", "replace").replace(b"\0", b"")
        words = [os.fsencode(word) for word in argv]
        if not agent.prompt_on_stdin:
            words.append(text)
        start = time.monotonic()
        self._log.event("info", "worker", "run-started", agent=agent.name, messages=len(ids),
                        prompt_bytes=len(text), kind=None if ids else "init")  # fmt: skip
        ended = self._wait(words, text if agent.prompt_on_stdin else b"", ids)
        outcome = agent.judge(ended)
        stopped = self._stop.asked and outcome.verdict is not Verdict.OK
        self._log.event(
            "info" if outcome.verdict is Verdict.OK or stopped else "warning", "worker",
            "run-ended", outcome="stopped" if stopped else outcome.verdict.value,
            code=ended.code, seconds=f"{time.monotonic() - start:.1f}",
            reason=outcome.reason or None,
        )  # fmt: skip
        return None if stopped else outcome

    def _wait(self, argv: list[bytes], stdin: bytes, ids: list[str]) -> Ended:
        settings = self._settings
        limits = Limits(settings.run_timeout, settings.stop_grace, settings.log_run_max)
        try:
            with Run(argv, self._workspace, self._environment(), stdin) as run:
                self._tell_status(run.pid, argv[0], ids)
                return run.wait(limits, self._stop, lambda text: self._log.text("agent", text))
        except OSError as error:
            return Ended(127, error=f"cannot start {os.fsdecode(argv[0])}: {error.strerror}")
        finally:
            with suppress(OSError):
                (self._spool.root / RUN_FILE).unlink()

    def _environment(self) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if key not in _PRIVATE}
        # The agent's own `aap` commands mean this workspace. Our programs come last
        # on its PATH: the interpreter beside them must not replace the user's.
        environment["AAP_WORKSPACE"] = str(self._workspace)
        programs = str(Path(sys.executable).parent)
        environment["PATH"] = ":".join((environment.get("PATH") or os.defpath, programs))
        return environment

    def _tell_status(self, pid: int, command: bytes, ids: list[str]) -> None:
        facts = {"pid": pid, "started": time.time(), "ids": ids, "command": os.fsdecode(command)}
        with suppress(OSError):  # a full disk must not keep the agent from its work
            files.write_atomic(self._spool.root / RUN_FILE, json.dumps(facts).encode())

    # What becomes of the messages that the run left open

    def _settle(self, left: list[Entry]) -> None:
        for entry in left:
            if self._spool.settle(entry.id):
                self._log.event("info", "worker", "settled", id=entry.id)

    def _defer(self, left: list[Entry], outcome: Outcome) -> None:
        if not left:
            return
        settings = self._settings
        # One time for all: what belongs together comes back together.
        tries = max(entry.attempts for entry in left)
        delay = min(settings.retry_max, settings.retry_min * 2**tries) * _jitter()
        for entry in left:
            with suppress(FileNotFoundError):
                self._put_off(entry, time.time() + delay, outcome.reason)

    def _put_off(self, entry: Entry, at: float, reason: str) -> None:
        tried = entry.attempts + 1
        if tried >= self._settings.max_attempts:
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
        delay = self._outage.begin_or_go_on(reason, time.time())
        self._log.event("error", "worker", "outage", reason=reason, seconds=round(delay))
        deadline = time.monotonic() + delay
        while not self._stop.asked and time.monotonic() < deadline:
            self._stop.wait(deadline - time.monotonic())

    def _end_outage(self) -> None:
        if self._outage.end():
            self._log.event("notice", "worker", "outage-over")


def _jitter() -> float:
    """A factor from 0.8 to 1.2. (The module random takes 4 ms to import.)"""
    return 0.8 + 0.4 * os.urandom(1)[0] / 255


def _as_outage(outcome: Outcome | None) -> Outcome | None:
    """A session that cannot be built says nothing of the messages that wait for it."""
    if outcome is None:
        return None
    return Outcome(Verdict.OUTAGE, f"no session could be started: {outcome.reason}")
