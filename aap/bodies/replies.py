"""Answers that do no harm to requests that no human sent."""

from __future__ import annotations

import re

from aap.bodies import openclaw
from aap.bodies.internal import COMPACTION, PROBE, SLUG, TITLE
from aap.bodies.parts import Body, clean

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


def write(kind: str, body: Body | None) -> str:
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
