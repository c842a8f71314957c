"""The door to systemd: systemctl, loginctl and systemd-run, for one user or the system."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aap import identity, process
from aap.errors import AapError, NotRunningError
from aap.mode import SYSTEM, USER, find_mode, user_record

STOP_TIMEOUT = 180.0  # longer than any TimeoutStopSec= of ours: the agent may take its time

_HELD_BY_CHILD = 0.5  # seconds after which systemd's children have let go of its sockets
_USERS = "PrivateUsers"

_PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "UnitFileState",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "Listen",
    "MainPID",
    "NRestarts",
    "ActiveEnterTimestampMonotonic",
)


@dataclass(frozen=True)
class Unit:
    """What the manager says of one unit; empty strings where it says nothing."""

    name: str
    load: str = "not-found"  # loaded, not-found, masked, bad-setting, error
    active: str = "inactive"  # active, inactive, failed, activating, deactivating
    sub: str = "dead"  # listening, waiting, running, auto-restart, …
    result: str = ""  # success, exit-code, trigger-limit-hit, …
    file_state: str = ""  # enabled, disabled, static, masked, …
    fragment: str = ""
    drop_ins: tuple[str, ...] = ()
    need_reload: bool = False
    listen: tuple[str, ...] = ()  # of a socket: "127.0.0.1:7011"
    pid: int = 0
    restarts: int = 0
    active_since: float = 0.0  # seconds on the monotonic clock

    @property
    def is_armed(self) -> bool:
        """Whether the unit is active and comes back after a reboot."""
        return self.active == "active" and self.file_state == "enabled"


class Manager:
    """The service manager of this user, or of the system; that of the aap that is meant."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode or find_mode()

    @property
    def runtime(self) -> Path:
        """What `%t` is in units. Call `check_reachable` first."""
        return Path(os.environ["XDG_RUNTIME_DIR"] if self.mode == USER else "/run")

    def command(self, *words: str) -> str:
        """Return a command line for a person to type."""
        start = ["sudo"] if self.mode == SYSTEM and os.geteuid() != 0 else []
        return " ".join([*start, "systemctl", *self._mode_option(), *words])

    def check_reachable(self) -> None:
        """Raise NotRunningError, with the way out, where systemctl cannot reach the manager."""
        if shutil.which("systemctl") is None:
            raise NotRunningError("this machine has no systemd, and aap is run by it")
        if self.mode == USER:
            check_runtime_folder()
        outcome = self.ask("show", "--property=Version")
        if not outcome.ok:
            hint = _hint_to_start() if self.mode == USER else "systemctl status"
            said = f"the service manager does not answer: {outcome.complaint}"
            raise NotRunningError(said, hint=hint)

    def version(self) -> int:
        """Return the major version of the running systemd."""
        match = re.search(r"\d+", self.property("Version"))
        return int(match[0]) if match else 0

    def property(self, name: str) -> str:
        """Return a property of the manager itself."""
        return self.tell("show", f"--property={name}", "--value").strip()

    def ask(self, *words: str, timeout: float = process.TIMEOUT) -> process.Outcome:
        """Run systemctl; a failure is an answer too."""
        return process.run(self._systemctl(words), timeout=timeout)

    def tell(self, *words: str, timeout: float = process.TIMEOUT) -> str:
        """Run systemctl, which must succeed, and return what it printed."""
        return process.check(self._systemctl(words), timeout=timeout)

    def restart(self, name: str) -> None:
        """Restart a unit, which must succeed.

        A socket is tried twice. When its service stops, systemd 257 forks a child that clears
        the private /tmp, and that holds the manager's listening sockets for some milliseconds:
        in these their address is in use. More tries would be too many starts for systemd.
        """
        try:
            self.tell("restart", name, timeout=STOP_TIMEOUT)
        except AapError:
            if not name.endswith(".socket"):
                raise
            time.sleep(_HELD_BY_CHILD)
            self.tell("restart", name, timeout=STOP_TIMEOUT)

    def show(self, *names: str) -> dict[str, Unit]:
        """Return what the manager knows of these units, by the names as given."""
        if not names:
            return {}
        # A backslash in a name would be unescaped in a pattern, but not in a name.
        printed = self.tell("show", "--property=" + ",".join(_PROPERTIES), "--", *names)
        blocks = printed.strip("\n").split("\n\n")
        return {name: _read_unit(name, block) for name, block in zip(names, blocks, strict=True)}

    def loaded(self, pattern: str) -> list[str]:
        """Name the units in the manager's memory that match a shell pattern."""
        words = ("list-units", "--all", "--plain", "--no-legend", "--full", pattern)
        return [line.split()[0] for line in self.tell(*words).splitlines() if line.split()]

    def has_mounts(self) -> bool:
        """Try whether a unit really gets a mount and a network namespace of its own.

        Asking is not enough: where the kernel refuses user namespaces, the user
        manager may leave mount options out without a word.
        """
        # The system manager needs no user namespace for the others.
        options = ("PrivateNetwork", "PrivateTmp", "PrivateDevices")
        return self._holds(*options) if self.mode == SYSTEM else self._holds(_USERS, *options)

    def has_users(self) -> bool:
        """Try whether a unit gets a user namespace of its own."""
        return self._holds(_USERS)

    def _holds(self, *options: str) -> bool:
        # A check that looks into a workspace has its owner's rights, who may not write here.
        with (
            identity.acting_for(self.runtime),
            tempfile.TemporaryDirectory(prefix="aap-probe-", dir=self.runtime) as folder,
        ):
            return process.run(self._probe(folder, options)).ok

    def _probe(self, folder: str, options: Sequence[str]) -> list[str]:
        words = ["systemd-run", "--wait", "--collect", "--quiet", "--pipe"]
        words += ["--description=aap tries out the sandbox"]
        words += self._mode_option()
        words += [f"--property={option}=yes" for option in options]
        words += [f"--property=ReadOnlyPaths={folder}"]
        return [*words, "sh", "-c", '! touch "$0/probe" 2>/dev/null', folder]

    def _systemctl(self, words: Sequence[str]) -> list[str]:
        return ["systemctl", *self._mode_option(), "--no-pager", "--no-ask-password", *words]

    def _mode_option(self) -> list[str]:
        return ["--user"] if self.mode == USER else []


