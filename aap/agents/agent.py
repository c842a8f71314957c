"""The presets: facts about each agent CLI, and the one that a configuration names.

A preset says how the CLI is started without a terminal, how it takes the prompt,
and how success is told from failure. A list of facts, no plug-ins: a new CLI is
a new entry.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from aap.errors import ConfigError


class Verdict(str, Enum):
    """What the end of a run says of the messages it was given."""

    OK = "ok"  # they are handled
    FAILED = "failed"  # they cost an attempt
    OUTAGE = "outage"  # the agent itself is out of order: they lose nothing


class Outcome(NamedTuple):
    """A verdict, and its reason in one line for people."""

    verdict: Verdict
    reason: str = ""


class Ended(NamedTuple):
    """How a run ended: exit code (-N for signal N), why aap ended it, its last output."""

    code: int
    timed_out: bool = False
    error: str = ""  # the command could not be started at all
    tail: bytes = b""


class Agent(NamedTuple):
    """The commands of one agent. `init` is empty where a session needs no step of its own."""

    name: str
    init: tuple[str, ...]
    work: tuple[str, ...]
    prompt_on_stdin: bool
    judge: Callable[[Ended], Outcome]
    notes: tuple[str, ...] = ()  # what was changed in the configured commands, and why

    @property
    def key(self) -> str:
        """Changes when the commands do: a session belongs to one key."""
        return shlex.join((*self.init, "|", *self.work))


def judge_exit(ended: Ended) -> Outcome:
    """Read the exit code, as a command of the user's own is free to define it.

    126 and 127 are the shell's "cannot run" and "not found": the agent's fault.
    """
    if ended.error:
        return Outcome(Verdict.OUTAGE, ended.error)
    if ended.timed_out:
        return Outcome(Verdict.FAILED, "the run took longer than RUN_TIMEOUT and was ended")
    if ended.code == 0:
        return Outcome(Verdict.OK)
    if ended.code in (126, 127):
        return Outcome(Verdict.OUTAGE, f"the agent's command cannot be run (exit {ended.code})")
    how = f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"
    return Outcome(Verdict.FAILED, f"the agent ended with {how}")


ECHO = Agent(
    name="echo",
    init=(),
    work=(sys.executable, "-I", "-m", "aap.agents.echo"),
    prompt_on_stdin=True,
    judge=judge_exit,
)

PRESETS = ("echo", "custom")


def find_agent(preset: str, init_command: str, work_command: str) -> Agent:
    """Return the agent that the settings AGENT, AGENT_INIT_CLI and AGENT_CLI name.

    Raises ConfigError if they name none, or none that aap knows.
    """
    if preset == "echo":
        return ECHO
    if preset not in ("", "custom"):
        raise ConfigError(f"AGENT={preset} is unknown", hint=f"one of: {', '.join(PRESETS)}")
    if not (work_command or init_command):
        raise ConfigError("no agent is configured", hint="aap config set AGENT_CLI 'COMMAND …'")
    init, init_note = _read_command("AGENT_INIT_CLI", init_command)
    work, work_note = _read_command("AGENT_CLI", work_command or init_command)
    notes = tuple(note for note in (init_note, work_note) if note)
    return Agent("custom", init, work, prompt_on_stdin=False, judge=judge_exit, notes=notes)


def _read_command(key: str, text: str) -> tuple[tuple[str, ...], str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{key} cannot be read: {error}", hint=f"aap config get {key}") from error
    words = [str(Path(word).expanduser()) if word.startswith("~") else word for word in words]
    return _without_terminal(tuple(words))


def _without_terminal(words: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Mend the one command that the seed's sample has and that cannot run from systemd.

    `codex resume` is a terminal program: "Error: stdin is not a terminal". Its
    `exec resume` takes the same words and also wants the check of the folder off.
    """
    if len(words) < 2 or Path(words[0]).name != "codex" or words[1] != "resume":
        return words, ""
    check = "--skip-git-repo-check"
    rest = words[2:] if check in words else (*words[2:], check)
    return (
        (words[0], "exec", "resume", *rest),
        "codex resume needs a terminal: running codex exec resume instead",
    )
