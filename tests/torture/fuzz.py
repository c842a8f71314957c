"""Whatever bytes come: every reader of what others wrote reads them, or refuses as it says."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, cast

from fixtures import bodies as samples
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aap import bodies, log, message
from aap.agents import Ended, find_agent
from aap.api.app import App, Policy
from aap.api.body import peek, peek_agent, peek_request
from aap.api.intake import Intake, Stored
from aap.api.journal import Journal
from aap.api.problems import BadRequestError
from aap.api.retries import Retry
from aap.config import SETTINGS, envfile, keys, load, store
from aap.config.keys import CLIENT, Key, KeyRing
from aap.context import blocks
from aap.errors import ConfigError, NotFoundError
from aap.openclaw import json5
from torture.proof import Proof

GUIDE = Path(__file__).with_name("guided.py")
SLOWEST = 2.0  # seconds; the longest inputs take some milliseconds


class Target(NamedTuple):
    """What is fed, inputs to begin with, and pieces that mean something to it.

    `words` are the strings of the JSON that it reads, a line each; empty: it reads no JSON.
    """

    feed: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    pieces: tuple[bytes, ...]
    words: tuple[str, ...] = ()


def read_body(raw: bytes) -> None:
    """What the API takes, Python's own json reads."""
    for decoder in (peek_request, peek_agent):
        with suppress(BadRequestError):
            peek(raw, decoder)
            assert isinstance(json.loads(raw), dict)


def extract(raw: bytes) -> None:
    """Find out who wrote, what and whether a human did."""
    found = bodies.digest(raw)
    found.text.encode()
    assert found.conversation is None or isinstance(found.conversation.channel, str)
    bodies.is_openclaw(raw)
    assert bodies.internal_kind(raw) in {None, *bodies.KINDS}
    for kind in bodies.KINDS:
        bodies.internal_reply(kind, raw).encode()


def read_settings(raw: bytes) -> None:
    """Read a configuration file; what is read again as it is written is the same."""
    with suppress(ConfigError):
        parsed = envfile.parse(envfile.decode(raw, "x"), "x")
        for finding in parsed.findings:
            str(finding).encode()


def read_value(raw: bytes) -> None:
    """Read one setting, whose number comes first, from a file and from a variable."""
    key = KEYS[raw[0] % len(KEYS)] if raw else KEYS[0]
    written = raw[1:].decode("utf-8", "replace")
    with suppress(ConfigError):  # `config set` writes no control characters; an editor does
        load_value(key, written, {}, f"{key}={store.quote(written)}\n")
    with suppress(ConfigError, NotFoundError):
        load(environ=NO_HOME, draft=(DRAFT, f"{key}={written}\n"))
    given = os.fsdecode(raw[1:].replace(b"\0", b""))
    load_value(key, given, {f"AAP_{key}": given})


def load_value(key: str, value: str, environ: dict[str, str], text: str = "") -> None:
    """Load settings of which one is given; a secret is in no error."""
    try:
        found = load(environ=NO_HOME | environ, draft=(DRAFT, text))
    except (ConfigError, NotFoundError) as error:
        said = f"{error} {error.hint}"
        said.encode("utf-8", "surrogateescape")
        # One that is long enough not to be a part of what is said anyway.
        assert not (SETTINGS[key].secret and len(value) > 8 and value in said)
    else:
        assert found.origins[key].text == value or key == "WORKSPACE"  # a name is no path
        repr(found.settings).encode("utf-8", "surrogateescape")


class Nowhere:
    """Stands where an intake does, and keeps nothing."""

    name = "main"

    async def put(self, raw: bytes, retry: Retry | None) -> Stored:
        """Take a message."""
        if retry is not None:
            retry.print_of(raw)
        return Stored("1jb3k5m9q2xw7c4e8r0t")


class Silence(Journal):
    """Tells nothing, and takes no fault for an answer."""

    def event(self, *_: object, **__: object) -> None:
        """Tell nothing."""

    def fault(self, error: BaseException) -> None:
        """Let the fault be seen."""
        raise error


