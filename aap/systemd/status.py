"""How the units are, as facts; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aap.systemd import record, units
from aap.systemd.manager import Manager, Unit
from aap.systemd.record import Record

_WORDS = {
    "inactive": "idle",  # what starts on demand and ends by itself is no less well when idle
    "active": "running",
    "reloading": "running",
    "activating": "starting",
    "deactivating": "stopping",
    "failed": "failed",
}


@dataclass(frozen=True)
class WorkspaceUnits:
    """The units of one workspace."""

    name: str
    path: Path
    watch: Unit
    timer: Unit
    worker: Unit

    @property
    def is_paused(self) -> bool:
        """Whether `aap pause` keeps the inbox from being watched."""
        return units.pause_file(self.path).exists()

    @property
    def is_armed(self) -> bool:
        """Whether the inbox is watched, now (or once it is resumed) and after a reboot."""
        return self.watch.is_armed or (self.is_paused and self.watch.file_state == "enabled")


@dataclass(frozen=True)
class Status:
    """Everything systemd knows of aap. `record` is None where aap is not installed."""

    record: Record | None
    socket: Unit
    api: Unit
    workspaces: tuple[WorkspaceUnits, ...]

    @property
    def is_armed(self) -> bool:
        """Whether a request would be taken and handled, now and after a reboot."""
        watched = all(each.is_armed for each in self.workspaces)
        return self.record is not None and self.socket.is_armed and watched

    @property
    def all_units(self) -> tuple[Unit, ...]:
        """Every unit of the installation."""
        own = [unit for each in self.workspaces for unit in (each.watch, each.timer, each.worker)]
        return (self.socket, self.api, *own)


def look(manager: Manager, workspaces: Mapping[str, Path]) -> Status:
    """Ask the manager, in one call; `workspaces` counts where no record says what is installed.

    Raises NotRunningError where the manager cannot be reached.
    """
    manager.check_reachable()
    known = record.read(manager.mode)
    paths = known.plan.workspaces if known else workspaces
    names = [units.SOCKET, units.API]
    for path in paths.values():
        names += [units.worker_path(path), units.sweep_timer(path), units.worker_service(path)]
    shown = manager.show(*names)
    return Status(
        known,
        shown[units.SOCKET],
        shown[units.API],
        tuple(_of_workspace(name, path, shown) for name, path in paths.items()),
    )


def _of_workspace(name: str, path: Path, shown: Mapping[str, Unit]) -> WorkspaceUnits:
    return WorkspaceUnits(
        name,
        path,
        watch=shown[units.worker_path(path)],
        timer=shown[units.sweep_timer(path)],
        worker=shown[units.worker_service(path)],
    )


def state_of(service: Unit) -> str:
    """Say in a word how a service is: idle, running, starting, stopping, failed or retrying.

    `retrying`: it failed, and systemd starts it again soon.
    """
    if service.sub == "auto-restart":
        return "retrying"
    return _WORDS.get(service.active, service.active)
