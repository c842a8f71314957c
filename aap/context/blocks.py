"""The text of a context cache: blocks with numbers that never change.

    BLOCK_ID: 001
    Topic: the holiday
    Ann wants to go to Rome.

    =======
    BLOCK_ID: 002
    Update to [001]: Paris, not Rome.

A block cites an earlier one as `[001]` or `BLOCK_ID: 001`. The form is that of
ai-agent-proxy, whose files are read as they are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

SEPARATOR = "======="

_HEADER = re.compile(r"BLOCK_ID:\s*(\S*)\s*")
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
# `x[100]` is code, and `[2024]` a year as long as no id is that wide.
_CITATION = re.compile(r"(?<![\w\])])\[([0-9]{3,9})\]|BLOCK_ID:\s*([0-9]{1,9})\b", re.ASCII)


class Block(NamedTuple):
    """One block. `number` is None where the header is missing or no number.

    `text` is what follows the header, stripped; `line` is the block's first line in
    the file, counted from 1.
    """

    number: int | None
    text: str
    line: int

    @property
    def id(self) -> str:
        """The number as it is written: `007`."""
        return "" if self.number is None else name(self.number)


class Finding(NamedTuple):
    """A fault of a cache: the line it is in, a stable word for it, and a sentence."""

    line: int
    kind: str  # torn | empty | no-id | order | duplicate | missing | dangling
    message: str


def name(number: int) -> str:
    """Return a number as an id."""
    return f"{number:03d}"


def write(number: int, text: str, cites: Collection[int] = ()) -> str:
    """Return a block as it stands in the file, with its header and a newline at its end."""
    refers = ", ".join(f"[{name(cited)}]" for cited in cites)
    head = f"BLOCK_ID: {name(number)}\n" + (f"Refers to: {refers}\n" if refers else "")
    return f"{head}{text}\n"


def parse(text: str) -> list[Block]:
    """Take a file apart. Nothing is refused: `find_faults` says what is wrong."""
    if not text.strip():
        return []
    parts: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(text.split("\n"), 1):
        if line.rstrip() == SEPARATOR:
            parts.append([])
        else:
            parts[-1].append((number, line))
    if not _has_words(parts[-1]):
        parts.pop()  # a separator at the very end opens nothing yet
    return [_block(part) for part in parts]


def _has_words(lines: list[tuple[int, str]]) -> bool:
    return any(line.strip() for _, line in lines)


def _block(lines: list[tuple[int, str]]) -> Block:
    while len(lines) > 1 and not lines[0][1].strip():
        lines = lines[1:]
    first = lines[0][0] if lines else 1
    words = [line for _, line in lines]
    header = _HEADER.fullmatch(words[0].strip()) if words else None
    if header is None:
        return Block(None, "\n".join(words).strip(), first)
    number = int(header[1]) if _NUMBER.fullmatch(header[1]) else None
    return Block(number, "\n".join(words[1:]).strip(), first)


def citations(text: str, highest: int) -> list[int]:
    """Return the numbers that a text cites, each once, in order.

    A number in brackets with more digits than the `highest` id is none.
    """
    width = max(3, len(str(highest)))
    found = (
        int(match[1] or match[2])
        for match in _CITATION.finditer(text)
        if not match[1] or len(match[1]) <= width
    )
    return list(dict.fromkeys(found))


def find_faults(text: str, elsewhere: Collection[int] = ()) -> list[Finding]:
    """Return all faults of a file, in the order of its lines.

    `elsewhere` are the numbers in older generations: one of them that is not here
    was left out on purpose.
    """
    blocks = parse(text)
    found = [*_broken(blocks), *_disorder(blocks), *_gaps(blocks, elsewhere), *_dangling(blocks)]
    found += _torn(text, blocks)
    return sorted(found)


def _broken(blocks: list[Block]) -> Iterator[Finding]:
    for block in blocks:
        if block.number is None:
            yield Finding(block.line, "no-id", "the block does not start with BLOCK_ID: NUMBER")
        if not block.text:
            what = f"block {block.id}" if block.id else "the block"
            yield Finding(block.line, "empty", f"{what} says nothing")


def _disorder(blocks: list[Block]) -> Iterator[Finding]:
    seen: set[int] = set()
    highest = 0
    for block in blocks:
        if block.number is None:
            continue
        if block.number in seen:
            yield Finding(block.line, "duplicate", f"{block.id} is there twice")
        elif block.number < max(highest, 1):
            after = f" after {name(highest)}" if highest else ""
            yield Finding(block.line, "order", f"{block.id} comes{after}, but ids rise from 001")
        seen.add(block.number)
        highest = max(highest, block.number)


def _gaps(blocks: list[Block], elsewhere: Collection[int]) -> Iterator[Finding]:
    there = {block.number for block in blocks if block.number is not None}
    expected = 1
    for block in blocks:
        if block.number is None or block.number < expected:
            continue
        # A wild number must not make a million findings.
        gap = (n for n in range(expected, min(block.number, expected + 10_000)) if n not in there)
        lost = [number for number in gap if number not in elsewhere]
        if lost:
            which = name(lost[0]) if len(lost) == 1 else f"{name(lost[0])} to {name(lost[-1])}"
            yield Finding(block.line, "missing", f"{which} should stand before {block.id}")
        expected = block.number + 1


def _dangling(blocks: list[Block]) -> Iterator[Finding]:
    there = {block.number for block in blocks if block.number is not None}
    highest = max(there, default=0)
    for block in blocks:
        for cited in citations(block.text, highest):
            own = "the block" if block.number is None else block.id
            if cited not in there:
                yield Finding(
                    block.line, "dangling", f"{own} cites {name(cited)}, which is not there"
                )
            elif block.number is not None and cited >= block.number:
                yield Finding(
                    block.line, "dangling", f"{own} cites {name(cited)}, which is not earlier"
                )


def _torn(text: str, blocks: list[Block]) -> Iterator[Finding]:
    """What a write that was cut off leaves at the end."""
    last = text.rstrip("\n").rpartition("\n")[2].rstrip()
    if not blocks:
        return
    if not text.endswith("\n"):
        yield Finding(blocks[-1].line, "torn", "the last block does not end with a newline")
    elif last and set(last) == {"="} and len(last) < len(SEPARATOR):
        yield Finding(blocks[-1].line, "torn", "the last block ends in a part of a separator")
    elif last == SEPARATOR:
        yield Finding(blocks[-1].line, "torn", "nothing follows the last separator")