class Head:
    """Parses the head of a request with the parser that the API has."""

    def __init__(self, raw: bytes) -> None:
        self.fields: list[tuple[bytes, bytes]] = []
        self.is_whole = False
        with suppress(HttpParserError, HttpParserUpgrade):
            HttpRequestParser(self).feed_data(b"POST /x HTTP/1.1\r\n" + raw + b"\r\n\r\n")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field, as uvicorn does."""
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """See that the parser took it."""
        self.is_whole = True


def read_head(raw: bytes) -> None:
    """Answer requests with such a head, where keys are needed and where none are."""
    head = Head(raw)
    for app in APPS if head.is_whole else ():
        for path in ("/v1/chat/completions", "/agent-inbox"):
            assert answer(app, path, head.fields) in {200, 400, 401, 403, 404, 413, 415}


def answer(app: App, path: str, fields: list[tuple[bytes, bytes]]) -> int:
    """Return the status of what an app answers."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"prompt":"x"}'}

    async def send(event: Any) -> None:
        sent.append(event)

    head = {"type": "http", "method": "POST", "http_version": "1.1", "path": path}
    LOOP.run_until_complete(app({**head, "headers": fields}, receive, send))
    return int(sent[0]["status"])


def read_keys(raw: bytes) -> None:
    """Read a file of keys."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(raw)
        file.flush()
        with suppress(ConfigError):
            ring = keys.KeyRing.load(Path(file.name))
            assert not [name for name in ring.names if not ring.scopes(name)]


def read_name(raw: bytes) -> None:
    """Read a file name."""
    name = os.fsdecode(raw)
    known = message.parse_name(name)
    if known is not None:
        assert message.parse_name(str(known)) == known
        assert message.id_time(known.id) >= 0


def read_json5(raw: bytes) -> None:
    """Read OpenClaw's configuration."""
    with suppress(json5.Json5Error):
        json5.loads(raw.decode("utf-8", "surrogateescape"))


def read_blocks(raw: bytes) -> None:
    """Read a context cache."""
    text = raw.decode("utf-8", "replace")
    assert all(isinstance(block.text, str) for block in blocks.parse(text))
    blocks.find_faults(text)
    blocks.citations(text, 99)


def read_output(raw: bytes) -> None:
    """Read what an agent prints; every preset ends with a verdict."""
    lines = raw.decode("utf-8", "replace").splitlines()
    for name in ("codex", "claude", "gemini", "opencode", "pi", "goose"):
        reader = find_agent(name, "", "").reader()
        for line in lines:
            shown = reader.line(line)
            assert shown is None or isinstance(shown, str)
        for ended in (Ended(0), Ended(1), Ended(-9, timed_out=True)):
            report = reader.end(ended)
            assert isinstance(report.session, str)
            json.dumps(report.usage)


def read_log(raw: bytes) -> None:
    """Read lines of a log."""
    for line in raw.decode("utf-8", "replace").splitlines():
        log.parse_line(line)


