"""The front: what every request passes, and the routes that take messages.

Plain ASGI, so that the first answer after a start does not wait for FastAPI, which
serves the other routes and is loaded when one of them is asked for first.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, NamedTuple, Protocol

from aap import bodies
from aap.api import replies
from aap.api.body import (
    Body,
    Budget,
    ClientGoneError,
    Headers,
    Receive,
    check_headers,
    held_for,
    peek,
    peek_agent,
    peek_request,
)
from aap.api.intake import Intake, Stored
from aap.api.journal import Journal
from aap.api.problems import (
    BadRequestError,
    ForbiddenError,
    MethodNotAllowedError,
    NotFoundError,
    RequestError,
    UnauthorizedError,
    UnavailableError,
)
from aap.api.retries import Retry
from aap.config.keys import Scope as KeyScope
from aap.message import IdClock

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
_Header = tuple[bytes, bytes]

_KEYLESS = ("local", "none")  # what stands for the name of a key where none is asked for
_KEY_MAX = 255  # of an Idempotency-Key, in bytes
_LENGTH_DIGITS = 20  # more are zeros in front, at which readers stop at different places
_RECOGNISE_MAX = 2 << 20  # a larger body is taken for a message unseen; parsing it would stall all
_STATUS, _MESSAGES = "/v1/status", "/v1/messages/"
# What must not be there twice: one of us, and a proxy before us, might believe the other one.
_ONCE = frozenset((
    b"authorization", b"content-encoding", b"content-type", b"host", b"idempotency-key",
    b"transfer-encoding",
))  # fmt: skip
_CLOSE: tuple[_Header, ...] = ((b"connection", b"close"),)
# A name, an IPv4 or an IPv6 address, and a port: no user, nothing that readers take differently.
_HOST = r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{0,5})?"
# What a gateway in a container calls this machine: OpenClaw's own Docker setup writes it.
_CONTAINER_NAMES = frozenset(("host.docker.internal", "host.containers.internal"))


class Keys(Protocol):
    """The keys that clients may use; as `aap.config.KeyRing`."""

    def __len__(self) -> int:
        """Return how many there are."""

    def check(self, candidate: str | bytes) -> str | None:
        """Return the name of the key, None if it is none."""

    def allows(self, name: str, scope: KeyScope) -> bool:
        """Tell whether the key of that name has `scope`."""


class Policy(NamedTuple):
    """What the front decides by; the settings of the same names say more."""

    max_body: int = 12 << 20
    body_memory: int = 96 << 20  # of all bodies that are being read
    reply: str = "auto"
    internal: tuple[str, ...] = ()  # kinds that are messages all the same
    a2a_key: str = ""


class Answer(NamedTuple):
    """What goes back to the client."""

    body: bytes
    kind: bytes = replies.JSON
    status: int = 200
    headers: tuple[_Header, ...] = ()


class App:
    """Takes messages for `intakes` (by workspace; the first is the default)."""

    def __init__(
        self,
        intakes: Mapping[str, Intake],
        keys: Keys,
        policy: Policy | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.intakes = dict(intakes)
        self.default = next(iter(self.intakes.values()))
        self.policy = policy or Policy()
        self.journal = journal or Journal()
        self._keys = keys
        self._budgets = _Budgets(self.policy)
        self._clock = IdClock()
        self._rest: Asgi | None = None
        self._takers: dict[str, Callable[[_Request], Awaitable[Answer]]] = {
            "/v1/chat/completions": self._take_chat,
            "/chat/completions": self._take_chat,
            "/v1/responses": self._take_response,
            "/responses": self._take_response,
            "/agent-inbox": self._take_from_agent,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = _Request(scope, receive)
        try:
            answer = await self._answer(request, receive, send)
        except RequestError as problem:
            self.journal.refusal(problem.status, problem.code, request.path)
            answer = _answer_problem(problem, problem.status)
        except ClientGoneError:
            return
        except (OSError, MemoryError) as error:  # no descriptors left, no room: it may pass
            self.journal.fault(error)
            answer = _answer_problem(UnavailableError("aap failed.", retry_after=10), 503)
        except Exception as error:  # a fault of ours is told to the client as one that may pass
            self.journal.fault(error)
            answer = _answer_problem(UnavailableError("aap failed.", retry_after=10), 500)
        if answer is not None:
            await _send(answer, request.body, send)

    async def _answer(self, request: _Request, receive: Receive, send: Send) -> Answer | None:
        request.check_fields()
        taker = self._takers.get(request.path)
        if taker is not None:
            _check_method(request, "POST")
            return await taker(request)
        if request.path == "/healthz":
            _check_method(request, "GET", "HEAD")
            return Answer(b'{"status":"ok"}')
        await self._pass_on(request, receive, send)
        return None

    # Who may

    def _check_key(self, request: _Request, scope: KeyScope | None) -> str:
        """Return the name of the client's key; the unix socket needs none but its mode.

        With `scope` None any key will do.
        """
        if request.is_local:
            return "local"
        if not len(self._keys):
            _check_browser(request.headers)
            return "none"
        name = self._keys.check(request.bearer) if request.bearer else None
        if name is None:
            raise UnauthorizedError("The API key is missing or wrong.")
        if scope is not None and not self._keys.allows(name, scope):
            # No 401: gateways would take the key for a wrong one, and disable it.
            raise ForbiddenError(
                f"The key {name!r} lacks the scope {scope.value!r}.", code="insufficient_scope"
            )
        return name

    # Messages

    async def _take_chat(self, request: _Request) -> Answer:
        return await self._take(request, replies.chat)

    async def _take_response(self, request: _Request) -> Answer:
        return await self._take(request, replies.response)

    async def _take(self, request: _Request, make_reply: Callable[[replies.Said], bytes]) -> Answer:
        key = self._check_key(request, KeyScope.ENQUEUE)
        raw, fields = await self._read(request, peek_request, self._budgets.of(request))
        intake = self._find_intake(fields.model)
        kind = self._internal_kind(raw)
        if kind is not None and kind not in self.policy.internal:
            stored, text = None, bodies.internal_reply(kind, raw)
            self.journal.event("info", "internal", workspace=intake.name, kind=kind, size=len(raw))
        else:
            stored, text = await intake.put(raw, request.retry(key)), self._text_for(raw)
            self._tell(stored, intake, raw, key)
        said = replies.say(
            stored.id if stored else self._clock.next(raw[:1]),
            fields.model or f"aap/{intake.name}",
            text,
            stream=bool(fields.stream),
            with_usage=bool(fields.stream_options and fields.stream_options.include_usage),
        )
        kind_of_reply = replies.EVENTS if said.stream else replies.JSON
        return Answer(make_reply(said), kind_of_reply, headers=_headers_for(stored))

    async def _take_from_agent(self, request: _Request) -> Answer:
        by_header = self._check_agent_header(request)
        budget = self._budgets.of(request) if by_header else self._budgets.strangers
        raw, fields = await self._read(request, peek_agent, budget)
        if not by_header and not _same(fields.a2a_key or "", self.policy.a2a_key):
            raise UnauthorizedError("The a2a_key is missing or wrong.")
        intake = self._find_intake(fields.model)
        stored = await intake.put(raw, request.retry("agent"))
        self._tell(stored, intake, raw, "agent")
        reply = replies.AgentReply(
            stored.id, fields.agent_id, fields.reply_instruction, fields.system_instruction
        )
        return Answer(replies.encode(reply), headers=_headers_for(stored))

    def _check_agent_header(self, request: _Request) -> bool:
        """Tell whether the head says who is there already; else the body must."""
        if request.is_local:
            return True
        if not self.policy.a2a_key:
            raise NotFoundError("Agents have no inbox here: A2A_KEY is not set.")
        return bool(request.bearer) and _same(request.bearer.decode("latin1"), self.policy.a2a_key)

    async def _read(self, request: _Request, decoder: Any, budget: Budget) -> tuple[bytes, Any]:
        check_headers(request.headers, self.policy.max_body)
        with budget.share() as share:
            raw = await request.body.read(self.policy.max_body, share)
            return raw, peek(raw, decoder)

    def _find_intake(self, model: str | None) -> Intake:
        if model is None or model in {"aap", "manager"}:
            return self.default
        intake = self.intakes.get(model.removeprefix("aap/"))
        if intake is None or not model.startswith("aap/"):
            known = ", ".join(f"aap/{name}" for name in self.intakes)
            raise NotFoundError(
                f"The model {model[:100]!r} does not exist; there is: {known}.",
                code="model_not_found",
                param="model",
            )
        return intake

    def _internal_kind(self, raw: bytes) -> str | None:
        return bodies.internal_kind(raw) if len(raw) <= _RECOGNISE_MAX else None

    def _text_for(self, raw: bytes) -> str:
        reply = self.policy.reply
        if reply == "auto":
            return replies.ACKNOWLEDGEMENT if bodies.is_openclaw(raw) else ""
        return "" if reply == "empty" else reply

    def _tell(self, stored: Stored, intake: Intake, raw: bytes, key: str) -> None:
        event = "replayed" if stored.replayed else "enqueued"
        self.journal.event(
            "info", event, message_id=stored.id, workspace=intake.name, size=len(raw), key=key
        )

    # The other routes

    async def _pass_on(self, request: _Request, receive: Receive, send: Send) -> None:
        """Let FastAPI answer; unknown paths never get so far, so no stranger has it loaded."""
        if not _is_known(request.path):
            raise NotFoundError(f"There is nothing at {request.path[:100]!r}.")
        _check_method(request, "GET")
        if request.path != "/openapi.json":
            self._check_key(request, _scope_of(request.path))
        if self._rest is None:
            self._rest = await asyncio.to_thread(self._load_rest)
        try:
            await self._rest(request.scope, receive, send)
        except Exception as error:  # it has answered by then
            self.journal.fault(error)

    def _load_rest(self) -> Asgi:
        from aap.api.routes import make_app

        return make_app({name: intake.spool for name, intake in self.intakes.items()})


class _Budgets:
    """The memory for bodies, in parts, so that who fills one leaves the others alone."""

    def __init__(self, policy: Policy) -> None:
        all_ = policy.body_memory
        reserve = all_ // 24
        least = held_for(policy.max_body) + reserve  # or the largest body would never get in
        self.strangers = Budget(least, reserve)  # whose key is in the body, if they have one
        self.local = Budget(max(least, all_ // 4), reserve)
        self.tcp = Budget(all_ - self.strangers.limit - self.local.limit, reserve)

    def of(self, request: _Request) -> Budget:
        """Return that of the listener by which `request` came."""
        return self.local if request.is_local else self.tcp


class _Request:
    """One request's head, and its body to come."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.path: str = scope["path"]
        self.method: str = scope["method"]
        self._fields: list[_Header] = scope["headers"]
        self.headers: Headers = dict(self._fields)
        bare = b"content-length" not in self.headers and b"transfer-encoding" not in self.headers
        self.body = Body(receive, complete=bare)
        self.is_local: bool = scope.get("aap.local", False)

    @property
    def bearer(self) -> bytes:
        """The key that the client sent, or nothing."""
        scheme, _, key = self.headers.get(b"authorization", b"").partition(b" ")
        return key.strip() if scheme.lower() == b"bearer" else b""

    def check_fields(self) -> None:
        """Refuse a head of which two readers may think differently (RFC 9112, 3.2 and 6.3)."""
        if b"host" not in self.headers and self.scope["http_version"] == "1.1":
            raise BadRequestError("There is no Host.", headers=_CLOSE)
        if len(self.headers.get(b"content-length", b"")) > _LENGTH_DIGITS:
            raise BadRequestError("The Content-Length has too many digits.", headers=_CLOSE)
        if len(self.headers) == len(self._fields):
            return
        names = [name for name, _ in self._fields if name in _ONCE]
        for name in names:
            if names.count(name) > 1:
                raise BadRequestError(f"The header {name.decode()} is there twice.", headers=_CLOSE)

    def retry(self, client: str) -> Retry | None:
        """Tell how to look for an earlier delivery, where the client says that there may be one.

        An Idempotency-Key counts for the `client` alone who sent it, by the name of its key.
        """
        key = self.headers.get(b"idempotency-key", b"").strip()
        if len(key) > _KEY_MAX:
            raise BadRequestError(f"The Idempotency-Key exceeds {_KEY_MAX} bytes.")
        if key:
            # No header has a NUL, so no client can send what stands for another's.
            return Retry(key if client in _KEYLESS else client.encode() + b"\0" + key)
        count = self.headers.get(b"x-stainless-retry-count", b"0")
        return Retry() if count.isdigit() and count.strip(b"0") else None


