"""The power goes: what was answered 200 is there once, what was settled stays settled.

A workspace is in full use on a recorded disk; then the disk is cut at chance places of its
record, mounted, looked at, recovered as the units would do it, and looked at again. The
answers are kept outside of that disk, with the place in the record at which they came.

That this can find a loss is shown by an aap whose fsync does nothing: it must lose.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from bench.programs import environment
from harness.wait import wait_until

from aap import SPOOL_FOLDER
from aap.inbox import Spool
from aap.message import State
from torture import household, shim
from torture.cutting import (
    FILE_SYSTEMS,
    Cut,
    CutError,
    Disk,
    check_means,
    cuts,
    is_sound,
    moments,
    mounted,
    open_place,
    recorded,
)
from torture.household import AGENT, Household, ProgramError, Told, settings
from torture.looking import look
from torture.posting import Posters
from torture.proof import Proof

LEAST_CUTS = 70  # on each file system
_CUTS = 14  # from one record
_CUTS_AGAIN = 3  # while one of them is recovered
_MESSAGES = 200  # in one record
_SECONDS = 20.0  # for them, at most
_CHECK_EVERY = 7  # cuts: how often a person looks, and then the file system's own checker


class Session(NamedTuple):
    """A recorded use of a workspace, and what was acknowledged in it."""

    disk: Disk
    begin: int  # positions in the record
    end: int
    posters: Posters
    told: Told
    syncs: Counter[str]


class Figures(Counter[str]):
    """Counts by what they count, and what was seen that needs words."""

    broken = ("lost", "torn", "doubled", "undone", "handled again", "let loose", "left open",
              "not known again",
              "not recovered", "damaged")  # fmt: skip

    promised = ("acknowledged", "settled", "held")

    def __init__(self) -> None:
        super().__init__()
        self.remarks: list[str] = []

    @property
    def faults(self) -> int:
        """How many promises were broken."""
        return sum(self[name] for name in self.broken)

    @property
    def idle(self) -> list[str]:
        """What was promised at no cut, so that nothing could show of it."""
        return [name for name in self.promised if self[name] == 0]


# The use


def record(kind: str, place: Path, messages: int = _MESSAGES, *, without: str = "") -> Session:
    """Use a workspace on a new disk until it has had some messages; `without` some fsync."""
    told, log = Told(), place / "api.log"
    with recorded(kind, place) as disk:
        workspace = disk.folder / "workspace"
        workspace.mkdir()
        if without:  # a spool of no format would be refused, and hide what became of messages
            Spool(workspace / SPOOL_FOLDER).create()
        os.sync()
        begin = disk.position()
        env = _environment(place, AGENT)
        env |= shim.without(place, without) if without else {}
        api_env = {**env, **({} if without else shim.counting(place))}
        with household.serving(workspace, api_env, log, kill_every=1.5) as port:
            posters = Posters(port, disk.position, stubborn=True)
            with Household(workspace, env, disk.position, told):
                with posters:
                    posters.wait_for(messages, _SECONDS)
                with suppress(
                    AssertionError
                ):  # a slow machine; what is missing is seen at the cuts
                    wait_until(lambda: len(told.settled) >= messages // 7 and told.held, _SECONDS)
        end = disk.position()
    if posters.faults or not posters.acks:
        raise AssertionError(f"while all was well: {posters.faults[:3]} {log.read_text()[-2000:]}")
    return Session(disk, begin, end, posters, told, Counter() if without else shim.counts(place))


def _environment(place: Path, agent: str, **more: str) -> dict[str, str]:
    home = place / "home"
    home.mkdir(exist_ok=True)
    return environment(home, **settings(place, agent, **more))


# The cuts


def cut_all(session: Session, count: int, chance: random.Random, *, again: bool = False) -> Figures:
    """Cut a session's disk so often, once in the recovery `again`; return what was found."""
    figures = Figures()
    disk = session.disk
    env = _recovery(session) | shim.without(disk.log.parent, "all")  # no more cuts: time is saved
    for number, cut in enumerate(cuts(disk, _positions(session, count, chance), chance)):
        figures["cuts"] += 1
        figures["into a full cache"] += cut.unflushed > 0
        try:
            if again and number == count // 2:
                figures.update(_cut_again(session, cut, env, chance))
            with mounted(disk.kind, cut.image, disk.folder) as folder:
                figures.update(_check(session, cut, env))
                if number % _CHECK_EVERY == 0:
                    household.show(folder / "workspace", env)
                    figures["not known again"] += _repeat(session, cut, env)
            if number % _CHECK_EVERY == 0:
                figures["damaged"] += not is_sound(disk.kind, cut.image)
        except (CutError, ProgramError) as error:
            figures["not recovered"] += 1
            figures.remarks.append(f"{cut.kept} of {cut.unflushed} writes kept: {error}")
    return figures


def _recovery(session: Session) -> dict[str, str]:
    """The environment of a worker whose agent handles everything at once."""
    place = session.disk.log.parent
    return _environment(place, "#!/bin/sh\n", BATCH="workspace", BATCH_MAX="50")


