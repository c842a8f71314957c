"""Sees that somebody opens, changes or makes anything below a folder: inotify(7)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAMES = {
    0x1: "read", 0x2: "written", 0x4: "attributes", 0x20: "opened", 0x40: "moved away",
    0x80: "moved here", 0x100: "made", 0x200: "deleted",
}  # fmt: skip
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def watched(folder: Path) -> Iterator[list[str]]:
    """Give a list that has, after the block, what was done to the folder and what is below it."""
    fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    for path in [path for path, _, _ in os.walk(folder)]:
        if _libc.inotify_add_watch(fd, os.fsencode(path), sum(_NAMES)) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {path}")
    seen: list[str] = []
    try:
        yield seen
        seen += _events(fd)
    finally:
        os.close(fd)


def _events(fd: int) -> Iterator[str]:
    try:
        raw = os.read(fd, 1 << 20)
    except BlockingIOError:
        return
    while raw:
        _, mask, _, length = struct.unpack_from("iIII", raw)
        name = raw[16 : 16 + length].rstrip(b"\0").decode()
        yield f"{name or '.'}: " + ", ".join(what for bit, what in _NAMES.items() if mask & bit)
        raw = raw[16 + length :]
