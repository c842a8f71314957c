"""Screens held against files: what people see, with times, ids and numbers made equal.

What is replaced keeps its width, or a table would look other than it does. `WRITE_GOLDEN=1`
writes the files: read them as a person would before they go in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import unified_diff
from pathlib import Path

from .command import too_wide
from .golden import WRITES

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ID = re.compile(r"\b1[0-9a-hjkmnp-tv-z]{19}\b")
_MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_CLOCKS = (
    (re.compile(rf"\b(?:{_MONTHS}) \d\d \d\d:\d\d:\d\d"), "Mon DD hh:mm:ss"),
    (re.compile(rf"\b(?:{_MONTHS}) \d\d \d\d:\d\d"), "Mon DD hh:mm"),
    (re.compile(rf"\b(?:{_MONTHS}) \d\d\b"), "Mon DD"),
    (re.compile(r"\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d"), "YYYY-MM-DD hh:mm:ss"),
    (re.compile(r"\b\d\d:\d\d:\d\d\b"), "hh:mm:ss"),
)


def normal(screen: str, names: Sequence[tuple[str, str]] = ()) -> str:
    """Return a screen without colours, times and ids; `names` are further things to replace.

    Ids are numbered in the order in which they are first seen.
    """
    text = _ESCAPES.sub("", screen)
    for pattern, same in _CLOCKS:
        text = pattern.sub(same, text)
    for found, same in names:
        text = re.sub(found, same, text)
    known: dict[str, str] = {}
    text = _ID.sub(lambda m: known.setdefault(m[0], f"1{len(known) + 1:0>19}"), text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def check(path: Path, screens: dict[str, str]) -> None:
    """Hold screens, by their titles, against one file."""
    text = "\n".join(f"==== {title}\n{screen}" for title, screen in screens.items())
    if WRITES:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    assert path.exists(), f"no golden file {path.name}: WRITE_GOLDEN=1 writes it"
    known = path.read_text("utf-8")
    lines = unified_diff(known.splitlines(), text.splitlines(), path.name, "seen", lineterm="")
    assert text == known, "\n".join(lines)


def assert_fits(screen: str, columns: int) -> None:
    """Nothing is wider than the terminal, but what one copies whole."""
    lines = too_wide(screen, columns)
    assert not lines, "\n".join(lines)
