"""Trying the agent out, for `aap agent test`: where the worker runs, and as it does.

The command starts this under a copy of the worker's unit, so that it has the same
PATH, HOME and sandbox. No message and no session of the workspace is touched.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from aap.agents import Agent, Ended, Usage, Verdict, find_agent
from aap.config import Settings
from aap.worker import family
from aap.worker.run import Limits, Run
from aap.worker.sessions import new_id
from aap.worker.stop import Stop

PROMPT = "This is a test of the connection. Reply with the single word: ready"
_VERSION_TIMEOUT = 20.0


def try_out(workspace: Path, settings: Settings, stop: Stop) -> dict[str, Any]:
    """Run the agent once; return what was found, as JSON facts.

    Raises ConfigError if no agent is configured.
    """
    agent = find_agent(settings.agent, settings.agent_init_cli, settings.agent_cli)
    command = agent.fresh or agent.resume
    found = shutil.which(command[0])
    facts: dict[str, Any] = {
        "agent": agent.name,
        "command": list(command),
        "program": found,
        "version": _version(found) if found and agent.name not in {"echo", "custom"} else "",
        "notes": list(agent.notes),
        "path": os.environ.get("PATH", ""),
    }
    if found is None:
        return facts | {"verdict": "outage", "reason": f"{command[0]} is not in this PATH"}
    return facts | _run(agent, command, workspace, settings, stop)


def _version(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace").strip()[:200]


def _run(
    agent: Agent, command: tuple[str, ...], workspace: Path, settings: Settings, stop: Stop
) -> dict[str, Any]:
    argv = [os.fsencode(word.replace("{id}", new_id())) for word in command]
    argv += [] if agent.prompt_on_stdin else [PROMPT.encode()]
    reader, printed = agent.reader(), list[str]()
    limits = Limits(min(settings.run_timeout, 120.0), settings.stop_grace)
    start = time.monotonic()

    def keep(text: str) -> None:
        shown = reader.line(text)
        if shown and len(printed) < 50:
            printed.append(shown)

    family.adopt_orphans()
    environment = dict(os.environ) | dict(agent.environment)
    try:
        with Run(
            argv, workspace, environment, PROMPT.encode() if agent.prompt_on_stdin else b""
        ) as run:
            ended = run.wait(limits, stop, keep)
    except OSError as error:
        ended = Ended(127, error=f"cannot start {command[0]}: {error.strerror}")
    report = reader.end(ended)
    usage = report.usage or Usage(0, 0, 0)
    return {
        "verdict": report.outcome.verdict.value,
        "reason": report.outcome.reason,
        "seconds": round(time.monotonic() - start, 1),
        "code": ended.code,
        "session": report.session,
        "printed": printed,
        "usage": usage._asdict() if report.usage else None,
        "logged_in": _logged_in(report.outcome.verdict, report.outcome.reason),
    }


def _logged_in(verdict: Verdict, reason: str) -> bool | None:
    """Tell from the run itself; None where it says nothing of that."""
    if verdict is Verdict.OK:
        return True
    return False if reason.startswith(("not logged in", "not authorised")) else None


def print_trial(workspace: Path, settings: Settings) -> None:
    """Print the facts as one line of JSON."""
    import signal

    with Stop(signal.SIGTERM, signal.SIGINT) as stop:
        facts = try_out(workspace, settings, stop)
    os.write(1, json.dumps(facts).encode() + b"\n")
