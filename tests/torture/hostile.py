"""Clients that mean harm: what they send is never taken for another's, and nobody waits for them.

Three parts: requests of doubtful shape, each with what may come of it; valid requests
with random damage, read by a second parser (h11) to see what was meant; and a siege by
an attacker who holds thousands of connections, while other clients are timed.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import h11

from tests.api.conftest import HELLO, Api, api_starter, ask, read_all
from torture import shapes
from torture.proof import Proof, UnableError
from torture.shapes import Shape

ATTACKER = Path(__file__).with_name("attacker.py")
PROMPT = 100.0  # ms within which others are served, 99 of 100
MANY = 10_000  # connections of one attacker
LONGEST = 1000.0  # ms that nobody ever waits
SETTINGS = {"HEADER_TIMEOUT": "10s", "BODY_TIMEOUT": "60s", "INBOX_MAX": "1000000"}


@contextmanager
def api_under_attack() -> Iterator[Api]:
    """An API with a spool of its own."""
    with tempfile.TemporaryDirectory() as folder, api_starter(Path(folder)) as start:
        yield start(**SETTINGS)


def exchange(api: Api, sent: bytes, timeout: float = 5.0) -> bytes:
    """Send bytes, say that no more come, and return the answers. TimeoutError: it hangs."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=timeout) as sock:
        with suppress(ConnectionError):  # refused before all was sent
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
        return read_all(sock)


def statuses(answers: bytes) -> tuple[int, ...]:
    """The statuses of all answers."""
    return tuple(map(int, re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)))


def take_all(api: Api) -> list[bytes]:
    """What has been stored, which is taken away."""
    found = []
    for entry in api.spool.entries():
        found.append(api.spool.read(entry))
        entry.path.unlink()
    return found


# Shapes


def fault_of(api: Api, shape: Shape) -> str:
    """Send one shape; return what was not as it must be."""
    try:
        answers = exchange(api, shape.sent)
    except TimeoutError:
        return "it hangs"
    stored = take_all(api)
    if sorted(stored) != sorted(shape.stored):
        return f"stored {stored}"
    if statuses(answers) != shape.statuses:
        return f"answered {statuses(answers)}, not {shape.statuses}"
    return ""


def try_shapes(api: Api) -> list[str]:
    """Send all shapes; return a line for each fault."""
    found = {name: fault_of(api, shape) for name, shape in shapes.ALL.items()}
    return [f"{name}: {fault}" for name, fault in found.items() if fault]


# Damage

SEEDS = (
    shapes.LINE + shapes.LENGTH,
    shapes.LINE + shapes.CHUNKED + shapes.CHUNKS,
    shapes.LINE + shapes.LENGTH + shapes.INNER,
    shapes.LINE + shapes.CHUNKED + b"1\r\n{\r\n1;a=b\r\n}\r\n0\r\nX: y\r\n\r\n" + shapes.INNER,
    shapes.LINE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + shapes.LENGTH + shapes.INNER,
    shapes.LINE + b"Expect: 100-continue\r\n" + shapes.LENGTH + shapes.INNER,
    shapes.LINE + b"X-Stainless-Retry-Count: 1\r\nContent-Length: 002\r\n\r\n{}" + shapes.INNER,
    shapes.LINE + b"Idempotency-Key: 1\r\n" + shapes.LENGTH + shapes.INNER,
)
PIECES = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\x00", b"\x0b", b"0", b"2", b"-", b"+",
    b",", b":", b";", b"=", b'"', b"{}", b"chunked", b"xchunked", b"identity", b"0\r\n\r\n",
    b"2\r\n{}\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 2\r\n", b"HTTP/1.0",
    b"\xff", b"Content-Length: 0\r\n", b"Host: localhost\r\n", b"Connection: close\r\n",
    b"Content-Length: 80\r\n", b"0" * 5000, b"7" * 5000,
    b"Connection: Upgrade\r\nUpgrade: x\r\n", b"Authorization: Bearer x\r\n", shapes.INNER,
)  # fmt: skip


def damage(raw: bytes, chance: random.Random) -> bytes:
    """Change one to four places of a request."""
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(raw) + 1)
        end = at + chance.choice((0, 0, 1, 2, 8))
        piece = chance.choice((b"", *PIECES, raw[at : at + 20]))
        raw = raw[:at] + piece + raw[end:]
    return raw


def bodies_by_h11(raw: bytes) -> list[bytes]:
    """The bodies of the whole requests in `raw`, as another parser reads them."""
    bodies = []
    while raw := raw.lstrip(b"\r\n"):  # empty lines may be ignored there: RFC 9112, 2.2
        body, raw = _first_by_h11(raw)
        if body is None:
            break
        bodies.append(body)
    return bodies


