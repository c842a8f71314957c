"""`aap doctor`: what is wrong, one line a check, and the command that mends it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from aap.cli import output
from aap.cli.checks import CHECKS, Finding, Patient, examine
from aap.cli.checks.finding import OK
from aap.cli.cures import Cure, cure
from aap.cli.place import Place
from aap.errors import Exit, UsageError, did_you_mean

SCHEMA = "aap.doctor/1"
PATIENCE = 3.0  # seconds that a unit, once started, may take to do its part
_COLOURS = {"ok": "green", "note": "cyan", "warn": "yellow", "FAIL": "red"}


def doctor(
    place: Place,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    fix: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    bundle: str | None = None,
    as_json: bool = False,
) -> int:
    """Run the checks, or those that `only` names by id or by the part before the dot.

    With `fix` the safe cures are run, each asked for unless `yes`, and the checks
    once more; with `dry_run` they are only told. Returns Exit.FINDINGS if any check
    says warn or FAIL in the end, with and without JSON (schema `aap.doctor/1`).
    On a terminal what is well is told in a line a group, unless `only` names checks.
    With `bundle` a report without anything private is written to that file.
    """
    ids = _chosen(only, skip)
    place.check_known()
    findings = _examine(place, ids)
    in_short = not only and sys.stdout.isatty()
    cures: list[Cure] = []
    if fix or dry_run:
        if not as_json:
            _print(findings, in_short=in_short)
        cures = cure(place, findings, yes=yes, dry_run=dry_run)
        if any(each.outcome == "done" for each in cures):
            findings = _look_again(place, ids, cures)
    if as_json:
        output.write_json(SCHEMA, **members(findings), cures=[each._asdict() for each in cures])
    elif not cures:
        if not (fix or dry_run):
            _print(findings, in_short=in_short)
    else:
        _tell(cures, findings)
    _sum_up(findings, as_json=as_json)
    if bundle:
        _write_bundle(place, findings, bundle)
    return Exit.FINDINGS if any(each.is_bad for each in findings) else Exit.OK


def _examine(place: Place, ids: Sequence[str]) -> list[Finding]:
    """Run the checks; some ask a program that may take its time."""
    patient, progress = Patient(place), output.Progress(len(ids))
    findings = []
    for name in ids:
        findings += examine(patient, [name])
        progress.step()
    progress.close()
    return findings


def _look_again(place: Place, ids: Sequence[str], cures: Sequence[Cure]) -> list[Finding]:
    """Examine once more; what a cure has started may take a moment to help."""
    done = {each.command for each in cures if each.outcome == "done"}
    deadline = time.monotonic() + PATIENCE
    while True:
        findings = examine(Patient(place), ids)
        open_ = [each for each in findings if each.is_bad and each.fix in done]
        if not open_ or time.monotonic() > deadline:
            return findings
        time.sleep(0.1)


def _chosen(only: Sequence[str], skip: Sequence[str]) -> list[str]:
    for wanted in (*only, *skip):
        if not any(_is_named(check, wanted) for check in CHECKS):
            groups = dict.fromkeys(check.partition(".")[0] for check in CHECKS)
            hint = did_you_mean(wanted, [*groups, *CHECKS], f"groups are {', '.join(groups)}")
            raise UsageError(f"there is no check {wanted}", hint=hint)
    return [
        check
        for check in CHECKS
        if (not only or any(_is_named(check, name) for name in only))
        and not any(_is_named(check, name) for name in skip)
    ]


def _is_named(check: str, wanted: str) -> bool:
    return check == wanted or check.startswith(f"{wanted}.")


def members(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what `aap.doctor/1` holds of the findings."""
    shown = [
        {
            "id": each.id,
            "severity": each.severity.lower(),
            "message": each.text,
            "why": each.why,
            "fix": each.fix,
            "safe": each.safe,
        }
        for each in findings
    ]
    return {"healthy": not any(each.is_bad for each in findings), "findings": shown}


# Shown to people


def _print(findings: Sequence[Finding], *, in_short: bool = False) -> None:
    if in_short:
        findings = list(_in_short(findings))
    width = max((len(each.id) for each in findings), default=0)
    for each in findings:
        mark = output.paint(each.severity.ljust(4), _COLOURS[each.severity])
        output.write_hanging(f"{mark} {each.id.ljust(width)}  ", output.one_line(each.text))
        if each.is_bad:
            output.write_hanging("       ", each.why, "dim")
        if each.fix:
            output.write(f"       $ {output.harmless(each.fix)}")


def _in_short(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Put what is well of each group into one; who looks at a terminal looks for the rest."""
    for group, found in groupby(findings, lambda each: each.id.partition(".")[0]):
        together = list(found)
        well = dict.fromkeys(each.id.partition(".")[2] for each in together if each.severity == OK)
        if well:
            yield Finding(OK, ", ".join(well), id=group)
        yield from (each for each in together if each.severity != OK)


def _tell(cures: Sequence[Cure], findings: Sequence[Finding]) -> None:
    """Say what was done, and what is still wrong."""
    for each in cures:
        said = f": {output.one_line(each.said)}" if each.said else ""
        output.write(f"{each.outcome}: {output.harmless(each.command)}{said}")
    if any(each.outcome == "done" for each in cures):
        _print([each for each in findings if each.is_bad])


def _sum_up(findings: Sequence[Finding], *, as_json: bool) -> None:
    bad = [each for each in findings if each.is_bad]
    if as_json or not bad:
        return
    needs = "needs" if len(bad) == 1 else "need"
    ids = ", ".join(dict.fromkeys(each.id for each in bad))
    output.note(f"{len(bad)} of {len(findings)} findings {needs} a look: {ids}")
    if any(each.safe for each in bad):
        output.note("  aap doctor --fix   runs what is safe")


def _write_bundle(place: Place, findings: Sequence[Finding], target: str) -> None:
    from pathlib import Path

    from aap.cli.bundle import write_bundle

    path = Path(target).expanduser()
    write_bundle(place, findings, path)
    output.note(f"{path} holds no message, key or environment; look into it before you send it")
