"""aap as somebody has it, on a small disk and under a clock that can be set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from harness.clock import Clock
from harness.disk import SmallDisk
from harness.machine import System, User

from aap.log import parse_line
from aap.systemd import units

HARNESS = "/opt/aap/tests/harness"
LEDGER = ".cache/chaos/ledger"

# A back-off of seconds to an hour is right for people, and slow for a test.
SETTINGS = {
    "IDLE_EXIT": "2s",
    "RETRY_MIN": "1s",
    "RETRY_MAX": "3s",
    "MAX_ATTEMPTS": "1000",
    "SETTLE": "200ms",
    "MIN_FREE": "0",
    "MIN_FREE_INODES": "0",
    "INBOX_MAX": "300",
    "BATCH_MAX": "60",
    "DONE_MAX": "100000",
}


class Given(NamedTuple):
    """A line of the agent's ledger."""

    at: float  # on the monotonic clock
    word: str
    id: str
    text: str


class Layout(NamedTuple):
    """Where things are: for one user, or for the machine."""

    flag: str
    workspace: str  # below the home
    settings: str
    drop_ins: str
    socket: str
    manager: str  # the journal's field of what systemd says of a unit,
    process: str  # and of what the unit says itself


def layout(user: User) -> Layout:
    """Return the places of `aap install --user`, or --system for the machine's account."""
    if isinstance(user, System):
        places = "workspace", "/etc/aap/aap.conf", "/etc/systemd/system", "/run/aap/api.sock"
        return Layout("--system", *places, "UNIT", "_SYSTEMD_UNIT")
    settings, drop_ins = f"{user.home}/.config/aap/aap.conf", f"{user.home}/.config/systemd/user"
    sock = f"/run/user/{user.uid}/aap/api.sock"
    places = ".openclaw/workspace", settings, drop_ins, sock
    return Layout("--user", *places, "USER_UNIT", "_SYSTEMD_USER_UNIT")


API = "aap-api.service"


def starts(user: User, unit: str) -> list[float]:
    """When a unit was started, in seconds."""
    text = user.journal("--output=short-unix", f"{layout(user).manager}={unit}")
    found = re.findall(r"^(\d+\.\d+) .*: Started ", text, re.MULTILINE)
    return sorted({round(float(stamp), 3) for stamp in found})


class Site:
    """A user with aap installed, on a small disk and under a clock that can be set."""

    def __init__(self, user: User, clock: Clock, disk: SmallDisk, outages: float) -> None:
        self.user = user
        self.clock = clock
        self.disk = disk
        self.layout = layout(user)
        self.workspace = user.home / self.layout.workspace
        self.worker = units.worker_service(self.workspace)
        self.watch = units.worker_path(self.workspace)
        self._install(outages)

    def _install(self, outages: float) -> None:
        user, python = self.user, self.user.machine.python
        user.run(["mkdir", "-p", user.home / Path(LEDGER).parent])
        agent = f"{python} {HARNESS}/moody.py {user.home / LEDGER} {outages}"
        settings = {"AGENT_CLI": agent, **SETTINGS}
        self._write(self.layout.settings, "".join(f"{k}={v}\n" for k, v in settings.items()))
        clock = "".join(f"Environment={k}={v}\n" for k, v in self.clock.environment.items())
        service = f"[Service]\n{clock}LogRateLimitIntervalSec=0\n"
        sweep = "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec=2s\nOnUnitInactiveSec=2s\n"
        for unit, text in {
            "aap-api.service": service,
            "aap-sweep@.service": service,
            "aap-worker@.service": f"{service}RestartSec=1s\n",
            "aap-sweep@.timer": f"{sweep}AccuracySec=100ms\n",
        }.items():
            self._write(f"{self.layout.drop_ins}/{unit}.d/chaos.conf", text)
        user.systemctl("daemon-reload")
        user.aap("install", self.layout.flag)

    def _write(self, path: str, text: str) -> None:
        run = self.user.machine.run if isinstance(self.user, System) else self.user.run
        script = 'umask 022; mkdir -p "${1%/*}" && cat > "$1"'
        run(["sh", "-c", script, "sh", path], stdin=text)

    def ids(self, state: str) -> list[str]:
        """The messages that are in a folder of the spool."""
        folder = self.user.path(f"{self.layout.workspace}/.ai-agent-proxy/{state}")
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        return sorted(name.partition(".")[0].partition("+")[0] for name in names)

    def is_quiet(self) -> bool:
        """Whether nothing waits, and nothing works."""
        if any(self.ids(state) for state in ("inbox", "active", "deferred")):
            return False
        return self.user.show(self.worker, "ActiveState")["ActiveState"] == "inactive"

    def ledger(self) -> list[Given]:
        """What the agent wrote down; a line that was torn by a kill is left out."""
        lines = self.user.path(LEDGER).read_text().splitlines()
        words = [line.split(" ", 3) for line in lines]
        return [Given(float(w[0]), w[1], w[2], w[3]) for w in words if len(w) == 4]

    def events(self, unit: str, event: str) -> Iterator[tuple[float, str]]:
        """Moments (on the monotonic clock) and ids of an event that a unit told the journal."""
        printed = self.user.journal("--output=json", f"{self.layout.process}={unit}")
        for line in printed.splitlines():
            entry = json.loads(line)
            # What a program prints is cut by the journal where it is no text.
            said = parse_line(f"- info {entry['MESSAGE']}")
            if said and said.event == event:
                yield int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6, said.fields["id"]

    def starts(self, unit: str) -> list[float]:
        """When a unit was started, in seconds."""
        return starts(self.user, unit)

    def said(self, unit: str) -> str:
        """What a unit told the journal."""
        return self.user.journal("--output=cat", f"{self.layout.process}={unit}")

    def main_pid(self, unit: str) -> int:
        """The process of a service, as the machine has it; 0 if there is none."""
        return int(self.user.show(unit, "MainPID").get("MainPID", "0"))

    def invocation(self, unit: str) -> str:
        """What is another one each time that a unit is started."""
        return self.user.show(unit, "InvocationID").get("InvocationID", "")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have nothing of aap run, and nothing start."""
        wake = ["aap-api.socket", self.watch, units.sweep_timer(self.workspace)]
        # Those first: each of them would start what is stopped after it.
        self.user.systemctl("stop", *wake)
        self.user.systemctl("stop", API, self.worker, units.sweep_service(self.workspace))
        yield
        self.user.systemctl("start", *wake)

    def processes(self, pattern: str) -> Iterator[tuple[int, Path]]:
        """The pids (as the machine has them) and /proc folders of the user's processes."""
        for folder in self.user.machine.path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_own = folder.stat().st_uid == self.user.uid
                if is_own and pattern.encode() in (folder / "cmdline").read_bytes():
                    yield int(folder.name), folder
