"""One message under two names, as a power cut in the middle of a move may leave it on btrfs.

Its log takes up the new name when the new folder is fsynced, and the loss of the old one
only with the old folder. Both names then mean the same file, and rename(2) from one to the
other does nothing and reports success: such a message could never leave its place again.

Names of one file are not always one message: a space saver (hardlink(1), rdfind) gives one
file to all that say the same, and each of them has a sender who waits. By the id they are
told apart.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from aap import files
from aap.message import PRINT_CHARS, State, fingerprint, parse_name


def is_linked(found: os.stat_result) -> bool:
    """Tell whether a file may have a twin."""
    return found.st_nlink > 1 and stat.S_ISREG(found.st_mode)  # a folder has many links


def find_linked(folders: Iterable[Path]) -> set[int]:
    """Find the files of some folders that may have a twin, by their inodes."""
    found = set()
    for folder in folders:
        with os.scandir(folder) as items:
            for item in items:
                with suppress(FileNotFoundError):
                    facts = item.stat(follow_symlinks=False)
                    if is_linked(facts):
                        found.add(facts.st_ino)
    return found


def find_shared(folders: Sequence[Path]) -> set[int]:
    """Find the files that are in several of some folders, by their inodes.

    No file is looked at, only the folders: there may be tens of thousands, and lstat(2) of
    each takes five times as long. The last, and largest, is read only if it matters.
    """
    seen: set[int] = set()
    shared: set[int] = set()
    for folder in folders:
        if folder.is_symlink() or (folder == folders[-1] and not seen):
            continue
        with os.scandir(folder) as items:
            here = {item.inode() for item in items}
        shared |= here & seen
        seen |= here
    return shared


def find_names(inodes: set[int], folders: Sequence[Path]) -> dict[int, list[Path]]:
    """Find all names that files have in `folders`, in their order; the best one is the last.

    Within a folder that is aap's own, not a hidden or a foreign one. One look at each
    folder serves all: after `cp -al` every file of a spool is linked.
    """
    names: dict[int, list[Path]] = {}
    for folder in folders if inodes else ():
        if folder.is_symlink():
            continue  # the same name again, and not another one
        with os.scandir(folder) as items:
            same = [(item.name, item.inode()) for item in items if item.inode() in inodes]
        for name, inode in sorted(same, key=lambda each: (parse_name(each[0]) is not None, each)):
            names.setdefault(inode, []).append(folder / name)
    return names


def same_message(path: Path, names: Sequence[Path]) -> list[Path]:
    """Return those names of a file that mean the message of `path`, in their order."""
    wanted = _whose(path, names)
    return [name for name in names if _whose(name, names) == wanted]


def messages(names: Sequence[Path]) -> list[list[Path]]:
    """Sort the names of a file by the messages that they mean."""
    found: dict[str, list[Path]] = {}
    for name in names:
        found.setdefault(_whose(name, names), []).append(name)
    return list(found.values())


def _whose(path: Path, names: Sequence[Path]) -> str:
    """Return the id of the message that a name of a file means; of a foreign one, its path."""
    known = parse_name(path.name.removeprefix("."))
    if known is None or not known.is_message:
        for other in names:
            if _was_taken_in_as(path, other):
                return other.name.partition(".")[0]
    return known.id if known else str(path)


def _was_taken_in_as(path: Path, other: Path) -> bool:
    """Tell whether `other` is what `adopt` or `put_aside` made of what somebody put into inbox/.

    The id that they gave has the fingerprint of the old name. In other folders it proves
    nothing: who links done/ID.json to inbox/again.json wants it handled again.
    """
    new = parse_name(other.name)
    if new is None or new.attempts or path.parent.name != State.INBOX.value:
        return False
    place = State.INBOX if new.is_message else State.FAILED
    is_there = other.parent.name == place.value
    return is_there and new.id[-PRINT_CHARS:] == fingerprint(os.fsencode(path.name))


def keep_last(names: Sequence[Path], inode: int) -> list[Path]:
    """Take all names but the last one away from a file, and return them.

    Whatever others do meanwhile, the file keeps one: link(2) says, and sees to it, that the
    last name is there, and from then on a rename to a name that goes is none.
    """
    *others, kept = names
    gone = []
    for other in others:
        with suppress(FileNotFoundError):
            if other.lstat().st_ino != inode:
                continue  # another file has come there since we looked
            with suppress(FileExistsError):
                os.link(other, kept)
            other.unlink()
            gone.append(other)
            files.fsync_folder(other.parent)
    return gone
