"""`aap pause` and `aap resume` on a real systemd: nothing runs, nothing spins, nothing is lost."""

from __future__ import annotations

import time

import pytest
from harness.machine import User
from harness.wait import wait_until

from aap.log import parse_line

pytestmark = pytest.mark.systemd

SPOOL = ".openclaw/workspace/.ai-agent-proxy"


def install(user: User, script: str = 'sleep "${1##*nap }" 2>/dev/null; echo "$1"') -> None:
    agent = user.write(".openclaw/workspace/agent", f"#!/bin/sh\n{script}\n", 0o755)
    text = f"AGENT_CLI={agent}\nIDLE_EXIT=1s\nSETTLE=0\n"
    user.write(".config/aap/aap.conf", text, 0o600)
    user.aap("install", "--user")


def count(user: User, state: str) -> int:
    return len(list(user.path(f"{SPOOL}/{state}").iterdir()))


def unit(user: User, kind: str) -> str:
    return rf"aap-worker@home-{user.name}-.openclaw-workspace.{kind}"


def show(user: User, kind: str, *names: str) -> dict[str, str]:
    return user.show(unit(user, kind), *names)


def events(user: User, event: str) -> int:
    logs = user.path(f"{SPOOL}/logs").glob("*.log")
    lines = [parse_line(line) for path in logs for line in path.read_text().splitlines()]
    return sum(1 for line in lines if line and line.event == event)


@pytest.mark.slow
def test_paused_messages_wait_without_a_process_and_resume_handles_them_all(user: User) -> None:
    install(user)
    user.aap("pause", "--reason", "the account is at its limit")
    for number in range(5):
        user.aap("send", f"message {number}")
    time.sleep(2.5)
    assert (count(user, "inbox"), events(user, "started")) == (5, 0)
    assert show(user, "path", "ActiveState") == {"ActiveState": "inactive"}
    assert user.systemctl("--failed", "--plain", "--no-legend") == ""
    shown = user.aap("status")
    assert "the account is at its limit" in shown.stdout
    user.aap("resume")
    wait_until(lambda: count(user, "done") == 5, 20, "all to be handled")
    assert show(user, "path", "ActiveState") == {"ActiveState": "active"}


@pytest.mark.slow
def test_a_pause_survives_reload_install_and_a_restart_of_the_manager(user: User) -> None:
    install(user)
    user.aap("pause")
    user.aap("send", "hello")
    user.systemctl("daemon-reload")
    again = user.aap("install", "--user")
    assert again.stdout == "aap is installed and up to date\n"
    assert "is paused" in again.stderr
    # The user's manager starts anew, as after a reboot.
    user.machine.systemctl("restart", f"user@{user.uid}.service")
    wait_until(user.is_up, 20, "the manager")
    time.sleep(1.5)
    found = show(user, "path", "ActiveState", "ConditionResult", "UnitFileState")
    expected = {"ActiveState": "inactive", "ConditionResult": "no", "UnitFileState": "enabled"}
    assert found == expected
    assert (count(user, "inbox"), events(user, "started")) == (1, 0)
    # Nor does starting it by hand end a pause.
    user.systemctl("start", unit(user, "path"))
    user.aap("send", "and more")
    time.sleep(1)
    assert (count(user, "inbox"), events(user, "started")) == (2, 0)
    checked = user.aap("doctor", "--only", "worker.path", check=False)
    assert "paused" in checked.stdout
    assert checked.returncode == 0
    user.aap("resume")
    wait_until(lambda: count(user, "done") == 2, 20, "all to be handled")


@pytest.mark.slow
def test_a_run_finishes_then_its_worker_leaves(user: User) -> None:
    install(user, "sleep 2; echo well")
    user.aap("send", "first")
    wait_until(lambda: events(user, "run-started"), 10, "the run")
    said = user.aap("pause")
    assert "finishes what it is at" in said.stderr
    user.aap("send", "second")
    wait_until(lambda: events(user, "ended"), 20, "the worker to leave")
    assert (count(user, "done"), count(user, "inbox")) == (1, 1)
    time.sleep(1.5)
    found = show(user, "service", "ActiveState", "Result")
    assert found == {"ActiveState": "inactive", "Result": "success"}
    assert events(user, "started") == 1
    user.aap("resume")
    wait_until(lambda: count(user, "done") == 2, 20, "all to be handled")
    assert events(user, "started") == 2


def test_now_stops_the_run_and_its_message_waits_unharmed(user: User) -> None:
    install(user, '[ -e "$AAP_WORKSPACE/quick" ] || sleep 60; echo well')
    user.aap("send", "first")
    wait_until(lambda: events(user, "run-started"), 10, "the run")
    user.aap("pause", "--now")
    assert (count(user, "inbox"), count(user, "active"), count(user, "done")) == (1, 0, 0)
    wait_until(lambda: show(user, "service", "ActiveState")["ActiveState"] == "inactive", 10)
    time.sleep(1)
    assert events(user, "started") == 1
    user.write(".openclaw/workspace/quick", "")
    user.aap("resume")
    wait_until(lambda: count(user, "done") == 1, 20, "the message to be handled")


def test_uninstall_says_that_it_ended_a_run_and_what_it_left(user: User) -> None:
    install(user, "sleep 60")
    user.aap("send", "first")
    wait_until(lambda: events(user, "run-started"), 10, "the run")
    said = user.aap("uninstall", "--user").stderr
    assert "ended a run" in said
    assert "over 1 message not handled yet" in said
    assert f"settings and keys stay in {user.home}/.config/aap" in said
    assert count(user, "inbox") == 1


@pytest.mark.slow
def test_where_systemd_cannot_be_asked_the_worker_waits_and_nothing_spins(user: User) -> None:
    install(user)
    alone = ["env", "-u", "XDG_RUNTIME_DIR", user.machine.aap]
    said = user.run([*alone, "pause"])
    assert "XDG_RUNTIME_DIR" in said.stderr
    user.aap("send", "hello")
    time.sleep(3)
    assert (count(user, "inbox"), events(user, "started")) == (1, 1)
    ended = user.run([*alone, "resume"], check=False)
    assert ended.returncode == 3
    # The path unit was never stopped, and the worker there goes on by itself.
    wait_until(lambda: count(user, "done") == 1, 20, "the message to be handled")