KEYS = tuple(SETTINGS)
DRAFT = Path("/nonexistent/aap.conf")
NO_HOME = {"HOME": "/nonexistent", "AAP_CONFIG": str(DRAFT)}
LOOP = asyncio.new_event_loop()
APPS = [
    App({"main": cast("Intake", Nowhere())}, KeyRing(ring), Policy(a2a_key="agents"), Silence())
    for ring in ({}, {"phone": Key(sha256(b"right").digest(), CLIENT)})
]
HEADS = tuple(
    b"Host: x\r\n" + field
    for field in (
        b"Origin: http://[::1]:7011",
        b"Content-Length: 14",
        b"Authorization: Bearer right",
        b"Authorization: bearer agents\r\nTransfer-Encoding: chunked",
        b"Content-Type: application/json; charset=utf-8",
        b"Content-Encoding: identity",
        b"Idempotency-Key: abc",
        b"X-Stainless-Retry-Count: 1",
    )
)
FIELDS = (
    b"\r\n", b":", b": ", b",", b"//", b"[", b"]", b"@", b"localhost", b"127.0.0.1", b"::1", b"0",
    b"9" * 20, b"9" * 5000, "²٣".encode(), b"\xb2", b"\xff", b"\x00", b"\t", b"Bearer ", b"null",
    b"\r\nHost: ", b"\r\nOrigin: ", b"\r\nAuthorization: ", b"\r\nContent-Length: ", b"x" * 300,
    b"\r\nContent-Type: ", b"\r\nContent-Encoding: ", b"\r\nTransfer-Encoding: ",
    b"\r\nIdempotency-Key: ", b"\r\nX-Stainless-Retry-Count: ",
)  # fmt: skip
VALUES = (
    b"0", b"-1", b"1.5", b"1e400", b"inf", b"nan", b"9" * 5000, b"K", b"M", b"s", b"m", b"h", b"d",
    b"0x10", b"1_0", "²٣".encode(), b"%", b"~", b"~nobody/x", b"/", b"..", b"\x00", b"\n", b"\r",
    b"\xff", b"'", b'"', b"\\", b"$", b" ", b"#", b",", b":", b"::1", b"0.0.0.0", b"localhost",
    b"true", b"off", b"x" * 5000, b"codex exec -", b"{}", b"unix:", b"[",
)  # fmt: skip
WORDS = (
    b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b":", b",", b"\n", b"\r\n", b" ", b"\t", b"\x00",
    b"=", b"#", b"//", b"/*", b"*/", b"null", b"true", b"-", b"+", b"0", b"9" * 20, b"1e999",
    b"NaN", b"\xff", b"\xed\xa0\x80", "ü☕\u2028".encode(), b"\\ud800", b"\\u0041", b"[]", b"{}",
    b'""', b"9" * 400, b"[" * 300, b'{"a":' * 300,
)  # fmt: skip
ID = b"1jb3k5m9q2xw7c4e8r0t"
CONFIG = b'HOST=0.0.0.0\nPORT=7011\n# x\\\nREPLY="a\\"b"\nAGENT_CLI=codex \\\n exec\n'
CACHE = b"BLOCK_ID: 001\nTopic: x\nwords\n\n=======\nBLOCK_ID: 002\nUpdate to [001]: y\n"
JSON5 = b"// c\n{a: 1, 'b c': [0x1F, .5, +1,], \"d\": {e: null,}, /* x */ f: 'it\\'s'}\n"
OUTPUT = (
    b'{"type":"thread.started","thread_id":"0199"}\n{"type":"turn.completed","usage":'
    b'{"input_tokens":1,"cached_input_tokens":1,"output_tokens":1}}\n',
    b'{"type":"item.completed","item":{"type":"command_execution","command":"ls","exit_code":0}}\n'
    b'{"type":"turn.failed","error":{"message":"429"}}\n',
    b'{"type":"system","session_id":"a"}\n{"type":"assistant","message":{"content":[{"type":"text",'
    b'"text":"x"},{"type":"tool_use","name":"b","input":{"command":"ls"}}]}}\n'
    b'{"type":"result","is_error":false,"total_cost_usd":0.5,"errors":["x"],"usage":'
    b'{"input_tokens":3,"cache_read_input_tokens":9,"output_tokens":5}}\n',
    b'{\n"session_id":"a",\n"response":"x",\n"error":{"message":"y"}\n}\n',
    b'{"type":"step_finish","sessionID":"a","part":{"tokens":{"input":1,"output":2,'
    b'"cache":{"read":1}}}}\n{"type":"error","error":{"data":{"message":"x"}}}\n',
    b'{"type":"session","id":"a"}\n{"type":"message_end","message":{"role":"assistant","stopReason":'
    b'"stop","errorMessage":"x","usage":{"input":1,"cacheRead":2},"content":[{"type":"text"}]}}\n',
    b"Error: ran into this error: 401\n",
)
TARGETS = {
    "body": Target(read_body, (samples.direct(), b'{"model":"aap","stream":true}'), WORDS),
    "conversation": Target(
        extract,
        (samples.direct(), samples.group(), samples.webchat(), samples.heartbeat()),
        WORDS,
        ("role", "content", "type", "text", "user", "system", "input_text", "metadata"),
    ),
    "config": Target(read_settings, (CONFIG,), (*WORDS, b"PORT=", b"export ", b"WORKDIR=")),
    "value": Target(
        read_value,
        tuple(bytes([at]) + row.default.encode() for at, row in enumerate(SETTINGS.values())),
        VALUES,
    ),
    "head": Target(read_head, HEADS, FIELDS),
    "keys": Target(read_keys, (b"phone sha256:" + b"0" * 64 + b" admin\n",), (*WORDS, b" enqueue")),
    "name": Target(
        read_name,
        (ID + b".json", ID + b"+2.json", ID + b".photo.d", b".x"),
        (*WORDS, b".", b"+1", b".json", "٣²".encode(), ID),
    ),
    "json5": Target(read_json5, (JSON5,), (*WORDS, b"0x", b"Infinity", b"$a", b"\\x4")),
    "blocks": Target(read_blocks, (CACHE,), (*WORDS, b"\n=======\n", b"BLOCK_ID: ", b"[999]")),
    "output": Target(read_output, OUTPUT, WORDS, ("type", "error", "message", "result", "text")),
    "log": Target(read_log, (b'2026-01-01T00:00:00.000Z info api enqueued id=x a="b c"\n',), WORDS),
}


