"""Who may: keys on TCP, none on the unix socket, no web page of a stranger."""

from __future__ import annotations

import hmac
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import openai
import pytest

from aap.api.keys import LiveKeys
from aap.config import keys_file
from aap.config.keys import KeyRing, Scope, add_key, remove_key
from aap.config.load import SAMPLE_KEY
from aap.message import State
from tests.api.conftest import CHAT, HELLO, ROOT, Api, StartApi, ask, environment
from tests.api.test_start import ACTIVATE
from tests.fixtures import bodies
from tests.harness.wait import wait_until

KEY = "aap_a-key-of-the-length-that-new-ones-have"


def bearer(key: str) -> str:
    return f"Bearer {key}"


@pytest.mark.parametrize("wrong", ["", "Bearer", "Bearer ", "Bearer x", KEY, f"Basic {KEY}"])
def test_without_the_right_key_it_is_a_401(start_api: StartApi, wrong: str) -> None:
    api = start_api(API_KEY=KEY)
    reply = api.post(authorization=wrong)
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")
    assert reply.headers["www-authenticate"] == "Bearer"
    assert api.ask("GET", "/v1/models").status == 401
    assert api.ask("GET", "/v1/messages/x").status == 401
    assert api.inbox == []


def test_with_the_right_key_all_routes_are_open(start_api: StartApi) -> None:
    api = start_api(API_KEY=KEY)
    assert api.post(authorization=bearer(KEY)).status == 200
    assert api.post(authorization=f"bearer  {KEY} ").status == 200
    assert api.ask("GET", "/v1/models", authorization=bearer(KEY)).status == 200
    assert api.ask("GET", "/healthz").status == 200


def test_a_key_is_checked_before_anything_else_is_said(start_api: StartApi) -> None:
    api = start_api(API_KEY=KEY, MAX_BODY="1K", INBOX_MAX="1")
    api.post(authorization=bearer(KEY))
    for raw in (b"[]", b"x" * 5000, b"{}", b'{"model":"nobody"}'):
        assert api.post(raw).status == 401


def test_several_keys_count_and_each_has_a_name_in_the_log(start_api: StartApi) -> None:
    add_key(keys_file(), "phone", "aap_phone")
    add_key(keys_file(), "laptop", "aap_laptop")
    api = start_api(API_KEY=KEY)
    for name, key in (("phone", "aap_phone"), ("laptop", "aap_laptop"), ("API_KEY", KEY)):
        reply = api.post(authorization=bearer(key))
        assert reply.status == 200
        assert f"id={reply.id} workspace=main size=68 key={name}" in api.log


@pytest.mark.slow
def test_a_key_that_is_taken_away_soon_stops_counting(start_api: StartApi) -> None:
    add_key(keys_file(), "phone", "aap_phone")
    api = start_api()

    def status(key: str) -> int:
        return api.post(authorization=bearer(key)).status

    assert status("aap_phone") == 200
    add_key(keys_file(), "laptop", "aap_laptop")
    wait_until(lambda: status("aap_laptop") == 200, timeout=2)
    remove_key(keys_file(), "phone")
    wait_until(lambda: status("aap_phone") == 401, timeout=2)
    assert status("aap_laptop") == 200
    remove_key(keys_file(), "laptop")
    wait_until(lambda: status("aap_laptop") == 401, timeout=2)
    assert api.post().status == 401, "the last key is gone: closed, not open"
    keys_file().unlink()
    time.sleep(0.6)
    assert api.post().status == 401


MAY = {
    "sender": ({Scope.ENQUEUE}, [200, 200, 403, 403]),
    "watchdog": ({Scope.RECEIPTS}, [403, 200, 200, 403]),
    "phone": ({Scope.ENQUEUE, Scope.RECEIPTS}, [200, 200, 200, 403]),
    "owner": ({Scope.ADMIN}, [200, 200, 200, 200]),
}


