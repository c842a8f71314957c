"""What an agent is told in mid-run: once, and settled with the run only if it was shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.damaged import Damaged
from harness.workbench import Bench

from aap.message import State
from aap.worker import hook
from aap.worker.hook import tell

Make = Callable[..., bytes]

# What a CLI does around a tool call. Where the answer goes is its own business.
HOOK = (
    'hook() { printf \'{"hook_event_name": "%s"}\' "$1" |'
    ' "$PYTHON" -m aap.worker.hook "$AAP_WORKSPACE"; }'
)
ADD = '[ -e came ] || { touch came; "$PYTHON" -m aap.cli.main inbox add later.json; }'


@pytest.fixture
def interrupted(bench: Bench, message: Make) -> Bench:
    """A workspace in which `later` comes in while `first` is handled."""
    bench.spool.deliver(message("first", "A"))
    (bench.workspace / "later.json").write_bytes(message("later", "A"))
    return bench


def messages_of_runs(bench: Bench) -> list[str]:
    return [line.fields["messages"] for line in bench.log("run-started")]


@pytest.mark.slow
def test_what_was_told_and_passed_on_ends_with_its_run(interrupted: Bench) -> None:
    interrupted.agent(f"{HOOK}\n{ADD}\nhook PostToolUse; hook PostToolUse; hook Stop")
    assert interrupted.work() == 0
    assert list(interrupted.states().values()) == ["done", "done"]
    assert messages_of_runs(interrupted) == ["1"]
    assert sum("later" in line for line in interrupted.output()) == 1, "it was told once"
    assert len(interrupted.log("told")) == 1


@pytest.mark.slow
def test_an_answer_that_the_agents_end_swallowed_is_no_answer(interrupted: Bench) -> None:
    interrupted.agent(f'{HOOK}\nprintf "%s\\n" "$1"\n{ADD}\nhook PostToolUse > /dev/null')
    assert interrupted.work() == 0
    assert list(interrupted.states().values()) == ["done", "done"]
    assert messages_of_runs(interrupted) == ["1", "1"], "a run of its own"
    assert "later" in interrupted.output(), "and it was shown there"


def test_what_waits_in_a_back_off_is_told_before_what_is_newer(bench: Bench, message: Make) -> None:
    first = bench.spool.deliver(message("older", "A"))
    bench.spool.deliver(message("newer", "A"))
    bench.spool.defer(bench.spool.find(first), 4e9, "an earlier run failed")
    answer = json.loads(answer_of(bench, "1"))
    notice = answer["hookSpecificOutput"]["additionalContext"]
    assert 0 < notice.index("\nolder\n") < notice.index("\nnewer\n")
    answer_of(bench, "1")
    assert bench.spool.count(State.ACTIVE) == 2


def test_what_cannot_be_read_now_is_not_overtaken(
    bench: Bench, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = (bench.spool.deliver(message(text, "A")) for text in ("one", "two"))
    monkeypatch.setattr(hook, "Spool", Damaged)
    monkeypatch.setattr(Damaged, "bad", (one,))
    assert answer_of(bench, "1") == b""
    monkeypatch.setattr(Damaged, "bad", (two,))
    assert b"one" in answer_of(bench, "2")


def answer_of(bench: Bench, run: str, event: str = "PostToolUse", **more: str) -> bytes:
    """What the hook says in the run of this key."""
    facts = {"pid": run, "started": 1.5, "conversations": ["telegram//A"]}
    (bench.spool.root / "RUN").write_text(json.dumps(facts))
    read, write = os.pipe()
    tell(bench.workspace, json.dumps({"hook_event_name": event, **more}).encode(), write)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        return answer.read()


def test_another_runs_word_counts_for_nothing(bench: Bench, message: Make) -> None:
    ident = bench.spool.deliver(message("later", "A"))
    assert b"later" in answer_of(bench, "1")
    assert b"later" in answer_of(bench, "2"), "a killed worker left TOLD behind"
    assert bench.states() == {ident: "inbox"}
    assert answer_of(bench, "2", "Stop") == b""
    assert bench.states() == {ident: "active"}


def test_a_subagent_is_told_nothing_and_shows_nothing(bench: Bench, message: Make) -> None:
    ident = bench.spool.deliver(message("later", "A"))
    assert answer_of(bench, "1", agent_id="a1") == b""
    assert b"later" in answer_of(bench, "1")
    assert answer_of(bench, "1", agent_id="a1") == b""
    assert bench.states() == {ident: "inbox"}


def test_an_agent_is_not_told_what_cannot_be_noted(bench: Bench, message: Make) -> None:
    bench.spool.deliver(message("later", "A"))
    (bench.spool.root / "TOLD").mkdir()
    assert answer_of(bench, "1", "Stop") == b"", "it would be told for ever, and never end"


def test_a_cli_that_is_gone_was_told_nothing(bench: Bench, message: Make) -> None:
    ident = bench.spool.deliver(message("later", "A"))
    answer_of(bench, "1", "Notification")
    read, write = os.pipe()
    os.close(read)
    tell(bench.workspace, b'{"hook_event_name": "Stop"}', write)
    os.close(write)
    assert b"later" in answer_of(bench, "1", "Stop")
    assert bench.states() == {ident: "inbox"}


def test_a_hook_that_runs_at_the_same_time_is_no_later_event(bench: Bench, message: Make) -> None:
    ident = bench.spool.deliver(message("later", "A"))
    command = [sys.executable, "-I", "-m", "aap.worker.hook", str(bench.workspace)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parallel:
        time.sleep(0.02)  # two ticks of the clock that /proc has
        assert b"later" in answer_of(bench, "1")
        assert parallel.communicate(b'{"hook_event_name": "PostToolUse"}') == (b"", None)
    assert bench.states() == {ident: "inbox"}, "its CLI may drop the answer yet"
    event = b'{"hook_event_name": "PostToolUse"}'
    assert subprocess.run(command, input=event, capture_output=True, check=True).stdout == b""
    assert bench.states() == {ident: "active"}


def test_the_command_ends_with_its_answer(bench: Bench, message: Make, tmp_path: Path) -> None:
    bench.spool.deliver(message("later", "A"))
    answer_of(bench, "1", "Notification")
    command = [sys.executable, "-I", "-m", "aap.worker.hook", str(bench.workspace)]
    event = tmp_path / "event"
    event.write_text('{"hook_event_name": "Stop"}')
    with event.open() as stdin:
        done = subprocess.run(command, stdin=stdin, capture_output=True, check=True)
    assert json.loads(done.stdout)["decision"] == "block"
