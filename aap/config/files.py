"""Changing a configuration file in its place: one writer at a time, no surprise by a link."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aap import identity
from aap.errors import (
    AapError,
    ConfigError,
    Exit,
    PermissionDeniedError,
    TryAgainError,
    exit_of,
)
from aap.files import FILE_MODE, FOLDER_MODE, make_folder, write_atomic
from aap.mode import SYSTEM_CONFIG, as_root

_KINDS = {Exit.NO_PERMISSION: PermissionDeniedError, Exit.TRY_AGAIN: TryAgainError}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder` while a file in it is read, changed and replaced.

    The folder, which is made where it is missing, and not the file: the file is another one
    after each change. Root has the rights of the folder's owner meanwhile. Raises
    PermissionDeniedError, TryAgainError where the disk is full (or another fault will pass),
    or AapError where it is broken; so do the writes within.
    """
    try:
        with identity.acting_for(folder):
            make_folder(folder)
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                yield
            finally:
                os.close(fd)
    except OSError as error:
        kind = _KINDS.get(exit_of(error), AapError)
        message = f"nothing can be written in {folder}: {error.strerror}"
        roots = folder.is_relative_to(SYSTEM_CONFIG) and os.geteuid() != 0
        raise kind(message, hint=as_root() if roots else f"ls -ld {folder}; df {folder}") from None


def real_file(file: Path) -> Path:
    """The file to replace when `file` is to be changed.

    A symbolic link is followed (dotfile managers keep aap.conf elsewhere and would lose it to
    a rename), but only when link and target are the caller's own: a link that another user,
    or an agent in its workspace, has laid must not lead root to a file of the system's.
    Raises ConfigError.
    """
    if not file.is_symlink():
        return file
    target = file.resolve()
    me = os.geteuid()
    owners = {file.lstat().st_uid, target.stat().st_uid if target.exists() else me}
    if owners != {me}:
        hint = f"change {target} itself, or replace the link by a file"
        raise ConfigError(f"{file} is a link, and not all of it is yours", hint=hint)
    return target


def make_private(folder: Path) -> None:
    """Make a folder of settings or keys, or close one that is there.

    It is its owner's alone; the machine's is also for its account to look into.
    """
    shared = _is_shared(folder)
    make_folder(folder)
    folder.chmod(0o750 if shared else FOLDER_MODE)
    if shared:
        os.chown(folder, -1, folder.parent.stat().st_gid, follow_symlinks=False)


def write_private(file: Path, text: str, mode: int = FILE_MODE) -> None:
    """Replace a file of settings or keys, `mode` if it is not the machine's.

    The machine's is root's, and its units, which run as another account, may read it.
    """
    if _is_shared(file):
        write_atomic(file, text.encode(), 0o640, group=file.parent.stat().st_gid)
    else:
        write_atomic(file, text.encode(), mode)


def _is_shared(path: Path) -> bool:
    """Below the folder of the machine's settings; the others can be anywhere."""
    return path.is_relative_to(SYSTEM_CONFIG) and path != SYSTEM_CONFIG
