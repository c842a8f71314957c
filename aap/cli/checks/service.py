"""The units, and the sandbox that they promise."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Container, Iterable, Sequence
from pathlib import Path

from aap import __version__, config, process
from aap.cli.checks.finding import (
    FAIL,
    INSTALL,
    NOTE,
    OK,
    WARN,
    Finding,
    Found,
    Patient,
    Unasked,
    in_each,
    installation,
    status_of,
)
from aap.errors import AapError
from aap.mode import USER
from aap.systemd import record, units, walls
from aap.systemd.manager import Unit

WHY_NO_NAMESPACES = (  # which of them says so differs between distributions
    "sysctl -e user.max_user_namespaces kernel.unprivileged_userns_clone "
    "kernel.apparmor_restrict_unprivileged_userns"
)
_LIMITS = ("start-limit-hit", "unit-start-limit-hit", "trigger-limit-hit")


def units_present(patient: Patient) -> Found:
    """Look whether aap is installed and systemd knows all of it."""
    try:
        found = patient.status
    except AapError as error:
        raise Unasked from error
    if found.record is None:
        whom = "this user" if patient.manager.mode == USER else "this machine"
        yield Finding(FAIL, f"aap is not installed for {whom}", INSTALL, safe=True)
        return
    missing = [unit.name for unit in found.all_units if unit.load != "loaded"]
    if missing:
        said = f"systemd does not know {', '.join(missing)}"
        yield Finding(FAIL, said, INSTALL, safe=True)
    else:
        yield Finding(OK, f"{len(found.all_units)} units")


def units_enabled(patient: Patient) -> Found:
    """Look whether everything comes back after a reboot."""
    found = status_of(patient)
    own = [found.socket, *(unit for each in found.workspaces for unit in (each.watch, each.timer))]
    for unit in own:
        if unit.load == "loaded" and unit.file_state != "enabled":
            said = f"{unit.name} is {unit.file_state}: not there after a reboot"
            yield Finding(WARN, said, enable(patient, unit), safe=True)
    if all(unit.file_state == "enabled" for unit in own):
        yield Finding(OK, "all come back after a reboot")


def enable(patient: Patient, unit: Unit) -> str:
    """Return the command that has a unit active, now and after a reboot."""
    return patient.manager.command("enable", "--now", f"'{unit.name}'")


def units_drift(patient: Patient) -> Found:
    """Compare the files with what this aap would write, and with what systemd has read."""
    installed = installation(patient)
    folder = record.unit_folder(patient.manager.mode)
    texts = units.render(installed.plan)
    drifted = [name for name, text in texts.items() if _read(folder / name) != text]
    if drifted:
        said = f"{', '.join(drifted)}: not as aap {__version__} writes it"
        yield Finding(WARN, said, INSTALL, safe=True)
    stale = [unit.name for unit in status_of(patient).all_units if unit.need_reload]
    if stale:
        fix = patient.manager.command("daemon-reload")
        yield Finding(WARN, f"systemd has not read {', '.join(stale)} again", fix, safe=True)
    if not drifted and not stale:
        yield Finding(OK, f"as aap {__version__} writes them")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""


def units_drop_ins(patient: Patient) -> Found:
    """Name the changes that are the person's own."""
    changed = False
    for unit in status_of(patient).all_units:
        if foreign := _foreign(patient, unit):
            changed = True
            yield Finding(NOTE, f"{unit.name} is changed by your own {', '.join(foreign)}")
    if not changed:
        yield Finding(OK, "no changes of your own")


def _foreign(patient: Patient, unit: Unit) -> list[str]:
    """List the files of a unit that are not aap's."""
    folder = record.unit_folder(patient.manager.mode)
    ours = {str(folder / name) for name in installation(patient).units}
    foreign = [path for path in unit.drop_ins if path not in ours]
    if unit.fragment and not unit.fragment.startswith(f"{folder}/"):
        foreign.append(unit.fragment)
    return foreign


def units_version(patient: Patient) -> Found:
    """Look whether the interpreter that the units start is there and has this aap."""
    installed = installation(patient)
    python = installed.plan.python
    if not os.access(python, os.X_OK):
        yield Finding(FAIL, f"the units start {python}, which is gone", INSTALL, safe=True)
        return
    outcome = process.run([python, "-I", "-c", "import aap; print(aap.__version__)"])
    if not outcome.ok:
        said = f"{python} cannot import aap"
        yield Finding(FAIL, said, INSTALL, outcome.complaint, safe=True)
    elif outcome.out.strip() != installed.aap:
        said = f"aap {outcome.out.strip()} runs in units of aap {installed.aap}"
        yield Finding(WARN, said, INSTALL, safe=True)
    else:
        yield Finding(OK, f"aap {installed.aap} in {python}")
    if python != sys.executable and __version__ != installed.aap:
        yield Finding(NOTE, f"this command is aap {__version__} in {sys.executable}")


def units_failed(patient: Patient) -> Found:
    """Look for units that failed, or that fail again and again."""
    found = status_of(patient)
    bad = [unit for unit in found.all_units if unit.active == "failed"]
    for unit in (unit for unit in bad if unit.result not in _LIMITS):
        said = f"{unit.name} failed ({unit.result})"
        yield Finding(FAIL, said, _start_again(patient, unit), safe=True)
    again = [unit for unit in found.all_units if unit.sub == "auto-restart"]
    for unit in again:
        how = ", ".join(filter(None, (unit.result, f"{unit.restarts}x" if unit.restarts else "")))
        said = f"{unit.name} fails and is started again ({how})"
        yield Finding(WARN, said, "aap logs --today")
    if not bad and not again:
        yield Finding(OK, "none")


