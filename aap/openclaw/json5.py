"""JSON5 read with positions: each value knows where in the text it stands.

OpenClaw's configuration is JSON5 that people write comments into, and aap changes
a few values of it. The libraries for Python give the values but not the places, so a
change would cost the comments; one reader for both is smaller than a library and an
editor beside it. A test holds it against such a library. (https://spec.json5.org)
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_DEPTH = 200  # an honest file has ten

_BLANK = re.compile(r"(?:[\s\ufeff]|//[^\n\r\u2028\u2029]*|/\*.*?\*/)*", re.DOTALL)
_NAME = re.compile(r"(?:[^\W\d]|[$]|\\u[0-9a-fA-F]{4})(?:\w|[$\u200c\u200d]|\\u[0-9a-fA-F]{4})*")
_NUMBER = re.compile(
    r"([+-]?)(?:(Infinity|NaN)|(0[xX][0-9a-fA-F]+)|((?:0|[1-9]\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?"
    r"|\.\d+(?:[eE][+-]?\d+)?))(?![\w$.])",
    re.ASCII,
)
_PLAIN = {quote: re.compile(rf"[^{quote}\\\n\r]*") for quote in "\"'"}
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "0": "\0"}
_HEX = {"x": re.compile(r"[0-9a-fA-F]{2}"), "u": re.compile(r"[0-9a-fA-F]{4}")}
_WORDS = {"true": True, "false": False, "null": None}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class Json5Error(ValueError):
    """Not JSON5: what is wrong, and the line and column (from 1) where."""

    def __init__(self, message: str, text: str, at: int) -> None:
        before = text[:at]
        self.line = before.count("\n") + 1
        self.column = at - before.rfind("\n")
        super().__init__(f"line {self.line}, column {self.column}: {message}")


class Node(NamedTuple):
    """A value, and the half-open span of the text that it takes.

    `members` are those of an object by name (the last of equal names counts), `items`
    those of a list; `name_at` is where the name of a member begins.
    """

    value: Any
    start: int
    end: int
    members: dict[str, Node] | None = None
    items: list[Node] | None = None
    name_at: int = -1


def parse(text: str) -> Node:
    """Read a document. Raises Json5Error."""
    reader = _Reader(text)
    root = reader.value(reader.skip(0), 0)
    end = reader.skip(root.end)
    if end < len(text):
        raise Json5Error("something follows the end of the document", text, end)
    return root


def loads(text: str) -> Any:
    """Read a document into plain values. Raises Json5Error."""
    return parse(text).value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text

    def _error(self, message: str, at: int) -> Json5Error:
        found = f"the end of the file instead of {message}" if at >= len(self._text) else message
        return Json5Error(found if found != message else f"expected {message}", self._text, at)

    def skip(self, at: int) -> int:
        """Return where blanks and comments from `at` on end."""
        match = _BLANK.match(self._text, at)
        end = match.end() if match else at
        if self._text.startswith("/*", end):
            raise Json5Error("a comment that never ends", self._text, end)
        return end

    def value(self, at: int, depth: int) -> Node:
        """Read the value that begins at `at`."""
        if depth > _DEPTH:
            raise Json5Error("nested too deep", self._text, at)
        char = self._text[at : at + 1]
        if char == "{":
            return self._object(at, depth)
        if char == "[":
            return self._list(at, depth)
        if char and char in "\"'":
            string, end = self._string(at)
            return Node(string, at, end)
        return self._word(at)

    def _word(self, at: int) -> Node:
        number = _NUMBER.match(self._text, at)
        if number:
            return Node(_number(number), at, number.end())
        name = _NAME.match(self._text, at)
        if name and name[0] in _WORDS:
            return Node(_WORDS[name[0]], at, name.end())
        raise self._error("a value", at)

    def _object(self, start: int, depth: int) -> Node:
        members: dict[str, Node] = {}
        at = self.skip(start + 1)
        while not self._text.startswith("}", at):
            name, end = self._name(at)
            colon = self._after(end, ":", '":" after the name')
            members[name] = self.value(colon, depth + 1)._replace(name_at=at)
            at = self._next(members[name].end, "}")
        values = {name: node.value for name, node in members.items()}
        return Node(values, start, at + 1, members=members)

    def _list(self, start: int, depth: int) -> Node:
        items: list[Node] = []
        at = self.skip(start + 1)
        while not self._text.startswith("]", at):
            items.append(self.value(at, depth + 1))
            at = self._next(items[-1].end, "]")
        return Node([node.value for node in items], start, at + 1, items=items)

    def _after(self, end: int, mark: str, wanted: str) -> int:
        at = self.skip(end)
        if not self._text.startswith(mark, at):
            raise self._error(wanted, at)
        return self.skip(at + 1)

    def _next(self, end: int, closing: str) -> int:
        """Return where the next member begins, or the closing bracket is."""
        at = self.skip(end)
        if self._text.startswith(closing, at):
            return at
        return self._after(at, ",", f'"," or "{closing}"')

    def _name(self, at: int) -> tuple[str, int]:
        if self._text[at : at + 1] in {'"', "'"}:
            return self._string(at)
        match = _NAME.match(self._text, at)
        if match is None:
            raise self._error('a name or "}"', at)
        name = re.sub(r"\\u([0-9a-fA-F]{4})", lambda hex_: chr(int(hex_[1], 16)), match[0])
        return name, match.end()

    def _string(self, start: int) -> tuple[str, int]:
        quote = self._text[start]
        plain = _PLAIN[quote]
        parts: list[str] = []
        at = start + 1
        while True:
            match = plain.match(self._text, at)
            at = match.end() if match else at
            parts.append(match[0] if match else "")
            char = self._text[at : at + 1]
            if char == quote:
                # A character beyond the first plane may be written as two escapes.
                joined = "".join(parts)
                return _PAIR.sub(_join_pair, joined), at + 1
            if char != "\\":
                raise Json5Error("a string that never ends", self._text, start)
            part, at = self._escape(at + 1)
            parts.append(part)

    def _escape(self, at: int) -> tuple[str, int]:
        char = self._text[at : at + 1]
        if char in _HEX:
            match = _HEX[char].match(self._text, at + 1)
            if match is None:
                raise Json5Error(f"\\{char} without its digits", self._text, at - 1)
            return chr(int(match[0], 16)), match.end()
        if self._text.startswith("\r\n", at):
            return "", at + 2
        if char and char in "\n\r\u2028\u2029":
            return "", at + 1
        if (char.isdecimal() and char != "0") or re.match(r"0\d", self._text[at : at + 2]):
            raise Json5Error(f"\\{char} is no escape", self._text, at - 1)
        return _ESCAPES.get(char, char), at + 1


def _join_pair(match: re.Match[str]) -> str:
    return match[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _number(match: re.Match[str]) -> int | float:
    sign, word, hexadecimal, decimal = match.groups()
    if word:
        number: int | float = float(word.lower())
    elif hexadecimal:
        number = int(hexadecimal, 16)
    else:
        number = int(decimal) if decimal.isdigit() else float(decimal)
    return -number if sign == "-" else number
