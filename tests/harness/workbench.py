"""A workspace, and the real worker as a process of its own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from aap.inbox import Spool
from aap.log import Line, parse_line
from aap.message import State


@dataclass
class Bench:
    """One workspace whose agent is a script that the test writes."""

    workspace: Path
    spool: Spool
    settings: dict[str, str] = field(default_factory=dict)

    def agent(self, script: str) -> None:
        """Have the agent be this shell script; $1 is the prompt, `aap`'s Python is $PYTHON."""
        path = self.workspace.parent / "agent.sh"
        path.write_text(f"#!/bin/sh\nPYTHON={shlex.quote(sys.executable)}\n{script}\n")
        path.chmod(0o755)
        self.settings["AAP_AGENT_CLI"] = str(path)

    def start(self, *flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "aap.worker", "--workspace", str(self.workspace), *flags]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | self.settings,
        )

    def work(self, *flags: str, timeout: float = 30) -> int:
        """Run the worker until it ends; return its exit code."""
        process = self.start(*flags)
        try:
            self.printed, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return process.returncode

    def states(self) -> dict[str, str]:
        """Each message's id and the folder it is in."""
        return {entry.id: entry.state.value for entry in self.spool.entries()}

    def log(self, event: str) -> list[Line]:
        """The log's lines of one event, in order."""
        text = "".join(path.read_text() for path in sorted(self.spool.logs.glob("*.log")))
        lines = [parse_line(line) for line in text.splitlines()]
        return [line for line in lines if line and line.event == event]

    def output(self) -> list[str]:
        """What agents printed."""
        return [line.text for line in self.log("output")]

    def put(self, name: str, content: bytes) -> Path:
        """Put a foreign file into the inbox."""
        path = self.spool.folder(State.INBOX) / name
        path.write_bytes(content)
        return path
