"""The checks of `aap doctor`, in the order in which a person would look."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from aap import __version__, config, files
from aap.cli import output
from aap.cli.activity import Queue, look_at_spool
from aap.cli.place import Place
from aap.errors import AapError, UsageError
from aap.inbox import Spool, is_visible
from aap.message import State, parse_name
from aap.systemd import manager as managers
from aap.systemd import ports, record, units
from aap.systemd.manager import Manager, Unit
from aap.systemd.record import Record
from aap.systemd.status import Status, look

OK, NOTE, WARN, FAIL = "ok", "note", "warn", "FAIL"

INSTALL = "aap install --user"
WHY_NO_NAMESPACES = (  # which of them says so differs between distributions
    "sysctl -e user.max_user_namespaces kernel.unprivileged_userns_clone "
    "kernel.apparmor_restrict_unprivileged_userns"
)
WAITS_TOO_LONG = 60.0  # seconds in inbox/ after which nobody seems to come
SLOW_FSYNC = 0.25
FRESH = 3600.0  # a hidden file of our own naming is a message being written until then

_MEMORY = {"tmpfs", "ramfs"}
_LIMITS = ("start-limit-hit", "unit-start-limit-hit", "trigger-limit-hit")


@dataclass(frozen=True)
class Finding:
    """What a check found: `fix` is the command that mends it, or empty."""

    severity: str
    message: str
    fix: str = ""
    id: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether somebody should do something."""
        return self.severity in (WARN, FAIL)


class Patient:
    """What the checks look at, each thing asked for once.

    The properties raise AapError where they cannot be had; the check that is
    about the cause says so, and the others keep silent.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.manager = Manager()

    @cached_property
    def status(self) -> Status:
        """What systemd knows of aap."""
        return look(self.manager, self.place.loaded.workspaces)

    @cached_property
    def installed(self) -> Record:
        """The record of the installation. Raises UsageError where there is none."""
        found = record.read(self.manager.mode)
        if found is None:
            raise UsageError("aap is not installed")
        return found

    @property
    def spool(self) -> Spool:
        """The workspace's spool."""
        return self.place.spool

    @cached_property
    def queue(self) -> Queue:
        """What is in the spool."""
        return look_at_spool(self.spool.root)


class Unasked(Exception):  # noqa: N818 - no error: the check has nothing to say
    """Raised by a check that another check's finding makes pointless."""


Found = Iterable[Finding]
Check = Callable[[Patient], Found]


def examine(patient: Patient, ids: Sequence[str]) -> list[Finding]:
    """Run the checks of these ids. What a check raises is a finding too."""
    return [
        Finding(each.severity, each.message, each.fix, name)
        for name in ids
        for each in _examine(patient, CHECKS[name])
    ]


def _examine(patient: Patient, check: Check) -> list[Finding]:
    try:
        return list(check(patient))
    except Unasked:
        return []
    except AapError as error:
        return [Finding(FAIL, str(error), error.hint)]
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
        return [Finding(FAIL, f"{where}{error.strerror or error}")]
    except Exception as error:  # one check that is at a loss must not silence the others
        if os.environ.get("AAP_DEBUG"):
            raise
        return [Finding(FAIL, f"the check itself failed, {type(error).__name__}: {error}")]


def _status(patient: Patient) -> Status:
    """Return the status; a check of the user, or of the configuration, says why there is none."""
    try:
        found = patient.status
    except AapError as error:
        raise Unasked from error
    if found.record is None:
        raise Unasked
    return found


def _installed(patient: Patient) -> Record:
    try:
        return patient.installed
    except AapError as error:
        raise Unasked from error


def _settings(patient: Patient) -> config.Settings:
    try:
        return patient.place.settings
    except AapError as error:
        raise Unasked from error


# The user's service manager


def user_runtime(_patient: Patient) -> Found:
    """Look at XDG_RUNTIME_DIR, without which systemctl --user finds nobody."""
    managers.check_runtime_folder()
    yield Finding(OK, os.environ["XDG_RUNTIME_DIR"])


def user_bus(patient: Patient) -> Found:
    """Ask the manager anything."""
    try:
        managers.check_runtime_folder()
    except AapError as error:
        raise Unasked from error
    patient.manager.check_reachable()
    yield Finding(OK, f"systemd {patient.manager.version()} answers")


def user_linger(_patient: Patient) -> Found:
    """Look whether the manager stays when the user logs out."""
    name = managers.user_name()
    if managers.has_linger():
        yield Finding(OK, f"{name} lingers: aap runs without a login")
    else:
        said = f"{name} does not linger: aap stops when {name} logs out"
        yield Finding(WARN, said, f"loginctl enable-linger {name}")


