"""A workspace with its configuration, in which one program at a time meets its faults."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from harness.command import environment

from aap.inbox import Spool
from aap.message import State
from torture.faults.sabotage import Control

_PATIENCE = 20.0  # seconds that any program may take
_MODULES = {"aap": "aap.cli.main", "worker": "aap.worker", "hook": "aap.worker.hook"}
_NO_STATE = frozenset(("logs", "LOCK"))


class Ended(NamedTuple):
    """How a program ended: -9 if it had to be killed, 99 after an exception that nobody caught."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        """All that it printed."""
        return self.out + self.err


@dataclass
class World:
    """One folder: `home` with the configuration, `ws` with the spool; `out` is never faulted."""

    root: Path
    out: Path
    spool: Spool = field(init=False)
    settings: dict[str, str] = field(default_factory=dict)
    delivered: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spool = Spool(self.ws / ".ai-agent-proxy")

    @property
    def ws(self) -> Path:
        """The workspace."""
        return self.root / "ws"

    @property
    def variables(self) -> dict[str, str]:
        """What tells a program that this is its world."""
        home = f"{self.root}/home"
        place = {"HOME": home, "XDG_CONFIG_HOME": f"{home}/config", "AAP_WORKSPACE": str(self.ws)}
        return {**place, "AAP_MODE": "user", **self.settings}

    @property
    def config(self) -> Path:
        """The user's folder of configuration."""
        return self.root / "home/config/aap"

    def reset(self) -> None:
        """Make all as new: an empty spool, no configuration."""
        self.delivered.clear()
        for folder in (self.root, self.out):
            shutil.rmtree(folder, ignore_errors=True)
        self.config.mkdir(parents=True)
        self.out.mkdir()
        self.ws.mkdir()
        for name in (*(state.value for state in State), "notes", "logs", "context"):
            (self.spool.root / name).mkdir(0o700, parents=True, exist_ok=True)
        (self.spool.root / "FORMAT").write_text("1\n")
        self.spool = Spool(self.spool.root)
        self.settings = {"AAP_SETTLE": "0", "AAP_AGENT_CLI": str(self.out / "agent")}
        self.agent("exit 0")

    def agent(self, script: str) -> None:
        """Have this be the agent; each run adds a line to `out/runs`."""
        self.script(
            "agent",
            f'echo "$1" | tr -d "\\n" >> {self.out}/runs; echo >> {self.out}/runs\n{script}',
        )

    def script(self, name: str, text: str) -> Path:
        """Write an executable script beside the world."""
        path = self.out / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    @property
    def runs(self) -> int:
        """How often the agent ran."""
        path = self.out / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def deliver(self, *texts: str, state: State = State.INBOX, chat: str = "1") -> dict[str, bytes]:
        """Put messages in; return their bytes by id."""
        put = {}
        for text in texts:
            words = [{"role": "user", "content": text}]
            body = {"messages": words, "channel": "telegram", "target": chat}
            raw = json.dumps(body).encode()
            put[self.spool.deliver(raw)] = raw
        self.delivered += put.values()
        for message_id in put if state is not State.INBOX else ():
            name = f"{message_id}.json"
            here = self.spool.folder(State.INBOX) / name
            here.rename(self.spool.folder(state) / name)
        return put

    # What there is

    def snapshot(self) -> dict[str, str]:
        """The files with their content, and links; without logs, locks and empty notes."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if _NO_STATE & set(path.parts) or path.is_dir():
                continue
            content = path.read_bytes().decode("utf-8", "replace")
            if content or "notes/" not in name:
                found[name] = content
        return found

    def left_overs(self) -> list[str]:
        """Name the hidden files that only a writer at work may have."""
        hidden = (path for path in self.root.rglob(".*") if path.is_file())
        kept = (".ai-agent-proxy.conf", ".aap-skills.json")
        return [str(path.relative_to(self.root)) for path in hidden if path.name not in kept]

    def age_left_overs(self) -> None:
        """Let the time have come at which a hidden file has lost its writer."""
        for name in self.left_overs():
            os.utime(self.root / name, (1, 1))


class Stage:
    """Worlds, one after the other, and the programs in them."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder / "world", folder / "out")
        self.control = Control(folder, self.world.root)
        self._streams = folder / "streams"
        self._streams.mkdir()
        self._forker = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(**self.control.variables),
        )

    def run(
        self,
        program: str,
        *argv: str,
        stdin: str = "",
        stops: str = "",
        heals: str = "",
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Ended:
        """Run a program to its end; SIGTERM tells it to stop when the file `stops` is there.

        The disk is healed when the program has said `heals`; `meanwhile` is called now and then.
        """
        world = self.world
        (self._streams / "in").write_text(stdin)
        for name in ("out", "err"):
            (self._streams / name).write_text("")
        streams, seconds = str(self._streams), _PATIENCE
        request = {"program": program, "argv": argv, "env": world.variables, "cwd": str(world.out),
                   "streams": streams, "stops": stops, "seconds": seconds}  # fmt: skip
        assert self._forker.stdin and self._forker.stdout
        print(json.dumps(request), file=self._forker.stdin, flush=True)
        while not select.select([self._forker.stdout], [], [], 0.05)[0]:
            meanwhile()
            if heals and heals in (self._streams / "out").read_text("utf-8", "replace"):
                self.control.heal()
        answer = json.loads(self._forker.stdout.readline())
        out, err = (
            (self._streams / name).read_bytes().decode("utf-8", "replace")
            for name in ("out", "err")
        )
        return Ended(answer["code"], out, err, answer["seconds"])

    @property
    def err(self) -> str:
        """What the program that runs has said to standard error so far."""
        return (self._streams / "err").read_text("utf-8", "replace")

    def execute(self, program: str, *argv: str) -> Ended:
        """Run a program as units and people do, with all of its start: the same, but slowly."""
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", _MODULES[program], *argv],
            env=environment(**self.world.variables, **self.control.variables),
            cwd=self.world.out,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - start)

    def close(self) -> None:
        """End the programs."""
        with self._forker:
            pass
        self.control.close()


@contextmanager
def stage() -> Iterator[Stage]:
    """Make a stage in memory, where an fsync costs nothing; it is gone after the block."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="aap-faults-", dir=where) as folder:
        made = Stage(Path(folder))
        try:
            yield made
        finally:
            made.close()
