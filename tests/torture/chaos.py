"""Chaos on a real systemd: everything is killed, restarted, filled up and set back at random.

`wreck` is the whole of it: somebody with aap installed, people who write in bursts, and
trouble for as long as they do. It returns what was seen and which promises were broken.
tests/systemd/test_promise.py does the same for a few hundred messages.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from harness.clock import Clock
from harness.disk import DiskError, SmallDisk
from harness.machine import BootError, Machine, User, booted, installed
from harness.wait import wait_until

from aap.message import id_time
from torture.proof import Proof, UnableError
from torture.site import API, HARNESS, Given, Site, layout
from torture.trouble import Trouble, Windows

MESSAGES = 10_000
CLOCK = Path("/var/lib/aap-clock")
MOST_STARTS = 2  # of the worker in any second
MOST_API_STARTS = 3  # one that was killed is started at once, by the next connection
MEMORY = 60  # MB that the API may have resident


class Scale(NamedTuple):
    """How much: messages in all, people, mean seconds between their bursts, size of the disk.

    `calm` is the mean time between two troubles, in seconds; `least` is how often each kind
    of them must have happened. `outages` is the share of runs in which the agent says that
    it cannot now; each makes the worker wait for 10 s or more.
    """

    messages: int
    people: int
    pause: float
    megabytes: int
    calm: float
    least: int = 1
    outages: float = 0.0


class Outcome(NamedTuple):
    """What was seen, as lines for people, and which promises were broken."""

    figures: list[str]
    broken: list[str]


def wreck(machine: Machine, user: User, scale: Scale) -> Outcome:
    """Have people write, and everything fail, until all is written; then judge."""
    with ExitStack() as stack:
        place = machine.path(CLOCK)
        place.mkdir(exist_ok=True)
        clock = Clock(place, seen_as=CLOCK)
        at = user.home / layout(user).workspace
        disk = SmallDisk(machine, at, megabytes=scale.megabytes, owner=user)
        site = Site(user, clock, stack.enter_context(disk), scale.outages)
        trouble = Trouble(site)
        began = time.monotonic()
        acknowledged, refused = _write(site, trouble, scale)
        wrote = time.monotonic() - began
        with suppress(AssertionError):  # the verdict says what is left
            wait_until(site.is_quiet, max(120, scale.messages / 10), "all to be handled")
        figures = [
            f"{len(acknowledged)} messages of {scale.people} conversations, written in "
            f"{wrote:.0f} s, handled after {time.monotonic() - began:.0f} s",
            "trouble that came true: "
            + ", ".join(f"{n} x {kind}" for kind, n in sorted(trouble.counts.items())),
            f"refused, and written again: {refused or 'none'}",
        ]
        seen = _look(site, trouble, list(acknowledged.values()), scale)
        return Outcome(figures + _figures(seen), _broken(seen))


def _write(site: Site, trouble: Trouble, scale: Scale) -> tuple[dict[str, str], str]:
    """Return the id of each text that was acknowledged, and what was refused."""
    user = site.user
    words = ["http://127.0.0.1:7011", site.layout.socket, str(scale.people)]
    words += [str(scale.messages // scale.people), str(scale.pause)]
    command = [user.machine.python, f"{HARNESS}/crowd.py", *words]
    output = user.path("crowd")
    with output.open("w") as printed:
        crowd = user.start(command, stdout=printed)
        try:
            while crowd.poll() is None:
                trouble.make()
                time.sleep(random.uniform(0.2, 1.8) * scale.calm)
        finally:
            trouble.make(last=True)
            crowd.kill()
    assert crowd.returncode == 0, output.read_text()[-2000:]
    lines = [line.split() for line in output.read_text().splitlines()]
    refused = [f"{times} x {status}" for word, status, times in lines if word == "refused"]
    ids = {f"{person} {number}": ident for person, number, ident in lines if person != "refused"}
    return ids, ", ".join(refused)


# The promises


class Starts(NamedTuple):
    """How often a unit was started, those times that we told it to included."""

    all: int
    ours: int
    windows: float  # seconds in all, within which starts count as ours
    busiest: int  # second: the most starts within one, ours left out

    def __str__(self) -> str:
        return (
            f"{self.all} starts, at most {self.busiest} within a second; left out of that are "
            f"{self.ours}, in {self.windows:.0f} s in which the chaos itself restarted it"
        )


class Seen(NamedTuple):
    """What is left when all is over."""

    expected: int
    least: int
    trouble: Counter[str]
    acknowledged: list[str]  # ids
    given: list[Given]
    own: int  # how many the agent settled itself
    told: int  # how many it was told of in mid-run
    late: list[str]  # ids that were handled after they were settled
    done: list[str]
    left: dict[str, int]
    failed: str
    zombies: list[str]
    read_only: int  # how often a worker said that it could not write
    worker: Starts
    api: Starts
    memory: list[tuple[int, int]]

    @property
    def lost(self) -> list[str]:
        """The ids that the agent was never shown."""
        return sorted(set(self.acknowledged) - {line.id for line in self.given})

    @property
    def mixed(self) -> list[str]:
        """The texts that came out of order."""
        return _out_of_order(self.given)

    @property
    def peak(self) -> int:
        """The most that the API had resident, in MB."""
        return max((size for _, size in self.memory), default=0) >> 20


def _look(site: Site, trouble: Trouble, acknowledged: list[str], scale: Scale) -> Seen:
    ledger = site.ledger()
    return Seen(
        expected=scale.messages,
        least=scale.least,
        trouble=trouble.counts,
        acknowledged=sorted(acknowledged),
        given=[line for line in ledger if line.word == "given"],
        own=sum(line.word == "done" for line in ledger),
        told=len(list(site.events(site.worker, "told"))),
        late=_handled_after_settled(site, ledger),
        done=site.ids("done"),
        left={s: len(site.ids(s)) for s in ("inbox", "active", "deferred", "failed", "hold")},
        failed=site.user.systemctl("--failed", "--plain", "--no-legend"),
        zombies=_zombies(site),
        read_only=site.said(site.worker).count("Read-only file system"),
        worker=_starts(site.starts(site.worker), trouble.ours[site.worker]),
        api=_starts(site.starts(API), trouble.ours[API]),
        memory=trouble.memory,
    )


def _broken(seen: Seen) -> list[str]:
    """The promises that did not hold."""
    count = len(seen.acknowledged)
    rare = {kind: n for kind, n in seen.trouble.items() if n < seen.least}
    checks = {
        f"happened less than {seen.least} times, so nothing was proven: {rare}": rare,
        "no worker met a read-only disk": not seen.read_only,
        f"{count} of {seen.expected} were acknowledged": count != seen.expected,
        f"never shown to the agent: {seen.lost[:5]}": seen.lost,
        f"{len(seen.done)} in done/, and not what was acknowledged": seen.done != seen.acknowledged,
        f"handled after they were settled: {seen.late[:5]}": seen.late,
        f"out of order: {seen.mixed[:5]}": seen.mixed,
        f"left behind: {seen.left}": any(seen.left.values()),
        f"units failed: {seen.failed}": seen.failed,
        f"zombies: {seen.zombies}": seen.zombies,
        f"{seen.worker.busiest} starts of the worker in a second": seen.worker.busiest
        > MOST_STARTS,
        f"{seen.api.busiest} starts of the API within a second": seen.api.busiest > MOST_API_STARTS,
        f"the API had {seen.peak} MB resident": seen.peak > MEMORY,
    }
    return [text for text, is_broken in checks.items() if is_broken]


def _figures(seen: Seen) -> list[str]:
    done = seen.done
    hours = (id_time(done[-1]) - id_time(done[0])) / 3600 if done else 0.0
    return [
        f"shown to the agent {len(seen.given)} times; settled by the agent itself {seen.own}, "
        f"told in mid-run {seen.told}",
        f"lost {len(seen.lost)}, handled after settled {len(seen.late)}, "
        f"out of order {len(seen.mixed)}",
        f"worker: {seen.worker}",
        f"API: {seen.api}",
        f"{seen.read_only} times a worker said that its disk was read-only",
        f"by their ids, the messages came over {hours:.1f} hours",
        f"the API at most {seen.peak} MB resident, {_growth(seen.memory):.1f} MB more at the "
        f"end of its longest life than at its start",
    ]


def _handled_after_settled(site: Site, ledger: list[Given]) -> list[str]:
    settled: dict[str, float] = {}
    own = ((line.at, line.id) for line in ledger if line.word == "done")
    for at, ident in (*site.events(site.worker, "settled"), *own):
        settled[ident] = min(at, settled.get(ident, at))
    never = float("inf")
    return [x.id for x in ledger if x.word == "given" and x.at > settled.get(x.id, never)]


def _out_of_order(given: list[Given]) -> list[str]:
    """The texts that were first shown after a later one of their conversation."""
    highest: dict[str, int] = {}
    wrong = []
    for text in dict.fromkeys(line.text for line in given):
        person, number = text.split()
        if int(number) < highest.get(person, -1):
            wrong.append(text)
        highest[person] = max(int(number), highest.get(person, -1))
    return wrong


def _starts(starts: list[float], ours: Windows) -> Starts:
    """Tell those apart that came while we restarted the unit, or a tenth of a second around it."""
    wide = [(begin - 0.1, end + 0.1) for begin, end in ours]
    free = [start for start in starts if not any(begin <= start <= end for begin, end in wide)]
    windows = sum(end - begin for begin, end in wide)
    return Starts(len(starts), len(starts) - len(free), windows, busiest_second(free))


def busiest_second(starts: list[float]) -> int:
    """The most starts within any second."""
    return max((sum(s <= t < s + 1 for t in starts) for s in starts), default=0)


def _zombies(site: Site) -> list[str]:
    listed = site.user.machine.run(["ps", "-eo", "stat,pid,ppid,args"]).stdout.splitlines()
    return [line for line in listed if line.startswith("Z")]


def _growth(memory: list[tuple[int, int]]) -> float:
    """Megabytes by which the process that was seen most often grew after its first look."""
    if not memory:
        return 0.0
    pid, _ = Counter(pid for pid, _ in memory).most_common(1)[0]
    sizes = [size for each, size in memory if each == pid]
    return (sizes[-1] - sizes[0]) / (1 << 20)


def run(minutes: float) -> bool:
    """10,000 messages for a user's aap, and for the machine's; in under ten minutes fewer."""
    messages = min(MESSAGES, max(200, int(MESSAGES * minutes / 10)))
    least = 10 if messages >= MESSAGES else 1
    scale = Scale(messages - messages % 10, 10, 1.5, 1200, calm=0.8, least=least, outages=0.005)
    try:
        with booted() as machine:
            user = machine.add_user("ann", uid=2001)
            held = _show("a user's aap", wreck(machine, user, scale))
        with booted() as machine, installed(machine) as system:
            system.systemctl("stop", "aap-*")  # the small disk is not there yet
            return _show("the machine's aap", wreck(machine, system, scale)) and held
    except (BootError, DiskError) as error:
        raise UnableError(str(error)) from error


def _show(title: str, outcome: Outcome) -> bool:
    print(f"   {title}:")
    for line in (*outcome.figures, *(f"BROKEN: {each}" for each in outcome.broken)):
        print(f"     {line}", flush=True)
    return not outcome.broken


PROOF = Proof("whatever is killed, full or set back, each 200 is handled, in order", run)
