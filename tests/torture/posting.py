"""Clients that post without rest, and know to the byte what was answered 200, and when."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import re
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

_SMALLEST, _LARGEST = 1 << 10, 512 << 10  # bytes of a body
_CHATS = 4
# How many clients are at it, for a while each: alone, a message is fsynced for itself;
# in company, a batch is written out by one syncfs.
_CREWS = (1, 16, 3, 16)
_CREW_SECONDS = 0.25

_TEXT = re.compile(rb"message \d+: [0-9a-f]+")


class Ack(NamedTuple):
    """A message that was answered 200 before the clock showed `at`."""

    id: str
    serial: int
    at: int


def make_body(serial: int, chance: random.Random) -> bytes:
    """A chat request that is like no other; small ones are more frequent."""
    size = int(_SMALLEST * (_LARGEST / _SMALLEST) ** chance.random())
    words = chance.randbytes(size // 2).hex()
    body = {
        "model": "manager",
        "messages": [{"role": "user", "content": f"message {serial}: {words}"}],
        "channel": "test",
        "target": f"chat-{serial % _CHATS}",
    }
    return json.dumps(body).encode()


def texts_of(raw: bytes) -> list[bytes]:
    """The texts of messages, as far as they are there, in what somebody made of a body."""
    return _TEXT.findall(raw)


def digest(raw: bytes) -> bytes:
    """What is kept of a body to know it again."""
    return hashlib.blake2b(raw, digest_size=16).digest()


class Posters:
    """Some clients; used as a context manager they post until its end.

    One that got no answer posts the same again with the same Idempotency-Key until it has
    one, if `stubborn`; else it goes on with the next message. `clock` is read after each 200.
    """

    def __init__(self, port: int, clock: Callable[[], int], *, stubborn: bool) -> None:
        self._port, self._clock, self._stubborn = port, clock, stubborn
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._chance = random.Random()
        self._start = time.monotonic()
        self.sent: dict[bytes, int] = {}  # the digest of a body: its serial
        self.texts: dict[bytes, int] = {}  # the digest of its text: the same
        self.acks: list[Ack] = []
        self.faults: list[str] = []
        self._threads = [threading.Thread(target=self._work, args=[n]) for n in range(max(_CREWS))]

    def __enter__(self) -> Posters:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, count: int, seconds: float) -> None:
        """Wait until so many were answered, or for so long."""
        deadline = time.monotonic() + seconds
        while len(self.acks) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    def _work(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self._done.wait(random.random() ** 4 / 8):
            crew = int((time.monotonic() - self._start) / _CREW_SECONDS) % len(_CREWS)
            if number < _CREWS[crew]:
                self._post(connection, *self._next())
        connection.close()

    def _next(self) -> tuple[int, bytes]:
        with self._lock:
            serial = len(self.sent)
            raw = make_body(serial, self._chance)
            self.sent[digest(raw)] = serial
            self.texts[digest(texts_of(raw)[0])] = serial
        return serial, raw

    def _post(self, connection: http.client.HTTPConnection, serial: int, raw: bytes) -> None:
        while True:
            try:
                status, message_id = self._ask(connection, serial, raw)
            except (OSError, http.client.HTTPException):
                connection.close()
                if self._done.wait(0.02) or not self._stubborn:
                    return
                continue
            if status == 200:
                self.acks.append(Ack(message_id, serial, self._clock()))
            else:
                self.faults.append(f"message {serial} was answered {status}")
            return

    def repeat(self, port: int, serial: int, raw: bytes) -> str:
        """Post a message once more, as a client does that has no answer; return the id."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            return self._ask(connection, serial, raw)[1]
        finally:
            connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, serial: int, raw: bytes
    ) -> tuple[int, str]:
        headers = {"Content-Type": "application/json"}
        if self._stubborn:
            headers["Idempotency-Key"] = f"message-{serial}"
        connection.request("POST", "/v1/chat/completions", raw, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers.get("x-request-id", "")
