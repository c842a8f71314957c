"""Full speed for a long time: the API's memory stays flat, and no descriptor is left behind.

Four kinds of traffic at once, while a worker's moves take the messages away: good
requests over 32 kept connections as fast as they are answered (tests/bench/load.py),
damaged ones (hostile.py), clients that retry, ask for receipts, or go away, and every
form of answer, streamed and whole, over TCP and over the unix socket.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import product
from pathlib import Path
from typing import NamedTuple

from aap.message import State
from tests.api.conftest import CHAT, HELLO, Api, api_starter, ask
from torture import hostile, shapes
from torture.proof import Proof

LOAD = Path(__file__).parents[1] / "bench" / "load.py"
SIZE, CONNECTIONS = 4096, 32
MOST = 60.0  # MB resident
DRIFT = 0.1  # MB a minute, over the last half of a run of LONG
LONG = 5.0  # minutes
KEPT = 500  # settled messages
RESPONSES = "/v1/responses"
LAST = {CHAT: b"data: [DONE]\n\n", RESPONSES: b"event: response.completed\n"}  # of a stream


class Sample(NamedTuple):
    """What the API holds at one moment: seconds since the start, MB, descriptors."""

    at: float
    resident: float
    descriptors: int


def look(api: Api, start: float) -> Sample:
    """Take one sample."""
    count = len(os.listdir(f"/proc/{api.process.pid}/fd"))
    return Sample(time.monotonic() - start, api.resident / (1 << 20), count)


def peak(api: Api) -> float:
    """The most MB that the kernel has ever seen it hold, between the samples too."""
    status = Path(f"/proc/{api.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def slope(samples: list[Sample]) -> float:
    """MB a minute, by least squares."""
    count = len(samples)
    at = sum(each.at for each in samples) / count
    resident = sum(each.resident for each in samples) / count
    spread = sum((each.at - at) ** 2 for each in samples)
    rise = sum((each.at - at) * (each.resident - resident) for each in samples)
    return 60 * rise / spread if spread else 0.0


class Crew:
    """Threads that each do one thing over and over until the block ends; faults are kept."""

    def __init__(self, *tasks: Callable[[], object]) -> None:
        self.counts = dict.fromkeys(tasks, 0)
        self.faults: list[str] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(task,)) for task in tasks]

    def __enter__(self) -> Crew:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _work(self, task: Callable[[], object]) -> None:
        while not self._done.is_set():
            try:
                task()
            except Exception as error:  # told at the end; the others go on
                self.faults.append(f"{task.__name__}: {error!r}")
                return
            self.counts[task] += 1


class Traffic:
    """What clients and the worker do, besides the load."""

    def __init__(self, api: Api, seed: int) -> None:
        self.api = api
        self.chance = random.Random(seed)
        self.settled = 0

    def settle(self) -> None:
        """Take what waits through the worker's folders, and prune it as the sweep does."""
        spool = self.api.spool
        waiting = spool.entries(State.INBOX, limit=1000)
        with spool.together():
            claimed = [spool.claim(entry) for entry in waiting]
        with spool.together():
            self.settled += sum(spool.settle(entry) for entry in claimed)
        spool.prune(max_age=86400, max_count=KEPT, now=time.time())
        time.sleep(0.05)

    def spoil(self) -> None:
        """Send something damaged, and do not always wait for what comes of it."""
        raw = hostile.damage(self.chance.choice(hostile.SEEDS), self.chance)
        if self.chance.random() < 0.5:
            hostile.exchange(self.api, raw)
            return
        with socket.create_connection(("127.0.0.1", self.api.port), timeout=5) as sock:
            if self.chance.random() < 0.5:  # a reset in place of a good-bye
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with suppress(OSError):
                sock.sendall(raw)

    def retry(self) -> None:
        """Send a message twice, ask for its receipt, and send a body that is too large to keep."""
        body = {**HELLO, "user": str(self.chance.random())}
        self._expect(200, self.api.post(body, idempotency_key=body["user"]).status)
        again = self.api.post(body, idempotency_key=body["user"], x_stainless_retry_count="1")
        self._expect(200, again.status)
        receipt = self.api.ask("GET", f"/v1/messages/{again.id}").status
        if receipt != 404:  # pruned already
            self._expect(200, receipt)
        head = shapes.LINE + b"Content-Length: 99999999\r\n\r\n" + b" " * 100_000
        self._expect(413, *hostile.statuses(hostile.exchange(self.api, head)))

    def vary(self) -> None:
        """Ask for each form of answer, on each way."""
        for path, streamed, local in product(LAST, (False, True), (False, True)):
            body = {"model": "aap", "stream": streamed, "messages": [], "input": "hello"}
            with closing(self.api.connect_unix() if local else self.api.connect()) as connection:
                reply = ask(connection, path=path, body=body)
            self._expect(200, reply.status)
            if (LAST[path] in reply.body) is not streamed:
                raise AssertionError(f"{path} ended with {reply.body[-100:]!r}")

    def _expect(self, wanted: int, *got: int) -> None:
        if got != (wanted,):
            raise AssertionError(f"answered {got}, not {wanted}")


