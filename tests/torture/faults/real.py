"""Disks that really are full, out of inodes, read-only or closed, under load.

The kernel's own answers, on a small ext4 behind a loop device, to an API, a worker and
commands of an ordinary user; each trouble comes in the middle of the work and goes again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from harness.command import AAP, environment
from harness.wait import wait_until

from aap.errors import Exit
from aap.message import State
from torture.cutting import mounted, open_place
from torture.faults.service import CHAT, Reply, Service, body
from torture.proof import UnableError

USER = 65534
_AS_USER = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
_CLIENTS = 4
_PATIENCE = 30.0  # seconds that a message may take until it is accepted
_PAUSE = 0.1  # seconds between two messages of a client
_MEGABYTES = 24


class Trouble(NamedTuple):
    """What happens to a disk that is mounted, and what makes it good again."""

    name: str
    begin: Callable[[Path], object]
    end: Callable[[Path], object]
    agent: str = "sleep 0.1"  # none: a file open for writing would keep the disk writable


def _fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


def _take_inodes(disk: Path) -> None:
    folder = disk / "filler.d"
    folder.mkdir()
    with suppress(OSError):
        for number in range(1_000_000):
            (folder / str(number)).touch()


def _give_inodes(disk: Path) -> None:
    for path in (disk / "filler.d").iterdir():
        path.unlink()
    (disk / "filler.d").rmdir()


def _remount(mode: str) -> Callable[[Path], object]:
    def remount(disk: Path) -> None:
        # Busy as long as somebody writes; the load leaves gaps.
        wait_until(lambda: not subprocess.run(
            ["mount", "-o", f"remount,{mode}", disk], check=False, capture_output=True
        ).returncode)  # fmt: skip

    return remount


def _chmod(mode: int) -> Callable[[Path], object]:
    return lambda disk: (disk / "ws/.ai-agent-proxy/inbox").chmod(mode)


TROUBLES = (
    Trouble("a full disk", _fill, lambda disk: (disk / "filler").unlink()),
    Trouble("a disk without inodes", _take_inodes, _give_inodes),
    Trouble("a read-only disk", _remount("ro"), _remount("rw"), agent=""),
    Trouble("a closed inbox", _chmod(0), _chmod(0o700)),
)


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a small ext4, in a mount namespace of its own."""
    if os.geteuid() != 0:
        raise UnableError("only root can mount a disk")
    with open_place() as place:
        place.chmod(0o755)
        image, folder = place / "image", place / "disk"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(_MEGABYTES << 20)
        options = ("-N", "1000", "-m", "0")
        subprocess.run(["mkfs.ext4", "-q", "-F", *options, image], check=True)
        with mounted("ext4", image, folder):
            (folder / "ws").mkdir()
            os.chown(folder / "ws", USER, USER)
            yield folder


class Load:
    """Clients that say each message again and again until it is accepted."""

    def __init__(self, server: Service) -> None:
        self._server = server
        self._pool = ThreadPoolExecutor(_CLIENTS)
        self._running: list[Future[None]] = []
        self._goes_on = True
        self._finishing = False
        self.replies: list[Reply] = []
        self.sent: list[bytes] = []

    def begin(self) -> None:
        """Start to send, until `finish`."""
        for client in range(_CLIENTS):
            self._running.append(self._pool.submit(self._send, client * 1_000_000))

    def _send(self, first: int) -> None:
        for number in count(first):
            if self._finishing:
                return
            raw, key = body(number), {"Idempotency-Key": str(number)}
            self.sent.append(raw)
            end = time.monotonic() + _PATIENCE
            while self._goes_on and time.monotonic() < end:
                (reply,) = self._server.ask("POST", CHAT, [raw], [key])
                self.replies.append(reply)
                if reply.status == 200:
                    break
                time.sleep(0.02)
            time.sleep(_PAUSE)

    @property
    def accepted(self) -> int:
        """How many were accepted so far."""
        return sum(reply.status == 200 for reply in self.replies)

    @property
    def refused(self) -> list[Reply]:
        """The answers that were no 200."""
        return [reply for reply in self.replies if reply.status != 200]

    def finish(self) -> None:
        """Send no more; wait until all are accepted, or out of patience."""
        self._finishing = True
        for each in self._running:
            each.result()

    def stop(self) -> None:
        """Let no thread live on: where there are any, nobody can leave a mount namespace."""
        self._goes_on = False
        self._pool.shutdown()