def user_name() -> str:
    """Name the user that this process runs as; LOGNAME, after su, may name another one."""
    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())  # a container's user need have no name


def has_linger() -> bool:
    """Whether the user's manager runs without a login; logind keeps a file for each such user."""
    return Path("/var/lib/systemd/linger", user_name()).exists()


def set_linger(*, on: bool) -> None:
    """Let the user's manager run without a login, or no longer. Raises CommandError."""
    verb = "enable-linger" if on else "disable-linger"
    argv = ["loginctl", "--no-ask-password", verb, user_name()]
    process.check(argv, hint=f"ask an administrator: sudo loginctl {verb} {user_name()}")


def check_runtime_folder() -> None:
    """Raise NotRunningError where this process does not know its user's runtime folder."""
    expected = Path(f"/run/user/{os.getuid()}")
    given = os.environ.get("XDG_RUNTIME_DIR")
    export = f"export XDG_RUNTIME_DIR={expected}"
    if not given and os.environ.get("SUDO_USER") and os.geteuid() == 0:
        raise NotRunningError(
            "root, by sudo, is not the user whose units these are",
            hint=f"the same command without sudo, or for the whole machine: sudo {_FOR_MACHINE}",
        )
    if not given and expected.is_dir():
        raise NotRunningError(
            "XDG_RUNTIME_DIR is not set, as it happens after su, sudo and in cron", hint=export
        )
    if given and not Path(given).is_dir() and expected.is_dir():
        raise NotRunningError(f"XDG_RUNTIME_DIR={given} is no folder", hint=export)
    if not given or not Path(given).is_dir():
        missing = f"the folder {given} is missing" if given else "XDG_RUNTIME_DIR is not set"
        has_own = os.geteuid() != 0 or user_record().exists()
        raise NotRunningError(
            f"{missing}: no service manager runs for {user_name()}",
            hint=f"{_hint_to_start()} && {export}" if has_own else _FOR_MACHINE,
        )
    if Path(given).stat().st_uid != os.getuid():
        raise NotRunningError(f"XDG_RUNTIME_DIR={given} belongs to another user", hint=export)


_FOR_MACHINE = "aap install --system"


def _hint_to_start() -> str:
    return f"sudo loginctl enable-linger {user_name()}"


def _read_unit(name: str, block: str) -> Unit:
    values: dict[str, str] = {}
    listen: list[str] = []
    for line in block.splitlines():
        key, _, value = line.partition("=")
        values[key] = value
        if key == "Listen":
            listen.append(value.removesuffix(" (Stream)"))
    return Unit(
        name=name,
        load=values.get("LoadState", ""),
        active=values.get("ActiveState", ""),
        sub=values.get("SubState", ""),
        result=values.get("Result", ""),
        file_state=values.get("UnitFileState", ""),
        fragment=values.get("FragmentPath", ""),
        drop_ins=tuple(shlex.split(values.get("DropInPaths", ""))),
        need_reload=values.get("NeedDaemonReload") == "yes",
        listen=tuple(listen),
        pid=int(values.get("MainPID") or 0),
        restarts=int(values.get("NRestarts") or 0),
        active_since=int(values.get("ActiveEnterTimestampMonotonic") or 0) / 1_000_000,
    )
