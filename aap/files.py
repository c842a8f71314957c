"""Durable file operations: what returned from here is on the disk.

Every state change of aap is one of these calls. A name is durable only when
its folder has been fsynced too (ext4, xfs and btrfs all lose names otherwise),
and an fsync that failed is never retried on the same descriptor: the kernel
reports a write-back error once and drops the pages.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aap.errors import TryAgainError

FILE_MODE = 0o600
FOLDER_MODE = 0o700
# How hidden names end: of what is being written, and of what was there before.
_NEW, _OLD, _KEPT = ".new", ".old", ".kept"
LEFT_OVER_AFTER = 3600.0  # seconds without a change after which a hidden file has lost its writer


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have an OSError within the block name the file; calls on a descriptor know none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def fsync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    with naming(folder), _opened(folder) as fd:
        os.fsync(fd)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def sync_file_system(fd: int) -> bool:
    """Write out all of the file system that `fd` is on: syncfs(2). True if that was done.

    False, and nothing was done, where it promises less than fsync of each file: other
    file systems than these may leave their disk's cache alone (FUSE does), and Linux
    before 5.8 keeps failed writes to itself. Raises OSError if any write has failed
    since `fd` was opened, on whosever behalf.
    """
    device = os.fstat(fd).st_dev
    if device not in _synced_whole:
        _synced_whole[device] = _is_modern() and _file_system(fd) in _WHOLE_SYNC
    if not _synced_whole[device]:
        return False
    if _libc().syncfs(fd) != 0:
        raise _last_error()
    return True


_WHOLE_SYNC = frozenset((0xEF53, 0x58465342, 0x9123683E))  # ext4, xfs, btrfs: linux/magic.h
_synced_whole: dict[int, bool] = {}  # by device


def _is_modern() -> bool:
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(c for c in minor if c.isdigit()) or 0)) >= (5, 8)


def _file_system(fd: int) -> int:
    """The magic number of a file system: what struct statfs begins with, statfs(2)."""
    import ctypes

    facts = (ctypes.c_long * 64)()  # struct statfs has 120 bytes
    return facts[0] if _libc().fstatfs(fd, facts) == 0 else 0


def _libc() -> Any:
    import ctypes  # os has no syncfs; and only a busy API gets here

    return ctypes.CDLL(None, use_errno=True)


def _last_error() -> OSError:
    import ctypes

    error = ctypes.get_errno()
    return OSError(error, os.strerror(error))


def make_folder(folder: Path, mode: int = FOLDER_MODE) -> None:
    """Create `folder` and its parents where missing; the new names are durable.

    One whose name could not be made durable is taken away again: the next call would
    find it there, and what is put into it could be lost with it.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    with suppress(FileExistsError):
        folder.mkdir(mode=mode)
        try:
            fsync_folder(folder.parent)
        except OSError:
            with suppress(OSError):
                folder.rmdir()
            raise


def missing_folders(*paths: Path) -> list[Path]:
    """Name the folders, ancestors included, that do not exist yet; parents first."""
    found: dict[Path, None] = {}
    for path in paths:
        line = [path, *path.parents]
        found |= dict.fromkeys(folder for folder in reversed(line) if not folder.exists())
    return list(found)


def remove_empty(folders: list[Path]) -> None:
    """Remove those of the folders that are there and empty, children first."""
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):
            folder.rmdir()


def remove(path: Path, *, missing_ok: bool = False) -> None:
    """Delete a file, durably: else a power cut might bring a secret, or a unit, back in force.

    Raises FileNotFoundError if it is not there, unless it need not be. After any other
    OSError the file is back, as far as the disk lets it. What comes back after a power cut
    has a hidden name, which `sweep_drafts` knows.
    """
    hidden = _beside(path, _OLD)
    try:
        path.rename(hidden)
    except FileNotFoundError:
        if missing_ok:
            return
        raise
    try:
        fsync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            hidden.rename(path)
        raise
    with suppress(OSError):
        hidden.unlink()


def lock(fd: int, patience: float, complaint: str) -> None:
    """Lock an open file for this process until `fd` is closed, as flock(2) does.

    Raises TryAgainError with the complaint if another still has it after `patience` seconds.
    """
    import fcntl

    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TryAgainError(complaint) from None
            time.sleep(0.02)


@contextmanager
def real_folder(folder: Path) -> Iterator[int]:
    """Open a folder of ours for the length of the block, as a descriptor; no link in its place."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def open_plain(path: Path) -> int:
    """Open a regular file for reading, and nothing else.

    Whoever may write a folder of ours may put anything there: no link is followed (it could
    point at a secret), nothing is waited for (a FIFO). Raises OSError, EINVAL where it is no
    regular file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def sync_plain(path: Path) -> None:
    """Make the bytes of somebody else's file durable, if it is one that can be read."""
    try:
        fd = open_plain(path)
    except OSError:
        return
    with naming(path):
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def read_plain(path: Path, limit: int | None = None) -> bytes:
    """Return what is in a regular file, as `open_plain` opens it."""
    fd = open_plain(path)
    with naming(path), os.fdopen(fd, "rb", buffering=0) as file:
        return file.read() if limit is None else file.read(limit)