# The configuration


def config_parse(patient: Patient) -> Found:
    """Read the configuration."""
    loaded = patient.place.loaded
    for each in loaded.findings:
        yield Finding(NOTE, str(each).splitlines()[0], each.hint)
    read = ", ".join(map(str, loaded.files)) or "no file, all defaults"
    yield Finding(OK, read)


def config_secret(patient: Patient) -> Found:
    """Look who else can read keys that stand in configuration files."""
    _settings(patient)
    loaded = patient.place.loaded
    plain = {
        origin.file
        for key, origin in loaded.origins.items()
        if config.SETTINGS[key].secret and origin.file and origin.text
    }
    found = False
    for path in sorted(plain):
        if path.stat().st_mode & 0o077:
            found = True
            yield Finding(
                WARN, f"others can read the key in {path}", f"chmod 600 {shlex.quote(str(path))}"
            )
    if not found:
        yield Finding(OK, "no key that other users can read")


def config_keys(patient: Patient) -> Found:
    """Read the file of hashed keys."""
    from aap.config.keys import KeyRing

    ring = KeyRing.load(config.keys_file(), _settings(patient).api_key)
    for each in ring.findings:
        yield Finding(WARN, str(each).splitlines()[0], each.hint)
    yield Finding(OK, "clients need a key" if ring else "no key: clients on this machine need none")


# The units


def units_present(patient: Patient) -> Found:
    """Look whether aap is installed and systemd knows all of it."""
    try:
        found = patient.status
    except AapError as error:
        raise Unasked from error
    if found.record is None:
        yield Finding(FAIL, "aap is not installed for this user", INSTALL)
        return
    missing = [unit.name for unit in found.all_units if unit.load != "loaded"]
    if missing:
        yield Finding(FAIL, f"systemd does not know {', '.join(missing)}", INSTALL)
    else:
        yield Finding(OK, f"{len(found.all_units)} units")


def units_enabled(patient: Patient) -> Found:
    """Look whether everything comes back after a reboot."""
    found = _status(patient)
    own = [found.socket, *(unit for each in found.workspaces for unit in (each.watch, each.timer))]
    for unit in own:
        if unit.load == "loaded" and unit.file_state != "enabled":
            fix = _enable(patient, unit)
            yield Finding(WARN, f"{unit.name} is {unit.file_state}: not there after a reboot", fix)
    if all(unit.file_state == "enabled" for unit in own):
        yield Finding(OK, "all come back after a reboot")


def _enable(patient: Patient, unit: Unit) -> str:
    return patient.manager.command("enable", "--now", f"'{unit.name}'")


def units_drift(patient: Patient) -> Found:
    """Compare the files with what this aap would write, and with what systemd has read."""
    installed = _installed(patient)
    folder = record.unit_folder(patient.manager.mode)
    texts = units.render(installed.plan)
    drifted = [name for name, text in texts.items() if _read(folder / name) != text]
    if drifted:
        said = f"{', '.join(drifted)}: not as aap {__version__} writes it"
        yield Finding(WARN, said, INSTALL)
    stale = [unit.name for unit in _status(patient).all_units if unit.need_reload]
    if stale:
        fix = patient.manager.command("daemon-reload")
        yield Finding(WARN, f"systemd has not read {', '.join(stale)} again", fix)
    yield from _own_changes(_status(patient), folder)
    if not drifted and not stale:
        yield Finding(OK, f"as aap {__version__} writes them")


def _own_changes(found: Status, folder: Path) -> Iterator[Finding]:
    ours = f"{folder}/"
    for unit in found.all_units:
        foreign = [path for path in unit.drop_ins if not path.startswith(ours)]
        if unit.fragment and not unit.fragment.startswith(ours):
            foreign.append(unit.fragment)
        if foreign:
            yield Finding(NOTE, f"{unit.name} is changed by your own {', '.join(foreign)}")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""


def units_python(patient: Patient) -> Found:
    """Look whether the interpreter that the units start is there and has aap."""
    from aap import process

    installed = _installed(patient)
    python = installed.plan.python
    if not os.access(python, os.X_OK):
        yield Finding(FAIL, f"the units start {python}, which is gone", INSTALL)
        return
    outcome = process.run([python, "-I", "-c", "import aap; print(aap.__version__)"])
    if not outcome.ok:
        yield Finding(FAIL, f"{python} cannot import aap: {outcome.complaint}", INSTALL)
    elif outcome.out.strip() != installed.aap:
        said = f"aap {outcome.out.strip()} runs in units of aap {installed.aap}"
        yield Finding(WARN, said, INSTALL)
    else:
        yield Finding(OK, f"aap {installed.aap} in {python}")
    if python != sys.executable and __version__ != installed.aap:
        yield Finding(NOTE, f"this command is aap {__version__} in {sys.executable}")


