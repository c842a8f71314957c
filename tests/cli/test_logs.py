"""`aap logs`: the worker's files and the API's journal as one stream."""

from __future__ import annotations

import datetime
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.command import Run, Terminal, chat

from aap.cli import output, when
from aap.cli.logs import DailyFiles
from aap.errors import UsageError
from aap.inbox import Spool

Documents = Callable[..., list[dict[str, Any]]]


def stamp(ago: float = 0) -> str:
    return output.iso(time.time() - ago)


def write(spool: Spool, *lines: str) -> None:
    """Append each line to the file of its day, as the worker does."""
    for line in lines:
        with (spool.logs / f"{line[:10]}.log").open("a", encoding="utf-8") as file:
            file.write(line + "\n")


@pytest.fixture
def journalctl(home: Path) -> Callable[..., str]:
    """A `journalctl` that prints entries in the form of the real one; returns the PATH for it."""

    def make(*entries: dict[str, Any], said: str = "", code: int = 0) -> str:
        folder = home / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "entries").write_text("".join(json.dumps(e) + "\n" for e in entries))
        script = folder / "journalctl"
        script.write_text(
            "#!/bin/sh\n"
            f'case "$*" in *--follow*) sleep 30;; *) cat {folder}/entries;; esac\n'
            f"[ -z '{said}' ] || echo '{said}' >&2\nexit {code}\n"
        )
        script.chmod(0o755)
        return f"{folder}:/usr/bin:/bin"

    return make


def entry(ago: float, text: Any, **more: str) -> dict[str, Any]:
    micros = str(int((time.time() - ago) * 1e6))
    return {
        "__CURSOR": f"s={micros}", "__REALTIME_TIMESTAMP": micros, "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "aap-api", "MESSAGE": text,
        "_SYSTEMD_USER_UNIT": "aap-api.service", **more,
    }  # fmt: skip


def test_files_and_journal_are_one_stream_in_time_order(
    documents: Documents, spool: Spool, journalctl: Callable[..., str]
) -> None:
    write(spool, f"{stamp(50)} info worker claimed id=abc", f"{stamp(30)} info agent | thinking")
    path = journalctl(
        entry(60, 'enqueued id=abc by="a b"', AAP_EVENT="enqueued"),
        entry(40, [72, 105, 255]),
        entry(39, "Started.", _SYSTEMD_USER_UNIT="init.scope"),
    )
    lines = documents("logs", PATH=path)
    said = [(line["source"], line["event"], line["text"]) for line in lines]
    assert said == [
        ("api", "enqueued", ""),
        ("worker", "claimed", ""),
        ("api", "output", "Hi\ufffd"),
        ("systemd", "output", "Started."),
        ("agent", "output", "thinking"),
    ]
    assert lines[0].keys() == {"schema", "time", "level", "source", "event", "fields", "text"}
    assert lines[0]["schema"] == "aap.logs.line/1"
    assert lines[0]["fields"] == {"id": "abc", "by": "a b"}


def test_id_shows_what_is_about_one_message(
    documents: Documents, spool: Spool, journalctl: Callable[..., str]
) -> None:
    message = spool.deliver(chat("hi"))
    write(spool, f"{stamp()} info worker claimed id={message}", f"{stamp()} info worker idle")
    ours, other = (entry(1, f"enqueued id={i}", AAP_EVENT="enqueued") for i in (message, "x"))
    path = journalctl(ours, other)
    lines = documents("logs", "--id", message[:18], PATH=path)
    assert [line["event"] for line in lines] == ["enqueued", "claimed"]


def story(spool: Spool) -> tuple[str, str]:
    """The log of two runs, and the messages that they were about."""
    ids = tuple(spool.deliver(chat(word, channel="irc", target=word)) for word in ("#a", "#b"))
    write(spool, f"{stamp(60)} info worker started")
    for message, room in zip(ids, ("#a", "#b"), strict=True):
        write(
            spool,
            f"{stamp(50)} info worker claimed id={message} attempt=1 conversation=irc//{room}",
            f"{stamp(50)} info worker run-started agent=custom",
            f"{stamp(49)} info agent | about {room}",
            f"{stamp(48)} warning worker run-ended outcome=failed",
            f"{stamp(48)} info worker deferred id={message}",
        )
    write(spool, f"{stamp(40)} info cli retried id={ids[0]}")
    return ids[0], ids[1]


def test_what_the_agent_said_in_a_messages_run_is_about_the_message(
    documents: Documents, spool: Spool, journalctl: Callable[..., str]
) -> None:
    first, second = story(spool)
    run = ["claimed", "run-started", "output", "run-ended", "deferred"]
    lines = documents("logs", "--id", first, PATH=journalctl())
    assert [line["event"] for line in lines] == [*run, "retried"]
    assert lines[2]["text"] == "about #a"
    lines = documents("logs", "--id", second, PATH=journalctl())
    assert [line["event"] for line in lines] == run


def test_a_conversation_is_followed_from_the_api_to_the_end(
    documents: Documents, spool: Spool, journalctl: Callable[..., str]
) -> None:
    first, second = story(spool)
    waits = spool.deliver(chat("later", channel="irc", target="#b"))
    path = journalctl(
        *(entry(70, f"enqueued id={i}", AAP_EVENT="enqueued") for i in (first, second, waits))
    )
    lines = documents("logs", "--conversation", "irc//#b", PATH=path)
    assert [line["event"] for line in lines[:2]] == ["enqueued", "enqueued"]
    assert {line["fields"]["id"] for line in lines if "id" in line["fields"]} == {second, waits}
    assert [line["text"] for line in lines if line["event"] == "output"] == ["about #b"]
    assert documents("logs", "--conversation", "irc//#c", PATH=path) == []


