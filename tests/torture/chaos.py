"""Chaos on a real systemd: everything is killed, restarted, filled up and set back at random.

`wreck` is the whole of it: an ordinary user with aap installed, people who write in
bursts, and trouble for as long as they do. It returns what was seen and which promises
were broken. tests/systemd/test_promise.py does the same for a few hundred messages.
"""

from __future__ import annotations

import json
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from harness.clock import Clock
from harness.disk import DiskError, SmallDisk
from harness.machine import BootError, Machine, System, User, booted, installed
from harness.wait import wait_until

from aap.log import parse_line
from aap.message import id_time
from aap.systemd import units
from torture.proof import Proof, UnableError

MESSAGES = 10_000
HARNESS = "/opt/aap/tests/harness"
LEDGER = ".cache/chaos/ledger"
CLOCK = Path("/var/lib/aap-clock")
MOST_STARTS = 2  # of the worker in any second
MEMORY = 60  # MB that the API may have resident

# A back-off of seconds to an hour is right for people, and slow for a test.
SETTINGS = {
    "IDLE_EXIT": "2s",
    "RETRY_MIN": "1s",
    "RETRY_MAX": "3s",
    "MAX_ATTEMPTS": "1000",
    "SETTLE": "200ms",
    "MIN_FREE": "0",
    "MIN_FREE_INODES": "0",
    "INBOX_MAX": "150",
    "DONE_MAX": "100000",
}


class Scale(NamedTuple):
    """How much: messages in all, people, mean seconds between their bursts, size of the disk.

    `outages` is the share of runs in which the agent says that it cannot now; each
    makes the worker wait for 10 s or more.
    """

    messages: int
    people: int
    pause: float
    megabytes: int
    outages: float = 0.0


class Given(NamedTuple):
    """A line of the agent's ledger."""

    at: float  # on the monotonic clock
    word: str
    id: str
    text: str


class Layout(NamedTuple):
    """Where things are: for one user, or for the machine."""

    flag: str
    workspace: str  # below the home
    settings: str
    drop_ins: str
    socket: str
    manager: str  # the journal's field of what systemd says of a unit,
    process: str  # and of what the unit says itself


def layout(user: User) -> Layout:
    """Return the places of `aap install --user`, or --system for the machine's account."""
    if isinstance(user, System):
        places = "workspace", "/etc/aap/aap.conf", "/etc/systemd/system", "/run/aap/api.sock"
        return Layout("--system", *places, "UNIT", "_SYSTEMD_UNIT")
    settings, drop_ins = f"{user.home}/.config/aap/aap.conf", f"{user.home}/.config/systemd/user"
    sock = f"/run/user/{user.uid}/aap/api.sock"
    places = ".openclaw/workspace", settings, drop_ins, sock
    return Layout("--user", *places, "USER_UNIT", "_SYSTEMD_USER_UNIT")


def starts(user: User, unit: str) -> list[float]:
    """When a unit was started, in seconds."""
    text = user.journal("--output=short-unix", f"{layout(user).manager}={unit}")
    found = re.findall(r"^(\d+\.\d+) .*: Started ", text, re.MULTILINE)
    return sorted({round(float(stamp), 3) for stamp in found})


