"""`aap inbox`: what people and agents may rely on."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.command import AAP, ENTRY_MEMBERS, Run, Terminal, chat, execute

from aap.inbox import Spool
from aap.message import IdClock, State, first_id

Documents = Callable[..., list[dict[str, Any]]]

TELEGRAM = {"channel": "telegram", "target": "telegram:42", "metadata": {"sender": "Ann"}}


# ls


def test_ls_shows_who_wrote_where_and_what(aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("when do we\nmeet?", **TELEGRAM))
    done = aap("inbox", "ls")
    assert (done.returncode, done.stderr) == (0, "")
    title, row = done.stdout.splitlines()
    assert title.split() == ["STATE", "ID", "AGE", "CHANNEL", "CHAT", "SENDER", "TEXT"]
    assert row.startswith(f"inbox  {message}")
    assert row.endswith("telegram  42    Ann     when do we meet?")


def test_ls_lists_all_that_is_not_handled_and_with_all_the_rest(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat(word)) for word in ("a", "b", "c")]
    spool.settle(ids[0])
    spool.fail(spool.find(ids[1]), "no")
    assert set(re.findall(r"\w{20}", aap("inbox", "ls").stdout)) == set(ids[1:])
    assert set(re.findall(r"\w{20}", aap("inbox", "ls", "--all").stdout)) == set(ids)
    only = aap("inbox", "ls", "--state", "done", "--state=failed").stdout
    assert set(re.findall(r"\w{20}", only)) == set(ids[:2])


def test_ls_is_in_the_order_of_arrival_and_says_what_it_left_out(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat(str(number))) for number in range(7)]
    done = aap("inbox", "ls", "--limit", "3")
    assert re.findall(r"\w{20}", done.stdout) == ids[:3]
    assert done.stderr == "4 more: --limit 0 shows all\n"
    assert re.findall(r"\w{20}", aap("inbox", "ls", "--limit", "0").stdout) == ids


def test_ls_of_handled_messages_shows_the_latest(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat(str(number))) for number in range(5)]
    for message in ids:
        spool.settle(message)
    done = aap("inbox", "ls", "--state", "done", "--limit", "2")
    assert re.findall(r"\w{20}", done.stdout) == ids[-2:]


def test_an_empty_inbox_is_no_error_and_stdout_stays_empty(aap: Run, spool: Spool) -> None:
    done = aap("inbox", "ls")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no messages\n")


def test_ls_before_the_first_message_makes_nothing(aap: Run, home: Path) -> None:
    done = aap("inbox", "ls")
    assert done.returncode == 0
    assert "nothing has arrived" in done.stderr
    assert not (home / ".openclaw").exists()


def test_ls_json_is_one_versioned_document_a_line(documents: Documents, spool: Spool) -> None:
    message = spool.deliver(chat("hi", **TELEGRAM))
    (entry,) = documents("inbox", "ls")
    assert set(entry) == ENTRY_MEMBERS
    assert entry["schema"] == "aap.inbox.entry/1"
    assert entry["id"] == message
    assert entry["state"] == "inbox"
    assert entry["conversation"] == "telegram//telegram:42"
    assert entry["text"] == "hi"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["arrived"])


def test_ls_json_tells_when_a_deferred_message_is_due(documents: Documents, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    spool.defer(spool.find(message), 2_000_000_000, "agent said no")
    (entry,) = documents("inbox", "ls")
    assert (entry["retry_at"], entry["attempts"]) == ("2033-05-18T03:33:20.000Z", 1)


def test_ls_survives_whatever_lies_in_the_inbox(aap: Run, spool: Spool) -> None:
    inbox = spool.folder(State.INBOX)
    (inbox / "a folder").mkdir()
    os.mkfifo(inbox / "fifo")
    (inbox / "link").symlink_to("/etc/passwd")
    (inbox / "no json").write_bytes(b"\xff\x00")
    (inbox / os.fsdecode(b"\xff\x1b[31m")).write_bytes(chat("hand-made"))
    done = aap("inbox", "ls")
    assert done.returncode == 0
    assert "root:" not in done.stdout
    assert "\x1b" not in done.stdout
    assert "hand-made" in done.stdout
    assert len(done.stdout.splitlines()) == 6


def test_hostile_text_cannot_reach_the_terminal(aap: Run, spool: Spool) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202edrow\ud800 \r\nend"
    message = spool.deliver(chat(hostile, **{**TELEGRAM, "metadata": {"sender": "\x1b[1mAnn"}}))
    for words in (("ls",), ("show", message), ("ls", "--json"), ("show", message, "--json")):
        done = aap("inbox", *words)
        assert done.returncode == 0, done.stderr
        assert not set(done.stdout) & set("\x1b\x07\x9b\u202e\r"), words
    assert json.loads(aap("inbox", "ls", "--json").stdout)["text"].startswith("\x1b]0;owned\x07")


def test_the_latin_1_and_the_c_locale_do_not_stop_it(aap: Run, spool: Spool) -> None:
    spool.deliver(chat("Grüße 你好 \ud800"))
    for env in ({"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii"}):
        plain = aap("inbox", "ls", LC_ALL="C", **env)
        assert plain.returncode == 0, plain.stderr
        entry = json.loads(aap("inbox", "ls", "--json", LC_ALL="C", **env).stdout)
        assert entry["text"].startswith("Grüße 你好")


def test_ls_chooses_by_time_of_arrival(aap: Run, spool: Spool) -> None:
    young = spool.deliver(chat("young"))
    old = put_arrived(spool, 7200)
    (spool.folder(State.INBOX) / "foreign.json").write_bytes(chat("no time"))

    def listed(*words: str) -> list[str]:
        return re.findall(r"\b1\w{19}\b", aap("inbox", "ls", *words).stdout)

    assert listed("--since", "1h") == [young]
    assert listed("--older-than", "90m") == [old]
    assert listed("--since", "3h", "--older-than", "1h") == [old]
    none = aap("inbox", "ls", "--older-than", "3 hours")
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "no such messages\n")
    assert aap("inbox", "ls", "--since", "soon").returncode == 2


def test_ls_of_a_conversation_stops_at_the_limit(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat(str(n), **TELEGRAM) if n % 2 else chat(str(n))) for n in range(8)]
    wanted = ("--conversation", "telegram//telegram:42")
    done = aap("inbox", "ls", *wanted, "--limit", "3")
    assert re.findall(r"\w{20}", done.stdout) == ids[1:7:2]
    assert done.stderr == "some more: --limit 0 shows all\n"
    every = aap("inbox", "ls", *wanted, "--limit", "0")
    assert (re.findall(r"\w{20}", every.stdout), every.stderr) == (ids[1::2], "")
    for message in ids:
        spool.settle(message)
    done = aap("inbox", "ls", *wanted, "--state", "done", "--limit", "1")
    assert re.findall(r"\w{20}", done.stdout) == [ids[7]]


def test_ls_groups_by_conversation_in_order_of_the_first(aap: Run, spool: Spool) -> None:
    group = {"channel": "irc", "target": "#a", "metadata": {"label": "The\nregulars"}}
    ids = [
        spool.deliver(chat(str(n), **more)) for n, more in enumerate((TELEGRAM, group, TELEGRAM))
    ]
    alone = spool.deliver(chat("alone"))
    done = aap("inbox", "ls", "--group")
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.endswith(("message", "messages"))] == [
        "telegram//telegram:42: 2 messages",
        "irc//#a, The regulars: 1 message",
        "no conversation: 1 message",
    ]
    assert re.findall(r"\w{20}", done.stdout) == [ids[0], ids[2], ids[1], alone]
    documents = [json.loads(x) for x in aap("inbox", "ls", "--group", "--json").stdout.splitlines()]
    assert [len(each["messages"]) for each in documents] == [2, 1, 1]
    assert documents[0]["conversation"] == "telegram//telegram:42"
    assert documents[2]["conversation"] is None


def test_ls_says_when_a_deferred_message_is_tried_again(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat(word)) for word in "ab"]
    spool.defer(spool.find(ids[0]), time.time() + 290, "no")
    spool.defer(spool.find(ids[1]), time.time() - 5, "no")
    title, first, second = aap("inbox", "ls").stdout.splitlines()
    assert title.split()[4] == "RETRY"
    assert "in 4 min" in first
    assert re.search(r"1x +now ", second)


def put_arrived(spool: Spool, ago: float) -> str:
    """Deliver a message that came some seconds ago."""
    message = first_id(time.time() - ago).ljust(20, "0")
    (spool.folder(State.INBOX) / f"{message}.json").write_bytes(chat("old"))
    return message


@pytest.mark.alone
@pytest.mark.slow
def test_ls_of_a_hundred_thousand_opens_only_what_it_shows(aap: Run, spool: Spool) -> None:
    clock = IdClock()
    inbox = spool.folder(State.INBOX)
    names = [f"{clock.next(b'%d' % n)}.json" for n in range(100_000)]
    for name in names:
        (inbox / name).touch()
    opened = inbox / "opened"
    script = f"strace -f -e trace=openat -o {opened} {' '.join(AAP)} inbox ls --limit 20"
    if shutil.which("strace"):
        assert execute("sh", "-c", script).returncode == 0
        assert opened.read_text().count(".json") == 20
        opened.unlink()

    def seconds(*words: str) -> float:
        began = time.monotonic()
        assert aap("inbox", "ls", *words).returncode == 0
        return time.monotonic() - began

    least = min(seconds("--limit", "20") for _ in range(5))
    assert least < 0.5
    assert min(seconds("--group", "--older-than", "1s") for _ in range(3)) < 1


# show


def test_show_raw_gives_the_very_bytes(home: Path, aap: Run, spool: Spool) -> None:
    raw = b'{"messages" : [ ],\r\n "x":"\\ud800 \xc3\xa9" }\n\n'
    message = spool.deliver(raw)
    done = aap("inbox", "show", "--raw", message)
    assert done.returncode == 0
    assert done.stdout.encode() == raw
    assert done.stderr == ""


def test_show_tells_the_fate_of_a_message(aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("line one\nline two", **TELEGRAM))
    spool.defer(spool.find(message), 4_000_000_000, "the agent ended with 1")
    done = aap("inbox", "show", message[:-1])
    assert done.returncode == 0
    assert re.search(r"state +deferred, due in \d+ d\n", done.stdout)
    assert "deferred: the agent ended with 1\n" in done.stdout
    assert done.stdout.endswith("\n\nline one\nline two\n")


def test_show_json_adds_the_notes_to_the_members_of_ls(documents: Documents, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    spool.note(message, event="reply", text="hello")
    (shown,) = documents("inbox", "show", message)
    assert set(shown) == ENTRY_MEMBERS | {"size", "path", "notes"}
    assert shown["schema"] == "aap.inbox.show/1"
    assert shown["notes"][0]["text"] == "hello"
    assert Path(shown["path"]).read_bytes() == chat("hi")


def test_several_ids_are_all_tried_and_the_worst_code_counts(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat("one")), spool.deliver(chat("two"))]
    done = aap("inbox", "show", ids[0], "zzzz", ids[1])
    assert done.returncode == 5
    assert "one" in done.stdout
    assert "two" in done.stdout
    assert done.stderr.startswith("aap: no message 'zzzz'\n")


def test_an_ambiguous_prefix_is_refused_and_says_which(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat("one")), spool.deliver(chat("two"))]
    done = aap("inbox", "done", ids[0][:3])
    assert done.returncode == 2
    assert all(message in done.stderr for message in ids)
    assert spool.count(State.INBOX) == 2


# new


def test_new_prints_waiting_ids_alone_and_none_is_no_error(aap: Run, spool: Spool) -> None:
    assert aap("inbox", "new").stdout == ""
    ids = [spool.deliver(chat("one")), spool.deliver(chat("two"))]
    spool.claim(spool.find(ids[0]))
    done = aap("inbox", "new")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{ids[1]}\n", "")


def test_new_of_one_conversation(aap: Run, documents: Documents, spool: Spool) -> None:
    spool.deliver(chat("mine"))
    wanted = spool.deliver(chat("yours", **TELEGRAM))
    (entry,) = documents("inbox", "new", "--conversation", "telegram//telegram:42")
    assert entry["id"] == wanted
    assert aap("inbox", "new", "--conversation", "telegram//telegram:42").stdout == f"{wanted}\n"
    assert aap("inbox", "new", "--conversation", "other").stdout == ""


# done, retry, rm


@pytest.mark.parametrize("state", [State.INBOX, State.ACTIVE, State.DEFERRED, State.HOLD])
def test_done_settles_from_every_open_state_and_twice_is_fine(
    aap: Run, spool: Spool, state: State
) -> None:
    message = spool.deliver(chat("hi"))
    entry = spool.find(message)
    {
        State.INBOX: lambda: entry,
        State.ACTIVE: lambda: spool.claim(entry),
        State.DEFERRED: lambda: spool.defer(entry, 4e9, "later"),
        State.HOLD: lambda: spool.hold(entry),
    }[state]()
    first = aap("inbox", "done", message)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert spool.find(message).state is State.DONE
    again = aap("inbox", "done", message)
    assert (again.returncode, again.stderr) == (0, f"{message} was done already\n")


def test_ids_come_from_stdin_as_the_first_word_of_each_line(aap: Run, spool: Spool) -> None:
    ids = [spool.deliver(chat("one")), spool.deliver(chat("two"))]
    done = aap("inbox", "done", "-", stdin=f"{ids[0]} and a comment\n\n  {ids[1]}\n")
    assert done.returncode == 0
    assert spool.count(State.DONE) == 2


def test_retry_gives_a_failed_message_all_its_attempts_again(aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    spool.fail(spool.find(message), "no")
    assert aap("inbox", "retry", message).returncode == 0
    entry = spool.find(message)
    assert (entry.state, entry.attempts) == (State.INBOX, 0)


def test_what_is_being_handled_is_neither_retried_nor_deleted(aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    spool.claim(spool.find(message))
    for words in (("retry", message), ("rm", "--yes", message)):
        done = aap("inbox", *words)
        assert done.returncode == 75
        assert "is being handled now" in done.stderr
    assert spool.find(message).state is State.ACTIVE


def test_what_is_no_message_is_neither_settled_nor_retried(aap: Run, spool: Spool) -> None:
    foreign = spool.folder(State.INBOX) / "photo.d"
    foreign.write_bytes(b"\xff")
    aside = spool.put_aside(spool.entries(State.INBOX)[0], "not JSON")
    assert aap("inbox", "done", aside.id).returncode == 2
    assert aap("inbox", "retry", aside.id).returncode == 2
    assert spool.find(aside.id).state is State.FAILED


def test_rm_without_a_terminal_wants_yes(aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    refused = aap("inbox", "rm", message)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert spool.count(State.INBOX) == 1
    assert aap("inbox", "rm", message, "--yes").returncode == 0
    assert spool.entries() == []


def test_rm_asks_on_a_terminal(terminal: Callable[..., Terminal], spool: Spool) -> None:
    message = spool.deliver(chat("keep me?"))
    for answer, left in (("n", 1), ("y", 0)):
        screen = terminal("inbox", "rm", message)
        screen.wait_for("[y/N]")
        assert f'delete {message} (inbox) "keep me?"?' in screen.screen
        screen.type(f"{answer}\n")
        assert screen.end() == 0
        assert spool.count(State.INBOX) == left


# add


def test_add_stores_the_bytes_of_a_file_or_of_stdin(aap: Run, home: Path, spool: Spool) -> None:
    raw = b'{ "messages": [], "n": 1e400 }\n'
    (home / "request.json").write_bytes(raw)
    for words in (("request.json",), ("-",)):
        done = aap("inbox", "add", *words, stdin=raw.decode())
        assert (done.returncode, done.stderr) == (0, "")
        assert spool.read(spool.find(done.stdout.strip())) == raw


def test_add_of_plain_words_makes_a_message_of_them(aap: Run, documents: Documents, spool: Spool):
    message = aap("inbox", "add", "--text", "remind me").stdout.strip()
    (entry,) = documents("inbox", "ls")
    assert (entry["id"], entry["text"]) == (message, "remind me")


@pytest.mark.parametrize(
    "body", ["", "[1]", '"text"', "null", "NaN", '{"a": NaN}', "{", "[" * 100_000, '{"a":' * 99_999]
)
def test_add_refuses_what_is_no_json_object(aap: Run, spool: Spool, body: str) -> None:
    done = aap("inbox", "add", "-", stdin=body)
    assert done.returncode == 2
    assert done.stderr.startswith("aap: ")
    assert spool.entries() == []


def test_add_refuses_what_the_api_would_find_too_large(aap: Run, spool: Spool) -> None:
    done = aap("inbox", "add", "--text", "x" * 5000, AAP_MAX_BODY="4K")
    assert done.returncode == 2
    assert "over MAX_BODY" in done.stderr


def test_add_to_a_workspace_that_is_not_there_makes_none(aap: Run, home: Path) -> None:
    done = aap("-w", str(home / "tpyo"), "inbox", "add", "--text", "hi")
    assert done.returncode == 5
    assert "aap workspace add NAME" in done.stderr
    assert not (home / "tpyo").exists()


def test_the_workspace_may_be_named_before_or_after_the_command(aap: Run, home: Path) -> None:
    other = home / "other place"
    other.mkdir()
    message = aap("-w", str(other), "inbox", "add", "--text", "hi").stdout.strip()
    assert aap("inbox", "new", "-w", str(other)).stdout.strip() == message
    assert aap("inbox", "new", f"--workspace={other}").stdout.strip() == message
    assert aap("--workspace", str(other), "inbox", "new").stdout.strip() == message
    assert aap("inbox", "new").stdout == ""


# ids, for the shells


def test_ids_are_those_of_all_messages_that_are_not_handled(aap: Run, spool: Spool) -> None:
    assert aap("inbox", "ids").stdout == ""
    ids = [spool.deliver(chat(str(number))) for number in range(4)]
    spool.settle(ids[0])
    spool.fail(spool.find(ids[1]), "no")
    spool.claim(spool.find(ids[2]))
    (spool.folder(State.INBOX) / "foreign.json").write_bytes(b"{}")
    (spool.folder(State.INBOX) / f".{ids[0]}.json").write_bytes(b"{")
    done = aap("inbox", "ids")
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ids[1:], "")
