"""`aap explain`: why something does not move, and the command that changes it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.command import Run, Terminal, chat, too_wide

from aap.cli import output
from aap.inbox import Spool
from aap.log import DailyLog
from aap.message import State

Documents = Callable[..., list[dict[str, Any]]]
ANN = {"channel": "telegram", "target": "telegram:42"}


@pytest.fixture
def causes(documents: Documents) -> Callable[..., dict[str, dict[str, Any]]]:
    """Explain, and return the causes by their ids; an agent is configured unless told."""

    def ask(*words: str, **env: str) -> dict[str, dict[str, Any]]:
        (found,) = documents("explain", *words, **{"AAP_AGENT": "echo", **env})
        return {cause["id"]: cause for cause in found["causes"]}

    return ask


@contextmanager
def worker(spool: Spool) -> Iterator[None]:
    """Be a worker that holds the lock."""
    with spool.lock():
        yield


def test_where_nothing_waits_all_is_as_it_should_be(causes: Any, spool: Spool) -> None:
    found = causes()
    assert found["idle"]["message"] == "no message waits"  # systemd was not asked
    assert not found["idle"]["blocks"]
    assert set(found) == {"idle", "systemd"}  # no service manager runs for a test


def test_a_held_message_names_release_and_release_helps(
    causes: Any, aap: Run, spool: Spool
) -> None:
    message = spool.deliver(chat("hi"))
    spool.hold(spool.find(message))
    found = causes(message)
    assert set(found) == {"hold"}
    assert aap(*found["hold"]["fix"].split()[1:]).returncode == 0
    assert spool.find(message).state is State.INBOX
    assert "hold" not in causes(message)


def test_a_deferred_message_says_when_and_why(causes: Any, aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    spool.defer(spool.find(message), time.time() + 290, "the agent ended with 3")
    cause = causes(message)["deferred"]
    assert "after 1 attempt its next try is due in 4 min" in cause["message"]
    assert "the agent ended with 3" in cause["message"]
    assert aap(*cause["fix"].split()[1:]).returncode == 0
    assert spool.find(message).state is State.INBOX


def test_a_message_that_was_given_up_can_be_retried(causes: Any, aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    spool.fail(spool.find(message), "no such chat")
    cause = causes(message)["failed"]
    assert "no such chat" in cause["message"]
    assert aap(*cause["fix"].split()[1:]).returncode == 0
    assert spool.find(message).state is State.INBOX


def test_what_is_no_message_says_so(causes: Any, spool: Spool) -> None:
    (spool.folder(State.INBOX) / "photo.d").write_bytes(b"\xff")
    aside = spool.put_aside(spool.entries(State.INBOX)[0], "not a JSON object")
    found = causes(aside.id)
    assert set(found) == {"foreign"}
    assert "not a JSON object" in found["foreign"]["message"]


def test_what_is_handled_is_not_stuck(causes: Any, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    spool.settle(message)
    found = causes(message)
    assert set(found) == {"done"}
    assert not found["done"]["blocks"]


def test_who_is_before_a_message(causes: Any, spool: Spool) -> None:
    first, other, second = (
        spool.deliver(chat(*args, **more))
        for args, more in ((("a",), ANN), (("b",), {}), (("c",), ANN))
    )
    found = causes(second)
    assert first in found["conversation"]["message"]
    assert not found["conversation"]["blocks"]
    assert f"2 messages came before it, the first is {first}" in found["queue"]["message"]
    with worker(spool):
        spool.claim(spool.find(first))
        found = causes(second)
        assert found["conversation"]["blocks"]
        assert (
            f"{first} of the same conversation is handled now" in found["conversation"]["message"]
        )
        assert "conversation" not in causes(other)


def test_a_run_that_goes_on_is_named(causes: Any, spool: Spool) -> None:
    ids = [spool.deliver(chat(word, **ANN)) for word in "ab"]
    spool.claim(spool.find(ids[0]))
    facts = {"pid": 4711, "started": time.time() - 65, "agent": "codex", "ids": ids[:1]}
    (spool.root / "RUN").write_text(json.dumps({**facts, "conversation": "telegram//telegram:42"}))
    with worker(spool):
        cause = causes(ids[0])["running"]
        assert "over 1 message of telegram//telegram:42 began 1 min ago" in cause["message"]
        assert "(codex, pid 4711)" in cause["message"]
        assert "running" in causes(ids[1])
    # A killed worker leaves the file, and its message in active/.
    assert set(causes(ids[0])) == {"orphan"}


@pytest.mark.slow
def test_a_pause_comes_first_and_resume_ends_it(causes: Any, aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    assert aap("pause", "--reason", "limit reached").returncode == 0
    for words in ((), (message,)):
        found = causes(*words)
        assert next(iter(found)) == "paused"
        assert "limit reached" in found["paused"]["message"]
    assert aap(*found["paused"]["fix"].split()[1:]).returncode == 0
    assert "paused" not in causes(message)


def test_an_outage_says_since_when_why_and_when_next(causes: Any, spool: Spool) -> None:
    now = time.time()
    facts = {"since": now - 600, "retry_at": now + 100, "reason": "not logged in"}
    (spool.root / "OUTAGE").write_text(json.dumps(facts))
    said = causes()["outage"]["message"]
    assert "since 10 min ago, because not logged in; the next try is in 1 min" in said


def test_an_agent_that_is_missing_or_not_configured(causes: Any, spool: Spool) -> None:
    assert "no agent" in causes(AAP_AGENT="")["agent"]["message"]
    found = causes(AAP_AGENT="custom", AAP_AGENT_CLI="no-such-agent --now")
    assert "no-such-agent is not in the units' PATH" in found["agent"]["message"]
    assert found["agent"]["fix"] == "aap config set AGENT_CLI 'COMMAND …'"
    found = causes(AAP_AGENT_CLI="/nowhere/agent", AAP_AGENT="custom")
    assert found["agent"]["message"] == "the agent's command /nowhere/agent is not there"
    assert found["agent"]["fix"] == "aap config set AGENT_CLI 'COMMAND …'"
    found = causes(AAP_AGENT="goose", PATH="/nowhere")
    assert found["agent"]["fix"] == "aap install --user   # once goose is installed"
    assert "agent" not in causes()


def test_a_run_that_may_end_an_outage_is_not_to_be_ended(causes: Any, spool: Spool) -> None:
    facts = {"since": time.time() - 600, "retry_at": time.time(), "reason": "no network"}
    (spool.root / "OUTAGE").write_text(json.dumps(facts))
    with worker(spool):
        assert "sits out" in causes()["worker"]["message"]
        run = {"agent": "custom", "pid": 1, "started": time.time(), "ids": ["a"]}
        (spool.root / "RUN").write_text(json.dumps(run))
        found = causes()
    assert (found["outage"]["fix"], found["outage"]["blocks"]) == ("", False)
    assert "a run tries it now" in found["outage"]["message"]


def test_a_failing_agent_says_why_without_an_id(causes: Any, spool: Spool) -> None:
    log = DailyLog(spool.logs, echo=False)
    log.event("warning", "worker", "run-ended", outcome="failed", seconds="1", reason="no tokens")
    spool.defer(spool.claim(spool.find(spool.deliver(chat("hi")))), time.time() + 60, "no tokens")
    assert "the last run failed 0 s ago: no tokens" in causes()["deferred"]["message"]


def test_a_file_that_wakes_nobody(causes: Any, aap: Run, spool: Spool) -> None:
    stray = spool.folder(State.INBOX) / "note.bak"
    stray.write_bytes(chat("hi"))
    assert "strays" not in causes()
    os.utime(stray, (1, 1))
    cause = causes()["strays"]
    assert "note.bak" in cause["message"]
    assert os.system(cause["fix"]) == 0
    assert "strays" not in causes()


def test_a_full_disk(causes: Any, spool: Spool) -> None:
    assert "new messages are refused" in causes(AAP_MIN_FREE="9000000G")["disk"]["message"]


def test_the_history_of_a_message_is_told_in_order(documents: Documents, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    for event in ("worker claimed id={} attempt=1", "worker deferred id={} reason=no"):
        moment = output.iso(time.time())
        with (spool.logs / f"{moment[:10]}.log").open("a") as file:
            file.write(f"{moment} info {event.format(message)}\n")
            file.write(f"{moment} info worker claimed id=other\n")
    spool.note(message, event="reply", text="on my way")
    (found,) = documents("explain", message, AAP_AGENT="echo")
    assert [step["text"] for step in found["history"]] == [
        "arrived",
        "claimed, attempt 1",
        "deferred, no",
        "reply, on my way",
    ]
    assert [step["source"] for step in found["history"]] == ["", "worker", "worker", "note"]


def test_a_message_that_is_not_there(aap: Run, spool: Spool) -> None:
    assert aap("explain", "zzzz").returncode == 5


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_it_reads_well_on_any_terminal(
    terminal: Callable[..., Terminal], spool: Spool, columns: int
) -> None:
    message = spool.deliver(chat("\x1b[31m" + "words " * 50))
    spool.defer(spool.find(message), time.time() + 290, "the agent said \x1b[2J and more " * 5)
    for words in ((), (message,)):
        screen = terminal("explain", *words, columns=columns, NO_COLOR="1", AAP_AGENT="echo")
        assert screen.end() == 0
        assert "\x1b" not in screen.screen
        assert too_wide(screen.screen, columns) == []
        assert "aap inbox retry" in screen.screen


def test_it_is_calm_about_a_workspace_that_is_not_there_yet(aap: Run, home: Path) -> None:
    done = aap("explain", AAP_AGENT="echo")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no message waits" in done.stdout
    assert not (home / ".openclaw").exists()


def test_a_lock_that_somebody_else_holds_is_no_run(causes: Any, spool: Spool) -> None:
    with (spool.root / "LOCK").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "running" not in causes()


def test_a_cure_is_for_the_workspace_that_was_asked_for(
    documents: Callable[..., list[dict[str, Any]]], home: Path
) -> None:
    spool = Spool(home / "my lab/.ai-agent-proxy")
    spool.create()
    entry = spool.hold(spool.find(spool.deliver(chat("hi"))))
    (found,) = documents("-w", f"{home}/my lab", "explain", entry.id)
    assert found["causes"][0]["fix"] == f"aap -w '{home}/my lab' inbox release {entry.id}"
