"""Bodies of plain OpenAI clients, and of agents that write to each other."""

from __future__ import annotations

from typing import Any

from aap.bodies import media
from aap.bodies.parts import Body, Turn, clean, first, identity, line, mapping, string
from aap.message import Conversation, Digest

_TARGET = ("target", "target_id", "chat", "chat_id", "recipient", "to")
_THREAD = ("conversation_id", "context_id", "thread_id", "thread", "session_id")
_NO_TURN = Turn("", None)


def read_agent(body: Body) -> Digest:
    """Digest what another agent sent to /agent-inbox."""
    agent = string(body.fields.get("agent_id"))
    return Digest(
        text=clean(string(body.fields.get("prompt"))),
        conversation=Conversation("a2a", "", identity(agent)) if agent.strip() else None,
        source="a2a",
        sender=line(agent),
        sender_id=identity(agent),
        chat_type="direct",
    )


def read_plain(body: Body) -> Digest:
    """Digest a Chat Completions or Responses body of any client, or a foreign JSON file."""
    fields, metadata = body.fields, mapping(body.fields.get("metadata"))
    turn = newest(body)
    sender_id = first(metadata.get("sender_id"), metadata.get("user_id"), fields.get("user"))
    return Digest(
        text=clean(turn.text or _loose_text(fields)),
        conversation=_conversation(fields, metadata),
        source="openai" if body.turns else "",
        sender=line(first(metadata.get("sender"), metadata.get("sender_name"), sender_id)),
        sender_id=identity(sender_id),
        channel_message_id=identity(first(metadata.get("message_id"))),
        chat_type=line(first(metadata.get("chat_type"))),
        label=line(first(metadata.get("label"), metadata.get("conversation_label"))),
        model=line(fields.get("model")),
        attachments=media.describe(turn),
    )


def newest(body: Body) -> Turn:
    """Return the last user turn, or where there is none the last that is not the model's own."""
    if body.user_turns:
        return body.user_turns[-1]
    others = (turn for turn in reversed(body.turns) if turn.role not in {"assistant", "tool"})
    return next(others, _NO_TURN)


def _loose_text(fields: dict[str, Any]) -> str:
    return first(*(fields.get(key) for key in ("prompt", "text", "message", "content")))


def _conversation(fields: dict[str, Any], metadata: dict[str, Any]) -> Conversation | None:
    """Find the conversation that a client names, the plainest name first.

    `previous_response_id` is none: it differs with each turn.
    """
    sources = (_named(fields), _named(metadata), fields, metadata)
    channel = _pick(sources, "channel", "channel_id")
    chat = _pick(sources, *_TARGET) or _pick(sources, *_THREAD)
    user = _pick(sources, "user", "user_id")
    if not chat and user:
        chat = f"user:{user}"
    if not (chat or channel):
        return None
    account = _pick(sources, "account", "account_id")
    return Conversation(identity(channel or "openai"), identity(account), identity(chat))


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the `conversation` of OpenAI's API: an id, or an object that has one."""
    conversation = fields.get("conversation")
    if isinstance(conversation, str):
        return {"conversation_id": conversation}
    named = mapping(conversation)
    return {"conversation_id": named.get("id"), **named}


def _pick(sources: tuple[dict[str, Any], ...], *keys: str) -> str:
    return first(*(source.get(key) for source in sources for key in keys))
