"""`aap inbox stats`: counted afterwards, from names, logs and folders."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from harness.command import Run, Terminal, chat

from aap.cli import output
from aap.inbox import Spool
from aap.message import State, first_id

Documents = Callable[..., list[dict[str, Any]]]


def arrive(spool: Spool, ago: float, number: int = 0) -> str:
    """Make a message that came so many seconds ago."""
    message = first_id(time.time() - ago) + f"{number:02d}".ljust(9, "0")
    (spool.folder(State.INBOX) / f"{message}.json").write_bytes(chat("hi"))
    return message


def log(spool: Spool, ago: float, line: str) -> None:
    moment = output.iso(time.time() - ago)
    with (spool.logs / f"{moment[:10]}.log").open("a") as file:
        file.write(f"{moment} info {line}\n")


def live(spool: Spool) -> None:
    """Two messages that were handled, one given up after a failed try, one that waits."""
    for ago, wait in ((7200, 10), (3600, 2)):
        message = arrive(spool, ago)
        log(spool, ago - wait, f"worker claimed id={message} attempt=1")
        log(spool, ago - wait - 30, "worker run-ended outcome=ok seconds=28.5")
        log(spool, ago - wait - 30, f"worker settled id={message}")
        spool.settle(message)
    bad = arrive(spool, 1800)
    log(spool, 1700, f"worker claimed id={bad} attempt=1")
    log(spool, 1690, "worker run-ended outcome=failed seconds=10.0")
    log(spool, 1690, f"worker deferred id={bad} attempts=1")
    log(spool, 1600, f"worker claimed id={bad} attempt=2")
    log(spool, 1590, f"worker failed id={bad} attempts=2")
    spool.fail(spool.find(bad), "no")
    arrive(spool, 60)


def test_it_counts_what_came_what_was_handled_and_what_failed(
    documents: Documents, spool: Spool
) -> None:
    live(spool)
    (found,) = documents("inbox", "stats")
    assert (found["arrived"], found["handled"], found["failed"]) == (4, 2, 1)
    assert (found["attempts_failed"], found["waiting"]) == (1, 1)
    assert found["wait_seconds"] == {
        "median": pytest.approx(10, abs=0.1),
        "p95": pytest.approx(100, abs=0.1),
        "most": pytest.approx(100, abs=0.1),
    }
    assert found["answer_seconds"]["most"] == pytest.approx(40, abs=0.1)
    assert (found["runs"]["count"], found["runs"]["failed"]) == (3, 1)
    assert found["runs"]["seconds"]["median"] == 28.5
    for name in ("arrived", "handled", "failed", "attempts_failed"):
        assert sum(period[name] for period in found["periods"]) == found[name]


def test_what_is_pruned_still_counts_while_the_logs_tell_of_it(
    documents: Documents, spool: Spool
) -> None:
    live(spool)
    for entry in spool.entries(State.DONE):
        spool.remove(entry)
    (found,) = documents("inbox", "stats")
    assert (found["arrived"], found["handled"]) == (4, 2)


def test_without_logs_the_folders_tell(documents: Documents, spool: Spool) -> None:
    for number, state in enumerate((State.DONE, State.DONE, State.FAILED)):
        message = arrive(spool, 30, number)
        if state is State.DONE:
            spool.settle(message)
        else:
            spool.fail(spool.find(message), "no")
    (found,) = documents("inbox", "stats")
    assert (found["arrived"], found["handled"], found["failed"]) == (3, 2, 1)
    assert found["answer_seconds"]["median"] == pytest.approx(30, abs=5)


def test_since_bounds_it_and_widens_the_periods(documents: Documents, spool: Spool) -> None:
    live(spool)
    (short,) = documents("inbox", "stats", "--since", "90m")
    assert short["arrived"] == 3
    assert sum(period["arrived"] for period in short["periods"]) == 3
    (long,) = documents("inbox", "stats", "--since", "30d")
    assert len(long["periods"]) <= 31
    assert long["arrived"] == 4


def test_nothing_at_all_is_no_error(aap: Run, workspace: object) -> None:
    done = aap("inbox", "stats")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^arrived +0$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_drawing_fits_the_terminal(
    terminal: Callable[..., Terminal], spool: Spool, columns: int
) -> None:
    live(spool)
    for number in range(90):
        arrive(spool, 30, number)
    screen = terminal("inbox", "stats", columns=columns, NO_COLOR="1")
    assert screen.end() == 0
    lines = screen.screen.splitlines()
    assert max(map(output.display_width, lines)) <= columns
    bars = [line.count("█") for line in lines]
    assert max(bars) >= 8
    assert "\x1b" not in screen.screen


def test_the_ascii_locale_has_bars_too(aap: Run, spool: Spool) -> None:
    live(spool)
    done = aap("inbox", "stats", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert re.search(r" #+$", done.stdout, re.MULTILINE)
    assert done.stdout.isascii()
