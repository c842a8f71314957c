"""What request bodies say: whose message it is, the newest words, or that no human sent it.

stdlib only and quick to import: the API, the worker and the command line use it.
No function here raises, whatever the bytes, and time grows with their number only.
"""

from __future__ import annotations

from aap.bodies import internal, media, openai, openclaw, parts, replies
from aap.bodies.internal import KINDS
from aap.bodies.media import Attachment
from aap.message import Digest

__all__ = [
    "KINDS",
    "Attachment",
    "attachments",
    "digest",
    "internal_kind",
    "internal_reply",
    "is_openclaw",
]

# The API asks of every request, and a search through all of it costs more than
# the parse of a small one: marks are looked for where they stand, at the start,
# and only the one that each human's message carries is looked for everywhere.
_HEAD_BYTES = 1024
_PROBE_BYTES = 2048
_OPENCLAW_HEADS = (openclaw.ATTEMPT.encode(), openclaw.PROMPT_HEAD.encode())
_OPENCLAW_META = openclaw.SCHEMA.encode()
_BARE_HEADS = tuple(
    mark.encode() for mark in (internal.SUMMARIZER, internal.TITLER, internal.SLUG_TEXT)
)
_PROBE = internal.PROBE_TEXT.encode()


def digest(raw: bytes) -> Digest:
    """Return the little that a person or an agent needs of a body.

    All one-line fields are printable and short; `text` is the human's text as
    it came, with its newlines and whatever else it holds.
    """
    body = parts.read(raw)
    if body is None:
        return Digest()
    if openclaw.has_sign(body):
        return openclaw.read(body)
    if not body.turns and "agent_id" in body.fields and "prompt" in body.fields:
        return openai.read_agent(body)
    return openai.read_plain(body)


def attachments(raw: bytes) -> list[Attachment]:
    """Return what is attached to the message, in the order of the digest's `attachments`."""
    body = parts.read(raw)
    if body is None:
        return []
    if openclaw.has_sign(body):
        return media.read(openclaw.Reading(body).newest)
    return media.read(openai.newest(body))


def is_openclaw(raw: bytes) -> bool:
    """Whether OpenClaw sent this body, by its system prompt."""
    if not _may_be_openclaw(raw):
        return False
    body = parts.read(raw)
    return body is not None and openclaw.has_sign(body)


def internal_kind(raw: bytes) -> str | None:
    """Return one of `KINDS` for a request that OpenClaw surely sent for itself.

    None means a message. What is in doubt is a message: a miss costs a
    needless run of the agent, a wrong hit would cost a human's words.
    """
    if not (_may_be_openclaw(raw) or _may_be_bare(raw)):
        return None
    body = parts.read(raw)
    return internal.kind_of(body) if body else None


def internal_reply(kind: str, raw: bytes) -> str:
    """Return the text that answers a request of this kind and does no harm."""
    return replies.write(kind, parts.read(raw))


def _may_be_openclaw(raw: bytes) -> bool:
    return _starts_with_one(raw, _OPENCLAW_HEADS) or _OPENCLAW_META in raw


def _may_be_bare(raw: bytes) -> bool:
    if _starts_with_one(raw, _BARE_HEADS):
        return True
    return len(raw) < _PROBE_BYTES and _PROBE in raw


def _starts_with_one(raw: bytes, marks: tuple[bytes, ...]) -> bool:
    return any(raw.find(mark, 0, _HEAD_BYTES) >= 0 for mark in marks)
