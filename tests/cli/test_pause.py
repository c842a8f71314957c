"""`aap pause` and `aap resume` where no systemd is: the file alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.command import Run, chat, environment
from harness.wait import wait_until

from aap.errors import Exit
from aap.inbox import Spool, read_pause
from aap.message import State

Documents = Callable[..., list[dict[str, Any]]]


def test_it_says_since_when_and_why(documents: Documents, spool: Spool) -> None:
    (first,) = documents("pause", "--reason", "the limit is reached")
    assert first["paused"] is True
    assert (first["reason"], first["running"]) == ("the limit is reached", None)
    # Saying it again keeps the time, and changes the reason if there is a new one.
    (again,) = documents("pause")
    assert (again["since"], again["reason"]) == (first["since"], first["reason"])
    (other,) = documents("pause", "--reason", "another")
    assert (other["since"], other["reason"]) == (first["since"], "another")
    (ended,) = documents("resume")
    assert (ended["paused"], ended["since"]) == (False, None)
    assert read_pause(spool.root) is None


def test_resume_of_what_was_not_paused_is_no_error(aap: Run, spool: Spool) -> None:
    done = aap("resume")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "it was not paused\n")


def test_a_workspace_that_is_not_there_cannot_be_paused(aap: Run, home: Path) -> None:
    done = aap("pause")
    assert done.returncode == Exit.NOT_FOUND
    assert "aap install --user" in done.stderr
    assert not (home / ".openclaw").exists()


def test_only_the_owner_can_read_why(aap: Run, spool: Spool) -> None:
    assert aap("pause", "--reason", "private").returncode == 0
    assert (spool.root / "PAUSED").stat().st_mode & 0o077 == 0
    assert json.loads((spool.root / "PAUSED").read_bytes())["unwatched"] is False


def start_worker(spool: Spool, home: Path, script: str) -> subprocess.Popen[bytes]:
    agent = home / "agent"
    agent.write_text(f"#!/bin/sh\n{script}\n")
    agent.chmod(0o755)
    command = [sys.executable, "-m", "aap.worker", "--workspace", str(spool.root.parent)]
    env = environment(AAP_AGENT_CLI=str(agent), AAP_SETTLE="0")
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)


def test_now_stops_a_worker_that_was_started_by_hand(aap: Run, spool: Spool, home: Path) -> None:
    message = spool.deliver(chat("hi"))
    worker = start_worker(spool, home, "sleep 60")
    try:
        wait_until((spool.root / "RUN").exists, what="the run")
        began = time.monotonic()
        done = aap("pause", "--now")
        assert done.returncode == 0
        assert time.monotonic() - began < 20
        assert worker.wait(5) == 0
        assert spool.find(message).state is State.INBOX
        assert spool.find(message).attempts == 0
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.slow
def test_without_now_the_run_finishes_and_resume_goes_on_with_the_same_worker(
    aap: Run, spool: Spool, home: Path
) -> None:
    spool.deliver(chat("one", channel="irc", target="#a"))
    worker = start_worker(spool, home, "sleep 1; echo well")
    try:
        wait_until((spool.root / "RUN").exists, what="the run")
        said = aap("pause")
        assert "finishes what it is at" in said.stderr
        second = spool.deliver(chat("two", channel="irc", target="#b"))
        wait_until(lambda: spool.count(State.DONE) == 1, what="the first to be handled")
        time.sleep(0.8)
        assert spool.find(second).state is State.INBOX
        assert worker.poll() is None
        os.kill(worker.pid, 0)
        assert aap("resume").returncode == 0
        wait_until(lambda: spool.count(State.DONE) == 2, what="the second to be handled")
        assert worker.wait(10) == 0
    finally:
        worker.kill()
        worker.wait()
