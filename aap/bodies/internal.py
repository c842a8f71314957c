"""Requests that OpenClaw sends for itself, and answers that do no harm.

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
from aap.bodies.parts import Body, clean, string

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
        return None if body.fields.get("tools") else _bare_kind(body)
    reading = openclaw.Reading(body)
    if reading.context or reading.meta.get("chat_id"):
        return None
    return _prompt_kind(reading)


def _bare_kind(body: Body) -> str | None:
    """Name a request without tools and without OpenClaw's own system prompt."""
    if not _has_openclaws_fields(body):
        return None
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


_WORD = re.compile(r"[^\W_]+")
_IDENTIFIER = re.compile(
    r"https?://[^\s\"<>]{1,200}|(?:/[\w.-]{2,60}){2,8}|\b[0-9A-Fa-f]{8,64}\b|\b\d{6,20}\b"
)
_SUMMARY_SECTIONS = (
    "## Decisions",
    "## Open TODOs",
    "## Constraints/Rules",
    "## Pending user asks",
    "## Exact identifiers",
)
_ASK_SECTIONS = {"## Pending user asks", "## Original Request", "## Goal"}
_TAIL_CHARS = 8000
_ASK_CHARS = 500
_TITLE_CHARS = 60


def reply(kind: str, body: Body | None) -> str:
    """Return a text that OpenClaw takes for an answer of this kind and shows to nobody.

    `NO_REPLY` is what its own prompts ask for where there is nothing to say. A
    title, a slug and a summary are used as they come, so they are made from
    the words they are for.
    """
    if kind == PROBE:
        return "OK"
    text = openclaw.Reading(body).newest.text if body else ""
    if kind == TITLE:
        return _title(text)
    if kind == SLUG:
        return _slug(text)
    if kind == COMPACTION:
        return _summary(text)
    return "NO_REPLY"


def _title(text: str) -> str:
    words = " ".join(clean(text[:1000]).split()[:6])
    if len(words) > _TITLE_CHARS:
        words = words[:_TITLE_CHARS].rpartition(" ")[0] or words[:_TITLE_CHARS]
    title = words.rstrip(".,;:!? ")
    return title[:1].upper() + title[1:] if title else "New session"


def _slug(text: str) -> str:
    """Two of the longest words of the conversation's first line, as a file name's part."""
    _, _, summary = text[:4000].partition("Conversation summary:")
    said = summary.strip().partition("\n")[0].partition(":")
    words = [word.lower() for word in _WORD.findall(said[2] or said[0]) if word.isascii()]
    longest = sorted(dict.fromkeys(words), key=len, reverse=True)[:2]
    return "-".join(word for word in words if word in longest)[:40].strip("-") or "session"


def _summary(text: str) -> str:
    """A summary with the sections that were asked for; without them OpenClaw rejects it."""
    talk, _, order = text.rpartition("</conversation>")
    tail = clean(talk[-_TAIL_CHARS:])
    asked = [row.rstrip() for row in order[:_TAIL_CHARS].split("\n") if row.startswith("## ")]
    sections = list(dict.fromkeys(asked)) or list(_SUMMARY_SECTIONS)
    return "\n".join(f"{section}\n{_section(section, tail)}" for section in sections[:12])


def _section(section: str, tail: str) -> str:
    if section in _ASK_SECTIONS:
        return _last_ask(tail) or "None."
    if section == "## Exact identifiers":
        found = list(dict.fromkeys(_IDENTIFIER.findall(tail)))[-24:]
        return "\n".join(f"- {identifier}" for identifier in found) or "None."
    return "None."


def _last_ask(tail: str) -> str:
    """Return the last words of a user in the conversation as OpenClaw writes it down."""
    for turn in reversed(tail.replace("<conversation>\n[", "\n\n[").split("\n\n[")):
        who, colon, said = turn.partition("]: ")
        if colon and who.startswith("User") and not said.startswith("[OpenClaw "):
            return " ".join(said.split())[:_ASK_CHARS]
    return ""
