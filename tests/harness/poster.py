"""Posts messages as a stubborn client does: again and again until the answer is 200.

    python poster.py URL CONVERSATION COUNT [PAUSE]

Message N of a conversation is sent when N-1 was acknowledged, so their order is
known; each has an Idempotency-Key, so that a lost answer makes no second message.
Prints one line `CONVERSATION N ID` for each. URL is http://HOST:PORT or a path.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from collections import Counter


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


def connect(url: str) -> http.client.HTTPConnection:
    if url.startswith("http://"):
        return http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    return UnixConnection(url)


def deliver(url: str, key: str, body: bytes, refused: Counter[int]) -> str:
    """Send one message until it is acknowledged; return its id, and count the refusals.

    `key` is its Idempotency-Key; 0 in `refused` are the connections that were lost.
    """
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    while True:
        connection = connect(url)
        try:
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return answer.headers["x-request-id"]
            refused[answer.status] += 1
        except (OSError, http.client.HTTPException):
            refused[0] += 1
        finally:
            connection.close()
        time.sleep(0.05)


def post(url: str, conversation: str, number: int) -> str:
    """Send one small message until it is acknowledged; return its id."""
    body = {
        "messages": [{"role": "user", "content": f"{conversation} {number}"}],
        "channel": "test",
        "target": conversation,
    }
    return deliver(url, f"{conversation}-{number}", json.dumps(body).encode(), Counter())


def main(url: str, conversation: str, count: str, pause: str = "0") -> None:
    for number in range(int(count)):
        print(conversation, number, post(url, conversation, number), flush=True)
        time.sleep(float(pause))


if __name__ == "__main__":
    main(*sys.argv[1:])
