"""A whole session of an ordinary user at a terminal of 80 columns, kept as a golden file.

    WRITE_GOLDEN=1 .venv/bin/python -m pytest tests/systemd/test_session.py

writes it anew: read tests/systemd/golden/session.txt as somebody who sees aap for the
first time, before it goes in.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import screens
from harness.machine import Machine, User
from harness.wait import wait_until

from aap import __version__
from aap.message import State
from aap.systemd import units

pytestmark = [pytest.mark.systemd, pytest.mark.slow]

GOLDEN = Path(__file__).parent / "golden"
SPOOL = ".openclaw/workspace/.ai-agent-proxy"
# So long that nothing ends or is tried again by itself while the session goes on.
SETTINGS = "IDLE_EXIT=1h\nRETRY_MIN=38h\nRETRY_MAX=38h\n"
AGENT = "#!/bin/sh\necho 'no such model: gpt-6' >&2\nexit 1\n"

NAMES = [
    (rf"\b{__version__}\b".replace(".", r"\."), "VERSION"),
    (r"\bsystemd 2\d\d\b", "systemd VVV"),
    (r"\(pid \d+\)", "(pid N)"),
    (r"/run/user/39\d\d\b", "/run/user/UUUU"),
    (r"\b\d+(\.\d+)? (s|min|ms)\b", r"N \2"),
    (r"\bhalf in N s, 95 % in N s", "in N s"),
    (r"\b\d+ (files|manual pages|findings)\b", r"N \1"),
    (r"seconds=\d+(\.\d+)?", "seconds=N"),
    (r"prompt_bytes=\d+", "prompt_bytes=N"),
    (r"[0-9.]+ [MG]B and \d+ inodes", "N GB and N inodes"),
    (r"\(\w+\) after N ms", "(FILESYSTEM) after N ms"),
    # Older ones print no name before the description.
    (r"(Starting|Started|Stopping|Stopped) aap-api.service - ", r"\1 "),
    # The one column whose width time changes.
    (r"(?m)^(STATE +)ID +AGE", r"\1ID                    AGE"),
    (r"\b(1[0-9a-z]{19}) +N s\b", r"\1  N s"),
]


_uids = itertools.count(3901)


@pytest.fixture
def ann(machine: Machine) -> Iterator[User]:
    """A user of whom the files can speak: always the same name."""
    user = machine.add_user("ann", uid=next(_uids))
    yield user
    machine.remove_user(user)


class Session:
    """Commands typed one after the other, and what the terminal showed."""

    def __init__(self, user: User, columns: int = 80) -> None:
        self._user = user
        self._columns = columns
        self._shown: list[str] = []

    def run(
        self, command: str, *, code: int = 0, types: str = "", until: str = "", times: int = 1
    ) -> None:
        """Run a command to its end; type something at its question, or Ctrl-C at some words."""
        terminal = self._user.terminal(["bash", "-c", command], self._columns)
        if types:
            terminal.wait_for("[y/N] ")
            terminal.type(types)
        if until:
            terminal.wait_for(until, times=times)
            terminal.type("\x03")
        assert terminal.end() == code, terminal.screen
        screens.assert_fits(terminal.screen, self._columns)
        self._shown.append(f"$ {command}\n{terminal.screen}")
        terminal.close()

    def transcript(self, message: str) -> str:
        """All of it, without what differs from day to day."""
        short = (rf"\b{message[:8]}\b", "10000000")
        return in_order(screens.normal("\n".join(self._shown), [*NAMES, short]))


def in_order(text: str) -> str:
    """Put systemd's word that the API is up behind the API's own, which it may come long after."""
    said = "Mon DD hh:mm:ss systemd Started aap API.\n"
    listens = "Mon DD hh:mm:ss api     listening at=unix:/run/user/UUUU/aap/api.sock\n"
    assert text.count(said) == text.count(listens)
    return text.replace(said, "").replace(listens, listens + said)


def wait_for(user: User, state: State) -> str:
    """Wait until there is a message in a state; return its id."""
    folder = user.path(f"{SPOOL}/{state.value}")
    path = wait_until(lambda: next(folder.glob("*.json"), None), 20, f"a message in {state.value}")
    idle = "inactive"
    worker = units.worker_service(user.home / ".openclaw/workspace")
    wait_until(lambda: user.show(worker, "ActiveState")["ActiveState"] == idle, 20, "its end")
    return path.name[:20]


def test_a_session_reads_well(ann: User) -> None:
    ann.write(".config/aap/aap.conf", SETTINGS, 0o600)
    ann.write("agent", AGENT, 0o755)
    ann.write(".hushlogin", "")
    at = Session(ann)
    at.run("aap install --user")
    at.run("aap config set AGENT_CLI ~/agent")
    at.run("aap send 'when do we meet?'")
    message = wait_for(ann, State.DEFERRED)
    at.run("aap inbox ls")
    at.run("aap status")
    at.run(f"aap explain {message[:8]}")
    at.run("aap logs --errors")
    look_at_other_widths(ann, message)
    at.run("systemctl --user stop aap-api.socket")
    at.run("aap status", code=3)
    at.run("aap doctor --fix", code=7, types="y\n")
    at.run("aap config set AGENT echo")
    at.run(f"aap inbox retry {message[:8]}")
    wait_for(ann, State.DONE)
    at.run("aap logs --follow", code=130, until=" worker  ended", times=2)
    at.run("aap inbox ls --all")
    at.run("aap inbox stats --since 28d")
    at.run("aap doctor --only worker --only agent")
    at.run("aap uninstall --user")
    at.run("aap status", code=3)
    screens.check(GOLDEN / "session.txt", {"80 columns": at.transcript(message)})


def look_at_other_widths(user: User, message: str) -> None:
    """See on a narrow and on a wide terminal what went wrong."""
    for columns in (40, 200):
        at = Session(user, columns)
        for command in ("status", "explain", f"explain {message}", "logs --worker --agent"):
            at.run(f"aap {command}")
        at.run("aap doctor", code=7)
        shown = {f"{columns} columns": at.transcript(message)}
        screens.check(GOLDEN / f"session-{columns}.txt", shown)
