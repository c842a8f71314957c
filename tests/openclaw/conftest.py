"""OpenClaw's configuration in a sheltered home, and `aap` to look at it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.command import AAP, Run, execute

Write = Callable[[str], Path]


@pytest.fixture
def write(home: Path) -> Write:
    """Write OpenClaw's configuration; return its path."""

    def write(text: str) -> Path:
        path = home / ".openclaw" / "openclaw.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def aap(home: Path) -> Run:
    """Run `aap WORDS…` without a terminal and return how it ended."""

    def run(*words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return execute(*AAP, *words, stdin=stdin, cwd=home, **env)

    return run
