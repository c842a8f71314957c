"""A 200 means that the message is on the disk, byte for byte, whatever happens next."""

from __future__ import annotations

import http.client
import json
import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from aap.message import State, parse_name
from tests.api.conftest import CHAT, HELLO, Api, StartApi, ask


class Senders:
    """Clients that post numbered messages until the server is gone, and note what was acked."""

    def __init__(self, api: Api, count: int) -> None:
        self._api = api
        self.acked: dict[str, bytes] = {}
        self.sent: list[bytes] = []
        self._threads = [threading.Thread(target=self._send, args=[n]) for n in range(count)]

    def __enter__(self) -> Senders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _send(self, sender: int) -> None:
        connection = self._api.connect()
        for number in range(100_000):
            raw = json.dumps({"n": [sender, number], "pad": "x" * 3000 * (number % 9)}).encode()
            self.sent.append(raw)
            try:
                reply = ask(connection, body=raw)
            except (OSError, http.client.HTTPException):
                break
            assert reply.status == 200
            self.acked[reply.id] = raw
        connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.05, 0.15, 0.3])
def test_what_was_acked_is_there_after_kill_9(start_api: StartApi, after: float) -> None:
    api = start_api()
    with Senders(api, 8) as senders:
        threading.Event().wait(after + random.random() / 20)
        api.stop(signal.SIGKILL)
    stored = {entry.id: api.spool.read(entry) for entry in api.spool.entries(State.INBOX)}
    for message_id, raw in senders.acked.items():
        assert stored[message_id] == raw
    # What was not acked is whole, too, or not there: at most one a client.
    assert Counter(stored.values()) <= Counter(senders.sent)
    assert len(stored) <= len(senders.acked) + 8


def test_the_api_goes_on_where_a_killed_one_left_off(start_api: StartApi) -> None:
    api = start_api()
    with Senders(api, 4) as senders:
        threading.Event().wait(0.1)
        api.stop(signal.SIGKILL)
    again = start_api()
    reply = again.post()
    assert reply.id > max(senders.acked)
    assert reply.id in again.ids


def test_nobody_ever_sees_a_torn_file(api: Api) -> None:
    bodies = [json.dumps({"n": n, "pad": "x" * 2_000_000}).encode() for n in range(12)]
    inbox = api.spool.folder(State.INBOX)
    seen: set[bytes] = set()
    with ThreadPoolExecutor(4) as pool:
        posts = [pool.submit(api.post, body) for body in bodies]
        while not all(post.done() for post in posts):
            seen |= {path.read_bytes() for path in inbox.glob("[!.]*")}
    assert seen <= set(bodies)
    assert sorted(api.inbox) == sorted(bodies)


def test_ids_tell_the_order_of_arrival(api: Api) -> None:
    connection = api.connect()
    ids = [ask(connection, body=HELLO).id for _ in range(50)]
    connection.close()
    assert ids == sorted(ids) == api.ids


def test_a_client_that_leaves_early_may_still_be_heard_but_never_torn(api: Api) -> None:
    raw = json.dumps(HELLO).encode()
    for _ in range(50):
        connection = api.connect()
        connection.request("POST", CHAT, raw)
        connection.close()
    api.post()
    assert set(api.inbox) == {raw}


def test_files_are_private_and_named_by_their_id(api: Api) -> None:
    message_id = api.post().id
    path: Path = api.spool.find(message_id).path
    assert path.stat().st_mode & 0o777 == 0o600
    name = parse_name(path.name)
    assert name is not None
    assert (name.id, name.attempts) == (message_id, 0)


def traced(start_api: StartApi, trace: Path, posts: int, **headers: str) -> list[str]:
    """The system calls that matter, of an API that takes the same message so often."""
    calls = "trace=fsync,rename,renameat,renameat2,write,writev,sendto,sendmsg"
    wrapper = ("strace", "-f", "-o", str(trace), "-e", calls, "-s", "40")
    try:
        api = start_api(*wrapper)
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    for _ in range(posts):
        api.post(**headers)
    (process,) = psutil.Process(api.process.pid).children()
    process.terminate()
    api.process.wait(10)
    return trace.read_text().splitlines()


@pytest.mark.slow
def test_the_body_is_not_acked_before_it_is_fsynced(start_api: StartApi, tmp_path: Path) -> None:
    lines = traced(start_api, tmp_path / "trace", 1)
    stored = next(n for n, line in enumerate(lines) if "write(" in line and "messages" in line)
    acked = next(n for n, line in enumerate(lines) if "HTTP/1.1 200" in line)
    between = " ".join(lines[stored:acked])
    assert between.count("fsync(") == 2
    assert between.index("fsync(") < between.index("rename") < between.rindex("fsync(")


@pytest.mark.slow
def test_a_retry_is_not_acked_by_what_is_seen_alone(start_api: StartApi, tmp_path: Path) -> None:
    # Who stored it may have been killed between the rename and the fsync of the folder.
    lines = traced(start_api, tmp_path / "trace", 2, idempotency_key="k1")
    first, second = (n for n, line in enumerate(lines) if "HTTP/1.1 200" in line)
    between = " ".join(lines[first:second])
    assert "rename" not in between
    assert between.count("fsync(") == 1
