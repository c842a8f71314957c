"""Posts chat requests as fast as they are answered, over connections that are kept.

A program of its own, without an event loop between it and the kernel: about 25 µs of
CPU for a request of 32 KiB, because it shares the processors with what it measures.

    load.py PORT SIZE CONNECTIONS SECONDS

prints JSON: requests, seconds, latencies (ms, all of them, sorted), cpu (its own, seconds).
"""

import json
import re
import select
import socket
import sys
import time

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_COUNTER = b"000000000000"
_FILLER = 'You are the agent of "main".\nAnswer in the words of the person who asks.\t'
_TEXT = {"type": "string", "description": "What to look for; a pattern of the shell's kind."}
_COUNT = {"type": "integer", "minimum": 1, "maximum": 200, "description": "How many at most."}
_TOOL = {
    "type": "function",
    "function": {
        "name": "files_find",
        "description": "Find files of the workspace by name or by what they say.",
        "parameters": {
            "type": "object",
            "required": ["pattern"],
            "properties": {
                "pattern": _TEXT,
                "within": {"type": "array", "items": {"type": "string"}},
                "limit": _COUNT,
                "order": {"type": "string", "enum": ["name", "time", "size"]},
            },
        },
    },
}


def make_body(size):
    """A chat completion of `size` bytes, of the kind that gateways send: two thirds are a system
    prompt, one third tools (who parses JSON pays for its nodes, not for its bytes)."""
    body = {
        "model": "manager",
        "user": "u" + _COUNTER.decode(),
        "messages": [{"role": "system", "content": ""}, {"role": "user", "content": "hello"}],
        "tools": [_TOOL] * (size // 3 // len(json.dumps(_TOOL))),
    }
    bare = len(json.dumps(body))
    # Cut by its length as JSON, in which some characters take two bytes.
    text = json.dumps(_FILLER * (size // len(_FILLER) + 1))[1 : size - bare + 1].rstrip("\\")
    return json.dumps(body).replace('"content": ""', f'"content": "{text}"', 1).encode().ljust(size)


def make_request(size, port):
    """A request with a body of `size` bytes, and where its serial number stands."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    ).encode()
    request = head + make_body(size)
    return request, request.index(_COUNTER)


class Client:
    """One connection: sends a request, reads its answer, sends the next."""

    serial = 0

    def __init__(self, port, request, mark):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.request = bytearray(request)
        self.mark = mark

    def begin(self):
        """Send the next request, as much of it as the kernel takes."""
        Client.serial += 1
        self.request[self.mark : self.mark + 12] = b"%012d" % Client.serial
        self.left = memoryview(self.request)
        self.answer = b""
        self.began = time.perf_counter()
        return self.send()

    def send(self):
        """Send on; True when all of it is sent."""
        try:
            while self.left:
                self.left = self.left[self.sock.send(self.left) :]
        except BlockingIOError:
            return False
        return True

    def read(self):
        """Read on; the latency in ms when the answer is complete, else None."""
        data = self.sock.recv(65536)
        if not data:
            raise SystemExit("the server closed the connection")
        self.answer += data
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end:
            return None
        if head[9:12] != b"200":
            raise SystemExit(f"answered: {self.answer[:300]!r}")
        if len(body) < int(_LENGTH.search(head)[1]):
            return None
        return (time.perf_counter() - self.began) * 1000


class Load:
    """All connections, and the latencies of what was answered."""

    def __init__(self, port, size, connections):
        request, mark = make_request(size, port)
        clients = [Client(port, request, mark) for _ in range(connections)]
        self.clients = {client.sock.fileno(): client for client in clients}
        self.poll = select.epoll()
        self.latencies = []

    def run(self, seconds):
        """Keep every connection busy for so long; return how long it took."""
        start = time.perf_counter()
        for fd, client in self.clients.items():
            self.poll.register(fd, _events(client.begin()))
        busy = len(self.clients)
        while busy:
            for fd, events in self.poll.poll():
                if self.handle(fd, events):
                    # After its last answer a connection rests, so that nothing runs on.
                    go_on = time.perf_counter() - start < seconds
                    self.poll.modify(fd, _events(not go_on or self.clients[fd].begin()))
                    busy -= not go_on
        return time.perf_counter() - start

    def handle(self, fd, events):
        """Send and read on; True when an answer is complete."""
        client = self.clients[fd]
        if events & select.EPOLLOUT and client.send():
            self.poll.modify(fd, _events(True))
        if not events & ~select.EPOLLOUT:
            return False
        latency = client.read()
        if latency is not None:
            self.latencies.append(latency)
        return latency is not None


def _events(sent):
    return select.EPOLLIN if sent else select.EPOLLIN | select.EPOLLOUT


def main():
    port, size, connections = map(int, sys.argv[1:4])
    load = Load(port, size, connections)
    took = load.run(float(sys.argv[4]))
    result = {
        "requests": len(load.latencies),
        "seconds": took,
        "latencies": sorted(load.latencies),
        "cpu": time.process_time(),
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
