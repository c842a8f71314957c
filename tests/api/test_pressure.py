"""Refused for a while: real SDK clients get through when it clears, by their own retries.

And not refused: whoever fills the memory for bodies keeps no ordinary message out.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import openai
import pytest
from torture import soak

from aap.message import State
from tests.api.conftest import CHAT, HELLO, Api, StartApi, api_starter, ask
from tests.api.test_fullness import in_own_mounts, needs_mounts
from tests.harness.wait import wait_until


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartApi]:
    """Start APIs that live as long as this module, since the SDK waits for ten seconds."""
    with api_starter(tmp_path_factory.mktemp("pressure")) as starter:
        yield starter


def send(api: Api, **options: Any) -> Any:
    """Send one message by the SDK and return the raw answer, which knows of its retries."""
    with api.client(**{"max_retries": openai.DEFAULT_MAX_RETRIES, "timeout": 40, **options}) as sdk:
        return sdk.chat.completions.with_raw_response.create(
            model="aap", messages=[{"role": "user", "content": "hello"}]
        )


def full_inbox(start: StartApi, folder: Path) -> tuple[Api, Any]:
    """An inbox that is full by count, until its messages are settled."""
    api = start(workspace=folder / "count", INBOX_MAX="2")
    ids = [api.post().id for _ in range(2)]
    assert api.post().status == 429
    return api, lambda: [api.spool.settle(message) for message in ids]


def full_of_bytes(start: StartApi, folder: Path) -> tuple[Api, Any]:
    """An inbox that is full by size, until its message is settled."""
    api = start(workspace=folder / "bytes", INBOX_MAX_BYTES="1M")
    large = api.post(b'{"a":"' + b"x" * ((1 << 20) - 10) + b'"}').id
    assert api.post().status == 429
    return api, lambda: api.spool.settle(large)


def full_disk(start: StartApi, folder: Path) -> tuple[Api, Any]:
    """A disk at its floor, until what fills it goes."""
    workspace = folder / "disk"
    workspace.mkdir()
    mounts = in_own_mounts(f"mount -t tmpfs -o size=2m tmpfs {workspace}")
    api = start(*mounts, workspace=workspace, MIN_FREE="1M", MIN_FREE_INODES="0")
    seen = Path(f"/proc/{api.process.pid}/root{workspace}")
    (seen / "filler").write_bytes(bytes(1_500_000))
    wait_until(lambda: api.post().status == 503)
    return api, (seen / "filler").unlink


def few_inodes(start: StartApi, folder: Path) -> tuple[Api, Any]:
    """A disk with few inodes left, until some are."""
    workspace = folder / "inodes"
    workspace.mkdir()
    mounts = in_own_mounts(f"mount -t tmpfs -o nr_inodes=40 tmpfs {workspace}")
    api = start(*mounts, workspace=workspace, MIN_FREE="0", MIN_FREE_INODES="20")
    seen = Path(f"/proc/{api.process.pid}/root{workspace}")
    fillers = [seen / f"filler{number}" for number in range(15)]
    for filler in fillers:
        filler.touch()
    wait_until(lambda: api.post().status == 503)
    return api, lambda: [filler.unlink() for filler in fillers]


@pytest.mark.slow
@needs_mounts
def test_sdk_clients_get_through_when_what_was_full_is_not(start: StartApi, tmp_path: Path) -> None:
    # Side by side: each client waits for the ten seconds that Retry-After says.
    cases = [make(start, tmp_path) for make in (full_inbox, full_of_bytes, full_disk, few_inodes)]
    with ThreadPoolExecutor(len(cases)) as pool:
        waiting = [pool.submit(send, api) for api, _ in cases]
        time.sleep(1)
        assert not any(each.done() for each in waiting)
        for _, clear in cases:
            clear()
        answers = [each.result(30) for each in waiting]
    for (api, _), answer in zip(cases, answers, strict=True):
        assert answer.retries_taken > 0
        inbox = Path(f"/proc/{api.process.pid}/root{api.spool.folder(State.INBOX)}")
        names = [path.name for path in inbox.iterdir()]
        assert names.count(f"{answer.headers['x-request-id']}.json") == 1


@pytest.mark.slow
def test_sdk_clients_get_through_where_there_are_too_many(start_api: StartApi) -> None:
    api = start_api(MAX_CONNECTIONS="4")
    with ThreadPoolExecutor(32) as pool:
        sent = [pool.submit(send, api, max_retries=5) for _ in range(64)]
        answers = [each.result(60) for each in sent]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(api.inbox)


@pytest.mark.slow
@pytest.mark.alone
def test_memory_and_descriptors_after_some_seconds_at_full_speed(start_api: StartApi) -> None:
    api = start_api(INBOX_MAX="1000000", MIN_FREE="0")
    found = soak.soak(api, seconds=4)
    soak.tell(found)
    assert soak.faults_of(found) == []
    assert " fault " not in api.log


# Memory

KB, MB = 1 << 10, 1 << 20


def part_of_a_body(length: int, sent: int, path: str = CHAT) -> bytes:
    """A head that announces `length` bytes, and the first of them."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    return head.encode() + (b"{" + b" " * sent)[:sent]


@contextmanager
def held(api: Api, count: int, sent: bytes, unix: bool = False) -> Iterator[list[socket.socket]]:
    """Hold so many connections on which this was sent, and no more comes."""
    sockets = []
    for _ in range(count):
        connection = api.connect_unix() if unix else api.connect()
        connection.connect()
        with suppress(ConnectionError):  # refused before all was sent
            connection.sock.sendall(sent)
        sockets.append(connection.sock)
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def waiting(sockets: list[socket.socket]) -> int:
    """Count those that the API waits for; all others were told that it is too much."""
    answered, _, _ = select.select(sockets, [], [], 0.5)
    assert {sock.recv(13) for sock in answered} <= {b"HTTP/1.1 503 "}
    return len(sockets) - len(answered)


def assert_others_are_served(api: Api, large: bool = False) -> None:
    """Send messages on all ways, some in many pieces; each is taken at once."""
    longer = {**HELLO, "user": "x" * 200 * KB}
    raw = json.dumps({**HELLO, "user": "x" * 10 * MB} if large else longer).encode()
    for connect in (api.connect, api.connect_unix):
        with closing(connect()) as connection:
            pieces = (raw[at : at + 32 * KB] for at in range(0, len(raw), 32 * KB))
            asked = [HELLO, longer, raw, pieces]
            for body in asked:
                start = time.monotonic()
                assert ask(connection, body=body).status == 200
                assert time.monotonic() - start < 2


@pytest.mark.parametrize("count", [8, 40])
def test_what_is_announced_takes_no_memory(start_api: StartApi, count: int) -> None:
    api = start_api()
    with held(api, count, part_of_a_body(12 * MB, 0)) as sockets:
        assert_others_are_served(api, large=True)
        assert waiting(sockets) == count


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_large_bodies_that_stall_keep_no_message_out(start_api: StartApi, unix: bool) -> None:
    api = start_api()
    before = api.resident
    with held(api, 8, part_of_a_body(12 * MB, 12 * MB - 1), unix) as sockets:
        assert_others_are_served(api)
        assert 1 <= waiting(sockets) <= 7  # of the others, the memory has been given back
        assert api.resident - before < 80 * MB
    wait_until(lambda: api.post(b'{"a":"' + b"x" * 11 * MB + b'"}').status == 200)


def test_small_bodies_that_stall_make_room_for_others(start_api: StartApi) -> None:
    api = start_api()
    before = api.resident
    with held(api, 400, part_of_a_body(12 * MB, 250 * KB)) as sockets:
        assert_others_are_served(api)
        assert 100 < waiting(sockets) < 400
        assert api.resident - before < 120 * MB


def test_agents_without_a_key_in_the_head_crowd_out_nobody_else(start_api: StartApi) -> None:
    api = start_api(A2A_KEY="secret")
    with held(api, 20, part_of_a_body(12 * MB, 5 * MB, "/agent-inbox")) as sockets:
        assert_others_are_served(api)
        large = json.dumps({"prompt": "x" * 11 * MB}).encode()
        known = {"authorization": "Bearer secret"}
        assert api.post(large, "/agent-inbox", **known).status == 200
        assert api.post({"prompt": "x", "a2a_key": "secret"}, "/agent-inbox").status == 200
        assert 1 <= waiting(sockets) <= 3
