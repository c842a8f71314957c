"""Running the agent once under a copy of the worker's unit: same PATH, HOME and sandbox.

The copy lies in the runtime folder for as long as the trial takes. It differs from
the worker's unit in what starts it and in nothing else that an agent could notice.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aap import blank, files, identity
from aap.errors import NotRunningError
from aap.mode import install_command
from aap.systemd import record, units
from aap.systemd.manager import Manager

TIMEOUT = 240.0
_WORKER = "aap-worker@.service"
_TRIAL = "aap-trial@.service"
_DROPPED = ("Condition", "Restart", "StartLimit", "Type=", "Description=", "TimeoutStartSec=")


def run_trial(manager: Manager, workspace: Path) -> str:
    """Run the trial and return what it printed.

    Raises NotRunningError if aap is not installed, or if the trial printed nothing.
    """
    manager.check_reachable()
    installed = record.unit_folder(manager.mode) / _WORKER
    if not installed.exists():
        raise NotRunningError("aap is not installed", hint=install_command())
    name = f"aap-trial@{units.instance(workspace)}.service"
    with identity.acting_for(workspace):
        blank.make(workspace)
    with _copy_of_unit(manager, installed.read_text("utf-8")) as result:
        outcome = manager.ask("start", name, timeout=TIMEOUT)
        printed = result.read_text("utf-8", "replace") if result.exists() else ""
        manager.ask("reset-failed", name)
    if not printed:
        raise NotRunningError(
            f"the trial printed nothing: {outcome.complaint or 'it was ended'}",
            hint=f"journalctl --{manager.mode}-unit '{name}'",
        )
    return printed


@contextmanager
def _copy_of_unit(manager: Manager, text: str) -> Iterator[Path]:
    """Have the copy known to systemd for the length of the block; gives the result's path."""
    folder = manager.runtime / "systemd" / manager.mode
    result = manager.runtime / "aap-trial.json"
    drop_ins = folder / f"{_TRIAL}.d"
    files.make_folder(folder)
    try:
        result.unlink(missing_ok=True)
        files.write_atomic(folder / _TRIAL, _change(text, result).encode())
        _copy_drop_ins(manager, drop_ins)
        manager.tell("daemon-reload")
        yield result
    finally:
        shutil.rmtree(drop_ins, ignore_errors=True)
        for path in (folder / _TRIAL, result):
            with suppress(FileNotFoundError):
                path.unlink()
        manager.ask("daemon-reload")


def _change(text: str, result: Path) -> str:
    kept = [line for line in text.splitlines() if not line.startswith(_DROPPED)]
    changed = "\n".join(kept) + "\n"
    changed = re.sub(r"^(ExecStart=.*)$", r"\1 --try", changed, flags=re.MULTILINE)
    return changed.replace(
        "[Service]\n",
        # systemd opens the file itself, outside of the sandbox.
        f"[Service]\nType=oneshot\nTimeoutStartSec=180\nStandardOutput=truncate:{result}\n",
        1,
    )


def _copy_drop_ins(manager: Manager, target: Path) -> None:
    """What a person changed of the worker's unit counts for the trial as well."""
    source = record.link_folder(manager.mode) / f"{_WORKER}.d"
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