def units_failed(patient: Patient) -> Found:
    """Look for units that failed, or that fail again and again."""
    found = _status(patient)
    bad = [unit for unit in found.all_units if unit.active == "failed"]
    for unit in (unit for unit in bad if unit.result not in _LIMITS):
        yield Finding(FAIL, f"{unit.name} failed ({unit.result})", _start_again(patient, unit))
    again = [unit for unit in found.all_units if unit.sub == "auto-restart"]
    for unit in again:
        said = f"{unit.name} fails and is started again ({unit.result}, {unit.restarts} times)"
        yield Finding(WARN, said, "aap logs --today")
    if not bad and not again:
        yield Finding(OK, "none")


def units_limit(patient: Patient) -> Found:
    """Look for units that systemd gave up because they were started too often."""
    hit = [unit for unit in _status(patient).all_units if unit.result in _LIMITS]
    for unit in hit:
        said = f"systemd gave {unit.name} up ({unit.result})"
        yield Finding(FAIL, said, _start_again(patient, unit))
    if not hit:
        yield Finding(OK, "no unit was started too often")


def _start_again(patient: Patient, unit: Unit) -> str:
    reset = patient.manager.command("reset-failed", f"'{unit.name}'")
    if unit.name.endswith(".service"):
        return reset
    start = patient.manager.command("start", f"'{unit.name}'")
    return f"{reset} && {start}"


# The API's way in


def socket_listening(patient: Patient) -> Found:
    """Look whether systemd holds the sockets, and who else has the port."""
    socket = _status(patient).socket
    if socket.active == "active":
        yield Finding(OK, " and ".join(socket.listen))
        return
    listen = _installed(patient).plan.listen
    port = ports.split(listen)[1]
    if ports.is_free(listen):
        yield Finding(FAIL, "nobody listens", _enable(patient, socket))
    else:
        said = f"port {port} is taken by {ports.owner(port)}"
        yield Finding(FAIL, said, f"aap config set PORT {port + 1} && {INSTALL}")


def socket_port(patient: Patient) -> Found:
    """Compare the address with the settings."""
    settings = _settings(patient)
    wanted = ports.listen_stream(settings.host, settings.port)
    listen = _installed(patient).plan.listen
    if listen == wanted:
        yield Finding(OK, f"{listen}, as HOST and PORT say")
    else:
        said = f"the socket was installed for {listen}, but HOST and PORT say {wanted}"
        yield Finding(WARN, said, INSTALL)


def socket_exposed(patient: Patient) -> Found:
    """Look whether other machines can post messages, and need a key."""
    from aap.config.keys import KeyRing

    host = ports.split(_installed(patient).plan.listen)[0]
    if config.is_loopback(host):
        yield Finding(OK, "only this machine can connect")
    elif KeyRing.load(config.keys_file(), _settings(patient).api_key):
        yield Finding(NOTE, f"other machines can connect to {host}, with a key")
    else:
        fix = f"aap config set HOST 127.0.0.1 && {INSTALL}"
        yield Finding(FAIL, f"other machines can connect to {host} without a key", fix)


def socket_answers(patient: Patient) -> Found:
    """Ask the API how it is; systemd starts it for that if need be."""
    from http.client import HTTPConnection, HTTPException

    if _status(patient).socket.active != "active":
        raise Unasked
    host, port = ports.split(_installed(patient).plan.listen)
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison
    began = time.monotonic()
    connection = HTTPConnection(shown, port, timeout=10)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse().status
    except (OSError, HTTPException) as error:
        yield Finding(FAIL, f"the API does not answer: {error}", "aap logs --today")
        return
    finally:
        connection.close()
    took = f"in {(time.monotonic() - began) * 1000:.0f} ms"
    if answer == 200:
        yield Finding(OK, f"the API answers {took}")
    else:
        yield Finding(FAIL, f"the API answers {answer} {took}", "aap logs --today")


# The worker's way