def write_all(fd: int, data: bytes) -> None:
    """write(2) until nothing is left: a short write is no error (disk nearly full, signal)."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextmanager
def new_file(path: Path, mode: int = FILE_MODE) -> Iterator[int]:
    """Open `path`, which must not exist, for writing; remove it again if the block fails.

    The content is fsynced when the block ends; the name is not.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        try:
            yield fd
            os.fsync(fd)
        finally:
            os.close(fd)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def write_atomic(
    path: Path, data: bytes, mode: int = FILE_MODE, *, group: int | None = None
) -> None:
    """Replace `path` by `data`: readers, and a crash, see the old content or the new.

    A file for a `group` has that mode whatever the umask. If it raises, the old content
    is back, or no file where there was none, as far as the disk lets it: what was refused
    must not take effect later.
    """
    sweep_drafts(path.parent, path.name)
    # What can be refused for lack of descriptors comes before the change.
    with naming(path), _opened(path.parent) as folder, _kept(path, group) as put_back:
        _replace(path, data, mode, group)
        try:
            os.fsync(folder)
        except OSError:
            with suppress(OSError):
                put_back()
            raise


def _replace(path: Path, data: bytes, mode: int, group: int | None) -> None:
    hidden = _beside(path, _NEW)
    _clear(hidden)
    with new_file(hidden, mode) as fd:
        if group is not None:
            os.fchown(fd, -1, group)
            os.fchmod(fd, mode)
        write_all(fd, data)
    try:
        hidden.replace(path)
    except BaseException:
        with suppress(OSError):
            hidden.unlink()
        raise


@contextmanager
def kept(path: Path) -> Iterator[Callable[[], object]]:
    """Keep what `path` is now for the length of the block; give what puts it back.

    For a change in several steps, of which `write_atomic` of this path may be one.
    """
    with _kept(path, None, _KEPT) as put_back:
        yield put_back


@contextmanager
def _kept(path: Path, group: int | None, kind: str = _OLD) -> Iterator[Callable[[], object]]:
    """Keep a file by a second name: to put that back takes no room, and no fsync of the bytes."""
    hidden = _beside(path, kind)
    try:
        _clear(hidden)
        os.link(path, hidden, follow_symlinks=False)
    except FileNotFoundError:
        yield lambda: path.unlink(missing_ok=True)
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with _copied(path, group) as put_back:
            yield put_back
        return
    try:
        yield lambda: hidden.replace(path)
    finally:
        with suppress(OSError):  # `sweep_drafts` does it then
            hidden.unlink()


# FAT and FUSE, too many links, another user's file with fs.protected_hardlinks
_NO_LINKS = frozenset((errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK))


@contextmanager
def _copied(path: Path, group: int | None) -> Iterator[Callable[[], None]]:
    """Do as `_kept`, where a file can have one name only."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.ELOOP, errno.ENXIO):
            raise
        yield lambda: None  # a link, or not for us to read: it cannot be kept
        return
    try:
        with os.fdopen(fd, "rb", closefd=False) as old:
            mode = os.fstat(fd).st_mode & 0o7777
            yield lambda: _replace(path, old.read(), mode, group)
    finally:
        os.close(fd)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}{kind}")


def _clear(hidden: Path) -> None:
    if os.path.lexists(hidden):  # left by a killed process that had this pid
        hidden.unlink()


def is_draft(name: str, of: str = "") -> bool:
    """Tell whether `write_atomic` gives such names while it works, to files named `of` or all."""
    rest, kind = os.path.splitext(name)  # noqa: PTH122
    start, _, pid = rest.rpartition(".")
    known = kind in {_NEW, _OLD, _KEPT} and pid.isdigit() and start.startswith(".")
    return known and of in {"", start[1:]}


def sweep_drafts(folder: Path, name: str = "") -> None:
    """Delete the drafts that killed calls of `write_atomic` left in `folder`, of `name` or all."""
    with suppress(OSError):
        for draft in os.listdir(folder):
            if is_draft(draft, name):
                _sweep_draft(folder / draft)


def _sweep_draft(path: Path) -> None:
    if path.suffix == _NEW:
        sweep(path)
    # The time of the others is that of the file which they keep, and tells nothing.
    elif not _is_process(int(path.stem.rpartition(".")[2])):
        with suppress(OSError):
            path.unlink()


def _is_process(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def sweep(path: Path) -> None:
    """Delete a file whose writer must be dead: it has not been written for an hour."""
    with suppress(OSError):
        if path.lstat().st_mtime < time.time() - LEFT_OVER_AFTER:
            path.unlink()


def append_line(path: Path, line: str) -> None:
    """Append `line` and a newline; both are on the disk afterwards.

    A line torn by an earlier crash is ended first, so that it spoils only itself.
    """
    fd = os.open(
        path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE
    )
    try:
        with naming(path):
            size = os.fstat(fd).st_size
            if size == 0:
                # The name before the first byte: who finds bytes, perhaps after the death
                # of who wrote them, need not ask whether the name is on the disk.
                fsync_folder(path.parent)
            torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
            write_all(fd, (b"\n" if torn else b"") + line.encode("utf-8", "replace") + b"\n")
            os.fsync(fd)
    finally:
        os.close(fd)


def move(source: Path, target: Path) -> None:
    """rename(2) from one folder to another, durable in both.

    The target folder first: a crash in between may show the file in both
    (aap.inbox.twins mends that), never in neither. If it raises, the file is where it
    was, as far as the disk lets it, and unless somebody has moved it on.
    """
    source.rename(target)
    try:
        _fsync_both(target.parent, source.parent)
    except OSError:
        put_back(target, source)
        with suppress(OSError):
            _fsync_both(source.parent, target.parent)
        raise


def put_back(target: Path, source: Path) -> None:
    """Undo rename(2) of `source` to `target`, if that can be."""
    with suppress(OSError):
        # A name that is not ours may have been used again meanwhile, and rename(2) replaces.
        if not os.path.lexists(source):
            # No link and unlink: who sees both names takes one away (aap.inbox.twins).
            target.rename(source)


def _fsync_both(new: Path, old: Path) -> None:
    fsync_folder(new)
    if new != old:
        fsync_folder(old)
