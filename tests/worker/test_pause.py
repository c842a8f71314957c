"""A paused workspace: nothing is handed to the agent, and nothing spins."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.wait import wait_until
from harness.workbench import Bench

from aap.inbox import Pause, Spool, end_pause, read_pause, write_pause
from aap.message import State
from aap.worker.hook import tell

Make = Callable[..., bytes]


@pytest.mark.slow
def test_a_worker_that_is_watched_waits_and_goes_on_at_once(bench: Bench, message: Make) -> None:
    bench.agent('echo "$1"')
    ident = bench.spool.deliver(message("hello"))
    write_pause(bench.spool.root, Pause(time.time(), "maintenance"))
    worker = bench.start()
    try:
        wait_until(lambda: bench.log("paused"), what="the worker to say that it is paused")
        time.sleep(0.7)
        assert bench.states() == {ident: "inbox"}
        assert worker.poll() is None
        end_pause(bench.spool.root)
        began = time.monotonic()
        wait_until(lambda: bench.states() == {ident: "done"}, what="the message to be handled")
        assert time.monotonic() - began < 3
        assert worker.wait(10) == 0
    finally:
        worker.kill()
        worker.communicate()
    assert [line.fields["reason"] for line in bench.log("paused")] == ["maintenance"]


def test_a_worker_that_is_not_watched_leaves_with_0(bench: Bench, message: Make) -> None:
    bench.agent('echo "$1"')
    ident = bench.spool.deliver(message("hello"))
    write_pause(bench.spool.root, Pause(time.time(), "", unwatched=True))
    assert bench.work() == 0
    assert bench.states() == {ident: "inbox"}
    assert bench.log("run-started") == []


@pytest.mark.slow
def test_a_run_finishes_and_the_next_one_waits(bench: Bench, message: Make) -> None:
    bench.agent('sleep 1; echo "$1"')
    first = bench.spool.deliver(message("first", "A"))
    worker = bench.start()
    wait_until(lambda: bench.log("run-started"), what="the run")
    second = bench.spool.deliver(message("second", "B"))
    write_pause(bench.spool.root, Pause(time.time(), "", unwatched=True))
    worker.communicate(timeout=20)
    assert worker.returncode == 0
    assert bench.states() == {first: "done", second: "inbox"}


def test_the_hook_tells_nothing_while_paused(bench: Bench, message: Make, tmp_path: Path) -> None:
    bench.spool.deliver(message("later", "A"))
    (bench.spool.root / "RUN").write_text(json.dumps({"conversations": ["telegram//A"]}))
    event = json.dumps({"hook_event_name": "PostToolUse"}).encode()
    write_pause(bench.spool.root, Pause(time.time()))
    answer = tmp_path / "answer"
    with answer.open("wb") as out:
        tell(bench.workspace, event, out.fileno())
        assert answer.read_bytes() == b""
        end_pause(bench.spool.root)
        tell(bench.workspace, event, out.fileno())
    assert b"later" in answer.read_bytes()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"since": "x"}', '{"since": null}'])
def test_a_file_made_by_hand_is_a_pause_too(bench: Bench, content: str) -> None:
    (bench.spool.root / "PAUSED").write_text(content)
    found = read_pause(bench.spool.root)
    assert found is not None
    assert time.time() - found.since < 60
    assert (found.reason, found.unwatched) == ("", False)


def test_who_holds_the_lock_can_be_told(bench: Bench, message: Make) -> None:
    assert bench.spool.lock_holder() == 0
    bench.agent("sleep 30")
    bench.spool.deliver(message("hello"))
    worker = bench.start()
    try:
        wait_until(lambda: bench.log("run-started"), what="the run")
        assert bench.spool.lock_holder() == worker.pid
        assert Spool(bench.spool.root).count(State.ACTIVE) == 1
    finally:
        subprocess.run(["kill", str(worker.pid)], check=True)
        worker.communicate(timeout=20)
    assert bench.spool.lock_holder() == 0
