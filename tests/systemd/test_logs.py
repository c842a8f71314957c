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


@pytest.mark.parametrize(
    ("journal", "said"),
    [
        ("true", "No journal files were found"),
        ("mkdir -m 700 /var/log/journal/$(cat /etc/machine-id)", "insufficient permissions"),
    ],
    ids=["none", "not for this user"],
)
def test_a_journal_that_cannot_be_read_is_said_and_the_files_are_shown(
    user: User, journal: str, said: str
) -> None:
    user.write(".config/aap/aap.conf", "AGENT=echo\n", 0o600)
    user.aap("install", "--user")
    user.aap("send", "hello")
    log = user.path(".openclaw/workspace/.ai-agent-proxy/logs")
    wait_until(lambda: any("settled" in path.read_text() for path in log.glob("*.log")))
    hide = f"mount -t tmpfs -o mode=755 tmpfs /var/log/journal && {journal}"
    switch = ["setpriv", f"--reuid={user.name}", f"--regid={user.name}", "--init-groups"]
    command = [*switch, "--inh-caps=-all", str(user.machine.aap), "logs"]
    words = ["unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', "sh", *command]
    done = user.machine.run(words, env=user.env)
    assert "worker  started" in done.stdout
    assert "the API's lines are missing here: " in done.stderr
    assert said in done.stderr
    assert "sudo usermod -aG systemd-journal $USER" in done.stderr
