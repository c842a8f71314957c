"""Requests without a second try, while the service comes and goes: none may be lost.

    python storm.py TCP_ADDRESS UNIX_PATH EACH PAUSE < /dev/null

Four clients (TCP and unix socket, keep-alive and not) send EACH numbered messages,
with pauses of up to PAUSE seconds. Prints {"faults": [...], "ids": [...]}.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time

from poster import connect


class Client(threading.Thread):
    """Sends its messages one after the other, each once."""

    def __init__(self, url: str, name: str, count: int, pause: float, *, keep: bool) -> None:
        super().__init__()
        self.url, self.title, self.count, self.pause, self.keep = url, name, count, pause, keep
        self.faults: list[str] = []
        self.ids: list[str] = []

    def run(self) -> None:
        connection = connect(self.url)
        for number in range(self.count):
            try:
                self._send(connection, f"{self.title} {number}")
            except (OSError, http.client.HTTPException) as error:
                self.faults.append(f"{self.title} {number}: {error!r}")
                connection.close()
            if not self.keep:
                connection.close()
            time.sleep(random.random() * self.pause)
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, text: str) -> None:
        body = json.dumps({"messages": [{"role": "user", "content": text}]})
        connection.request(
            "POST", "/v1/chat/completions", body, {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            self.faults.append(f"{text}: {answer.status}")
            return
        self.ids.append(answer.headers["x-request-id"])
        if answer.headers.get("connection") == "close":
            connection.close()


def main(tcp: str, unix: str, each: str, pause: str) -> None:
    clients = [
        Client(url, f"{name}-{keep}", int(each), float(pause), keep=keep)
        for name, url in (("tcp", f"http://{tcp}"), ("unix", unix))
        for keep in (True, False)
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    faults = [fault for client in clients for fault in client.faults]
    ids = [message for client in clients for message in client.ids]
    print(json.dumps({"faults": faults, "ids": ids}))


if __name__ == "__main__":
    main(*sys.argv[1:])
