"""The whole wake-up under a real systemd: a file in the inbox, and the agent runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aap.message import IdClock
from tests.harness.machine import Machine, User
from tests.harness.wait import wait_until

from .load import make_body
from .programs import Fifo

WORKSPACE = ".openclaw/workspace"

# What a wake-up costs at least in Python: the same kind of watch, a program without imports.
_PATH = """\
[Unit]
StartLimitIntervalSec=0

[Path]
DirectoryNotEmpty=%h/{workspace}/bare
"""
_SERVICE = """\
[Unit]
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={python} -I -S -c "import os; os.write(os.open('%h/{workspace}/started', os.O_WRONLY), \
b'1'); os.unlink('%h/{workspace}/bare/file')"
"""


class Watch(NamedTuple):
    """A folder that a path unit watches, and the service that it starts."""

    service: str
    folder: Path  # as it is seen from here
    name: Callable[[], str]  # of the next file


def prepare(machine: Machine) -> tuple[User, Fifo, Watch, Watch]:
    """Install aap with an agent that only says that it runs, and the bare unit beside it."""
    user = machine.add_user("ann")
    user.run(["mkdir", "-p", f"{WORKSPACE}/bare", f"{WORKSPACE}/next"])
    user.run(["mkfifo", f"{WORKSPACE}/started"])
    agent = f"/bin/sh -c 'echo > {user.home}/{WORKSPACE}/started'"
    user.write(".config/aap/aap.conf", f'AGENT=custom\nAGENT_CLI="{agent}"\nSETTLE=0\n', 0o600)
    user.aap("install", "--user")
    user.write(".config/systemd/user/bare.path", _PATH.format(workspace=WORKSPACE))
    service = _SERVICE.format(workspace=WORKSPACE, python=machine.python)
    user.write(".config/systemd/user/bare.service", service)
    user.systemctl("daemon-reload")
    user.systemctl("start", "bare.path")
    folder, clock = user.path(WORKSPACE), IdClock()
    worker = user.systemctl("list-units", "--all", "--plain", "--no-legend", "aap-worker@*.path")
    mine = Watch(
        worker.split()[0].replace(".path", ".service"),
        folder / ".ai-agent-proxy" / "inbox",
        lambda: f"{clock.next(b'')}.json",
    )
    return user, Fifo(folder / "started"), mine, Watch("bare.service", folder / "bare", _bare_name)


def _bare_name() -> str:
    return "file"


def contenders(user: User, fifo: Fifo, mine: Watch, bare: Watch) -> dict[str, Callable[[], float]]:
    """What is measured in turn."""
    return {
        "agent started by systemd": partial(wake, user, fifo, mine),
        "path unit + python -I -S": partial(wake, user, fifo, bare),
    }


def wake(user: User, fifo: Fifo, watch: Watch) -> float:
    """Milliseconds from the rename of a file into the folder to the sign of life."""
    path = user.path(WORKSPACE) / "next" / "file"
    path.write_bytes(make_body(1024))
    os.chown(path, user.uid, user.uid)
    start = time.perf_counter()
    path.rename(watch.folder / watch.name())
    took = (fifo.wait() - start) * 1000
    wait_until(lambda: _is_at_rest(user, watch), 20, f"{watch.service} to end")
    return took


def _is_at_rest(user: User, watch: Watch) -> bool:
    state = user.systemctl("is-active", watch.service, check=False)
    return state == "inactive" and not any(watch.folder.iterdir())