def worker_path(patient: Patient) -> Found:
    """Look whether inboxes are watched and retries are timed."""
    found = _status(patient)
    paused = [each for each in found.workspaces if each.is_paused]
    for each in paused:
        yield Finding(NOTE, f"{each.path} is paused", "aap resume")
    asleep = [
        unit
        for each in found.workspaces
        for unit in ((each.timer,) if each.is_paused else (each.watch, each.timer))
        if unit.active != "active" and unit.load == "loaded"
    ]
    for unit in asleep:
        yield Finding(FAIL, f"{unit.name} is {unit.active}", _enable(patient, unit))
    if not asleep and len(paused) < len(found.workspaces):
        watched = ", ".join(str(each.path) for each in found.workspaces if not each.is_paused)
        yield Finding(OK, f"the inbox of {watched} is watched")


def worker_oldest(patient: Patient) -> Found:
    """Look whether messages wait although nobody is at work."""
    _settings(patient)
    queue = patient.queue
    waits = time.time() - queue.oldest_at if queue.oldest else 0.0
    if waits < WAITS_TOO_LONG:
        yield Finding(OK, f"{queue.counts['inbox']} messages wait")
        return
    said = f"{queue.counts['inbox']} messages wait, the oldest for {output.age(waits)}"
    found = _status(patient)
    running = [each for each in found.workspaces if each.worker.active == "active"]
    if any(each.is_paused for each in found.workspaces):
        yield Finding(NOTE, f"{said}; the workspace is paused", "aap resume")
    elif running:
        yield Finding(NOTE, f"{said}; the worker is busy", "aap logs --today")
    else:
        yield Finding(FAIL, f"{said}, and no worker runs", "aap doctor --only worker.path")


def worker_workspace(patient: Patient) -> Found:
    """Compare the workspaces with the settings."""
    _settings(patient)
    wanted = set(patient.place.loaded.workspaces.values())
    installed = set(_installed(patient).plan.workspaces.values())
    for path in sorted(wanted - installed):
        yield Finding(WARN, f"{path} is the workspace, and its inbox is not watched", INSTALL)
    if wanted <= installed:
        yield Finding(OK, ", ".join(map(str, sorted(wanted))))


# The agent


def agent_found(patient: Patient) -> Found:
    """Look for the agent's command as the worker would, with the units' PATH."""
    from aap.agents import find_agent

    settings = _settings(patient)
    agent = find_agent(settings.agent, settings.agent_init_cli, settings.agent_cli)
    path = _units_path(patient)
    for note in agent.notes:
        yield Finding(NOTE, note)
    for command in dict.fromkeys(words[0] for words in (agent.fresh, agent.resume) if words):
        found = shutil.which(command, path=path)
        if found is None:
            said = f"{command} is not in the units' PATH ({path}), which was that of the shell"
            yield Finding(FAIL, f"{said} at the last install", INSTALL)
        else:
            yield Finding(OK, f"{agent.name}: {found}")


def _units_path(patient: Patient) -> str:
    try:
        return patient.installed.plan.environ["PATH"]
    except (AapError, KeyError):
        return os.environ.get("PATH", os.defpath)


def agent_outage(patient: Patient) -> Found:
    """Look whether the worker waits for the agent to come back."""
    _settings(patient)
    outage = patient.queue.outage
    if outage is None:
        yield Finding(OK, "no outage")
        return
    since = output.age(time.time() - outage.since)
    said = f"the agent has been out of order for {since}: {outage.reason}"
    yield Finding(WARN, said, "aap logs --today")


def sandbox_enforced(patient: Patient) -> Found:
    """Try whether this machine still enforces what the units rely on."""
    plan = _installed(patient).plan
    _status(patient)
    enforced = patient.manager.has_mounts()
    if plan.mounts and not enforced:
        said = "this machine refuses the namespaces that the units ask for: they cannot start"
        yield Finding(FAIL, said, INSTALL)
    elif plan.mounts:
        yield Finding(OK, "the units have namespaces of their own")
    elif enforced:
        said = "the units have a part of the sandbox only, though this machine could do all of it"
        yield Finding(WARN, said, INSTALL)
    else:
        said = "only a part of the sandbox holds: the agent can read all your files"
        yield Finding(WARN, f"{said}, for this kernel gives users no namespaces", WHY_NO_NAMESPACES)


# The spool


def _spool(patient: Patient) -> Spool:
    _settings(patient)
    if not patient.spool.root.is_dir():
        raise Unasked
    return patient.spool


def spool_permissions(patient: Patient) -> Found:
    """Look whether the spool is there, ours, writable, and nobody else's to read."""
    _settings(patient)
    root = patient.spool.root
    if not root.is_dir():
        yield Finding(FAIL, f"{root} is missing", INSTALL)
        return
    folders = [root, *(patient.spool.folder(state) for state in State)]
    there = [folder for folder in folders if folder.is_dir()]
    closed = [folder for folder in there if not os.access(folder, os.R_OK | os.W_OK | os.X_OK)]
    if closed:
        yield Finding(
            FAIL, f"you may not write {closed[0]}", f"ls -ld {shlex.quote(str(closed[0]))}"
        )
    opened = [folder for folder in there if stat.S_IMODE(folder.stat().st_mode) & 0o077]
    if opened:
        yield Finding(
            WARN, f"others can look into {opened[0]}", f"chmod -R go= {shlex.quote(str(root))}"
        )
    if not closed and not opened:
        yield Finding(OK, f"{root} is yours alone")


