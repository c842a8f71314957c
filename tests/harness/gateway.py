"""A stub of OpenClaw's way out: its gateway's `POST /tools/invoke`, and the command `openclaw`.

    with Gateway(tmp_path / "chat") as gateway:
        gateway.next("refused", "lost")
        ... aap reply ... with gateway.url and gateway.token, or with gateway.command on PATH
        assert gateway.delivered == [...]

Both write into one folder, so that they are one chat: `calls` has a line of JSON for
each call, `outcomes` a word for each call to come ("ok" when none is left):

    ok        delivered
    partial   delivered in part, which OpenClaw calls an error
    lost      delivered, but no answer comes: the connection is closed, the command is killed
    refused   not delivered: a chat that does not exist
    down      not delivered: 500, or the gateway cannot be reached
    hang      not delivered, no answer for a minute

As programs: `python gateway.py serve PORT FOLDER TOKEN`, which `inside()` starts on a
booted machine, and `python gateway.py openclaw FOLDER message send …`. stdlib only.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .machine import Machine

Json = dict[str, Any]
DELIVERED = {"ok", "partial", "lost"}
ERRORS = {
    "partial": ("CHANNEL_PARTIAL_DELIVERY", "1 of 2 parts was delivered"),
    "refused": ("tool_error", "Call to 'sendMessage' failed! (400: Bad Request: chat not found)"),
    "down": ("internal", "internal error"),
}


@dataclass(frozen=True)
class Call:
    """One attempt to send something."""

    via: str  # http, command
    channel: str
    target: str
    message: str
    args: Json  # all that was given
    outcome: str
    at: float  # Unix time

    @property
    def id(self) -> str:
        """What the chat calls the message."""
        return f"{self.at:.6f}"


class Chat:
    """The folder that all senders share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("calls", "outcomes"):
            with (self.folder / name).open("a") as file, suppress(PermissionError):
                os.fchmod(file.fileno(), 0o666)  # agents of all users send

    def next(self, *outcomes: str) -> None:
        """Say how the next calls end."""
        with (self.folder / "outcomes").open("a") as file:
            file.write("".join(f"{outcome}\n" for outcome in outcomes))

    @property
    def calls(self) -> list[Call]:
        """All calls so far, in order."""
        lines = (self.folder / "calls").read_text().splitlines()
        return [Call(**json.loads(line)) for line in lines]

    @property
    def delivered(self) -> list[tuple[str, str, str]]:
        """What people have seen: channel, target, message."""
        calls = [call for call in self.calls if call.outcome in DELIVERED]
        return [(call.channel, call.target, call.message) for call in calls]

    def send(self, via: str, args: Json) -> Call:
        """Take one call down; its outcome is for the caller to act out."""
        with (self.folder / "calls").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            outcomes = (self.folder / "outcomes").read_text().splitlines()
            taken = len(self.calls)
            outcome = outcomes[taken] if taken < len(outcomes) else "ok"
            channel, target, message = (
                str(args.get(name) or "") for name in ("channel", "target", "message")
            )
            call = Call(via, channel, target, message, args, outcome, time.time())
            file.write(json.dumps(asdict(call)) + "\n")
        return call


