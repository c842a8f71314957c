"""Bodies of OpenClaw: who wrote where, and the words without the wrapping.

Three things of OpenClaw's own carry the facts; headings around them change
with each version, so they are found by their marks and schemas:

- the inbound meta, JSON in the system prompt: channel, account, kind of chat;
- the context block, a user turn of its own near the end: chat, message id, sender;
- the stamp and the fence in front of each text that a human wrote.

A human can write all of these as well, but only behind the stamp: a turn that
starts with a mark of the context block is OpenClaw's. Layouts seen: 2026.8.2,
2026.9.6, and the meta of 2026.3 (v1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

from aap.bodies import media
from aap.bodies.parts import Body, Turn, clean, first, identity, line, mapping, read_json, string
from aap.message import Conversation, Digest

PROMPT_HEAD = "You are a personal assistant running inside OpenClaw"
ATTEMPT = "<!-- openclaw:attempt:"
_DYNAMIC = "<!-- openclaw:attempt:DYNAMIC -->"
SCHEMA = "openclaw.inbound_meta.v"
_HEAD_CHARS = 1000

_BLOCK = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>"
_BLOCK_PREAMBLE = "OpenClaw runtime context for "  # 2026.8.2
_PREAMBLE_CHARS = 2000
_MARK = "⟦openclaw:ctx⟧\n```json\n"
_HEADING_CHARS = 200
_MAX_SECTIONS = 50  # an error of the JSON reader costs a pass over the text

_STAMP = re.compile(r"\[[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? [^\]\n]{1,40}\] ")
_RUNTIME = "Runtime: agent="
_SESSION = re.compile(r"\| session=([^|\s]{1,400})")
_NO_TURN = Turn("", None)


class Words(NamedTuple):
    """A user turn taken apart: the human's text, whether it was stamped, and who wrote it."""

    text: str
    is_stamped: bool
    sender: dict[str, Any]


class Reading:
    """What OpenClaw says of a body around the human's words."""

    def __init__(self, body: Body) -> None:
        self.body = body

    @cached_property
    def meta(self) -> dict[str, Any]:
        """The inbound meta of the system prompt, or {}."""
        return _find_meta(self.body.system)

    @cached_property
    def context(self) -> dict[str, Any]:
        """The newest context block that names a chat, or {}."""
        blocks = (_read_block(turn.text) for turn in reversed(self.body.user_turns))
        return next((block for block in blocks if first(block.get("chat_id"))), {})

    @cached_property
    def newest(self) -> Turn:
        """The newest user turn that is not a context block; steering comes after the block."""
        turns = reversed(self.body.user_turns)
        return next((turn for turn in turns if not is_block(turn.text)), _NO_TURN)

    @cached_property
    def is_steered(self) -> bool:
        """Whether the newest words came after the context block, which speaks of older ones."""
        if not self.body.user_turns or self.body.user_turns[-1] is not self.newest:
            return False
        return any(is_block(turn.text) for turn in self.body.user_turns)

    @cached_property
    def session(self) -> str:
        """The session key of the runtime line, which is in the system prompt or the first turn."""
        texts = [self.body.system]
        texts += [turn.text for turn in self.body.user_turns if not is_block(turn.text)][:1]
        for text in texts:
            match = _SESSION.search(_runtime_line(text))
            if match:
                return match[1]
        return ""


def has_sign(body: Body) -> bool:
    """Whether the system prompt is OpenClaw's."""
    head = body.system[:_HEAD_CHARS]
    return ATTEMPT in head or PROMPT_HEAD in head or SCHEMA in body.system


def is_block(text: str) -> bool:
    """Whether the text of a user turn is a context block of OpenClaw's own."""
    if text.startswith(_BLOCK):
        return True
    return text.startswith(_BLOCK_PREAMBLE) and _BLOCK in text[:_PREAMBLE_CHARS]


def unwrap(text: str) -> Words:
    """Take stamp, fence and runtime line off a user turn; the human's text stays as it is."""
    stamp = _STAMP.match(text)
    if stamp:
        text = text[stamp.end() :]
    sender: dict[str, Any] = {}
    fence, end = _read_fence(text)
    if "sender" in fence:
        sender, text = mapping(fence["sender"]), text[end:].removeprefix("\n\n")
    return Words(_strip_runtime(text), stamp is not None, sender)


def is_stamp_at(text: str, start: int) -> bool:
    """Whether a human's stamp begins at `start`."""
    return _STAMP.match(text, start) is not None


