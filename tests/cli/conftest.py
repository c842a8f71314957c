"""A workspace in a sheltered home, and `aap` to run in it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.command import AAP, Run, Terminal, environment, execute

from aap.inbox import Spool


@pytest.fixture
def workspace(home: Path) -> Path:
    """The default workspace, which exists."""
    folder = home / ".openclaw" / "workspace"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def spool(workspace: Path) -> Spool:
    """Its spool, empty."""
    spool = Spool(workspace / ".ai-agent-proxy")
    spool.create()
    return spool


@pytest.fixture
def aap(home: Path) -> Run:
    """Run `aap WORDS…` without a terminal and return how it ended."""

    def run(*words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return execute(*AAP, *words, stdin=stdin, cwd=home, **env)

    return run


@pytest.fixture
def documents(aap: Run) -> Callable[..., list[dict[str, Any]]]:
    """Run a command with `--json`, which must succeed in silence, and read its lines."""

    def run(*words: str, **env: str) -> list[dict[str, Any]]:
        done = aap(*words, "--json", **env)
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


@pytest.fixture
def terminal(home: Path) -> Iterator[Callable[..., Terminal]]:
    """Start `aap WORDS…` in a terminal of a given size."""
    started: list[Terminal] = []

    def start(*words: str, columns: int = 80, lines: int = 24, **env: str) -> Terminal:
        env = environment(**{"TERM": "xterm", **env})
        started.append(Terminal((*AAP, *words), columns, lines, env))
        return started[-1]

    yield start
    for each in started:
        each.close()
