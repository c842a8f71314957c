"""What manual pages say of tables, written from the tables.

`python -m aap.cli.manual man` writes these lists anew, of settings in `aap.conf.5` and of
checks in `aap-doctor.1`; the rest of the pages is written by hand.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from aap.cli.checks import CHECKS
from aap.config import SETTINGS, Setting


class Part(NamedTuple):
    """A list in a page: the lines that begin it, and what writes its entries as mdoc(7)."""

    start: str
    entries: Callable[[], str]


def settings() -> str:
    """Return the entries of all settings."""
    return "".join(map(_setting, SETTINGS.values()))


def _setting(row: Setting) -> str:
    sentences = [f"Alias: {', '.join(row.aliases)}."] if row.aliases else []
    # mdoc wants each sentence on a line of its own.
    sentences += row.help.replace(". ", ".\n").split("\n")
    sentences.append(f"Default: {row.default or 'empty'}.")
    return _entry(row.key, *sentences)


def checks() -> str:
    """Return the entries of all checks: why anybody should care."""
    return "".join(_entry(name, check.why) for name, check in CHECKS.items())


def _entry(name: str, *lines: str) -> str:
    return "\n".join([f".It Cm {name}", *map(_escape, lines), ""])


def _escape(line: str) -> str:
    escaped = line.replace("\\", "\\e")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


PARTS = {
    "aap.conf.5": Part(".Sh SETTINGS\n.Bl -tag -width Ds\n", settings),
    "aap-doctor.1": Part(
        ".Ss Why each matters\n.Bl -tag -width journal.persistent -compact\n", checks
    ),
}


def renew(name: str, page: str) -> str:
    """Return a page's source with its list as the table has it."""
    part = PARTS[name]
    before, start, rest = page.partition(part.start)
    _, end, after = rest.partition(".El\n")
    if not (start and end):
        raise ValueError(f"{name} has no {part.start.splitlines()[0]}")
    return before + start + part.entries() + end + after


def main() -> None:
    """Renew the pages in the folder that is named."""
    for name in PARTS:
        page = Path(sys.argv[1], name)
        page.write_text(renew(name, page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
