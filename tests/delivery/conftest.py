"""A spool with one message from a chat, `aap` to answer it, and the chat."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures import bodies
from harness.command import AAP, Run, execute
from harness.gateway import Chat, Gateway, write_command

from aap.inbox import Spool

SECRET = "gateway-token"


@pytest.fixture
def spool(home: Path) -> Spool:
    """The default workspace's spool."""
    spool = Spool(home / ".openclaw" / "workspace" / ".ai-agent-proxy")
    spool.create()
    return spool


@pytest.fixture
def message(spool: Spool) -> str:
    """A message from Ann's direct chat."""
    return spool.deliver(bodies.direct("hello there"))


@pytest.fixture
def programs(home: Path) -> Path:
    """A folder that stands first on PATH; nothing that could be OpenClaw is behind it."""
    folder = home / "bin"
    folder.mkdir()
    return folder


@pytest.fixture
def aap(home: Path, programs: Path) -> Run:
    """Run `aap WORDS…` with ways of sending that give up after two seconds."""

    def run(*words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{programs}:/usr/bin:/bin", "AAP_DELIVERY_TIMEOUT": "2s", **env}
        return execute(*AAP, *words, stdin=stdin, cwd=home, **env)

    return run


@pytest.fixture
def chat(tmp_path: Path) -> Chat:
    """What people see, whichever way it came."""
    return Chat(tmp_path / "chat")


@pytest.fixture
def gateway(chat: Chat, home: Path) -> Iterator[Gateway]:
    """A gateway that runs, and a configuration that names it."""
    with Gateway(chat.folder, token=SECRET) as gateway:
        write_config(home, gateway.config)
        yield gateway


@pytest.fixture
def command(chat: Chat, programs: Path) -> Path:
    """The command `openclaw`."""
    return write_command(programs, chat.folder)


def write_config(home: Path, value: object) -> Path:
    """Write OpenClaw's configuration."""
    path = home / ".openclaw" / "openclaw.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))
    return path
