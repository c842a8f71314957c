"""Requests on which two readers may disagree where one ends, and other shapes of harm.

Each is sent as it stands, and the client then says that it sends no more. `SMUGGLED` is
the message that must never be stored but where it is plainly a request of its own.
"""

from __future__ import annotations

from typing import NamedTuple

POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
LINE = POST + b"Host: x\r\n"
SMUGGLED = b'{"smuggled":1}'
INNER = LINE + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED
BODY = b"{}"
LENGTH = b"Content-Length: 2\r\n\r\n{}"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HUGE = b"f" * 18


class Shape(NamedTuple):
    """What is sent, the statuses that are answered, and the messages that are stored."""

    sent: bytes
    statuses: tuple[int, ...] = (400,)
    stored: tuple[bytes, ...] = ()


def _two(head: bytes) -> Shape:
    """Two requests, of which the first is of an unusual, but unmistakable form."""
    return Shape(head + INNER, (200, 200), (BODY, SMUGGLED))


# Where a request ends

FRAMING = {
    "length and chunks": Shape(
        LINE + b"Content-Length: %d\r\n" % (len(INNER) + 5) + CHUNKED + b"0\r\n\r\n" + INNER
    ),
    "chunks and length": Shape(
        LINE + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + CHUNKS + INNER
    ),
    "two lengths": Shape(
        LINE + b"Content-Length: 2\r\nContent-Length: %d\r\n\r\n{}" % (2 + len(INNER)) + INNER
    ),
    "the same length twice": Shape(LINE + b"Content-Length: 2\r\n" + LENGTH + INNER),
    "a list of lengths": Shape(LINE + b"Content-Length: 2, 2\r\n\r\n{}" + INNER),
    "a length with a sign": Shape(LINE + b"Content-Length: +2\r\n\r\n{}" + INNER),
    "a negative length": Shape(LINE + b"Content-Length: -2\r\n\r\n{}" + INNER),
    "a length in hex": Shape(LINE + b"Content-Length: 0x2\r\n\r\n{}" + INNER),
    "a length with a blank": Shape(LINE + b"Content-Length: 2 0\r\n\r\n{}" + INNER),
    "a length with an underscore": Shape(LINE + b"Content-Length: 1_4\r\n\r\n{}" + INNER),
    "a length with a NUL": Shape(LINE + b"Content-Length: 2\x00\r\n\r\n{}" + INNER),
    "an empty length": Shape(LINE + b"Content-Length:\r\n\r\n{}" + INNER),
    "a length beyond 64 bits": Shape(LINE + b"Content-Length: 18446744073709551618\r\n\r\n{}"),
    "a length with a few zeros in front": _two(LINE + b"Content-Length: 0002\r\n\r\n{}"),
    "a length with 5,000 zeros in front": Shape(
        LINE + b"Content-Length: " + b"0" * 5000 + LENGTH[-7:]
    ),
    "xchunked": Shape(LINE + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS + INNER),
    "xchunked and a length": Shape(LINE + b"Transfer-Encoding: xchunked\r\n" + LENGTH + INNER),
    "chunked, identity": Shape(LINE + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS),
    "chunked, gzip": Shape(LINE + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS + INNER),
    "gzip, chunked": Shape(LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS),
    "identity": Shape(LINE + b"Transfer-Encoding: identity\r\n" + LENGTH + INNER),
    "an empty coding": Shape(LINE + b"Transfer-Encoding:\r\n" + LENGTH + INNER),
    "a quoted coding": Shape(LINE + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKS + INNER),
    "a coding with a parameter": Shape(LINE + b"Transfer-Encoding: chunked;q=1\r\n\r\n" + CHUNKS),
    "a coding after a vertical tab": Shape(LINE + b"Transfer-Encoding: \x0bchunked\r\n\r\n{}"),
    "a coding twice": Shape(LINE + b"Transfer-Encoding: chunked\r\n" + CHUNKED + CHUNKS + INNER),
    "two codings": Shape(LINE + b"Transfer-Encoding: identity\r\n" + CHUNKED + CHUNKS),
    "two codings, the other way": Shape(
        LINE + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNKS
    ),
    "a coding after a tab": _two(LINE + b"Transfer-Encoding:\tchunked\r\n\r\n" + CHUNKS),
    "CHUNKED": _two(LINE + b"TRANSFER-ENCODING: CHUNKED\r\n\r\n" + CHUNKS),
    "chunks in HTTP/1.0": Shape(
        LINE.replace(b"1.1", b"1.0") + CHUNKED + CHUNKS + INNER, (200,), (BODY,)
    ),
    "a request in the body of a GET": Shape(
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER,
        (200,),
    ),
    "a request in the body of a HEAD": Shape(
        b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER,
        (200,),
    ),
    "a request in a refused body": Shape(
        b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(INNER) + INNER,
        (404,),
    ),
    "a request behind a refused one": Shape(
        LINE + b"Content-Encoding: gzip\r\n" + LENGTH + INNER, (415,)
    ),
    "two upgrades": Shape(
        (LINE + b"Connection: Upgrade\r\nUpgrade: h2c\r\n" + LENGTH) * 2, (200, 200), (BODY, BODY)
    ),
    "an upgrade behind an upgrade, invalid": Shape(
        LINE
        + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
        + LENGTH
        + LINE
        + b"Connection: Upgrade\r\nUpgrade: x\r\nX y: z\r\n\r\n",
        (200,),
        (BODY,),
    ),
    "an upgrade with both lengths": Shape(
        LINE + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 4\r\n" + CHUNKED + CHUNKS
    ),
}

