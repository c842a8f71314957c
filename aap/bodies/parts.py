"""Reading a request body without trusting any of it.

Chat Completions and Responses bodies become the same thing: fields and turns.
Whatever has another type than it should have is read as absent. Nothing here
raises for any bytes, and no step is more than linear in their number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from aap.message import fingerprint

# A body of brackets and commas alone takes some thirty times its size in memory
# when it is read. No client sends so many values; text and base64 have few.
MAX_VALUES = 500_000

# Numbers stay the text they were: an id of 20 digits is not rounded, and one of
# 5000 digits is not the ValueError that int() makes of it.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, strict=False)

_LINE_CHARS = 200


class Turn:
    """One entry of `messages` or `input`. `role` is system, user, assistant, tool or other."""

    def __init__(self, role: str, content: object) -> None:
        self.role = role
        self.content = content

    @cached_property
    def text(self) -> str:
        """All text of the turn; parts are joined by newlines, media and base64 left out."""
        return "\n".join(_texts(self.content))

    @property
    def parts(self) -> list[dict[str, Any]]:
        """The parts of the content that are objects."""
        content = self.content if isinstance(self.content, list) else [self.content]
        return [part for part in content if isinstance(part, dict)]


class Body:
    """A request body: its top-level fields and its turns in order."""

    def __init__(self, fields: dict[str, Any], turns: tuple[Turn, ...]) -> None:
        self.fields = fields
        self.turns = turns

    @cached_property
    def system(self) -> str:
        """What the client's system prompts say, in order."""
        texts = [turn.text for turn in self.turns if turn.role == "system"]
        return "\n\n".join([string(self.fields.get("instructions")), *texts]).strip()

    @cached_property
    def user_turns(self) -> tuple[Turn, ...]:
        """The turns with the role `user`, in order."""
        return tuple(turn for turn in self.turns if turn.role == "user")


def read(raw: bytes) -> Body | None:
    """Read a body; None for what is no JSON object, or too odd to be a client's."""
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_VALUES:
        return None
    fields, _ = read_json(raw.decode("utf-8-sig", "replace").lstrip())
    if not isinstance(fields, dict):
        return None
    return Body(fields, tuple(_turns(fields)))


def read_json(text: str, start: int = 0) -> tuple[Any, int]:
    """Read the JSON value at `start`; return it and where it ends, or (None, start)."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start


def string(value: object) -> str:
    """Return a string or a number as text (numbers are read as text), all else as ""."""
    return value if isinstance(value, str) else ""


def mapping(value: object) -> dict[str, Any]:
    """Return `value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def first(*values: object) -> str:
    """Return the first value that is text and not blank, stripped."""
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")


def clean(text: str) -> str:
    """Return `text` with lone surrogates, which no file or terminal takes, replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def line(value: object) -> str:
    """Return a value for people in one short printable line."""
    text = clean(string(value)[: 2 * _LINE_CHARS])
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:_LINE_CHARS]


def identity(value: object) -> str:
    """Return a value that tells one thing from another, printable and short.

    What had to be changed for that gets a fingerprint, so that two different
    values never become one.
    """
    text = string(value)
    if len(text) <= _LINE_CHARS and text.isprintable():
        return text
    return f"{line(text)[:100]}~{fingerprint(text.encode('utf-8', 'surrogatepass'))}"


def _turns(fields: dict[str, Any]) -> Iterator[Turn]:
    listed = fields.get("messages")
    if not isinstance(listed, list):
        listed = fields.get("input")
    if isinstance(listed, str):
        yield Turn("user", listed)
        return
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict):
            yield _turn(item)


def _turn(item: dict[str, Any]) -> Turn:
    role, content = item.get("role"), item.get("content")
    if isinstance(role, str):
        return Turn("system" if role == "developer" else role, content)
    kind = string(item.get("type"))
    if content is None and kind.startswith(("input_", "text")):
        return Turn("user", [item])  # a part where a message belongs; some clients do so
    return Turn("user" if kind in {"", "message"} and content is not None else "tool", content)


def _texts(content: object) -> Iterator[str]:
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, dict) else part
        if isinstance(text, str) and text:
            yield text
