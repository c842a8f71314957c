"""Runs aap's worker, hook and commands as processes of their own, without the start of Python.

    python forker.py < REQUESTS > ANSWERS        one JSON object a line

A fork of a process that has imported everything runs `main` as `python -m` would, and
through the same C library; only what happens before `main` is left out. That takes 5 ms
instead of 300, and thousands of faults are tried in minutes.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import aap

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LOOK = 0.1  # seconds: the longest between two looks that was the child's own time
_LEFT_OUT = ("aap.api", "aap.agents.echo")
# What a worker waits for something to pass: thousands of times a second, and not of ten.
_WAITS = (
    ("aap.worker.worker", "_DISK_POLL", 0.1),
    ("aap.worker.worker", "_OUTAGE_POLL", 0.02),
    ("aap.worker.outage", "FIRST_DELAY", 0.1),
    ("aap.worker.batch", "_PATIENCE", 0.2),
    ("aap.worker.batch", "_LOOK_AGAIN", 0.02),
)


def _import_all() -> None:
    for module in pkgutil.walk_packages(aap.__path__, "aap."):
        if not module.name.endswith("__main__") and not module.name.startswith(_LEFT_OUT):
            importlib.import_module(module.name)


def _program(name: str, argv: list[str]) -> int:
    if name == "worker":
        from aap.worker.main import main

        return main(argv)
    if name == "hook":
        from aap.worker import hook

        return hook.main(argv)
    if name == "api":
        from aap.api.main import main as serve

        serve(argv)
    from aap.cli.main import run

    return run(argv)


def _child(request: dict[str, Any]) -> int:
    os.setsid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.chdir(request["cwd"])
    os.environ.update(request["env"])
    for number, name in enumerate(("in", "out", "err")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(f"{request['streams']}/{name}", flags, 0o600), number)
    faulthandler.register(signal.SIGUSR2)
    try:
        code = _program(request["program"], request["argv"])
        sys.stdout.flush()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 99
    return code


def _wait(pid: int, stops: str, seconds: float) -> dict[str, float]:
    """Wait for a child; tell it to stop when the file `stops` is there, kill it when it is time.

    It is time when the child had `seconds`: those in which we did not run either, for the
    machine stood still or was busy, do not count. Returns its exit code, and the seconds it had.
    """
    had, looked = 0.0, time.monotonic()
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return {"code": os.waitstatus_to_exitcode(status), "seconds": had}
        if stops and os.access(stops, os.F_OK):  # stat(2) would be counted, and fail
            os.kill(pid, signal.SIGTERM)
            stops = ""
        now = time.monotonic()
        had, looked = had + min(now - looked, _LOOK), now
        if had > seconds:
            print(f"stuck: {_show(pid)}", file=sys.stderr, flush=True)
            os.kill(pid, signal.SIGUSR2)
            time.sleep(_LOOK)
            os.killpg(pid, signal.SIGKILL)
            seconds += 1.0
        time.sleep(0.001)


def _show(pid: int) -> dict[str, str]:
    """Where a process and its children are, in the kernel's words."""
    task = Path(f"/proc/{pid}/task/{pid}")
    pids = (task / "children").read_text().split()
    looked_at = [f"{each}/{name}" for each in (str(pid), *pids)
                 for name in ("stat", "syscall", "stack", "status")]  # fmt: skip
    found = {}
    for name in looked_at:
        with suppress(OSError):
            found[name] = Path("/proc", name).read_text()
    return found


def main() -> None:
    """Serve until the end of standard input."""
    _import_all()
    for module, name, seconds in _WAITS:
        setattr(sys.modules[module], name, seconds)
    # Our own streams stay out of the children's way.
    answers = os.fdopen(os.dup(1), "w")
    for line in os.fdopen(os.dup(0)):
        request = json.loads(line)
        if request["program"] == "api":
            importlib.import_module("aap.api.main")
        pid = os.fork()
        if not pid:
            os._exit(_child(request))
        ended = _wait(pid, request["stops"], request["seconds"])
        print(json.dumps(ended), file=answers, flush=True)


if __name__ == "__main__":
    main()
