"""Installs, installs anew and uninstalls under every fault, on a systemd that is booted for it.

What was refused is taken back: the files, and what systemd has loaded and started, are as
they were. What was cut short while it removed goes on when it is said again.
"""

from __future__ import annotations

import errno
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from harness.machine import BootError, Machine, User, booted

from torture.faults import Found, of_all, tell, try_cases
from torture.faults.clerk import is_all_gone, judge
from torture.faults.sabotage import CHANGE, Case, Control, Fault, plan
from torture.faults.world import Ended
from torture.proof import Proof, UnableError

_PLACE = "/var/tmp/aap-faults"  # the shim and its switchboard, on the machine
_SETTINGS = ".openclaw/workspace/.ai-agent-proxy.conf"
_CONFIG = ".config/aap/aap.conf"
# What runs meanwhile writes, and what is nobody's state.
_NO_STATE = frozenset(("logs", "LOCK", ".cache"))
_FOLDER = "a folder"
_EMPTY = "100600 "  # a file of that mode
_RECORD = "aap/install.json"  # tells folders that could not be taken away, before the others
_DRAFT = re.compile(r"\..+\.[0-9]+\.(new|old)")
_ARMED = (".socket", ".path", ".timer")


class State(NamedTuple):
    """The files below a home, and what systemd knows of aap's units, by name."""

    files: dict[str, str]
    units: dict[str, str]

    def differs_from(self, other: State, fault: Fault) -> list[str]:
        """Name what is not the same in both, but for what could not be deleted."""
        pairs = ((self.files, other.files), (self.units, other.units))
        return [
            name if name in mine else f"{name} is not there"
            for mine, theirs in pairs
            for name in sorted({*mine, *theirs})
            if mine.get(name) != theirs.get(name)
            and not (name not in theirs and _may_stay(name, mine[name], fault))
            and not (name.endswith(_RECORD) and name in theirs and is_all_gone(fault))
            and not (name == _SETTINGS and _may_lack(mine.get(name, ""), fault))
        ]


class Site:
    """A user's home on a machine, with the shim between it and aap."""

    def __init__(self, machine: Machine, name: str) -> None:
        machine.run(["install", "-d", "-m", "1777", _PLACE])
        self.user: User = machine.add_user(name)
        self.ready_for = ""  # the step whose state it is in
        self.control = Control(machine.path(_PLACE), self.user.home)
        machine.run(["sh", "-c", f"chmod a+rw {_PLACE}/control-*; chmod a+rx {_PLACE}/*.so"])
        outside = str(machine.root).rstrip("/")
        self._set = [
            f"{name}={value.removeprefix(outside)}"
            for name, value in self.control.variables.items()
        ]

    def aap(self, *words: str) -> Ended:
        """Run aap with the shim."""
        # By env, for the first program that has the shim takes it away from the next.
        argv = ["env", *self._set, self.user.machine.aap, *words]
        done = self.user.run(argv, check=False)
        return Ended(done.returncode, done.stdout, done.stderr, 0.0)

    def state(self) -> State:
        """Look at all that an installation may change."""
        home, found = self.user.path(), {}
        for path in sorted(home.rglob("*")):
            name = path.relative_to(home)
            if not _NO_STATE & set(name.parts):
                found[str(name)] = _content(path)
        return State(found, dict(self._units()))

    def _units(self) -> Iterator[tuple[str, str]]:
        told = ["Id", "LoadState", "ActiveState", "NeedDaemonReload", "Listen"]
        shown = self.user.systemctl("show", "aap-*", *(f"--property={each}" for each in told))
        for unit in filter(None, shown.split("\n\n")):
            lines = sorted(unit.splitlines())
            name = next(line[3:] for line in lines if line.startswith("Id="))
            if name.endswith(_ARMED) and "LoadState=loaded" in lines:
                yield name, " ".join(lines)

    def clear(self) -> None:
        """Have nothing of aap here."""
        self.control.heal()
        if self.user.path(".local").exists() or dict(self._units()):
            self.user.aap("uninstall", "--user")
        self.user.run(["rm", "-rf", ".local", ".config", ".openclaw"])

    def close(self) -> None:
        """End what runs, and take the user away."""
        self.clear()
        self.control.close()
        self.user.machine.remove_user(self.user)


class Step(NamedTuple):
    """A command, and what makes the state in which it is said; `goes_on` may stop half-way."""

    name: str
    argv: tuple[str, ...]
    prepare: Callable[[Site], None]
    goes_on: bool = False


def _nothing(site: Site) -> None:
    site.clear()


def _installed(site: Site) -> None:
    site.clear()
    site.user.aap("install", "--user")


def _other_port(site: Site) -> None:
    _installed(site)
    site.user.write(_CONFIG, "PORT=7055\n", 0o600)


STEPS = (
    Step("install", ("install", "--user"), _nothing),
    Step("install anew", ("install", "--user"), _other_port),
    Step("uninstall", ("uninstall", "--user"), _installed, goes_on=True),
)


