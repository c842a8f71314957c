"""The account that the machine's units run as, and the folders that are its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from aap import files, identity, process
from aap.errors import AapError
from aap.mode import ACCOUNT, SYSTEM_CONFIG, SYSTEM_HOME, SYSTEM_WORKSPACE, USER
from aap.systemd.units import SYSUSERS, TMPFILES

_GECOS = "Inbox of aap"  # as packaging/systemd/sysusers.conf.in has it


def make(texts: Mapping[str, str]) -> None:
    """Make the account and its folders, or put right who owns what; `texts` say how.

    Raises CommandError.
    """
    process.check(["systemd-sysusers", "-"], stdin=texts[SYSUSERS])
    process.check(["systemd-tmpfiles", "--create", "-"], stdin=texts[TMPFILES])


def make_folder(folder: Path, mode: str) -> None:
    """Make a folder that worker and agent own, and its parents: the user's, or the account's.

    What lies in the account's hands is made with its rights alone. Elsewhere the parents
    are root's, as `preflight` has seen, and nobody else can put anything in their place.
    """
    if folder.is_dir():
        return
    if mode == USER or identity.find_owner(folder.parent):
        with identity.acting_for(folder):
            files.make_folder(folder)
        return
    files.make_folder(folder.parent, 0o755)
    folder.mkdir(mode=files.FOLDER_MODE)
    mine = identity.find_account()
    if mine:
        os.chown(folder, mine.uid, mine.gid, follow_symlinks=False)


def is_ours() -> bool:
    """Whether there is an account that `make` made, and not a person or another package."""
    import pwd

    try:
        found = pwd.getpwnam(ACCOUNT)
    except KeyError:
        return False
    return (found.pw_gecos, found.pw_dir) == (_GECOS, str(SYSTEM_HOME))


def remove() -> bool:
    """Remove the account if nothing of it is left; False if its home is.

    The number may be given to another account one day, which would find its files, and
    could read the settings.
    """
    identity.remove_empty([SYSTEM_WORKSPACE, SYSTEM_HOME])
    if SYSTEM_HOME.exists():
        return False
    if not is_ours():
        return True
    for path in (SYSTEM_CONFIG, *SYSTEM_CONFIG.rglob("*")):
        with suppress(FileNotFoundError):
            os.chown(path, 0, 0, follow_symlinks=False)
    process.check(["userdel", ACCOUNT])
    with suppress(AapError):  # userdel leaves a group that has other members
        process.check(["groupdel", ACCOUNT])
    return True