@pytest.mark.slow
def test_a_key_opens_what_its_scopes_say_and_nothing_else(start_api: StartApi) -> None:
    for name, (scopes, _) in MAY.items():
        add_key(keys_file(), name, f"aap_{name}", scopes=scopes)
    api = start_api()
    message = api.post(authorization=bearer("aap_owner")).id
    asked = [
        ("POST", CHAT),
        ("GET", "/v1/models"),
        ("GET", f"/v1/messages/{message}"),
        ("GET", "/v1/status"),
    ]
    for name, (_, statuses) in MAY.items():
        known = {"authorization": bearer(f"aap_{name}")}
        got = [api.ask(method, path, HELLO, **known) for method, path in asked]
        assert [reply.status for reply in got] == statuses, name
        for reply in got:
            assert reply.status == 200 or reply.error["code"] == "insufficient_scope"
    assert len(api.inbox) == 1 + sum(statuses[0] == 200 for _, statuses in MAY.values())
    with pytest.raises(openai.PermissionDeniedError):
        api.client("aap_watchdog").chat.completions.create(model="aap", messages=[])


def test_who_needs_no_key_sees_how_all_stands(api: Api) -> None:
    api.post()
    status = api.ask("GET", "/v1/status").json
    (main,) = status["workspaces"]
    assert (main["name"], main["paused"]) == ("main", False)
    assert main["messages"] == {state: int(state == "inbox") for state in State}


class Traffic(threading.Thread):
    """Sends one message after another with one key; `statuses` has (when, status) of each."""

    def __init__(self, api: Api, key: str) -> None:
        super().__init__()
        self.api, self.key, self.done = api, key, threading.Event()
        self.statuses: list[tuple[float, int]] = []

    def run(self) -> None:
        connection = self.api.connect()
        while not self.done.is_set():
            asked = time.monotonic()
            reply = ask(connection, body=HELLO, authorization=bearer(self.key))
            self.statuses.append((asked, reply.status))
        connection.close()


@pytest.mark.slow
def test_keys_are_rotated_while_messages_come(start_api: StartApi) -> None:
    add_key(keys_file(), "old", "aap_old")
    add_key(keys_file(), "other", "aap_other")
    api = start_api()
    old, other = Traffic(api, "aap_old"), Traffic(api, "aap_other")
    old.start()
    other.start()
    add_key(keys_file(), "new", "aap_new")
    time.sleep(0.6)
    assert api.post(authorization=bearer("aap_new")).status == 200
    remove_key(keys_file(), "old")
    revoked = time.monotonic()
    time.sleep(1.4)
    for traffic in (old, other):
        traffic.done.set()
        traffic.join()
    assert {status for _, status in other.statuses} == {200}
    assert {status for asked, status in old.statuses if asked > revoked + 1} == {401}
    assert {status for asked, status in old.statuses if asked < revoked - 0.1} == {200}
    accepted = [status for each in (old, other) for _, status in each.statuses].count(200)
    assert len(api.inbox) == accepted + 1


@pytest.mark.slow
def test_the_first_key_closes_what_was_open(start_api: StartApi) -> None:
    api = start_api()
    assert api.post().status == 200
    add_key(keys_file(), "phone", "aap_phone")
    wait_until(lambda: api.post().status == 401, timeout=2)
    assert api.post(authorization=bearer("aap_phone")).status == 200
    with closing(api.connect_unix()) as connection:
        assert ask(connection, body=HELLO).status == 200


@pytest.mark.slow
def test_a_file_that_cannot_be_read_never_means_that_there_is_no_key(start_api: StartApi) -> None:
    api = start_api()
    assert api.post().status == 200
    keys_file().parent.mkdir(parents=True, exist_ok=True)
    keys_file().write_text("aap_phone\n")
    wait_until(lambda: api.post().status == 401, timeout=2)
    keys_file().unlink()
    add_key(keys_file(), "phone", "aap_phone")
    wait_until(lambda: api.post(authorization=bearer("aap_phone")).status == 200, timeout=2)
    keys_file().write_text("aap_phone\n")
    time.sleep(0.6)
    assert api.post(authorization=bearer("aap_phone")).status == 200, "known keys go on"
    assert api.post().status == 401


