"""A spool on a disk that does not read some messages, or not yet."""

from __future__ import annotations

import errno

from aap.inbox import Entry, Spool


class Damaged(Spool):
    """The ids of what cannot be read are `bad`."""

    bad: tuple[str, ...] = ()

    def read(self, entry: Entry, limit: int | None = None) -> bytes:
        """Read what can be read."""
        if entry.id in self.bad:
            raise OSError(errno.EIO, "Input/output error", str(entry.path))
        return super().read(entry, limit)
