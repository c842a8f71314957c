"""One line for each thing that happened: to the journal with fields, else to stderr.

Never a key, never a word of a body. The journal's own library is called directly: a
`logging` call with its JournalHandler takes five times as long, once per message.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from aap.log import LEVELS, format_line

_Send = Callable[..., None]
_REFUSALS = 20  # lines about refused requests in a period; the others are counted
_PERIOD = 10.0


class Journal:
    """Where the API tells what it does."""

    def __init__(self) -> None:
        self._send = _find_journal()
        self._refused = 0
        self._period_began = 0.0

    def event(
        self,
        level: str,
        event: str,
        *,
        message_id: str | None = None,
        workspace: str | None = None,
        **fields: object,
    ) -> None:
        """Tell one event. Nothing is raised: a request never fails because of its log line."""
        line = format_line(level, "api", event, id=message_id, workspace=workspace, **fields)
        with suppress(OSError):
            if self._send is None:
                os.write(2, line.encode("utf-8", "replace") + b"\n")
            else:
                self._send(*_fields(level, event, message_id, workspace, line))

    def fault(self, error: BaseException) -> None:
        """Tell a fault of aap itself: what and where, but no values, which may be a human's."""
        where = "unknown"
        trace = error.__traceback__
        while trace is not None:
            where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
            trace = trace.tb_next
        self.event("error", "fault", error=type(error).__name__, where=where)

    def refusal(self, status: int, code: str, path: str) -> None:
        """Tell that a request was refused, at most so often that the journal keeps up.

        journald drops what a service says too fast, and with it lines that matter.
        """
        now = time.monotonic()
        if now - self._period_began > _PERIOD:
            if self._refused > _REFUSALS:
                self.event("notice", "refused-more", count=self._refused - _REFUSALS)
            self._refused, self._period_began = 0, now
        self._refused += 1
        if self._refused <= _REFUSALS:
            self.event("notice", "refused", status=status, code=code, path=path[:100])


def _find_journal() -> _Send | None:
    if not _is_journal(sys.stderr.fileno()):
        return None
    from systemd.journal import sendv

    send: _Send = sendv
    return send


def _is_journal(fd: int) -> bool:
    """Tell as systemd.exec(5) says: the variable alone outlives a redirection of stderr."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    facts = os.fstat(fd)
    return (device, inode) == (str(facts.st_dev), str(facts.st_ino))


def _fields(
    level: str, event: str, message_id: str | None, workspace: str | None, line: str
) -> list[str]:
    # The journal has its own time and level.
    fields = [
        f"MESSAGE={line.split(' ', 3)[3]}",
        f"PRIORITY={LEVELS[level]}",
        "SYSLOG_IDENTIFIER=aap-api",
        f"AAP_EVENT={event}",
    ]
    if message_id:
        fields.append(f"AAP_MESSAGE_ID={message_id}")
    if workspace:
        fields.append(f"AAP_WORKSPACE={workspace}")
    return fields
