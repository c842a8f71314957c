"""Reading a request body: bounded in size and memory, and surely JSON when it is accepted.

Nothing is built from the body but the few fields that an answer needs; the rest is
only checked. What is accepted here, Python's own `json` reads later as well.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, TypeVar

import msgspec

from aap.api.problems import (
    BadRequestError,
    BodyTooLargeError,
    UnavailableError,
    UnsupportedMediaError,
)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = Mapping[bytes, bytes]

SMALL = 256 << 10  # bytes of a body for which there is always room

_JSON_TYPES = frozenset((
    b"",
    b"text/plain",
    b"application/octet-stream",
    b"application/x-www-form-urlencoded",  # what `curl -d` says, whatever it sends
))  # fmt: skip


class ClientGoneError(Exception):
    """The client closed the connection before its body was complete: nobody to answer."""


class Budget:
    """The memory that all bodies being read may take together, `reserve` of it only small ones.

    Where a small one finds no room even so, the body whose client has sent nothing for
    longest makes room: so nobody keeps messages out by holding what he does not use.
    """

    def __init__(self, limit: int, reserve: int = 0) -> None:
        self.limit = limit
        self.reserve = reserve
        self.used = 0
        self._shares: dict[Share, None] = {}  # whose client has sent nothing for longest, first

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Lend memory for the length of the block."""
        share = Share(self)
        try:
            yield share
        except asyncio.CancelledError:
            if not share.is_lost:
                raise
            raise _too_many() from None
        finally:
            self._take_back(share)

    def lend(self, share: Share, size: int) -> None:
        """Have `share` hold `size` bytes; refuses a large one when there is no room."""
        is_small = size <= held_for(SMALL)
        room = self.limit if is_small else self.limit - self.reserve
        self._shares.pop(share, None)
        while self.used + size - share.held > room:
            if not is_small or not self._shares:
                raise _too_many()
            self._take_back(next(iter(self._shares)), early=True)
        self.used += size - share.held
        share.held = size
        self._shares[share] = None

    def _take_back(self, share: Share, *, early: bool = False) -> None:
        self._shares.pop(share, None)
        self.used -= share.held
        share.held = 0
        if early:
            share.lose()


class Share:
    """What one body holds of a budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._reader = asyncio.current_task()
        self.held = 0
        self.is_lost = False

    def grow_to(self, size: int) -> None:
        """Hold what a body of `size` bytes takes, as far as it was received."""
        self._budget.lend(self, held_for(size))

    def lose(self) -> None:
        """End the reading: another body has the memory."""
        self.is_lost = True
        if self._reader is not None:
            self._reader.cancel()


def held_for(size: int) -> int:
    """Return the bytes of memory that `size` bytes take: a buffer grows an eighth ahead."""
    return size + (size >> 3)


def _too_many() -> UnavailableError:
    return UnavailableError("Too many large requests at once.", retry_after=1)


def check_headers(headers: Headers, max_body: int) -> None:
    """Refuse by the head alone what need not be read."""
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding not in {b"identity", b""}:
        name = coding.decode("latin1")
        raise UnsupportedMediaError(f"Content-Encoding {name!r} is not supported: send plain JSON.")
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind not in _JSON_TYPES and not kind.endswith(b"json"):
        name = kind.decode("latin1")
        raise UnsupportedMediaError(
            f"Content-Type {name!r} is not supported: send application/json."
        )
    framing = headers.get(b"transfer-encoding", b"chunked").strip().lower()
    if framing != b"chunked":
        name = framing.decode("latin1")
        raise BadRequestError(f"Transfer-Encoding {name!r} is not supported: send plain chunks.")
    if int(headers.get(b"content-length", b"0")) > max_body:
        raise _too_large(max_body)


def _too_large(max_body: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"The request body exceeds {max_body} bytes (MAX_BODY).")


class Body:
    """The body of one request, as it streams in.

    `complete` tells that it was read to its end, or that there is none.
    """

    def __init__(self, receive: Receive, *, complete: bool = False) -> None:
        self._receive = receive
        self.complete = complete

    async def _next(self) -> bytes:
        message = await self._receive()
        if message["type"] != "http.request":
            raise ClientGoneError
        self.complete = not message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk

    async def read(self, max_body: int, share: Share) -> bytes:
        """Return all of it; refuses it as soon as it has grown too large."""
        piece = b"" if self.complete else await self._next()
        if self.complete and len(piece) <= max_body:
            return piece  # the connection had it all, and lets go of it now
        whole = BytesIO()  # gives up its buffer without a copy
        while True:
            size = whole.tell() + len(piece)
            if size > max_body:
                raise _too_large(max_body)
            share.grow_to(size)
            whole.write(piece)
            if self.complete:
                return whole.getvalue()
            piece = await self._next()


# JSON


class StreamOptions(msgspec.Struct):
    """What a client may ask of a stream."""

    include_usage: bool | None = None


class Peek(msgspec.Struct):
    """The fields of a chat or responses request that its answer needs."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class AgentPeek(msgspec.Struct):
    """The fields of an agent's message that its answer, or its key check, needs."""

    a2a_key: str | None = None
    agent_id: str | None = None
    reply_instruction: str | None = None
    system_instruction: str | None = None
    model: str | None = None


