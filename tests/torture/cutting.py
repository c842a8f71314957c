"""Disks that lose their power: recorded while they are used, cut where one likes, mounted again.

A cut at a place in the log leaves what the last flush before it had made safe, and of the
writes after that flush whatever the disk's cache happened to have written: none, all, some,
in any order, torn between two sectors. Nothing else can be on a disk that keeps its word.
"""

from __future__ import annotations

import ctypes
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from harness.wait import wait_until

from torture import recorder
from torture.proof import UnableError
from torture.recorder import FLUSH, read_log

_ROOM = 6 << 30  # bytes of memory at most; what is not written takes none
_CLONE_NEWNS = 0x20000  # linux/sched.h


class FileSystem(NamedTuple):
    """How one kind is made, mounted and, unmounted, looked through for damage."""

    make: tuple[str, ...]
    check: tuple[str, ...]
    size: int  # bytes: little more than the least that it takes
    sector: int = 512  # bytes that a disk below it writes whole or not at all
    options: str = "noatime"


FILE_SYSTEMS = {
    "ext4": FileSystem(
        ("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
        ("e2fsck", "-f", "-n"),
        320 << 20,
    ),
    "xfs": FileSystem(("mkfs.xfs", "-q", "-f"), ("xfs_repair", "-n"), 320 << 20),
    # It counts on sectors of 4 KiB: where its one superblock is torn, it mounts no more.
    # Trimming would come as a write of nothing, long after.
    "btrfs": FileSystem(
        ("mkfs.btrfs", "-q", "-f"),
        ("btrfs", "check", "--readonly"),
        512 << 20,
        sector=4096,
        options="noatime,nodiscard",
    ),
}


class CutError(Exception):
    """A disk could not be made, mounted or unmounted; the text says why."""


def check_means(kinds: Sequence[str]) -> None:
    """Raise UnableError if disks of these kinds cannot be had here."""
    if os.geteuid() != 0:
        raise UnableError("only root can mount a disk")
    if not Path("/dev/fuse").exists():
        raise UnableError("there is no /dev/fuse")
    if find_spec("mfusepy") is None or shutil.which("fusermount3") is None:
        raise UnableError("mfusepy (pip) or fuse3 (apt) is missing")
    known = Path("/proc/filesystems").read_text().split()
    for kind in kinds:
        tool = FILE_SYSTEMS[kind].make[0]
        if shutil.which(tool) is None:
            raise UnableError(f"{tool} is missing")
        if kind not in known and subprocess.run(["modprobe", "-q", kind], check=False).returncode:
            raise UnableError(f"the kernel knows no {kind}")


@contextmanager
def open_place() -> Iterator[Path]:
    """Give a folder in memory: a hundred images are made and thrown away there.

    What is mounted within the block nobody else sees, and so nobody keeps: where a copy of
    the mounts is made meanwhile (a container, a sandboxed service), unmounted is not gone.
    """
    place = Path(tempfile.mkdtemp(prefix="aap-power-"))
    try:
        with _own_mounts():
            _run("mount", "-t", "tmpfs", "-o", f"size={_ROOM},mode=700", "tmpfs", place)
            try:
                yield place
            finally:
                _unmount(place)
    finally:
        place.rmdir()


@contextmanager
def _own_mounts() -> Iterator[None]:
    """Be in a mount namespace of its own: this thread, and what it starts, unshare(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/mnt").open() as before:
        if libc.unshare(_CLONE_NEWNS) != 0:
            raise UnableError(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
        try:
            _run("mount", "--make-rprivate", "/")
            yield
        finally:
            cwd = Path.cwd()
            if libc.setns(before.fileno(), _CLONE_NEWNS) != 0:
                raise OSError(ctypes.get_errno(), "cannot leave the mount namespace")
            os.chdir(cwd)  # setns(2) went to the root


class Disk(NamedTuple):
    """A recorded disk. `folder` is where its file system was mounted, as long as it was."""

    kind: str
    folder: Path
    first: Path  # what was on it at first
    log: Path

    def position(self) -> int:
        """Return how much it was told so far, in bytes of the log."""
        return self.log.stat().st_size


@contextmanager
def recorded(kind: str, place: Path, content: Path | None = None) -> Iterator[Disk]:
    """Make a disk in `place`, which is empty, and mount it; it is recorded within the block.

    It is a new one, or begins with the content of an image.
    """
    disk = Disk(kind, place / "mounted", place / "first.img", place / "log")
    image, served = place / "now.img", place / "served"
    for folder in (disk.folder, served):
        folder.mkdir()
    if content is None:
        _make(kind, disk.first)
    else:
        _copy(content, disk.first)
    _copy(disk.first, image)
    disk.log.touch()
    with _serving(served, image, disk.log) as device, mounted(kind, device, disk.folder):
        yield disk


def _make(kind: str, image: Path) -> None:
    with image.open("wb") as file:
        file.truncate(FILE_SYSTEMS[kind].size)
    _run(*FILE_SYSTEMS[kind].make, image)


@contextmanager
def _serving(folder: Path, image: Path, log: Path) -> Iterator[Path]:
    argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-I", recorder.__file__]
    argv += [str(folder), str(image), str(log)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: process.poll() is not None or (folder / recorder.NAME).exists())
        if process.poll() is not None:
            raise UnableError(f"no FUSE: {process.communicate()[1].decode().strip()}")
        yield folder / recorder.NAME
    finally:
        _unmount(folder)
        process.kill()
        process.communicate()


@contextmanager
def mounted(kind: str, image: Path, folder: Path) -> Iterator[Path]:
    """Mount an image through a loop device of its own. Raises CutError if it is bad."""
    options = f"loop,{FILE_SYSTEMS[kind].options}"
    _run("mount", "-t", kind, "-o", options, image, folder)
    try:
        yield folder
    finally:
        _unmount(folder)


def is_sound(kind: str, image: Path) -> bool:
    """Ask the file system's own checker, after its journal was replayed."""
    argv = [*FILE_SYSTEMS[kind].check, image]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


# Cuts

Piece = tuple[int, bytes]  # an offset, and what was written there
Keep = Callable[[Sequence[Piece], int, random.Random], Iterable[Piece]]


def _none(_writes: Sequence[Piece], _sector: int, _chance: random.Random) -> Iterable[Piece]:
    return ()


def _all(writes: Sequence[Piece], _sector: int, _chance: random.Random) -> Iterable[Piece]:
    return writes


def _some(writes: Sequence[Piece], _sector: int, chance: random.Random) -> Iterable[Piece]:
    return [write for write in writes if chance.random() < 0.5]


def _latest(writes: Sequence[Piece], _sector: int, _chance: random.Random) -> Iterable[Piece]:
    return writes[-1:]


def _reversed(writes: Sequence[Piece], _sector: int, chance: random.Random) -> Iterable[Piece]:
    """The cache was emptied from its end, and the power went in between."""
    return writes[chance.randrange(len(writes) + 1) :]


def _sectors(writes: Sequence[Piece], sector: int, chance: random.Random) -> Iterable[Piece]:
    """Each sector for itself."""
    for offset, data in writes:
        for at in range(0, len(data), sector):
            if chance.random() < 0.5:
                yield offset + at, data[at : at + sector]


def _torn(writes: Sequence[Piece], sector: int, chance: random.Random) -> Iterable[Piece]:
    """In order, but the last one not to its end."""
    *whole, (offset, data) = writes[: chance.randrange(len(writes)) + 1] if writes else [(0, b"")]
    return [*whole, (offset, data[: chance.randrange(len(data) // sector + 1) * sector])]


KEPT: tuple[Keep, ...] = (_none, _all, _some, _latest, _reversed, _sectors, _torn)


class Cut(NamedTuple):
    """The power was gone when the log had `position` bytes; `image` is what it left."""

    position: int
    image: Path
    kept: str  # how the unflushed writes were dealt with
    unflushed: int


def moments(disk: Disk, begin: int, end: int) -> list[int]:
    """The positions at which a write or a flush had just come in."""
    return [record.end for record in read_log(disk.log) if begin <= record.end <= end]


def cuts(disk: Disk, positions: Sequence[int], chance: random.Random) -> Iterator[Cut]:
    """Cut at positions in the log. An image is there until the next one is asked for."""
    safe, image = disk.log.with_name("safe.img"), disk.log.with_name("cut.img")
    _copy(disk.first, safe)
    log = read_log(disk.log)
    ahead = next(log, None)
    unflushed: list[Piece] = []
    for number, position in enumerate(sorted(positions)):
        while ahead is not None and ahead.end <= position:
            if ahead.kind == FLUSH:
                _write(safe, unflushed)
                unflushed.clear()
            else:
                unflushed.append((ahead.offset, ahead.data))
            ahead = next(log, None)
        keep = KEPT[number % len(KEPT)]
        _copy(safe, image)
        _write(image, keep(unflushed, FILE_SYSTEMS[disk.kind].sector, chance))
        yield Cut(position, image, keep.__name__.strip("_"), len(unflushed))


def _write(image: Path, pieces: Iterable[Piece]) -> None:
    fd = os.open(image, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for offset, data in pieces:
            os.pwrite(fd, data, offset)
    finally:
        os.close(fd)


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    _run("cp", "--sparse=auto", source, target)


def _unmount(folder: Path) -> None:
    # Somebody may look in for a moment (a desktop, an indexer).
    with suppress(AssertionError):
        wait_until(lambda: not os.path.ismount(folder) or _try("umount", folder))
    if os.path.ismount(folder):
        _run("umount", "--lazy", folder)


def _try(*argv: str | Path) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _run(*argv: str | Path) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise CutError(f"{shlex.join(map(str, argv))}: {done.stderr.strip()}")
