"""The API as a real process, on a TCP and a unix socket, over a spool of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from aap.inbox import Spool
from aap.message import State
from tests.harness.wait import wait_until

ROOT = Path(__file__).parents[2]
HELLO = {"model": "aap", "messages": [{"role": "user", "content": "hello"}]}
CHAT = "/v1/chat/completions"


class UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path: Path, timeout: float = 10) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]

    @property
    def id(self) -> str:
        return self.headers["x-request-id"]


def ask(
    connection: http.client.HTTPConnection,
    method: str = "POST",
    path: str = CHAT,
    body: Any = None,
    **headers: str,
) -> Reply:
    """Send one request; a dict is sent as JSON, `api_key="x"` becomes the header api-key."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


@dataclass
class Api:
    """One running API."""

    process: subprocess.Popen[bytes]
    workspace: Path
    log_file: Path
    port: int = 0
    unix: Path = Path()
    spool: Spool = field(init=False)

    def __post_init__(self) -> None:
        self.spool = Spool(self.workspace / ".ai-agent-proxy")

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def inbox(self) -> list[bytes]:
        """The messages' bytes, oldest first."""
        return [self.spool.read(entry) for entry in self.spool.entries()]

    @property
    def ids(self) -> list[str]:
        return [entry.id for entry in self.spool.entries()]

    def connect(self, timeout: float = 10) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def connect_unix(self) -> UnixConnection:
        return UnixConnection(self.unix)

    def ask(
        self, method: str = "POST", path: str = CHAT, body: Any = None, **headers: str
    ) -> Reply:
        connection = self.connect()
        try:
            return ask(connection, method, path, body, **headers)
        finally:
            connection.close()

    def post(self, body: Any = HELLO, path: str = CHAT, **headers: str) -> Reply:
        return self.ask("POST", path, body, **headers)

    def raw(self, *parts: bytes, timeout: float = 10) -> bytes:
        """Send bytes as they are and return all that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as sock:
            for part in parts:
                sock.sendall(part)
            return read_all(sock)

    def client(self, key: str = "none", **options: Any) -> openai.OpenAI:
        options = {"max_retries": 0, "timeout": 10, **options}
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=key, **options)

    @property
    def resident(self) -> int:
        """Bytes of memory that the process holds."""
        return int(psutil.Process(self.process.pid).memory_info().rss)

    def kill(self) -> None:
        """End it and, where it was started by a wrapper that stays (strace), that as well."""
        if self.process.poll() is None:
            for child in psutil.Process(self.process.pid).children():
                child.kill()
            self.process.kill()
            self.process.wait()

    def stop(self, sig: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(30)


def read_all(sock: socket.socket) -> bytes:
    chunks = []
    try:
        while chunk := sock.recv(65536):
            chunks.append(chunk)
    except ConnectionResetError:
        chunks.append(b"<reset>")
    return b"".join(chunks)


def environment(settings: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **{f"AAP_{k}": v for k, v in settings.items()}}


StartApi = Callable[..., Api]


@contextmanager
def api_starter(folder: Path) -> Iterator[StartApi]:
    """Give a function that starts APIs; all are stopped when the block ends."""
    running: list[Api] = []

    def start(*wrapper: str, workspace: Path = folder / "ws", **settings: str) -> Api:
        number = len(running)
        unix, log = folder / f"{number}.sock", folder / f"{number}.log"
        command = [sys.executable, "-m", "aap.api", "--workspace", str(workspace)]
        command += ["--bind", "127.0.0.1:0", "--bind", f"unix:{unix}"]
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [*wrapper, *command],
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=environment(settings),
                cwd=folder,
            )
        api = Api(process, workspace, log, unix=unix)
        running.append(api)
        found = wait_until(lambda: process.poll() or re.search(r"at=127\.0\.0\.1:(\d+)", api.log))
        assert not isinstance(found, int), api.log
        api.port = int(found[1])
        return api

    try:
        yield start
    finally:
        for api in running:
            api.kill()


@pytest.fixture
def start_api(tmp_path: Path) -> Iterator[StartApi]:
    """Start an API with settings (`start_api(MAX_BODY="1K")`); it is stopped after the test."""
    with api_starter(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def _lasting_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with api_starter(tmp_path_factory.mktemp("api")) as start:
        yield start()


@pytest.fixture
def api(_lasting_api: Api) -> Api:
    """An API with the default settings and an empty spool."""
    for state in State:
        for path in _lasting_api.spool.folder(state).iterdir():
            path.unlink()
    return _lasting_api
