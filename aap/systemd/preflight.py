"""Everything that can be known before an installation, so that it changes nothing in vain."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from aap import SPOOL_FOLDER, identity, process
from aap.errors import AapError, ConfigError, PermissionDeniedError, UsageError
from aap.mode import ACCOUNT, SYSTEM, SYSTEM_CONFIG, SYSTEM_HOME, USER
from aap.systemd import manager as managers
from aap.systemd import ports, record, trust, units
from aap.systemd.manager import Manager
from aap.systemd.units import Plan


@dataclass(frozen=True)
class Wish:
    """What is to be installed, as settings and options say it."""

    host: str
    port: int
    lack: str  # of a key, in words, before other machines may be let in; or empty
    workspaces: Mapping[str, Path]
    secrets: Path
    python: str
    folders: Sequence[Path] = ()  # to be made where missing
    environ: Mapping[str, str] = field(default_factory=dict)
    stop_grace: float = 20.0
    linger: bool | None = None  # None: refuse if the user does not linger
    mode: str = USER


def prepare(manager: Manager, wish: Wish) -> Plan:
    """Check all that can be checked and return what to install; changes nothing.

    Raises AapError, with the command that mends it, for whatever stands in the way.
    """
    manager.check_reachable()
    listen = ports.listen_stream(wish.host, wish.port)
    _check_exposure(wish, listen)
    _check_folders(wish)
    _check_python(wish)
    _check_units(manager, wish)
    _check_port(manager, listen)
    if wish.mode == USER:
        _check_linger(wish)
    mounts = manager.has_mounts()
    return Plan(
        python=wish.python,
        listen=listen,
        workspaces=wish.workspaces,
        secrets=wish.secrets,
        environ=wish.environ,
        stop_seconds=round(wish.stop_grace) + 40,
        mode=wish.mode,
        systemd=manager.version(),
        mounts=mounts,
        users=mounts if wish.mode == USER else manager.has_users(),
    )


def _check_exposure(wish: Wish, listen: str) -> None:
    host = ports.split(listen)[0]
    if not wish.lack or host.startswith("127.") or host == "::1":
        return
    raise ConfigError(
        f"HOST={wish.host} lets other machines in, and {wish.lack}",
        hint="make one first (aap key new NAME), or: aap config set HOST 127.0.0.1",
    )


def _check_folders(wish: Wish) -> None:
    if wish.mode == SYSTEM:
        _check_account()
    for path in wish.workspaces.values():
        check_workspace(path, wish.mode)
    if wish.mode == SYSTEM:
        return  # nothing keeps root from writing, and who is kept out was looked at
    state = record.record_file(wish.mode).parent
    wanted = [record.unit_folder(wish.mode), record.link_folder(wish.mode), state]
    for folder in [*wanted, *wish.folders]:
        _check_writable(folder)


def check_workspace(path: Path, mode: str) -> None:
    """Raise AapError if systemd cannot watch this folder, or an agent not work in it."""
    units.check_name(path)
    units.quote(str(path))
    _check_visible(path, "the workspace", mode)
    if path.exists() and not path.is_dir():
        raise ConfigError(f"the workspace {path} is no folder", hint="give the path of a folder")
    spool = path / SPOOL_FOLDER
    if spool.is_symlink():
        said = f"{spool} is a link, and what is in a workspace must not lead out of it"
        raise ConfigError(said, hint=f"rm {shlex.quote(str(spool))}")
    for folder in (path, spool):
        _check_private(folder)
    if mode == SYSTEM:
        _check_owner(path)
    elif spool.exists() and spool.stat().st_uid != os.geteuid():
        hint = f"sudo chown -R {managers.user_name()}: {shlex.quote(str(spool))}"
        raise ConfigError(f"{spool} belongs to another user", hint=hint)


def _check_private(folder: Path) -> None:
    """Who may write there can put messages in, take them out, and lay links for the agent."""
    try:
        facts = folder.stat()
    except FileNotFoundError:
        return
    if facts.st_mode & stat.S_IWOTH:
        raise ConfigError(
            f"everybody may write {folder}", hint=f"chmod o-w {shlex.quote(str(folder))}"
        )


def _check_owner(path: Path) -> None:
    """A workspace of the machine is the account's, or is made where root alone can."""
    whose, mine = identity.find_owner(path), identity.find_account()
    hint = f"chown -R {ACCOUNT}: {shlex.quote(str(path))}, or take a folder below {SYSTEM_HOME}"
    if whose and (mine is None or whose.uid != mine.uid):
        said = f"the workspace {path} is in the hands of user {whose.uid}, and not of {ACCOUNT}"
        raise ConfigError(said, hint=hint)
    if whose is None and path.exists():
        raise ConfigError(f"the workspace {path} is root's: {ACCOUNT} cannot write it", hint=hint)


