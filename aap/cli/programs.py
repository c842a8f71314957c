"""The agent's programs: where the units find them, or what mends it that they do not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from aap.agents import Agent
    from aap.config import Settings

_INSTALL = "aap install --user"


class Program(NamedTuple):
    """One command of an agent: its `path` in the units, or the trouble and its cure.

    The cure is written for a user's own aap; it is `safe` where it changes no setting.
    """

    command: str
    path: str
    trouble: str = ""
    fix: str = ""
    safe: bool = False


def look_for(agent: Agent, settings: Settings, path: str) -> Iterator[Program]:
    """Look for each command of the agent in `path`, which is that of the units."""
    for command in dict.fromkeys(words[0] for words in (agent.fresh, agent.resume) if words):
        found = shutil.which(command, path=path)
        yield Program(command, found) if found else _missing(command, settings, path)


def _missing(command: str, settings: Settings, path: str) -> Program:
    configure = _configure(command, settings)
    if "/" in command:
        what = "cannot be run" if Path(command).exists() else "is not there"
        return Program(command, "", f"the agent's command {command} {what}", configure)
    said = f"{command} is not in the units' PATH ({path})"
    if here := shutil.which(command):
        return Program(command, "", f"{said}, but here: {here}", _INSTALL, safe=True)
    # No setting is at fault where a preset's program is missing: the units' PATH may be, then.
    fix = configure or f"{_INSTALL}   # once {command} is installed"
    return Program(command, "", f"{said}, nor in this shell's", fix)


def _configure(command: str, settings: Settings) -> str:
    """The command that names another program; empty where none was named, but AGENT."""
    for key, text in (
        ("AGENT_CLI", settings.agent_cli),
        ("AGENT_INIT_CLI", settings.agent_init_cli),
    ):
        if Path(command).name in text:
            return f"aap config set {key} 'COMMAND …'"
    return ""
