"""Programs around aap: agents with their skills, the shells and man, OpenClaw in front."""

from __future__ import annotations

from aap import shared, skillset
from aap.cli.checks.finding import (
    FAIL,
    INSTALL,
    NOTE,
    OK,
    WARN,
    Finding,
    Found,
    Patient,
    Site,
    in_each,
    installation,
    settings_of,
)
from aap.errors import NotFoundError
from aap.systemd import record


def skills_current(patient: Patient) -> Found:
    """Compare the workspace's copies of the skills with aap's own."""
    yield from in_each(patient, _compare_skills)


def _compare_skills(site: Site) -> Found:
    states = {skill.name: skillset.state(site.path, skill) for skill in skillset.skills()}
    old = [name for name, state in states.items() if state == "old"]
    missing = [name for name, state in states.items() if state == "missing"]
    changed = [name for name, state in states.items() if state == "changed"]
    if old:
        said = f"{', '.join(old)}: written by another version of aap"
        yield Finding(WARN, said, "aap skills install", safe=True)
    if missing:
        yield Finding(NOTE, f"{', '.join(missing)}: not in the workspace", "aap skills install")
    if changed:
        yield Finding(NOTE, f"{', '.join(changed)}: changed by yourself")
    if not (old or missing or changed):
        yield Finding(OK, "the skills are up to date")


def shell_current(patient: Patient) -> Found:
    """Compare the manual pages and completions that were installed with aap's own."""
    installation(patient)
    mode = patient.manager.mode
    share = record.share_folder(mode)
    states = shared.states(share, record.shared_file(mode))
    if "old" in states:
        said = f"manual pages or completions in {share} are of another version of aap"
        yield Finding(WARN, said, INSTALL, safe=True)
    if "missing" in states:
        yield Finding(NOTE, f"manual pages or completions are missing in {share}", INSTALL)
    if "changed" in states:
        yield Finding(NOTE, f"manual pages or completions in {share} were changed by yourself")
    if states == {"installed"}:
        yield Finding(OK, f"manual pages and completions in {share}")


def openclaw_settings(patient: Patient) -> Found:
    """Look at OpenClaw's own configuration, if it is on this machine."""
    from aap.cli.openclaw import examine

    settings_of(patient)
    try:
        found = examine(patient.place)
    except NotFoundError:
        yield Finding(OK, "there is no OpenClaw here")
        return
    bad = [each for each in found if each.is_bad]
    if not bad:
        yield Finding(OK, f"{len(found)} settings suit")
        return
    # Where OpenClaw is not set up for us, each of them would say the same.
    severity = FAIL if any(each.severity == FAIL for each in bad) else WARN
    do = "does" if len(bad) == 1 else "do"
    said = f"{len(bad)} of {len(found)} settings {do} not suit, the first is {bad[0].setting}"
    yield Finding(severity, said, "aap openclaw check")
