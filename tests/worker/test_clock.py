"""The wall clock is wrong at times, and set: nothing waits for ever, nothing comes out of order."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.clock import Clock
from harness.workbench import Bench

HOUR = 3600

Make = Callable[..., bytes]


@pytest.fixture
def clock(bench: Bench, tmp_path: Path) -> Clock:
    """The clock of all that the bench starts."""
    (tmp_path / "clock").mkdir()
    clock = Clock(tmp_path / "clock")
    bench.settings |= clock.environment
    return clock


def put_in(bench: Bench, body: bytes) -> str:
    """Have a process of its own take a message in."""
    words = [sys.executable, "-m", "aap.cli.main", "-w", str(bench.workspace), "inbox", "add", "-"]
    done = subprocess.run(words, input=body, env=os.environ | bench.settings, stdout=-1, check=True)
    return done.stdout.decode().strip()


def test_the_clock_of_a_test_is_the_one_that_is_set(bench: Bench, clock: Clock) -> None:
    words = [sys.executable, "-c", "import time; print(time.time() + time.time_ns() / 1e9)"]
    for hours in (-3, 5):
        clock.set(hours * HOUR)
        said = subprocess.check_output(words, env=os.environ | bench.settings)
        assert abs(float(said) / 2 - time.time() - hours * HOUR) < 60


@pytest.mark.slow
def test_a_clock_set_back_changes_no_order(bench: Bench, clock: Clock, message: Make) -> None:
    ids = []
    for hours in (3, 0, -2, 7, -5):
        clock.set(hours * HOUR)
        ids.append(put_in(bench, message(f"at {hours}", "A")))
    assert ids == sorted(ids)
    bench.agent('echo "$1"')
    assert bench.work() == 0
    said = [line for line in bench.output() if line.startswith("at ")]
    assert said == ["at 3", "at 0", "at -2", "at 7", "at -5"]


@pytest.mark.parametrize("flags", [(), ("--sweep",)])
def test_who_waits_since_before_the_clock_was_set_back_waits_no_longer(
    bench: Bench, clock: Clock, message: Make, flags: tuple[str, ...]
) -> None:
    bench.agent("exit 1")
    ident = bench.spool.deliver(message("hello"))
    clock.set(5 * HOUR)
    assert bench.work() == 0
    assert bench.states() == {ident: "deferred"}
    clock.set(5 * HOUR + 10)
    assert bench.work(*flags) == 0
    assert bench.states() == {ident: "deferred"}, "its time has not come"
    clock.set(0)
    bench.agent("true")
    assert bench.work(*flags) == 0
    assert bench.states() == {ident: "inbox" if flags else "done"}


def test_what_is_due_needs_no_sweep_where_a_worker_lives(bench: Bench, message: Make) -> None:
    ident = bench.spool.deliver(message("hello"))
    bench.spool.defer(bench.spool.find(ident), time.time() - 1, "an earlier run failed")
    bench.agent("true")
    with bench.spool.lock():
        assert bench.work("--sweep") == 0
        assert bench.states() == {ident: "deferred"}, "the worker that holds the lock sees to it"
    assert bench.work() == 0
    assert bench.states() == {ident: "done"}


@pytest.mark.slow
def test_a_file_from_the_future_is_waited_for_a_moment(bench: Bench) -> None:
    ahead = time.time() + 5 * HOUR
    os.utime(bench.put("half.json", b'{"messages": ['), (ahead, ahead))
    began = time.monotonic()
    assert bench.work(timeout=20) == 0
    assert time.monotonic() - began < 10
    assert list(bench.states().values()) == ["failed"]