class Gateway(Chat):
    """The HTTP side, from the start of the block to its end; use it with `with`."""

    def __init__(self, folder: Path, *, port: int = 0, token: str = "gateway-token") -> None:
        super().__init__(folder)
        self.token = token
        self.unauthorized = 0
        self.missing: set[str] = set()  # channels that are not set up
        self.ended = threading.Event()
        handler = type("Handler", (_Handler,), {"gateway": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.server.daemon_threads = True

    def __enter__(self) -> Gateway:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def port(self) -> int:
        """The port on loopback."""
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Json:
        """What ~/.openclaw/openclaw.json says of it."""
        auth = {"mode": "token", "token": self.token}
        return {"gateway": {"mode": "local", "port": self.port, "auth": auth}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gateway: Gateway

    def log_message(self, *words: Any) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with suppress(BrokenPipeError, ConnectionResetError):
            self._answer(body)

    def _answer(self, raw: bytes) -> None:
        if self.path != "/tools/invoke":
            return self._refuse(404, "not_found", "Not Found")
        if self.headers.get("authorization") != f"Bearer {self.gateway.token}":
            self.gateway.unauthorized += 1
            return self._refuse(401, "unauthorized", "Unauthorized")
        body = json.loads(raw)
        if body.get("tool") != "message":
            return self._refuse(404, "not_found", f"Tool not available: {body.get('tool')}")
        args = {"action": body.get("action"), **body.get("args", {})}
        if args["action"] != "send" or not args.get("target"):
            return self._refuse(400, "tool_error", "Action send requires a target.")
        if args.get("channel") in self.gateway.missing:
            return self._refuse(500, "tool_error", "tool execution failed")
        if args.get("dryRun") is True:
            return self._send_json(200, {"ok": True, "result": {"details": {"dryRun": True}}})
        return self._act_out(self.gateway.send("http", args))

    def _act_out(self, call: Call) -> None:
        if call.outcome == "ok":
            details = {"ok": True, "channel": call.channel, "messageId": call.id}
            content = [{"type": "text", "text": json.dumps(details)}]
            return self._send_json(
                200, {"ok": True, "result": {"content": content, "details": details}}
            )
        if call.outcome == "hang":
            self.gateway.ended.wait(60)
        if call.outcome in ERRORS:
            return self._refuse(500 if call.outcome == "down" else 400, *ERRORS[call.outcome])
        self.close_connection = True
        return None

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._send_json(status, {"ok": False, "error": {"type": kind, "message": message}})

    def _send_json(self, status: int, value: Json) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def write_command(
    bin_folder: Path,
    chat_folder: Path,
    *,
    python: str | Path = sys.executable,
    program: str | Path = __file__,
) -> Path:
    """Write a program `openclaw` that sends to the chat in `chat_folder`; return its path.

    On a booted machine `python` and `program`, which is this file, have other names.
    """
    bin_folder.mkdir(parents=True, exist_ok=True)
    command = bin_folder / "openclaw"
    words = f"'{python}' -I '{program}' openclaw '{chat_folder}'"
    command.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    command.chmod(0o755)
    return command


@contextmanager
def inside(
    machine: Machine, folder: str = "/tmp/chat", *, port: int = 18789, token: str = "gateway-token"
) -> Iterator[Chat]:
    """Run a gateway on `machine` until the block ends; its chat is seen from outside."""
    chat = Chat(machine.path(folder))
    program = machine.checkout / "tests/harness/gateway.py"
    words = [str(machine.python), str(program), "serve", str(port), folder, token]
    with machine.start(words, stdin=-1, stdout=-1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline(), "the gateway did not start"
            yield chat
        finally:
            process.stdin.close()


def _openclaw(folder: str, words: Sequence[str]) -> int:
    args = _read_options(words)
    if args is None:
        print("error: unknown command or option", file=sys.stderr)
        return 1
    call = Chat(Path(folder)).send("command", args)
    if call.outcome == "lost":
        os.kill(os.getpid(), signal.SIGKILL)
    if call.outcome == "hang":
        time.sleep(60)
    if call.outcome in ERRORS:
        kind, message = ERRORS[call.outcome]
        print(json.dumps({"ok": False, "error": {"type": kind, "message": message}}))
        return 1
    print(json.dumps({"action": "send", "channel": call.channel, "messageId": call.id}))
    return 0


VALUES = ("channel", "target", "message", "account", "reply-to", "thread-id", "media")
FLAGS = ("json", "silent", "dry-run")


def _read_options(words: Sequence[str]) -> Json | None:
    # Not by argparse, which takes no value that begins with a dash, where OpenClaw does.
    if list(words[:2]) != ["message", "send"]:
        return None
    args: Json = {}
    rest = iter(words[2:])
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if name in VALUES:
            args[name] = value if equals else next(rest, "")
        elif name in FLAGS:
            args[name] = True
        else:
            return None
    return args


def main(do: str, *words: str) -> int:
    """Serve until stdin ends, or be the command."""
    if do == "openclaw":
        return _openclaw(words[0], words[1:])
    port, folder, token = words
    with Gateway(Path(folder), port=int(port), token=token) as gateway:
        print(gateway.url, flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