def test_a_file_that_lost_its_last_key_keeps_the_door_closed(start_api: StartApi) -> None:
    add_key(keys_file(), "phone", "aap_phone")
    remove_key(keys_file(), "phone")
    assert start_api().post().status == 401


def test_the_unix_socket_needs_no_key_but_its_mode(start_api: StartApi) -> None:
    api = start_api(API_KEY=KEY)
    with closing(api.connect_unix()) as connection:
        assert ask(connection, body=HELLO).status == 200
        assert ask(connection, path="/agent-inbox", body={"prompt": "x"}).status == 200
    assert api.unix.stat().st_mode & 0o777 == 0o600


def test_without_any_key_loopback_is_open(api: Api) -> None:
    assert api.post().status == 200
    assert api.client("whatever").models.list().data


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "http://127.0.0.1:7011"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "null", "host": "null"}, 403),
        ({"origin": "http://203.0.113.7"}, 403),
        ({"origin": "http://203.0.113.7", "content_type": "text/plain"}, 403),
        ({"origin": "http://[2001:db8::7]"}, 403),
        ({"origin": "http://wiki"}, 403),
        ({"origin": "chrome-extension://abcdefghijklmnop"}, 403),
        ({"origin": "http://host.docker.internal"}, 403),
        ({"origin": "http://192.168.1.7:7011", "host": "192.168.1.7:7011"}, 200),
        ({"origin": "http://192.168.1.7:7011", "host": "192.168.1.8:7011"}, 403),
        ({"origin": "http://127.8.8.8"}, 200),
        ({"origin": "http://127.0.0.1.evil.example"}, 403),
        ({"origin": "http://127.evil"}, 403),
        ({"origin": "http://chat.localhost:3000"}, 200),
        ({"origin": "http://evil.example", "host": "evil.example"}, 403),
        ({"host": "evil.example:7011"}, 403),
        ({"host": "localhost:7011"}, 200),
        ({"host": "[::1]:7011"}, 200),
        ({"host": "192.168.1.7:7011"}, 200),
        ({"host": "host.docker.internal:7011"}, 200),
        ({"host": "host.containers.internal:7011"}, 200),
        ({"host": "aap:7011"}, 200),
        ({"host": "LOCALHOST:7011"}, 200),
        ({"host": "localhost:"}, 200),
        ({"host": "[::ffff:127.0.0.1]:65535"}, 200),
        ({"host": "127.0.0.1:1"}, 200),
        ({"host": "box.lan:80"}, 403),  # any network that a browser is in can lead it here
        ({"host": "box.local"}, 403),
        ({"host": "box.home.arpa"}, 403),
        ({"host": "box.internal"}, 403),
        ({"host": ""}, 403),
        ({"host": "evil.example."}, 403),
        ({"host": "evil.example.:7011"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "evil.example@localhost"}, 403),
        ({"host": "localhost@evil.example"}, 403),
        ({"host": "localhost:80@evil.example"}, 403),
        ({"host": "[::1"}, 403),
        ({"host": "[::1].evil.example"}, 403),
        ({"host": "[evil.example]"}, 403),
        ({"host": "localhost/evil.example"}, 403),
        ({"host": "localhost evil.example"}, 403),
        ({"host": "::1"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "http://evil.example:80@localhost"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "localhost"}, 403),
        ({"origin": "https://[::1]:7011"}, 200),
        ({"origin": ""}, 403),
    ],
)
def test_without_a_key_no_web_page_of_a_stranger_can_write(
    api: Api, headers: dict[str, str], status: int
) -> None:
    assert api.post(**headers).status == status
    assert len(api.inbox) == (1 if status == 200 else 0)


def test_with_a_key_the_page_does_not_matter(start_api: StartApi) -> None:
    api = start_api(API_KEY=KEY)
    headers = {"origin": "https://chat.example", "host": "aap.example"}
    assert api.post(authorization=bearer(KEY), **headers).status == 200


