"""An API that runs out of descriptors, or of memory, in the middle of its work."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from harness.wait import wait_until

from aap.message import State
from torture.faults.service import CHAT, Reply, Service, body, service

_FILES = 48
_LARGE = 6_000_000
_UNANSWERED = 2  # clients, of all: where there is no memory for the connection itself
_ROOMS = (2, 6, 12, 20, 40)  # MiB over what it has


def run_out_of_files(tally: Counter[str]) -> Iterator[str]:
    """Leave it fewer and fewer descriptors; say what was wrong."""
    with service("prlimit", f"--nofile={_FILES}") as server:
        accepted = _send(server, 100, tally)  # after that its loop has all that it needs
        time.sleep(0.3)
        own = _files_of(server)
        for left in range(8):
            with _held(server, _FILES - own - left):
                accepted += _send(server, left, tally)
            wait_until(lambda: _files_of(server) <= own, what="the connections to be closed")
        yield from _judge(server, accepted, tally)


def _files_of(server: Service) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@contextmanager
def _held(server: Service, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        yield


def _send(server: Service, number: int, tally: Counter[str]) -> list[bytes]:
    raw = body(number)
    reply = _try(server, raw)
    if reply is None:
        tally["closed"] += 1
        return []
    _count(reply, tally)
    return [raw] if reply.status == 200 else []


def _try(server: Service, raw: bytes) -> Reply | None:
    """Send a message; None where there was nothing left for the connection itself."""
    try:
        (reply,) = server.ask("POST", CHAT, [raw])
    except (OSError, http.client.HTTPException):
        return None
    return reply


def _count(reply: Reply, tally: Counter[str]) -> None:
    tally["refused"] += reply.status != 200
    tally["honest"] += reply.is_honest


def run_out_of_memory(tally: Counter[str]) -> Iterator[str]:
    """Leave it more and more memory for large requests; say what was wrong."""
    with service() as server:
        accepted, unsure = [], []
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        size = next(int(line.split()[1]) for line in status.splitlines() if "VmSize" in line)
        for room in _ROOMS:
            _limit(server, str((size << 10) + (room << 20)))
            bodies = [_large(room, number) for number in range(4)]
            with ThreadPoolExecutor(len(bodies)) as pool:
                replies = list(pool.map(partial(_try, server), bodies))
            for raw, reply in zip(bodies, replies, strict=True):
                if reply is None:
                    tally["closed"] += 1
                    unsure.append(raw)
                    continue
                _count(reply, tally)
                accepted += [raw] if reply.status == 200 else []
        _limit(server, "unlimited")
        if len(unsure) > _UNANSWERED:
            yield f"{len(unsure)} clients got no answer at all"
        yield from _judge(server, accepted, tally, unsure)


def _limit(server: Service, limit: str) -> None:
    pid = str(server.process.pid)
    subprocess.run(["prlimit", "--pid", pid, f"--as={limit}:"], check=True)


def _large(room: int, number: int) -> bytes:
    words = [{"role": "user", "content": f"{room} {number} {'y' * _LARGE}"}]
    return json.dumps({"messages": words}).encode()


def _judge(
    server: Service, accepted: list[bytes], tally: Counter[str], unsure: Sequence[bytes] = ()
) -> Iterator[str]:
    if tally["refused"] != tally["honest"]:
        yield f"{tally['refused'] - tally['honest']} refusals are not honest"
    (reply,) = server.ask("POST", CHAT, [body(999)])
    if reply.status != 200:
        yield f"it does not work when there is enough again: {reply}"
    folder = server.spool.folder(State.INBOX)
    there = Counter((folder / name).read_bytes() for name in os.listdir(folder))
    wanted = Counter([*accepted, body(999)])
    if wanted - there or there - wanted - Counter(unsure):
        yield f"{len(accepted) + 1} were accepted, {there.total()} are there"
    tally["accepted"] += len(accepted) + 1
