"""Requests around idle exits and restarts of the API: none refused, reset or answered twice."""

from __future__ import annotations

import json
import subprocess
import time

import pytest
from harness.machine import User
from harness.wait import wait_until

pytestmark = pytest.mark.systemd

STORM = "/opt/aap/tests/harness/storm.py"
INBOX = ".openclaw/workspace/.ai-agent-proxy/inbox"


@pytest.fixture
def receiver(user: User) -> User:
    """A user whose API exits after 0.2 s, and whose inbox nobody empties."""
    user.write(".config/aap/aap.conf", "AGENT=echo\nIDLE_EXIT=0.2s\n", 0o600)
    user.aap("install", "--user")
    user.aap("pause")
    return user


def start_storm(user: User, each: int, pause: float) -> subprocess.Popen[str]:
    unix = f"/run/user/{user.uid}/aap/api.sock"
    words = [user.machine.python, STORM, "127.0.0.1:7011", unix, str(each), str(pause)]
    return user.start(words, stdout=subprocess.PIPE)


def api_starts(user: User) -> int:
    return user.journal("USER_UNIT=aap-api.service").count(": Started ")


def assert_all_once(user: User, storm: subprocess.Popen[str], count: int) -> None:
    printed, _ = storm.communicate(timeout=120)
    told = json.loads(printed)
    assert told["faults"] == []
    stored = sorted(path.stem for path in user.path(INBOX).glob("*.json"))
    assert sorted(told["ids"]) == stored
    assert len(set(stored)) == count
    assert user.systemctl("--failed", "--plain", "--no-legend") == ""


@pytest.mark.slow
def test_a_thousand_requests_over_twenty_restarts(receiver: User) -> None:
    storm = start_storm(receiver, 250, 0.05)
    for _ in range(20):
        time.sleep(0.3)
        receiver.systemctl("try-restart", "aap-api.service")
    assert_all_once(receiver, storm, 1000)
    assert api_starts(receiver) > 10


@pytest.mark.slow
def test_requests_between_idle_exits(receiver: User) -> None:
    before = api_starts(receiver)
    # Pauses far above the idle time: the service ends between most of them.
    for _ in range(10):
        wait_until(lambda: receiver.show("aap-api.service", "ActiveState")["ActiveState"]
                   == "inactive", 10, "the idle exit")  # fmt: skip
        storm = start_storm(receiver, 1, 0)
        storm.wait(30)
        assert json.loads(storm.communicate()[0])["faults"] == []
    assert api_starts(receiver) - before >= 10
    assert len(list(receiver.path(INBOX).glob("*.json"))) == 40
