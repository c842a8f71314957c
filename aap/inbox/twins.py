"""One message under two names, as a power cut in the middle of a move may leave it on btrfs.

Its log takes up the new name when the new folder is fsynced, and the loss of the old one
only with the old folder. Both names then mean the same file, and rename(2) from one to the
other does nothing and reports success: such a message could never leave its place again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from aap import files
from aap.message import parse_name


def has_other_names(path: Path) -> bool:
    """Tell whether a file may have a twin. Raises FileNotFoundError."""
    return _is_linked(path.lstat())


def _is_linked(found: os.stat_result) -> bool:
    return found.st_nlink > 1 and stat.S_ISREG(found.st_mode)  # a folder has many links


def find_linked(folder: Path) -> list[Path]:
    """Find the files of a folder that may have a twin."""
    found = []
    with os.scandir(folder) as items:
        for item in items:
            with suppress(FileNotFoundError):
                if _is_linked(item.stat(follow_symlinks=False)):
                    found.append(folder / item.name)
    return found


def find_names(path: Path, folders: Sequence[Path]) -> list[Path]:
    """Find all names that a file has in `folders`, in their order; the best one is the last.

    Within a folder that is aap's own, not a hidden or a foreign one.
    """
    inode = path.lstat().st_ino
    names: list[Path] = []
    for folder in folders:
        if folder.is_symlink():
            continue  # the same name again, and not another one
        with os.scandir(folder) as items:
            same = [item.name for item in items if item.inode() == inode]
        names += [folder / name for name in sorted(same, key=lambda name: (_is_own(name), name))]
    return names


def _is_own(name: str) -> bool:
    return parse_name(name) is not None


def keep_last(names: Sequence[Path]) -> None:
    """Take all names but the last one away from a file.

    Whatever others do meanwhile, the file keeps one: link(2) says, and sees to it, that the
    last name is there, and from then on a rename to a name that goes is none.
    """
    *others, kept = names
    for other in others:
        with suppress(FileNotFoundError):
            with suppress(FileExistsError):
                os.link(other, kept)
            other.unlink()
            files.fsync_folder(other.parent)
