"""The worker's work, each kind of it once, under every fault it can meet."""

from __future__ import annotations

import errno
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from aap.message import Conversation, State
from torture.faults.sabotage import CHANGE, FOR_EVER, Case, Fault, plan
from torture.faults.world import Ended, Stage, World

Bodies = list[bytes]
_QUICK = 15.0  # seconds; a worker that takes longer is stuck or spins


class Shift(NamedTuple):
    """One start of the worker (or the hook), with the messages that it finds.

    `prepare` returns their bodies; each must be somewhere, once, whatever happens. `after`
    is the state in which a worker without faults leaves them.
    """

    name: str
    prepare: Callable[[World], Bodies]
    after: State
    flags: tuple[str, ...] = ()
    stops: str = ""  # a file that its scripts make, at which it is told to stop
    heals: str = "not-settled"  # it waits for a full disk to settle what the agent has done
    most_runs: int = 4
    program: str = "worker"


def _messages(world: World, state: State = State.INBOX) -> Bodies:
    put = world.deliver("one", "two", state=state)
    return [*put.values(), *world.deliver("other", state=state, chat="2").values()]


def _well(world: World) -> Bodies:
    return _messages(world)


def _badly(world: World) -> Bodies:
    world.agent("exit 1")
    return _messages(world)


def _given_up(world: World) -> Bodies:
    world.agent("exit 1")
    chat = world.script("chat.sh", f"cat > /dev/null; echo sorry >> {world.out}/chat")
    world.settings |= {"AAP_MAX_ATTEMPTS": "1", "AAP_FAILED_REPLY": "sorry"}
    world.settings |= {"AAP_DELIVERY": "command", "AAP_DELIVERY_CMD": str(chat)}
    return list(world.deliver("one").values())


def _outage(world: World) -> Bodies:
    world.agent("exit 75")
    tell = world.script("tell.sh", f"cat > /dev/null; echo told >> {world.out}/told")
    world.settings["AAP_NOTIFY_CMD"] = str(tell)
    return list(world.deliver("one").values())


def _outage_over(world: World) -> Bodies:
    facts = {"since": 1, "retry_at": 2, "reason": "no network"}
    (world.spool.root / "OUTAGE").write_text(json.dumps(facts))
    return _messages(world)


def _left_by_a_dead_one(world: World) -> Bodies:
    (world.spool.root / "RUN").write_text("{}")
    hidden = world.spool.folder(State.INBOX) / ".1jb3k5m9q2xw7c4e8r0t.json"
    hidden.write_text("half")
    os.utime(hidden, (1, 1))
    return _messages(world, State.ACTIVE)


def _due(world: World) -> Bodies:
    bodies = _messages(world, State.DEFERRED)
    make_due(world)
    return bodies


def make_due(world: World) -> None:
    """Let the time of all deferred messages have come."""
    for path in world.spool.folder(State.DEFERRED).iterdir():
        os.utime(path, (1, 1))


def _many_done(world: World) -> Bodies:
    world.deliver(*(f"old {number}" for number in range(5)), state=State.DONE)
    world.settings["AAP_DONE_MAX"] = "3"
    return list(world.deliver("one").values())


def _foreign(world: World) -> Bodies:
    bodies = [b'{"messages": [{"role": "user", "content": "by hand"}]}', b"no JSON"]
    for name, body in zip(("by-hand.json", "photo"), bodies, strict=True):
        path = world.spool.folder(State.INBOX) / name
        path.write_bytes(body)
        os.utime(path, (time.time() - 60,) * 2)
    return bodies


def _paused(world: World) -> Bodies:
    facts = {"since": 1, "reason": "", "unwatched": True}
    (world.spool.root / "PAUSED").write_text(json.dumps(facts))
    return _messages(world)


def _own_sessions(world: World) -> Bodies:
    init = world.script("init", "exit 0")
    world.settings |= {"AAP_SESSION": "conversation", "AAP_AGENT_INIT_CLI": str(init)}
    return _messages(world)


def _talkative(world: World) -> Bodies:
    world.agent('for n in 1 2 3 4 5 6 7 8; do echo "line $n"; done')
    return list(world.deliver("one").values())


def _told_in_mid_run(world: World) -> Bodies:
    chat = str(Conversation("telegram", "default", "1"))
    facts = {"pid": 1, "started": 1, "ids": [], "conversations": [chat]}
    (world.spool.root / "RUN").write_text(json.dumps(facts))
    return _messages(world)


