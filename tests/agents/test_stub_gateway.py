"""The stub of the gateway keeps OpenClaw's manners, over HTTP and as a command."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.gateway import Gateway, write_command


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "chat") as gateway:
        yield gateway


def post(gateway: Gateway, text: str, token: str = "gateway-token") -> tuple[int, Any]:
    args = {"channel": "telegram", "target": "telegram:42", "message": text}
    body = json.dumps({"tool": "message", "action": "send", "args": args})
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=5)
    try:
        connection.request("POST", "/tools/invoke", body, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def command(gateway: Gateway, text: str) -> tuple[int, str]:
    program = write_command(gateway.folder / "bin", gateway.folder)
    where = ["--channel", "telegram", "--target", "telegram:42"]
    words = [program, "message", "send", *where, "--message", text, "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_both_ways_reach_the_same_chat(gateway: Gateway) -> None:
    status, answer = post(gateway, "one")
    code, printed = command(gateway, "-two")
    assert (status, answer["ok"], code) == (200, True, 0)
    assert json.loads(printed)["messageId"] == gateway.calls[1].id
    chat = ("telegram", "telegram:42")
    assert gateway.delivered == [(*chat, "one"), (*chat, "-two")]
    assert [call.via for call in gateway.calls] == ["http", "command"]


def test_failures_come_in_the_order_of_the_script(gateway: Gateway) -> None:
    gateway.next("refused", "partial", "down", "partial", "refused")
    assert [post(gateway, text)[0] for text in ("a", "b", "c")] == [400, 400, 500]
    answers = [command(gateway, text) for text in ("d", "e")]
    assert [code for code, _ in answers] == [1, 1]
    kinds = [json.loads(printed)["error"]["type"] for _, printed in answers]
    assert kinds == ["CHANNEL_PARTIAL_DELIVERY", "tool_error"]
    assert [message for *_, message in gateway.delivered] == ["b", "d"]


def test_what_was_delivered_may_go_without_an_answer(gateway: Gateway) -> None:
    gateway.next("lost", "lost")
    with pytest.raises(http.client.RemoteDisconnected):
        post(gateway, "first")
    assert command(gateway, "second") == (-9, "")
    assert len(gateway.delivered) == 2


def test_a_wrong_token_reaches_nobody(gateway: Gateway) -> None:
    status, answer = post(gateway, "hello", token="wrong")
    assert (status, answer["error"]["type"], gateway.unauthorized) == (401, "unauthorized", 1)
    assert gateway.calls == []
