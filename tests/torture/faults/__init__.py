"""Every call that can fail fails: in the API, the worker, its hook and the commands.

A shim before the C library has the n-th open, write, fsync, rename and so on fail, for every
n and with every error that the kernel has for it; once, or from then on. The answer must be
an honest error, nothing that was accepted may be lost, nothing that was refused may take
effect, nothing half-done may stay, and when the fault is gone the same must work.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torture.faults import clerk, real, service, shifts
from torture.faults.commands import COMMANDS
from torture.faults.sabotage import Case
from torture.faults.short import run_out_of_files, run_out_of_memory
from torture.faults.world import Stage, stage
from torture.proof import Proof

_ENOUGH = 20  # violations, after which there is no need to look for more

Tally = Counter[str]


def try_cases(cases: Sequence[Case], seconds: float = float("inf")) -> tuple[Tally, list[str]]:
    """Try cases until the time is over; return the figures, and what was wrong with which."""
    tally, wrong = Tally(), list[str]()
    end = time.monotonic() + seconds
    for case in cases:
        if time.monotonic() > end or len(wrong) > _ENOUGH:
            break
        tally["tried"] += 1
        wrong += [f"{case.name}: {what}" for what in case.run(tally)]
    return tally, wrong


@contextmanager
def api_cases(*, for_ever: bool) -> Iterator[list[Case]]:
    """Give the cases of an API that runs."""
    with service.service(MIN_FREE="0", MIN_FREE_INODES="0") as server:
        yield list(service.cases(server, for_ever=for_ever))


def program_cases(on: Stage, *, for_ever: bool) -> dict[str, list[Case]]:
    """Return the cases of the worker and of the commands."""
    return {
        "worker": list(shifts.cases(on, shifts.SHIFTS, for_ever=for_ever)),
        "commands": list(clerk.cases(on, COMMANDS, for_ever=for_ever)),
    }


def every(step: int, cases: Sequence[Case]) -> list[Case]:
    """Choose every so manieth case; a prime takes a turn at all calls and all errors."""
    return list(cases[::step])


def _tell(name: str, tally: Tally, wrong: Sequence[str]) -> bool:
    figures = ", ".join(f"{count} {what}" for what, count in tally.items())
    print(f"   {name}: {len(wrong)} wrong: {figures}", flush=True)
    for what in wrong[:10]:
        print(f"      {what[:1000]}", flush=True)
    return not wrong


def _run_short() -> bool:
    held = True
    for name, run_out in (("descriptors", run_out_of_files), ("memory", run_out_of_memory)):
        tally = Tally()
        wrong = list(run_out(tally))
        held &= _tell(f"too few {name}", tally, wrong)
    return held


def _run(minutes: float) -> bool:
    """All of it takes about an hour; in less, an even choice is tried, another each time."""
    held = real.meet_all(refusals=300) & _run_short()
    with api_cases(for_ever=True) as cases:
        held &= _tell(f"api, {len(cases)} cases", *try_cases(cases))
    with stage() as on:
        found = program_cases(on, for_ever=True)
        whole = sum(map(len, found.values()))
        for name, cases in found.items():
            random.shuffle(cases)
            share = 60 * minutes * len(cases) / whole
            held &= _tell(f"{name}, {len(cases)} cases", *try_cases(cases, share))
    return held


PROOF = Proof("any call fails: an honest error, nothing lost or half-done, and it heals", _run)