def _told_before(world: World) -> Bodies:
    bodies = _told_in_mid_run(world)
    entries = world.spool.entries(State.INBOX)
    for entry in entries:
        if b'"2"' in entry.path.read_bytes():
            bodies.remove(entry.path.read_bytes())
            entry.path.unlink()
    lines = [f"1/1 1 {entry.id}\n" for entry in entries]
    (world.spool.root / "TOLD").write_text("".join(lines))
    return bodies


SHIFTS = (
    Shift("well", _well, State.DONE),
    Shift("badly", _badly, State.DEFERRED),
    Shift("given up", _given_up, State.FAILED),
    Shift("outage", _outage, State.INBOX, stops="told"),
    Shift("outage over", _outage_over, State.DONE),
    Shift("left by a dead one", _left_by_a_dead_one, State.DONE),
    Shift("sweep", _due, State.INBOX, flags=("--sweep",), most_runs=0),
    Shift("prune", _many_done, State.DONE),
    Shift("foreign", _foreign, State.DONE),
    # A PAUSED that cannot be read is a pause, and waited for.
    Shift("paused", _paused, State.INBOX, most_runs=0, heals="worker paused"),
    Shift("own sessions", _own_sessions, State.DONE),
    Shift("talkative", _talkative, State.DONE),
    Shift("hook", _told_in_mid_run, State.INBOX, most_runs=0, program="hook"),
    Shift("hook claims", _told_before, State.ACTIVE, most_runs=0, program="hook"),
)


def _run(stage: Stage, shift: Shift) -> Ended:
    world = stage.world
    if shift.program == "hook":
        return stage.run("hook", str(world.ws), stdin='{"hook_event_name": "PostToolUse"}')
    stops = str(world.out / shift.stops) if shift.stops else ""
    argv = ("--workspace", str(world.ws), *shift.flags)
    return stage.run("worker", *argv, stops=stops, heals=shift.heals)


def count_calls(stage: Stage, shift: Shift) -> dict[str, int]:
    """Let it work without a fault; return how many calls of each kind it makes."""
    stage.world.reset()
    bodies = shift.prepare(stage.world)
    with stage.control.armed():
        ended = _run(stage, shift)
    wrong = [*_misplaced(stage.world, bodies, shift.after), *_lost(stage.world, bodies)]
    assert ended.code == 0 and not wrong, (shift.name, ended, wrong)
    return stage.control.counts


def try_shift(stage: Stage, shift: Shift, fault: Fault, tally: Counter[str]) -> Iterator[str]:
    """Let the worker meet a fault, and another one come after it; say what was wrong."""
    world = stage.world
    world.reset()
    bodies = shift.prepare(world)
    with stage.control.armed(fault):
        ended = _run(stage, shift)
    if not stage.control.hits:
        return
    tally["combinations"] += 1
    tally["honest"] += 1 if ended.code else 0
    yield from _judge(ended, shift, fault, world)
    yield from _lost(world, bodies)
    kept = fault.call in ("unlink", CHANGE) and fault.count == FOR_EVER
    end = ".old" if fault.call == "unlink" else ()  # what a file was before, for the next writer
    left = [name for name in world.left_overs() if not name.endswith(end)]
    if left and not kept and shift.program == "worker" and "dead" not in shift.name:
        yield f"left behind: {left}"
    if not ended.code and shift.program == "worker" and not _is_told(ended, shift, fault):
        yield from _misplaced(world, bodies, shift.after)
    yield from _judge_syncs(stage, shift, ended, fault)
    if _is_refused(ended, fault):
        shift = shift._replace(after=State.FAILED)
    yield from _heal(stage, shift, bodies, tally)


def _judge(ended: Ended, shift: Shift, fault: Fault, world: World) -> Iterator[str]:
    if fault.is_harmless and ended.code:
        yield f"a call that need only be repeated made it fail: {ended.said!r}"
    if "Traceback" in ended.said or ended.code in (99, -9):
        yield f"it fell over: {ended.code} {ended.said[-1500:]}"
    elif ended.code and fault.complaint not in ended.said and not fault.is_harmless:
        yield f"exit code {ended.code}, and the cause is not told: {ended.said!r}"
    if ended.seconds > _QUICK:
        yield f"it took {ended.seconds:.0f} s"
    if world.runs > shift.most_runs:
        yield f"{world.runs} runs of the agent"


def _is_told(ended: Ended, shift: Shift, fault: Fault) -> bool:
    """Whether a file that cannot be moved is named; not by each sweep, but when it falls due."""
    silent = shift.name == "sweep" and fault.error == errno.EACCES
    return silent or "worker stuck" in ended.said or _is_refused(ended, fault)


