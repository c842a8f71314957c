"""`aap status` where no service manager answers: what the spool alone tells."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.command import AAP, Run, Terminal, chat, environment

from aap import __version__
from aap.cli import activity, output, redraw
from aap.errors import Exit
from aap.inbox import Pause, Spool, write_pause
from aap.log import DailyLog
from aap.systemd import record
from aap.systemd.units import Plan

Start = Callable[..., Terminal]


def status(aap: Run) -> dict[str, Any]:
    done = aap("status", "--json")
    assert done.returncode == Exit.NOT_RUNNING
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def working(spool: Spool, **facts: object) -> Iterator[None]:
    """A worker that holds the lock, and has written down what its agent is at."""
    told = {"pid": 4711, "started": time.time() - 180, "agent": "codex", **facts}
    (spool.root / "RUN").write_text(json.dumps(told))
    with spool.lock():
        yield


def test_messages_are_counted_where_systemd_cannot_be_asked(aap: Run, spool: Spool) -> None:
    spool.deliver(chat("hi"))
    spool.hold(spool.find(spool.deliver(chat("hold this"))))
    has_runtime = Path(f"/run/user/{os.getuid()}").is_dir()
    done = aap("status")
    assert done.returncode == Exit.NOT_RUNNING
    assert "cannot be asked" in done.stdout
    offered = "XDG_RUNTIME_DIR" if os.geteuid() or has_runtime else "aap install --system"
    assert offered in done.stderr
    assert "1 waiting, 1 on hold; the oldest waits for 0 s" in done.stdout
    found = status(aap)
    assert found["schema"] == "aap.status/1"
    assert (found["armed"], found["socket"], found["api"]) == (False, None, None)
    assert "service manager" in found["trouble"]
    (workspace,) = found["workspaces"]
    assert workspace["messages"] == {
        "inbox": 1, "active": 0, "deferred": 0, "hold": 1, "done": 0, "failed": 0,
    }  # fmt: skip
    assert workspace["watched"] is None
    assert workspace["worker"] is None


def test_without_a_spool_there_is_nothing_to_count(aap: Run) -> None:
    assert status(aap)["workspaces"][0]["messages"]["inbox"] == 0
    assert "messages" not in aap("status").stdout


def test_the_current_run_is_shown_with_its_age(aap: Run, spool: Spool) -> None:
    with working(spool, conversation="telegram/default/42", ids=["a", "b"]):
        shown = aap("status").stdout
        run = status(aap)["workspaces"][0]["run"]
    assert "codex at work for 3 min (pid 4711), on 2 messages of telegram/default/42" in shown
    assert (run["agent"], run["pid"], run["ids"]) == ("codex", 4711, ["a", "b"])
    assert run["started"].endswith("Z")


def test_a_run_after_an_outage_is_shown_and_a_broken_line_with_it(
    aap: Run, spool: Spool, workspace: Path
) -> None:
    outage = {"reason": "no network", "since": time.time() - 120, "retry_at": time.time() - 1}
    (spool.root / "OUTAGE").write_text(json.dumps(outage))
    (workspace / ".ai-agent-proxy.conf").write_text("SETTLE=soon\n")
    plan = Plan("python3", "127.0.0.1:7011", {"main": workspace}, workspace / "secrets")
    record.write(record.Record(__version__, plan, ()))
    assert "aap config validate" in aap("status").stdout
    with working(spool, ids=["a"]):
        shown = aap("status").stdout
    assert "codex at work for 3 min (pid 4711; was out of order before), on a" in shown
    assert "aap config validate" in shown
    assert "next try" not in shown


def test_a_run_that_opens_a_session_says_so(aap: Run, spool: Spool) -> None:
    with working(spool):
        assert "opening a session" in aap("status").stdout


def test_a_killed_workers_last_word_is_no_run(aap: Run, spool: Spool) -> None:
    with working(spool, ids=["a"]):
        pass
    assert status(aap)["workspaces"][0]["run"] is None


@pytest.mark.parametrize("content", ["", "[]", '{"pid": []}', "\0\xff"])
def test_a_torn_note_of_a_run_or_an_outage_is_none(aap: Run, spool: Spool, content: str) -> None:
    (spool.root / "OUTAGE").write_text(content)
    with working(spool):
        (spool.root / "RUN").write_text(content)
        (workspace,) = status(aap)["workspaces"]
    assert (workspace["run"], workspace["outage"]) == (None, None)


def test_the_last_run_is_told_with_its_outcome(aap: Run, spool: Spool) -> None:
    log = DailyLog(spool.logs, echo=False)
    log.event("info", "worker", "run-ended", outcome="ok", code=0, seconds="1.0")
    log.event("warning", "worker", "run-ended", outcome="failed", code=1, seconds="2.5",
              reason="the model said \x1b[31mno")  # fmt: skip
    log.text("agent", "x worker run-ended outcome=ok seconds=9")
    log.text("agent", "[ worker run-ended outcome=ok")
    last = status(aap)["workspaces"][0]["last_run"]
    assert (last["outcome"], last["seconds"]) == ("failed", 2.5)
    shown = aap("status").stdout
    assert "failed 0 s ago, after 2.5 s: the model said \\x1b[31mno" in shown


def test_the_last_run_is_found_in_yesterdays_log_too(spool: Spool) -> None:
    line = "2026-11-22T23:59:59.500Z info worker run-ended outcome=stopped code=-15 seconds=0.3\n"
    (spool.logs / "2026-11-22.log").write_text(line)
    (spool.logs / "2026-11-23.log").write_text("2026-11-23T00:00:01.000Z info worker started\n")
    found = activity.read_last_run(spool.logs)
    assert found is not None
    assert (found.outcome, output.iso(found.ended)) == ("stopped", "2026-11-22T23:59:59.500Z")


def test_pause_outage_and_next_retry_have_their_rows(aap: Run, spool: Spool) -> None:
    write_pause(spool.root, Pause(time.time() - 60, "holiday"))
    outage = {"reason": "no network", "since": time.time() - 120, "retry_at": time.time() + 300}
    (spool.root / "OUTAGE").write_text(json.dumps(outage))
    spool.defer(spool.find(spool.deliver(chat("later"))), time.time() + 7200.5, "failed")
    shown = aap("status").stdout
    assert "paused for 1 min: holiday" in shown
    assert "out of order for 2 min: no network; next try in 4 min" in shown
    assert "next retry  in 2 h" in shown


def test_the_agent_that_comes_next_is_named(aap: Run, spool: Spool) -> None:
    assert "none is configured" in aap("status").stdout
    shown = aap("status", AAP_AGENT="codex").stdout
    assert "codex, idle" in shown


# --watch


@pytest.mark.slow
def test_a_terminal_is_redrawn_in_place_and_given_back(terminal: Start, spool: Spool) -> None:
    shown = terminal("status", "--watch", NO_COLOR="1")
    shown.wait_for("messages    none")
    spool.deliver(chat("hi"))
    shown.wait_for("1 waiting")
    assert shown.screen.count("\x1b[?1049h") == 1
    shown.process.send_signal(signal.SIGINT)
    assert shown.end() == Exit.INTERRUPTED
    assert "\x1b[?1049l" in shown.screen
    assert "1 waiting" in shown.screen.partition("\x1b[?1049l")[2]


@pytest.mark.parametrize("columns", [20, 40])
def test_no_line_is_wider_than_the_terminal(
    terminal: Start, spool: Spool, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    shown = terminal("status", "--watch", columns=columns, lines=6)
    shown.wait_for("\x1b[J")
    drawn = shown.screen.partition("\x1b[H")[2].partition("\x1b[J")[0]
    rows = [redraw.fit(line, 1000).replace("\x1b[K", "") for line in drawn.splitlines()]
    plain = [redraw._ESCAPE.sub("", row) for row in rows]
    assert len(plain) <= 6
    assert max(map(output.display_width, plain)) <= columns


def test_colours_take_no_room() -> None:
    assert redraw.fit("\x1b[31mabc\x1b[0m", 3) == "\x1b[31mabc\x1b[0m"
    assert redraw._ESCAPE.sub("", redraw.fit("\x1b[31mabcdef\x1b[0m ghi", 4)) in {"abc…", "a..."}


@pytest.mark.slow
def test_json_lines_come_for_each_change_alone(spool: Spool) -> None:
    words = [*AAP, "status", "--watch", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment()) as process:
        try:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            assert first["workspaces"][0]["messages"]["inbox"] == 0
            assert select.select([process.stdout], [], [], 1.5)[0] == []
            spool.deliver(chat("hi"))
            second = json.loads(process.stdout.readline())
            assert second["workspaces"][0]["messages"]["inbox"] == 1
        finally:
            process.kill()
