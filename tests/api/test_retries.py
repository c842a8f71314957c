"""A client's retry is answered with the first id and stored once; a new message never is one."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from aap.api.retries import Known, Retry
from aap.config import keys_file
from aap.config.keys import add_key
from aap.inbox import Entry, Spool
from aap.message import IdClock, Name, State
from tests.api.conftest import CHAT, HELLO, Api, StartApi

OTHER = {**HELLO, "messages": []}


@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
def test_the_same_key_and_body_is_stored_once(api: Api, path: str) -> None:
    first = api.post(HELLO, path, idempotency_key="k1")
    again = api.post(HELLO, path, idempotency_key="k1")
    assert (first.status, again.status) == (200, 200)
    assert first.id == again.id == api.ids[0]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert again.body == first.body
    assert len(api.inbox) == 1


def test_a_replay_can_be_streamed(api: Api) -> None:
    body = {**HELLO, "stream": True}
    first = api.post(body, idempotency_key="k1")
    assert api.post(body, idempotency_key="k1").body == first.body


def test_the_same_key_with_another_body_is_a_422(api: Api) -> None:
    api.post(HELLO, idempotency_key="k1")
    reply = api.post(OTHER, idempotency_key="k1")
    assert (reply.status, reply.error["code"]) == (422, "idempotency_key_reused")
    assert len(api.inbox) == 1


@pytest.mark.parametrize("body", [HELLO, OTHER], ids=["same body", "other body"])
def test_what_another_client_sent_is_no_repetition(start_api: StartApi, body: Any) -> None:
    for name in ("phone", "laptop"):
        add_key(keys_file(), name, f"aap_{name}")
    api = start_api(A2A_KEY="secret")
    sent = {
        "aap_phone": (HELLO, CHAT),
        "aap_laptop": (body, CHAT),
        "secret": (body, "/agent-inbox"),
    }

    def send_all() -> list[str]:
        known = {key: {"authorization": f"Bearer {key}", "idempotency_key": "k1"} for key in sent}
        return [api.post(*what, **known[key]).id for key, what in sent.items()]

    first = send_all()
    assert len(set(first)) == 3
    assert send_all() == first
    api.stop()
    api = start_api(A2A_KEY="secret")
    assert send_all() == first
    assert api.ids == first


def test_other_keys_and_no_keys_are_other_messages(api: Api) -> None:
    ids = {api.post(idempotency_key="k1").id, api.post(idempotency_key="k2").id}
    ids |= {api.post().id, api.post().id}
    assert len(ids) == len(api.inbox) == 4


def test_a_key_of_unreasonable_length_is_a_400(api: Api) -> None:
    assert api.post(idempotency_key="k" * 255).status == 200
    assert api.post(idempotency_key="k" * 256).status == 400
    assert len(api.inbox) == 1


@pytest.mark.parametrize("state", list(State))
def test_a_retry_is_known_wherever_the_message_is_by_now(api: Api, state: State) -> None:
    first = api.post(idempotency_key="k1")
    entry = api.spool.find(first.id)
    entry.path.rename(api.spool.folder(state) / f"{first.id}+3.json")
    assert api.post(idempotency_key="k1").id == first.id
    assert len(api.inbox) == 1


@pytest.mark.slow
def test_a_retry_is_known_after_a_restart(start_api: StartApi) -> None:
    api = start_api()
    first = api.post(idempotency_key="k1")
    api.stop()
    api = start_api()
    assert api.post(idempotency_key="k1").id == first.id


class _DeletedMeanwhile(Spool):
    """A spool in which a message is deleted as soon as it was read."""

    def read(self, entry: Entry, limit: int | None = None) -> bytes:
        raw = super().read(entry, limit)
        self.remove(entry)
        return raw


def test_a_retry_is_known_while_the_message_is_deleted(tmp_path: Path) -> None:
    spool = _DeletedMeanwhile(tmp_path / "spool")
    spool.create()
    message_id = spool.deliver(b"{}", b"k1")
    assert asyncio.run(Known(spool).find(b"{}", Retry(b"k1"))) == message_id
    assert asyncio.run(Known(spool).find(b"{}", Retry(b"k1"))) is None


def test_after_24_hours_the_key_is_free(api: Api) -> None:
    old = _write(api, b"{}", age=24.1 * 3600, key=b"k1")
    young = _write(api, b"{}", age=23.9 * 3600, key=b"k2")
    assert api.post(b"{}", idempotency_key="k2").id == young
    assert api.post(b"{}", idempotency_key="k1").id not in {old, young}


def _write(api: Api, raw: bytes, age: float, key: bytes | None = None) -> str:
    clock = IdClock()
    clock._last = int((time.time() - age) * 1_000_000)
    real, time.time_ns = time.time_ns, lambda: 0
    try:
        message_id = clock.next(key or raw)
    finally:
        time.time_ns = real
    (api.spool.folder(State.DONE) / str(Name(message_id))).write_bytes(raw)
    return message_id


def test_an_sdks_retry_of_the_same_bytes_is_stored_once(api: Api) -> None:
    first = api.post()
    again = api.post(x_stainless_retry_count="1")
    assert again.id == first.id
    assert again.headers["idempotent-replayed"] == "true"
    assert api.post(OTHER, x_stainless_retry_count="1").id != first.id
    assert len(api.inbox) == 2


def test_an_older_equal_message_is_not_taken_for_an_sdks_retry(api: Api) -> None:
    raw = b'{"messages":["ok"]}'
    old = _write(api, raw, age=16 * 60)
    reply = api.post(raw, x_stainless_retry_count="1")
    assert reply.id != old
    assert reply.id in api.ids


@pytest.mark.parametrize("count", ["1", "01", "7" * 5000, "0" * 5000 + "1"])
def test_any_count_but_0_is_a_retry(api: Api, count: str) -> None:
    assert api.post(x_stainless_retry_count=count).id == api.ids[0]
    assert api.post(x_stainless_retry_count=count).id == api.ids[0]
    assert len(api.inbox) == 1


@pytest.mark.parametrize("count", ["0", "", "-1", "x", "²", "0" * 5000])
def test_what_is_no_retry_is_a_message(api: Api, count: str) -> None:
    first = api.post()
    reply = api.post(x_stainless_retry_count=count.encode("utf-8").decode("latin1"))
    assert reply.id != first.id


def test_a_person_who_says_the_same_again_is_heard_twice(api: Api) -> None:
    create = api.client().chat.completions.create
    messages = [{"role": "user", "content": "ok"}]
    ids = {create(model="aap", messages=messages).id for _ in range(3)}
    assert len(ids) == len(api.inbox) == 3


def test_duplicates_at_the_same_moment_are_stored_once(api: Api) -> None:
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: api.post(idempotency_key="k1"), range(64)))
    assert {reply.status for reply in replies} == {200}
    assert {reply.id for reply in replies} == set(api.ids)
    assert len(api.inbox) == 1
    assert sum("idempotent-replayed" not in reply.headers for reply in replies) == 1


def test_different_keys_at_the_same_moment_are_all_stored(api: Api) -> None:
    with ThreadPoolExecutor(16) as pool:
        keys = [f"k{number}" for number in range(64)]
        ids = list(pool.map(lambda key: api.post(idempotency_key=key).id, keys))
    assert sorted(ids) == sorted(api.ids)


class _LosesFirstAnswer(httpx.HTTPTransport):
    """A network that takes the request and loses the answer, once."""

    lost = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if not self.lost:
            self.lost = True
            response.close()
            raise httpx.ReadError("the connection broke", request=request)
        return response


@pytest.mark.slow
def test_the_sdks_own_retry_after_a_lost_answer_is_stored_once(api: Api) -> None:
    with httpx.Client(transport=_LosesFirstAnswer()) as http_client:
        client = api.client(max_retries=2, http_client=http_client)
        reply = client.responses.create(model="aap", input="hello")
    assert reply.id == f"resp_{api.ids[0]}"
    assert len(api.inbox) == 1


@pytest.mark.slow
def test_the_sdk_comes_back_when_the_inbox_was_full(start_api: StartApi) -> None:
    api = start_api(INBOX_MAX="1")
    first = api.post()
    with pytest.raises(openai.RateLimitError) as full:
        api.client().responses.create(model="aap", input="x")
    assert int(full.value.response.headers["retry-after"]) > 0
    api.spool.remove(api.spool.find(first.id))
    time.sleep(1.1)  # as long as a count of the inbox is believed
    assert api.post().status == 200
