"""Requests that OpenClaw sends for itself.

Telling them apart is a promise to people: what is not surely OpenClaw's own
request is a message. A kind is named only when the body is OpenClaw's, carries
that kind's own words where no human's can stand, and no chat is named. All else,
every unknown layout too, is a message, and at worst wakes the agent for nothing.

Layout seen: 2026.9.6. A human's text there always follows a stamp, and a
channel's comes with a context block that names the chat.
"""

from __future__ import annotations

import re

from aap.bodies import openclaw
from aap.bodies.parts import Body, string

HEARTBEAT, SYSTEM_EVENT, CRON, SKILL_REVIEW = "heartbeat", "system-event", "cron", "skill-review"
DREAMING, MEMORY_FLUSH, COMPACTION = "dreaming", "memory-flush", "compaction"
TITLE, SLUG, BOOT, PROBE = "title", "slug", "boot", "probe"

KINDS = (
    HEARTBEAT, SYSTEM_EVENT, CRON, SKILL_REVIEW, DREAMING, MEMORY_FLUSH,
    COMPACTION, TITLE, SLUG, BOOT, PROBE,
)  # fmt: skip

SUMMARIZER = "You are a context summarization assistant."
TITLER = "Generate a concise session title"
PROBE_TEXT = "Reply with OK. Do not use tools."
SLUG_TEXT = "generate a short 1-2 word filename slug"
_HEARTBEAT_TEXT = "Follow the heartbeat monitor scratch context when provided."
_REMINDER_TEXT = "A scheduled reminder has been triggered."
_FLUSH_TEXT = "Pre-compaction memory flush."
_BOOT_TEXT = "You are running a boot check."
_DREAM_TEXT = "You are keeping a dream diary"

_CRON = re.compile(r"\[cron:[0-9a-f-]{36} ([^\]\n]{1,200})\] ")
_CLOCK = "\nReference UTC: "
_CLOCK_LINE = re.compile(
    r"\nCurrent time: [^\n]{1,100}\nReference UTC: [0-9: -]{10,20}(?: UTC)?\s*\Z"
)
_CLOCK_CHARS = 200
_HEAD_CHARS = 200
_PROBE_TOKENS = 8


def kind_of(body: Body) -> str | None:
    """Return the kind of a request that no human sent; None for a message."""
    if body.fields.get("stream") is not True or "user" in body.fields or "metadata" in body.fields:
        return None  # OpenClaw always streams, and sends neither
    if not openclaw.has_sign(body):
        is_bare = not body.fields.get("tools") and _has_openclaws_fields(body)
        return _bare_kind(body) if is_bare else None
    reading = openclaw.Reading(body)
    if reading.context or reading.meta.get("chat_id"):
        return None
    return _prompt_kind(reading)


def _bare_kind(body: Body) -> str | None:
    """Name a request without tools and without OpenClaw's own system prompt."""
    if len(body.user_turns) != 1 or any(turn.role not in {"system", "user"} for turn in body.turns):
        return None
    text = body.user_turns[0].text
    if body.system.startswith(TITLER):
        return TITLE
    if body.system.startswith(SUMMARIZER) and text.startswith("<conversation>"):
        return COMPACTION
    if not body.system and text.strip() == PROBE_TEXT and _asks_few_tokens(body):
        return PROBE
    if SLUG_TEXT in text[:_HEAD_CHARS] and "\nConversation summary:\n" in text[:1000]:
        return SLUG
    return None


def _has_openclaws_fields(body: Body) -> bool:
    """Whether the fields around the turns are those that OpenClaw always sends."""
    fields = body.fields
    if "input" in fields:
        return fields.get("store") is False and "max_output_tokens" in fields
    return "stream_options" in fields and "max_completion_tokens" in fields


def _prompt_kind(reading: openclaw.Reading) -> str | None:
    """Name a request that has OpenClaw's system prompt and names no chat."""
    words = openclaw.unwrap(reading.newest.text)
    if words.sender or _holds_stamp(words.text):
        return None
    if words.is_stamped:
        return _stamped_kind(reading, words.text)
    cron = _CRON.match(words.text)
    if cron and _CLOCK in words.text:
        return SKILL_REVIEW if cron[1].startswith("skill-collection-review-") else CRON
    if _CLOCK_LINE.search(words.text[-_CLOCK_CHARS:]):
        return _timed_kind(reading, words.text)
    return _own_session_kind(reading, words.text)


def _timed_kind(reading: openclaw.Reading, text: str) -> str | None:
    """Name a prompt that ends with the lines OpenClaw puts below its own: the time, twice."""
    if text.startswith(_HEARTBEAT_TEXT):
        return SYSTEM_EVENT if _has_event(reading) else HEARTBEAT
    if text.startswith(_REMINDER_TEXT):
        return CRON
    if text.startswith(_FLUSH_TEXT):
        return MEMORY_FLUSH
    return _own_session_kind(reading, text)


def _stamped_kind(reading: openclaw.Reading, text: str) -> str | None:
    """Name what is stamped like a human's text; only its session tells that none wrote it."""
    return None if reading.meta else _own_session_kind(reading, text)


def _own_session_kind(reading: openclaw.Reading, text: str) -> str | None:
    """Name a prompt by the session that OpenClaw opens for that one purpose."""
    if text.startswith(_BOOT_TEXT) and ":boot:" in reading.session:
        return BOOT
    if (
        SLUG_TEXT in text[:_HEAD_CHARS]
        and not reading.meta
        and not reading.body.fields.get("tools")
    ):
        return SLUG
    if text.startswith(_DREAM_TEXT) and not reading.meta and not _is_chat(reading.session):
        return DREAMING
    return None


def _is_chat(session: str) -> bool:
    """Whether people write in this session: the main one, the web chat's, a group's."""
    return ":dream" not in session and session.startswith("agent:")


def _holds_stamp(text: str) -> bool:
    """Whether a human's stamped text follows: an old turn is replayed in front of a new one."""
    at = text.find("\n[")
    while at >= 0:
        if openclaw.is_stamp_at(text, at + 1):
            return True
        at = text.find("\n[", at + 1)
    return False


def _has_event(reading: openclaw.Reading) -> bool:
    blocks = (turn.text for turn in reading.body.user_turns if openclaw.is_block(turn.text))
    return any("System: [" in text for text in blocks)


def _asks_few_tokens(body: Body) -> bool:
    limits = ("max_completion_tokens", "max_output_tokens")
    return any(string(body.fields.get(limit)) == str(_PROBE_TOKENS) for limit in limits)