peek_request = msgspec.json.Decoder(Peek)
peek_agent = msgspec.json.Decoder(AgentPeek)

# Patterns as texts: only odd bodies need them, and compiling takes time at the start.
# Any surrogate escape; the decoder refuses a lone one, which is valid JSON (RFC 8259, 8.2).
_SURROGATE = rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
_STRING = rb'(?s)"[^"\\]*(?:\\.[^"\\]*)*"'
_FIELD = r"`\$\.([A-Za-z0-9_.]+)`"
_DIGITS = b"0123456789"
T = TypeVar("T")
INVALID = "invalid_json"
MAX_DIGITS = 4300  # of a number: Python's json refuses longer integers (CVE-2020-10735)


def peek(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Check that `raw` is a UTF-8 JSON object and return the fields that `decoder` wants.

    Raises BadRequestError.
    """
    try:
        if not raw.isascii():
            raw.decode()
        fields = _decode(raw, decoder)
    except UnicodeDecodeError as error:
        raise BadRequestError(
            f"The body is not UTF-8 (byte {error.start}).", code=INVALID
        ) from None
    except RecursionError:
        raise BadRequestError("The body is nested too deeply.", code=INVALID) from None
    except msgspec.ValidationError as error:
        field = re.search(_FIELD, str(error))
        raise BadRequestError(f"{error}.", param=field[1] if field else None) from None
    except msgspec.DecodeError as error:
        raise BadRequestError(f"The body is no JSON: {error}.", code=INVALID) from None
    if has_long_number(raw):
        raise BadRequestError(f"A number has more than {MAX_DIGITS} digits.", code=INVALID)
    return fields


def _decode(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if re.search(_SURROGATE, raw) is None:
            raise
        return decoder.decode(re.sub(_SURROGATE, rb"\\u0041", raw))


def has_long_number(raw: bytes) -> bool:
    """Tell whether valid JSON has a number of more than MAX_DIGITS digits in a row."""
    # Digits within strings are fine, but rarely that many: strip strings only then.
    return _has_long_run(raw) and _has_long_run(re.sub(_STRING, b'""', raw))


def _has_long_run(raw: bytes) -> bool:
    # A run that long covers a multiple of its length, so most of the body is never looked at.
    marks = range(0, len(raw), MAX_DIGITS)
    return any(_run_at(raw, mark) > MAX_DIGITS for mark in marks if raw[mark] in _DIGITS)


def _run_at(raw: bytes, mark: int) -> int:
    before = raw[max(0, mark - MAX_DIGITS) : mark]
    after = raw[mark : mark + MAX_DIGITS + 1]
    left = len(before) - len(before.rstrip(_DIGITS))
    return left + len(after) - len(after.lstrip(_DIGITS))