def test_where_there_is_a_key_a_page_that_is_rebound_to_us_has_none(start_api: StartApi) -> None:
    api = start_api(API_KEY=KEY)
    for host in ("evil.example:7011", "localhost", "[::1"):
        for origin in ("http://evil.example", "null", "http://localhost"):
            assert api.post(host=host, origin=origin).status == 401
            assert api.ask("GET", "/v1/models", host=host, origin=origin).status == 401
    assert api.inbox == []


def test_no_page_is_told_that_it_may_read_or_send(start_api: StartApi) -> None:
    api = start_api(API_KEY=KEY)
    page = {"origin": "http://localhost:3000", "access_control_request_method": "POST"}
    known = {"authorization": bearer(KEY), **page}
    for path in (CHAT, "/v1/responses", "/v1/models", "/healthz", "/openapi.json"):
        asked = api.ask("OPTIONS", path, access_control_request_headers="authorization", **page)
        assert asked.status == 405
        for reply in (asked, api.ask("GET", path, **known), api.post(path=path, **known)):
            assert not [name for name in reply.headers if name.startswith("access-control")]


class Judge:
    """Decides for `hmac.compare_digest`, and remembers what it was asked."""

    def __init__(self, *, verdict: bool) -> None:
        self.verdict = verdict
        self.asked: list[tuple[bytes, bytes]] = []

    def __call__(self, one: bytes, other: bytes) -> bool:
        self.asked.append((one, other))
        return self.verdict


def test_all_keys_are_compared_in_constant_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("phone", "laptop"):
        add_key(tmp_path / "keys", name, f"aap_{name}")
    ring = KeyRing.load(tmp_path / "keys", "plain-key")
    hashes = [sha256(key).digest() for key in (b"aap_phone", b"aap_laptop", b"plain-key")]
    for verdict, candidate, found in ((True, "wrong", "API_KEY"), (False, "aap_phone", None)):
        judge = Judge(verdict=verdict)
        monkeypatch.setattr(hmac, "compare_digest", judge)
        assert ring.check(candidate) == found
        asked = sha256(candidate.encode()).digest()
        assert judge.asked == [(asked, each) for each in hashes]


@pytest.mark.parametrize(("verdict", "status"), [(True, 200), (False, 401)])
def test_at_every_door_the_comparison_in_constant_time_decides(
    start_api: StartApi, tmp_path: Path, verdict: bool, status: int
) -> None:
    """A real API is given another one, so that a door that does not ask it shows."""
    judge = f"import hmac\nhmac.compare_digest = lambda one, other: {verdict}\n"
    (tmp_path / "sitecustomize.py").write_text(judge)
    path = f"PYTHONPATH={tmp_path}:{ROOT}"
    api = start_api("env", path, API_KEY=KEY, A2A_KEY="agents-secret")
    key, agents = ("wrong", "wrong") if verdict else (KEY, "agents-secret")
    assert api.post(authorization=bearer(key)).status == status
    assert api.ask("GET", "/v1/models", authorization=bearer(key)).status == status
    by_head = api.post({"prompt": "x"}, "/agent-inbox", authorization=bearer(agents))
    assert by_head.status == status
    assert api.post({"prompt": "x", "a2a_key": agents}, "/agent-inbox").status == status