class Soak(NamedTuple):
    """What came of it."""

    samples: list[Sample]
    after: Sample  # when all clients had gone
    peak: float  # MB
    counts: dict[str, int]
    faults: list[str]


def soak(api: Api, seconds: float, seed: int = 0) -> Soak:
    """Have all kinds of traffic for so long, and sample what the API holds."""
    traffic = Traffic(api, seed)
    traffic.retry()  # what is loaded once, by the first of its kind, is no leak
    traffic.vary()
    api.ask("GET", "/v1/status")
    start = time.monotonic()
    samples = [look(api, start)]
    command = [sys.executable, str(LOAD), *map(str, (api.port, SIZE, CONNECTIONS, seconds))]
    with (
        Crew(traffic.settle, traffic.spoil, traffic.retry, traffic.vary) as crew,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as load,
    ):
        while load.poll() is None:
            time.sleep(0.2)
            samples.append(look(api, start))
        complaint = load.communicate()[1].decode()
    counts = {task.__name__: count for task, count in crew.counts.items()}
    if load.returncode:
        crew.faults.append(f"load: {complaint[-300:]}")
    time.sleep(0.5)
    counts["settled"] = traffic.settled
    return Soak(samples, look(api, start), peak(api), counts, crew.faults)


def tell(found: Soak) -> None:
    """Print the figures."""
    resident = [each.resident for each in found.samples]
    print("   " + ", ".join(f"{count} {name}" for name, count in found.counts.items()))
    print(
        f"   resident: {resident[0]:.1f} MB at the start, {found.peak:.1f} at most, "
        f"{resident[-1]:.1f} at the end, {found.after.resident:.1f} when all had gone; "
        f"{late_slope(found):+.2f} MB a minute in the last half"
    )
    most = max(each.descriptors for each in found.samples)
    print(
        f"   descriptors: {found.samples[0].descriptors} at the start, {most} at most, "
        f"{found.after.descriptors} when all had gone"
    )


def late_slope(found: Soak) -> float:
    """The slope of the last half."""
    return slope(found.samples[len(found.samples) // 2 :])


def faults_of(found: Soak) -> list[str]:
    """What was not as promised, but for the slope, which takes minutes to see."""
    faults = list(found.faults)
    if found.peak > MOST:
        faults.append(f"over {MOST:.0f} MB")
    if found.after.descriptors > found.samples[0].descriptors:
        faults.append("descriptors were left behind")
    return faults


def run(minutes: float) -> bool:
    """Soak for so long."""
    with tempfile.TemporaryDirectory() as folder, api_starter(Path(folder)) as start:
        api = start(INBOX_MAX="1000000", MIN_FREE="0")
        found = soak(api, minutes * 60, random.randrange(1 << 32))
        faults = faults_of(found) + [line for line in api.log.splitlines() if " fault " in line]
    tell(found)
    if minutes >= LONG and late_slope(found) > DRIFT:
        faults.append("memory grows")
    for fault in faults[:20]:
        print(f"   {fault}")
    return not faults


PROOF = Proof("at full speed, memory stays flat and no descriptor is left", run, minutes=10.0)
