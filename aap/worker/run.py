"""One run: one process of the agent, and everything it starts."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aap.agents import Ended
from aap.worker import family
from aap.worker.stop import Stop

_LEAVE_TIME = 1.0  # for what a run that ended by itself left behind
_READ_BYTES = 64 * 1024
_LINE_BYTES = 1 << 20  # an event of a CLI that prints JSON is one line


class Limits(NamedTuple):
    """Seconds a run may take, and seconds it has to leave when told to."""

    time: float
    grace: float


class Output:
    """Passes on whole lines of what the agent prints."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._line = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._pass_on(line)
        if len(self._line) > _LINE_BYTES:  # a program that never ends its line
            self._pass_on(self._line)
            self._line = b""

    def close(self) -> None:
        """Pass on the last line."""
        if self._line:
            self._pass_on(self._line)

    def _pass_on(self, line: bytes) -> None:
        self._on_line(line.decode("utf-8", "replace").rstrip("\r"))


class Run:
    """A running agent: use it as a context manager, which never leaves a process behind.

    Raises OSError from the constructor if the command cannot be started.
    """

    def __init__(self, argv: list[bytes], cwd: Path, environment: dict[str, str], stdin: bytes):
        self._output, write = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._output, False)
        self._code: int | None = None
        self._at_end = False
        try:
            self._process = _start(argv, cwd, environment, stdin, write)
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(write)

    @property
    def pid(self) -> int:
        """The process id of the agent."""
        return self._process.pid

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self._note(family.end_all(0))
        os.close(self._output)

    def wait(self, limits: Limits, stop: Stop, on_line: Callable[[str], None]) -> Ended:
        """Wait for the end; end it, and all it started, when it is time or `stop` is asked."""
        output = Output(on_line)
        deadline = time.monotonic() + limits.time
        while not self._ended() and not stop.asked and time.monotonic() < deadline:
            self._read_until(deadline, stop, output)
        timed_out = not self._ended() and not stop.asked
        self._note(family.end_all(_LEAVE_TIME if self._ended() else limits.grace))
        self._drain(output)
        output.close()
        code = self._code if self._code is not None else -signal.SIGKILL
        return Ended(code, timed_out=timed_out)

    def _ended(self) -> bool:
        self._note(family.reap())
        return self._code is not None

    def _note(self, codes: dict[int, int]) -> None:
        if self.pid in codes:
            # Told to Popen too, which must not wait for a pid that is free again.
            self._code = self._process.returncode = codes[self.pid]

    def _read_until(self, deadline: float, stop: Stop, output: Output) -> None:
        left = max(0.0, deadline - time.monotonic())
        sources = [stop.fd] if self._at_end else [stop.fd, self._output]
        ready, _, _ = select.select(sources, [], [], left)
        if stop.fd in ready:
            stop.clear()
        if self._output in ready:
            self._drain(output)

    def _drain(self, output: Output) -> None:
        """Read what is there; a bounded piece, so that a flood cannot outlast the time limit."""
        with suppress(BlockingIOError):
            for _ in range(64):
                data = os.read(self._output, _READ_BYTES)
                if not data:
                    self._at_end = True
                    return
                output.feed(data)


def _start(
    argv: list[bytes], cwd: Path, environment: dict[str, str], stdin: bytes, output: int
) -> subprocess.Popen[bytes]:
    source = _memory_file(stdin)
    try:
        # A session of its own takes the terminal away and keeps the worker's
        # signals from the agent.
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment,
            stdin=source,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(source)


def _memory_file(content: bytes) -> int:
    """An open file that holds `content`: standard input that ends, and never blocks a writer."""
    fd = os.memfd_create("prompt", os.MFD_CLOEXEC)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
