"""Take the units away again; the messages stay where they are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aap import files, identity
from aap.errors import AapError, for_all
from aap.mode import ACCOUNT, SYSTEM, SYSTEM_HOME
from aap.systemd import account, former, record, units
from aap.systemd import manager as managers
from aap.systemd.manager import Manager
from aap.systemd.record import Record

_OURS = re.compile(r"aap-(api|(worker|sweep)@.*)\.(socket|service|path|timer)")


@dataclass(frozen=True)
class Removal:
    """What was taken away, as sentences in the past tense."""

    actions: tuple[str, ...]
    notes: tuple[str, ...]
    folders: tuple[Path, ...]  # that install made, for `forget`

    @property
    def changed(self) -> bool:
        """False if nothing was installed."""
        return bool(self.actions)


def uninstall(manager: Manager) -> Removal:
    """Stop and remove everything that `install` made, except messages; then comes `forget`.

    Works without the record, and after an installation or a removal that was cut
    short. Raises NotRunningError where the manager cannot be reached.
    """
    manager.check_reachable()
    known = record.read(manager.mode)
    actions: list[str] = []
    actions += _stop(manager)
    actions += _delete(manager, known)
    _unload(manager)
    notes: list[str] = []
    if known and known.linger:
        actions += _undo_linger(notes)
    return Removal(tuple(actions), tuple(notes), tuple(map(Path, known.folders if known else ())))


def forget(manager: Manager, removal: Removal) -> None:
    """Forget what was installed, when all of it is gone: a removal cut short still knows."""
    record.remove(manager.mode)
    identity.remove_empty(list(removal.folders))


def remove_account(manager: Manager) -> tuple[str, str]:
    """Take the account away where nothing of it is left; return what was done, and a note."""
    if manager.mode != SYSTEM or not account.is_ours():
        return "", ""
    identity.remove_empty(former.held())
    if held := former.held():
        folders = shlex.join(map(str, held))
        said = f"the account {ACCOUNT} stays, for there are files of it in {folders}"
        return "", f"{said}; to remove it: chown -R root: {folders} && aap uninstall --system"
    if account.remove():
        former.forget()
        return f"removed the account {ACCOUNT}", ""
    said = f"the account {ACCOUNT} stays, for there are files of it in {SYSTEM_HOME}"
    return "", f"{said}; to remove both: userdel {ACCOUNT} && rm -r {SYSTEM_HOME}"


def _stop(manager: Manager) -> list[str]:
    names = sorted({*_enabled(manager), *filter(_OURS.fullmatch, manager.loaded("aap-*"))})
    enabled = [name for name in names if not name.endswith(".service")]
    services = [name for name in names if name.endswith(".service")]
    if enabled:
        # What starts services first, then the services; a unit whose file is gone
        # makes systemctl complain, and is stopped all the same.
        manager.ask("disable", *enabled)
        manager.ask("stop", *enabled, timeout=managers.STOP_TIMEOUT)
    if services:
        manager.ask("stop", *services, timeout=managers.STOP_TIMEOUT)
    still = [n for n in names if manager.show(n)[n].active in {"active", "deactivating"}]
    if still:
        raise AapError(f"{still[0]} does not stop", hint=manager.command("kill", f"'{still[0]}'"))
    return [f"stopped and disabled {name}" for name in enabled]


def _enabled(manager: Manager) -> Iterable[str]:
    """Name the units that `enable` linked, whether or not the manager knows them still."""
    return [link.name for link in _links(manager)]


def _links(manager: Manager) -> list[Path]:
    links = record.link_folder(manager.mode).glob("*.target.wants/aap-*")
    return [link for link in links if _OURS.fullmatch(link.name)]


def _delete(manager: Manager, known: Record | None) -> list[str]:
    folder = record.unit_folder(manager.mode)
    names = {*units.TEMPLATES, *(known.units if known else ())}
    found = {folder / name for name in names}
    found |= set(folder.glob(f"{units.API}.d/workspace-*.conf"))
    found |= set(folder.glob("aap-worker@*.service.d/others.conf"))
    if manager.mode == SYSTEM:
        found |= {Path(name) for name in units.account_files()}
    found |= set(_links(manager))
    there = [path for path in sorted(found) if path.is_file() or path.is_symlink()]
    for path in there:
        path.unlink()
        with suppress(OSError):  # a drop-in folder that holds the user's own files stays
            if path.parent.parent == folder:
                path.parent.rmdir()
    # Else a unit might be there again after a power cut, and start.
    changed = {folder, *(path.parent for path in there)} if there else ()
    for_all([each for each in changed if each.is_dir()], files.fsync_folder)
    return [f"removed {len(there)} files from {folder}"] if there else []


def _unload(manager: Manager) -> None:
    manager.tell("daemon-reload")
    manager.ask("reset-failed", "aap-*")
    with suppress(OSError):  # RemoveOnStop= removes the socket, not its folder
        (manager.runtime / "aap").rmdir()


def _undo_linger(notes: list[str]) -> list[str]:
    try:
        managers.set_linger(on=False)
    except AapError as error:
        notes.append(f"lingering stays on: {error}. {error.hint}")
        return []
    return [f"turned lingering off for {managers.user_name()}"]