def _is_refused(ended: Ended, fault: Fault) -> bool:
    """Whether a foreign file that we may not read is put aside, for a person to look at."""
    told = "name=by-hand.json" in ended.said and "put-aside" in ended.said
    return told and fault.error == errno.EACCES


# What need not be synced: it is told for convenience, or what is lost is made anew.
_MAY_BE_UNSYNCED = {
    ".": "RUN, OUTAGE and FORMAT: for people who look, and for hooks of this very run",
    "sessions": "the next run starts a new session",
    "notes": "why a message was put off or aside: it must be moved all the same",
    "context": "the figures of runs",
}


def _judge_syncs(stage: Stage, shift: Shift, ended: Ended, fault: Fault) -> Iterator[str]:
    if stage.control.trusted:
        yield "a file was trusted after its fsync failed"
    if ended.code or "not-settled" in ended.out:  # and was settled in the end, with other syncs
        return
    if shift.program == "hook":  # whose claim was taken back then, of which nobody was told
        is_dead = fault.call == CHANGE and fault.lasts  # then nothing can be taken back either
        if stage.control.unsynced and not is_dead and not stage.world.spool.count(State.INBOX):
            yield "it has claimed what it could not sync"
        return
    root = stage.world.spool.root
    paths = [Path(path).relative_to(root) for path in stage.control.unsynced]
    for path in paths:
        folder = str(path.parent if path.suffix else path)
        if folder not in _MAY_BE_UNSYNCED:
            yield f"it says that all is well, and has not synced {path}"


def _lost(world: World, bodies: Bodies) -> Iterator[str]:
    """Say which messages are not there once and whole."""
    there = Counter(entry.path.read_bytes() for entry in world.spool.entries())
    for body in bodies:
        if there[body] != 1:
            yield f"there {there[body]} times: {body[:80]!r}"
    for body in there:
        if body not in bodies and b'"old ' not in body:
            yield f"never accepted: {body[:80]!r}"


def _misplaced(world: World, bodies: Bodies, state: State) -> Iterator[str]:
    for entry in world.spool.entries():
        body = entry.path.read_bytes()
        wanted = State.FAILED if body == b"no JSON" else state
        if body in bodies and entry.state is not wanted:
            yield f"it says that all is well, and a message is in {entry.state.value}"


def _heal(stage: Stage, shift: Shift, bodies: Bodies, tally: Counter[str]) -> Iterator[str]:
    """Let the next worker come, with an agent that works: now all must be handled."""
    world = stage.world
    before = world.runs
    world.agent("exit 0")
    (world.spool.root / "PAUSED").unlink(missing_ok=True)
    ended = _work(stage)
    if world.left_overs():
        world.age_left_overs()
        ended = _work(stage)
    if ended.code:
        yield f"it does not work when the fault is gone: {ended.code} {ended.said!r}"
    yield from (f"afterwards {wrong}" for wrong in _lost(world, bodies))
    open_ = [e.state.value for e in world.spool.entries()
             if e.state not in (State.DONE, State.FAILED)]  # fmt: skip
    given_up = [e for e in world.spool.entries(State.FAILED) if e.path.read_bytes() != b"no JSON"]
    if open_ or (given_up and shift.after is not State.FAILED):
        yield f"not handled afterwards: {open_} {given_up}"
    # OUTAGE is looked at again after the next good run.
    names = ("RUN", "OUTAGE") if world.runs > before else ("RUN",)
    left = [name for name in names if (world.spool.root / name).exists()]
    if left or world.left_overs():
        yield f"still there afterwards: {left} {world.left_overs()}"
    if not _is_in_order(world):
        yield "of a conversation, `two` was run before `one`"
    tally["runs again"] += world.runs - before


def _is_in_order(world: World) -> bool:
    runs = world.out / "runs"
    told = runs.read_text() if runs.exists() else ""
    one, two = (told.find(f">>>{text}<<<end") for text in ("one", "two"))
    return one < two or two < 0


def _work(stage: Stage) -> Ended:
    make_due(stage.world)
    return stage.run("worker", "--workspace", str(stage.world.ws))


def cases(stage: Stage, shifts: Iterable[Shift], *, for_ever: bool) -> Iterator[Case]:
    """Give each shift with each fault that it can meet."""
    for shift in shifts:
        for fault in plan(count_calls(stage, shift), for_ever=for_ever):
            name = f"{shift.program} {shift.name}, {fault}"
            yield Case(name, fault, partial(try_shift, stage, shift, fault))
