"""One line for each thing that happened: to the journal with fields, else to stderr.

Never a key, never a word of a body. The journal is spoken to in its native protocol
(https://systemd.io/JOURNAL_NATIVE_PROTOCOL): importing systemd.journal takes 12 ms of
the time to the first answer, and each of its calls waits where journald is slow.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from aap.log import LEVELS, format_line

_SOCKET = "/run/systemd/journal/socket"
_BUFFER = 1 << 20  # bytes; room for some thousands of lines
_REFUSALS = 20  # lines about refused requests in a period; the others are counted
_PERIOD = 10.0
_FORBIDDEN = (401, 403)
_PART_MAX = 24  # characters of a path's part, which is at most an id, that are shown


class Journal:
    """Where the API tells what it does."""

    def __init__(self) -> None:
        self._socket = _find_journal()
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
            if self._socket is None:
                os.write(2, line.encode("utf-8", "replace") + b"\n")
            else:
                self._socket.send(_datagram(level, event, message_id, workspace, line))

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
            # Who knocks without a key is worth a look; a bad body is its sender's affair.
            level = "warning" if status in _FORBIDDEN else "notice"
            self.event(level, "refused", status=status, code=code, path=_shown(path))


def _shown(path: str) -> str:
    """Shorten a path for the log: what is long, or behind a `?`, may be a key."""
    parts = path.partition("?")[0][:400].split("/")
    return "/".join(part if len(part) <= _PART_MAX else f"{part[:6]}…" for part in parts)[:100]


def _find_journal() -> socket.socket | None:
    if not _is_journal(sys.stderr.fileno()):
        return None
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.setblocking(False)  # a line that journald has no room for is lost, not waited for
    try:
        journal.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        journal.connect(_SOCKET)
    except OSError:
        journal.close()
        return None
    return journal


def _is_journal(fd: int) -> bool:
    """Tell as systemd.exec(5) says: the variable alone outlives a redirection of stderr."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    facts = os.fstat(fd)
    return (device, inode) == (str(facts.st_dev), str(facts.st_ino))


def _datagram(
    level: str, event: str, message_id: str | None, workspace: str | None, line: str
) -> bytes:
    # The journal has its own time and level; no value has a newline, `format_line` sees to that.
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
    return "\n".join(fields).encode("utf-8", "replace") + b"\n"