# Chunks

CHUNKING = {
    "a negative size": Shape(LINE + CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n" + INNER),
    "a size with a sign": Shape(LINE + CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n" + INNER),
    "a size with 0x": Shape(LINE + CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n" + INNER),
    "a size beyond 64 bits": Shape(LINE + CHUNKED + HUGE + b"\r\n{}\r\n0\r\n\r\n" + INNER),
    "a size that wraps to 2": Shape(LINE + CHUNKED + b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "a size of nearly 64 bits": Shape(LINE + CHUNKED + b"fffffffffffffff0\r\n{}", ()),
    "a size with 5,000 zeros in front": _two(LINE + CHUNKED + b"0" * 5000 + CHUNKS),
    "no size": Shape(LINE + CHUNKED + b"\r\n{}\r\n0\r\n\r\n" + INNER),
    "a blank behind a size": Shape(LINE + CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n" + INNER),
    "a blank before a size": Shape(LINE + CHUNKED + b" 2\r\n{}\r\n0\r\n\r\n" + INNER),
    "a size that is too small": Shape(LINE + CHUNKED + b"1\r\n{}\r\n0\r\n\r\n" + INNER),
    "no CRLF behind a chunk": Shape(LINE + CHUNKED + b"2\r\n{}0\r\n\r\n" + INNER),
    "bare LF": Shape(LINE + CHUNKED + b"2\n{}\n0\n\n" + INNER),
    "bare LF behind a size": Shape(LINE + CHUNKED + b"2\n{}\r\n0\r\n\r\n" + INNER),
    "bare CR behind a size": Shape(LINE + CHUNKED + b"2\rX{}\r\n0\r\n\r\n" + INNER),
    "bare LF in an extension": Shape(LINE + CHUNKED + b"2;a\n{}\r\n0\r\n\r\n" + INNER),
    "bare CR in an extension": Shape(LINE + CHUNKED + b"2;a\rb\r\n{}\r\n0\r\n\r\n" + INNER),
    "an extension": _two(LINE + CHUNKED + b'2;a=b;c="d"\r\n{}\r\n0;x\r\n\r\n'),
    "a trailer": _two(LINE + CHUNKED + b"2\r\n{}\r\n0\r\nX: y\r\n\r\n"),
    "a length in a trailer": Shape(
        LINE + CHUNKED + b"2\r\n{}\r\n0\r\nContent-Length: 100\r\n\r\n" + INNER
    ),
    "a coding in a trailer": Shape(
        LINE + CHUNKED + b"2\r\n{}\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n" + INNER
    ),
    "no size, in the request behind a whole one": Shape(
        LINE + LENGTH + LINE + CHUNKED + b"zz\r\n" + INNER, (200,), (BODY,)
    ),
    "no size, behind two whole ones": Shape(
        LINE + LENGTH + LINE + LENGTH + LINE + CHUNKED + b"zz\r\n", (200, 200), (BODY, BODY)
    ),
    "no size, where the client would wait to be asked": Shape(
        LINE + b"Expect: 100-continue\r\n" + CHUNKED + b"zz\r\n"
    ),
    "the last chunk missing": Shape(LINE + CHUNKED + b"2\r\n{}\r\n", ()),
}

# Heads

HEADS = {
    "bare LF": Shape(LINE.replace(b"\r\n", b"\n") + b"Content-Length: 2\n\n{}" + INNER),
    "bare LF behind one header": Shape(POST + b"Host: x\n" + LENGTH + INNER),
    "a header behind bare LF": Shape(
        LINE + b"X: a\nTransfer-Encoding: chunked\r\n" + LENGTH + INNER
    ),
    "a header behind bare CR": Shape(
        LINE + b"X: a\rTransfer-Encoding: chunked\r\n" + LENGTH + INNER
    ),
    "CR CR LF": Shape(POST + b"Host: x\r\r\n" + LENGTH + INNER),
    "a folded header": Shape(LINE + b"X: a\r\n b\r\n" + LENGTH + INNER),
    "a folded coding": Shape(LINE + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS + INNER),
    "a blank before the colon": Shape(LINE + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS),
    "a tab before the colon": Shape(LINE + b"Content-Length\t: 2\r\n\r\n{}" + INNER),
    "a blank before the first header": Shape(POST + b" Host: x\r\n" + LENGTH + INNER),
    "a header without a colon": Shape(LINE + b"Foo\r\n" + LENGTH + INNER),
    "a header without a name": Shape(LINE + b": a\r\n" + LENGTH + INNER),
    "a NUL in a name": Shape(LINE + b"X\x00: a\r\n" + LENGTH + INNER),
    "a NUL in a value": Shape(LINE + b"X: a\x00b\r\n" + LENGTH + INNER),
    "a NUL in the target": Shape(b"POST /v1/chat/completions\x00 HTTP/1.1\r\n" + LENGTH),
    "no host": Shape(POST + LENGTH),
    "no host in HTTP/1.0": Shape(POST.replace(b"1.1", b"1.0") + LENGTH, (200,), (BODY,)),
    "two hosts": Shape(POST + b"Host: evil.example\r\nHost: localhost\r\n" + LENGTH),
    "two keys": Shape(LINE + b"Authorization: a\r\nAuthorization: b\r\n" + LENGTH),
    "two Idempotency-Keys": Shape(LINE + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n" + LENGTH),
    "a host that is none": Shape(POST + b"Host: [::1\r\n" + LENGTH, (403,)),
    "a host with a user": Shape(POST + b"Host: evil.example@localhost\r\n" + LENGTH, (403,)),
    "another host in the target": Shape(
        b"POST http://evil.example/v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" + LENGTH,
        (403,),
    ),
    "our host in the target": Shape(
        b"POST http://localhost:7011/v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + LENGTH,
        (200,),
        (BODY,),
    ),
    "a target that is an asterisk": Shape(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", (404,)),
    "a target that is a host": Shape(b"CONNECT localhost:7011 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "two slashes": Shape(b"POST //v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + LENGTH, (404,)),
    "an escaped line break": Shape(b"GET /v1/x%0d%0aA:b HTTP/1.1\r\nHost: x\r\n\r\n", (404,)),
    "bytes that are no text": Shape(b"GET /v1/messages/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n", (404,)),
    "a path upwards": Shape(b"GET /v1/messages/../../x HTTP/1.1\r\nHost: x\r\n\r\n", (404,)),
    "a method in small letters": Shape(b"post" + LINE[4:] + LENGTH + INNER),
    "tabs in the first line": Shape(LINE.replace(b" ", b"\t", 2) + LENGTH + INNER),
    "no version": Shape(LINE.replace(b" HTTP/1.1", b"") + LENGTH + INNER),
    "no version, and bare LF": Shape(
        LINE.replace(b" HTTP/1.1\r", b"", 1) + b"X: y\r\n" + LENGTH + INNER
    ),
    "HTTP/0.9": Shape(LINE.replace(b"1.1", b"0.9") + LENGTH + INNER),
    "HTTP/1.2": Shape(LINE.replace(b"1.1", b"1.2") + LENGTH + INNER),
    "HTTP/2": Shape(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS": Shape(bytes.fromhex("16030100c8010000c40303") + bytes(190)),
    "a retry count of 5,000 digits": Shape(
        LINE + b"X-Stainless-Retry-Count: " + b"7" * 5000 + b"\r\n" + LENGTH, (200,), (BODY,)
    ),
    "a head of 400 kB": Shape(LINE + b"X: " + b"x" * 400_000 + b"\r\n" + LENGTH, (431,)),
    "10,000 headers": Shape(LINE + b"X: y\r\n" * 100_000 + LENGTH, (431,)),
}

ALL = {
    f"{kind}: {name}": shape
    for kind, shapes in (("framing", FRAMING), ("chunks", CHUNKING), ("head", HEADS))
    for name, shape in shapes.items()
}
