"""The one door to the terminal: stdout is data, stderr is talk.

The rules, all of them:

1.  What a command was asked for goes to stdout; notes, warnings, errors and questions to stderr.
2.  `--json` prints one document, or one a line for lists; each names its schema and version.
    Members are only ever added within a version.
3.  Colour only where stdout (or stderr) is a terminal, NO_COLOR is empty and TERM is not dumb.
4.  Never a pager, never a spinner; a count on a terminal for what takes over a second.
5.  On a terminal tables are cut to its width and prose is filled; what one may want to copy (a
    command, a path, an id) stays whole. Off a terminal only a message's text in a list is cut.
6.  Text from outside (chat names, messages) is shown with its control characters escaped.
7.  Nothing that can be in a message makes printing fail: what the locale cannot say is escaped.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TextIO

# C0 and C1 controls and DEL (escape sequences start there), separators that end a line,
# bidirectional overrides (text that reads other than it is), lone surrogates (no UTF-8).
# Compiled when such a text comes, which is rare.
_HARMFUL = "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
_HARMFUL_BUT_LAYOUT = rf"(?![\n\t]){_HARMFUL}"

_COLOURS = "\x1b\\[[0-9;]*m"
_READABLE = 30  # columns in which prose can be read

_SGR = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def prepare() -> None:
    """Make stdout and stderr unable to fail on any text. Called once, at the start."""
    codecs.register_error("aap", _spell)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="aap")  # type: ignore[union-attr]


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write what the locale has no character for: our own ellipsis as dots, all else escaped."""
    if isinstance(error, UnicodeEncodeError) and error.object[error.start] == "…":
        return "...", error.start + 1
    return codecs.backslashreplace_errors(error)


def write(text: str) -> None:
    """Print one piece of data, with its newline, on stdout."""
    sys.stdout.write(text + "\n")


def write_bytes(data: bytes) -> None:
    """Print bytes on stdout exactly as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def flush() -> None:
    """Let a reader at the other end of a pipe see what was printed."""
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something to the person, on stderr."""
    _say(text)


def warn(text: str, hint: str = "") -> None:
    """Say what went wrong, on stderr, in the one form that all of aap uses."""
    _say(f"{paint('aap:', 'red', sys.stderr)} {harmless(text, layout=True)}", "     ")
    if hint:
        _say(f"  {harmless(hint, layout=True)}")


def _say(text: str, indent: str = "") -> None:
    sys.stdout.flush()  # so that a terminal shows both in the order they were said
    total = columns(sys.stderr)
    text = text if has_glyphs() else text.replace("…", "...")
    for line in text.split("\n"):
        # What is indented is a command, or a line of a file with a mark below: not to be moved.
        is_whole = total is None or line.startswith("  ")
        filled = [line] if is_whole or total is None else fill(line, total - len(indent), total)
        sys.stderr.write(f"\n{indent}".join(filled) + "\n")


def ask(question: str) -> bool:
    """Ask on stderr; only a `y` or `yes` from a terminal is a yes."""
    if not sys.stdin.isatty():
        return False
    sys.stdout.flush()
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def ask_secret(name: str) -> str:
    """Ask at the terminal for what is not to be seen there."""
    from getpass import getpass

    sys.stdout.flush()
    return getpass(f"{name}: ", sys.stderr)


# Colour and width


def has_colour(stream: TextIO) -> bool:
    """Whether escape sequences are welcome on `stream`."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    return wanted and stream.isatty()


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Return `text` in a colour where the stream (stdout unless told) takes colours."""
    if not text or not colour or not has_colour(stream or sys.stdout):
        return text
    return f"\x1b[{_SGR[colour]}m{text}\x1b[0m"


def columns(stream: TextIO | None = None) -> int | None:
    """Width of the terminal behind the stream (stdout unless told); None where there is none."""
    try:
        width = os.get_terminal_size((stream or sys.stdout).fileno()).columns
    except (OSError, ValueError):
        return None
    return width or 80


