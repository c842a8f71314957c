"""KEY=VALUE files, read as systemd reads an EnvironmentFile=.

The language is that of systemd's src/basic/env-file.c since v254, which differs from
a shell's and from python-dotenv's in ways that lose settings without a word. So every
line that another reader, or its writer, may take differently becomes a `Finding`:

- a quote may be closed lines later; systemd takes all between as one value
- `#` and `;` start a comment at the start of a line only
- `"a" b` is the value `ab`, and `export PORT` is a key
- a line without `=` is skipped
- until v253 a backslash at the end of a comment made the next line a comment too
"""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_right
from pathlib import Path
from typing import NamedTuple

from aap.config.table import NAMES, SETTINGS, nearest_key
from aap.errors import ConfigError, unreadable

BLANKS = " \t"
NEWLINES = "\n\r"
FILE_MAX = 1 << 20
# Settings of ai-agent-proxy 2.3. In its files API_KEY is the key of a model behind the proxy,
# which aap must not take for a client's.
LATER_KEYS = frozenset({"KEY", "URL", "WORKER", "DEBUG", "INBOX", "INSTRUCTION"})

# Patterns are compiled when they are asked for: most files have none of what they find.
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_STARTS_KEY = r"[ \t]*(?:export[ \t]+)?([A-Z][A-Z0-9_]*)[ \t]*="


class Finding(NamedTuple):
    """A doubtful line. `harmless` ones are worth a word, the others stop the program.

    `where` is the file's path, or the name of a variable or a flag; line and column
    count from 1, and are 0 where there is no file. `excerpt` is the line without any
    value that might be a secret. `code` is stable.
    """

    code: str
    where: str
    message: str
    line: int = 0
    column: int = 0
    excerpt: str = ""
    hint: str = ""
    harmless: bool = False

    @property
    def place(self) -> str:
        """`file:line:column`, as editors and compilers write it."""
        return f"{self.where}:{self.line}:{self.column}" if self.line else self.where

    def __str__(self) -> str:
        """One line; where there is an excerpt, two more that show the place."""
        return self.show()

    def show(self, advice: str = "") -> str:
        """The text of the finding, with `advice` at the end of its first line."""
        text = f"{self.place}: {self.message}{advice}"
        if not self.excerpt:
            return text
        before = self.excerpt[: self.column - 1]
        caret = "".join("\t" if char == "\t" else " " for char in before) + "^"
        return f"{text}\n    {self.excerpt}\n    {caret}"


class DoubtfulConfigError(ConfigError):
    """Lines that might not mean what their writer meant; all of them are in `findings`.

    The text has all of them, so it is of several lines; the first says what the first one is.
    """

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        if len(findings) == 1:
            super().__init__(str(findings[0]), hint=findings[0].hint)
        else:
            texts = [item.show(f" ({item.hint})" if item.hint else "") for item in findings]
            super().__init__("\n".join(texts), hint="aap config validate")
        self.findings = findings


class Assignment(NamedTuple):
    """One KEY=VALUE. `text[start:end]` is all of it, without the line's end."""

    key: str
    value: str
    line: int
    column: int
    value_line: int
    value_column: int
    start: int
    end: int
    excerpt: str = ""  # the line of the value, fit to be shown


class Parsed(NamedTuple):
    """What systemd would read from a file, in order, and what is doubtful in it."""

    assignments: tuple[Assignment, ...]
    findings: tuple[Finding, ...]


class _Text:
    """A text that knows its lines."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.findings: list[Finding] = []
        self.starts = [0, *(match.end() for match in re.finditer(r"\r\n|\n|\r", text))]

    def place(self, at: int) -> tuple[int, int]:
        line = bisect_right(self.starts, at)
        return line, at - self.starts[line - 1] + 1

    def line(self, number: int) -> str:
        end = self.starts[number] if number < len(self.starts) else len(self.text)
        return self.text[self.starts[number - 1] : end].rstrip(NEWLINES)

    def doubt(self, code: str, at: int, message: str, hint: str, *, harmless: bool = False) -> None:
        line, column = self.place(at)
        excerpt = show_line(self.line(line))
        column = min(column, len(excerpt) + 1)
        self.findings.append(
            Finding(code, self.where, message, line, column, excerpt, hint, harmless)
        )


def show_line(line: str) -> str:
    """`line` for a terminal or a log: a value is shown only if its key is known and no secret."""
    clean = "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in line)
    known = re.match(r"[ \t]*(?:export[ \t]+)?([A-Za-z0-9_]+)(?![A-Za-z0-9_])", clean, re.ASCII)
    key = NAMES.get(known[1].upper()) if known else None
    if key and not SETTINGS[key].secret:
        return clean
    head, equals, _ = clean.partition("=")
    return f"{_shorten(head)}=…" if equals else _shorten(clean)


def _shorten(name: str) -> str:
    """Enough to know a mistyped key by, and too little of a secret on the wrong line."""
    return name if len(name) <= 18 else f"{name[:12]}…"


def parse(text: str, where: str = "") -> Parsed:
    """Read a file's text; never raises. `where` names it in the findings."""
    source = _Text(text, where)
    at = find_not_text(text)
    if at >= 0:
        message = "a character that systemd takes for no text"
        source.doubt("not-text", at, message, "write the file as plain UTF-8 text")
        return Parsed((), tuple(source.findings))
    reader = _Reader(source)
    reader.read()
    _check_keys(source, reader.assignments)
    source.findings.sort(key=lambda finding: (finding.line, finding.column))
    return Parsed(tuple(reader.assignments), tuple(source.findings))


