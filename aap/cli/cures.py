"""`aap doctor --fix`: the safe cures, one after the other, and nothing left stopped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aap import process
from aap.cli import output
from aap.cli.checks import Finding, Patient, examine
from aap.cli.place import Place
from aap.errors import AapError, UsageError
from aap.systemd import units

PATIENCE = 240.0  # longer than stopping a worker may take


class Cure(NamedTuple):
    """A command, and what became of it: planned, done, declined or failed."""

    command: str
    checks: tuple[str, ...]
    outcome: str
    said: str = ""


def cure(
    place: Place, findings: Sequence[Finding], *, yes: bool = False, dry_run: bool = False
) -> list[Cure]:
    """Run the safe cures of the findings; ask before each, unless `yes`.

    What an earlier cure has mended is not mended again. Units that listened or
    watched before do so afterwards. Raises UsageError where nobody can be asked.
    """
    planned = _plan(findings)
    if dry_run:
        return planned
    if planned and not yes and not sys.stdin.isatty():
        raise UsageError(
            "nobody can be asked here, and nothing was changed", hint="aap doctor --fix --yes"
        )
    done: list[Cure] = []
    with _what_ran_runs_again(place, done):
        done.extend(_run(place, each, yes) for each in planned if _is_needed(place, each))
    return done


def _plan(findings: Iterable[Finding]) -> list[Cure]:
    commands: dict[str, list[str]] = {}
    for each in findings:
        if each.is_bad and each.safe:
            commands.setdefault(each.fix, []).append(each.id)
    return [Cure(command, tuple(ids), "planned") for command, ids in commands.items()]


def _is_needed(place: Place, planned: Cure) -> bool:
    now = examine(Patient(place), planned.checks)
    return any(each.is_bad and each.fix == planned.command for each in now)


def _run(place: Place, planned: Cure, yes: bool) -> Cure:
    if not yes and not output.ask(f"\n{', '.join(planned.checks)}: {planned.command}\nRun it?"):
        return planned._replace(outcome="declined")
    try:
        # What is shown is what is run: the text is aap's own, its words are quoted.
        argv = ["sh", "-c", planned.command]
        outcome = process.run(argv, timeout=PATIENCE, environ=_environment(place), family=True)
    except AapError as error:
        return planned._replace(outcome="failed", said=str(error))
    if outcome.ok:
        return planned._replace(outcome="done")
    said = (outcome.err.strip() or outcome.complaint).splitlines()[0]
    return planned._replace(outcome="failed", said=said)


def _environment(place: Place) -> dict[str, str]:
    """Have `aap` in a cure be this aap, with the same configuration."""
    found = dict(os.environ)
    programs = str(Path(sys.executable).parent)
    found["PATH"] = f"{programs}:{found.get('PATH', os.defpath)}"
    return found | ({"AAP_CONFIG": place.config} if place.config else {})


@contextmanager
def _what_ran_runs_again(place: Place, done: list[Cure]) -> Iterator[None]:
    """Start again what listened or watched before, should a cure have left it stopped."""
    before = _armed(place)
    try:
        yield
    finally:
        manager = Patient(place).manager
        for name in sorted(before - _armed(place)):
            command = manager.command("start", f"'{name}'")
            outcome = manager.ask("start", name)
            said = "" if outcome.ok else outcome.complaint
            done.append(Cure(command, (), "failed" if said else "done", said))


def _armed(place: Place) -> set[str]:
    patient = Patient(place)
    try:
        names = units.armed(patient.paths)
        patient.manager.check_reachable()
        shown = patient.manager.show(*names)
    except AapError:
        return set()
    return {name for name, unit in shown.items() if unit.active == "active"}
