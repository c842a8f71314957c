"""`aap inbox wait`, and noticing that a folder of the spool has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from aap.cli.inbox import print_ids, waiting
from aap.cli.place import Place
from aap.errors import Exit
from aap.message import State

# Ten looks a second at one number cost 0.1 % of a core; inotify would need ctypes,
# which takes longer to import than all else here.
POLL = 0.1
_FRESH = 1_000_000_000  # ns


class Folder:
    """Tells whether names in a folder may have come or gone since the last question.

    By the folder's mtime. The kernel's clock for it ticks every few milliseconds:
    a second change within a tick leaves no trace, so a folder that changed just
    now counts as changed again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = -1
        self._fresh = True

    def changed(self) -> bool:
        """Answer since the last call; the first answer is yes."""
        try:
            stamp = os.stat(self._path).st_mtime_ns  # noqa: PTH116 - ten times a second
        except OSError:
            stamp = 0
        known = stamp == self._seen and not self._fresh
        self._seen = stamp
        self._fresh = abs(time.time_ns() - stamp) < _FRESH
        return not known


def wait(
    place: Place,
    *,
    states: Sequence[State] = (),
    conversation: str | None = None,
    timeout: float | None = None,
    as_json: bool = False,
) -> int:
    """Print the ids that are in `states` (inbox/ unless told) as soon as there are any.

    Returns Exit.TIMED_OUT after `timeout` seconds without one.
    """
    chosen = tuple(states) or (State.INBOX,)
    spool = place.spool
    folders = [Folder(spool.folder(state)) for state in chosen]
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        changed = [folder.changed() for folder in folders]  # each is asked: any() would stop
        if any(changed):
            found = list(waiting(spool, chosen, conversation))
            if found:
                print_ids(spool, found, as_json=as_json)
                return Exit.OK
        left = POLL if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return Exit.TIMED_OUT
        time.sleep(min(POLL, left))
