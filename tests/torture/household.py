"""A workspace in full use: API, worker, sweep and a person at the command line, as real processes.

They are started as the units start them, killed now and then, and what they report as
done is noted with the time of the caller's clock.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bench.programs import AAP, PYTHON, aap_api, end, listen, spawn_with_socket

from aap import SPOOL_FOLDER
from aap.message import State, parse_name

_STEP = re.compile(r"worker (\w+) id=(\w+)")
# It fails a run in four, and takes as long as a very quick agent.
AGENT = """\
#!/bin/sh
sleep 0.0$(od -An -N1 -tu1 /dev/urandom | tr -d ' ')
[ "$(od -An -N1 -tu1 /dev/urandom)" -ge 64 ]
"""


class ProgramError(Exception):
    """A program of aap failed on what the power cut had left; the text says how."""


class Held(NamedTuple):
    """A message that was on hold from `since`, until the command that releases it was begun."""

    id: str
    since: int
    until: int


class Told:
    """What was reported as done, and when by the clock."""

    def __init__(self) -> None:
        self.settled: dict[str, int] = {}
        self.held: list[Held] = []
        self.reopened: set[str] = set()  # somebody asked for another run: settled no more
        self.steps: dict[str, int] = {}

    def settled_at(self, now: int) -> set[str]:
        """What had been settled for good when the clock showed `now`."""
        return {each for each, at in self.settled.items() if at <= now} - self.reopened

    def held_at(self, now: int) -> set[str]:
        """What was on hold then."""
        return {each.id for each in self.held if each.since <= now < each.until}


def worker_argv(workspace: Path, *words: str) -> list[str]:
    """The worker's command, as its unit has it."""
    return [PYTHON, "-I", "-m", "aap.worker", "--workspace", str(workspace), *words]


def settings(folder: Path, agent: str, **more: str) -> dict[str, str]:
    """Settings that let things happen soon, for an agent with this script."""
    script = folder / "agent"
    script.write_text(agent)
    script.chmod(0o755)
    values = {
        "AGENT_INIT_CLI": "true", "AGENT_CLI": str(script), "SETTLE": "0", "RETRY_MIN": "1s",
        "MAX_ATTEMPTS": "20", "MIN_FREE": "1M", **more,
    }  # fmt: skip
    return {f"AAP_{name}": value for name, value in values.items()}


def names(workspace: Path, state: State) -> list[str]:
    """The ids in one folder; none while there is no folder."""
    with suppress(FileNotFoundError):
        found = os.listdir(workspace / SPOOL_FOLDER / state.value)
        return [known.id for name in found if (known := parse_name(name))]
    return []


@contextmanager
def serving(
    workspace: Path, env: Mapping[str, str], log: Path, *, kill_every: float
) -> Iterator[int]:
    """Have an API on the loopback, started again as often as it is killed; gives its port."""
    done = threading.Event()

    def live() -> None:
        while not done.is_set():
            with log.open("ab") as out:
                api = spawn_with_socket(aap_api(workspace), sock, env, out)
            done.wait(random.uniform(0.5, 1.5) * kill_every)
            end(api)

    with listen() as sock:
        thread = threading.Thread(target=live)
        thread.start()
        try:
            yield int(sock.getsockname()[1])
        finally:
            done.set()
            thread.join()


class Household:
    """The worker, the sweep and the person of one workspace; busy within its block."""

    def __init__(
        self, workspace: Path, env: Mapping[str, str], clock: Callable[[], int], told: Told
    ) -> None:
        self._workspace, self._env, self._clock, self._told = workspace, dict(env), clock, told
        self._done = threading.Event()
        parts = (self._work, self._sweep, self._use)
        self._threads = [threading.Thread(target=part) for part in parts]

    def __enter__(self) -> Household:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    # The path unit and the worker

    def _work(self) -> None:
        while not self._done.wait(0.02):
            if names(self._workspace, State.INBOX):
                self._run_worker()

    def _run_worker(self) -> None:
        argv = worker_argv(self._workspace)
        worker = subprocess.Popen(
            argv, env=self._env, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert worker.stdout is not None
        with ExitStack() as stack:
            stack.callback(worker.wait)
            timer = threading.Timer(random.uniform(0, 6), end, [worker])
            timer.start()
            stack.callback(timer.cancel)
            for line in stack.enter_context(worker.stdout):
                self._note(line, self._clock())
                if self._done.is_set():
                    end(worker)

    def _note(self, line: str, now: int) -> None:
        if step := _STEP.search(line):
            self._told.steps[step[1]] = self._told.steps.get(step[1], 0) + 1
            if step[1] == "settled":
                self._told.settled.setdefault(step[2], now)

    def _sweep(self) -> None:
        while not self._done.wait(0.7):
            argv = worker_argv(self._workspace, "--sweep")
            subprocess.run(argv, env=self._env, capture_output=True, check=False)

    # The person

    def _use(self) -> None:
        while not self._done.wait(random.uniform(0, 0.1)):
            waiting = names(self._workspace, State.INBOX) + names(self._workspace, State.ACTIVE)
            late = names(self._workspace, State.DEFERRED)
            if waiting and random.random() < 0.4:
                self._settle(random.choice(waiting))
            elif waiting and random.random() < 0.7:
                self._hold(random.choice(waiting))
            elif late:
                self._retry(random.choice(late))

    def _settle(self, message_id: str) -> None:
        if self._aap("done", message_id):
            self._told.settled.setdefault(message_id, self._clock())

    def _hold(self, message_id: str) -> None:
        if not self._aap("hold", message_id):
            return
        since = self._clock()
        is_kept = self._done.wait(random.uniform(0, 0.5)) or random.random() < 0.4
        self._told.held.append(Held(message_id, since, 1 << 62 if is_kept else self._clock()))
        if not is_kept:
            self._aap("release", message_id)

    def _retry(self, message_id: str) -> None:
        self._told.reopened.add(message_id)
        self._aap("retry", message_id)

    def _aap(self, *words: str) -> bool:
        env = {**self._env, "AAP_WORKSPACE": str(self._workspace)}
        done = subprocess.run([AAP, "inbox", *words], env=env, capture_output=True, check=False)
        self._told.steps[words[0]] = self._told.steps.get(words[0], 0) + (done.returncode == 0)
        return done.returncode == 0


def recover(workspace: Path, env: Mapping[str, str]) -> list[tuple[str, str]]:
    """Do what the units do after a start: sweep, then work until nothing is ready.

    Gives the worker's steps as (what, id). Raises ProgramError.
    """
    said = _run(worker_argv(workspace, "--sweep"), env) + _run(worker_argv(workspace), env)
    return [(step[1], step[2]) for step in _STEP.finditer(said)]


def show(workspace: Path, env: Mapping[str, str]) -> None:
    """Look at it as a person would. Raises ProgramError."""
    for words in (["inbox", "ls", "--all"], ["logs", "--today"], ["context", "stats"]):
        _run([AAP, *words], {**env, "AAP_WORKSPACE": str(workspace)})


def _run(argv: Sequence[str], env: Mapping[str, str]) -> str:
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProgramError(
            f"{shlex.join(argv)} ended with {done.returncode}: {done.stdout}{done.stderr}"
        )
    return done.stdout
