"""`aap send` and `aap logs` where the journal is real."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness.machine import User
from harness.wait import wait_until

pytestmark = pytest.mark.systemd


def lines(user: User, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in user.aap("logs", "--json", *words).stdout.splitlines()]


def test_the_way_of_a_message_is_read_as_one_stream(user: User) -> None:
    user.write(".config/aap/aap.conf", "AGENT=echo\nIDLE_EXIT=1s\n", 0o600)
    user.aap("install", "--user")
    message = user.aap("send", "hello").stdout.strip()
    done = user.path(f".openclaw/workspace/.ai-agent-proxy/done/{message}.json")
    wait_until(done.exists)
    # The journal of another user is not needed, and not readable; the own one is.
    about = lines(user, "--id", message)
    events = [(line["source"], line["event"]) for line in about]
    assert events[0] == ("api", "enqueued")
    assert ("worker", "claimed") in events
    assert about == sorted(about, key=lambda line: line["time"])
    assert {line["source"] for line in lines(user)} >= {"api", "worker", "agent", "systemd"}