def run_to_end(
    command: list[str], pass_fds: Collection[int] = ()
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        check=False,
        env=environment({}),
        capture_output=True,
        timeout=20,
        pass_fds=pass_fds,
        cwd=ROOT,
    )


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_beyond_loopback_without_a_key_it_does_not_start(tmp_path: Path, address: str) -> None:
    command = [sys.executable, "-m", "aap.api", "--workspace", str(tmp_path / "ws")]
    run = run_to_end([*command, "--bind", "127.0.0.1:0", "--bind", address])
    assert run.returncode == 78
    assert b"there is no key" in run.stderr
    assert b"aap key new" in run.stderr


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_nor_does_it_with_a_socket_of_systemd(tmp_path: Path, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        command = ["bash", "-c", ACTIVATE.format(server.fileno()), "bash", sys.executable]
        command += ["-m", "aap.api", "--workspace", str(tmp_path / "ws")]
        run = run_to_end(command, pass_fds=[server.fileno()])
    assert run.returncode == 78
    assert b"there is no key" in run.stderr
    assert b"aap key new" in run.stderr
    assert not (tmp_path / "ws").exists()


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "aap.api", "--workspace", str(tmp_path)]
        run = run_to_end([*command, "--bind", address])
    assert run.returncode == 78
    assert address.encode() in run.stderr


def test_neither_keys_nor_bodies_are_ever_logged(start_api: StartApi) -> None:
    api = start_api(API_KEY=KEY, A2A_KEY="agents-secret")
    api.post({"messages": ["private words"]}, authorization=bearer(KEY))
    api.post({"messages": ["private words"]}, authorization=bearer("wrong-guess"))
    api.post({"model": 5, "x": "private words"}, authorization=bearer(KEY))
    api.post({"prompt": "private words", "a2a_key": "agents-secret"}, "/agent-inbox")
    for path in ("/v1/models", "/v1/nothing", "/v1/nothing%3F", "/agent-inbox", CHAT):
        api.ask("GET", f"{path}?key={KEY}&api_key=wrong-guess")
    for path in (f"/{KEY}", f"/v1/messages/{KEY}", f"/v1/models/{KEY}/x", f"http://x:{KEY}@x/"):
        api.ask("GET", path, authorization=bearer(KEY))
    for secret in (KEY, "wrong-guess", "agents-secret", "private"):
        assert secret not in api.log
    assert "path=/v1/nothing" in api.log


def test_what_no_human_sent_is_answered_and_not_enqueued(api: Api) -> None:
    reply = api.post(bodies.heartbeat())
    assert reply.status == 200
    assert b"NO_REPLY" in reply.body
    assert "x-request-id" not in reply.headers
    assert api.inbox == []
    wait_until(lambda: "internal workspace=main kind=heartbeat" in api.log)
    assert api.post(bodies.direct()).status == 200
    assert len(api.inbox) == 1


def test_kinds_that_are_asked_for_are_enqueued(start_api: StartApi) -> None:
    api = start_api(INTERNAL="heartbeat")
    assert api.post(bodies.heartbeat()).id == api.ids[0]
    assert api.post(bodies.cron()).status == 200
    assert len(api.inbox) == 1


def test_the_sample_that_everyone_knows_opens_this_machine_alone(
    start_api: StartApi, tmp_path: Path
) -> None:
    api = start_api(API_KEY=SAMPLE_KEY)
    assert api.post(authorization=bearer(SAMPLE_KEY)).status == 200
    api.stop()
    command = [sys.executable, "-m", "aap.api", "--workspace", str(tmp_path), "--bind", "0.0.0.0:0"]
    env = environment({"API_KEY": SAMPLE_KEY})
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 78
    assert "everyone knows" in done.stderr
    assert "aap key new NAME" in done.stderr


def test_the_sample_stays_closed_when_the_last_other_key_has_gone(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    add_key(file, "phone", "one")
    keys = LiveKeys(file, SAMPLE_KEY)
    assert keys.check(SAMPLE_KEY) is None
    remove_key(file, "phone")
    wait_until(lambda: (len(keys), keys.check("one")) == (1, None))
    assert keys.check(SAMPLE_KEY) is None


def test_who_has_no_right_is_a_warning_in_the_log(start_api: StartApi) -> None:
    api = start_api(API_KEY=KEY)
    api.post(authorization=bearer("wrong"))
    api.ask("GET", "/nothing", authorization=bearer(KEY))
    told = [line.split()[1] for line in api.log.splitlines() if " refused " in line]
    assert told == ["warning", "notice"]