def meet(trouble: Trouble, refusals: int) -> tuple[Counter[str], list[str]]:
    """Let a trouble come and go while messages come and are handled; return figures and faults.

    It lasts until at least so many requests were refused.
    """
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk())
        server = Service(
            disk.parent, *_AS_USER, workspace=disk / "ws", MIN_FREE="0", MIN_FREE_INODES="0"
        )
        stack.callback(server.kill)
        load = Load(server)
        stack.callback(load.stop)
        worker = stack.enter_context(_work(server, trouble.agent)) if trouble.agent else None
        wrong = _bring(trouble, disk, server, load, refusals)
        said = worker.communicate(timeout=60)[0] if worker else ""
        wrong += _judge(server, load, said)
        tally = Counter(accepted=load.accepted, refused=len(load.refused))
        tally["honest"] = sum(reply.is_honest for reply in load.refused)
        return tally, wrong


def _bring(trouble: Trouble, disk: Path, server: Service, load: Load, refusals: int) -> list[str]:
    """Have the trouble in the middle of the load; return what commands said wrongly meanwhile."""
    load.begin()
    wait_until(lambda: load.accepted > _CLIENTS, _PATIENCE, "the first messages")
    trouble.begin(disk)
    before = len(load.refused)
    wrong = list(_try_commands(server))
    wait_until(lambda: len(load.refused) >= before + refusals, _PATIENCE, "refusals")
    trouble.end(disk)
    accepted = load.accepted
    wait_until(lambda: load.accepted > accepted + _CLIENTS, _PATIENCE, "messages after it")
    load.finish()
    return wrong


def _run(server: Service, *words: str, **settings: str) -> subprocess.Popen[str]:
    home = {"HOME": str(server.workspace), "XDG_CONFIG_HOME": str(server.workspace / "none")}
    env = environment(AAP_WORKSPACE=str(server.workspace), **home, **settings)
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen([*_AS_USER, *words], stdout=pipe, stderr=both, text=True, env=env)


def _work(server: Service, agent: str) -> subprocess.Popen[str]:
    words = (sys.executable, "-m", "aap.worker", "--workspace", str(server.workspace))
    return _run(
        server,
        *words,
        AAP_AGENT_CLI=f"sh -c '{agent}'",
        AAP_SETTLE="0",
        AAP_BATCH="workspace",
        AAP_BATCH_MAX="1000",
    )


def _try_commands(server: Service) -> Iterator[str]:
    """Say what a command answers that is not honest."""
    # Too large for the few bytes that a full disk has all the same.
    process = _run(server, *AAP, "inbox", "add", "--text", "not now " * 12_000)
    said = process.communicate(timeout=60)[0]
    if process.returncode not in (Exit.FAILED, Exit.NO_PERMISSION, Exit.TRY_AGAIN):
        yield f"aap inbox add ends with {process.returncode}: {said}"
    if "Traceback" in said:
        yield f"aap inbox add fell over: {said}"


def _judge(server: Service, load: Load, said: str) -> Iterator[str]:
    yield from (f"no honest answer: {reply}" for reply in load.refused if not reply.is_honest)
    if "Traceback" in said:
        yield f"the worker fell over: {said[-1500:]}"
    for _ in range(3):
        for path in _hidden(server):  # in a closed folder nothing can be taken away: it is swept
            os.utime(path, (1, 1))
        worker = _work(server, "true")
        said = worker.communicate(timeout=60)[0]
    if worker.returncode:
        yield f"the worker does not work when it is over: {said[-500:]}"
    there = Counter(entry.path.read_bytes() for entry in server.spool.entries(State.DONE))
    lost = [raw for raw in load.sent if there[raw] != 1]
    if lost or len(there) != len(load.sent):
        yield f"{len(lost)} of {len(load.sent)} are not there once, {len(there)} in all"
    if hidden := _hidden(server):
        yield f"left behind: {hidden}"


def _hidden(server: Service) -> list[Path]:
    return [path for path in server.workspace.rglob(".*") if path.is_file()]


def meet_all(refusals: int) -> bool:
    """Meet all troubles; print the figures. True if every promise held."""
    held = True
    for trouble in TROUBLES:
        tally, wrong = meet(trouble, refusals)
        figures = ", ".join(f"{count} {what}" for what, count in tally.items())
        print(f"   {trouble.name}: {len(wrong)} wrong: {figures}", flush=True)
        for what in wrong[:10]:
            print(f"      {what[:1000]}")
        held &= not wrong
    return held
