"""The table of agents: how each CLI is started without a terminal.

A list of facts, no plug-ins: a new CLI is a new row, and a reader in `readers.py`
if it prints something of its own. A configured command wins over the row's; one
that is recognised (the seed's samples are) gets the row's way of owning a session.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from aap.agents import readers
from aap.agents.agent import Agent, Reader
from aap.agents.hooks import claude_hooks, codex_hooks
from aap.errors import ConfigError, did_you_mean


class Preset(NamedTuple):
    """One CLI. `{id}` in a word stands for the session's id.

    `own` are the options that aap gives itself: in a configured command of this CLI
    they are dropped, with the value after them where the table says 1.
    """

    program: str
    fresh: tuple[str, ...]
    resume: tuple[str, ...]
    flags: tuple[str, ...]  # where nothing is configured: an agent that may act unattended
    output: tuple[str, ...]  # makes it print what the reader reads
    reader: Callable[[], Reader]
    own: dict[str, int]
    chooses_id: bool = False
    hooks: Callable[[str], tuple[str, ...]] | None = None
    prompt: str = "-"  # "" where standard input is read without being told
    environment: tuple[tuple[str, str], ...] = ()


PRESETS: dict[str, Preset] = {
    "codex": Preset(
        program="codex",
        fresh=("exec",),
        resume=("exec", "resume", "{id}"),
        flags=("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
        # Its login shell would set PATH anew, and not find `aap` where the unit has it.
        output=("--json", "-c", "allow_login_shell=false"),
        reader=readers.CodexReader,
        hooks=codex_hooks,
        own={"--last": 0, "--all": 0, "--json": 0, "-": 0},
    ),
    "claude": Preset(
        program="claude",
        fresh=("-p", "--session-id", "{id}"),
        resume=("-p", "-r", "{id}"),
        flags=("--dangerously-skip-permissions",),
        output=("--output-format", "stream-json", "--verbose"),
        reader=readers.ClaudeReader,
        own={"-p": 0, "--print": 0, "-c": 0, "--continue": 0, "-r": 1, "--resume": 1,
             "--session-id": 1, "--output-format": 1, "--verbose": 0},
        hooks=claude_hooks,
        chooses_id=True,
        prompt="",
    ),
    "gemini": Preset(
        program="gemini",
        fresh=(),
        # It numbers its sessions anew for each folder: "latest" is the best it has.
        resume=("-r", "latest"),
        flags=("-y",),
        output=("--output-format", "json"),
        reader=readers.GeminiReader,
        own={"-p": 1, "--prompt": 1, "-r": 1, "--resume": 1, "--output-format": 1, "-o": 1},
        prompt="",
        environment=(("GEMINI_CLI_TRUST_WORKSPACE", "true"),),
    ),
    "opencode": Preset(
        program="opencode",
        fresh=("run",),
        resume=("run", "-s", "{id}"),
        flags=(),
        output=("--format", "json"),
        reader=readers.OpencodeReader,
        own={"-c": 0, "--continue": 0, "-s": 1, "--session": 1, "--format": 1},
        prompt="",
    ),
    "pi": Preset(
        program="pi",
        fresh=("-p",),
        resume=("-p", "--session", "{id}"),
        flags=(),
        output=("--mode", "json"),
        reader=readers.PiReader,
        own={"-p": 0, "--print": 0, "-c": 0, "--continue": 0, "--session": 1, "--mode": 1},
        prompt="",
    ),
    "goose": Preset(
        program="goose",
        fresh=("run", "-q", "-n", "{id}"),
        resume=("run", "-q", "-r", "-n", "{id}"),
        flags=(),
        output=("-i",),
        reader=readers.GooseReader,
        own={"-q": 0, "-r": 0, "-n": 1, "-t": 1, "-i": 1},
        chooses_id=True,
    ),
}  # fmt: skip

ECHO = Agent(
    name="echo",
    fresh=(),
    resume=(sys.executable, "-I", "-m", "aap.agents.echo"),
    prompt_on_stdin=True,
    reader=readers.PlainReader,
)

_SUBCOMMANDS = frozenset(("exec", "e", "resume", "run"))

NAMES = (*PRESETS, "echo", "custom")


def find_agent(name: str, init_command: str, work_command: str) -> Agent:
    """Return the agent that the settings AGENT, AGENT_INIT_CLI and AGENT_CLI name.

    Raises ConfigError if they name none, or none that aap knows.
    """
    if name not in ("", *NAMES):
        hint = did_you_mean(name, NAMES, f"one of: {', '.join(NAMES)}")
        raise ConfigError(f"AGENT={name} is unknown", hint=hint)
    if name == "echo":
        return ECHO
    init = _read_command("AGENT_INIT_CLI", init_command)
    work = _read_command("AGENT_CLI", work_command)
    if not (init or work or name in PRESETS):
        raise ConfigError(
            "no agent is configured",
            hint="aap config set AGENT codex   # others: aap config explain AGENT",
        )
    preset = name if name != "custom" else ""
    if name == "":
        preset = _recognise(init or work, work or init)
    if preset:
        return _make(preset, init or work, work or init)
    return Agent("custom", init, work or init, prompt_on_stdin=False, reader=readers.PlainReader)


def _read_command(key: str, text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ConfigError(
            f"{key} cannot be read: {error}", hint=f"aap config explain {key}"
        ) from error
    return tuple(str(Path(word).expanduser()) if word.startswith("~") else word for word in words)


def _recognise(*commands: tuple[str, ...]) -> str:
    """Name the preset whose CLI both commands call in a way that it runs; empty for none.

    Only plain calls: behind another program (`env`, `sh -c`, a wrapper of the
    user's) nobody knows what becomes of the words.
    """
    names = {Path(command[0]).name for command in commands}
    if len(names) != 1:
        return ""
    name = names.pop()
    starts = {"codex": {"exec", "e", "resume"}, "opencode": {"run"}, "goose": {"run"}}
    if name not in PRESETS:
        return ""
    wanted = starts.get(name)
    if wanted and not all(len(c) > 1 and c[1] in wanted for c in commands):
        return ""
    return name


def _make(name: str, init: tuple[str, ...], work: tuple[str, ...]) -> Agent:
    preset = PRESETS[name]
    fresh = _command(preset, preset.fresh, init)
    resume = _command(preset, preset.resume, work)
    return Agent(
        name,
        fresh,
        resume,
        prompt_on_stdin=True,
        reader=preset.reader,
        chooses_id=preset.chooses_id,
        hooks=None if _has_hooks(resume) else preset.hooks,
        environment=preset.environment,
        notes=_notes(preset, init, fresh) + _notes(preset, work, resume),
    )


def _has_hooks(command: tuple[str, ...]) -> bool:
    """A person's own settings or hooks in the command are not covered by ours."""
    return any(word.startswith(("--settings", "hooks.")) for word in command)


def _command(
    preset: Preset, start: tuple[str, ...], configured: tuple[str, ...]
) -> tuple[str, ...]:
    """Put a command together: program, what the session needs, the user's flags, the output."""
    program = configured[0] if configured else preset.program
    flags = _without_own(preset, configured[1:]) if configured else preset.flags
    if preset.program == "codex" and "--skip-git-repo-check" not in flags:
        flags = (*flags, "--skip-git-repo-check")  # its resume refuses a folder that is no checkout
    end = (preset.prompt,) if preset.prompt else ()
    return (program, *start, *flags, *preset.output, *end)


def _without_own(preset: Preset, words: tuple[str, ...]) -> tuple[str, ...]:
    kept: list[str] = []
    skip = 0
    for word in _without_start(words):
        if skip:
            skip -= 1
            continue
        option, equals, _ = word.partition("=")
        if option not in preset.own:
            kept.append(word)
        elif not equals:
            skip = preset.own[option]
    return tuple(kept)


def _without_start(words: tuple[str, ...]) -> tuple[str, ...]:
    """Drop the subcommands, and the id that may follow `resume`."""
    at = 0
    while at < len(words) and words[at] in _SUBCOMMANDS:
        at += 1
    if at and words[at - 1] == "resume" and at < len(words) and not words[at].startswith("-"):
        at += 1
    return words[at:]


def _notes(
    preset: Preset, configured: tuple[str, ...], command: tuple[str, ...]
) -> tuple[str, ...]:
    if not configured or configured == command:
        return ()
    note = f"{shlex.join(configured)} runs as: {shlex.join(command)}"
    if preset.program == "codex" and configured[1:2] == ("resume",):
        note += " (codex resume needs a terminal)"
    return (note,)
