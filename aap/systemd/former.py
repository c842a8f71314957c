"""Folders that were workspaces of the machine's aap, and what its account may have left there.

They are known until the account is gone: its number may be given to another one day, which
would find messages, or a folder, of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from aap import SPOOL_FOLDER, files, identity
from aap.errors import AapError
from aap.mode import SYSTEM_CONFIG, SYSTEM_HOME

FILE = SYSTEM_CONFIG / "former.json"


def read() -> list[Path]:
    """Return the folders; none if there is no such file, or it makes no sense. Raises OSError."""
    with suppress(FileNotFoundError, ValueError, TypeError):
        return [Path(path) for path in json.loads(FILE.read_bytes())]
    return []


def add(folders: Iterable[Path]) -> None:
    """Remember folders; for root."""
    known = read()
    new = [folder for folder in folders if folder not in known]
    if new:
        files.make_folder(FILE.parent)
        files.write_atomic(FILE, json.dumps([str(path) for path in (*known, *new)]).encode())


def forget() -> None:
    """Forget all: there is no account any more."""
    files.remove(FILE, missing_ok=True)
    identity.remove_empty([SYSTEM_CONFIG])


def with_messages() -> list[Path]:
    """Those whose messages are in the account's hands still: nobody else has the folder now."""
    return [folder for folder in read() if _is_in_its_hands(folder / SPOOL_FOLDER)]


def _is_in_its_hands(path: Path) -> bool:
    mine = identity.find_account()
    with suppress(AapError):
        owner = identity.find_owner(path)
        return mine is not None and owner is not None and owner.uid == mine.uid
    return False


def held() -> list[Path]:
    """Those outside of its home where there is anything that belongs to the account."""
    return [
        folder for folder in read() if not folder.is_relative_to(SYSTEM_HOME) and _holds(folder)
    ]


def _holds(folder: Path) -> bool:
    mine = identity.find_account()
    for path in (folder, folder / SPOOL_FOLDER):
        with suppress(OSError):
            if mine and path.lstat().st_uid == mine.uid:
                return True
    return False
