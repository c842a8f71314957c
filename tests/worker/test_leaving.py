"""When a worker leaves: not so soon that systemd starts one for each message, nor too late."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.wait import wait_until
from harness.workbench import Bench

import aap
from aap import blank

Make = Callable[..., bytes]

# systemd tells a process that it is the unit's own; exec(2) keeps the pid.
AS_SYSTEMD = ("sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$@"', "sh")


def start(bench: Bench, *before: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    command = [*before, sys.executable, "-m", "aap.worker", "--workspace", str(bench.workspace)]
    return subprocess.Popen(command, env=os.environ | bench.settings, stdout=-3, cwd=cwd)


def test_a_unit_stays_for_what_comes_one_by_one(bench: Bench, message: Make) -> None:
    blank.make(bench.workspace)  # as `aap install` does: a worker makes it, and way for the next
    bench.agent("true")
    bench.spool.deliver(message("hello"))
    began = time.monotonic()
    worker = start(bench, *AS_SYSTEMD)
    wait_until(lambda: list(bench.states().values()) == ["done"])
    bench.spool.deliver(message("and one more"))
    assert worker.wait(20) == 0
    assert time.monotonic() - began > 0.5
    assert list(bench.states().values()) == ["done", "done"]


def test_a_worker_whose_code_was_replaced_leaves_after_its_run(
    bench: Bench, message: Make, tmp_path: Path
) -> None:
    installed = tmp_path / "installed"
    shutil.copytree(Path(aap.__file__).parent, installed / "aap")
    bench.agent(f"echo '__version__ = 9.9' >> '{installed}/aap/__init__.py'")
    for chat in ("A", "B"):
        bench.spool.deliver(message("hello", chat))
    assert start(bench, cwd=installed).wait(20) == 0
    assert sorted(bench.states().values()) == ["done", "inbox"]
    assert len(bench.log("replaced")) == 1
    bench.agent("true")
    assert start(bench, cwd=installed).wait(20) == 0
    assert list(bench.states().values()) == ["done", "done"]
