"""`aap send`: post a message to the own API, over its unix socket or TCP."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from aap import config
from aap.cli import output
from aap.cli.place import Place
from aap.errors import (
    AapError,
    Exit,
    NotRunningError,
    PermissionDeniedError,
    TryAgainError,
    UsageError,
)
from aap.mode import SYSTEM, find_mode, install_command

TIMEOUT = 30.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket, whose file mode is the key."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(str(self._path))


def send(
    place: Place, text: str, *, stream: bool = False, responses: bool = False, as_json: bool = False
) -> int:
    """Post `text`; print the id under which it is stored."""
    if text == "-":
        text = sys.stdin.read()
    if not text.strip():
        raise UsageError("there is nothing to send")
    place.check_served()
    path = "/v1/responses" if responses else "/v1/chat/completions"
    name = config.find_name(place.workspace, place.config)
    body = _body(f"aap/{name}", text, stream, responses)
    via, message_id, reply = _post(place, path, body, stream)
    if as_json:
        output.write_json("aap.send/1", id=message_id, via=via, answer=reply)
        return Exit.OK
    output.write(message_id)
    if sys.stderr.isatty():
        output.note(f"sent by {via}")
        output.note(f"  aap inbox show {message_id}   what became of it")
    return Exit.OK


def _body(model: str, text: str, stream: bool, responses: bool) -> bytes:
    user = {"role": "user", "content": text}
    words = {"input": [user]} if responses else {"messages": [user]}
    return json.dumps({"model": model, "stream": stream, **words}).encode()


def socket_path() -> Path:
    """Where the socket is that needs no key."""
    if find_mode() == SYSTEM:
        return Path("/run/aap/api.sock")
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return Path(runtime, "aap", "api.sock")


def _post(place: Place, path: str, body: bytes, stream: bool) -> tuple[str, str, str]:
    """Return how it went out, the message's id and the answer's text."""
    problems = []
    for via, connection, key in _ways(place):
        try:
            connection.connect()
        except OSError as error:
            problems.append(f"{via}: {error.strerror or error}")
            continue
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        return (via, *_exchange(connection, path, body, headers, stream))
    raise NotRunningError(f"nothing listens ({'; '.join(problems)})", hint=_hint())


def _hint() -> str:
    """The command that has somebody listen."""
    from aap.systemd import record, units
    from aap.systemd.manager import Manager

    manager = Manager()
    if record.read(manager.mode) is None:
        return install_command()
    try:
        manager.check_reachable()
        socket_unit = manager.show(units.SOCKET)[units.SOCKET]
    except NotRunningError as error:
        return error.hint
    if socket_unit.active == "active":
        return "aap doctor --only socket"
    return manager.command("start", units.SOCKET)


def _ways(place: Place) -> Iterator[tuple[str, http.client.HTTPConnection, str]]:
    """How to reach the API, with the key for it. The settings are read for the second way alone.

    The group of the machine's aap may use the socket, and not read what is in a workspace.
    """
    yield f"unix:{socket_path()}", _UnixConnection(socket_path()), "none"
    host, port = place.settings.host, place.settings.port
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - the address to call, not to bind
        host = "localhost"
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    yield f"http://{host}:{port}", connection, place.settings.api_key or "none"


def _exchange(
    connection: http.client.HTTPConnection,
    path: str,
    body: bytes,
    headers: dict[str, str],
    stream: bool,
) -> tuple[str, str]:
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        raw = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise TryAgainError(
            f"the connection broke before an answer came ({error})", hint="aap inbox ls"
        ) from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise _refusal(response.status, raw)
    return response.headers.get("x-request-id", ""), "" if stream else _answer(raw)


def _answer(raw: bytes) -> str:
    """The text of a reply of either API; empty for anything that is none."""
    try:
        reply = json.loads(raw)
        if "choices" in reply:
            return str(reply["choices"][0]["message"]["content"] or "")
        return "".join(part["text"] for item in reply["output"] for part in item["content"])
    except (ValueError, KeyError, IndexError, TypeError):
        return ""


def _refusal(status: int, raw: bytes) -> AapError:
    try:
        reason = str(json.loads(raw)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        reason = raw[:200].decode("utf-8", "replace")
    text = f"the API refused it with {status}: {output.one_line(reason)}"
    if status in {429, 503}:
        return TryAgainError(text, hint="aap status")
    if status == http.client.UNAUTHORIZED:
        return PermissionDeniedError(text, hint="aap key ls")
    return AapError(text)
