"""The service comes and goes under its sockets, and nobody notices."""

from __future__ import annotations

import http.client
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from aap.message import State
from tests.api.activator import Activator
from tests.api.conftest import HELLO, StartApi, ask
from tests.harness.wait import wait_until

Connect = Callable[[], http.client.HTTPConnection]


@pytest.fixture
def activator(tmp_path: Path) -> Iterator[Activator]:
    with Activator(tmp_path, IDLE_EXIT="0.2s") as activator:
        yield activator


def post(connect: Connect, body: object = HELLO) -> str:
    with closing(connect()) as connection:
        reply = ask(connection, body=body)
        assert reply.status == 200
        return reply.id


@pytest.mark.slow
def test_the_first_connection_starts_it_and_idleness_ends_it(activator: Activator) -> None:
    assert activator.starts == 0
    post(activator.connect)
    wait_until(lambda: not activator.running)
    post(activator.connect_unix)
    wait_until(lambda: not activator.running)
    assert activator.starts == 2
    assert activator.exits == [0, 0]


@pytest.mark.slow
def test_it_does_not_end_while_a_connection_is_open(activator: Activator) -> None:
    with closing(activator.connect()) as connection:
        for _ in range(4):
            assert ask(connection, body=HELLO).status == 200
            time.sleep(0.3)
        assert activator.starts == 1
        assert activator.running
    wait_until(lambda: not activator.running)


@pytest.mark.slow
def test_an_idle_connection_does_not_hold_a_restart_up(activator: Activator) -> None:
    with closing(activator.connect()) as idle, closing(activator.connect()) as fresh:
        ask(idle, body=HELLO)
        fresh.connect()
        time.sleep(0.1)
        start = time.monotonic()
        activator.restart()
        wait_until(lambda: not activator.running)
        assert time.monotonic() - start < 4


@pytest.mark.slow
def test_a_kept_connection_gets_a_last_answer_during_a_restart(activator: Activator) -> None:
    with closing(activator.connect()) as connection:
        ask(connection, body=HELLO)
        activator.restart()
        time.sleep(0.5)
        reply = ask(connection, body=HELLO)
        assert (reply.status, reply.headers["connection"]) == (200, "close")


@pytest.mark.slow
def test_a_request_that_is_half_sent_is_answered_during_a_restart(activator: Activator) -> None:
    raw = json.dumps(HELLO).encode()
    with closing(activator.connect()) as connection:
        connection.connect()
        connection.putrequest("POST", "/v1/chat/completions")
        connection.putheader("Content-Length", str(len(raw)))
        connection.endheaders(raw[:10])
        wait_until(lambda: "listening" in activator.log)
        time.sleep(0.3)
        activator.restart()
        time.sleep(0.5)
        connection.send(raw[10:])
        assert connection.getresponse().status == 200
    assert activator.exits in ([], [0])


@pytest.mark.slow
def test_sigterm_and_sigint_have_their_exit_codes(start_api: StartApi) -> None:
    for sig, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        api = start_api()
        api.post()
        assert api.stop(sig) == code


class Storm:
    """Clients that post numbered messages while the service comes and goes."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.ids: list[str] = []

    def send(self, connect: Connect, name: str, count: int, keep_alive: bool) -> None:
        connection = connect()
        for number in range(count):
            try:
                self._send_one(connection, f"{name}-{number}")
            except Exception as error:
                self.faults.append(f"{name}-{number}: {error!r}")
                connection.close()
            if not keep_alive:
                connection.close()
                time.sleep(random.random() * 0.02)
        connection.close()

    def _send_one(self, connection: http.client.HTTPConnection, marker: str) -> None:
        reply = ask(connection, body={"marker": marker})
        assert reply.status == 200, reply.body
        self.ids.append(reply.id)
        if reply.headers.get("connection") == "close":
            connection.close()


def run_storm(activator: Activator, each: int, restarts: int, pause: float) -> Storm:
    storm = Storm()
    threads = [
        threading.Thread(
            target=storm.send, args=(connect, f"{connect.__name__}-{keep}-{n}", each, keep)
        )
        for connect in (activator.connect, activator.connect_unix)
        for keep in (True, False)
        for n in range(2)
    ]
    for thread in threads:
        thread.start()
    for _ in range(restarts):
        time.sleep(pause * (0.5 + random.random()))
        activator.restart()
    for thread in threads:
        thread.join()
    return storm


def assert_all_once(storm: Storm, activator: Activator, count: int) -> None:
    assert storm.faults == []
    assert len(set(storm.ids)) == count
    stored = [activator.spool.read(e) for e in activator.spool.entries(State.INBOX)]
    assert len(stored) == count
    assert max(Counter(stored).values()) == 1


@pytest.mark.slow
def test_restarts_under_load_lose_and_double_nothing(activator: Activator) -> None:
    storm = run_storm(activator, each=40, restarts=4, pause=0.3)
    assert_all_once(storm, activator, 320)


@pytest.mark.slow
def test_a_thousand_requests_over_twenty_restarts(tmp_path: Path) -> None:
    with Activator(tmp_path, IDLE_EXIT="0.2s") as activator:
        storm = run_storm(activator, each=125, restarts=20, pause=0.5)
        assert_all_once(storm, activator, 1000)
        assert set(activator.exits) <= {0, -signal.SIGTERM}, "told to stop before it listened"


@pytest.mark.slow
def test_a_thousand_requests_over_idle_exits(tmp_path: Path) -> None:
    with Activator(tmp_path, IDLE_EXIT="0.2s") as activator:
        storm = Storm()
        for number in range(1000):
            connect = (activator.connect, activator.connect_unix)[number % 2]
            storm.send(connect, f"n{number}", 1, keep_alive=False)
            if number % 25 == 0:  # around the moment of the exit
                time.sleep(0.15 + random.random() * 0.2)
        assert_all_once(storm, activator, 1000)
        assert activator.starts > 20
        assert set(activator.exits) <= {0, -signal.SIGTERM}, "told to stop before it listened"
