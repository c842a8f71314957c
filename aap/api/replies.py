"""What is answered at once, in OpenAI's two dialects, whole or as a stream of events.

The text is an acknowledgement; the agent's words go out by the message's own
channel. Usage is always 0: OpenClaw starts to compact its history, and has lost a
message over it, when an honest estimate comes near the model's window.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aap.message import id_time

JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"
ACKNOWLEDGEMENT = "Received. The answer follows as a separate message."

_encode = msgspec.json.Encoder().encode


class Said(msgspec.Struct, frozen=True):
    """What a reply is made of: ids, the model as the client named it, the words."""

    id: str
    created: int
    model: str
    text: str
    stream: bool = False
    with_usage: bool = False


def say(message_id: str, model: str, text: str, *, stream: bool, with_usage: bool) -> Said:
    """Prepare the reply to a message that was stored, or that was told apart as internal."""
    return Said(message_id, int(id_time(message_id)), model, text, stream, with_usage)


# Chat completions


class Usage(msgspec.Struct):
    """Tokens; none were used."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class ChatMessage(msgspec.Struct):
    """The assistant's turn."""

    content: str
    role: str = "assistant"
    refusal: None = None


class Choice(msgspec.Struct):
    """The only choice."""

    message: ChatMessage
    index: int = 0
    logprobs: None = None
    finish_reason: str = "stop"


class ChatCompletion(msgspec.Struct):
    """The reply to `POST /v1/chat/completions`."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    object: str = "chat.completion"


class ChatChunk(msgspec.Struct):
    """One event of a streamed chat completion. `usage` is there only where it was asked for."""

    id: str
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: Usage | msgspec.UnsetType | None = msgspec.UNSET
    object: str = "chat.completion.chunk"


def chat(said: Said) -> bytes:
    """Return the body of a chat completion, streamed or not."""
    chat_id = f"chatcmpl-{said.id}"
    if said.stream:
        return _chat_stream(said, chat_id)
    choices = [Choice(ChatMessage(said.text))]
    return _encode(ChatCompletion(chat_id, said.created, said.model, choices, Usage()))


def _chat_stream(said: Said, chat_id: str) -> bytes:
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    if said.text:
        deltas.append(({"content": said.text}, None))
    deltas.append(({}, "stop"))
    choices = [
        [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        for delta, finish in deltas
    ]
    none = None if said.with_usage else msgspec.UNSET
    chunks = [ChatChunk(chat_id, said.created, said.model, choice, none) for choice in choices]
    if said.with_usage:
        chunks.append(ChatChunk(chat_id, said.created, said.model, [], Usage()))
    events = [b"data: " + _encode(chunk) for chunk in chunks]
    return b"\n\n".join([*events, b"data: [DONE]", b""])


# Responses


class OutputText(msgspec.Struct):
    """A part of an output message."""

    text: str
    type: str = "output_text"
    annotations: list[Any] = []
    logprobs: list[Any] = []


class OutputMessage(msgspec.Struct):
    """The assistant's turn."""

    id: str
    content: list[OutputText]
    status: str = "completed"
    type: str = "message"
    role: str = "assistant"


class InputDetails(msgspec.Struct):
    """Nothing was read from a cache, nor written to one."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(msgspec.Struct):
    """Nobody reasoned."""

    reasoning_tokens: int = 0


class ResponseUsage(msgspec.Struct):
    """Tokens; none were used."""

    input_tokens: int = 0
    input_tokens_details: InputDetails = msgspec.field(default_factory=InputDetails)
    output_tokens: int = 0
    output_tokens_details: OutputDetails = msgspec.field(default_factory=OutputDetails)
    total_tokens: int = 0


class Response(msgspec.Struct):
    """The reply to `POST /v1/responses`."""

    id: str
    created_at: int
    model: str
    status: str
    output: list[OutputMessage]
    usage: ResponseUsage | None = None
    object: str = "response"
    error: None = None
    incomplete_details: None = None
    instructions: None = None
    metadata: dict[str, str] = {}
    parallel_tool_calls: bool = True
    previous_response_id: None = None
    temperature: None = None
    tool_choice: str = "auto"
    tools: list[Any] = []
    top_p: None = None


def response(said: Said) -> bytes:
    """Return the body of a response, streamed or not."""
    if said.stream:
        return _response_stream(said)
    return _encode(_completed(said))


def _message(said: Said, status: str, content: list[OutputText]) -> OutputMessage:
    return OutputMessage(f"msg_{said.id}", content, status)


def _completed(said: Said) -> Response:
    output = [_message(said, "completed", [OutputText(said.text)])]
    return _response(said, "completed", output, ResponseUsage())


def _response(
    said: Said, status: str, output: list[OutputMessage], usage: ResponseUsage | None = None
) -> Response:
    return Response(f"resp_{said.id}", said.created, said.model, status, output, usage)


def _response_stream(said: Said) -> bytes:
    begun = {"response": _response(said, "in_progress", [])}
    item = {"output_index": 0, "item": _message(said, "in_progress", [])}
    place = {"item_id": f"msg_{said.id}", "output_index": 0, "content_index": 0}
    done = _completed(said)
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", begun),
        ("response.in_progress", begun),
        ("response.output_item.added", item),
        ("response.content_part.added", {**place, "part": OutputText("")}),
    ]
    if said.text:
        delta = {**place, "delta": said.text, "logprobs": []}
        events.append(("response.output_text.delta", delta))
    events += [
        ("response.output_text.done", {**place, "text": said.text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": OutputText(said.text)}),
        ("response.output_item.done", {"output_index": 0, "item": done.output[0]}),
        ("response.completed", {"response": done}),
    ]
    return b"".join(_event(number, *event) for number, event in enumerate(events))


def _event(number: int, name: str, fields: dict[str, Any]) -> bytes:
    data = _encode({"type": name, "sequence_number": number, **fields})
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


# From agent to agent


class AgentReply(msgspec.Struct):
    """The reply to `POST /agent-inbox`; all but `id` as older clients know it."""

    id: str
    agent_id: str | None
    reply_instruction: str | None = None
    system_instruction: str | None = None
    status: str = "ok"
    reply: str = ""


encode = _encode
