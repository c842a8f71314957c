"""The spool: messages as files, states as folders, every change one rename.

`aap-spool(5)` describes the layout for people; this room is its only writer.
"""

from aap.inbox.entry import Entry, is_visible
from aap.inbox.format import check_format
from aap.inbox.pause import Pause, end_pause, read_pause, write_pause
from aap.inbox.spool import NO_FILE, SESSIONS, Spool, Staged

__all__ = [
    "NO_FILE",
    "SESSIONS",
    "Entry",
    "Pause",
    "Spool",
    "Staged",
    "check_format",
    "end_pause",
    "is_visible",
    "read_pause",
    "write_pause",
]
