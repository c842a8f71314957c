"""Being asked to stop, and waiting in a way that notices it."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType
from typing import Any


class Stop:
    """Remembers SIGTERM, and wakes whoever waits on `fd`.

    Signals arrive as bytes in a pipe (signal.set_wakeup_fd), so one select(2)
    waits for them, for output and for time alike, and none slips in between a
    check and the sleep after it. SIGCHLD is caught too: it wakes, and means no stop.
    """

    def __init__(self, *signals: signal.Signals) -> None:
        self.asked = False
        self._signals = signals
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        self.fd, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self._signals:
            self._before[number] = signal.signal(number, self._ask)
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self.fd)
        os.close(self._write)

    def _ask(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.asked = True

    def clear(self) -> None:
        """Empty the pipe, so that the next wait waits."""
        try:
            while os.read(self.fd, 512):
                pass
        except BlockingIOError:
            pass

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until a signal comes."""
        if not self.asked:
            select.select([self.fd], [], [], seconds)
            self.clear()
