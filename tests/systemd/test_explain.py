"""`aap explain` on a real systemd: each thing that can be in the way, and that its cure cures."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from harness.machine import User
from harness.wait import wait_until

pytestmark = pytest.mark.systemd

SPOOL = ".openclaw/workspace/.ai-agent-proxy"


def install(user: User, script: str = 'echo "$1"') -> None:
    agent = user.write(".openclaw/workspace/agent", f"#!/bin/sh\n{script}\n", 0o755)
    text = f"AGENT_CLI={agent}\nIDLE_EXIT=1s\nSETTLE=0\n"
    user.write(".config/aap/aap.conf", text, 0o600)
    user.aap("install", "--user")


def causes(user: User, *words: str) -> dict[str, dict[str, Any]]:
    found = json.loads(user.aap("explain", *words, "--json").stdout)
    return {cause["id"]: cause for cause in found["causes"]}


def cure(user: User, cause: dict[str, Any]) -> None:
    user.run(["sh", "-c", cause["fix"]])


def add(user: User, text: str = "hi") -> str:
    return user.aap("inbox", "add", "--text", text).stdout.strip()


def count(user: User, state: str) -> int:
    return len(list(user.path(f"{SPOOL}/{state}").iterdir()))


def unit(user: User, kind: str) -> str:
    return rf"aap-worker@home-{user.name}-.openclaw-workspace.{kind}"


def handled(user: User, number: int = 1) -> None:
    wait_until(lambda: count(user, "done") == number, 30, "the message to be handled")


def test_before_the_installation_it_names_install(user: User) -> None:
    assert causes(user)["not-installed"]["fix"] == "aap install --user"


def test_where_all_is_well_nothing_blocks(user: User) -> None:
    install(user)
    assert [cause["id"] for cause in causes(user).values() if cause["blocks"]] == []


def test_an_inbox_that_is_not_watched(user: User) -> None:
    install(user)
    user.systemctl("stop", unit(user, "path"))
    message = add(user)
    cause = causes(user, message)["path"]
    assert "not watched" in cause["message"]
    cure(user, cause)
    handled(user)
    assert "path" not in causes(user)


def test_a_watch_that_systemd_gave_up(user: User) -> None:
    install(user)
    # A worker that ends at once without having looked, as no worker of ours does; and
    # less patience, for a start in the sandbox is slow.
    drop_in = f".config/systemd/user/{unit(user, 'service')}.d/test.conf"
    user.write(drop_in, "[Service]\nExecStart=\nExecStart=true\n")
    patience = "[Path]\nTriggerLimitIntervalSec=60s\nTriggerLimitBurst=5\n"
    user.write(".config/systemd/user/aap-worker@.path.d/test.conf", patience)
    user.systemctl("daemon-reload")
    user.systemctl("restart", unit(user, "path"))
    message = add(user)
    wait_until(lambda: "path" in causes(user, message), 20, "systemd to give up")
    cause = causes(user, message)["path"]
    assert "gave up" in cause["message"]
    # With the patience too: systemd 257 counts on through reset-failed, and by the time that
    # somebody comes, systemd's own two seconds are over.
    user.run(["rm", drop_in, ".config/systemd/user/aap-worker@.path.d/test.conf"])
    user.systemctl("daemon-reload")
    cure(user, cause)
    handled(user)


def test_a_pause(user: User) -> None:
    install(user)
    user.aap("pause", "--reason", "holiday")
    message = add(user)
    found = causes(user, message)
    assert "holiday" in found["paused"]["message"]
    assert "path" not in found
    cure(user, found["paused"])
    handled(user)


def test_an_agent_that_is_gone(user: User) -> None:
    install(user)
    user.run(["rm", ".openclaw/workspace/agent"])
    message = add(user)
    wait_until(lambda: "outage" in causes(user, message), 20, "the outage")
    found = causes(user, message)
    assert "is not there" in found["agent"]["message"]
    assert "the next try is in" in found["outage"]["message"]
    user.write(".openclaw/workspace/agent", "#!/bin/sh\necho well\n", 0o755)
    cure(user, found["outage"])
    handled(user)
    assert not {"agent", "outage"} & set(causes(user))


def test_an_agent_that_is_seen_to_work_again_is_tried_at_once(user: User) -> None:
    install(user)
    user.run(["rm", ".openclaw/workspace/agent"])
    message = add(user)
    wait_until(lambda: "outage" in causes(user, message), 20, "the outage")
    user.write(".openclaw/workspace/agent", "#!/bin/sh\necho well\n", 0o755)
    told = user.aap("agent", "test")
    assert "are tried again now" in told.stderr
    assert "outage" not in causes(user)
    handled(user)


def test_a_socket_that_is_stopped(user: User) -> None:
    install(user)
    user.systemctl("stop", "aap-api.socket")
    cure_ = "systemctl --user start aap-api.socket"
    refused = user.aap("send", "hello", check=False)
    assert refused.stderr.splitlines()[-1].strip() == cure_
    found = causes(user)["socket"]
    assert found["fix"] == cure_
    cure(user, found)
    assert "socket" not in causes(user)
    user.aap("send", "hello")


def test_a_worker_that_was_started_by_hand_has_the_lock(user: User) -> None:
    install(user, "sleep 60")
    user.systemctl("stop", unit(user, "path"))
    message = add(user)
    by_hand = [user.machine.python, "-m", "aap.worker", "--workspace"]
    workspace = user.home / ".openclaw/workspace"
    line = shlex.join(map(str, [*by_hand, workspace]))
    user.run(["sh", "-c", f"setsid {line} >/dev/null 2>&1 &"])
    wait_until(lambda: "running" in causes(user, message), 20, "the run")
    second = add(user, "second")
    user.systemctl("start", unit(user, "path"))
    wait_until(lambda: "lock" in causes(user, second), 30, "the other worker to try")
    cure(user, causes(user, second)["lock"])
    wait_until(lambda: "lock" not in causes(user, second), 30, "the other worker to end")


def test_the_history_goes_from_the_request_to_the_end(user: User) -> None:
    install(user)
    message = user.aap("send", "hello", "--json").stdout
    handled(user)
    known = json.loads(message)["id"].removeprefix("chatcmpl-")
    history = json.loads(user.aap("explain", known, "--json").stdout)["history"]
    said = [(step["source"], step["text"].partition(",")[0]) for step in history]
    assert said[-2:] == [("worker", "claimed"), ("worker", "settled")]
    assert said[0] == ("api", "enqueued")