def _check_account() -> None:
    """An account of this name may be a person's, and its home somebody else's by now."""
    import pwd

    with suppress(KeyError):
        home = pwd.getpwnam(ACCOUNT).pw_dir
        if Path(home) != SYSTEM_HOME:
            raise ConfigError(
                f"there is an account {ACCOUNT} already, with the home {home}",
                hint=f"usermod --home {SYSTEM_HOME} {ACCOUNT}   # if nobody else needs it",
            )
    mine = identity.find_account()
    _check_own_folder(SYSTEM_HOME, {0, mine.uid if mine else 0})


def check_settings_folder() -> None:
    """Raise ConfigError if /etc/aap is not root's alone; for root, before it reads there."""
    _check_own_folder(SYSTEM_CONFIG, {0})


def _check_own_folder(folder: Path, owners: set[int]) -> None:
    try:
        facts = folder.lstat()
    except FileNotFoundError:
        return
    shown = shlex.quote(str(folder))
    if not stat.S_ISDIR(facts.st_mode):
        said = f"{folder} is no folder, and would lead somewhere else"
        raise ConfigError(said, hint=f"ls -ld {shown}")
    if facts.st_uid not in owners or facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        said = f"{folder} is in the hands of others (user {facts.st_uid})"
        raise ConfigError(said, hint=f"look at what is in it, then: chown root: {shown}")


def _check_visible(path: Path, what: str, mode: str) -> None:
    hidden = ["/tmp", "/var/tmp", *(["/home", "/root", "/run/user"] if mode == SYSTEM else [])]  # noqa: S108
    for folder in hidden:
        if path.is_relative_to(folder):
            elsewhere = "below your home" if mode == USER else f"below {SYSTEM_HOME} or /opt"
            raise ConfigError(
                f"{what} {path} lies below {folder}, of which the units have one of their own",
                hint=f"put it somewhere else, for example {elsewhere}",
            )


def _check_writable(folder: Path) -> None:
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if os.access(existing, os.W_OK | os.X_OK) and existing.is_dir():
        return
    read_only = os.statvfs(existing).f_flag & os.ST_RDONLY
    shown = shlex.quote(str(existing))
    why = "its file system is read-only" if read_only else "you may not write there"
    raise PermissionDeniedError(
        f"cannot make {folder}: {why}" if folder != existing else f"cannot write {folder}: {why}",
        hint=f"findmnt -T {shown}" if read_only else f"ls -ld {shown}",
    )


def _check_python(wish: Wish) -> None:
    _check_visible(Path(wish.python), "the Python", wish.mode)
    if wish.mode == SYSTEM:
        trust.check_python(wish.python)
        return
    outcome = process.run([wish.python, "-I", "-c", "import aap"])
    if not outcome.ok:
        raise AapError(
            f"{wish.python} -I cannot import aap, so the units could not start it: "
            f"{outcome.complaint}",
            hint=f"{shlex.quote(wish.python)} -m pip install aap",
        )


def _check_units(manager: Manager, wish: Wish) -> None:
    folder = record.unit_folder(wish.mode)
    if str(folder) not in shlex.split(manager.property("UnitPath")):
        raise ConfigError(
            f"the service manager does not look for units in {folder}",
            hint="unset XDG_DATA_HOME, or log in again so that the manager knows it too",
        )
    names = [units.SOCKET, units.API, *units.armed(wish.workspaces)]
    for unit in manager.show(*names).values():
        if unit.load == "masked":
            hint = manager.command("unmask", f"'{unit.name}'")
            raise ConfigError(f"{unit.name} is masked", hint=hint)


def _check_port(manager: Manager, listen: str) -> None:
    port = ports.split(listen)[1]
    own = manager.show(units.SOCKET)[units.SOCKET]
    if own.active == "active" and any(each.endswith(f":{port}") for each in own.listen):
        return
    if not ports.is_free(listen):
        holder = ports.holder(port)
        stop = "stop it, or " if holder.is_plain else ""
        raise AapError(
            f"port {port} is taken by {holder.name}",
            hint=f"{stop}take another port: aap config set PORT {port + 1}",
        )


def _check_linger(wish: Wish) -> None:
    if wish.linger is None and not managers.has_linger():
        raise UsageError(
            f"{managers.user_name()} does not linger: aap would stop when you log out",
            hint="aap install --user --linger turns lingering on; with --no-linger it stays off",
        )