def _check_method(request: _Request, *allowed: str) -> None:
    if request.method not in allowed:
        raise MethodNotAllowedError(request.method, ", ".join(allowed))


def _check_browser(headers: Headers) -> None:
    """Keep foreign web pages out where no key does.

    Any page may have the browser of somebody at this machine post here, with a body of
    its choice; browsers then name the page in Origin. A page that has bound its own name
    to our address (DNS rebinding) shows by the Host.
    """
    host = _host_in(headers.get(b"host", b"localhost"))
    if not _is_near(host):
        shown = headers[b"host"][:100].decode("latin1")
        raise ForbiddenError(f"The host {shown!r} is not known here: use a key.")
    origin = headers.get(b"origin")
    if origin is None:
        return
    page = _host_in(origin.partition(b"//")[2])
    if page != host and not _is_loopback(page):
        raise ForbiddenError("Web pages of other sites may not send messages without a key.")


def _host_in(authority: bytes) -> str:
    """Return the name or address in a Host; nothing for what is no host."""
    found = re.fullmatch(_HOST, authority.decode("latin1"))
    return (found[1] or found[2]).lower() if found else ""


def _is_near(host: str) -> bool:
    """Tell by what names this machine is called: addresses, single words, those of containers.

    Not by .local or .lan: any network that a browser is in can lead them here. For single
    words it could as well, but they are what containers and tunnels call each other.
    """
    if "." not in host and ":" not in host:
        return bool(host)
    return host in _CONTAINER_NAMES or _is_loopback(host) or _is_address(host)