def find_not_text(text: str) -> int:
    """Where systemd stops reading: NUL, a surrogate, a Unicode noncharacter. -1: nowhere."""
    if text.isascii():
        return text.find("\0")
    for at, char in enumerate(text):
        code = ord(char)
        if (
            code == 0
            or 0xD800 <= code < 0xE000
            or 0xFDD0 <= code < 0xFDF0
            or code & 0xFFFE == 0xFFFE
        ):
            return at
    return -1


class _Reader:
    """Walks through a text once; each method starts at `at` and leaves it behind its part."""

    def __init__(self, source: _Text) -> None:
        self.source = source
        self.text = source.text
        self.at = 0
        self.assignments: list[Assignment] = []

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip(self, chars: str) -> None:
        while self.at < len(self.text) and self.text[self.at] in chars:
            self.at += 1

    def rest_of_line(self) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in NEWLINES:
            self.at += 1
        return self.text[start : self.at]

    def read(self) -> None:
        self.skip(BLANKS + NEWLINES)
        while self.at < len(self.text):
            if self.peek() in "#;":
                self.comment()
            else:
                self.assignment()
            self.skip(BLANKS + NEWLINES)

    def comment(self) -> None:
        line = self.rest_of_line()
        if self.at < len(self.text) and (len(line) - len(line.rstrip("\\"))) % 2:
            self.source.doubt(
                "comment-backslash",
                self.at - 1,
                "a comment ends in a backslash: before systemd 254 it swallows the next line",
                "take the backslash away",
            )

    def assignment(self) -> None:
        start = self.at
        # A key has one character at least, so a "=" in front belongs to it.
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] not in "=\n\r":
            self.at += 1
        if self.peek() != "=":
            self.lone_word(start)
            return
        key = self.text[start : self.at].rstrip(BLANKS)
        self.at += 1
        self.skip(BLANKS)
        value_at = self.at
        value = self.value()
        place, value_place = self.source.place(start), self.source.place(value_at)
        excerpt = show_line(self.source.line(value_place[0]))
        self.assignments.append(
            Assignment(key, value, *place, *value_place, start, self.at, excerpt)
        )

    def lone_word(self, start: int) -> None:
        message = 'no "=" in this line: it is read as nothing'
        self.source.doubt("lone-word", start, message, 'write KEY=VALUE, or "#" in front')

    def value(self) -> str:
        """Quoted parts, then what is bare; once a value is bare it stays so."""
        parts: list[str] = []
        while quote := self.peek():
            if quote not in "'\"":
                break
            parts.append(self.quoted(quote))
            closed = self.at
            self.skip(BLANKS)
            if self.peek() not in ("", *NEWLINES) and (
                self.at > closed or self.peek() not in "'\""
            ):
                self.after_quote(closed)
        parts.append(self.bare())
        return "".join(parts)

    def after_quote(self, at: int) -> None:
        if self.peek() == "#":
            return  # bare() says what is wrong with that
        self.source.doubt(
            "after-quote",
            at,
            "text after the closing quote: it is joined to the value without a blank",
            "put the whole value into one pair of quotes",
        )

    def quoted(self, quote: str) -> str:
        start = self.at
        self.at += 1
        out: list[str] = []
        while char := self.peek():
            self.at += 1
            if char == quote:
                return "".join(out)
            if char == "\\" and quote == '"':
                char = self.escaped()
            out.append(char)
        message = "this quote is never closed: all that follows is read as its value"
        self.source.doubt("unclosed-quote", start, message, f"close it with {quote}")
        return "".join(out)

    def escaped(self) -> str:
        """What a backslash between double quotes and the character after it mean."""
        char = self.peek()
        self.at += len(char)
        if char in ("", "\n"):
            return ""
        return char if char in '"\\`$' else "\\" + char

    def bare(self) -> str:
        start = self.at
        out: list[str] = []
        kept = 0  # trailing blanks are cut off, but none that a backslash protects
        while (char := self.peek()) and char not in NEWLINES:
            self.at += 1
            if char == "\\":
                char = self.peek()
                self.at += len(char)
                char = "" if char in NEWLINES else char
                out.append(char)
                kept = len(out)
            else:
                out.append(char)
        self.look_for_comment(start)
        return "".join(out[:kept]) + "".join(out[kept:]).rstrip(BLANKS)

    def look_for_comment(self, start: int) -> None:
        # From one character before: a blank, a quote, or the "=" (`COLOUR=#fff` is no comment).
        match = re.search(r"(?<=[ \t\n\r])#|(?<=^['\"])#", self.text[start - 1 : self.at])
        if match:
            self.source.doubt(
                "hash-after-value",
                start - 1 + match.start(),
                "a comment cannot follow a value: this is read as a part of it",
                "give the comment a line of its own, or put the whole value into quotes",
            )