def spool_fsync(patient: Patient) -> Found:
    """Measure what making a message durable costs, and whether it can be durable at all."""
    root = _spool(patient).root
    kind = _file_system(root)
    if kind in _MEMORY:
        yield Finding(WARN, f"{root} lies in memory ({kind}): a reboot loses all messages")
        return
    probe = root / f".doctor-{os.getpid()}"
    began = time.monotonic()
    with files.new_file(probe) as fd:
        files.write_all(fd, bytes(4096))
    probe.unlink()
    took = time.monotonic() - began
    said = f"4 kB are on the disk ({kind}) after {took * 1000:.1f} ms"
    yield Finding(NOTE if took > SLOW_FSYNC else OK, said)


def _file_system(path: Path) -> str:
    """Return the type of the file system that holds `path`, from /proc/self/mountinfo."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            return after.split()[0]
    return "unknown file system"


def spool_space(patient: Patient) -> Found:
    """Compare free space and inodes with what the API keeps free."""
    settings = _settings(patient)
    root = _spool(patient).root
    free = os.statvfs(root)
    room, inodes = free.f_bavail * free.f_frsize, free.f_favail
    said = f"{output.size(room)} and {inodes} inodes are free"
    has_inodes = free.f_files > 0  # btrfs and others have no fixed number and say 0
    if room < settings.min_free or (has_inodes and inodes < settings.min_free_inodes):
        limits = f"{output.size(settings.min_free)} and {settings.min_free_inodes}"
        yield Finding(
            FAIL, f"{said}; below {limits} messages are refused", f"df -hi {shlex.quote(str(root))}"
        )
    elif room < 4 * settings.min_free:
        yield Finding(WARN, f"{said}: it gets tight", f"df -h {shlex.quote(str(root))}")
    else:
        yield Finding(OK, said)


def spool_strays(patient: Patient) -> Found:
    """Look for files in inbox/ that systemd does not count and nobody will ever handle."""
    inbox = _spool(patient).folder(State.INBOX)
    strays = sorted(name for name in os.listdir(inbox) if _is_stray(inbox / name))
    if strays:
        said = f"{len(strays)} files in inbox/ wake nobody because of their names: {strays[0]}"
        first, renamed = inbox / strays[0], inbox / f"{strays[0].strip('.~')}.json"
        fix = shlex.join(["mv", "-n", str(first), str(renamed)])
        yield Finding(WARN, said, fix)
    else:
        yield Finding(OK, "inbox/ holds nothing but messages")


def _is_stray(path: Path) -> bool:
    if is_visible(path.name):
        return False
    try:
        age = time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return False
    # What has no name of ours may be somebody's half-written file for a moment.
    return age > (FRESH if parse_name(path.name[1:]) else WAITS_TOO_LONG)


def spool_failed(patient: Patient) -> Found:
    """Look for messages that were given up."""
    count = _spool(patient).count(State.FAILED)
    if count:
        said = f"{count} messages were given up or were none"
        yield Finding(WARN, said, "aap inbox ls --state failed")
    else:
        yield Finding(OK, "no message was given up")


CHECKS: dict[str, Check] = {
    "user.runtime": user_runtime,
    "user.bus": user_bus,
    "user.linger": user_linger,
    "config.parse": config_parse,
    "config.secret": config_secret,
    "config.keys": config_keys,
    "units.present": units_present,
    "units.enabled": units_enabled,
    "units.drift": units_drift,
    "units.python": units_python,
    "units.failed": units_failed,
    "units.limit": units_limit,
    "socket.listening": socket_listening,
    "socket.port": socket_port,
    "socket.exposed": socket_exposed,
    "socket.answers": socket_answers,
    "worker.path": worker_path,
    "worker.workspace": worker_workspace,
    "worker.oldest": worker_oldest,
    "agent.found": agent_found,
    "agent.outage": agent_outage,
    "sandbox.enforced": sandbox_enforced,
    "spool.permissions": spool_permissions,
    "spool.fsync": spool_fsync,
    "spool.space": spool_space,
    "spool.strays": spool_strays,
    "spool.failed": spool_failed,
}