class Site:
    """A user with aap installed, on a small disk and under a clock that can be set."""

    def __init__(self, user: User, clock: Clock, disk: SmallDisk, outages: float) -> None:
        self.user = user
        self.clock = clock
        self.disk = disk
        self.layout = layout(user)
        self.workspace = user.home / self.layout.workspace
        self.worker = units.worker_service(self.workspace)
        self.watch = units.worker_path(self.workspace)
        self._install(outages)

    def _install(self, outages: float) -> None:
        user, python = self.user, self.user.machine.python
        user.run(["mkdir", "-p", user.home / Path(LEDGER).parent])
        agent = f"{python} {HARNESS}/moody.py {user.home / LEDGER} {outages}"
        settings = {"AGENT_CLI": agent, **SETTINGS}
        self._write(self.layout.settings, "".join(f"{k}={v}\n" for k, v in settings.items()))
        clock = "".join(f"Environment={k}={v}\n" for k, v in self.clock.environment.items())
        service = f"[Service]\n{clock}LogRateLimitIntervalSec=0\n"
        sweep = "[Timer]\nOnActiveSec=\nOnUnitInactiveSec=\nOnActiveSec=2s\nOnUnitInactiveSec=2s\n"
        for unit, text in {
            "aap-api.service": service,
            "aap-sweep@.service": service,
            "aap-worker@.service": f"{service}RestartSec=1s\n",
            "aap-sweep@.timer": f"{sweep}AccuracySec=100ms\n",
        }.items():
            self._write(f"{self.layout.drop_ins}/{unit}.d/chaos.conf", text)
        user.systemctl("daemon-reload")
        user.aap("install", self.layout.flag)

    def _write(self, path: str, text: str) -> None:
        run = self.user.machine.run if isinstance(self.user, System) else self.user.run
        script = 'umask 022; mkdir -p "${1%/*}" && cat > "$1"'
        run(["sh", "-c", script, "sh", path], stdin=text)

    def ids(self, state: str) -> list[str]:
        """The messages that are in a folder of the spool."""
        folder = self.user.path(f"{self.layout.workspace}/.ai-agent-proxy/{state}")
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        return sorted(name.partition(".")[0].partition("+")[0] for name in names)

    def is_quiet(self) -> bool:
        """Whether nothing waits, and nothing works."""
        if any(self.ids(state) for state in ("inbox", "active", "deferred")):
            return False
        return self.user.show(self.worker, "ActiveState")["ActiveState"] == "inactive"

    def ledger(self) -> list[Given]:
        """What the agent wrote down; a line that was torn by a kill is left out."""
        lines = self.user.path(LEDGER).read_text().splitlines()
        words = [line.split(" ", 3) for line in lines]
        return [Given(float(w[0]), w[1], w[2], w[3]) for w in words if len(w) == 4]

    def events(self, unit: str, event: str) -> Iterator[tuple[float, str]]:
        """Moments (on the monotonic clock) and ids of an event that a unit told the journal."""
        printed = self.user.journal("--output=json", f"{self.layout.process}={unit}")
        for line in printed.splitlines():
            entry = json.loads(line)
            # What a program prints is cut by the journal where it is no text.
            said = parse_line(f"- info {entry['MESSAGE']}")
            if said and said.event == event:
                yield int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6, said.fields["id"]

    def starts(self) -> list[float]:
        """When the worker was started, in seconds."""
        return starts(self.user, self.worker)

    def processes(self, pattern: str) -> Iterator[tuple[int, Path]]:
        """The pids (as the machine has them) and /proc folders of the user's processes."""
        for folder in self.user.machine.path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_own = folder.stat().st_uid == self.user.uid
                if is_own and pattern.encode() in (folder / "cmdline").read_bytes():
                    yield int(folder.name), folder


