"""A real systemd to test on, with ordinary users.

    with booted() as machine:
        ann = machine.add_user("ann")
        ann.run(["aap", "install", "--user"])
        ann.systemctl("is-active", "aap-api.socket")

`booted()` starts the systemd that is installed here as PID 1 of namespaces of
its own (boot.sh), which takes about a second, and needs root. `running()` is
the systemd this machine was started with. Either way the checkout is seen at
/opt/aap, where every user can read it and run its virtual environment.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .command import Terminal
from .wait import wait_until

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
SEEN_AS = Path("/opt/aap")
ROOT = os.environ.get("AAP_TEST_ROOT", "/")  # read now: no test sees what is set outside

Argv = Sequence[str | os.PathLike[str]]
Result = subprocess.CompletedProcess[str]


class BootError(Exception):
    """No systemd can be had here; the text says why."""


class CommandError(AssertionError):
    """A command on the machine failed; the text shows what it printed."""

    def __init__(self, result: Result) -> None:
        super().__init__(
            f"{shlex.join(map(str, result.args))}\nexit code {result.returncode}\n"
            f"stdout: {result.stdout}\nstderr: {result.stderr}"
        )
        self.result = result


@dataclass(frozen=True)
class Machine:
    """A running systemd; `run` and `start` are root on it.

    `root` is its root folder seen from here: `machine.path("/etc/passwd").read_text()`.
    """

    enter: tuple[str, ...] = ()
    root: Path = Path("/")
    checkout: Path = SEEN_AS

    @property
    def aap(self) -> Path:
        """The command `aap` of the checkout, for all users; it is on their PATH too."""
        return self.checkout / ".venv/bin/aap"

    @property
    def python(self) -> Path:
        """The interpreter of the checkout's virtual environment, for all users."""
        return self.checkout / ".venv/bin/python"

    def path(self, path: str | os.PathLike[str]) -> Path:
        """Return the name by which the tests, outside, open the machine's `path`."""
        return self.root / os.fspath(path).lstrip("/")

    def argv(self, argv: Argv, env: Mapping[str, str] | None = None) -> list[str]:
        """What to start here so that `argv` runs on the machine, as root, with `env` alone."""
        whole = {"PATH": f"{self.aap.parent}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        whole |= {"LANG": "C.UTF-8", **(env or {})}
        settings = [f"{name}={value}" for name, value in whole.items()]
        return [*self.enter, "env", "-i", *settings, *(os.fspath(word) for word in argv)]

    def run(
        self,
        argv: Argv,
        *,
        check: bool = True,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> Result:
        """Run `argv` to its end; CommandError if it fails, unless `check` is false.

        After `timeout` seconds it is killed, with what it started, and counts as failed (124).
        """
        limited = ["timeout", "--kill-after=1", f"{timeout:g}", *argv]
        result = subprocess.run(
            self.argv(limited, env),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if check and result.returncode != 0:
            raise CommandError(result)
        return result

    def start(
        self, argv: Argv, *, env: Mapping[str, str] | None = None, **how: Any
    ) -> subprocess.Popen[str]:
        """Start `argv` and leave it running; `how` goes to Popen. A signal to it goes astray."""
        return subprocess.Popen(self.argv(argv, env), text=True, **how)

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Run systemctl for the system manager and return what it printed."""
        return self.run(["systemctl", "--no-pager", *words], check=check).stdout.strip()

    def add_user(self, name: str, *, uid: int | None = None, linger: bool = True) -> User:
        """Create an ordinary user; with `linger` its service manager runs when this returns.

        The journal knows users by number: give a `uid` that was not in use before.
        """
        private = ["--create-home", "--user-group", "--key=HOME_MODE=0700", "--shell=/bin/bash"]
        number = [] if uid is None else [f"--uid={uid}"]
        self.run(["useradd", *private, *number, name])
        user = User(self, name, int(self.run(["id", "-u", name]).stdout))
        if linger:
            self.run(["loginctl", "enable-linger", name])
            wait_until(user.is_up, 20, f"the service manager of {name}")
        return user

    def remove_user(self, user: User) -> None:
        """End everything `user` runs and remove it with its home."""
        self.run(["loginctl", "disable-linger", user.name], check=False)
        self.systemctl("stop", f"user@{user.uid}.service", f"user-{user.uid}.slice", check=False)
        self.run(["pkill", "-KILL", "-U", str(user.uid)], check=False)
        self.run(["userdel", "--remove", "--force", user.name], check=False)

    def journal(self, *words: str) -> str:
        """Return what journalctl shows to root for `words`."""
        shown = ["journalctl", "--no-pager", "--quiet", "--output=short-precise", *words]
        return self.run(shown, check=False).stdout

    def report(self) -> dict[str, str]:
        """What to look at when a test failed, by title."""
        return {
            "units in trouble": self.systemctl("--failed", "--plain", check=False),
            "journal, the last lines": self.journal("--lines=150"),
        }


@dataclass(frozen=True)
class User:
    """An ordinary user of a machine, in a clean environment."""

    machine: Machine = field(repr=False)
    name: str
    uid: int

    @property
    def home(self) -> Path:
        """The home, as the user sees it; open files there by `user.path`."""
        return Path("/home", self.name)

    @property
    def env(self) -> dict[str, str]:
        """The environment of everything the user runs here."""
        return {
            "HOME": str(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": "/bin/bash",
            "XDG_RUNTIME_DIR": f"/run/user/{self.uid}",
        }

    def path(self, path: str | os.PathLike[str] = "") -> Path:
        """Return the name by which the tests open `path`, which is relative to the home."""
        return self.machine.path(self.home / path)

    def write(self, path: str | os.PathLike[str], text: str, mode: int = 0o644) -> Path:
        """Write a file of the user's own below the home and return its name on the machine.

        It is there at once, with its mode: a path unit may be waiting for it.
        """
        inside = self.home / path
        steps = 'mkdir -p "$1" && cat > "$2" && chmod "$3" "$2" && mv -fT "$2" "$4"'
        hidden = inside.with_name(f".{inside.name}.written")
        words = [inside.parent, hidden, f"{mode:o}", inside]
        self.run(["sh", "-c", steps, "sh", *words], stdin=text)
        return inside

    def run(self, argv: Argv, *, env: Mapping[str, str] | None = None, **how: Any) -> Result:
        """Like Machine.run, as the user and from the home; `env` is added to the user's own."""
        return self.machine.run(self._as_user(argv), env={**self.env, **(env or {})}, **how)

    def start(
        self, argv: Argv, *, env: Mapping[str, str] | None = None, **how: Any
    ) -> subprocess.Popen[str]:
        """Like Machine.start, as the user and from the home."""
        return self.machine.start(self._as_user(argv), env={**self.env, **(env or {})}, **how)

    def terminal(self, argv: Argv, columns: int = 80, lines: int = 24) -> Terminal:
        """Start `argv` in a terminal, where Ctrl-C is what it is to a person."""
        there = ["setsid", "--ctty", "--wait", *self._as_user(argv)]
        env = {**self.env, "TERM": "xterm-256color"}
        return Terminal(tuple(self.machine.argv(there, env)), columns, lines, dict(os.environ))

    def aap(self, *words: str, **how: Any) -> Result:
        """Run `aap`."""
        return self.run([self.machine.aap, *words], **how)

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Run `systemctl --user` and return what it printed."""
        return self.run(["systemctl", "--user", "--no-pager", *words], check=check).stdout.strip()

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a unit: `user.show("x.service", "ActiveState", "NRestarts")`."""
        lines = self.systemctl("show", unit, "--property=" + ",".join(properties)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, *words: str) -> str:
        """Return the journal lines of the user's units, as root sees them."""
        return self.machine.journal(f"_UID={self.uid}", *words)

    def is_up(self) -> bool:
        """Whether the user's service manager answers."""
        state = self.run(["systemctl", "--user", "is-system-running"], check=False).stdout
        return state.strip() in {"running", "degraded"}

    def report(self) -> dict[str, str]:
        """What to look at when a test of this user failed, by title."""
        units = self.systemctl("list-units", "--all", "--plain", "aap*", check=False)
        return {
            f"units of {self.name}": units,
            f"journal of {self.name}, the last lines": self.journal("--lines=150"),
        }

    def _as_user(self, argv: Argv) -> Argv:
        # setpriv becomes the command, where runuser would stay in between.
        switch = ["setpriv", f"--reuid={self.name}", f"--regid={self.name}", "--init-groups"]
        at_home = ["env", f"--chdir={self.home}"]
        return [*switch, "--inh-caps=-all", *at_home, *argv]


@dataclass(frozen=True)
class System(User):
    """The account of `aap install --system`, which root installs, asks and removes.

    `run` and `write` are the account's, `aap` and `systemctl` are root's.
    """

    @property
    def home(self) -> Path:
        """The account's home."""
        return Path("/var/lib/aap")

    def terminal(self, argv: Argv, columns: int = 80, lines: int = 24) -> Terminal:
        """Start `argv` in a terminal, where Ctrl-C is what it is to a person."""
        there = ["setsid", "--ctty", "--wait", *self._as_user(argv)]
        env = {**self.env, "TERM": "xterm-256color"}
        return Terminal(tuple(self.machine.argv(there, env)), columns, lines, dict(os.environ))

    def aap(self, *words: str, **how: Any) -> Result:
        """Run `aap` as root."""
        return self.machine.run([self.machine.aap, *words], **how)

    def systemctl(self, *words: str, check: bool = True) -> str:
        """Run `systemctl` as root and return what it printed."""
        return self.machine.systemctl(*words, check=check)

    def journal(self, *words: str) -> str:
        """Return the journal lines of the system's units of aap."""
        return self.machine.journal("--unit=aap-*", *words)

    def report(self) -> dict[str, str]:
        """What to look at when a test failed, by title."""
        units = self.systemctl("list-units", "--all", "--plain", "aap*", check=False)
        return {"units of the system": units, "their journal": self.journal("--lines=150")}


@contextmanager
def installed(machine: Machine, *words: str) -> Iterator[System]:
    """Have `aap install --system` done on a machine; at the end all of it is gone."""
    machine.run([machine.aap, "install", "--system", *words])
    try:
        yield System(machine, "aap", int(machine.run(["id", "-u", "aap"]).stdout))
    finally:
        machine.run([machine.aap, "uninstall", "--system", "--purge", "--yes"], check=False)
        machine.run(["userdel", "--force", "aap"], check=False)
        machine.run(["rm", "-rf", "/etc/aap", "/var/lib/aap"])


@contextmanager
def booted(checkout: Path = CHECKOUT, start: Sequence[str] = ()) -> Iterator[Machine]:
    """Boot a systemd in namespaces; it ends with the block, or with this process.

    AAP_TEST_ROOT names the root whose systemd it is, as root.sh makes one; else this machine's.
    `start` is a command on the machine that becomes it, such as no_userns.py. Raises
    BootError where that cannot be done: not root, no rights, no systemd.
    """
    _check_prospects()
    with tempfile.TemporaryFile("w+") as log, _keeper(checkout, start, log) as pid:
        enter = ("nsenter", f"--target={pid}", "-m", "-p", "-u", "-i", "-C", "-n", "-r", "-w", "--")
        machine = Machine(enter, Path(f"/proc/{pid}/root"))
        try:
            wait_until(lambda: _is_up(machine), 60, "systemd to come up")
        except AssertionError as error:
            log.seek(0)
            raise BootError(f"{error}\n{log.read()[-2000:]}") from None
        yield machine


def _check_prospects() -> None:
    if os.geteuid() != 0:
        raise BootError("only root can boot a systemd: run it with sudo")
    if not Path("/lib/systemd/systemd").exists():
        raise BootError("systemd is not installed: scripts/setup installs it")


@contextmanager
def _keeper(checkout: Path, start: Sequence[str], log: Any) -> Iterator[int]:
    keep = ["unshare", "--mount", "--propagation=private", "sh", f"{HERE}/boot.sh", "keep"]
    pipe = subprocess.PIPE
    # A session of its own: Ctrl-C is for the tests, which then end the machine in order.
    with subprocess.Popen(
        [*keep, str(checkout), ROOT, *start],
        stdin=pipe,
        stdout=pipe,
        stderr=log,
        text=True,
        start_new_session=True,
    ) as keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        try:
            pid = keeper.stdout.readline().strip()
            if not pid:
                log.seek(0)
                raise BootError(f"systemd cannot be booted here: {log.read().strip()[-2000:]}")
            yield int(pid)
        finally:
            keeper.stdin.close()


def _is_up(machine: Machine) -> bool:
    state = machine.systemctl("is-system-running", check=False)
    return state in {"running", "degraded"}


@contextmanager
def running(checkout: Path = CHECKOUT) -> Iterator[Machine]:
    """The systemd this machine runs on, with `checkout` mounted at /opt/aap; for root.

    Raises BootError where PID 1 is no systemd or /opt/aap is taken.
    """
    if not Path("/run/systemd/system").is_dir():
        raise BootError("PID 1 of this machine is not systemd")
    if os.geteuid() != 0:
        raise BootError("only root can add a user to test with: run it with sudo")
    if (SEEN_AS / "tests/harness/seen.sh").exists():  # left by one that was killed
        _see("end", SEEN_AS)
    if SEEN_AS.exists():
        raise BootError(f"{SEEN_AS} is taken on this machine")
    _see("mount", checkout, SEEN_AS)
    try:
        yield Machine()
    finally:
        _see("end", SEEN_AS)


def _see(*words: str | Path) -> None:
    subprocess.run(["sh", HERE / "seen.sh", *words], check=True)
