"""The user's service manager, the journal and the clock."""

from __future__ import annotations

import heapq
import json
import os
import time
from contextlib import suppress
from pathlib import Path

import aap
from aap import process
from aap.cli import output
from aap.cli.checks.finding import (
    FAIL,
    NOTE,
    OK,
    WARN,
    Finding,
    Found,
    Patient,
    Site,
    Unasked,
    in_each,
)
from aap.cli.journal import UNIT, unit_option
from aap.errors import AapError
from aap.message import State, id_time, parse_name
from aap.mode import USER
from aap.systemd import manager as managers

DAY = 86400.0
_DROPPED = "a596d6fe7bfa4994828e72309e95d61e"  # SD_MESSAGE_JOURNAL_DROPPED, sd-messages(3)
_CLOCK_TRUST = 60.0


def user_runtime(patient: Patient) -> Found:
    """Look at XDG_RUNTIME_DIR, without which systemctl --user finds nobody."""
    _of_user(patient)
    managers.check_runtime_folder()
    yield Finding(OK, os.environ["XDG_RUNTIME_DIR"])


def user_bus(patient: Patient) -> Found:
    """Ask the manager anything."""
    try:
        if patient.manager.mode == USER:
            managers.check_runtime_folder()
    except AapError as error:
        raise Unasked from error
    patient.manager.check_reachable()
    yield Finding(OK, f"systemd {patient.manager.version()} answers")


def _of_user(patient: Patient) -> None:
    if patient.manager.mode != USER:
        raise Unasked


def user_linger(patient: Patient) -> Found:
    """Look whether the manager stays when the user logs out."""
    _of_user(patient)
    name = managers.user_name()
    if managers.has_linger():
        yield Finding(OK, f"{name} lingers: aap runs without a login")
    else:
        said = f"{name} does not linger: aap stops when {name} logs out"
        yield Finding(WARN, said, f"loginctl enable-linger {name}", safe=True)


# The journal


def journal_readable(_patient: Patient) -> Found:
    """Read what the API logged last."""
    # Not as JSON: journalctl then says nothing of what it may not read.
    outcome = process.run(["journalctl", "--no-pager", "--lines=1", unit_option()])
    if not outcome.ok or "No journal files" in outcome.err:
        fix = f"sudo usermod -aG systemd-journal {managers.user_name()}"
        said = "you may not read the journal of your own units"
        yield Finding(NOTE, said, fix, outcome.complaint)
    else:
        yield Finding(OK, "you may read what your units say")


def journal_persistent(_patient: Patient) -> Found:
    """Look whether the journal is on the disk."""
    machine = Path("/etc/machine-id").read_text().strip()
    if Path("/var/log/journal", machine).is_dir():
        yield Finding(OK, "it is kept over a reboot")
    else:
        fix = "sudo mkdir -p /var/log/journal && sudo systemctl restart systemd-journald"
        yield Finding(NOTE, "it is kept in memory, and gone after a reboot", fix)


def journal_complete(patient: Patient) -> Found:
    """Look whether journald threw lines of this user's units away, as far as we may know."""
    mine = f"user@{os.getuid()}.service" if patient.manager.mode == USER else UNIT
    words = ["journalctl", "--quiet", "--no-pager", "--output=json", "--since=-1day"]
    outcome = process.run([*words, f"MESSAGE_ID={_DROPPED}"])
    dropped = 0
    for line in outcome.out.splitlines():
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            if mine in entry["MESSAGE"]:
                dropped += int(entry.get("N_DROPPED", 1))
    if dropped:
        said = f"the journal threw {dropped} lines of your units away within a day: too many a time"
        fix = "man 5 journald.conf   # RateLimitBurst=; the files in logs/ have all lines"
        yield Finding(NOTE, said, fix)
    else:
        yield Finding(OK, "nothing is known to have been left out")


# The clock


def clock_sane(patient: Patient) -> Found:
    """Compare the clock with what was written before."""
    now = time.time()
    built = Path(aap.__file__).stat().st_mtime
    if built > now + DAY:
        said = f"the clock is {output.age(built - now)} behind the files of aap itself"
        yield Finding(FAIL, said, "sudo timedatectl set-ntp true")
        return
    yield from in_each(patient, lambda site: _compare_clock(site, now))


def _compare_clock(site: Site, now: float) -> Found:
    newest = max((_newest(site, state) for state in State), default=0.0)
    if newest > now + _CLOCK_TRUST:
        said = f"the clock is {output.age(newest - now)} behind the newest message"
        yield Finding(WARN, said, "sudo timedatectl set-ntp true")
    else:
        yield Finding(OK, "no message is from the future")


def _newest(site: Site, state: State) -> float:
    try:
        names = os.listdir(site.spool.folder(state))
    except FileNotFoundError:
        return 0.0
    # The largest are looked at alone: to parse a hundred thousand names takes seconds.
    named = (parse_name(name) for name in heapq.nlargest(20, names))
    return max((id_time(name.id) for name in named if name), default=0.0)
