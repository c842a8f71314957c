"""The `aap` command as a real process, alone or behind a pseudo-terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

from aap.cli import output

AAP = (sys.executable, "-m", "aap.cli.main")
CHECKOUT = Path(__file__).parents[2]

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# The schema aap.inbox.entry/1: members may be added, none may go.
ENTRY_MEMBERS = {
    "schema", "id", "state", "arrived", "attempts", "retry_at", "conversation", "channel",
    "account", "chat", "chat_type", "label", "sender", "sender_id", "channel_message_id",
    "source", "model", "attachments", "text",
}  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    """The sheltered environment, with the checkout on the path and a plain locale."""
    plain = {"PYTHONPATH": str(CHECKOUT), "LC_ALL": "C.UTF-8", "TERM": "dumb", "TZ": "UTC"}
    return {**os.environ, **plain, **more}


def execute(
    *words: str, stdin: str = "", cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in the sheltered environment."""
    done = subprocess.run(
        words,
        input=stdin.encode(),
        capture_output=True,
        env=environment(**env),
        cwd=cwd,
        timeout=60,
        check=False,
    )
    # Not in text mode, which would turn \r\n into \n unseen.
    out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(words, done.returncode, out, err)


class Terminal:
    """A program in a pseudo-terminal; `screen` is all that it printed so far."""

    def __init__(self, words: tuple[str, ...], columns: int, lines: int, env: dict[str, str]):
        self.screen = ""
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        )
        os.close(theirs)

    def read(self) -> bool:
        """Read what is there within a short time; False at the end."""
        if select.select([self._fd], [], [], 0.1)[0]:
            try:
                chunk = os.read(self._fd, 65536)
            except OSError:  # EIO: the other end is closed
                return False
            self.screen += chunk.decode("utf-8", "replace").replace("\r\n", "\n")
            return bool(chunk)
        return True

    def wait_for(self, text: str, seconds: float = 20, times: int = 1) -> None:
        """Read until `text` was printed, so many times."""
        end = time.monotonic() + seconds
        while self.screen.count(text) < times:
            assert self.read(), self.screen
            assert time.monotonic() < end, self.screen

    def type(self, text: str) -> None:
        """Type on its keyboard."""
        os.write(self._fd, text.encode())

    def end(self, seconds: float = 60) -> int:
        """Read to the end and return the exit code."""
        end = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < end, self.screen
        return self.process.wait(10)

    def close(self) -> None:
        """Leave nothing behind, whatever became of the test."""
        self.process.kill()
        self.process.wait()
        os.close(self._fd)


def too_wide(screen: str, columns: int) -> list[str]:
    """Name the lines that do not fit, but for what one copies whole: a word, or a command."""
    return [
        line
        for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).splitlines()
        if output.display_width(line) > columns
        and output.display_width(line.split()[-1]) < columns - 30
        and not re.match(r"(  +\$ |  +)(aap|systemctl|sudo|loginctl|chmod|df|mv|rm) ", line)
    ]


def chat(text: str, **more: object) -> bytes:
    """A plain request of an OpenAI client."""
    return json.dumps({"messages": [{"role": "user", "content": text}], **more}).encode()
