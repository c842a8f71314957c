"""Root works in somebody's folder as that somebody.

Who may write a folder can put a link, a pipe or another file into it at any moment, also
between a look and the next step; and what root makes there, its owner could not remove.
So root does not look twice: it has the rights of the owner, no more, and the kernel
refuses what they would be refused. Only file access changes, setfsuid(2): signals, systemd
and programs that are started have root's rights as before.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aap import files
from aap.errors import PermissionDeniedError
from aap.mode import ACCOUNT

_LINKS_MAX = 40  # as the kernel's


class Owner(NamedTuple):
    """Whose a folder is."""

    uid: int
    gid: int


def find_account() -> Owner | None:
    """The account that the machine's units run as; None where there is none yet."""
    import pwd

    try:
        found = pwd.getpwnam(ACCOUNT)
    except KeyError:
        return None
    return Owner(found.pw_uid, found.pw_gid)


def find_owner(path: Path) -> Owner | None:
    """Whose rights are right for `path`, which need not exist: None if root's are.

    The first step on the way that is not root's decides, for whoever has that has all below
    it. Links are followed step by step: what was seen so far is root's alone, and stays so,
    while a look at the whole way could be led another way than the next one. Raises
    PermissionDeniedError where others than root may replace a part of the way.
    """
    here, ahead, links = Path("/"), [*reversed(path.absolute().parts)], 0
    while ahead:
        step = here / ahead.pop()
        try:
            facts = step.lstat()
        except FileNotFoundError:
            _check_gap(step)
            return None
        except NotADirectoryError:
            return None
        if facts.st_uid != 0:
            return Owner(facts.st_uid, facts.st_gid)
        if stat.S_ISLNK(facts.st_mode):
            links += 1
            if links > _LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            ahead += reversed(step.readlink().parts)
            continue
        _check_step(step, facts)
        here = Path(os.path.normpath(step))  # for `..`; there is no link before it
    return None


def _check_step(step: Path, facts: os.stat_result) -> None:
    if _is_open(facts) and not facts.st_mode & stat.S_ISVTX:
        raise PermissionDeniedError(
            f"others than root may change what is in {step}: root works nowhere below it",
            hint=f"chmod go-w {step}",
        )


def _check_gap(step: Path) -> None:
    """Where everybody may make something, as in /tmp, whose it will be is not known yet."""
    if _is_open(step.parent.lstat()):
        raise PermissionDeniedError(
            f"{step} is not there, and others than root may make it: root works nowhere below it",
            hint=f"mkdir {step}",
        )


def _is_open(facts: os.stat_result) -> bool:
    others = stat.S_IWOTH if facts.st_gid == 0 else stat.S_IWOTH | stat.S_IWGRP
    return stat.S_ISDIR(facts.st_mode) and bool(facts.st_mode & others)


def follow(path: Path) -> None:
    """From here on, have no more rights to files than the owner of `path`; for root alone."""
    if os.geteuid() == 0:
        _take(find_owner(path) or _ROOT)


@contextmanager
def acting_for(path: Path) -> Iterator[None]:
    """As `follow`, for the length of the block."""
    if os.geteuid() != 0:
        yield
        return
    before = _now[0]
    _take(find_owner(path) or _ROOT)
    try:
        yield
    finally:
        _take(before)


def remove_empty(folders: list[Path]) -> None:
    """Remove those of the folders that are there and empty, each with its owner's rights."""
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        with acting_for(folder.parent):
            files.remove_empty([folder])


_ROOT = Owner(0, 0)
_now = [_ROOT]  # whose rights this process has


def current() -> Owner | None:
    """Whose rights to files this process has taken; None where it has its own."""
    return None if _now[0] == _ROOT else _now[0]


def _take(owner: Owner) -> None:
    """Set the ids by which the kernel judges access to files. Leaving root's drops its powers."""
    if owner == _now[0]:
        return
    import ctypes  # os has no setfsuid; and only root gets here

    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups([owner.gid])
    # First the group: without root's id it could not be changed any more.
    libc.setfsuid(0)
    for call, wanted in ((libc.setfsgid, owner.gid), (libc.setfsuid, owner.uid)):
        call(wanted)
        if call(-1) != wanted:  # they return what was before, and say of no failure
            raise PermissionDeniedError(f"cannot work with the rights of user {owner.uid}")
    _now[0] = owner