@pytest.mark.parametrize(
    ("options", "sources"),
    [
        (("--api",), {"api", "systemd"}),
        (("--worker",), {"worker", "cli"}),
        (("--agent",), {"agent"}),
        (("--agent", "--api"), {"agent", "api", "systemd"}),
        ((), {"api", "systemd", "worker", "cli", "agent"}),
    ],
)
def test_who_speaks_can_be_chosen(
    documents: Documents,
    spool: Spool,
    journalctl: Callable[..., str],
    options: tuple[str, ...],
    sources: set[str],
) -> None:
    story(spool)
    path = journalctl(
        entry(70, "listening", AAP_EVENT="listening"),
        entry(69, "Started.", _SYSTEMD_USER_UNIT="init.scope"),
    )
    assert {line["source"] for line in documents("logs", *options, PATH=path)} == sources


def test_who_wants_the_worker_alone_need_not_read_the_journal(
    aap: Run, spool: Spool, journalctl: Callable[..., str]
) -> None:
    story(spool)
    refused = journalctl(said="No journal files were opened due to insufficient permissions.")
    assert aap("logs", "--worker", PATH=refused).stderr == ""
    assert "missing here" in aap("logs", "--api", PATH=refused).stderr


def test_of_the_one_api_a_workspace_has_its_own_lines(
    documents: Documents, spool: Spool, journalctl: Callable[..., str]
) -> None:
    path = journalctl(
        entry(3, "enqueued id=a workspace=main", AAP_EVENT="enqueued"),
        entry(2, "enqueued id=b workspace=other", AAP_EVENT="enqueued"),
        entry(1, "refused status=401", AAP_EVENT="refused"),
    )
    own = [line["fields"] for line in documents("-w", "main", "logs", PATH=path)]
    assert own == [{"id": "a", "workspace": "main"}, {"status": "401"}]
    assert len(documents("logs", PATH=path)) == 3


def test_errors_are_warnings_too(documents: Documents, spool: Spool) -> None:
    story(spool)
    write(spool, f"{stamp()} error worker outage reason=x", f"{stamp()} notice worker paused")
    done = [line["event"] for line in documents("logs", "--errors", "--worker")]
    assert done == ["run-ended", "run-ended", "outage"]


def test_since_and_today_bound_the_stream(aap: Run, spool: Spool) -> None:
    write(spool, f"{stamp(3 * 86400)} info worker old", f"{stamp(30)} info worker young")
    assert "old" not in aap("logs").stdout
    assert "old" in aap("logs", "--since", "4 days ago").stdout
    assert aap("logs", "--since", "10s").stdout == ""
    # A time zone in which the day began a moment ago.
    hour = datetime.datetime.now(datetime.timezone.utc).hour
    assert "old" not in aap("logs", "--today", TZ=f"X{hour}").stdout


def test_where_the_journal_cannot_be_read_the_files_are_shown_and_it_is_said(
    aap: Run, spool: Spool, journalctl: Callable[..., str], tmp_path: Path
) -> None:
    write(spool, f"{stamp()} info worker started")
    refused = "No journal files were opened due to insufficient permissions."
    for path in (journalctl(said=refused, code=1), str(tmp_path)):
        done = aap("logs", PATH=path)
        assert done.returncode == 0
        assert "worker  started" in done.stdout
        assert "the API's lines are missing here" in done.stderr
        assert "systemd-journal" in done.stderr


def test_torn_and_hostile_lines_are_shown_harmless(aap: Run, spool: Spool) -> None:
    write(spool, f"{stamp()} info agent | \x1b[2Jboo", "")
    with next(spool.logs.glob("*.log")).open("ab") as file:
        file.write(b"\xff torn\n" + stamp().encode() + b" info worker unfinished")
    done = aap("logs")
    assert r"\x1b[2Jboo" in done.stdout
    assert "torn" in done.stdout
    assert "unfinished" not in done.stdout


def test_follow_goes_on_across_midnight(spool: Spool) -> None:
    files = DailyFiles(spool.logs, "2026-11-23T00:00:00.000Z")
    write(spool, "2026-11-23T23:59:59.000Z info worker late")
    assert [line.event for line in files.read()] == ["late"]
    write(spool, "2026-11-23T23:59:59.900Z info worker later")
    write(spool, "2026-11-24T00:00:00.100Z info worker early")
    assert [line.event for line in files.read()] == ["later", "early"]
    assert list(files.read()) == []


def test_follow_prints_lines_as_they_come(
    terminal: Callable[..., Terminal], spool: Spool, journalctl: Callable[..., str]
) -> None:
    screen = terminal("logs", "--follow", PATH=journalctl(), NO_COLOR="1")
    write(spool, f"{stamp()} info worker first")
    screen.wait_for("first")
    write(spool, f'{stamp()} warning agent failed id=abc reason="no key"')
    screen.wait_for('failed id=abc reason="no key"')
    assert re.search(r"^\w{3} \d\d \d\d:\d\d:\d\d worker  first$", screen.screen, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("90m", 5400), ("2 hours ago", 7200), ("3 d", 259200), ("1 week", 604800), ("45 s ago", 45)],
)
def test_spans_of_time(text: str, ago: float) -> None:
    assert when.parse(text) == pytest.approx(time.time() - ago, abs=5)


def test_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert when.parse("2026-11-23T21:10:26.123Z") == pytest.approx(1795468226.123)
    assert when.parse("2026-11-23 21:10") == when.parse("2026-11-23T21:10:00+00:00")
    assert when.parse("today") - when.parse("yesterday") == 86400
    assert when.parse("99999999999999999999 days") == when.parse("1969-01-01") == 0
    for wrong in ("", "soon", "2026-13-01"):
        with pytest.raises(UsageError):
            when.parse(wrong)
