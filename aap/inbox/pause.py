"""The PAUSED file of a spool: while it is there, no message is given to the agent.

The API goes on accepting. Three readers honour the file: the worker, which waits or
leaves; its path unit, which does not start while the file exists (so not after a
reboot either); and the hook by which an agent is told of later messages.
"""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aap import files

FILE = "PAUSED"


class Pause(NamedTuple):
    """Since when (epoch seconds) and why nothing is handed out.

    `unwatched`: the path unit has been stopped, so a worker may leave with messages
    in inbox/ and is not started again at once. While it is not known to be, the
    worker waits: systemd would start the next one without end.
    """

    since: float
    reason: str = ""
    unwatched: bool = False


def read_pause(root: Path) -> Pause | None:
    """Return the pause of the spool at `root`; None if it is not paused.

    What cannot be read is a pause all the same: a file of this name, made by
    `touch`, is what somebody meant by it. Raises OSError where it cannot be told.
    """
    path = root / FILE
    try:
        made = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    with suppress(OSError, ValueError, LookupError, TypeError):
        if stat.S_ISREG(made.st_mode):
            import json

            facts = json.loads(files.read_plain(path))
            unwatched = facts["unwatched"] is True
            return Pause(float(facts["since"]), str(facts["reason"]), unwatched)
    return Pause(made.st_mtime)


def write_pause(root: Path, pause: Pause) -> None:
    """Pause the spool at `root`, durably."""
    import json

    files.write_atomic(root / FILE, json.dumps(pause._asdict()).encode())


def end_pause(root: Path) -> bool:
    """End the pause; False if there was none."""
    try:
        files.remove(root / FILE)
    except FileNotFoundError:
        return False
    return True
