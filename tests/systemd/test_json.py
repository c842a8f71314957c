"""What `--json` prints where it takes a systemd to succeed; see tests/cli/test_json.py."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import time
from typing import Any

import pytest
from harness.golden import ON_SYSTEMD, check, read_documents
from harness.machine import User
from harness.wait import wait_until

pytestmark = pytest.mark.systemd

SETTINGS = "AGENT=echo\nIDLE_EXIT=30s\nSETTLE=0\n"
SPOOL = ".openclaw/workspace/.ai-agent-proxy"
# In this order: each needs what those before it left.
CASES = [
    "install --user",
    "send hello",
    "doctor",
    "agent test",
    "workspace add lab lab",
    "workspace rm lab",
    "resume",
    "uninstall --user",
]


def ask(user: User, *words: str) -> dict[str, Any]:
    """Run a command, which must succeed in silence and print one document."""
    done = user.aap(*words, "--json")
    assert done.stderr == "", words
    (document,) = read_documents(done.stdout)
    return document


def test_all_that_needs_a_systemd_prints_what_its_golden_file_says(user: User) -> None:
    user.write(".config/aap/aap.conf", SETTINGS, 0o600)
    tried = {("status",)}
    for words in (case.split() for case in CASES):
        if words == ["resume"]:
            user.aap("pause")
        document = ask(user, *words)
        if words == ["send", "hello"]:
            done = user.path(f"{SPOOL}/done/{document['id']}.json")
            wait_until(done.exists, 20, "the message to be handled")
            user.aap("skills", "install")
        path = next(path for path in ON_SYSTEMD if tuple(words[: len(path)]) == path)
        check("-".join(path), [document])
        tried.add(path)
    assert tried == ON_SYSTEMD


def test_a_status_of_much_and_of_little_has_the_members_that_it_had(user: User) -> None:
    script = '#!/bin/sh\nwhile [ ! -e "$AAP_WORKSPACE/go" ]; do sleep 0.05; done\n'
    agent = user.write("agent", script, 0o755)
    user.write(".config/aap/aap.conf", SETTINGS.replace("AGENT=echo", f"AGENT_CLI={agent}"), 0o600)
    user.aap("install", "--user")
    idle = ask(user, "status")
    user.aap("send", "hello")
    wait_until(lambda: ask(user, "status")["workspaces"][0]["run"], 20, "the run")
    busy = ask(user, "status")
    user.aap("pause", "--reason", "lunch")
    user.aap("send", "hello again")
    user.write(".openclaw/workspace/go", "")
    wait_until(lambda: ask(user, "status")["workspaces"][0]["last_run"], 20, "its end")
    deferred = user.path(user.write(f"{SPOOL}/deferred/1jb3k5m9q2xw7c4e8r0t+1.json", "{}"))
    os.utime(deferred, (time.time() + 900, time.time() + 900))
    outage = {"reason": "no network", "since": time.time(), "retry_at": time.time() + 60}
    user.write(f"{SPOOL}/OUTAGE", json.dumps(outage))
    paused = ask(user, "status")
    check("status", [idle, busy, paused])


def test_a_watched_status_is_a_line_for_each_change(user: User) -> None:
    user.write(".config/aap/aap.conf", SETTINGS, 0o600)
    user.aap("install", "--user")
    words = ["timeout", "3", user.machine.aap, "status", "--watch", "--json"]
    with user.start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        user.aap("pause")
        out, err = process.communicate(timeout=30)
    documents = read_documents(first + out)
    assert err == ""
    paused = [bool(each["workspaces"][0]["paused"]) for each in documents]
    assert (paused[0], paused[-1]) == (False, True)
    assert all(before != after for before, after in itertools.pairwise(documents))
