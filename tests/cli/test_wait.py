"""`aap inbox wait` and `watch`: noticing what happens, at once and at no cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.command import AAP, Run, Terminal, chat, environment

from aap.cli.wait import Folder
from aap.cli.watch import Event, Scene
from aap.inbox import Spool
from aap.message import State

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `aap WORDS…` and leave it running; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*AAP, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**env),
        )
        started.append(process)
        return process

    yield run
    for each in started:
        each.kill()
        each.communicate()


# wait


def test_what_is_there_is_printed_at_once(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat(word)) for word in ("one", "two")]
    done = aap("inbox", "wait")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n".join(ids) + "\n", "")


@pytest.mark.slow
def test_nothing_in_time_is_exit_code_6_in_silence(aap: Run, spool: Spool) -> None:
    spool.settle(spool.deliver(chat("hi")))
    began = time.monotonic()
    done = aap("inbox", "wait", "--timeout", "0.5s")
    assert (done.returncode, done.stdout, done.stderr) == (6, "", "")
    assert 0.5 <= time.monotonic() - began < 5


@pytest.mark.alone
def test_a_message_that_comes_is_noticed_within_a_fifth_of_a_second(
    start: Start, spool: Spool
) -> None:
    delays = []
    for _ in range(5):
        process = start("inbox", "wait")
        time.sleep(1.2)
        message = spool.deliver(chat("hi"))
        began = time.monotonic()
        assert process.communicate(timeout=10)[0] == f"{message}\n"
        delays.append(time.monotonic() - began)
        spool.settle(message)
    # The end of the process is in it; the machine may be busy.
    assert sorted(delays)[2] < 0.25


@pytest.mark.slow
def test_waiting_begins_before_there_is_a_spool(start: Start, workspace: Path) -> None:
    process = start("inbox", "wait")
    time.sleep(0.7)
    spool = Spool(workspace / ".ai-agent-proxy")
    spool.create()
    message = spool.deliver(chat("hi"))
    assert process.communicate(timeout=10)[0] == f"{message}\n"


@pytest.mark.slow
def test_states_and_conversation_narrow_it(start: Start, spool: Spool) -> None:
    here = {"channel": "telegram", "target": "telegram:42"}
    of_chat = start("inbox", "wait", "--conversation", "telegram//telegram:42", "--json")
    given_up = start("inbox", "wait", "--state", "failed", "--state", "deferred")
    spool.deliver(chat("elsewhere"))
    time.sleep(1)
    assert of_chat.poll() is None
    message = spool.deliver(chat("here", **here))
    assert json.loads(of_chat.communicate(timeout=10)[0])["id"] == message
    assert given_up.poll() is None
    spool.fail(spool.find(message), "no")
    assert given_up.communicate(timeout=10)[0] == f"{message}\n"


def cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.alone
@pytest.mark.parametrize("words", [("wait",), ("watch",)])
def test_it_costs_next_to_nothing(start: Start, spool: Spool, words: tuple[str, ...]) -> None:
    process = start("inbox", *words)
    time.sleep(1)
    before = cpu_seconds(process.pid)
    time.sleep(3)
    assert cpu_seconds(process.pid) - before <= 0.03


def test_two_changes_within_a_tick_of_the_clock_are_not_missed(tmp_path: Path) -> None:
    for number in range(300):
        folder = Folder(tmp_path)
        assert folder.changed()
        (tmp_path / f"{number}").touch()
        assert folder.changed()


def test_a_folder_that_rests_is_not_read_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    os.utime(tmp_path, (1, 1))
    assert folder.changed()
    assert not folder.changed()


# watch


def kinds(events: Iterator[Event]) -> list[tuple[str, str]]:
    return [(event.kind, event.id) for event in events]


def test_every_way_of_a_message_has_its_word(spool: Spool) -> None:
    old = spool.deliver(chat("old"))
    scene = Scene(spool)
    assert kinds(scene.look()) == []
    message = spool.deliver(chat("hi"))
    entry = spool.find(message)
    seen = kinds(scene.look())
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("claimed", lambda: spool.claim(entry)),
        ("given-back", lambda: spool.give_back(spool.find(message))),
        ("held", lambda: spool.hold(spool.find(message))),
        ("released", lambda: spool.release(spool.find(message))),
        ("deferred", lambda: spool.defer(spool.find(message), 1.0, "no")),
        ("readmitted", lambda: spool.admit(2.0)),
        ("failed", lambda: spool.fail(spool.find(message), "no")),
        ("retried", lambda: spool.retry(spool.find(message))),
        ("settled", lambda: spool.settle(message)),
    ]
    for _, step in steps:
        step()
        seen += kinds(scene.look())
    assert seen == [(word, message) for word in ("arrived", *(word for word, _ in steps))]
    spool.remove(spool.find(message))
    spool.claim(spool.find(old))
    # What is in no folder may be on its way: it is gone at the second look.
    assert kinds(scene.look()) == [("claimed", old)]
    assert kinds(scene.look()) == [("removed", message)]


def test_what_was_quicker_than_a_look_has_arrived_all_the_same(spool: Spool) -> None:
    scene = Scene(spool)
    message = spool.deliver(chat("hi"))
    spool.settle(message)
    assert kinds(scene.look()) == [("arrived", message), ("settled", message)]


def test_a_foreign_file_arrives_when_it_is_taken_in(spool: Spool) -> None:
    scene = Scene(spool)
    (spool.folder(State.INBOX) / "note.json").write_bytes(chat("hi"))
    assert kinds(scene.look()) == []
    adopted = spool.adopt(spool.entries(State.INBOX)[0])
    assert kinds(scene.look()) == [("arrived", adopted.id)]


@pytest.mark.slow
def test_events_are_json_lines_as_they_come(start: Start, spool: Spool) -> None:
    process = start("inbox", "watch", "--json")
    assert process.stdout is not None
    time.sleep(1.5)
    message = spool.deliver(chat("hi", channel="telegram", target="42"))
    first = json.loads(process.stdout.readline())
    spool.defer(spool.find(message), 4_000_000_000, "the agent said no")
    second = json.loads(process.stdout.readline())
    assert (first["event"], first["id"], first["text"]) == ("arrived", message, "hi")
    assert (second["event"], second["from"]) == ("deferred", "inbox")
    assert second["reason"] == "the agent said no"
    assert second["retry_at"].startswith("2096")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_line_of_watch_fits_the_terminal(
    terminal: Callable[..., Terminal], spool: Spool, columns: int
) -> None:
    screen = terminal("inbox", "watch", columns=columns, NO_COLOR="1")
    time.sleep(1.5)
    message = spool.deliver(chat("a long story " * 30, metadata={"sender": "Ann"}))
    screen.wait_for(message)
    spool.settle(message)
    screen.wait_for("settled")
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 130
    lines = screen.screen.splitlines()
    assert all(len(line.removesuffix("^C")) <= columns for line in lines)
    assert "\x1b" not in screen.screen
