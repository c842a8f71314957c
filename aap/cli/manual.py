"""The settings in `man/aap.conf.5`, written from the table.

`python -m aap.cli.manual man/aap.conf.5` writes that section anew; the rest of the
page is written by hand.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aap.config import SETTINGS, Setting

_START, _END = ".Sh SETTINGS\n.Bl -tag -width Ds\n", ".El\n"


def section() -> str:
    """Return the entries of all settings as mdoc(7)."""
    return "".join(map(_entry, SETTINGS.values()))


def _entry(row: Setting) -> str:
    sentences = [f"Alias: {', '.join(row.aliases)}."] if row.aliases else []
    # mdoc wants each sentence on a line of its own.
    sentences += row.help.replace(". ", ".\n").split("\n")
    sentences.append(f"Default: {row.default or 'empty'}.")
    return "\n".join([f".It Cm {row.key}", *map(_escape, sentences), ""])


def _escape(line: str) -> str:
    escaped = line.replace("\\", "\\e")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def renew(page: str) -> str:
    """Return the page with the section as the table has it."""
    before, start, rest = page.partition(_START)
    _, end, after = rest.partition(_END)
    if not (start and end):
        raise ValueError("the page has no section SETTINGS")
    return before + start + section() + end + after


def main() -> None:
    """Renew the page that is named."""
    page = Path(sys.argv[1])
    page.write_text(renew(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
