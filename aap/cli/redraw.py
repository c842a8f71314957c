"""Showing something again and again: in place on a terminal, else each change."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from aap.cli import output

INTERVAL = 1.0

_ESCAPE = re.compile(r"(\x1b\[[0-9;]*m)")
# The other screen, without a cursor: what was on the terminal is there again afterwards.
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"

T = TypeVar("T")


def watch_for_changes(
    take: Callable[[], T],
    members: Callable[[T], dict[str, Any]],
    lines: Callable[[T], Sequence[str]],
    schema: str | None,
) -> NoReturn:
    """Show what `take` gives until interrupted: as JSON Lines where there is a schema.

    On a terminal the lines are drawn anew each second. Elsewhere, and as JSON, they
    are printed when the members have changed.
    """
    if schema is None and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        _redraw(take, lines)
    before: dict[str, Any] | None = None
    while True:
        taken = take()
        now = members(taken)
        if now != before:
            _write(now, lines(taken), schema)
        before = now
        time.sleep(INTERVAL)


def _write(now: dict[str, Any], shown: Sequence[str], schema: str | None) -> None:
    if schema:
        output.write_json(schema, **now)
    else:
        for line in (*shown, ""):
            output.write(line)
    output.flush()


def _redraw(take: Callable[[], T], lines: Callable[[T], Sequence[str]]) -> NoReturn:
    screen: list[str] = []
    sys.stdout.write(_ENTER)
    try:
        while True:
            screen = list(lines(take()))
            _draw(screen)
            time.sleep(INTERVAL)
    finally:
        sys.stdout.write(_LEAVE)
        for line in screen:
            output.write(line)


def _draw(screen: Sequence[str]) -> None:
    """Draw within the terminal: a line that wrapped, or one too many, would scroll it."""
    width, height = output.columns() or 80, output.lines() or 24
    shown = [fit(line, width) + _CLEAR_LINE for line in screen[: height - 1]]
    sys.stdout.write(_HOME + "\n".join(shown) + "\n" + _CLEAR_REST)
    output.flush()


def fit(line: str, width: int) -> str:
    """Return `line` cut to `width` columns; its colours take none."""
    bare = _ESCAPE.sub("", line)
    if output.display_width(bare) <= width:
        return line
    kept, room = "", width
    for part in _ESCAPE.split(line):
        if _ESCAPE.fullmatch(part):
            kept += part
        elif room > 0:
            kept += output.cut(part, room)
            room -= output.display_width(part)
    return kept