def _check_keys(source: _Text, assignments: list[Assignment]) -> None:
    first: dict[str, Assignment] = {}
    for entry in assignments:
        if _check_name(source, entry):
            key = NAMES[entry.key]
            _check_double(source, first.setdefault(key, entry), entry)
        _check_swallowed(source, entry)


def _check_name(source: _Text, entry: Assignment) -> bool:
    if entry.key in NAMES:
        return True
    words = entry.key.split()
    if words[:1] == ["export"] and len(words) == 2 and words[1] in NAMES:
        message = f'"export" is a shell\'s word: systemd reads a key named "{entry.key}"'
        source.doubt("export", entry.start, message, f"write {words[1]}=…")
    elif entry.key == "PUBLIC_URL":
        message = "PUBLIC_URL means nothing to aap"
        source.doubt("unused-key", entry.start, message, "take the line away", harmless=True)
    elif entry.key in LATER_KEYS:
        message = f"{entry.key} is a setting of ai-agent-proxy 2.3, not of aap"
        source.doubt("unknown-key", entry.start, message, f"aap config import {source.where}")
    elif not re.fullmatch(_NAME, entry.key):
        message = "this is no name of a setting"
        source.doubt("bad-key", entry.start, message, "a name is letters, digits and _")
    else:
        near = nearest_key(entry.key)
        hint = f"did you mean {near}?" if near else "see the keys with: aap config list"
        source.doubt(
            "unknown-key", entry.start, f"{_shorten(entry.key)} is no setting of aap", hint
        )
    return False


def _check_double(source: _Text, first: Assignment, entry: Assignment) -> None:
    if first is entry:
        return
    if first.key == entry.key:
        message = f"{entry.key} is set on line {first.line} already, and the last one would count"
        source.doubt("double-key", entry.start, message, "keep one of the two lines")
        return
    key = NAMES[entry.key]
    message = f"{first.key} and {entry.key} are the same setting: {key} counts"
    source.doubt("alias", entry.start, message, f"keep {key}", harmless=True)


def _check_swallowed(source: _Text, entry: Assignment) -> None:
    """Find settings inside a value of several lines: a quote or a backslash too many."""
    first = entry.line
    last, _ = source.place(max(entry.start, entry.end - 1))
    for number in range(first + 1, last + 1):
        match = re.match(_STARTS_KEY, source.line(number))
        if match and match[1] in NAMES:
            message = f"this line is read as a part of {entry.key} from line {first}"
            hint = f"look for an open quote or a last backslash from line {first} on"
            at = source.starts[number - 1] + match.start(1)
            source.doubt("swallowed-line", at, message, hint)
            return


def read_bytes(path: Path) -> bytes:
    """Read a small regular file, or /dev/null; raises OSError, ConfigError.

    Never waits: a FIFO in the place of a file would stop everything that starts.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(fd, "rb") as file:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode) and str(path) != os.devnull:
            raise ConfigError(f"{path} is no file that can be read", hint="put a text file there")
        data = file.read(FILE_MAX + 1)
    if len(data) > FILE_MAX:
        raise ConfigError(f"{path} is larger than 1 MiB", hint="this is no configuration file")
    return data


def read_text(path: Path) -> str:
    """Read a small text file. Raises FileNotFoundError, NotADirectoryError, else ConfigError.

    The exit code is that of the fault: a disk that is broken makes no bad configuration.
    """
    try:
        return decode(read_bytes(path), str(path))
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise unreadable(path, error) from None


def decode(data: bytes, where: str) -> str:
    """Turn a file's bytes into text; raises DoubtfulConfigError where they are not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        hint = "write the file as plain UTF-8 text"
        finding = Finding("not-text", where, "no UTF-8 text", line, column, hint=hint)
        raise DoubtfulConfigError((finding,)) from None
