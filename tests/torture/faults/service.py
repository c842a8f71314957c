"""The API, as a real process that serves on while its disk fails and heals."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from harness.command import environment
from harness.wait import wait_until

from aap.inbox import Spool
from aap.message import State
from torture.faults.sabotage import CHANGE, FOR_EVER, Case, Control, Fault, plan

CHAT = "/v1/chat/completions"
BURST = 6  # what comes at once is committed together, by syncfs where the file system has it


class Reply(NamedTuple):
    """An answer of the API."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_honest(self) -> bool:
        """Whether it is a refusal that a client understands, and that may pass."""
        try:
            error = json.loads(self.body)["error"]
        except (ValueError, LookupError, TypeError):
            return False
        told = error["type"] == "server_error" and error["code"] and error["message"]
        return self.status == 503 and bool(told) and int(self.headers["retry-after"]) > 0


Tally = Counter[str]
Send = Callable[[], list[Reply]]
Begin = Callable[[], Send]
Judge = Callable[[Sequence[Reply], Fault, Tally], Iterator[str]]


class Service:
    """A running API with the shim before its C library."""

    def __init__(
        self, folder: Path, *wrapper: str, workspace: Path | None = None, **settings: str
    ) -> None:
        self.workspace = workspace or folder / "ws"
        self.spool = Spool(self.workspace / ".ai-agent-proxy")
        self.control = Control(folder, self.workspace)
        self._log = folder / "log"
        command = ["-m", "aap.api", "--workspace", str(self.workspace), "--bind", "127.0.0.1:0"]
        names = {f"AAP_{key}": value for key, value in settings.items()}
        home = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), "AAP_MODE": "user"}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, *command],
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment(**names, **home, **self.control.variables),
            )
        self.port = int(wait_until(self._find_port, 30, "the API to listen")[1])

    def _find_port(self) -> Any:
        assert self.process.poll() is None, self.log
        return re.search(r"at=127\.0\.0\.1:(\d+)", self.log)

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    def ask(self, method: str, path: str, bodies: Sequence[bytes] = (b"",),
            headers: Sequence[Mapping[str, str]] = ({},)) -> list[Reply]:  # fmt: skip
        """Send requests at once, each on a connection of its own; return the answers."""
        make = partial(http.client.HTTPConnection, "127.0.0.1", self.port, timeout=20)
        connections = [make() for _ in bodies]
        for connection in connections:
            connection.connect()
        for connection, raw, more in zip(connections, bodies, headers, strict=True):
            connection.request(method, path, raw, dict(more))
        replies = []
        for connection in connections:
            answer = connection.getresponse()
            lower = {name.lower(): value for name, value in answer.getheaders()}
            replies.append(Reply(answer.status, lower, answer.read()))
            connection.close()
        return replies

    def clear(self) -> None:
        """Take all messages away."""
        for state in (State.INBOX, State.DONE):
            for path in self.spool.folder(state).iterdir():
                path.unlink()

    def kill(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self.control.close()


@contextmanager
def service(*wrapper: str, **settings: str) -> Iterator[Service]:
    """Run an API on the disk of the temporary files; it is gone after the block."""
    with tempfile.TemporaryDirectory(prefix="aap-faults-") as folder:
        made = Service(Path(folder), *wrapper, **settings)
        try:
            yield made
        finally:
            made.kill()


class Client:
    """Sends numbered messages, at once as many as a burst has, and says again what was refused."""

    def __init__(self, server: Service) -> None:
        self._server = server
        self._number = 0
        self.bodies: list[bytes] = []
        self.replies: list[Reply] = []
        self._keys: list[dict[str, str]] = []

    def send(self, count: int) -> list[Reply]:
        """Send new messages; every second time each has an Idempotency-Key."""
        keyed = self._number // count % 2 == 0
        numbers = range(self._number, self._number + count)
        self._number += count
        self.bodies = [body(number) for number in numbers]
        self._keys = [{"Idempotency-Key": f"k{n}"} if keyed else {} for n in numbers]
        self.replies = self._server.ask("POST", CHAT, self.bodies, self._keys)
        return self.replies

    def say_again(self) -> list[Reply]:
        """Send what was refused once more, as an SDK does."""
        refused = [n for n, reply in enumerate(self.replies) if reply.status != 200]
        return self._say_again(refused)

    def repeat(self) -> list[Reply]:
        """Send all of it once more, as a client that has seen no answer."""
        return self._say_again(range(len(self.bodies)))

    def _say_again(self, numbers: Sequence[int]) -> list[Reply]:
        headers = [self._keys[n] or {"x-stainless-retry-count": "1"} for n in numbers]
        return self._server.ask("POST", CHAT, [self.bodies[n] for n in numbers], headers)


def body(number: int) -> bytes:
    """Return the bytes of a message, which say its number."""
    words = [{"role": "user", "content": f"message {number} " + "x" * 3000}]
    return json.dumps({"model": "aap", "messages": words}).encode()


# The proof


def cases(server: Service, *, for_ever: bool) -> Iterator[Case]:
    """Give each request with each fault that it can meet."""
    for name, begin, judge in _requests(server):
        begin()()  # what only the first one needs is not counted
        send = begin()
        with server.control.armed():
            send()
        for fault in plan(server.control.counts, for_ever=for_ever):
            run = partial(_try, server, begin, judge, fault)
            yield Case(f"api {name}, {fault}", fault, run)


def _requests(server: Service) -> Iterator[tuple[str, Begin, Judge]]:
    """Give requests by name: what goes before, which returns what sends, and who judges."""
    client = Client(server)

    def repeat() -> Send:
        client.send(1)
        return client.repeat

    def receipt() -> Send:
        (reply,) = client.send(1)
        return partial(server.ask, "GET", f"/v1/messages/{reply.headers['x-request-id']}")

    for count in (1, BURST):
        send = partial(client.send, count)
        yield f"{count} at once", partial(_nothing_before, send), partial(_judge, server, client)
    yield "repeat", repeat, partial(_judge_repeat, server, client)
    yield "receipt", receipt, partial(_judge_all, server)


def _nothing_before(send: Send) -> Send:
    return send


def _try(server: Service, begin: Begin, judge: Judge, fault: Fault, tally: Tally) -> Iterator[str]:
    server.clear()
    send = begin()
    with server.control.armed(fault):
        replies = send()
    if server.control.hits:
        tally["combinations"] += 1
        tally["refused"] += sum(reply.status != 200 for reply in replies)
        tally["honest"] += sum(reply.is_honest for reply in replies)
        yield from judge(replies, fault, tally)


def _judge_all(
    server: Service, replies: Sequence[Reply], fault: Fault, tally: Tally
) -> Iterator[str]:
    """Say which answers are not honest."""
    refused = [reply for reply in replies if reply.status != 200]
    yield from (f"no honest answer: {reply}" for reply in refused if not reply.is_honest)
    if fault.is_harmless and refused:
        yield f"a call that need only be repeated made it refuse: {refused}"
    if server.control.unsynced and not refused:
        yield f"all were accepted, and not synced: {sorted(server.control.unsynced)}"


def _judge(
    server: Service, client: Client, replies: Sequence[Reply], fault: Fault, tally: Tally
) -> Iterator[str]:
    """Judge messages: what was taken is there, what was refused is not, until it is said again."""
    yield from _judge_all(server, replies, fault, tally)
    taken = [body for body, reply in zip(client.bodies, replies, strict=True)
             if reply.status == 200]  # fmt: skip
    # Where nothing can be taken away either, a refused message may stay; its retry finds it.
    gone = fault.call == CHANGE and fault.count == FOR_EVER
    yield from _compare(server, taken, tally, client.bodies if gone else (), hidden=gone)
    if server.control.trusted:
        yield "a file was trusted after its fsync failed"
    again = client.say_again()
    yield from (f"refused again: {reply}" for reply in again if reply.status != 200)
    yield from _compare(server, client.bodies, tally, hidden=gone)


def _judge_repeat(
    server: Service, client: Client, replies: Sequence[Reply], fault: Fault, tally: Tally
) -> Iterator[str]:
    """Judge a message that comes once more: it is there once, whatever was answered."""
    yield from _judge_all(server, replies, fault, tally)
    yield from _compare(server, client.bodies, tally)
    if [reply.status for reply in client.repeat()] != [200]:
        yield "refused when the fault was gone"


def _compare(
    server: Service,
    wanted: Sequence[bytes],
    tally: Tally,
    others: Sequence[bytes] = (),
    *,
    hidden: bool = False,
) -> Iterator[str]:
    """Say what is not as wanted; `others` and, with `hidden`, drafts may be there as well."""
    folder = server.spool.folder(State.INBOX)
    names = os.listdir(folder)
    there = Counter((folder / name).read_bytes() for name in names if name[0] != ".")
    lost = [body for body in wanted if not there[body]]
    more = [body for body in there if there[body] > (body in wanted or body in others)]
    tally["lost"] += len(lost)
    tally["doubled"] += len(more)
    if lost or more:
        yield f"{len(lost)} are lost, {len(more)} are there that were not accepted, or twice"
    drafts = [name for name in names if name[0] == "."]
    if drafts and not hidden:
        tally["left over"] += len(drafts)
        yield f"left behind: {drafts}"
