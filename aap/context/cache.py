"""The file of the context cache: appended to, never changed, replaced only as a whole.

    context/cache.txt       the blocks
    context/cache.1.txt     the first generation, as it was when it was replaced

Numbers are never given twice, not even in another generation, so `[007]` means one
thing for ever. Writers take turns by a lock on the folder; readers need none,
because every change is a rename.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from aap import files
from aap.context import blocks
from aap.context.blocks import Block, Finding
from aap.errors import AapError, NotFoundError, UsageError

FOLDER = "context"
FILE = "cache.txt"
MAX_BLOCK = 256 * 1024
MAX_FILE = 16 * 1024 * 1024
_PATIENCE = 10.0


class Cache:
    """The context cache of the spool at `root`, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        self.path = self.folder / FILE

    # Reading

    def read(self) -> str:
        """Return the whole text, "" if there is none. Raises AapError for what is no text."""
        return _read(self.path)

    def blocks(self, numbers: Sequence[int] = ()) -> list[Block]:
        """Return the blocks, or those of `numbers` in that order. Raises NotFoundError."""
        there = blocks.parse(self.read())
        if not numbers:
            return there
        known = {block.number: block for block in there}
        for number in numbers:
            if number not in known:
                raise self._unknown(number)
        return [known[number] for number in numbers]

    def _unknown(self, number: int) -> NotFoundError:
        for path in reversed(self.generations()):
            if number in _numbers(_lenient(path)):
                return NotFoundError(
                    f"block {blocks.name(number)} was left out of the cache",
                    hint=f"it is still in {path}",
                )
        return NotFoundError(f"there is no block {blocks.name(number)}", hint="aap context show")

    def generations(self) -> list[Path]:
        """Return the files of replaced generations, the oldest first.

        Raises OSError: who sees none where one is writes over it. (Path.glob would see none.)
        """
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        ours = [name for name in names if name.startswith("cache.") and name.endswith(".txt")]
        found = [(_generation(self.folder / name), self.folder / name) for name in ours]
        return [path for number, path in sorted(found) if number]

    def check(self) -> list[Finding]:
        """Return all faults, none if there is no cache."""
        try:
            text = self.read()
        except AapError as error:
            return [Finding(1, "torn", str(error))]
        return blocks.find_faults(text, self._elsewhere())

    def _elsewhere(self) -> set[int]:
        return {number for path in self.generations() for number in _numbers(_lenient(path))}

    # Writing

    def append(self, text: str, cites: Sequence[int] = ()) -> Block:
        """Append a block; it is on the disk when it is returned.

        Raises UsageError for a text that is no block, or that cites what is not there.
        """
        text = _clean(text)
        with self._lock():
            before = self.read()
            there = _numbers(before)
            number = max((*there, *self._elsewhere()), default=0) + 1
            _check_citations(text, cites, there, number)
            block = blocks.write(number, text, cites)
            whole = _end(before) + block
            _check_size(whole)
            files.write_atomic(self.path, whole.encode())
        return Block(number, text, _end(before).count("\n") + 1)

    def rewrite(self, text: str) -> tuple[Path | None, list[int]]:
        """Replace the cache by a new generation; keep the old one.

        Returns the file of the old one (None if there was none), and the numbers that
        were left out. Raises UsageError for a text with faults.
        """
        text = text.replace("\r\n", "\n").rstrip() + "\n"
        _check_size(text)
        with self._lock():
            before, old = _bytes(self.path), _numbers(_lenient(self.path))
            _check_text(text, self._elsewhere() | old)
            kept = self._keep(before) if before.strip() else None
            try:
                files.write_atomic(self.path, text.encode())
            except OSError:
                if kept:
                    with suppress(OSError):
                        kept.unlink()
                raise
        return kept, sorted(old - _numbers(text))

    def _keep(self, before: bytes) -> Path:
        number = max(map(_generation, self.generations()), default=0) + 1
        kept = self.folder / f"cache.{number}.txt"
        files.write_atomic(kept, before)
        return kept

    @contextmanager
    def _lock(self) -> Iterator[None]:
        files.make_folder(self.folder)
        fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with files.naming(self.folder):
                files.lock(fd, _PATIENCE, "another process is changing the context cache")
            yield
        finally:
            os.close(fd)


def read_number(word: str) -> int:
    """Read an id as people write it: `7`, `007` or `[007]`. Raises UsageError."""
    bare = word.strip().removeprefix("[").removesuffix("]")
    if not (bare.isascii() and bare.isdecimal() and len(bare) < 10):
        raise UsageError(f"{word!r} is no id of a block", hint="ids are such as 007")
    return int(bare)


def _generation(path: Path) -> int:
    """Return N of `cache.N.txt`, 0 for another name."""
    number = path.name.split(".")[1]
    return int(number) if number.isascii() and number.isdecimal() else 0


def _bytes(path: Path) -> bytes:
    try:
        return files.read_plain(path)
    except FileNotFoundError:
        return b""


def _read(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise AapError(
            f"{path} is no UTF-8 text at byte {error.start}",
            hint="aap context rewrite FILE replaces it, and keeps it as it is",
        ) from None


def _lenient(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace")


def _numbers(text: str) -> set[int]:
    return {block.number for block in blocks.parse(text) if block.number is not None}


def _end(text: str) -> str:
    """Return what stands before a new block: the blocks that are there, and a separator."""
    if not text.strip():
        return ""
    ended = text if text.endswith("\n") else text + "\n"
    if ended.rstrip().rpartition("\n")[2] == blocks.SEPARATOR:
        return ended
    return f"{ended}\n{blocks.SEPARATOR}\n"


def _clean(text: str) -> str:
    """Return a text as it goes into a block. Raises UsageError for one that cannot."""
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise UsageError("a block needs a text", hint="aap context append --help")
    lines = text.split("\n")
    if any(line.rstrip() == blocks.SEPARATOR for line in lines):
        raise UsageError(
            f"a line of {blocks.SEPARATOR} would end the block",
            hint="append what stands between such lines as blocks of their own",
        )
    if lines[0].startswith("BLOCK_ID:"):
        raise UsageError("aap gives the block its number", hint="leave BLOCK_ID out")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise UsageError("the text is no UTF-8") from None
    if "\0" in text or size > MAX_BLOCK:
        raise UsageError(f"a block is text of at most {MAX_BLOCK // 1024} KiB")
    return text


def _check_citations(text: str, cites: Sequence[int], there: set[int], number: int) -> None:
    for cited in (*cites, *blocks.citations(text, number)):
        if cited not in there:
            raise UsageError(
                f"there is no block {blocks.name(cited)} to cite",
                hint="aap context show lists them; a number that is no citation goes without []",
            )


def _check_text(text: str, elsewhere: set[int]) -> None:
    if not text.strip():
        raise UsageError("the new text is empty")
    faults = blocks.find_faults(text, elsewhere)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        first = faults[0]
        raise UsageError(
            f"line {first.line}: {first.message}{more}",
            hint="the cache is as it was; mend the new text and try again",
        )


def _check_size(text: str) -> None:
    if len(text) > MAX_FILE:
        raise UsageError(
            f"the cache would be over {MAX_FILE // 1024**2} MiB", hint="aap context rewrite FILE"
        )
