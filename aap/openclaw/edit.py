"""Changing values in the text of a JSON5 file, and nothing else of it.

Comments, order and layout stay as their writer left them; what is added looks like
its neighbours.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aap.openclaw.json5 import Node, parse

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def set_value(text: str, path: Path, value: Any) -> str:
    """Return `text` with `value` at `path`; what is missing on the way is added.

    A number in `path` is a place in a list; the one past its end adds an item. What
    stands in the way (a string where an object must be) is replaced.
    """
    node = parse(text)
    for depth, step in enumerate(path):
        below = _child(node, step)
        if below is None:
            return _add(text, node, path[depth:], value)
        node = below
    if node.value == value and isinstance(node.value, bool) == isinstance(value, bool):
        return text
    indent = _indent_of(text, node.start)
    return text[: node.start] + _write(text, value, indent) + text[node.end :]


def updated(document: Any, path: Path, value: Any) -> Any:
    """Return plain `document` with `value` at `path`: what `set_value` must come to."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = list(document) if isinstance(document, list) else []
        items += [None] * (step + 1 - len(items))
        items[step] = updated(items[step], rest, value)
        return items
    members = dict(document) if isinstance(document, dict) else {}
    members[step] = updated(members.get(step), rest, value)
    return members


def write(value: Any, indent: str = "", *, quoted: bool = False, unit: str = "  ") -> str:
    """Return `value` as JSON5, a member a line; short lists of plain values on one line."""
    inner = indent + unit
    if isinstance(value, dict) and value:
        lines = [
            f"{inner}{_name(str(name), quoted)}: {write(member, inner, quoted=quoted, unit=unit)}"
            for name, member in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"{'' if quoted else ','}\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        items = [inner + write(item, inner, quoted=quoted, unit=unit) for item in value]
        return "[\n" + ",\n".join(items) + f"{'' if quoted else ','}\n{indent}]"
    return json.dumps(value, ensure_ascii=False)


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(step, int):
        return node.items[step] if node.items is not None and step < len(node.items) else None
    return (node.members or {}).get(step)


def _add(text: str, node: Node, path: Path, value: Any) -> str:
    """Add what is at `path` below `node`, which has no such member."""
    step, rest = path[0], path[1:]
    content = updated(None, rest, value)
    wants_list = isinstance(step, int)
    if (node.items if wants_list else node.members) is None:
        whole = updated(None, path, value)
        indent = _indent_of(text, node.start)
        return text[: node.start] + _write(text, whole, indent) + text[node.end :]
    return _insert(text, node, None if wants_list else str(step), content)


def _insert(text: str, node: Node, name: str | None, content: Any) -> str:
    """Put a member (an item, where `name` is None) behind the last one of `node`."""
    below = list((node.members or {}).values()) or node.items or []
    last = max(below, key=lambda each: each.end, default=None)
    head = "" if name is None else f"{_name(name, _is_quoted(text))}: "
    if last is not None and "\n" not in text[node.start : node.end]:
        written = json.dumps(content, ensure_ascii=False)
        return f"{text[: last.end]}, {head}{written}{text[last.end :]}"
    outer = _indent_of(text, node.start)
    begin = last and (last.name_at if last.name_at >= 0 else last.start)
    indent = outer + _unit(text) if begin is None else _indent_of(text, begin)
    line = f"\n{indent}{head}{_write(text, content, indent)}"
    if last is None:
        # A comment may be all that the braces hold: it stays in front.
        inside = text[node.start + 1 : node.end - 1].rstrip()
        return f"{text[: node.start + 1]}{inside}{line}\n{outer}{text[node.end - 1 :]}"
    comma, end = _comma(text, last.end, node.end)
    # Behind a comment that shares the line with the last member.
    at = text.find("\n", end, node.end)
    at = node.end - 1 if at < 0 or _opens_comment(text[end:at]) else at
    tail = text[end:at].rstrip()
    closing = text[at:] if text[at] == "\n" else f"\n{outer}{text[at:]}"
    trailing = "," if comma else ""
    return f"{text[: last.end]}{text[last.end : end] or ','}{tail}{line}{trailing}{closing}"


def _opens_comment(line: str) -> bool:
    return "/*" in line and "*/" not in line


def _comma(text: str, at: int, limit: int) -> tuple[bool, int]:
    """Whether a comma follows at `at`, behind blanks and comments; and where it ends."""
    match = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL).match(text, at, limit)
    end = match.end() if match else at
    return (True, end + 1) if text.startswith(",", end) else (False, at)


def _write(text: str, value: Any, indent: str) -> str:
    return write(value, indent, quoted=_is_quoted(text), unit=_unit(text))


def _is_quoted(text: str) -> bool:
    """Whether the file's names stand in quotes, as in plain JSON; the first one tells."""
    members = parse(text).members or {}
    return all(text[node.name_at] in "\"'" for node in list(members.values())[:1])


def _name(name: str, quoted: bool) -> str:
    return name if not quoted and _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _indent_of(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    match = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return match[1] if match else "  "