def read(body: Body) -> Digest:
    """Digest a body of OpenClaw's."""
    reading = Reading(body)
    meta, context = reading.meta, reading.context
    words = unwrap(reading.newest.text)
    sender = words.sender or mapping(context.get("sender"))
    message_id = "" if reading.is_steered else first(context.get("message_id"))
    return Digest(
        text=clean(words.text),
        conversation=_conversation(reading),
        source="openclaw",
        sender=line(first(sender.get("name"), sender.get("username"), sender.get("id"))),
        sender_id=identity(first(sender.get("id"))),
        channel_message_id=identity(message_id),
        chat_type=_chat_type(meta, context),
        label=_label(context),
        model=line(body.fields.get("model")),
        attachments=media.describe(reading.newest),
    )


def _conversation(reading: Reading) -> Conversation | None:
    meta, context = reading.meta, reading.context
    channel = first(meta.get("channel"), meta.get("provider"))
    chat = first(context.get("chat_id"), meta.get("chat_id"))
    if channel == "webchat":
        # A channel's direct chats share one session; the web chat's sessions are its chats.
        chat = reading.session
    if not chat:
        return None
    if not channel:
        prefix, colon, _ = chat.partition(":")
        channel = prefix if colon and prefix.isalnum() else "openclaw"
    return Conversation(identity(channel), identity(first(meta.get("account_id"))), identity(chat))


def _chat_type(meta: dict[str, Any], context: dict[str, Any]) -> str:
    if context.get("is_group_chat") is True:
        return "group"
    return line(meta.get("chat_type"))


def _label(context: dict[str, Any]) -> str:
    label = line(first(context.get("group_subject"), context.get("conversation_label")))
    topic = line(context.get("topic_id"))
    return f"{label} topic {topic}".strip() if topic else label


def _find_meta(system: str) -> dict[str, Any]:
    """Read the first meta of the dynamic part; the owner's files, which may quote one, precede."""
    at = system.find('"' + SCHEMA, max(0, system.find(_DYNAMIC)))
    brace = at
    for _ in range(8):  # `schema` is the first key today; it need not stay so
        brace = system.rfind("{", 0, brace)
        if brace < 0:
            break
        meta, end = read_json(system, brace)
        if isinstance(meta, dict) and end > at:
            return meta
    return {}


def _read_block(text: str) -> dict[str, Any]:
    """Return the conversation info of a context block, or {}.

    2026.9.6 wraps each section into a JSON string, 2026.8.2 does not. Sections
    that follow it quote what people wrote: the first one counts.
    """
    if not is_block(text):
        return {}
    start = text.find(_BLOCK) + len(_BLOCK)
    mark = text.find(_MARK, start)  # with true newlines: no quoted section can hold one
    if mark >= 0:
        return mapping(read_json(text, mark + len(_MARK))[0])
    infos = (_read_fence(section)[0] for section in _quoted(text, start))
    return next((info for info in infos if info), {})


def _quoted(text: str, start: int) -> Iterator[str]:
    """Yield the lines of a block that are JSON strings, decoded."""
    for _ in range(_MAX_SECTIONS):
        at = text.find('\n"', start)
        if at < 0:
            return
        section, end = read_json(text, at + 1)
        start = max(end, at + 2)
        yield string(section)


def _read_fence(text: str) -> tuple[dict[str, Any], int]:
    """Read a heading, the mark and the JSON of its fence; return it and where the fence ends."""
    mark = text.find(_MARK, 0, _HEADING_CHARS)
    if mark < 0 or "\n" in text[:mark]:
        return {}, 0
    value, end = read_json(text, mark + len(_MARK))
    if not isinstance(value, dict) or not text.startswith("\n```", end):
        return {}, 0
    return value, end + len("\n```")


def _runtime_line(text: str) -> str:
    """Return OpenClaw's last runtime line, or ""."""
    at = text.rfind("\n" + _RUNTIME) + 1
    if not at:
        return ""
    end = text.find("\n", at)
    return (text[at:] if end < 0 else text[at:end]).rstrip()


def _strip_runtime(text: str) -> str:
    """Take the runtime line off if it is the last one, and truly OpenClaw's."""
    runtime, stripped = _runtime_line(text), text.rstrip()
    if not (runtime and _SESSION.search(runtime) and stripped.endswith(runtime)):
        return text
    return stripped.removesuffix(runtime).removesuffix("\n\n")
