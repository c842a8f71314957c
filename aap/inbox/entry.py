"""One directory entry of the spool, known by its name alone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from aap.message import Name, State, parse_name

# systemd's hidden_or_backup_file(): DirectoryNotEmpty= does not see these.
_IGNORED_NAMES = frozenset(("lost+found", "aquota.user", "aquota.group"))
_IGNORED_ENDINGS = frozenset((
    "rpmnew", "rpmsave", "rpmorig", "dpkg-old", "dpkg-new", "dpkg-tmp", "dpkg-dist", "dpkg-bak",
    "dpkg-backup", "dpkg-remove", "ucf-new", "ucf-old", "ucf-dist", "swp", "bak", "old", "new",
))  # fmt: skip


def is_visible(name: str) -> bool:
    """Tell whether systemd counts a file of this name when it asks if inbox/ is empty.

    The worker must take exactly these: one it took for nothing would keep the
    path unit firing, one that systemd ignores would never wake anybody.
    Source: hidden_or_backup_file() in systemd's src/basic/path-util.c, 249 to 257.
    """
    if name.startswith(".") or name.endswith("~") or name in _IGNORED_NAMES:
        return False
    _, dot, ending = name.rpartition(".")
    return not (dot and ending in _IGNORED_ENDINGS)


class Entry(NamedTuple):
    """Where a message is. It may have moved on by the time this is read."""

    state: State
    path: Path
    name: Name | None  # None: a foreign file that somebody put into inbox/

    @property
    def id(self) -> str:
        """The message's id; a foreign file is called by its file name until it is adopted."""
        return self.name.id if self.name else self.path.name

    @property
    def attempts(self) -> int:
        """How many runs failed on it."""
        return self.name.attempts if self.name else 0

    @property
    def is_foreign(self) -> bool:
        """True for a file that aap did not name."""
        return self.name is None

    @property
    def is_message(self) -> bool:
        """False for what was put aside because it was no message."""
        return self.name is None or self.name.is_message


def read_entry(state: State, path: Path) -> Entry:
    """Make an entry of a path in the folder of `state`."""
    return Entry(state, path, parse_name(path.name))
