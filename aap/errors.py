"""Errors with a meaning, raised anywhere and turned into an exit in one place.

The programs (`aap`, the API, the worker) catch `AapError` at their outermost
frame; nothing below them prints or exits.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TypeVar

T = TypeVar("T")


class Exit(IntEnum):
    """Exit codes of every aap program, as `aap(1)` documents them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    NO_PERMISSION = 4
    NOT_FOUND = 5
    TIMED_OUT = 6
    FINDINGS = 7
    TRY_AGAIN = 75
    BAD_CONFIG = 78
    INTERRUPTED = 130


_REFUSED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
# What ends by itself, or by making room: a full disk, too many open files, no memory.
_PASSING = frozenset((
    errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
    errno.ENOLCK,
))  # fmt: skip


def exit_of(error: OSError) -> Exit:
    """Return the exit code that says what kind of fault the operating system met."""
    if error.errno in _REFUSED:
        return Exit.NO_PERMISSION
    if error.errno in _PASSING:
        return Exit.TRY_AGAIN
    return Exit.NOT_FOUND if error.errno == errno.ENOENT else Exit.FAILED


def describe(error: OSError) -> str:
    """Say which file it was, where that is known, and the kernel's word for what happened."""
    where = f"{os.fsdecode(error.filename)}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def for_all(things: Iterable[T], act: Callable[[T], object]) -> None:
    """Do `act` for each thing, for the rest too where the system fails one; then raise that error.

    Raises the first OSError; any other exception at once.
    """
    failed = None
    for thing in things:
        try:
            act(thing)
        except OSError as error:
            failed = failed or error
    if failed:
        raise failed


class AapError(Exception):
    """Something a person can understand and mend.

    `str(error)` says what is wrong in one line; `hint`, where there is one,
    is the command or the step that mends it; `code` is the exit code.
    """

    code = Exit.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(AapError):
    """The command line asks for something that makes no sense."""

    code = Exit.USAGE


class NotRunningError(AapError):
    """aap, or the systemd it needs, is not there."""

    code = Exit.NOT_RUNNING


class PermissionDeniedError(AapError):
    """The operating system refused."""

    code = Exit.NO_PERMISSION


class NotFoundError(AapError):
    """No such message, workspace, key or file."""

    code = Exit.NOT_FOUND


class TryAgainError(AapError):
    """A passing fault: full disk, full inbox, a lock that is held."""

    code = Exit.TRY_AGAIN


class ConfigError(AapError):
    """A configuration that cannot be used as it stands."""

    code = Exit.BAD_CONFIG


class FormatError(AapError):
    """A spool was written by a newer aap, and must not be touched by this one."""

    code = Exit.BAD_CONFIG


def unreadable(path: object, error: OSError) -> ConfigError:
    """Make the error for a file that is there and cannot be read."""
    made = ConfigError(f"{path} cannot be read: {error.strerror}", hint=f"ls -ld {path}")
    if not isinstance(error, FileNotFoundError):
        made.code = exit_of(error)
    return made


def nearest(word: str, known: Iterable[str]) -> str:
    """Return which of `known` was probably meant by `word`, or an empty string."""
    from difflib import get_close_matches  # for mistakes alone

    return next(iter(get_close_matches(word, known, 1, 0.6)), "")


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint that names the nearest of `known`; `otherwise` where none is near."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else otherwise