def check(target: Target, raw: bytes) -> None:
    """Feed one input, and look at the time."""
    start = time.process_time()
    target.feed(raw)
    took = time.process_time() - start
    assert took < SLOWEST, f"it took {took:.1f} s"


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Seeds with changes, pieces in any order, and any bytes."""
    piece = st.sampled_from(target.pieces) | st.binary(max_size=6)
    changes = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), piece), max_size=6)
    return st.one_of(
        st.builds(_change, st.sampled_from(target.seeds), changes),
        st.lists(piece, max_size=40).map(b"".join),
        st.binary(max_size=300),
        *([_odd_lines(target)] if target.words else []),
    )


def _odd_lines(target: Target) -> st.SearchStrategy[bytes]:
    """The lines of a seed, with values anywhere in them that nobody would expect there."""
    scalars = st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats()
    word = st.sampled_from(target.words)
    odd = st.recursive(
        scalars | word | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(word, inner, max_size=3),
        max_leaves=6,
    )
    seed = st.sampled_from(target.seeds).map(lambda raw: raw.decode().splitlines())
    return st.builds(_put_odd, seed, st.lists(st.tuples(st.integers(0, 25), odd), max_size=4))


def _put_odd(lines: list[str], changes: list[tuple[int, Any]]) -> bytes:
    return "\n".join(_odd_line(line, changes) for line in lines).encode("utf-8", "surrogatepass")


def _odd_line(line: str, changes: list[tuple[int, Any]]) -> str:
    try:
        value = json.loads(line)
    except ValueError:
        return line
    for place, odd in changes:
        value = _replace(value, [place], odd)
    return json.dumps(value)


def _replace(value: Any, place: list[int], odd: Any) -> Any:
    """Return `value` with its node number `place[0]` replaced."""
    place[0] -= 1
    if place[0] == -1:
        return odd
    if isinstance(value, dict):
        return {key: _replace(each, place, odd) for key, each in value.items()}
    if isinstance(value, list):
        return [_replace(each, place, odd) for each in value]
    return value


def _change(raw: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for share, length, piece in changes:
        at = int(share * len(raw))
        raw = raw[:at] + piece + raw[at + length :]
    return raw


def guess(name: str, examples: int, *, shrink: bool = True) -> None:
    """Feed so many inputs to a target; raises with the smallest that is answered wrongly."""
    target = TARGETS[name]
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)

    @settings(
        max_examples=examples, deadline=None, phases=phases, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(inputs(target))
    def feed(raw: bytes) -> None:
        check(target, raw)

    feed()


# The long version


def _guided(name: str, seconds: float) -> str:
    """Run atheris on a target in a process of its own; return what it printed when it failed."""
    command = [sys.executable, "-B", str(GUIDE), name, str(max(1, int(seconds)))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(("tests", "."))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    print(f"   {name}: {_count(done.stderr)} inputs, guided", flush=True)
    return "" if done.returncode == 0 else (done.stdout + done.stderr)[-1500:]


def _count(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith("Done ")]
    return lines[-1].split()[1] if lines else "an unknown number of"


def _unguided(name: str, seconds: float) -> str:
    end, count = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < end:
            guess(name, 500)
            count += 500
    except Exception as error:  # told as a fault of this target; the others go on
        return repr(error)
    print(f"   {name}: {count} inputs, by hypothesis", flush=True)
    return ""


def run(minutes: float) -> bool:
    """All targets, for the same time each."""
    is_guided = importlib.util.find_spec("atheris") is not None
    if not is_guided:
        print("   there is no atheris for this Python: hypothesis guesses without a guide")
    each = minutes * 60 / len(TARGETS)
    way = _guided if is_guided else _unguided
    faults = {name: fault for name in TARGETS if (fault := way(name, each))}
    for name, fault in faults.items():
        print(f"   {name}: {fault}")
    return not faults


PROOF = Proof("whatever bytes come, no reader of them crashes or hangs", run)
