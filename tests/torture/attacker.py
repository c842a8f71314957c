"""A client that means harm: holds as many connections as it can, and gives nothing for them.

    attacker.py PORT COUNT RATE SECONDS

opens RATE connections a second for so long, and holds COUNT of them; of more, it lets go
of the one that the server has closed first. They are of all kinds in turn; what a kind
sends at first, and then once a second, stands in KINDS. Prints JSON: what it saw.

A program of its own, so that it shares no interpreter with who is measured.
"""

from __future__ import annotations

import json
import re
import resource
import select
import socket
import sys
import time
from collections import Counter, deque
from contextlib import suppress

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
KINDS = {
    "silent": (b"", b""),
    "slow head": (POST + b"X: ", b"x"),
    "slow body": (POST + b"Content-Length: 5000\r\n\r\n{", b" "),
    "slow chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "slow extension": (POST + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    "half-closed": (POST + b"Content-Length: 5000\r\n\r\n{", b""),
    "idle": (GET, b""),
    "deaf": (GET * 30, GET),
}
STEP = 0.05


class Attack:
    """All connections of one attacker."""

    def __init__(self, port: int, count: int, rate: float) -> None:
        self.port, self.count, self.rate = port, count, rate
        self.open: dict[int, tuple[socket.socket, str]] = {}
        self.closed: deque[socket.socket] = deque()  # by the server, but not by us
        self.epoll = select.epoll()
        self.seen: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        """Attack for so long."""
        start = time.monotonic()
        drips = opened = 0
        while (now := time.monotonic() - start) < seconds:
            while opened < now * self.rate and self._has_room():
                self._connect(list(KINDS)[opened % len(KINDS)])
                opened += 1
            self.seen["held"] = max(self.seen["held"], len(self.open) + len(self.closed))
            self._read(STEP)
            if now > drips + 1:
                drips += 1
                self._drip()

    def _has_room(self) -> bool:
        if len(self.open) + len(self.closed) < self.count:
            return True
        if self.closed:
            self.closed.popleft().close()
        return bool(self.closed)

    def _connect(self, kind: str) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        if kind == "deaf":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.seen["opened"] += 1
        sock.connect_ex(("127.0.0.1", self.port))
        with suppress(OSError):  # not yet, if the server's queue is full
            self.seen["connected"] += bool(sock.getpeername())
        self.open[sock.fileno()] = sock, kind
        self.epoll.register(sock.fileno(), 0 if kind == "deaf" else select.EPOLLIN)
        self._send(sock.fileno(), KINDS[kind][0])
        if kind == "half-closed":
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)

    def _send(self, fd: int, data: bytes) -> None:
        try:
            if data:
                self.open[fd][0].send(data)
        except BlockingIOError:
            pass
        except OSError:
            self._lose(fd, "reset")

    def _drip(self) -> None:
        for fd, (_, kind) in list(self.open.items()):
            self._send(fd, KINDS[kind][1])

    def _read(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            for fd, _ in self.epoll.poll(left):
                self._take(fd)

    def _take(self, fd: int) -> None:
        sock, kind = self.open[fd]
        try:
            data = b"" if kind == "deaf" else sock.recv(4096)  # only its end is an event
        except OSError:
            return self._lose(fd, "reset")
        if not data:
            return self._lose(fd, "closed")
        self.seen.update(word.decode() for word in re.findall(rb"HTTP/1.1 (\d+)", data))
        return None

    def _lose(self, fd: int, how: str) -> None:
        self.seen[how] += 1
        self.epoll.unregister(fd)
        self.closed.append(self.open.pop(fd)[0])


def main(port: str, count: str, rate: str, seconds: str) -> None:
    """Attack, and tell. Ends with a ValueError where so many files may not be open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = int(count) + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, max(files, hard)))
    attack = Attack(int(port), int(count), float(rate))
    attack.run(float(seconds))
    print(json.dumps(attack.seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
