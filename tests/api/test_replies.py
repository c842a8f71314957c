"""What clients get: the real SDK parses every reply, in both modes."""

from __future__ import annotations

import json

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.api.conftest import CHAT, HELLO, Api, StartApi
from tests.fixtures import bodies

MESSAGES = [{"role": "user", "content": "hello"}]


def events(body: bytes) -> list[dict[str, object]]:
    lines = [line for line in body.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line[6:]) for line in lines if line != "data: [DONE]"]


def test_a_chat_completion_is_parsed_and_names_the_message(api: Api) -> None:
    reply = api.client().chat.completions.create(model="aap", messages=MESSAGES)
    assert reply.choices[0].message.content == ""
    assert reply.choices[0].finish_reason == "stop"
    assert reply.id == f"chatcmpl-{api.ids[0]}"
    assert reply._request_id == api.ids[0]
    assert reply.model == "aap"
    assert reply.usage is not None
    assert reply.usage.total_tokens == 0


def test_a_streamed_chat_completion_has_role_finish_and_done(api: Api) -> None:
    stream = api.client().chat.completions.create(model="aap", messages=MESSAGES, stream=True)
    chunks = list(stream)
    assert [c.choices[0].delta.role for c in chunks] == ["assistant", None]
    assert [c.choices[0].finish_reason for c in chunks] == [None, "stop"]
    assert {c.id for c in chunks} == {f"chatcmpl-{api.ids[0]}"}
    body = api.post({**HELLO, "stream": True}).body
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_stream_tells_its_usage_where_it_is_asked_for(api: Api) -> None:
    chunks = list(
        api.client().chat.completions.create(
            model="aap", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert b"usage" not in api.post({**HELLO, "stream": True}).body


@pytest.mark.slow
def test_the_sdks_own_accumulators_take_the_streams(start_api: StartApi) -> None:
    api = start_api(REPLY="Queued.")
    with api.client().chat.completions.stream(model="aap", messages=MESSAGES) as chat:
        assert chat.get_final_completion().choices[0].message.content == "Queued."
    with api.client().responses.stream(model="aap", input="hello") as response:
        assert response.get_final_response().output_text == "Queued."


def test_a_response_is_parsed(api: Api) -> None:
    reply = api.client().responses.create(model="aap", input="hello")
    assert reply.status == "completed"
    assert reply.output_text == ""
    assert reply.id == f"resp_{api.ids[0]}"
    assert reply.usage is not None
    assert reply.usage.total_tokens == 0


@pytest.mark.parametrize("reply", ["empty", "Queued."])
def test_a_streamed_response_has_the_whole_sequence(start_api: StartApi, reply: str) -> None:
    api = start_api(REPLY=reply)
    found = list(api.client().responses.create(model="aap", input="hello", stream=True))
    delta = ["response.output_text.delta"] if reply == "Queued." else []
    assert [event.type for event in found] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *delta,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in found] == list(range(len(found)))
    assert found[-1].response.output_text == ("" if reply == "empty" else reply)


@pytest.mark.parametrize("reply", ["empty", 'with "quotes", \n newlines and ü'])
def test_every_object_has_all_that_openais_types_demand(start_api: StartApi, reply: str) -> None:
    api = start_api(REPLY=reply)
    usage = {"include_usage": True}
    ChatCompletion.model_validate(api.post().json, strict=True)
    for event in events(api.post({**HELLO, "stream": True, "stream_options": usage}).body):
        ChatCompletionChunk.model_validate(event)
    Response.model_validate(api.post({"input": "x"}, "/v1/responses").json)
    union = TypeAdapter(ResponseStreamEvent)
    for event in events(api.post({"input": "x", "stream": True}, "/v1/responses").body):
        union.validate_python(event)


def test_openclaw_gets_a_short_text_and_others_none(api: Api) -> None:
    said = api.post(bodies.direct()).body.decode()
    text = "".join(
        chunk["choices"][0]["delta"].get("content", "")
        for chunk in events(said.encode())
        if chunk["choices"]
    )
    assert 0 < len(text) < 120
    assert api.post().json["choices"][0]["message"]["content"] == ""


def test_models_are_listed_and_got(api: Api) -> None:
    client = api.client()
    assert [model.id for model in client.models.list()] == ["aap", "manager", "aap/main"]
    for name in ("aap", "manager", "aap/main"):
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


@pytest.mark.parametrize("model", ["aap", "manager", "aap/main", None])
def test_the_default_workspace_answers_to_all_its_names(api: Api, model: str | None) -> None:
    assert api.post({**HELLO, "model": model}).status == 200
    assert len(api.inbox) == 1


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/chat/completions", "/responses"])
def test_every_route_stores_the_bytes_that_came(api: Api, path: str) -> None:
    raw = b' {"model" :"aap",\r\n"a":1.10, "a":"\\u00fc", "b":"\xc3\xbc" }\n'
    assert api.post(raw, path).status == 200
    assert api.inbox == [raw]


def test_the_typed_errors_are_raised(start_api: StartApi) -> None:
    api = start_api(API_KEY="right", INBOX_MAX="1")
    create = api.client("right").chat.completions.create
    with pytest.raises(openai.AuthenticationError):
        api.client("wrong").chat.completions.create(model="aap", messages=MESSAGES)
    with pytest.raises(openai.NotFoundError):
        create(model="gpt-4o", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError):
        create(model="aap", messages=MESSAGES, stream_options=1)  # type: ignore[call-overload]
    create(model="aap", messages=MESSAGES)
    with pytest.raises(openai.RateLimitError):
        create(model="aap", messages=MESSAGES)
    assert len(api.inbox) == 1


def test_a_receipt_follows_the_message(api: Api) -> None:
    message_id = api.post().id
    receipt = api.ask("GET", f"/v1/messages/{message_id}").json
    assert (receipt["state"], receipt["attempts"], receipt["workspace"]) == ("inbox", 0, "main")
    api.spool.settle(message_id)
    assert api.ask("GET", f"/v1/messages/{message_id}").json["state"] == "done"
    assert api.ask("GET", f"/v1/messages/{message_id[:-1]}").status == 404


def test_a_receipt_says_what_happened_and_nothing_that_was_said(api: Api) -> None:
    message_id = api.post().id
    places = {"channel": "telegram", "target": "+15550100", "media": "/private.jpg"}
    words = {"text": "private words", "reason": "private words", "via": "private"}
    api.spool.note(message_id, event="reply", reply="r1", state="sending", **places, **words)
    api.spool.note(message_id, event="reply", reply="r1", state="sent", sent_id="private", **words)
    api.spool.fail(api.spool.find(message_id), "exit code 1: private words")
    receipt = api.ask("GET", f"/v1/messages/{message_id}")
    told = [(each["event"], each["state"]) for each in receipt.json["events"]]
    assert told == [("reply", "sending"), ("reply", "sent"), ("failed", None)]
    assert {name for each in receipt.json["events"] for name in each} == {"event", "time", "state"}
    assert b"private" not in receipt.body
    assert b"15550100" not in receipt.body


def test_a_receipt_survives_what_an_agent_wrote_in_the_notes(api: Api) -> None:
    message_id = api.post().id
    api.spool.note(message_id, event="first")
    odd = ["{}", '{"event": 5, "time": 1}', '{"event": "x", "time": NaN}', "{", "[1]"]
    odd += [
        '{"event": "Private words", "time": 1}',
        '{"event": "\\ud800", "time": 1}',
        '{"event": "x", "time": 1, "state": {}}',
    ]
    with (api.spool.root / "notes" / f"{message_id}.jsonl").open("a") as notes:
        notes.writelines(f"{line}\n" for line in odd)
    api.spool.note(message_id, event="last")
    receipt = api.ask("GET", f"/v1/messages/{message_id}")
    assert receipt.status == 200
    assert [each["event"] for each in receipt.json["events"]] == ["first", "last"]


def test_an_agent_can_write_with_its_key_in_the_body_or_the_head(start_api: StartApi) -> None:
    api = start_api(A2A_KEY="secret")
    body = {"agent_id": "a1", "prompt": "hi", "reply_instruction": "by mail"}
    with_key = {**body, "a2a_key": "secret"}
    reply = api.post(with_key, "/agent-inbox")
    assert reply.json["status"] == "ok"
    assert reply.json["id"] == api.ids[0]
    assert reply.json["agent_id"] == "a1"
    assert api.post(body, "/agent-inbox", authorization="Bearer secret").status == 200
    assert api.post(body, "/agent-inbox").status == 401
    assert api.post({**body, "a2a_key": "x"}, "/agent-inbox").status == 401
    assert len(api.inbox) == 2


def test_agents_have_no_inbox_without_a_key_for_them(api: Api) -> None:
    assert api.post({"agent_id": "a", "prompt": "x", "a2a_key": ""}, "/agent-inbox").status == 404
    assert api.inbox == []
