"""Put the units in place: all or nothing.

`preflight.prepare` found everything that can be seen beforehand. Here, how each
step is taken back is noted before it is taken, and done if a later one fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from aap import WORKSPACE_FILE, __version__, blank, files, identity
from aap.errors import AapError, NotRunningError
from aap.mode import ACCOUNT, SYSTEM, SYSTEM_HOME, USER
from aap.systemd import account, former, record, units
from aap.systemd import manager as managers
from aap.systemd.manager import Manager
from aap.systemd.preflight import Wish
from aap.systemd.record import Record
from aap.systemd.units import Plan

UNIT_MODE = 0o644


@dataclass(frozen=True)
class Report:
    """What was done, as sentences in the past tense, and what the person should know."""

    actions: tuple[str, ...]
    notes: tuple[str, ...]
    units: tuple[str, ...]
    folder: Path

    @property
    def changed(self) -> bool:
        """False if all was as it should be."""
        return bool(self.actions)


def apply(manager: Manager, wish: Wish, plan: Plan) -> Report:
    """Install what `prepare` returned. If a step fails, all before it are taken back."""
    return _Installation(manager, wish, plan).run()


class _Installation:
    """One run of `apply`: what is there, what is new, how to take it back."""

    def __init__(self, manager: Manager, wish: Wish, plan: Plan) -> None:
        self._manager = manager
        self._wish = wish
        self._plan = plan
        self._folder = record.unit_folder(plan.mode)
        self._texts = units.render(plan)
        self._before = record.read(plan.mode)
        self._changed = {n for n, text in self._texts.items() if self._content(n) != text}
        self._actions: list[str] = []
        self._undo = ExitStack()

    def run(self) -> Report:
        with self._undo:
            self._remember()
            self._make_account()
            self._enable_linger()
            self._make_folders()
            self._make_settings()
            self._write_units()
            self._drop_old_workspaces()
            self._arm()
            notes = tuple(self._notes())
            self._undo.pop_all()
        self._renew_api()
        return Report(tuple(self._actions), notes, tuple(self._texts), self._folder)

    # Each step says how it is taken back before it is taken.

    def _remember(self) -> None:
        before, plan = self._before, self._plan
        missing = self._missing_folders()
        new = Record(
            aap=__version__,
            plan=plan,
            units=tuple(self._texts),
            linger=self._needs_linger() or bool(before and before.linger),
            folders=tuple(dict.fromkeys([*(before.folders if before else ()), *map(str, missing)])),
        )
        if new == before:
            return
        if self._needs_account():
            self._undo.callback(account.remove)
        self._undo.callback(identity.remove_empty, missing)
        self._undo.callback(_restore_record, before, plan.mode)
        if plan.mode == SYSTEM and before:
            former.add(set(before.plan.workspaces.values()) - set(plan.workspaces.values()))
        record.write(new)

    def _missing_folders(self) -> list[Path]:
        links = record.link_folder(self._plan.mode)
        wants = [links / f"{kind}.target.wants" for kind in ("sockets", "paths", "timers")]
        own = [(self._folder / name).parent for name in self._texts]
        state = record.record_file(self._plan.mode).parent
        return files.missing_folders(*own, *wants, state, *self._wish.folders)

    def _needs_account(self) -> bool:
        return self._plan.mode == SYSTEM and identity.find_account() is None

    def _make_account(self) -> None:
        if self._plan.mode != SYSTEM:
            return
        is_new = self._needs_account()
        account.make(units.account_files())
        if is_new:
            self._actions.append(f"made the account {ACCOUNT}, whose home is {SYSTEM_HOME}")

    def _needs_linger(self) -> bool:
        is_user = self._plan.mode == USER
        return is_user and bool(self._wish.linger) and not managers.has_linger()

    def _enable_linger(self) -> None:
        if self._needs_linger():
            managers.set_linger(on=True)
            self._undo.callback(_linger_off)
            self._actions.append(f"turned lingering on for {managers.user_name()}")

    def _make_folders(self) -> None:
        new = [path for path in self._wish.workspaces.values() if not path.exists()]
        for folder in (*self._wish.workspaces.values(), *self._wish.folders):
            account.make_folder(folder, self._plan.mode)
        self._actions += [f"made the workspace {path}" for path in new if path.exists()]

    def _make_settings(self) -> None:
        for path in self._wish.workspaces.values():
            with identity.acting_for(path), suppress(PermissionError):  # then nor can the agent
                if blank.make(path):
                    self._undo.callback(remove_blank, path)
                    self._actions.append(f"made {path / WORKSPACE_FILE}")

    def _write_units(self) -> None:
        obsolete = [n for n in (self._before.units if self._before else ()) if n not in self._texts]
        if not self._changed and not obsolete:
            return
        active = self._active_and_changed()
        self._undo.callback(self._restart, active)
        self._undo.callback(self._manager.ask, "daemon-reload")
        for name in sorted(self._changed):
            self._undo.callback(self._replace, name, self._content(name))
            self._replace(name, self._texts[name])
        for name in obsolete:
            self._undo.callback(self._replace, name, self._content(name))
            self._replace(name, None)
        self._manager.tell("daemon-reload")
        if self._changed:
            self._actions.append(f"wrote {_files(len(self._changed))} to {self._folder}")
        if obsolete:
            self._actions.append(f"removed {_files(len(obsolete))} from {self._folder}")
        self._restart(active)

    def _active_and_changed(self) -> list[str]:
        """Name the armed units that run on an old text."""
        shown = self._manager.show(*units.armed(self._plan.workspaces))
        return [
            name
            for name, unit in shown.items()
            if unit.active == "active" and _template_of(name) in self._changed
        ]

    def _restart(self, names: list[str]) -> None:
        for name in names:
            # A socket keeps its old address over a mere daemon-reload.
            self._manager.restart(name)
            self._actions.append(f"restarted {name}")

    def _drop_old_workspaces(self) -> None:
        old = self._before.plan.workspaces if self._before else {}
        gone = {n: path for n, path in old.items() if path not in self._plan.workspaces.values()}
        names = [name for name in units.armed(gone) if name != units.SOCKET]
        if names:
            self._undo.callback(self._manager.ask, "enable", "--now", *names)
            self._manager.tell("disable", "--now", *names)
            self._stop_services(list(gone.values()))
            said = ", ".join(map(str, gone.values()))
            self._actions.append(f"stopped watching {said}; its messages stay")

    def _stop_services(self, workspaces: list[Path]) -> None:
        """End what still works there; its messages go back to the inbox."""
        named = (units.worker_service, units.sweep_service)
        names = [name_of(path) for path in workspaces for name_of in named]
        self._manager.ask("stop", *names, timeout=managers.STOP_TIMEOUT)
        self._manager.ask("reset-failed", *names)

    def _arm(self) -> None:
        names = units.armed(self._plan.workspaces)
        shown = self._manager.show(*names)
        self._check_loaded(shown)
        asleep = [n for n, unit in shown.items() if not self._is_armed(unit)]
        # In one call: each of them has systemd read all units again.
        unlinked = [name for name in asleep if shown[name].file_state != "enabled"]
        if unlinked:
            # --now would stop what the user had started without enabling it.
            self._undo.callback(self._manager.ask, "disable", *unlinked)
            self._manager.tell("enable", *unlinked)
        # The socket is last: what it lets in, somebody watches.
        for name in asleep:
            if shown[name].active != "active":
                self._undo.callback(self._manager.ask, "stop", name, timeout=managers.STOP_TIMEOUT)
            self._manager.tell("start", name)
            self._actions.append(f"enabled and started {name}")
        self._check_armed(self._manager.show(*names))

    def _is_armed(self, unit: managers.Unit) -> bool:
        """A paused workspace stays paused: its path unit would not start."""
        paused = (p for p in self._plan.workspaces.values() if units.pause_file(p).exists())
        resting = {units.worker_path(path) for path in paused}
        return unit.is_armed or (unit.name in resting and unit.file_state == "enabled")

    def _check_loaded(self, shown: Mapping[str, managers.Unit]) -> None:
        for unit in shown.values():
            if unit.load != "loaded":
                raise NotRunningError(
                    f"systemd does not accept {unit.name}: {unit.load}",
                    hint=f"systemd-analyze --{self._plan.mode} verify '{unit.name}'",
                )

    def _check_armed(self, shown: Mapping[str, managers.Unit]) -> None:
        for unit in shown.values():
            if not self._is_armed(unit):
                raise NotRunningError(
                    f"{unit.name} is {unit.active} ({unit.result or unit.sub})",
                    hint=f"journalctl --{self._plan.mode}-unit '{unit.name}'",
                )

    def _renew_api(self) -> None:
        """Let a running API go on with the new code; it answers first what it has accepted.

        A worker is left alone: its agent may be in the middle of a sentence, and
        it ends by itself when the inbox is empty.
        """
        before = self._before
        upgraded = before is not None and before.aap != __version__
        others = before is not None and before.plan.workspaces != self._plan.workspaces
        own = {name for name in self._changed if name.startswith(units.API)}
        if not (own or upgraded or others):
            return
        if self._manager.show(units.API)[units.API].active == "active":
            self._manager.tell("try-restart", units.API, timeout=managers.STOP_TIMEOUT)
            self._actions.append(f"restarted {units.API}")

    def _notes(self) -> Iterator[str]:
        if not self._plan.mounts:
            yield (
                "this machine gives the units no namespaces of their own, so only a part of the "
                f"sandbox holds; what is off: {units.WITHOUT_MOUNTS}"
            )
        elif not self._plan.users:
            yield (
                "this kernel gives the units no user namespaces; the rest of the sandbox holds, "
                f"but the agent can look into what else the account {ACCOUNT} runs, the API too"
            )
        is_user = self._plan.mode == USER
        if is_user and not managers.has_linger():
            yield "lingering is off: aap stops when you log out"
        for path in self._plan.workspaces.values():
            if units.pause_file(path).exists():
                yield f"the workspace {path} is paused; aap resume ends it"
            if is_user and Path.home().is_relative_to(path):
                yield f"the workspace {path} holds your home: the agent may change all of it"
            if is_user and path.stat().st_uid != os.geteuid():
                yield f"the workspace {path} belongs to another user, who can change what is in it"
        shown = self._manager.show(*units.armed(self._plan.workspaces), units.API).values()
        own = f"{self._folder}/"
        foreign = {u.fragment for u in shown if u.fragment and not u.fragment.startswith(own)}
        for fragment in sorted(foreign):
            yield f"your own {fragment} takes the place of aap's"

    # Files

    def _content(self, name: str) -> str | None:
        try:
            return (self._folder / name).read_text("utf-8", "replace")
        except FileNotFoundError:
            return None

    def _replace(self, name: str, text: str | None) -> None:
        path = self._folder / name
        if text is None:
            files.remove(path, missing_ok=True)
            return
        files.make_folder(path.parent, files.FOLDER_MODE if self._plan.mode == USER else 0o755)
        files.write_atomic(path, text.encode(), UNIT_MODE)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _template_of(name: str) -> str:
    stem, at, rest = name.partition("@")
    return f"{stem}@.{rest.rpartition('.')[2]}" if at else name


def _restore_record(before: Record | None, mode: str) -> None:
    if before:
        record.write(before)
    else:
        record.remove(mode)


def remove_blank(workspace: Path) -> bool:
    """Remove a settings file of ours in which nobody has set anything; False if there is none."""
    with identity.acting_for(workspace):
        return blank.remove(workspace)


def _linger_off() -> None:
    with suppress(AapError):
        managers.set_linger(on=False)