class Trial:
    """One step, tried with fault after fault; its state is made anew only where one changed it."""

    def __init__(self, site: Site, step: Step) -> None:
        self._site, self._step = site, step
        step.prepare(site)
        self._before = site.state()
        with site.control.armed():
            ended = site.aap(*step.argv)
        self.counts = site.control.counts
        assert ended.code == 0, (step.name, ended)
        self._after = site.state()

    def meet(self, fault: Fault, tally: Counter[str]) -> Iterator[str]:
        """Have the step meet a fault; say what was wrong."""
        site = self._site
        if site.ready_for != self._step.name:
            self._step.prepare(site)
        site.ready_for = ""
        with site.control.armed(fault):
            ended = site.aap(*self._step.argv)
        tally["combinations"] += 1
        tally["honest"] += 1 if ended.code else 0
        yield from judge(ended, fault)
        if site.control.trusted:
            yield "a file was trusted after its fsync failed"
        if ended.code:
            yield from self._judge_refused(fault, ended)
            return
        if site.control.unsynced:
            yield f"it says that all is well, and has not synced {sorted(site.control.unsynced)}"
        yield from self._judge_done(fault)

    def _judge_refused(self, fault: Fault, ended: Ended) -> Iterator[str]:
        state = self._site.state()
        changed = state.differs_from(self._before, fault)
        if state == self._before:
            self._site.ready_for = self._step.name  # the next one tries whether it works again
            return
        if "installed and runs" in ended.err:
            if state.units != self._after.units:
                yield f"it says that it runs: {state.units}"
        elif changed and not (self._step.goes_on or is_all_gone(fault)):
            yield f"refused, and yet changed: {changed}: {ended.err!r}"
        again = self._site.aap(*self._step.argv)
        if again.code:
            yield f"it does not work when the fault is gone: {again.code} {again.said!r}"
        yield from self._judge_done(fault)

    def _judge_done(self, fault: Fault) -> Iterator[str]:
        if changed := self._site.state().differs_from(self._after, fault):
            yield f"it says that all is well: {changed}"


def _may_stay(name: str, content: str, fault: Fault) -> bool:
    """Tell what aap leaves where it may not delete: drafts, until the next, and their folders."""
    if fault.error == errno.EACCES and name in {*map(str, Path(_SETTINGS).parents), _SETTINGS}:
        return True  # what may not be read is taken for somebody's own
    if content == _FOLDER:
        return fault.call in {"rmdir", "unlink", CHANGE}
    return fault.call in {"unlink", CHANGE} and bool(_DRAFT.fullmatch(Path(name).name))


def _may_lack(content: str, fault: Fault) -> bool:
    """Tell what a settings file may be instead of whole: it sets nothing, whole or not.

    One that a dying disk has cut short is taken for somebody's own. Where it may not be made,
    the agent cannot make one either; the next worker tries again.
    """
    is_short = content == _EMPTY and is_all_gone(fault)
    return is_short or (not content and fault.error == errno.EACCES)


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.is_dir():
        return _FOLDER
    return f"{path.stat().st_mode:o} {path.read_bytes().decode('utf-8', 'replace')}"


@contextmanager
def site(name: str = "ann") -> Iterator[Site]:
    """Boot a machine with a user. Raises BootError."""
    with booted() as machine:
        made = Site(machine, name)
        try:
            yield made
        finally:
            made.close()


def cases(on: Site) -> dict[str, list[Case]]:
    """Give each step, by its name, with each fault that it can meet once, and a disk that is lost.

    They are thousands, at a second each: not those that only last longer.
    """
    found = {}
    for step in STEPS:
        trial = Trial(on, step)
        found[step.name] = [
            Case(f"aap {step.name}, {fault}", fault, partial(trial.meet, fault))
            for fault in plan(trial.counts)
        ]
        on.ready_for = ""
    return found


def _try_share(share: int, *, shares: int, end: float) -> Found:
    """Try one of `shares` parts of the cases until `end`, on a machine of its own."""
    tally, wrong = Counter[str](), list[str]()
    with site() as on:
        # One step after the other: a state that no fault has changed need not be made anew.
        steps = [each[share::shares] for each in cases(on).values()]
        for number, mine in enumerate(steps):
            random.shuffle(mine)
            mine.sort(key=lambda case: not case.fault.is_first)
            now, left = time.monotonic(), sum(map(len, steps[number:]))
            until = now + (end - now) * len(mine) / left
            more, lines = of_all(mine, try_cases(mine, until))
            tally, wrong = tally + more, wrong + lines
    return tally, wrong


def _run(minutes: float) -> bool:
    """In 90 minutes on two cores: all; in 40 each call, with one of its errors."""
    shares = 1 + (os.cpu_count() or 1)  # some wait while others work
    try_share = partial(_try_share, shares=shares, end=time.monotonic() + 60 * minutes)
    try:
        with ProcessPoolExecutor(shares) as pool:
            parts = list(pool.map(try_share, range(shares)))
    except BootError as error:
        raise UnableError(str(error)) from None
    tally = sum((tally for tally, _ in parts), Counter[str]())
    return tell("install, uninstall", tally, [what for _, wrong in parts for what in wrong])


PROOF = Proof("an installation that meets a fault is taken back, a removal goes on later", _run)
