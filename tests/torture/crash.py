"""Every crash point: what aap does is recorded, and the power is cut after each of its calls.

For each point all states are made that the disk may be in afterwards (see `disk`). In each
of them aap recovers for real, and what it then has is held against what it had promised.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from aap import SPOOL_FOLDER, files
from aap.context.usage import read_runs
from aap.inbox import Entry, Spool
from aap.log import DailyLog, parse_line
from aap.message import State as Folder
from aap.worker.batch import Queue
from torture.disk import MODELS, Disk, State, materialise
from torture.proof import Proof
from torture.scenes import ABSENT, SCENES, body
from torture.trace import Step, record

_AGO = 2 * 3600.0  # how long before the recovery the power was cut: time to clear up

_ENOUGH = 20  # violations, after which there is no need to look for more


# Six requests that are written at the same time are so many states that a tenth must do.
CROWDED = frozenset(("api_crowd",))


class Depth(NamedTuple):
    """How far a proof goes.

    `cuts` is the number of places where a write is torn, `most` that of states at one
    point, `kills` whether a process is killed before the power fails, and every
    `workers`-th state is given to a real worker.
    """

    cuts: int
    most: int
    workers: int
    kills: bool = False

    def __str__(self) -> str:
        torn = f"at {self.cuts + 1} places, {self.cuts} of them within"
        return (
            f"what was written and not synced is torn {torn}; where a point has more than "
            f"{self.most} states, so many are drawn (a tenth in {', '.join(sorted(CROWDED))})"
        )


SHORT = Depth(cuts=1, most=300, workers=500)
LONG = Depth(cuts=3, most=3000, workers=100)
KILLS = Depth(cuts=1, most=100, workers=1000, kills=True)


class Story(NamedTuple):
    """A scene as it was recorded."""

    name: str
    steps: list[Step]

    def without_sync(self, *names: str) -> Story:
        """The same, as if files and folders of these names were not synced."""
        steps = [s for s in self.steps if s.kind != "sync" or not _is_named(s.path, names)]
        assert steps != self.steps
        return self._replace(steps=steps)


def _is_named(path: str, names: Iterable[str]) -> bool:
    return any(Path(path).match(name) for name in names)


class Figures:
    """What was looked at, and what was found wrong."""

    def __init__(self) -> None:
        self.operations = self.points = self.states = 0
        self.workers = 0
        self.sampled = 0  # crash points that have more states than were made of them
        self.broken: list[str] = []

    def __str__(self) -> str:
        return (
            f"{self.operations} operations, {self.points} crash points ({self.sampled} of them "
            f"sampled), {self.states} states ({self.workers} of them given to a worker), "
            f"{len(self.broken)} violations"
        )


Allowed = Mapping[str, frozenset[str]]  # by key, where a thing may be
Finder = Callable[[Path, Allowed], Iterable[str]]  # yields what is wrong


# What was promised


class Promises:
    """What may become of each thing, as far as the program has come."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._late = {
            (key, number): told["to"]
            for key, number, told in _numbered(_told(steps), "end")
            if "to" in told
        }
        self._begun: dict[str, int] = {}
        self._now: dict[str, list[str]] = {}
        self._next: dict[str, list[str]] = {}
        self._keys: dict[str, str] = {}

    def hear(self, said: bytes) -> bool:
        """Take in what the program printed; True if all before it is on the disk."""
        for line in said.decode().splitlines():
            told = _read_line(line, self._keys)
            if "start" in told:
                return True
            if "id" in told:
                self._keys[told["id"]] = told["of"]
            elif "begin" in told:
                self._begin(told["begin"], told.get("to"))
            elif "end" in told:
                self._now[told["end"]] = self._next.pop(told["end"])
        return False

    def _begin(self, key: str, to: list[str] | None) -> None:
        number = self._begun[key] = self._begun.get(key, 0) + 1
        self._next[key] = self._late[key, number] if to is None else to

    def allowed(self) -> Allowed:
        """By key, where a thing may be."""
        keys = self._now.keys() | self._next.keys()
        return {
            key: frozenset(self._now.get(key, [ABSENT])) | frozenset(self._next.get(key, ()))
            for key in keys
        }


