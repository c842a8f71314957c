"""Running the agent: the right session, the prompt, the process, and what it came to."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from aap import context, files
from aap.agents import (
    Agent,
    Ended,
    Item,
    Outcome,
    Reader,
    Report,
    Usage,
    Verdict,
    init_prompt,
    templates,
    work_prompt,
)
from aap.config import Settings
from aap.inbox import Spool
from aap.log import DailyLog
from aap.message import Conversation
from aap.worker.hook import RUN_FILE, forget_run
from aap.worker.run import Limits, Run
from aap.worker.sessions import Session, Slot, new_id
from aap.worker.stop import Stop

# What systemd tells the worker about itself is not for the agent.
_PRIVATE = frozenset((
    "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "CREDENTIALS_DIRECTORY",
    "JOURNAL_STREAM", "INVOCATION_ID", "SYSTEMD_EXEC_PID", "WATCHDOG_USEC", "WATCHDOG_PID",
    "MANAGERPID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
))  # fmt: skip


class Task(NamedTuple):
    """What one run is about: messages, and how many more wait."""

    items: list[Item]
    waiting: int

    @property
    def conversations(self) -> list[Conversation]:
        """Those that the messages belong to, each once, in the order of the messages."""
        return list(
            dict.fromkeys(i.digest.conversation for i in self.items if i.digest.conversation)
        )


class Runner:
    """Runs one agent over tasks. It moves no message."""

    def __init__(
        self, spool: Spool, log: DailyLog, stop: Stop, settings: Settings, agent: Agent
    ) -> None:
        self._spool = spool
        self._log = log
        self._stop = stop
        self._settings = settings
        self._agent = agent

    def handle(self, task: Task) -> Outcome | None:
        """Give the task to the agent; None if the run was stopped from outside.

        A session that the agent does not know any more is replaced at once.
        """
        by_conversation = self._settings.session == "conversation"
        whose = next(iter(task.conversations), None) if by_conversation else None
        slot = Slot(self._spool.root, whose)
        outcome = self._handle_in(slot, task)
        if outcome is None or outcome.verdict is not Verdict.LOST:
            return outcome
        self._log.event("notice", "worker", "session-lost", reason=outcome.reason)
        slot.forget()
        outcome = self._handle_in(slot, task)
        if outcome is None or outcome.verdict is not Verdict.LOST:
            return outcome
        return Outcome(Verdict.FAILED, outcome.reason)

    def _handle_in(self, slot: Slot, task: Task) -> Outcome | None:
        session, outcome = self._open(slot)
        if session is None:
            return outcome
        prompt = work_prompt(
            task.items,
            waiting=task.waiting,
            pointer=context.pointer(self._spool.root),
            template=self._template("work"),
        )
        facts = {
            "conversations": [str(each) for each in task.conversations],
            "ids": [item.id for item in task.items],
        }
        report = self._run(self._agent.resume, session.id, prompt, facts)
        if report is None:
            return None
        self._count(session, report, "work")
        if report.outcome.verdict in {Verdict.OK, Verdict.FAILED}:
            well = report.outcome.verdict is Verdict.OK
            slot.write(session.after(well=well, usage=report.usage))
        return report.outcome

    # Sessions

    def _open(self, slot: Slot) -> tuple[Session | None, Outcome | None]:
        """Return the session to work in; without one, what its first run came to."""
        settings, agent, now = self._settings, self._agent, time.time()
        session = slot.read()
        if session and not session.is_over(
            agent.key, settings.session_max_age, settings.session_max_runs, now
        ):
            return session, None
        for note in agent.notes:
            self._log.event("notice", "worker", "command-changed", note=note)
        ident = new_id() if agent.chooses_id else ""
        session = Session(agent.key, ident, now, slot.conversation)
        if agent.fresh:
            prompt = init_prompt(self._workspace, self._template("init"))
            report = self._run(agent.fresh, ident, prompt, {})
            if report is None or report.outcome.verdict is not Verdict.OK:
                return None, _as_outage(report)
            session = session._replace(id=report.session or ident)
            self._count(session, report, "init")
            session = session.after(well=True, usage=report.usage)
        slot.write(session)
        return session, None

    def _template(self, name: str) -> str:
        """Return the workspace's own words for a prompt, or aap's where it has none."""
        template = templates.load(self._spool.root, name)
        if template.trouble:
            self._log.event("warning", "worker", "template-ignored",
                            file=template.path, reason=template.trouble)  # fmt: skip
        return template.text

    def _count(self, session: Session, report: Report, kind: str) -> None:
        if report.usage is None:
            return
        used = session.share(report.usage)._asdict()
        facts = {"time": round(time.time(), 3), "agent": self._agent.name, "session": session.id}
        with suppress(OSError):
            context.record(self._spool.root, {**facts, "kind": kind, **used})

    # The process

    @property
    def _workspace(self) -> Path:
        return self._spool.root.parent

    def _run(
        self, command: tuple[str, ...], session: str, prompt: str, facts: dict[str, Any]
    ) -> Report | None:
        text = prompt.encode("utf-8", "replace").replace(b"\0", b"")
        argv = [os.fsencode(word.replace("{id}", session)) for word in self._with_hooks(command)]
        argv += [] if self._agent.prompt_on_stdin else [text]
        start = time.monotonic()
        self._log.event(
            "info", "worker", "run-started", agent=self._agent.name,
            messages=len(facts.get("ids", ())), prompt_bytes=len(text),
            session=session or None, kind=None if facts else "init",
        )  # fmt: skip
        reader = self._agent.reader()
        ended = self._wait(argv, text if self._agent.prompt_on_stdin else b"", reader, facts)
        report = reader.end(ended)
        return self._tell_end(report, ended, time.monotonic() - start)

    def _with_hooks(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """Add what has the agent told of later messages in mid-run, where it can be told."""
        if self._agent.hooks is None:
            return command
        import shlex

        hook = [sys.executable, "-I", "-m", "aap.worker.hook", str(self._workspace)]
        words = self._agent.hooks(shlex.join(hook))
        # Before a closing "-", which stands for standard input.
        end = 1 if command[-1] == "-" else 0
        return (*command[: len(command) - end], *words, *command[len(command) - end :])

    def _tell_end(self, report: Report, ended: Ended, seconds: float) -> Report | None:
        outcome, usage = report.outcome, report.usage or Usage(0, 0, 0)
        well = outcome.verdict is Verdict.OK
        stopped = self._stop.asked and not well
        self._log.event(
            "info" if well or stopped else "warning", "worker", "run-ended",
            outcome="stopped" if stopped else outcome.verdict.value,
            code=ended.code, seconds=f"{seconds:.1f}", reason=outcome.reason or None,
            session=report.session or None, input=usage.input or None,
            cached=usage.cached or None, output=usage.output or None,
        )  # fmt: skip
        return None if stopped else report

    def _wait(
        self, argv: list[bytes], stdin: bytes, reader: Reader, facts: dict[str, Any]
    ) -> Ended:
        settings = self._settings
        limits = Limits(settings.run_timeout, settings.stop_grace)
        transcript = _Transcript(self._log, settings.log_run_max)
        try:
            with Run(argv, self._workspace, self._environment(), stdin) as run:
                self._tell_status(run.pid, facts)
                return run.wait(limits, self._stop, lambda text: transcript.add(reader.line(text)))
        except OSError as error:
            return Ended(127, error=f"cannot start {os.fsdecode(argv[0])}: {error.strerror}")
        finally:
            transcript.close()
            forget_run(self._spool.root)

    def _environment(self) -> dict[str, str]:
        environment = {key: value for key, value in os.environ.items() if key not in _PRIVATE}
        # The agent's own `aap` commands mean this workspace. Our programs come last
        # on its PATH: the interpreter beside them must not replace the user's.
        environment["AAP_WORKSPACE"] = str(self._workspace)
        programs = str(Path(sys.executable).parent)
        environment["PATH"] = ":".join((environment.get("PATH") or os.defpath, programs))
        return environment | dict(self._agent.environment)

    def _tell_status(self, pid: int, facts: dict[str, Any]) -> None:
        told = {"pid": pid, "started": time.time(), "agent": self._agent.name, **facts}
        with suppress(OSError):  # a full disk must not keep the agent from its work
            files.write_atomic(self._spool.root / RUN_FILE, json.dumps(told).encode())


class _Transcript:
    """What the agent printed, in the day's log, up to LOG_RUN_MAX bytes a run."""

    def __init__(self, log: DailyLog, limit: int) -> None:
        self._log = log
        self._room = limit
        self._left_out = 0

    def add(self, text: str | None) -> None:
        """Log what a reader made of a line."""
        for line in (text or "").splitlines():
            kept = line[: self._room]
            self._left_out += len(line) - len(kept)
            self._room -= len(kept)
            if kept or not line:
                self._log.text("agent", kept)

    def close(self) -> None:
        """Say how much is missing."""
        if self._left_out:
            self._log.text("agent", f"[{self._left_out} characters more were printed and left out]")


def _as_outage(report: Report | None) -> Outcome | None:
    """A session that cannot be built says nothing of the messages that wait for it."""
    if report is None:
        return None
    return Outcome(Verdict.OUTAGE, f"no session could be started: {report.outcome.reason}")