def _is_loopback(host: str) -> bool:
    if host in {"localhost", "::1"} or host.endswith(".localhost"):
        return True
    return host.startswith("127.") and _is_address(host)


def _is_address(host: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        return False
    return True


def _is_known(path: str) -> bool:
    if path in {"/openapi.json", _STATUS} or path.startswith(_MESSAGES):
        return True
    return (path.removeprefix("/v1") + "/").startswith("/models/")


def _scope_of(path: str) -> KeyScope | None:
    """Tell which scope a path of the other routes asks for; models any key may list."""
    if path == _STATUS:
        return KeyScope.ADMIN
    return KeyScope.RECEIPTS if path.startswith(_MESSAGES) else None


def _same(one: str, other: str) -> bool:
    from hmac import compare_digest

    return compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _answer_problem(problem: RequestError, status: int) -> Answer:
    return Answer(problem.body(), replies.JSON, status, problem.headers)


def _headers_for(stored: Stored | None) -> tuple[_Header, ...]:
    if stored is None:
        return ()
    headers: tuple[_Header, ...] = ((b"x-request-id", stored.id.encode()),)
    if stored.replayed:
        headers += ((b"idempotent-replayed", b"true"),)
    return headers


async def _send(answer: Answer, body: Body, send: Send) -> None:
    headers = [
        (b"content-type", answer.kind),
        (b"content-length", str(len(answer.body)).encode()),
        *answer.headers,
    ]
    if not body.complete and _CLOSE[0] not in headers:
        headers += _CLOSE
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
