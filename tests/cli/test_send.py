"""`aap send` against real HTTP servers on a unix socket and on TCP."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from harness.command import Run

from aap import __version__
from aap.systemd import record
from aap.systemd.units import Plan


class Served(NamedTuple):
    """The requests that came, and where the server listens."""

    requests: list[dict[str, Any]]
    address: Any


Serve = Callable[..., Served]

CHAT = {"choices": [{"message": {"content": "Queued."}}]}
RESPONSE = {"output": [{"type": "message", "content": [{"type": "output_text", "text": "Q."}]}]}


@pytest.fixture
def serve(home: Path) -> Iterator[Serve]:
    """Answer every POST on a unix socket (or a TCP address) the same."""
    servers: list[socketserver.BaseServer] = []

    def start(status: int, answer: object, address: Any = None) -> Served:
        requests: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                requests.append({"path": self.path, **json.loads(body)})
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("x-request-id", "1jb3k5m9q2xw7c4e8r0t")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def address_string(self) -> str:
                return "client"

            def log_message(self, *_: object) -> None:
                pass

        if address is None:
            path = home / "xdg-runtime" / "aap" / "api.sock"
            path.parent.mkdir(parents=True)
            server: socketserver.BaseServer = socketserver.UnixStreamServer(str(path), Handler)
        else:
            server = socketserver.TCPServer(address, Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return Served(requests, server.server_address)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_send_prints_the_id_under_which_it_is_stored(aap: Run, serve: Serve) -> None:
    requests, _ = serve(200, CHAT)
    done = aap("send", "hello there")
    assert (done.returncode, done.stdout, done.stderr) == (0, "1jb3k5m9q2xw7c4e8r0t\n", "")
    (request,) = requests
    assert request["path"] == "/v1/chat/completions"
    assert request["messages"] == [{"role": "user", "content": "hello there"}]
    assert request["stream"] is False


def test_send_speaks_both_apis_streamed_or_not(aap: Run, serve: Serve) -> None:
    requests, _ = serve(200, RESPONSE)
    done = aap("send", "--responses", "--json", "-", stdin="from stdin")
    document = json.loads(done.stdout)
    assert document.keys() == {"schema", "id", "via", "answer"}
    assert document["schema"] == "aap.send/1"
    assert document["answer"] == "Q."
    assert document["via"].startswith("unix:/")
    assert aap("send", "--stream", "x").returncode == 0
    assert [r["path"] for r in requests] == ["/v1/responses", "/v1/chat/completions"]
    assert [r["stream"] for r in requests] == [False, True]


def test_send_falls_back_to_tcp(aap: Run, serve: Serve) -> None:
    _, (_, port) = serve(200, CHAT, ("127.0.0.1", 0))
    done = aap("send", "hello", "--json", AAP_PORT=str(port))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["via"] == f"http://127.0.0.1:{port}"


def test_send_without_anybody_listening_names_both_ways(aap: Run) -> None:
    done = aap("send", "hello", AAP_PORT="1")
    assert (done.returncode, done.stdout) == (3, "")
    assert "api.sock: No such file or directory" in done.stderr
    assert "http://127.0.0.1:1: Connection refused" in done.stderr
    assert "aap install --user" in done.stderr


@pytest.mark.parametrize(("status", "code"), [(401, 4), (429, 75), (503, 75), (400, 1)])
def test_what_the_api_refuses_is_said_in_its_own_words(
    aap: Run, serve: Serve, status: int, code: int
) -> None:
    serve(status, {"error": {"message": "the inbox is \x1bfull"}})
    done = aap("send", "hello")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"aap: the API refused it with {status}: the inbox is \\x1bfull")


def test_nothing_to_send_is_a_usage_error(aap: Run) -> None:
    assert aap("send", " ").returncode == 2


def test_where_nobody_listens_the_cure_is_named_at_once(aap: Run, home: Path) -> None:
    done = aap("send", "hello", AAP_PORT="1")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].strip() == "aap install --user"
    plan = Plan("python3", "127.0.0.1:7011", {}, home / "secrets")
    record.write(record.Record(__version__, plan, ()))
    assert "export XDG_RUNTIME_DIR=" in aap("send", "hello", AAP_PORT="1").stderr