def _cut_again(
    session: Session, cut: Cut, env: Mapping[str, str], chance: random.Random
) -> Figures:
    """Cut the power once more while what the cut left is recovered."""
    figures = Figures()
    place = session.disk.log.with_name("again")
    place.mkdir()
    with recorded(session.disk.kind, place, cut.image) as disk:
        begin = disk.position()
        household.recover(disk.folder / "workspace", _recovery(session))
        anywhere = moments(disk, begin, disk.position())
    for each in cuts(disk, chance.choices(anywhere, k=_CUTS_AGAIN), chance):
        figures["cuts in the recovery"] += 1
        with mounted(disk.kind, each.image, disk.folder):
            then = each._replace(position=cut.position)
            figures.update(_check(session._replace(disk=disk), then, env))
    shutil.rmtree(place)
    return figures


def _positions(session: Session, count: int, chance: random.Random) -> list[int]:
    """Half of them anywhere, half of them just after something was promised, each kind in turn."""
    acknowledged = [ack.at for ack in session.posters.acks]
    settled = list(session.told.settled.values())
    held = [each.since for each in session.told.held]
    promises = cycle(each for each in (acknowledged, settled, held) if each)
    anywhere = moments(session.disk, session.begin, session.end)
    after = [chance.choice(next(promises)) for _ in range(count // 2)]
    return chance.choices(anywhere, k=count - count // 2) + after


def _check(session: Session, cut: Cut, env: Mapping[str, str]) -> dict[str, int]:
    workspace = session.disk.folder / "workspace"
    sent, now = session.posters.sent, cut.position
    acked = {ack.id: ack.serial for ack in session.posters.acks if ack.at <= now}
    settled, held = session.told.settled_at(now), session.told.held_at(now)

    found = look(workspace)
    steps = household.recover(workspace, env)
    after = look(workspace)
    again = {each for what, each in steps if what in {"claimed", "told"}} & settled
    return {
        "acknowledged": len(acked),
        "settled": len(settled),
        "held": len(held),
        "lost": len(found.lost(acked) | after.lost(acked)),
        "torn": max(found.torn(acked, sent), after.torn(acked, sent)),
        "under two names": found.doubled(),
        "doubled": after.doubled(),
        "undone": sum(State.DONE not in after.states(each) for each in settled),
        "handled again": len(again),
        "let loose": sum(after.states(each) != {State.HOLD} for each in held),
        "left open": sum(each.state in {State.INBOX, State.ACTIVE} for each in after.files),
        "hidden": after.hidden,
    }


def _repeat(session: Session, cut: Cut, env: Mapping[str, str]) -> int:
    """Have some clients say again what was answered; count those who get another id."""
    workspace, log = session.disk.folder / "workspace", session.disk.log.with_name("api.log")
    acked = {ack.id: ack.serial for ack in session.posters.acks if ack.at <= cut.position}
    known = [each for each in look(workspace).files if each.id in acked][-3:]
    with household.serving(workspace, env, log, kill_every=60) as port:
        return sum(
            session.posters.repeat(port, acked[each.id], each.path.read_bytes()) != each.id
            for each in known
        )


# The proof


def prove(kind: str, count: int = _CUTS, messages: int = _MESSAGES) -> Figures:
    """Record on a disk of that kind, and cut it so often."""
    with open_place() as place:
        session = record(kind, place, messages)
        figures = cut_all(session, count, random.Random(), again=True)
        figures["answered"] += len(session.posters.acks)
        figures.update(session.syncs)
        figures.update({f"{what} (step)": n for what, n in session.told.steps.items()})
    return figures


def disprove(kind: str, without: str, count: int = 6) -> Figures:
    """Do the same with an aap that leaves some fsync out."""
    with open_place() as place:
        return cut_all(record(kind, place, _MESSAGES // 3, without=without), count, random.Random())


def run(minutes: float) -> bool:
    """Cut at least 210 times in all, more if there is time."""
    check_means(list(FILE_SYSTEMS))
    results = [_run_on(kind, minutes * 60 / len(FILE_SYSTEMS)) for kind in FILE_SYSTEMS]
    return all(results)


_SHOWN = ("cuts", "into a full cache", "cuts in the recovery", "answered", "acknowledged",
          "settled", "held", "fsync", "syncfs", "under two names", "hidden")  # fmt: skip


def _run_on(kind: str, seconds: float) -> bool:
    start = time.monotonic()
    shown = [_disprove_and_tell(kind, mode) for mode in shim.MODES]
    figures = Figures()
    while figures["cuts"] < LEAST_CUTS or time.monotonic() - start < seconds:
        found = prove(kind)
        figures.update(found)
        for remark in found.remarks:
            print(f"   {kind}: {remark}", flush=True)
    print(f"   {kind}, {time.monotonic() - start:.0f} s")
    for name in (*_SHOWN, *Figures.broken):
        print(f"      {name:<20} {figures[name]:>8}")
    for name in figures.idle:
        print(f"   {kind}: nothing was {name} when the power went: that proves nothing", flush=True)
    used = figures["fsync"] > 0 < figures["syncfs"] and not figures.idle
    return all(shown) and figures.faults == 0 and used


def _disprove_and_tell(kind: str, mode: str) -> bool:
    figures = disprove(kind, mode)
    found = ", ".join(f"{figures[name]} {name}" for name in Figures.broken if figures[name])
    print(f"   {kind} without fsync of {mode}: {found or 'NO LOSS WAS FOUND'}", flush=True)
    return figures.faults > 0


PROOF = Proof("a power cut loses nothing that was acknowledged", run)
