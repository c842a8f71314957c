"""A disk that remembers the order in which it was written: one file of a FUSE file system.

    python recorder.py FOLDER IMAGE LOG

serves FOLDER/disk with the content of IMAGE; every write goes to IMAGE at once, and with
each flush to LOG. A loop device over it is a disk with a volatile cache: what the file
system wants kept it flushes, and the loop driver makes that an fsync of this file.

One thread answers, so LOG is in the order in which the disk took things in, and its size
is a clock: what had returned to a program when LOG had n bytes stands in the first n.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

NAME = "disk"
WRITE, FLUSH = b"W", b"F"
_HEAD = struct.Struct("<cxxxIQ")  # kind, length, offset


class Record(NamedTuple):
    """Something that the disk was told. `end` is the size of the log with it."""

    kind: bytes
    offset: int
    data: bytes
    end: int


def read_log(path: Path) -> Iterator[Record]:
    """Give the records, first to last."""
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            kind, length, offset = _HEAD.unpack(head)
            data = file.read(length)
            yield Record(kind, offset, data, file.tell())


class Recorder:
    """The operations of the file system, as mfusepy calls them."""

    use_ns = True

    def __init__(self, image: str, log: str) -> None:
        self._image = os.open(image, os.O_RDWR | os.O_CLOEXEC)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._image).st_size

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == f"/{NAME}":
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._size}
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    def open(self, path: str, flags: int) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(self._image, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        os.pwrite(self._image, data, offset)
        os.writev(self._log, (_HEAD.pack(WRITE, len(data), offset), data))
        return len(data)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        os.write(self._log, _HEAD.pack(FLUSH, 0, 0))
        return 0


def main(folder: str, image: str, log: str) -> None:
    """Serve until it is unmounted."""
    import mfusepy

    mfusepy.FUSE(Recorder(image, log), folder, foreground=True, nothreads=True, fsname="recorder")


if __name__ == "__main__":
    main(*sys.argv[1:])
