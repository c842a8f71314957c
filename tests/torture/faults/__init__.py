"""Every call that can fail fails: in the API, the worker, its hook and the commands.

A shim before the C library has the n-th open, write, fsync, rename and so on fail, for every
n and with every error that the kernel has for it; once, or from then on. The answer must be
an honest error, nothing that was accepted may be lost, nothing that was refused may take
effect, nothing half-done may stay, and when the fault is gone the same must work.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from zlib import crc32

from torture.faults import clerk, real, service, shifts, starts
from torture.faults.commands import COMMANDS
from torture.faults.sabotage import Case
from torture.faults.short import run_out_of_files, run_out_of_memory
from torture.faults.world import Stage, stage
from torture.proof import Proof

_ENOUGH = 20  # violations, after which there is no need to look for more
_NEVER = float("inf")
# Of the time that is left, where it is not enough for all; the worker comes last.
_PART = {"start": 0.1, "commands": 0.35, "worker": 1.0}
_TELL_EVERY = 2000  # cases

Tally = Counter[str]
Found = tuple[Tally, list[str]]


def try_cases(cases: Sequence[Case], end: float = _NEVER) -> Found:
    """Try cases until `end`, in seconds of the monotonic clock.

    Returns the figures, and what was wrong with which.
    """
    tally, wrong = Tally(), list[str]()
    for case in cases:
        if time.monotonic() > end or len(wrong) > _ENOUGH:
            break
        tally["tried"] += 1
        tally["tried once"] += not case.fault.lasts
        tally["calls"] += case.fault.is_first
        wrong += [f"{case.name}: {what}" for what in case.run(tally)]
        if tally["tried"] % _TELL_EVERY == 0:
            print(f"      {tally['tried']} of {len(cases)} are tried", flush=True)
    return tally, wrong


@contextmanager
def api_cases(*, for_ever: bool) -> Iterator[list[Case]]:
    """Give the cases of an API that runs."""
    with service.service(MIN_FREE="0", MIN_FREE_INODES="0") as server:
        yield list(service.cases(server, for_ever=for_ever))


def program_cases(on: Stage, *, for_ever: bool) -> dict[str, list[Case]]:
    """Return the cases of the API's start, of the commands and of the worker."""
    return {
        "start": list(starts.cases(on, for_ever=for_ever)),
        "commands": list(clerk.cases(on, COMMANDS, for_ever=for_ever)),
        "worker": list(shifts.cases(on, shifts.SHIFTS, for_ever=for_ever)),
    }


def every(step: int, cases: Sequence[Case]) -> list[Case]:
    """Choose every so manieth case; a prime takes a turn at all calls and all errors."""
    return list(cases[::step])


def tell(name: str, tally: Tally, wrong: Sequence[str]) -> bool:
    """Print the figures, and the first of what was wrong; return whether nothing was."""
    figures = ", ".join(f"{count} {what}" for what, count in tally.items())
    print(f"   {name}: {len(wrong)} wrong: {figures}", flush=True)
    if tally["tried"] < tally["cases"]:
        print(f"      sampled: {tally['tried']} of {tally['cases']}, by chance", flush=True)
        once = "all" if tally["tried once"] == tally["fail once"] else "not all"
        print(f"      {once} of {tally['fail once']} that fail once", flush=True)
        print(f"      {tally['calls']} of {tally['calls there are']} calls, with one error each")
    for what in wrong[:10]:
        print(f"      {what[:1000]}", flush=True)
    return not wrong


def _run_short() -> bool:
    held = True
    for name, run_out in (("descriptors", run_out_of_files), ("memory", run_out_of_memory)):
        tally = Tally()
        wrong = list(run_out(tally))
        held &= tell(f"too few {name}", tally, wrong)
    return held


def _run_api(_share: int) -> dict[str, Found]:
    with api_cases(for_ever=True) as cases:
        return {"api": of_all(cases, try_cases(cases))}


def _run_share(share: int, *, shares: int, end: float) -> dict[str, Found]:
    """Try one of `shares` parts of the programs' cases, on a stage of its own."""
    found = {}
    with stage() as on:
        for name, cases in program_cases(on, for_ever=True).items():
            # By name: the parts fit together, though each counts the calls itself.
            mine = [case for case in cases if crc32(case.name.encode()) % shares == share]
            random.shuffle(mine)
            # What fails once comes first, and of that each call.
            mine.sort(key=lambda case: (case.fault.lasts, not case.fault.is_first))
            now = time.monotonic()
            until = now + (end - now) * _PART[name]
            found[name] = of_all(mine, try_cases(mine, until))
    return found


def of_all(cases: Sequence[Case], found: Found) -> Found:
    """Add to what was found how many cases there are in all."""
    tally, wrong = found
    once = sum(not case.fault.lasts for case in cases)
    calls = sum(case.fault.is_first for case in cases)
    return Tally({"cases": len(cases), "fail once": once, "calls there are": calls}) + tally, wrong


def _run(minutes: float) -> bool:
    """In 40 minutes on two cores: all; in less, a choice by chance."""
    held = real.meet_all(refusals=300) & _run_short()
    shares = 1 + (os.cpu_count() or 1)  # some wait while others work
    try_share = partial(_run_share, shares=shares, end=time.monotonic() + 60 * minutes)
    with ProcessPoolExecutor(shares) as pool:
        parts = list(pool.map(_run_api, [0]))
        parts += pool.map(try_share, range(shares))
    for name in ("api", "start", "worker", "commands"):
        mine = [part[name] for part in parts if name in part]
        tally = sum((tally for tally, _ in mine), Tally())
        held &= tell(name, tally, [what for _, wrong in mine for what in wrong])
    return held


PROOF = Proof("any call fails: an honest error, nothing lost or half-done, and it heals", _run)