def units_limit(patient: Patient) -> Found:
    """Look for units that systemd gave up because they were started too often."""
    hit = [unit for unit in status_of(patient).all_units if unit.result in _LIMITS]
    for unit in hit:
        said = f"systemd gave {unit.name} up ({unit.result})"
        yield Finding(FAIL, said, _start_again(patient, unit), safe=True)
    if not hit:
        yield Finding(OK, "no unit was started too often")


def _start_again(patient: Patient, unit: Unit) -> str:
    reset = patient.manager.command("reset-failed", f"'{unit.name}'")
    if unit.name.endswith(".service"):
        return reset
    start = patient.manager.command("start", f"'{unit.name}'")
    return f"{reset} && {start}"


# The sandbox


def sandbox_enforced(patient: Patient) -> Found:
    """Try whether this machine still enforces what the units rely on."""
    plan = installation(patient).plan
    status_of(patient)
    if plan.mounts and not patient.has_mounts:
        said = "this machine refuses the namespaces that the units ask for: they cannot start"
        yield Finding(FAIL, said, INSTALL, safe=True)
    elif plan.mounts:
        yield Finding(OK, "the units have namespaces of their own")
    elif patient.has_mounts:
        said = "the units have a part of the sandbox only, though this machine could do all of it"
        yield Finding(WARN, said, INSTALL, safe=True)
    else:
        said = f"only a part of the sandbox holds; what is off: {units.WITHOUT_MOUNTS}"
        yield Finding(WARN, f"{said}: this kernel gives users no namespaces", WHY_NO_NAMESPACES)


def sandbox_whole(patient: Patient) -> Found:
    """Look whether a drop-in takes a wall of the API's or the worker's sandbox away."""
    status = status_of(patient)
    of_api = _look_at_walls(patient, status.api, "the API's unit")
    yield from (finding for finding in of_api if finding.is_bad)  # one line says that all is well
    workers = {each.path: each.worker for each in status.workspaces}
    yield from in_each(
        patient, lambda site: _look_at_walls(patient, workers[site.path], "the worker's unit")
    )


def _look_at_walls(patient: Patient, unit: Unit, whose: str) -> Found:
    if down := missing_walls(patient, unit.name):
        said = f"{whose} is less confined than aap's own: {', '.join(down)}"
        yield Finding(WARN, said, _take_out(patient, unit, down))
    else:
        yield Finding(OK, f"no drop-in weakens {whose}")


def sandbox_settings(patient: Patient) -> Found:
    """Look whether an agent could put settings in the place of those that are there."""
    if not installation(patient).plan.mounts:
        raise Unasked
    status_of(patient)
    workspaces = {*patient.paths.values()}
    open_ = [*workspaces, *(patient.home / path for path, _ in units.WRITABLE)]
    yield from in_each(patient, lambda site: _look_at_own_settings(site.path, open_, workspaces))


def _look_at_own_settings(path: Path, open_: Sequence[Path], held: Container[Path]) -> Found:
    file = config.workspace_file(path)
    shown = shlex.quote(str(file))
    loose = [step for step in path.parents if step not in held and _is_below(step, open_)]
    if loose or (path.is_symlink() and _is_below(path, open_)):
        step = loose[-1] if loose else path
        said = f"an agent could put another {step} in its place, and so settings of {path}"
        yield Finding(WARN, f"{said}: take a folder right below your home, and no link")
    elif file.is_symlink():
        said = f"{file} is a link, in the place of which its agent could put a file"
        fix = f'cp --remove-destination "$(realpath {shown})" {shown}'
        yield Finding(WARN, said, fix)
    elif not file.exists():
        yield Finding(WARN, f"{file} is missing, and its agent could make one", INSTALL, safe=True)
    else:
        yield Finding(OK, f"the agent can only read {file}")


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(folder in path.parents for folder in folders)


def missing_walls(patient: Patient, unit: str) -> list[str]:
    """Say which settings of an API or a worker, as systemd has them, are weaker than aap's own."""
    template = re.sub("@.*[.]", "@.", unit)
    text = units.render(installation(patient).plan)[template]
    words = ["show", f"--property={','.join(walls.properties(text))}", "--", unit]
    lines = (line.partition("=") for line in patient.manager.tell(*words).splitlines())
    shown = {name: value for name, _, value in lines}
    places = {"h": str(patient.home), "t": str(patient.manager.runtime)}
    return walls.lower(text, shown, places)


def _take_out(patient: Patient, unit: Unit, down: list[str]) -> str:
    """Return the command that removes the drop-ins with these settings, or shows all of them."""
    names = "|".join(re.split("[= ]", each)[0] for each in down)
    setting = re.compile(rf"^\s*({names})\s*=", re.MULTILINE)
    to_blame = [path for path in _foreign(patient, unit) if setting.search(_read(Path(path)))]
    if not to_blame:
        return patient.manager.command("cat", f"'{unit.name}'")
    reload = patient.manager.command("daemon-reload")
    sudo = "sudo " if reload.startswith("sudo ") else ""
    return f"{sudo}rm {shlex.join(to_blame)} && {reload}"
