"""Clients that take too long, send too much or are too many."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from aap.inbox import Spool
from aap.message import State
from tests.api.conftest import CHAT, HELLO, Api, StartApi, ask, read_all
from tests.harness.wait import wait_until

MB = 1 << 20
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"


def open_socket(api: Api) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), timeout=10)


@pytest.mark.slow
def test_a_head_must_arrive_in_time(start_api: StartApi) -> None:
    api = start_api(HEADER_TIMEOUT="0.3s")
    with open_socket(api) as silent, open_socket(api) as slow:
        slow.sendall(HEAD)
        assert read_all(slow).startswith(b"HTTP/1.1 408 ")
        assert read_all(silent) == b""


@pytest.mark.slow
def test_a_body_must_arrive_in_time_and_half_of_it_is_no_message(start_api: StartApi) -> None:
    api = start_api(BODY_TIMEOUT="0.5s")
    with open_socket(api) as slow:
        slow.sendall(HEAD + b"Content-Length: 4\r\n\r\n{}")
        assert read_all(slow).startswith(b"HTTP/1.1 408 ")
    with open_socket(api) as dripping:
        dripping.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        dripping.setblocking(False)
        answer = wait_until(lambda: _drip(dripping))
        assert answer.startswith(b"HTTP/1.1 408 ")
    assert api.inbox == []


def _drip(sock: socket.socket) -> bytes:
    sock.sendall(b"1\r\n \r\n")
    with suppress(BlockingIOError):
        return sock.recv(4096)
    return b""


@pytest.mark.slow
def test_300_half_open_connections_are_dropped_while_others_are_served(
    start_api: StartApi,
) -> None:
    api = start_api(HEADER_TIMEOUT="1s")
    halves = [open_socket(api) for _ in range(300)]
    for half in halves:
        half.sendall(HEAD)
    start = time.monotonic()
    assert api.post().status == 200
    assert time.monotonic() - start < 0.9
    assert all(read_all(half).startswith(b"HTTP/1.1 408 ") for half in halves)
    for half in halves:
        half.close()
    assert len(api.inbox) == 1


def test_a_newcomer_gets_the_place_of_who_was_idle_for_longest(start_api: StartApi) -> None:
    api = start_api(MAX_CONNECTIONS="5")
    held = [api.connect() for _ in range(5)]
    for connection in held:
        assert ask(connection, "GET", "/healthz").status == 200
    assert ask(held[0], body=HELLO).status == 200  # so the second is now idle for longest
    assert api.post().status == 200
    assert held[1].sock.recv(1) == b""
    held[1].close()
    for connection in (held[0], *held[2:]):
        assert ask(connection, body=HELLO).status == 200
        connection.close()


def test_who_holds_all_connections_and_sends_nothing_loses_them(start_api: StartApi) -> None:
    api = start_api(MAX_CONNECTIONS="5")
    held = [open_socket(api) for _ in range(6)]
    for number, sock in enumerate(held):
        sock.sendall(HEAD + (b"Content-Length: 9\r\n\r\n{" if number % 2 else b""))
    wait_until(lambda: api.post().status == 200)
    first = held[0].recv(4096)
    assert first.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in first
    for sock in held:
        sock.close()
    assert len(api.inbox) == 1


def test_who_goes_on_sending_keeps_its_place_before_those_that_are_idle(
    start_api: StartApi,
) -> None:
    api = start_api(MAX_CONNECTIONS="4")
    with open_socket(api) as sender:
        sender.sendall(HEAD + b"Content-Length: 15\r\n\r\n{")
        time.sleep(0.1)
        idle = [api.connect() for _ in range(3)]
        for connection in idle:
            assert ask(connection, "GET", "/healthz").status == 200
        sender.sendall(b'"model":')
        time.sleep(0.1)
        assert api.post().status == 200  # a newcomer, for whom one must go
        sender.sendall(b'"aap"}')
        assert sender.recv(4096).startswith(b"HTTP/1.1 200 ")
    for connection in idle:
        connection.close()


def test_a_full_tcp_socket_leaves_the_unix_socket_alone(start_api: StartApi) -> None:
    api = start_api(MAX_CONNECTIONS="2")
    local = api.connect_unix()
    assert ask(local, "GET", "/healthz").status == 200
    held = [open_socket(api) for _ in range(20)]
    wait_until(lambda: api.post().status == 200)
    assert ask(local, body=HELLO).status == 200
    for sock in (local, *held):
        sock.close()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_only_where_all_wait_for_the_disk_a_newcomer_is_told_to_come_back(
    start_api: StartApi, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "ws/.ai-agent-proxy")
    spool.create()  # else each of its folders takes as long as a message
    slow = "inject=fsync,syncfs:delay_enter=500000"
    api = start_api("strace", "-f", "-o", "/dev/null", "-e", slow, MAX_CONNECTIONS="3")
    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(api.post) for _ in range(3)]
        wait_until(lambda: len(os.listdir(spool.folder(State.INBOX))) == 3)
        refused = api.raw()
        assert [each.result().status for each in busy] == [200, 200, 200]
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in refused
    assert len(api.inbox) == 3


def test_who_sends_no_more_is_answered_all_the_same(api: Api) -> None:
    whole = HEAD + b"Content-Length: 2\r\n\r\n{}"
    for sent, answers in ((whole, [b"200"]), (whole * 3, [b"200"] * 3), (whole[:-1], [])):
        with open_socket(api) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            assert re.findall(rb"HTTP/1.1 (\d+)", read_all(sock)) == answers
    assert api.inbox == [b"{}"] * 4


@pytest.mark.parametrize(
    "endless",
    [b"2\r\n{}\r\n0\r\nX: ", b"2;", b"2\r\n{}\r\n0\r\n"],
    ids=["trailer", "extension", "trailers"],
)
def test_what_surrounds_a_body_ends_somewhere(api: Api, endless: bytes) -> None:
    before = api.resident
    more = b"X: y\r\n" * 10_000 if endless.endswith(b"\r\n") else b"x" * 60_000
    with open_socket(api) as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + endless)
        answer = wait_until(lambda: _pour(sock, more))
    assert answer.startswith(b"HTTP/1.1 4")
    assert api.resident - before < 5 * MB
    assert api.inbox == []


def _pour(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    sock.settimeout(0.01)
    try:
        return sock.recv(4096)
    except TimeoutError:
        return b""
    finally:
        sock.settimeout(10)


def test_a_thousand_connections_are_served_with_few_descriptors(start_api: StartApi) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        api = start_api(MAX_CONNECTIONS="1000")
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
        held = [open_socket(api) for _ in range(900)]
        assert api.post().status == 200
        for connection in held:
            connection.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_body_of_100_mb_is_refused_while_it_streams_in(api: Api, framing: str) -> None:
    api.post()
    before = api.resident
    peak = before
    chunk = b"x" * MB
    with open_socket(api) as sock:
        if framing == "chunked":
            sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
        else:
            sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (100 * MB))
        for _ in range(100):
            sock.sendall(chunk)
            peak = max(peak, api.resident)
        answer = sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert peak - before < 20 * MB
    assert len(api.inbox) == 1


def test_a_body_of_many_integers_stalls_nobody(api: Api) -> None:
    raw = b'{"a":[' + b"1," * (5 * MB) + b"1]}"
    with ThreadPoolExecutor(2) as pool:
        large = pool.submit(api.post, raw)
        slowest = 0.0
        while not large.done():
            start = time.monotonic()
            api.ask("GET", "/healthz")
            slowest = max(slowest, time.monotonic() - start)
        assert large.result().status == 200
    assert slowest < 0.5
    assert api.resident < 150 * MB


def test_a_client_that_never_reads_its_answers_is_bounded(api: Api) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with open_socket(api) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(1)
        with pytest.raises(OSError):
            for _ in range(200_000):
                deaf.sendall(request * 20)
        assert api.post().status == 200
    assert api.resident < 100 * MB


def test_requests_too_far_ahead_of_their_answers_end_the_connection(api: Api) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answers = api.raw(request * 1000)
    assert answers.count(b"HTTP/1.1 200 ") == 33
    assert answers.count(b"connection: close") == 1


def test_keep_alive_serves_many_requests_on_one_connection(api: Api) -> None:
    connection = api.connect()
    for _ in range(50):
        reply = ask(connection, body=HELLO)
        assert (reply.status, "connection" in reply.headers) == (200, False)
    connection.close()
    assert len(api.inbox) == 50


@pytest.mark.slow
def test_a_kept_connection_is_closed_when_it_was_not_used_for_20_seconds(api: Api) -> None:
    connection = api.connect(timeout=30)
    ask(connection, body=HELLO)
    start = time.monotonic()
    assert connection.sock.recv(1) == b""
    assert 19 < time.monotonic() - start < 22
    connection.close()


def test_http_1_0_is_served_and_closed(api: Api) -> None:
    body = json.dumps(HELLO).encode()
    answer = api.raw(f"POST {CHAT} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    assert answer.startswith(b"HTTP/1.1 200 ")