class Trouble:
    """What goes wrong, each kind as often as the others, in random order."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._kinds: dict[str, Callable[[], object]] = {
            "API killed": lambda: self._kill("aap-api.service"),
            "worker killed": lambda: self._kill(site.worker),
            "agent killed": self._kill_agent,
            "API restarted": lambda: self._tell("try-restart", "aap-api.service"),
            "worker restarted": self._restart_worker,
            "socket restarted": lambda: self._tell("restart", "aap-api.socket"),
            "path restarted": lambda: self._tell("restart", site.watch),
            "daemon-reload": lambda: self._tell("daemon-reload"),
            "daemon-reexec": lambda: self._tell("daemon-reexec"),
            "disk full": lambda: self._for_a_while(site.disk.fill, site.disk.empty),
            "disk read-only": self._lock_disk,
            "clock set": self._set_clock,
        }
        self._deck: Iterator[str] = iter(())
        self._end: tuple[float, Callable[[], object]] | None = None
        self._sign = -1
        self.counts: Counter[str] = Counter()
        self.restarts: list[tuple[float, float]] = []  # of the worker, by us: from, to
        self.memory: list[tuple[int, int]] = []  # of the API: pid, bytes resident

    def make(self, last: bool = False) -> None:
        """Make one more, or end all."""
        if self._end and (last or time.monotonic() > self._end[0]):
            self._end_it()
        if last:
            self._site.clock.set(0)
            return
        kind = next(self._deck, "")
        if not kind:
            self._deck = iter(random.sample(list(self._kinds), len(self._kinds)))
            kind = next(self._deck)
        if self._kinds[kind]() is not False:
            self.counts[kind] += 1
        self._measure()

    def _tell(self, *words: str) -> None:
        self._site.user.systemctl(*words, check=False)

    def _kill(self, unit: str) -> None:
        self._tell("kill", "--signal=KILL", "--kill-who=main", unit)

    def _kill_agent(self) -> bool:
        found: list[int] = []
        with suppress(AssertionError):  # none runs
            found = wait_until(lambda: [pid for pid, _ in self._site.processes("moody.py")], 1)
        for pid in found:
            self._site.user.machine.run(["kill", f"-{signal.SIGKILL}", str(pid)], check=False)
        return bool(found)

    def _restart_worker(self) -> None:
        began = time.time()
        self._tell("try-restart", self._site.worker)
        self.restarts.append((began, time.time()))

    def _set_clock(self) -> None:
        self._sign = -self._sign
        self._site.clock.set(self._sign * random.randint(3600, 6 * 3600))

    def _for_a_while(self, begin: Callable[[], object], end: Callable[[], object]) -> bool:
        self._end_it()
        if begin() is False:
            return False
        self._end = time.monotonic() + random.uniform(0.5, 3), end
        return True

    def _end_it(self) -> None:
        if self._end:
            self._end[1]()
        self._end = None

    def _lock_disk(self) -> bool:
        self._end_it()
        # Nobody can make it read-only while somebody writes: the worker has its log open.
        self._kill(self._site.worker)
        return self._for_a_while(self._site.disk.lock, self._site.disk.unlock)

    def _measure(self) -> None:
        for pid, folder in self._site.processes("aap.api"):
            with suppress(OSError, StopIteration, ValueError):
                status = (folder / "status").read_text()
                self.memory.append((pid, int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) << 10))


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
            wait_until(site.is_quiet, 120, "all messages to be handled")
        figures = [
            f"{len(acknowledged)} messages of {scale.people} conversations, written in "
            f"{wrote:.0f} s, handled after {time.monotonic() - began:.0f} s",
            "trouble: " + ", ".join(f"{n} x {kind}" for kind, n in sorted(trouble.counts.items())),
            f"refused, and written again: {refused or 'none'}",
        ]
        verdict = _judge(site, trouble, acknowledged, scale.messages)
        return Outcome(figures + verdict.figures, verdict.broken)


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
                time.sleep(random.uniform(0.05, 0.4))
        finally:
            trouble.make(last=True)
            crowd.kill()
    assert crowd.returncode == 0, output.read_text()[-2000:]
    lines = [line.split() for line in output.read_text().splitlines()]
    refused = [f"{times} x {status}" for word, status, times in lines if word == "refused"]
    ids = {f"{person} {number}": ident for person, number, ident in lines if person != "refused"}
    return ids, ", ".join(refused)


# The promises


def _judge(site: Site, trouble: Trouble, acknowledged: dict[str, str], expected: int) -> Outcome:
    ledger = site.ledger()
    given = [line for line in ledger if line.word == "given"]
    shown = {line.id for line in given}
    lost = set(acknowledged.values()) - shown
    late = _handled_after_settled(site, ledger)
    mixed = _out_of_order(given)
    failed = site.user.systemctl("--failed", "--plain", "--no-legend")
    started = site.starts()
    busiest = busiest_second(started, trouble.restarts)
    zombies = _zombies(site)
    peak = max((size for _, size in trouble.memory), default=0) >> 20
    left = {s: len(site.ids(s)) for s in ("inbox", "active", "deferred", "failed", "hold")}
    done = site.ids("done")
    told = len(list(site.events(site.worker, "told")))
    checks = {
        f"{len(acknowledged)} of {expected} were acknowledged": len(acknowledged) != expected,
        f"{len(lost)} were never shown to the agent: {sorted(lost)[:5]}": lost,
        f"done/ differs from what was acknowledged: {len(done)} files": done
        != sorted(acknowledged.values()),
        f"{len(late)} were handled after they were settled: {late[:5]}": late,
        f"{len(mixed)} were out of order: {mixed[:5]}": mixed,
        f"left behind: {left}": any(left.values()),
        f"units failed: {failed}": failed,
        f"{busiest} starts of the worker within a second": busiest > MOST_STARTS,
        f"zombies: {zombies}": zombies,
        f"the API had {peak} MB resident": peak > MEMORY,
    }
    figures = [
        f"shown to the agent {len(given)} times; settled by the agent itself "
        f"{sum(line.word == 'done' for line in ledger)}, told in mid-run {told}",
        f"lost {len(lost)}, handled after settled {len(late)}, out of order {len(mixed)}",
        f"{len(started)} starts of the worker, at most {busiest} within a second",
        f"ids span {(id_time(done[-1]) - id_time(done[0])) / 3600 if done else 0:.1f} hours",
        f"the API at most {peak} MB resident, {_growth(trouble.memory):.1f} MB more "
        f"at the end of its longest life than at its start",
    ]
    return Outcome(figures, [text for text, is_broken in checks.items() if is_broken])


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


def busiest_second(starts: list[float], own: Sequence[tuple[float, float]] = ()) -> int:
    """The most starts within any second, those left out that we asked for ourselves."""
    free = [s for s in starts if not any(a - 0.1 <= s <= b + 0.1 for a, b in own)]
    return max((sum(s <= t < s + 1 for t in free) for s in free), default=0)


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
    scale = Scale(messages - messages % 10, 10, 1.0, 1200, outages=0.005)
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
