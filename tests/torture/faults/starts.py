"""The API's start under every fault: it serves, or ends with an honest line, and comes back."""

from __future__ import annotations

import http.client
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from shutil import rmtree
from typing import NamedTuple

from aap.config import keys
from aap.message import State
from torture.faults.sabotage import CHANGE, Case, Fault, plan
from torture.faults.service import CHAT, body
from torture.faults.world import Ended, Stage, World


class Start(NamedTuple):
    """One start, and what is there before it."""

    name: str
    prepare: Callable[[World], object]


def _with_settings(world: World) -> None:
    conf = world.config / "aap.conf"
    conf.write_text("REPLY=empty\n")
    conf.chmod(0o600)
    keys.add_key(world.config / "keys", "phone", "a-key")


def _first(world: World) -> None:
    rmtree(world.spool.root)


STARTS = (Start("again", _with_settings), Start("first", _first))


class _Visitor:
    """Waits until the API listens, has the disk healed, sends a message, and stops the API."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._stop = stage.world.out / "stop"
        self.answer = 0

    def __call__(self) -> None:
        found = re.search(r"at=127\.0\.0\.1:(\d+)", self._stage.err)
        if found and not self._stop.exists():
            self._stage.control.heal()
            self.answer = _post(int(found[1]))
            self._stop.touch()

    def run(self) -> Ended:
        self._stop.unlink(missing_ok=True)
        argv = ("--workspace", str(self._stage.world.ws), "--bind", "127.0.0.1:0")
        return self._stage.run("api", *argv, stops=str(self._stop), meanwhile=self)


def _post(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", CHAT, body(1), {"Authorization": "Bearer a-key"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return -1
    finally:
        connection.close()


def count_calls(stage: Stage, start: Start) -> dict[str, int]:
    """Start it without a fault; return how many calls of each kind that takes."""
    _set_up(stage, start)
    visitor = _Visitor(stage)
    with stage.control.armed():
        ended = visitor.run()
    assert (ended.code, visitor.answer) == (0, 200), (start.name, ended, visitor.answer)
    return stage.control.counts


def _set_up(stage: Stage, start: Start) -> None:
    stage.world.reset()
    start.prepare(stage.world)


def try_start(stage: Stage, start: Start, fault: Fault, tally: Counter[str]) -> Iterator[str]:
    """Start the API with a fault, then once more without it; say what was wrong."""
    _set_up(stage, start)
    visitor = _Visitor(stage)
    with stage.control.armed(fault):
        ended = visitor.run()
    if not stage.control.hits:
        return
    tally["combinations"] += 1
    tally["honest"] += 1 if ended.code else 0
    yield from _judge(ended, fault, visitor.answer)
    if stage.world.left_overs() and fault.call not in ("unlink", CHANGE):
        yield f"left behind: {stage.world.left_overs()}"
    accepted = (visitor.answer == 200) + 1
    ended = visitor.run()
    if (ended.code, visitor.answer) != (0, 200):
        yield f"it does not start when the fault is gone: {visitor.answer} {ended}"
    there = [entry.path.read_bytes() for entry in stage.world.spool.entries(State.INBOX)]
    if there != [body(1)] * accepted:
        yield f"{accepted} messages were accepted, {len(there)} are there"


def _judge(ended: Ended, fault: Fault, answer: int) -> Iterator[str]:
    if fault.is_harmless and ended.code:
        yield f"a call that need only be repeated made it fail: {ended.said!r}"
    if "Traceback" in ended.said or ended.code in (99, -9):
        yield f"it fell over: {ended.code} {ended.said[-1500:]}"
    elif ended.code and fault.complaint not in ended.said:
        yield f"exit code {ended.code}, and the cause is not told: {ended.said!r}"
    elif not ended.code and answer != 200:
        yield f"it serves, and answers {answer}: {ended.said!r}"


def cases(stage: Stage, *, for_ever: bool) -> Iterator[Case]:
    """Give each start with each fault that it can meet."""
    for start in STARTS:
        for fault in plan(count_calls(stage, start), for_ever=for_ever):
            run = partial(try_start, stage, start, fault)
            yield Case(f"api start {start.name}, {fault}", fault, run)