def lines() -> int | None:
    """Height of the terminal behind stdout; None where there is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines or 24
    except (OSError, ValueError):
        return None


def harmless(text: str, *, layout: bool = False) -> str:
    r"""Return `text` with what could move the cursor, hide or reorder text escaped (`\x1b`).

    With `layout` newlines and tabs stay. What the locale cannot say is escaped here already,
    so that the room it takes is known.
    """
    if text.isascii():
        return text if text.isprintable() else _escaped(text, layout)
    if not has_glyphs():
        text = text.replace("…", "...")
    if not is_utf8():
        encoding = sys.stdout.encoding
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    return text if text.isprintable() else _escaped(text, layout)


def _escaped(text: str, layout: bool) -> str:
    return re.sub(_HARMFUL_BUT_LAYOUT if layout else _HARMFUL, _escape, text)


def one_line(text: str, limit: int = 4000) -> str:
    """Return `text` harmless, with each run of white space as one space.

    Only the first `limit` characters are looked at: a message may hold megabytes.
    """
    return harmless(" ".join(text[:limit].split()))


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def display_width(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    import unicodedata

    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return `text` in at most `width` columns, with an ellipsis where something is missing."""
    if display_width(text) <= width:
        return text
    ellipsis = "…" if has_glyphs() else "..."
    room = max(0, width - len(ellipsis))
    kept: list[str] = []
    for char in text:
        room -= 1 if char.isascii() else _char_width(char)
        if room < 0:
            break
        kept.append(char)
    return ("".join(kept).rstrip() + ellipsis)[: max(width, 1)]


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return `text` filled with spaces to `width` columns."""
    fill = " " * (width - display_width(text))
    return fill + text if right else text + fill


def fill(text: str, width: int, first: int | None = None) -> list[str]:
    """Return `text` in lines of at most `width` columns, the first of at most `first`.

    It is broken at spaces alone: a path or an id stays whole, or it could not be
    copied. Colours take no room.
    """
    lines: list[str] = []
    room = width if first is None else first
    words = text.split(" ")
    line = words[0]
    if room < _width(line) <= width:
        lines, room = [""], width
    for word in words[1:]:
        wide = _width(word)
        # What fits on no line is not moved to one of its own either, away from a short start.
        stays = wide > width and _width(line) * 3 <= width
        if _width(line) + 1 + wide > room and not stays:
            lines.append(line)
            line, room = word, width
        else:
            line = f"{line} {word}"
    return [*lines, line]


def _width(text: str) -> int:
    return display_width(re.sub(_COLOURS, "", text) if "\x1b" in text else text)


def hang(prefix: str, text: str, colour: str = "") -> list[str]:
    """Return the lines of `text` behind `prefix`, filled for the terminal behind stdout.

    What does not fit goes on below the text or, where that leaves too little room, further left.
    """
    total = columns()
    if total is None:
        return [prefix + paint(text, colour)]
    lead = _width(prefix)
    indent = lead if total - lead >= _READABLE else min(2, lead)
    first, *more = fill(text, total - indent, total - lead)
    return [
        (prefix + paint(first, colour)).rstrip(" "),
        *(" " * indent + paint(line, colour) for line in more),
    ]


def write_hanging(prefix: str, text: str, colour: str = "") -> None:
    """Print `text` behind `prefix`, as `hang` lays it out."""
    for line in hang(prefix, text, colour):
        write(line)


# Tables


class Column(NamedTuple):
    """A column of a table. The last column of a table takes what room is left."""

    title: str
    most: int = 10_000  # columns, on a terminal
    right: bool = False
    colours: Mapping[str, str] | None = None  # cell -> colour


def table(
    head: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    least: int = 12,
    titles: Mapping[int, str] | None = None,
) -> None:
    """Print rows under titles, cut to the terminal; columns that are empty throughout are left out.

    Where the last column would have fewer than `least` columns, what does not fit goes
    below its row: so the table is still read at 40 columns. `titles` are lines that go
    before the row of that number.
    """
    titles = titles or {}
    kept = [i for i in range(len(head)) if i == len(head) - 1 or any(row[i] for row in rows)]
    head, rows = [head[i] for i in kept], [[row[i] for i in kept] for row in rows]
    total = columns()
    widths = [
        _column_width(column, [row[i] for row in rows], total) for i, column in enumerate(head)
    ]
    if total is not None:
        left = total - sum(width + 2 for width in widths[:-1])
        if left < min(least, widths[-1]):
            _print_folded(head, rows, widths, total, titles)
            return
        widths[-1] = min(left, widths[-1])
    line = "  ".join(pad(c.title, w, right=c.right) for c, w in zip(head, widths, strict=True))
    write(paint(cut(line.rstrip(), total or len(line)), "dim"))
    for number, row in enumerate(rows):
        _print_title(titles.get(number), total)
        cells = [_cell(c, t, w) for c, t, w in zip(head, row, widths, strict=True)]
        write("  ".join(cells).rstrip())


def _print_title(title: str | None, total: int | None) -> None:
    if title:
        write(paint(title if total is None else cut(title, total), "bold"))


def _column_width(column: Column, cells: Sequence[str], total: int | None) -> int:
    widest = max((display_width(cell) for cell in cells), default=0)
    return max(len(column.title), widest if total is None else min(column.most, widest))


def _cell(column: Column, text: str, width: int) -> str:
    shown = pad(cut(text, width), width, right=column.right)
    return paint(shown, (column.colours or {}).get(text, ""))


def _print_folded(
    head: Sequence[Column],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    total: int,
    titles: Mapping[int, str],
) -> None:
    """Print as many columns as fit side by side, and the others below them."""
    first = max(1, sum(sum(widths[: n + 1]) + 2 * n <= total for n in range(len(head) - 1)))
    beside = list(zip(head[:first], widths[:first], strict=True))
    line = "  ".join(pad(column.title, width, right=column.right) for column, width in beside)
    write(paint(cut(line.rstrip(), total), "dim"))
    for number, row in enumerate(rows):
        _print_title(titles.get(number), total)
        cells = [_cell(c, text, min(w, total)) for (c, w), text in zip(beside, row, strict=False)]
        write("  ".join(cells).rstrip())
        _print_below(head[first:], row[first:], total)


def _print_below(head: Sequence[Column], row: Sequence[str], total: int) -> None:
    *others, text = row
    parts = [cut(cell, column.most) for column, cell in zip(head, others, strict=False) if cell]
    lead = "".join(f"  {part}" for part in parts)
    if total - display_width(lead) - 2 < min(_READABLE, display_width(text)):
        write(paint(cut(lead, total), "dim"))
        lead = ""
    if lead or text:
        write(f"{paint(lead, 'dim')}  {cut(text, total - 2 - display_width(lead))}".rstrip())


def fields(pairs: Sequence[tuple[str, str]]) -> None:
    """Print a name and a value a line, aligned; pairs without a value are left out.

    On a terminal that is too narrow a value goes on below itself.
    """
    shown = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        write_hanging(f"{paint(pad(name, width), 'dim')}  ", value)


class Progress:
    """How far a long task is, on stderr; only on a terminal, only after a second."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._next = time.monotonic() + 1
        self._shown = False

    def step(self) -> None:
        """Count one thing more."""
        self._done += 1
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.2
        if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            self._shown = True
            sys.stderr.write(f"\r{self._done} of {self._total} ")
            sys.stderr.flush()

    def close(self) -> None:
        """Take the line away again."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")


# Times and sizes


def age(seconds: float) -> str:
    """Return a span as people say it: `3 s`, `5 min`, `2 h`, `4 d`."""
    seconds = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def counted(count: int, noun: str) -> str:
    """Return a number of things as people say it: `1 message`, `3 messages`."""
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"


def iso(moment: float) -> str:
    """Return a moment (seconds since the epoch) in UTC: `2026-11-23T21:10:26.123Z`."""
    parts = time.gmtime(moment)
    return time.strftime("%Y-%m-%dT%H:%M:%S", parts) + f".{int(moment * 1000) % 1000:03d}Z"


def from_iso(text: str) -> float:
    """Read what `iso` wrote. Raises ValueError for anything else."""
    import calendar

    date, clock = text.removesuffix("Z").split("T")
    year, month, day = map(int, date.split("-"))
    hour, minute, second = clock.split(":")
    midnight = calendar.timegm((year, month, day, 0, 0, 0))
    return midnight + int(hour) * 3600 + int(minute) * 60 + float(second)


def size(count: int) -> str:
    """Return a number of bytes as people say it: `61 kB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


# JSON


def write_json(schema: str, **members: Any) -> None:
    """Print one JSON document on one line: `{"schema": "aap.NAME/1", …}`."""
    import json  # most calls print none

    ascii_only = not is_utf8()
    text = json.dumps({"schema": schema, **members}, ensure_ascii=ascii_only, default=str)
    # Within JSON these characters occur in strings alone, where an escape means the same.
    write(text if ascii_only else re.sub(_HARMFUL, _json_escape, text))


def _json_escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def is_utf8() -> bool:
    """Whether stdout takes more than ASCII."""
    return sys.stdout.encoding.lower().replace("-", "") == "utf8"


def has_glyphs() -> bool:
    """Whether the locale has more than ASCII for marks of our own.

    Python takes the locale C for UTF-8 (PEP 538, 540), and says so in LC_CTYPE.
    """
    environ = os.environ
    kind = environ.get("LC_CTYPE", "")
    name = environ.get("LC_ALL") or (kind if kind != "C.UTF-8" else "") or environ.get("LANG")
    return is_utf8() and name not in {None, "", "C", "POSIX"}
