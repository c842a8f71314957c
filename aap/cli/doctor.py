"""`aap doctor`: what is wrong, one line a check, and the command that mends it.

The ids are stable: scripts and manuals may name them. A check looks and changes
nothing. A new check is a new line in `checks.CHECKS`.
"""

from __future__ import annotations

from collections.abc import Sequence

from aap.cli import output
from aap.cli.checks import CHECKS, Finding, Patient, examine
from aap.cli.place import Place
from aap.errors import Exit, UsageError

_COLOURS = {"ok": "green", "note": "cyan", "warn": "yellow", "FAIL": "red"}


def doctor(place: Place, *, only: Sequence[str] = (), as_json: bool = False) -> int:
    """Run the checks, or those that `only` names by id or by the part before the dot.

    Returns Exit.FINDINGS if any says warn or FAIL, with and without JSON (schema
    `aap.doctor/1`: `findings` with id, severity ok|note|warn|fail, message, fix).
    """
    findings = examine(Patient(place), _chosen(only))
    bad = [each for each in findings if each.is_bad]
    if as_json:
        output.write_json(
            "aap.doctor/1", healthy=not bad, findings=[_members(each) for each in findings]
        )
    else:
        _print(findings, bad)
    return Exit.FINDINGS if bad else Exit.OK


def _chosen(only: Sequence[str]) -> list[str]:
    for wanted in only:
        if not any(_is_named(check, wanted) for check in CHECKS):
            raise UsageError(f"there is no check {wanted}", hint=f"one of: {', '.join(CHECKS)}")
    return [check for check in CHECKS if not only or any(_is_named(check, name) for name in only)]


def _is_named(check: str, wanted: str) -> bool:
    return check == wanted or check.startswith(f"{wanted}.")


def _members(each: Finding) -> dict[str, str]:
    return {
        "id": each.id,
        "severity": each.severity.lower(),
        "message": each.message,
        "fix": each.fix,
    }


def _print(findings: Sequence[Finding], bad: Sequence[Finding]) -> None:
    width = max((len(each.id) for each in findings), default=0)
    for each in findings:
        mark = output.paint(each.severity.ljust(4), _COLOURS[each.severity])
        output.write(f"{mark} {each.id.ljust(width)}  {output.one_line(each.message)}")
        if each.fix:
            output.write(f"       {output.harmless(each.fix)}")
    if bad:
        output.note(f"{len(bad)} of {len(findings)} checks need a look")
