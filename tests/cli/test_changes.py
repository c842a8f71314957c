"""`aap inbox hold`, `release`, `retry`, `done`, `rm`: several ids, stdin, all of a state."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.command import AAP, Run, Terminal, chat, execute

from aap.inbox import Spool
from aap.message import IdClock, State

CHANGES = ("done", "retry", "hold", "release", "rm")


def states(spool: Spool) -> dict[str, str]:
    return {entry.id: entry.state.value for entry in spool.entries()}


def test_hold_puts_aside_and_release_brings_back_with_its_attempts(aap: Run, spool: Spool) -> None:
    first, second = (spool.deliver(chat(word)) for word in ("one", "two"))
    spool.defer(spool.find(second), time.time() + 900, "no")
    assert aap("inbox", "hold", first, second).returncode == 0
    assert states(spool) == {first: "hold", second: "hold"}
    again = aap("inbox", "hold", first)
    assert (again.returncode, again.stderr) == (0, f"{first} is on hold already\n")
    assert aap("inbox", "release", first, second).returncode == 0
    assert states(spool) == {first: "inbox", second: "inbox"}
    assert spool.find(second).attempts == 1


@pytest.mark.parametrize("verb", ["hold", "release"])
def test_what_waits_for_nothing_is_neither_held_nor_released(
    aap: Run, spool: Spool, verb: str
) -> None:
    handled, given_up = (spool.deliver(chat(word)) for word in ("one", "two"))
    spool.settle(handled)
    spool.fail(spool.find(given_up), "no")
    for message in (handled, given_up):
        assert aap("inbox", verb, message).returncode == 2
    assert states(spool) == {handled: "done", given_up: "failed"}


@pytest.mark.parametrize("verb", CHANGES)
def test_all_of_a_state_are_changed_and_counted(aap: Run, spool: Spool, verb: str) -> None:
    origin = {"release": State.HOLD, "retry": State.FAILED}.get(verb, State.INBOX)
    ids = [spool.deliver(chat(word)) for word in "abc"]
    other = spool.deliver(chat("other"))
    spool.settle(other)
    for message in ids if origin is not State.INBOX else ():
        entry = spool.find(message)
        spool.hold(entry) if origin is State.HOLD else spool.fail(entry, "no")
    yes = ("--yes",) if verb == "rm" else ()
    done = aap("inbox", verb, "--all", "--state", origin.value, *yes)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith(": 3\n")
    expected = {"done": "done", "retry": "inbox", "hold": "hold", "release": "inbox"}
    left = dict.fromkeys(ids, expected[verb]) if verb != "rm" else {}
    assert states(spool) == {**left, other: "done"}
    again = aap("inbox", verb, "--all", "--state", "deferred", *yes)
    assert (again.returncode, again.stderr) == (0, "no such messages\n")


@pytest.mark.parametrize("verb", CHANGES)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give ids"),
        (("--all",), "--all of what?"),
        (("--all", "--state", "hold", "1jb3"), "not both"),
        (("--state", "hold", "1jb3"), "goes with --all"),
    ],
)
def test_what_is_meant_must_be_said(
    aap: Run, spool: Spool, verb: str, words: tuple[str, ...], said: str
) -> None:
    spool.hold(spool.find(spool.deliver(chat("hi"))))
    done = aap("inbox", verb, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert spool.count(State.HOLD) == 1


def test_the_ids_that_json_lists_are_taken_from_stdin(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat(str(number))) for number in range(12)]
    moved = ids[3]
    done = aap("inbox", "hold", "-", "zzzz", stdin="\n".join([*ids, ids[0][:-1]]))
    assert done.returncode == 5
    assert "no message 'zzzz'" in done.stderr
    assert f"{ids[0]} is on hold already" in done.stderr
    assert spool.count(State.HOLD) == 12
    assert spool.find(moved).state is State.HOLD


def test_all_that_is_at_work_is_left_alone(aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    spool.claim(spool.find(message))
    done = aap("inbox", "rm", "--all", "--state", "active", "--yes")
    assert done.returncode == 75
    assert states(spool) == {message: "active"}


def test_rm_of_all_asks_once_and_says_how_many(
    terminal: Callable[..., Terminal], spool: Spool
) -> None:
    for word in "abc":
        spool.settle(spool.deliver(chat(word)))
    for answer, left in (("n", 3), ("y", 0)):
        screen = terminal("inbox", "rm", "--all", "--state", "done")
        screen.wait_for("[y/N]")
        assert "delete all messages that are done, 3 in number?" in screen.screen
        screen.type(f"{answer}\n")
        assert screen.end() == 0
        assert spool.count(State.DONE) == left


def test_rm_of_all_without_a_terminal_wants_yes(aap: Run, spool: Spool) -> None:
    spool.deliver(chat("hi"))
    assert aap("inbox", "rm", "--all", "--state", "inbox").returncode == 2
    assert spool.count(State.INBOX) == 1


def test_what_is_done_by_hand_is_in_the_log(aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    for verb in ("hold", "release", "done", "retry"):
        assert aap("inbox", verb, message).returncode == 0
    (log,) = spool.logs.glob("*.log")
    said = [line.split(" ", 2)[2] for line in log.read_text().splitlines()]
    events = ("held", "released", "settled", "retried")
    assert said == [f"cli {event} id={message}" for event in events]


@pytest.mark.alone
@pytest.mark.slow
def test_ten_thousand_are_changed_within_seconds(aap: Run, spool: Spool) -> None:
    clock = IdClock()
    names = [clock.next(b"%d" % number) for number in range(10_000)]
    for name in names:
        (spool.folder(State.INBOX) / f"{name}.json").write_bytes(b"{}")
    began = time.monotonic()
    assert aap("inbox", "hold", "--all", "--state", "inbox").returncode == 0
    assert aap("inbox", "release", "-", stdin="\n".join(names)).returncode == 0
    assert spool.count(State.INBOX) == 10_000
    assert time.monotonic() - began < 30


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what is synced")
@pytest.mark.parametrize(
    ("verb", "state"),
    [("done", "done"), ("hold", "hold"), ("release", "inbox"), ("retry", "inbox")],
)
def test_what_is_so_already_is_on_the_disk_too(
    spool: Spool, tmp_path: Path, verb: str, state: str
) -> None:
    # Who made it so may have been killed before the fsync.
    message = spool.find(spool.deliver(chat("one")))
    message.path.rename(spool.folder(State(state)) / message.path.name)
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-y", "-e", "trace=fsync", "-o", str(trace))
    done = execute(*strace, *AAP, "inbox", verb, message.id, AAP_WORKSPACE=str(spool.root.parent))
    assert (done.returncode, "already" in done.stderr) == (0, True), done.stderr
    assert f"/{state}>" in trace.read_text()
