"""One client connection: uvicorn's httptools protocol, with limits and decent endings.

What uvicorn leaves open and this closes: a head or a body that never ends, an
`Upgrade:` header (uvicorn then loses the body, and Java's HttpClient sends one with
every POST), trailers that pass for headers, refusals that the client cannot read
because the kernel resets a connection that is closed with unread data, clients that
hold all connections, and one that half-closes and is not answered.
"""

from __future__ import annotations

import select
from enum import Enum
from http import HTTPStatus
from itertools import islice
from typing import Any, NamedTuple

import httptools

from aap.api.engine import Config, HttpToolsProtocol, ServerState
from aap.api.problems import (
    BadRequestError,
    HeaderTooLargeError,
    RequestError,
    RequestTimeoutError,
    UnavailableError,
)

MAX_HEAD = 65536  # bytes of a request's head, on top of the read that it begins in
MAX_LINGERING = 256  # refused clients that may read why at the same time
MAX_LOOKS = 32  # connections that are looked at to find one that can be given up
MAX_PIPELINE = 32  # requests waiting behind the one being answered; then the connection ends
VERSIONS = frozenset(("1.0", "1.1"))
LINGER = 5.0  # seconds in which a refused client may finish sending and read why
WRITE_TIMEOUT = 30.0  # seconds in which a client must take an answer
NEVER = float("inf")


class Limits(NamedTuple):
    """How long and how much one connection may."""

    header_timeout: float = 10.0
    body_timeout: float = 60.0
    keep_alive: float = 20.0  # above the 4 to 15 s after which common clients drop idle ones
    connections: int = 1000


class Phase(Enum):
    """What a connection waits for."""

    FRESH = "its first byte"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "our answer"
    KEPT = "a next request"
    LINGER = "the client's goodbye"


class Crowd:
    """The connections of one kind of listener, so that a full one leaves the other alone.

    Where there is no room for a newcomer, the connection that has waited longest for its
    client makes room: so nobody keeps others out by holding what he does not use.
    """

    def __init__(self) -> None:
        self.open = 0  # but those that only linger
        self._waiting: dict[Connection, None] = {}  # for their client, the longest first
        self._lingering: dict[Connection, None] = {}

    def place(self, connection: Connection, *, waits: bool) -> None:
        """Note that a connection waits for its client from now on, or no longer does."""
        self._waiting.pop(connection, None)
        if waits:
            self._waiting[connection] = None

    def dismiss(self, connection: Connection) -> None:
        """Count a connection no longer, which only lingers; too many of them are not waited for."""
        self._waiting.pop(connection, None)
        self.open -= 1
        self._lingering[connection] = None
        if len(self._lingering) > MAX_LINGERING:
            oldest = next(iter(self._lingering))
            del self._lingering[oldest]
            oldest.shutdown()

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._waiting.pop(connection, None)
        self._lingering.pop(connection, None)
        self.open -= connection.phase is not Phase.LINGER

    def make_room(self, newcomer: Connection) -> bool:
        """Give up one connection that waits for its client; False if there is none."""
        for connection in list(islice(self._waiting, MAX_LOOKS)):
            if connection is not newcomer and not connection.has_unread():
                connection.give_up()
                return True
        return False


class State(ServerState):
    """What the connections of one server share."""

    def __init__(self) -> None:
        super().__init__()
        self.draining = False
        self.crowds = {local: Crowd() for local in (False, True)}


class _Ending:
    """What a request sees of its transport: closing it is left to the connection."""

    def __init__(self, connection: Connection) -> None:
        self._transport = connection.transport
        self.write = self._transport.write
        self.is_closing = self._transport.is_closing
        self.close = connection.finish


