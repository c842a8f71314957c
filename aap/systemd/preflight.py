"""Everything that can be known before an installation, so that it changes nothing in vain."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aap import process
from aap.errors import AapError, ConfigError, NotRunningError, PermissionDeniedError, UsageError
from aap.systemd import manager as managers
from aap.systemd import ports, record, units
from aap.systemd.manager import Manager
from aap.systemd.units import Plan


@dataclass(frozen=True)
class Wish:
    """What is to be installed, as settings and options say it."""

    host: str
    port: int
    has_key: bool
    workspaces: Mapping[str, Path]
    secrets: Path
    python: str
    folders: Sequence[Path] = ()  # to be made where missing
    environ: Mapping[str, str] = field(default_factory=dict)
    stop_grace: float = 20.0
    linger: bool | None = None  # None: refuse if the user does not linger
    mode: str = units.USER


def prepare(manager: Manager, wish: Wish) -> Plan:
    """Check all that can be checked and return what to install; changes nothing.

    Raises AapError, with the command that mends it, for whatever stands in the way.
    """
    if wish.mode != units.USER:
        raise UsageError("only --user can be installed so far", hint="aap install --user")
    manager.check_reachable()
    listen = ports.listen_stream(wish.host, wish.port)
    _check_exposure(wish, listen)
    _check_folders(wish)
    _check_python(wish.python)
    _check_units(manager, wish)
    _check_port(manager, listen)
    _check_linger(wish)
    return Plan(
        python=wish.python,
        listen=listen,
        workspaces=wish.workspaces,
        secrets=wish.secrets,
        environ=wish.environ,
        stop_seconds=round(wish.stop_grace) + 40,
        mode=wish.mode,
        systemd=manager.version(),
        mounts=manager.has_mounts(),
    )


def _check_exposure(wish: Wish, listen: str) -> None:
    host = ports.split(listen)[0]
    if wish.has_key or host.startswith("127.") or host == "::1":
        return
    raise ConfigError(
        f"HOST={wish.host} lets other machines in, and there is no key",
        hint="make one first (aap key new NAME), or: aap config set HOST 127.0.0.1",
    )


def _check_folders(wish: Wish) -> None:
    for path in wish.workspaces.values():
        check_workspace(path)
    state = record.record_file(wish.mode).parent
    wanted = [record.unit_folder(wish.mode), record.link_folder(wish.mode), state]
    for folder in [*wanted, *wish.folders]:
        _check_writable(folder)


def check_workspace(path: Path) -> None:
    """Raise ConfigError if systemd cannot watch this folder, or an agent not work in it."""
    units.check_name(path)
    units.quote(str(path))
    _check_visible(path, "the workspace")
    if path.exists() and not path.is_dir():
        raise ConfigError(f"the workspace {path} is no folder", hint="give the path of a folder")


def _check_visible(path: Path, what: str) -> None:
    for hidden in (Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - refused, not used
        if path.is_relative_to(hidden):
            raise ConfigError(
                f"{what} {path} lies below {hidden}, of which the units have one of their own",
                hint="put it somewhere else, for example below your home",
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


def _check_python(python: str) -> None:
    _check_visible(Path(python), "the Python")
    outcome = process.run([python, "-I", "-c", "import aap"])
    if not outcome.ok:
        raise AapError(
            f"{python} -I cannot import aap, so the units could not start it: {outcome.complaint}",
            hint=f"{shlex.quote(python)} -m pip install aap",
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
        raise AapError(
            f"port {port} is taken by {ports.owner(port)}",
            hint=f"stop it, or take another port: aap config set PORT {port + 1}",
        )


def _check_linger(wish: Wish) -> None:
    if wish.linger is None and not managers.has_linger():
        raise NotRunningError(
            f"{managers.user_name()} does not linger: aap would stop when you log out",
            hint="aap install --user --linger turns lingering on; with --no-linger it stays off",
        )