def _told(steps: Iterable[Step]) -> Iterator[dict[str, Any]]:
    for step in steps:
        if step.kind == "say":
            yield from (_read_line(line, {}) for line in step.data.decode().splitlines())


def _read_line(line: str, keys: dict[str, str]) -> dict[str, Any]:
    """Read a line of a scene's; the worker's own word "settled" is a promise too."""
    if line.startswith("{"):
        told: dict[str, Any] = json.loads(line)
        return told
    logged = parse_line(f"T info {line[3:]}") if line.startswith("<") else None  # <6>worker …
    if logged and logged.event == "settled" and logged.fields.get("id") in keys:
        return {"end": keys[logged.fields["id"]]}
    return {}


def _numbered(
    all_told: Iterable[dict[str, Any]], word: str
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    counts: dict[str, int] = {}
    for told in all_told:
        if word in told:
            counts[told[word]] = counts.get(told[word], 0) + 1
            yield told[word], counts[told[word]], told


# What is there


def observe(root: Path) -> dict[str, list[str]]:
    """Return what is below `root` by key: the places of messages, the contents of files.

    A message is in `inbox+0` (its folder and its failed attempts), `foreign` (in inbox/,
    not yet taken in) or `aside` (in failed/, as no message). What is in a place where only
    whole messages may be and is none is called `?`.
    """
    spool, found = Spool(root / SPOOL_FOLDER), dict[str, list[str]]()
    for entry in spool.entries():
        key = _key(spool.read(entry))
        if key or not (entry.is_foreign or not entry.is_message):
            found.setdefault(key or "?", []).append(_place(entry))
        for note in spool.notes(entry.id):
            found[f"note {note['event']}"] = ["noted"]
    for run in read_runs(spool.root):
        found[f"run {run.time:g}"] = ["counted"]
    for path in _files(root):
        if path.name[0] != "." and path.parent.name not in _NO_FACTS:
            found[f"file {path.name}"] = [path.read_bytes().decode("utf-8", "replace")]
    return found


def _files(root: Path) -> list[Path]:
    # rglob would take half of all the time.
    return [Path(folder, name) for folder, _, names in os.walk(root) for name in names]


_NO_FACTS = frozenset((*(folder.value for folder in Folder), "notes", "logs"))


def _key(raw: bytes) -> str:
    try:
        key = str(json.loads(raw)["key"])
    except (ValueError, KeyError, TypeError):
        return ""
    return key if body(key) == raw else ""


def _place(entry: Entry) -> str:
    if entry.is_foreign:
        return "foreign"
    return f"{entry.state.value}+{entry.attempts}" if entry.is_message else "aside"


# Recovery, and what must hold after it


def violations(root: Path, allowed: Allowed) -> Iterator[str]:
    """Recover below `root`, where the power was cut, and yield what was promised in vain."""
    spool = Spool(root / SPOOL_FOLDER)
    if spool.root.exists():
        _recover(spool)
    found = observe(root)
    yield from _misplaced(found, allowed)
    if spool.root.exists():
        yield from _left_overs(spool)
        yield from _handled_wrongly(spool, found)
    yield from _drafts(root)


def _misplaced(found: dict[str, list[str]], allowed: Allowed) -> Iterator[str]:
    for key, places in found.items():
        if key not in allowed and not key.startswith(("file ", "note ", "run ")):
            yield f"{key} is in {places}, and nobody put it there"
    for key, may_be in allowed.items():
        places = found.get(key, [ABSENT])
        if len(places) != 1 or places[0] not in may_be:
            yield f"{key} is {places}, and may be {sorted(may_be)}"


def violations_by_worker(root: Path, allowed: Allowed) -> Iterator[str]:
    """The same, but a real sweep and a real worker do all, and handle what waits."""
    (root / ".ai-agent-proxy.conf").write_text("AGENT=echo\nSETTLE=0\n")
    argv = [sys.executable, "-m", "aap.worker", "--workspace", str(root)]
    for flags in (["--sweep"], []):
        done = subprocess.run([*argv, *flags], check=False, capture_output=True, timeout=60)
        if done.returncode != 0:
            yield f"the worker ended with {done.returncode}: {done.stdout.decode()}"
    handled = {key: _handled(places) for key, places in allowed.items() if " " not in key}
    yield from _misplaced(observe(root), handled)
    yield from _left_overs(Spool(root / SPOOL_FOLDER))


def _handled(places: frozenset[str]) -> frozenset[str]:
    """Where a message may be when all that waited has been handled."""
    done = {each.replace("inbox", "done").replace("foreign", "done+0") for each in places}
    # The time until which it is put off may be lost: it is tried again early.
    return frozenset(done | {each.replace("deferred", "done") for each in done})


def _may_work(state: State) -> bool:
    """Where work is paused a worker waits, and who changes settings only has no spool."""
    return f"{SPOOL_FOLDER}/inbox" in state and f"{SPOOL_FOLDER}/PAUSED" not in state


def _recover(spool: Spool) -> None:
    """What each start of a worker does, and each end."""
    spool.create()
    with spool.lock():
        spool.recover()
        spool.prune(1e9, 1_000_000, time.time())


def _left_overs(spool: Spool) -> Iterator[str]:
    ids = {entry.id for entry in spool.entries()}
    for path in _files(spool.root):
        if path.name.startswith("."):
            yield f"{path.relative_to(spool.root)} is left over"
        if path.parent.name == "notes" and path.stem not in ids:
            yield f"notes/{path.name} is of no message"


def _handled_wrongly(spool: Spool, found: dict[str, list[str]]) -> Iterator[str]:
    """Let a worker's queue hand out what there is: all that waits, once; nothing that is done."""
    ready = [key for key, places in found.items() for place in places if _waits(place)]
    queue = Queue(spool, DailyLog(spool.logs, echo=False), 1 << 20)
    handled = []
    while batch := queue.claim(100, 0.0):
        handled += [_key(spool.read(entry)) for entry in batch]
        for entry in batch:
            spool.settle(entry.id)
    if sorted(handled) != sorted(ready):
        yield f"{sorted(handled)} were handled, and {sorted(ready)} waited"


def _waits(place: str) -> bool:
    return place.startswith("inbox+") or place == "foreign"


def _drafts(root: Path) -> Iterator[str]:
    """What a writer left goes when the same file is written again."""
    for path in _files(root):
        if draft := _DRAFT.fullmatch(path.name):
            files.write_atomic(path.with_name(draft[1]), b"")
        if files.is_draft(path.name) and path.exists():
            yield f"{path.relative_to(root)} stays for ever"


_DRAFT = re.compile(r"\.(.+)\.\d+\.(new|old|kept)")


# Going through a story


def stories(names: Sequence[str], work: Path) -> list[Story]:
    """Play scenes, and return what each did."""
    stage = work / "stage"
    stage.mkdir()
    argv = [sys.executable, "-m", "torture.scenes", str(stage), *names]
    steps = record(argv, stage, work / "strace.log")
    shutil.rmtree(stage)
    starts = [i for i, step in enumerate(steps) if step.kind == "folder" and step.path in SCENES]
    ends = [*starts[1:], len(steps)]
    return [
        Story(steps[start].path, [_inside(step) for step in steps[start + 1 : end]])
        for start, end in zip(starts, ends, strict=True)
    ]


def _inside(step: Step) -> Step:
    path, other = (name.partition("/")[2] for name in (step.path, step.other))
    return step._replace(path=path, other=other)


class Check:
    """Goes through stories, one state of the disk after the other."""

    def __init__(self, work: Path, depth: Depth, model: str) -> None:
        self._work = work
        self._depth = depth
        self._model = model
        self._seen: set[object] = set()
        self._most = depth.most
        self.figures = Figures()

    def go_through(self, story: Story) -> None:
        """Cut the power after each call of a story."""
        disk, promises = Disk(), Promises(story.steps)
        self._most = self._depth.most // (10 if story.name in CROWDED else 1)
        self._seen.clear()
        started = False
        for place, step in enumerate(story.steps):
            if len(self.figures.broken) > _ENOUGH:
                return
            disk.apply(step)
            if step.kind == "say" and promises.hear(step.data):
                disk.sync_all()
                started = True
            self.figures.operations += started and step.kind != "say"
            if started:
                self._cut(disk, promises, f"{story.name}, after call {place} ({step.kind})")
            if started and self._depth.kills and step.kind not in {"say", "write"}:
                self._kill(disk, promises, story, place)

    def _cut(self, disk: Disk, promises: Promises, where: str) -> None:
        self.figures.points += 1
        allowed = promises.allowed()
        choices = disk.choices(self._model, self._depth.cuts)
        self.figures.sampled += sum(choice.count for choice in choices) > self._most
        for state in disk.states(choices, self._most):
            known = (frozenset(state.items()), frozenset(allowed.items()))
            if known in self._seen:
                continue
            self._seen.add(known)
            self.figures.states += 1
            by_worker = self.figures.states % self._depth.workers == 0 and _may_work(state)
            self.figures.workers += by_worker
            find = violations_by_worker if by_worker else violations
            for wrong in self._look(state, allowed, find):
                self.figures.broken.append(f"{self._model}: {where}: {wrong}")

    def _look(self, state: State, allowed: Allowed, find: Finder) -> list[str]:
        root = Path(tempfile.mkdtemp(dir=self._work))
        try:
            materialise(state, root, time.time() - _AGO)
            return list(find(root, allowed))
        finally:
            shutil.rmtree(root)

    def _kill(self, disk: Disk, promises: Promises, story: Story, place: int) -> None:
        """Kill the program here; cut the power after each call of the one that comes next."""
        root = Path(tempfile.mkdtemp(dir=self._work))
        materialise(disk.now(), root, time.time() - _AGO)
        argv = [sys.executable, "-m", "torture.scenes", str(root), "heir"]
        steps = record(argv, root, self._work / "strace.log")
        shutil.rmtree(root)
        disk, promises = copy.deepcopy((disk, promises))
        for step in steps:
            disk.apply(step)
            if step.kind == "say":
                promises.hear(step.data)
            where = f"{story.name}, killed after call {place}, then after {step.kind} {step.path}"
            self._cut(disk, promises, where)


def play(names: Sequence[str]) -> list[Story]:
    """Play scenes on this machine's disk, which is asked what it can do (syncfs)."""
    with tempfile.TemporaryDirectory() as work:
        return stories(names, Path(work))


def check(told: Iterable[Story], depth: Depth, model: str) -> Figures:
    """Go through stories in one model of the disk."""
    # In memory, where there is such a place: it is not this disk that is tried out.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as work:
        checking = Check(Path(work), depth, model)
        for story in told:
            checking.go_through(story)
    return checking.figures


def _depths(minutes: float) -> tuple[Depth, ...]:
    """What there is to look at takes its time: a quarter of a minute, three, or a dozen."""
    if minutes < 2:
        return (SHORT,)
    return (LONG if minutes < 10 else LONG._replace(cuts=7, most=20_000, workers=50), KILLS)


def _run(minutes: float) -> bool:
    told, held = play(list(SCENES)), True
    for depth, model in product(_depths(minutes), MODELS):
        figures = check(told, depth, model)
        held = held and not figures.broken
        after = "killed, then " if depth.kills else ""
        print(f"   {after}{model}: {len(told)} scenes, {figures}; {depth}", flush=True)
        for wrong in figures.broken[:10]:
            print(f"      {wrong}")
    return held


PROOF = Proof("whatever call the power fails after: nothing lost, torn, doubled or left", _run)
