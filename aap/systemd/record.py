"""What was installed, kept where `uninstall` finds it, and gone after it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aap import files, identity
from aap.mode import SYSTEM, SYSTEM_RECORD, user_record
from aap.systemd.units import SOCKET, Plan

SCHEMA = "aap.install/1"


@dataclass(frozen=True)
class Record:
    """What an installation consists of, and what it changed that was not its own."""

    aap: str  # version
    plan: Plan  # what the units were made from
    units: tuple[str, ...]  # files below the folder of units
    linger: bool = False  # it was aap that enabled it
    folders: tuple[str, ...] = ()  # that did not exist before
    schema: str = SCHEMA


def _base(variable: str, fallback: str) -> Path:
    given = os.environ.get(variable, "")
    return Path(given) if given.startswith("/") else Path.home() / fallback


def unit_folder(mode: str) -> Path:
    """Return the folder of our units: the user's own folder ranks above it, so drop-ins survive."""
    if mode == SYSTEM:
        return Path("/etc/systemd/system")
    return share_folder(mode) / "systemd/user"


def link_folder(mode: str) -> Path:
    """Return the folder in which `systemctl enable` makes its links."""
    if mode == SYSTEM:
        return Path("/etc/systemd/system")
    return _base("XDG_CONFIG_HOME", ".config") / "systemd/user"


def record_file(mode: str) -> Path:
    """Return where the record of an installation is kept."""
    if mode == SYSTEM:
        return SYSTEM_RECORD
    return user_record()


def share_folder(mode: str) -> Path:
    """Return the folder below which man and the shells look for what is no part of a package."""
    if mode == SYSTEM:
        return Path("/usr/local/share")
    return _base("XDG_DATA_HOME", ".local/share")


def shared_file(mode: str) -> Path:
    """Return where it is kept what was put there."""
    return record_file(mode).with_name("shared.json")


def is_on_machine() -> bool:
    """Whether aap is installed for the whole machine: everybody may see its units."""
    return (unit_folder(SYSTEM) / SOCKET).exists()


def read(mode: str) -> Record | None:
    """Return the record of what is installed; None if nothing is.

    One that makes no sense counts as none: `uninstall` finds our files by their names too.
    So does one that is closed to us: the machine's to others, root's own while it acts for
    somebody. Raises OSError where it cannot be read now: what is in it must not be forgotten.
    """
    closed = (PermissionError,) if mode == SYSTEM or identity.current() else ()
    with suppress(FileNotFoundError, *closed, ValueError, TypeError, KeyError):
        values: dict[str, Any] = json.loads(record_file(mode).read_text("utf-8"))
        return Record(
            aap=values["aap"],
            plan=_read_plan(values["plan"]),
            units=tuple(values["units"]),
            linger=bool(values["linger"]),
            folders=tuple(values["folders"]),
        )
    return None


def _read_plan(values: dict[str, Any]) -> Plan:
    # Unknown members are a newer aap's; what they say, its own install will say again.
    known = {key: values[key] for key in Plan.__dataclass_fields__ if key in values}
    workspaces = {name: Path(path) for name, path in known["workspaces"].items()}
    return Plan(**{**known, "workspaces": workspaces, "secrets": Path(known["secrets"])})


def write(record: Record) -> None:
    """Store the record."""
    path = record_file(record.plan.mode)
    text = json.dumps(asdict(record), indent=2, default=str).encode() + b"\n"
    files.make_folder(path.parent)
    if record.plan.mode == SYSTEM:  # for the account's `aap` to see what it belongs to
        known = identity.find_account()
        files.write_atomic(path, text, 0o640, group=known.gid if known else None)
    else:
        files.write_atomic(path, text)


def remove(mode: str) -> None:
    """Forget the record."""
    files.remove(record_file(mode), missing_ok=True)