class Connection(HttpToolsProtocol):
    """Speaks HTTP/1.1 with one client. `local` marks the unix socket, which needs no key."""

    def __init__(
        self,
        config: Config,
        server_state: State,
        app_state: dict[str, Any],
        *,
        limits: Limits,
        local: bool,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self.shared = server_state
        self.crowd = server_state.crowds[local]
        self.limits = limits
        self.local = local
        self.phase = Phase.FRESH
        self.deadline = NEVER
        self.in_head = False
        self.running: Any = None  # the request that is with the app
        self.progress = 0  # requests begun, and pieces of their bodies
        self.idle_bytes = 0  # read since then
        self.sends_no_more = False  # or nothing that is taken

    def _enter(self, phase: Phase, seconds: float = NEVER) -> None:
        if phase is not Phase.LINGER:
            self.crowd.place(self, waits=phase is not Phase.ANSWER)
        elif self.phase is not Phase.LINGER:
            self.crowd.dismiss(self)
        self.phase = phase
        self.deadline = self.loop.time() + seconds

    # Called by the loop

    def connection_made(self, transport: Any) -> None:
        """Welcome a client, or refuse one too many."""
        super().connection_made(transport)
        self.ending = _Ending(self)
        self.crowd.open += 1
        self._enter(Phase.FRESH, self.limits.header_timeout)
        if self.crowd.open > self.limits.connections and not self.crowd.make_room(self):
            self.refuse(UnavailableError("Too many connections.", retry_after=1))

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave, and let go of what holds us: under a flood, the collector comes too late."""
        self.crowd.remove(self)
        super().connection_lost(exc)
        if self.running is not None:  # uvicorn tells the newest request only
            self.running.disconnected = True
        self.pipeline.clear()
        self.cycle = self.running = None  # type: ignore[assignment]
        self.parser = self.ending = None  # type: ignore[assignment]

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection of a client that sends no more, but waits for our answer."""
        self.sends_no_more = True
        return self.phase is Phase.ANSWER

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse what is no HTTP."""
        if self.phase is Phase.LINGER:
            return
        if self.phase in {Phase.FRESH, Phase.KEPT}:
            self._enter(Phase.HEAD, self.limits.header_timeout)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self.refuse(_problem_of(error))

    def _feed(self, data: bytes) -> None:
        progress = self.progress
        rest = data
        while rest:
            try:
                self.parser.feed_data(rest)
                rest = b""
            except httptools.HttpParserUpgrade as upgrade:
                rest = self._without_upgrade(rest[upgrade.args[0] :])
        # A head, a trailer or the extension of a chunk that never ends: all is kept until it does.
        goes_on = self.progress == progress
        self.idle_bytes = self.idle_bytes + len(data) if goes_on else 0
        if self.idle_bytes > MAX_HEAD:
            self.refuse(HeaderTooLargeError(f"The request's head exceeds {MAX_HEAD} bytes."))

    def _without_upgrade(self, rest: bytes) -> bytes:
        """Return the request, and what followed its head, to be parsed by a new parser.

        It is then as if nothing but HTTP/1.1 had been asked for (RFC 9110, 7.8).
        """
        if self.parser.get_method() == b"CONNECT":
            raise httptools.HttpParserError("no proxy")
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            if name not in {b"upgrade", b"http2-settings"}:
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        return b"".join(head) + b"\r\n" + rest

    def pause_writing(self) -> None:
        """Give a client that does not read its answers a last chance."""
        super().pause_writing()
        self.deadline = self.loop.time() + WRITE_TIMEOUT
        if self.phase is Phase.ANSWER:
            self.crowd.place(self, waits=True)

    def resume_writing(self) -> None:
        """Take the deadline back when the client reads again."""
        super().resume_writing()
        if self.phase is Phase.ANSWER:
            self.deadline = NEVER
            self.crowd.place(self, waits=False)

    # Called by the parser

    def _should_upgrade(self) -> bool:
        return True  # uvicorn then leaves the request alone, and `_feed` takes it up

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self.in_head = True
        self.progress += 1
        self.scope["aap.local"] = self.local  # type: ignore[typeddict-unknown-key]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; a trailer is none: nobody must smuggle in a key behind the body."""
        if self.in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request to the app, which reads the body itself."""
        if len(self.pipeline) >= MAX_PIPELINE:
            raise httptools.HttpParserError("too many requests ahead of their answers")
        if self.parser.get_http_version() not in VERSIONS:  # 0.9, where the first line has none
            raise httptools.HttpParserError("no HTTP/1")
        if not self.url.startswith(b"/"):
            self._believe_target()
        super().on_headers_complete()
        self.in_head = False
        if self.parser.should_upgrade():
            return
        self.cycle.transport = self.ending  # type: ignore[assignment]
        if self.shared.draining:
            self.cycle.keep_alive = False
        if not self.pipeline:
            self._enter(Phase.BODY, self.limits.body_timeout)

    def _believe_target(self) -> None:
        """Take the host from an absolute target, as RFC 9112 (3.2.2) says, and not from Host."""
        authority = self.url.partition(b"//")[2].partition(b"/")[0]
        self.headers[:] = [field for field in self.headers if field[0] != b"host"]
        self.headers.append((b"host", authority))

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body for the app."""
        self.progress += 1
        super().on_body(body)
        if self.phase is Phase.BODY:  # who goes on sending is not the first to make room
            self.crowd.place(self, waits=True)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.running = cycle  # `cycle` of uvicorn is the newest, which may be waiting behind others
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """Wait for the app, without a limit: what it does is bounded by the disk alone."""
        super().on_message_complete()
        if self.phase is Phase.BODY:
            self._enter(Phase.ANSWER)

    def on_response_complete(self) -> None:
        """Start what was pipelined, or wait for the next request."""
        if self.phase is Phase.LINGER:
            return
        super().on_response_complete()
        if self.pipeline:  # uvicorn reads on here, and gathers without end
            self.flow.pause_reading()
        self._unset_keepalive_if_required()  # one sweep looks after all deadlines instead
        if self.transport.is_closing():
            self._enter(Phase.LINGER, WRITE_TIMEOUT)
        elif not self.running.response_complete:
            waits = Phase.BODY if self.running.more_body else Phase.ANSWER
            self._enter(waits, self.limits.body_timeout if self.running.more_body else NEVER)
        elif self.in_head:
            self._enter(Phase.HEAD, self.limits.header_timeout)
        else:
            self._enter(Phase.KEPT, self.limits.keep_alive)
        if self.sends_no_more and self.phase is not Phase.ANSWER:
            self.transport.close()

    # Called by the server

    def drain(self, grace: float) -> None:
        """Let the request that is under way, or one that comes within `grace` s, be the last."""
        if self.phase in {Phase.FRESH, Phase.KEPT}:
            self.deadline = min(self.deadline, self.loop.time() + grace)
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    def check_deadline(self, now: float) -> None:
        """End what took too long."""
        if now < self.deadline or (self.phase is Phase.KEPT and self.has_unread()):
            return
        if self.phase in {Phase.FRESH, Phase.KEPT}:
            self.transport.close()
        elif self.phase in {Phase.HEAD, Phase.BODY}:
            self.refuse(RequestTimeoutError("The request did not arrive in time."))
        else:
            self.transport.abort()

    def has_unread(self) -> bool:
        """Look once more before closing: what has reached the kernel is answered, not reset."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def give_up(self) -> None:
        """Make room for another client: this one has kept us waiting."""
        if self.phase in {Phase.FRESH, Phase.HEAD, Phase.BODY}:
            self.refuse(UnavailableError("Too many connections.", retry_after=1))
        elif self.phase is Phase.KEPT:
            self._enter(Phase.LINGER, WRITE_TIMEOUT)
            self.transport.close()
        else:
            self.crowd.place(self, waits=False)
            self.transport.abort()

    def shutdown(self) -> None:
        """Close at once."""
        self.transport.abort()

    # Refusing without the app

    def refuse(self, problem: RequestError) -> None:
        """Answer in place of the app, then let the client finish before closing."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self.pipeline or cycle.response_started or not cycle.more_body:
                self._end_with_answers()
                return
            cycle.disconnected = True  # the app must not take half a body for a message
            cycle.waiting_for_100_continue = False  # nor ask for the rest
            cycle.message_event.set()
        self._write_answer(problem)
        self._linger()

    def _end_with_answers(self) -> None:
        """Answer the whole requests; what follows them is not worth an answer.

        One here would come before theirs, and be taken for theirs.
        """
        if self.pipeline and self.cycle.more_body:
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0] if self.pipeline else self.running
        self.cycle.keep_alive = False
        self.sends_no_more = True
        self.flow.pause_reading()

    def finish(self) -> None:
        """Close when the answer is out, and not before the client could read it."""
        if self.phase is Phase.BODY:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Say that no more is coming, and read away what the client still sends.

        To close with unread data would have the kernel reset the connection, and
        take the answer away from a client that sends all before it reads.
        """
        self._enter(Phase.LINGER, LINGER)
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.transport.write_eof()

    def _write_answer(self, problem: RequestError) -> None:
        body = problem.body()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *problem.headers,
        ]
        phrase = HTTPStatus(problem.status).phrase
        lines = [f"HTTP/1.1 {problem.status} {phrase}".encode()]
        lines += [name + b": " + value for name, value in headers]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + body)


def _problem_of(error: httptools.HttpParserError) -> RequestError:
    """Tell what is no HTTP from what we could not take: the parser calls both an error."""
    if isinstance(error.__context__, MemoryError):
        return UnavailableError("There is no memory for the request.", retry_after=10)
    return BadRequestError("This is not a valid HTTP request.", code="invalid_http")
