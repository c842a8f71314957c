"""`aap reply`: to the right chat, once, and written down whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fixtures import bodies
from harness.command import AAP, Run, environment
from harness.gateway import Chat, Gateway
from harness.wait import wait_until

from aap.delivery import replies
from aap.inbox import Spool
from aap.message import State

ANN = ("telegram", "telegram:42")
HOSTILE = '-n $(id) `id` ; rm -rf ~ "quoted" \'single\' \\ %s {"a": 1}\n\n--json\ttab ü 🙂 \x1b[31m'


def replies_of(spool: Spool, message: str) -> list[tuple[str, str]]:
    """State and text of each reply that the notes tell of."""
    return [(each.state, each.text) for each in replies(spool.notes(message))]


# The way out


def test_a_reply_goes_through_the_gateway(
    aap: Run, spool: Spool, message: str, gateway: Gateway
) -> None:
    done = aap("reply", message, "on my way", "--json")
    assert done.returncode == 0
    sent = json.loads(done.stdout)
    (call,) = gateway.calls
    assert (call.via, call.channel, call.target, call.message) == ("http", *ANN, "on my way")
    assert call.args["accountId"] == "default"
    assert sent["schema"] == "aap.reply/1"
    assert (sent["state"], sent["via"], sent["sent_id"]) == ("sent", "gateway", call.id)
    assert replies_of(spool, message) == [("sent", "on my way")]


def test_without_a_gateway_the_command_sends(
    aap: Run, message: str, chat: Chat, command: Path
) -> None:
    done = aap("reply", message, "on my way", "--json")
    assert (done.returncode, json.loads(done.stdout)["via"]) == (0, "openclaw")
    (call,) = chat.calls
    assert (call.via, call.channel, call.target, call.message) == ("command", *ANN, "on my way")


def test_a_gateway_that_is_down_leaves_it_to_the_command(
    aap: Run, message: str, gateway: Gateway, command: Path
) -> None:
    gateway.server.shutdown()
    gateway.server.server_close()
    assert aap("reply", message, "hello").returncode == 0
    assert [call.via for call in gateway.calls] == ["command"]


def test_a_gateway_that_knows_another_key_leaves_it_to_the_command(
    aap: Run, message: str, gateway: Gateway, command: Path
) -> None:
    gateway.token = "changed"
    assert aap("reply", message, "hello").returncode == 0
    assert [call.via for call in gateway.calls] == ["command"]
    assert gateway.unauthorized == 1


def test_a_channel_that_the_gateway_does_not_have_is_the_commands_to_judge(
    aap: Run, spool: Spool, message: str, gateway: Gateway, command: Path
) -> None:
    # The gateway says "tool execution failed" to this as to a failure in the middle.
    gateway.missing.add("telegram")
    gateway.next("refused")
    done = aap("reply", message, "hello")
    assert done.returncode == 1
    assert "not sent: Call to 'sendMessage' failed" in done.stderr
    assert [call.via for call in gateway.calls] == ["command"]
    assert replies_of(spool, message) == [("failed", "hello")]


def test_with_no_way_at_all_nothing_is_sent_and_it_may_be_tried_again(
    aap: Run, spool: Spool, message: str, chat: Chat, programs: Path
) -> None:
    done = aap("reply", message, "hello")
    assert done.returncode == 75
    assert "openclaw is not on PATH" in done.stderr
    assert replies_of(spool, message) == [("failed", "hello")]
    assert chat.calls == []


@pytest.mark.parametrize(
    ("body", "target"),
    [(bodies.group(), "telegram:-1001234"), (bodies.topic(), "telegram:-1001234:topic:77")],
    ids=["group", "topic"],
)
@pytest.mark.parametrize("way", ["gateway", "command"])
def test_groups_and_topics_are_named_as_they_name_themselves(
    aap: Run, spool: Spool, chat: Chat, request: Any, body: bytes, target: str, way: str
) -> None:
    request.getfixturevalue(way)
    assert aap("reply", spool.deliver(body), "hello").returncode == 0
    assert chat.delivered == [("telegram", target, "hello")]


@pytest.mark.parametrize("way", ["gateway", "command"])
def test_any_text_arrives_as_it_is(
    aap: Run, message: str, chat: Chat, request: Any, way: str
) -> None:
    request.getfixturevalue(way)
    assert aap("reply", message, "-", stdin=f"{HOSTILE}\n").returncode == 0
    assert chat.delivered == [(*ANN, HOSTILE)]


def test_a_text_with_a_dash_in_front_needs_no_trick_but_two_dashes(
    aap: Run, message: str, gateway: Gateway
) -> None:
    assert aap("reply", message, "--", "--help").returncode == 0
    assert gateway.delivered == [(*ANN, "--help")]


@pytest.mark.parametrize("way", ["gateway", "command"])
def test_a_file_and_a_quote_go_along(
    aap: Run, message: str, home: Path, chat: Chat, request: Any, way: str
) -> None:
    request.getfixturevalue(way)
    (home / "chart 1.png").write_bytes(b"png")
    done = aap("reply", message, "--media", "chart 1.png", "--reply-to")
    assert done.returncode == 0
    (call,) = chat.calls
    assert call.args["media"] == str(home / "chart 1.png")
    assert call.args["replyTo" if way == "gateway" else "reply-to"] == "501"
    assert call.message == ""


def test_what_cannot_be_quoted_is_sent_without(aap: Run, spool: Spool, gateway: Gateway) -> None:
    done = aap("reply", spool.deliver(bodies.steered()), "hello", "--reply-to")
    assert (done.returncode, len(gateway.delivered)) == (0, 1)
    assert "without quoting" in done.stderr


def test_a_text_too_long_for_a_command_goes_through_the_gateway_only(
    aap: Run, spool: Spool, message: str, gateway: Gateway, command: Path
) -> None:
    long = "ä" * 70_000
    assert aap("reply", message, "-", stdin=long).returncode == 0
    gateway.server.shutdown()
    gateway.server.server_close()
    done = aap("reply", message, "-", stdin=f"{long}!")
    assert done.returncode == 1
    assert "too long for the command openclaw (128 KiB)" in done.stderr
    assert [text for *_, text in gateway.delivered] == [long]


def test_a_handled_message_can_still_be_answered(
    aap: Run, spool: Spool, message: str, gateway: Gateway
) -> None:
    spool.settle(message)
    assert aap("reply", message[:8], "one more thing").returncode == 0
    assert spool.find(message).state is State.DONE


def test_no_secret_is_printed_or_noted(
    aap: Run, spool: Spool, message: str, gateway: Gateway
) -> None:
    gateway.next("refused")
    done = aap("reply", message, "hello", "--json", AAP_DEBUG="1")
    assert "chat not found" in done.stderr
    assert gateway.token not in done.stdout + done.stderr + json.dumps(spool.notes(message))


# No way out


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (bodies.plain(), "does not say which chat"),
        (bodies.plain(user="bob"), 'came by "openai"'),
        (bodies.webchat(), 'came by "webchat"'),
        (b'{"agent_id": "other", "prompt": "hello"}', 'came by "a2a"'),
    ],
    ids=["nobody", "openai", "webchat", "a2a"],
)
def test_who_has_no_messenger_cannot_be_answered(
    aap: Run, spool: Spool, gateway: Gateway, body: bytes, said: str
) -> None:
    message = spool.deliver(body)
    done = aap("reply", message, "hello")
    assert done.returncode == 1
    assert said in done.stderr
    assert gateway.calls == []
    assert spool.notes(message) == []


def test_a_client_that_names_a_channel_and_a_target_is_answered_there(
    aap: Run, spool: Spool, gateway: Gateway
) -> None:
    message = spool.deliver(bodies.plain(channel="signal", target="+4917000"))
    assert aap("reply", message, "hello").returncode == 0
    assert gateway.delivered == [("signal", "+4917000", "hello")]


@pytest.mark.parametrize(
    ("words", "stdin", "code", "said"),
    [
        ((), "", 2, "nothing to send"),
        (("",), "", 2, "the text is empty"),
        (("-",), "\n \n", 2, "the text is empty"),
        (("-",), "a\0b", 2, "NUL"),
        (("x", "--media", "/nowhere"), "", 2, "/nowhere cannot be sent"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is_noted(
    aap: Run, spool: Spool, message: str, gateway: Gateway, words: Any, stdin: str, code: int,
    said: str,
) -> None:  # fmt: skip
    done = aap("reply", message, *words, stdin=stdin)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    assert gateway.calls == spool.notes(message) == []


def test_an_unknown_message_is_not_found(aap: Run, spool: Spool, gateway: Gateway) -> None:
    assert aap("reply", "zzz", "hello").returncode == 5


def test_replies_can_be_switched_off(aap: Run, message: str, gateway: Gateway) -> None:
    done = aap("reply", message, "hello", AAP_DELIVERY="none")
    assert done.returncode == 78
    assert gateway.calls == []


# Once


def test_the_same_text_goes_out_once(
    aap: Run, spool: Spool, message: str, gateway: Gateway
) -> None:
    assert aap("reply", message, "hello").returncode == 0
    again = aap("reply", message, "hello\n", "--json")
    assert again.returncode == 0
    answer = json.loads(again.stdout)
    assert (answer["state"], answer["repeat"]) == ("sent", True)
    assert aap("reply", message, "hello", "--again").returncode == 0
    assert [text for *_, text in gateway.delivered] == ["hello", "hello"]
    assert len(replies_of(spool, message)) == 2


def test_several_replies_to_a_long_task_are_normal(
    aap: Run, spool: Spool, message: str, gateway: Gateway
) -> None:
    other = spool.deliver(bodies.direct("something else"))
    for text in ("I look into it", "half done", "done"):
        assert aap("reply", message, text).returncode == 0
    assert aap("reply", other, "done").returncode == 0
    assert [text for *_, text in gateway.delivered] == [
        "I look into it", "half done", "done", "done",
    ]  # fmt: skip


def test_what_failed_may_simply_be_sent_again(
    aap: Run, spool: Spool, message: str, gateway: Gateway
) -> None:
    gateway.next("refused")
    first = aap("reply", message, "hello")
    assert first.returncode == 1
    assert "chat not found" in first.stderr
    assert aap("reply", message, "hello").returncode == 0
    assert replies_of(spool, message) == [("failed", "hello"), ("sent", "hello")]


@pytest.mark.parametrize("way", ["gateway", "command"])
def test_half_a_delivery_is_no_failure_and_not_repeated(
    aap: Run, spool: Spool, message: str, chat: Chat, request: Any, way: str
) -> None:
    request.getfixturevalue(way)
    chat.next("partial")
    for _ in range(2):
        done = aap("reply", message, "hello", "--json")
        assert (done.returncode, json.loads(done.stdout)["state"]) == (1, "partial")
        assert "only a part of it arrived" in done.stderr
    assert len(chat.calls) == 1
    assert aap("reply", message, "hello", "--again").returncode == 0
    assert replies_of(spool, message) == [("partial", "hello"), ("sent", "hello")]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["gateway", "command"])
@pytest.mark.parametrize("outcome", ["lost", "hang"])
def test_what_may_have_arrived_is_not_repeated(
    aap: Run, spool: Spool, message: str, chat: Chat, request: Any, way: str, outcome: str
) -> None:
    request.getfixturevalue(way)
    chat.next(outcome)
    for _ in range(2):
        done = aap("reply", message, "hello", "--json")
        assert (done.returncode, json.loads(done.stdout)["state"]) == (1, "unknown")
        assert "perhaps sent, nobody knows" in done.stderr
    assert len(chat.calls) == 1
    assert aap("reply", message, "hello", "--again").returncode == 0
    assert replies_of(spool, message) == [("unknown", "hello"), ("sent", "hello")]


def test_a_gateway_that_fails_in_the_middle_does_not_make_the_command_send_too(
    aap: Run, message: str, gateway: Gateway, command: Path
) -> None:
    gateway.next("down")
    assert aap("reply", message, "hello", "--json").returncode == 1
    assert [call.via for call in gateway.calls] == ["http"]


@pytest.mark.slow
def test_ten_at_once_send_one(aap: Run, message: str, gateway: Gateway, spool: Spool) -> None:
    with ThreadPoolExecutor(10) as pool:
        runs = list(pool.map(lambda _: aap("reply", message, "hello", "--json"), range(10)))
    assert [run.returncode for run in runs] == [0] * 10
    assert sorted(json.loads(run.stdout)["repeat"] for run in runs) == [False] + [True] * 9
    assert len(gateway.calls) == 1
    assert replies_of(spool, message) == [("sent", "hello")]


def test_a_sender_that_is_killed_leaves_a_perhaps(
    aap: Run, spool: Spool, message: str, gateway: Gateway, programs: Path
) -> None:
    gateway.next("hang")
    words = [*AAP, "reply", message, "hello"]
    env = environment(PATH=f"{programs}:/usr/bin:/bin")
    sender = subprocess.Popen(words, env=env, start_new_session=True)
    wait_until(lambda: gateway.calls, what="the gateway to be asked")
    # Written down before the first byte left.
    assert [note["state"] for note in spool.notes(message)] == ["sending"]
    os.killpg(sender.pid, signal.SIGKILL)
    sender.wait()
    done = aap("reply", message, "hello", "--json")
    assert (done.returncode, json.loads(done.stdout)["state"]) == (1, "unknown")
    assert len(gateway.calls) == 1
    assert aap("reply", message, "another text").returncode == 0


@pytest.mark.slow
def test_while_one_is_being_sent_another_text_waits_its_turn(
    aap: Run, message: str, gateway: Gateway
) -> None:
    gateway.next("hang", "ok")
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(aap, "reply", message, "first")
        wait_until(lambda: gateway.calls, what="the gateway to be asked")
        quick = pool.submit(aap, "reply", message, "second")
        assert (slow.result().returncode, quick.result().returncode) == (1, 0)
    assert [call.message for call in gateway.calls] == ["first", "second"]
    assert gateway.calls[1].at - gateway.calls[0].at > 1.5


def test_a_full_disk_sends_nothing(aap: Run, spool: Spool, message: str, gateway: Gateway) -> None:
    (spool.root / "notes" / f"{message}.jsonl").symlink_to("/dev/full")
    assert aap("reply", message, "hello").returncode != 0
    assert gateway.calls == []


def test_show_tells_what_was_sent(aap: Run, message: str, gateway: Gateway) -> None:
    aap("reply", message, "hello Ann")
    shown = aap("inbox", "show", message).stdout
    assert "reply: sending: hello Ann" in shown
    assert "reply: sent" in shown
