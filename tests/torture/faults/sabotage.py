"""Has file operations of a real program fail: shim.c, built and steered from here."""

from __future__ import annotations

import errno
import mmap
import os
import struct
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from torture.proof import UnableError

# In the order of `enum call` in shim.c.
CALLS = (
    "open", "create", "read", "write", "fsync", "syncfs", "rename", "link", "unlink", "mkdir",
    "rmdir", "symlink", "chmod", "utime", "truncate", "list", "items", "lock", "stat", "fstat",
    "statvfs", "close",
)  # fmt: skip
_PASSIVE = frozenset(("open", "read", "list", "items", "lock", "stat", "fstat", "statvfs", "close"))
CHANGE = "change"  # any call that changes something: the whole disk is gone
SHORT = -1  # no errno: a write that writes half
FOR_EVER = 1 << 30

_RULES = 4
_HEAD = struct.Struct("4i32i")
_RULE = struct.Struct("6i")
_UNSYNCED = struct.Struct("i8192s")

_DISK = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
ERRORS: dict[str, tuple[int, ...]] = {
    "open": (errno.EIO, errno.EMFILE, errno.EACCES, errno.ENOMEM, errno.EINTR),
    "create": (*_DISK, errno.EMFILE, errno.EINTR),
    "read": (errno.EIO, errno.EINTR),
    "write": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR, SHORT),
    "fsync": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR),
    "syncfs": (errno.EIO, errno.ENOSPC, errno.EDQUOT),
    "rename": _DISK,
    "link": _DISK,
    "unlink": _DISK,
    "mkdir": _DISK,
    "rmdir": (errno.EIO, errno.EACCES),
    "symlink": _DISK,
    "chmod": (errno.EIO, errno.EPERM, errno.EROFS),
    "utime": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EPERM, errno.EROFS),
    "truncate": (errno.EIO, errno.EROFS),
    "list": (errno.EIO, errno.EMFILE, errno.EACCES),
    "items": (errno.EIO,),
    "lock": (errno.EIO, errno.ENOLCK, errno.EINTR),
    "stat": (errno.EIO, errno.EACCES),
    "fstat": (errno.EIO,),
    "statvfs": (errno.EIO, errno.EACCES),
    "close": (errno.EIO,),
    CHANGE: (errno.EIO, errno.ENOSPC, errno.EROFS),
}
"""What each kind of call can fail with. EINTR and a short write are no failures."""
_HARMLESS = (SHORT, errno.EINTR)


# What a disk, a folder or a process keeps. A program meets EDQUOT as it does ENOSPC, and
# the others as those that are here.
_LASTING = frozenset((errno.EIO, errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE))


class Fault(NamedTuple):
    """The `nth` call of a kind, and the `count - 1` after it, fail with `error`."""

    call: str
    nth: int
    error: int
    count: int = 1

    def __str__(self) -> str:
        name = "SHORT" if self.error == SHORT else errno.errorcode[self.error]
        since = f"from {self.nth}. on" if self.count == FOR_EVER else f"{self.nth}."
        return f"{since} {self.call} {name}"

    @property
    def lasts(self) -> bool:
        """Whether it happens from then on, and not once."""
        return self.count == FOR_EVER

    @property
    def is_first(self) -> bool:
        """Whether it is tried before the others of its call: one error each, all in turn."""
        errors = [each for each in ERRORS[self.call] if each not in _HARMLESS]
        is_own = self.count == 1 or self.call == CHANGE
        return is_own and errors[self.nth % len(errors)] == self.error

    @property
    def is_harmless(self) -> bool:
        """Whether a program must not even notice."""
        return self.error in _HARMLESS and self.count < FOR_EVER

    @property
    def complaint(self) -> str:
        """What the kernel's word for it is."""
        return os.strerror(max(self.error, 0))


class Case(NamedTuple):
    """A program and the fault that it meets. `run` counts in its tally, and says what was wrong."""

    name: str
    fault: Fault
    run: Callable[[Counter[str]], Iterator[str]]


class Control:
    """The switchboard of one program that runs with the shim."""

    def __init__(self, folder: Path, below: Path) -> None:
        self._file = folder / f"control-{os.urandom(4).hex()}"
        self._file.write_bytes(bytes(_HEAD.size + _RULES * _RULE.size + _UNSYNCED.size))
        with self._file.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._turn = 0
        self.variables = {
            "LD_PRELOAD": str(built(folder)),
            "FAULTS_CONTROL": str(self._file),
            "FAULTS_BELOW": str(below),
        }

    @contextmanager
    def armed(self, *faults: Fault) -> Iterator[None]:
        """Have the faults happen, and the calls counted, for the length of the block."""
        self._map[:] = bytes(len(self._map))
        self._turn += 1
        for number, fault in enumerate(faults):
            call = -1 if fault.call == CHANGE else CALLS.index(fault.call)
            rule = (call, fault.nth, fault.count, fault.error, 0, 0)
            _RULE.pack_into(self._map, _HEAD.size + number * _RULE.size, *rule)
        self._map[:16] = struct.pack("4i", 1, 0, 0, self._turn)
        try:
            yield
        finally:
            self.heal()

    def heal(self) -> None:
        """Let nothing fail any more, nor be counted."""
        self._map[:4] = bytes(4)

    def close(self) -> None:
        """Let go of the memory, without which its file system cannot be unmounted."""
        self._map.close()

    @property
    def counts(self) -> dict[str, int]:
        """How many calls of each kind there were since it was armed last."""
        found = dict(zip(CALLS, _HEAD.unpack_from(self._map)[4:], strict=False))
        changes = sum(count for call, count in found.items() if call not in _PASSIVE)
        return {**found, CHANGE: changes}

    @property
    def hits(self) -> int:
        """How many calls failed."""
        rules = (_RULE.unpack_from(self._map, _HEAD.size + n * _RULE.size) for n in range(_RULES))
        return sum(rule[5] for rule in rules)

    @property
    def trusted(self) -> int:
        """How often a file was fsynced again, or given its name, after an fsync that failed."""
        _, retrusted, published, *_ = _HEAD.unpack_from(self._map)
        return retrusted + published

    @property
    def unsynced(self) -> frozenset[str]:
        """The files and folders of which an fsync has failed, or a syncfs, by their paths."""
        at = _HEAD.size + _RULES * _RULE.size
        length, text = _UNSYNCED.unpack_from(self._map, at)
        return frozenset(os.fsdecode(text[:length]).splitlines())


@cache
def built(folder: Path) -> Path:
    """Build the shim, once for each `folder`."""
    target, source = folder / "shim.so", Path(__file__).with_name("shim.c")
    words = ["cc", "-O2", "-shared", "-fPIC", "-o", str(target), str(source), "-ldl"]
    try:
        subprocess.run(words, check=True, capture_output=True)
    except FileNotFoundError:
        raise UnableError("there is no C compiler") from None
    return target


def plan(counts: dict[str, int], *, for_ever: bool = False) -> Iterator[Fault]:
    """Every fault that a program with so many calls can meet: each call, each error."""
    for call, errors in ERRORS.items():
        for nth in range(1, counts.get(call, 0) + 1):
            for error in errors:
                if call != CHANGE:
                    yield Fault(call, nth, error)
                if (for_ever or call == CHANGE) and error in _LASTING:
                    yield Fault(call, nth, error, FOR_EVER)