def _first_by_h11(raw: bytes) -> tuple[bytes | None, bytes]:
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    # Blanks between the words of the first line may be several: RFC 9112, 3.
    raw = re.sub(rb"^(\w+) +(\S+) +(HTTP/)", rb"\1 \2 \3", raw)
    # So may the zeros in front of a chunk's size: RFC 9112, 7.1. h11 reads 20 digits.
    reader.receive_data(re.sub(rb"(?<=\r\n)0{16,}(?=[0-9A-Fa-f]+[;\r])", b"", raw))
    body = b""
    with suppress(h11.RemoteProtocolError):
        while (event := reader.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                goes_on = reader.their_state is not h11.MUST_CLOSE
                return body, reader.trailing_data[0] if goes_on else b""
    return None, b""


def fault_of_damage(api: Api, raw: bytes) -> str:
    """Send damaged bytes; return what must not be."""
    try:
        answers = statuses(exchange(api, raw))
    except TimeoutError:
        return "it hangs"
    stored = take_all(api)
    surplus = Counter(stored) - Counter(bodies_by_h11(raw))
    if surplus:
        return f"stored {list(surplus)}, which is no request"
    if len(stored) != answers.count(200):
        return f"stored {stored}, answered {answers}"
    wrong = [status for status in answers if status >= 500]
    return f"answered {wrong}" if wrong else ""


def try_damage(api: Api, seconds: float, seed: int) -> tuple[int, list[str]]:
    """Send damaged requests for so long; return how many, and a line for each fault."""
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    count, found = 0, []
    while time.monotonic() < end:
        raw = damage(chance.choice(SEEDS), chance)
        fault = fault_of_damage(api, raw)
        count += 1
        if fault:
            found.append(f"{fault}: {raw!r}")
    return count, found


# The siege


class Others:
    """Clients who mean well: how long each of their requests took, in ms, and how it failed."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.times: dict[str, list[float]] = {"new": [], "kept": [], "unix": []}
        self.faults: list[str] = []
        self.reopened = 0
        self._kept = api.connect()

    def run(self, seconds: float) -> None:
        """Send a message on each way, again and again."""
        ways: dict[str, Callable[[], int]] = {
            "new": lambda: self.api.post().status,
            "kept": self._on_kept,
            "unix": self._on_unix,
        }
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, way in ways.items():
                self._time(name, way)
            time.sleep(0.005)
        self._kept.close()

    def _time(self, name: str, way: Callable[[], int]) -> None:
        start = time.perf_counter()
        try:
            status = way()
        except (OSError, http.client.HTTPException) as error:
            status = 0
            self.faults.append(f"{name}: {error!r}")
        self.times[name].append((time.perf_counter() - start) * 1000)
        if status not in {0, 200}:
            self.faults.append(f"{name}: {status}")

    def _on_kept(self) -> int:
        try:
            return ask(self._kept, body=HELLO).status
        except (OSError, http.client.HTTPException):  # every client opens it again
            self.reopened += 1
            self._kept.close()
            return ask(self._kept, body=HELLO).status

    def _on_unix(self) -> int:
        connection = self.api.connect_unix()
        try:
            return ask(connection, body=HELLO).status
        finally:
            connection.close()

    def are_prompt(self) -> bool:
        """Tell whether 99 of 100 were answered at once, and all soon, on each way."""
        return all(
            self.slowest(name) <= PROMPT and max(self.times[name]) <= LONGEST for name in self.times
        )

    def slowest(self, name: str, share: float = 0.99) -> float:
        """The time within which so many of a way's requests were answered."""
        times = sorted(self.times[name])
        return times[min(len(times) - 1, int(len(times) * share))]


def besiege(api: Api, count: int, rate: float, seconds: float) -> tuple[Others, dict[str, int]]:
    """Time other clients while an attacker holds `count` connections."""
    command = [sys.executable, str(ATTACKER), *map(str, (api.port, count, rate, seconds))]
    others = Others(api)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as attacker:
        others.run(seconds)
        seen, _ = attacker.communicate(timeout=30)
    if attacker.returncode != 0:
        raise UnableError("this machine gives an attacker no such number of connections")
    return others, json.loads(seen)


def faults_of_siege(others: Others, seen: dict[str, int], count: int) -> list[str]:
    """What was not as promised, or was no siege."""
    faults = list(others.faults)
    if min(seen["connected"], seen["held"]) < count:
        faults.append(f"the attacker held {seen['held']} connections only, not {count}")
    if not others.are_prompt():
        faults.append(f"others waited: over {PROMPT:.0f} ms, or one of them {LONGEST:.0f}")
    return faults


def tell_siege(others: Others, seen: dict[str, int]) -> None:
    """Print what a siege came to."""
    print("   attacker: " + ", ".join(f"{count} {name}" for name, count in sorted(seen.items())))
    for name, times in others.times.items():
        p50, p99 = others.slowest(name, 0.5), others.slowest(name)
        print(
            f"   {name}: {len(times)} requests, p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
            f"longest {max(times):.1f} ms"
        )
    print(f"   kept connection reopened {others.reopened} times; failed: {others.faults[:5]}")


def run(minutes: float) -> bool:
    """All three parts, the siege with MANY connections."""
    seconds = minutes * 60
    seed = random.randrange(1 << 32)
    with api_under_attack() as api:
        faults = try_shapes(api)
        print(f"   {len(shapes.ALL)} shapes, {len(faults)} faults")
        count, found = try_damage(api, seconds * 0.5, seed)
        print(f"   {count} damaged requests (seed {seed}), {len(found)} faults")
        others, seen = besiege(api, MANY, 1000, max(15.0, seconds * 0.4))
        tell_siege(others, seen)
        print(f"   the API holds {api.resident >> 20} MB")
        faults += [*found, *faults_of_siege(others, seen, MANY)]
        faults += re.findall(r".* fault .*", api.log)
    for fault in faults[:20]:
        print(f"   {fault}")
    return not faults


PROOF = Proof("no client keeps others waiting, nor has a message stored that nobody sent", run)
