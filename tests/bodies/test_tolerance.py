"""No bytes make these functions fail, nor take long."""

import json
import re
import subprocess
import sys
import time

import pytest
from fixtures import bodies
from hypothesis import given, settings
from hypothesis import strategies as st

from aap.bodies import KINDS, digest, internal_kind, internal_reply, is_openclaw
from aap.message import Digest

BIG = 12_000_000
FORGED_START = b'{"stream":true,"messages":[{"role":"system","content":"<!-- openclaw:attempt:'


def read_all(raw):
    got = digest(raw)
    assert isinstance(got, Digest)
    json.dumps(got.text).encode()
    got.text.encode()
    assert isinstance(is_openclaw(raw), bool)
    assert internal_kind(raw) in {None, *KINDS}
    for kind in KINDS:
        internal_reply(kind, raw).encode()
    return got


KEYS = re.findall(
    r"\w+",
    """role content type text messages input metadata conversation channel target user model
    image_url input_audio file file_data tools instructions stream prompt agent_id""",
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(st.binary(max_size=300))
def test_any_bytes(raw):
    read_all(raw)


@given(values)
def test_any_json(value):
    read_all(json.dumps(value).encode())


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(st.data())
def test_any_damage_to_a_true_body(data):
    build = data.draw(st.sampled_from([bodies.direct, bodies.group, bodies.webchat]))
    raw = bytearray(build())
    spots = [raw.find(b"inbound_meta"), raw.find(b"INTERNAL_CONTEXT"), raw.find(b"[Sun"), 0]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(spots)) + data.draw(st.integers(0, 300))
        raw[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    read_all(bytes(raw))


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(values, values)
def test_any_meta_and_any_context(inbound, facts):
    meta = {"schema": "openclaw.inbound_meta.v2", "channel": inbound, "account_id": inbound}
    system = bodies.system_prompt(meta)
    fence = f"Conversation info: ⟦openclaw:ctx⟧\n```json\n{json.dumps(facts)}\n```"
    for block in (f"{bodies.BEGIN}\n{fence}", f"{bodies.BEGIN}\n{json.dumps(fence)}"):
        turns = [("user", f"{bodies.STAMP}{fence}\n\nhi"), ("user", block)]
        assert read_all(bodies.request(system, turns)).source == "openclaw"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"\xff\xfe{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        FORGED_START + b'STABLE -->"}],"x":' + b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_says_nothing(raw):
    assert read_all(raw) == Digest()


def test_odd_numbers_and_double_keys_hide_nothing():
    huge = "9" * 5000
    raw = f'{{"n":{huge},"x":NaN,"y":-Infinity,"input":"old","input":"hi","user":{huge}}}'
    got = read_all(raw.encode())
    assert got.text == "hi"
    assert got.conversation is not None


def test_a_byte_order_mark_and_white_space_are_passed_over():
    assert read_all(b'\xef\xbb\xbf \n{"input":"hi"}').text == "hi"


USER = FORGED_START + b'STABLE -->"},{"role":"user","content":"'
BLOCK = USER + bodies.BEGIN.encode()
# Start, what is repeated up to 12 MB, and end of bodies that a careless reader would
# take minutes for.
HOSTILE = {
    "text": (USER, b"a", b'"}]}'),
    "stamps": (USER, rb"\n[Sun 2026-11-22 15:58 UTC] ", b'"}]}'),
    "quoted lines": (BLOCK, rb"\n\"\\x", b'"}]}'),
    "open quotes": (BLOCK, rb"\n\"", b'"}]}'),
    "fences": (BLOCK, r"⟦openclaw:ctx⟧\n```json\n{".encode(), b'"}]}'),
    "runtime lines": (USER, rb"\n\nRuntime: agent=a | session=x", b'"}]}'),
    "surrogates": (USER, rb"\ud83d", b'"}]}'),
    "newlines": (USER, rb"\n", b'"}]}'),
    "conversations": (USER, rb"\n\n[User]: ", b'</conversation>"}]}'),
    "metas": (FORGED_START, rb"{\"openclaw.inbound_meta.v", b'"}]}'),
    "turns": (b'{"messages":[', b'{"role":"user"},', b"0]}"),
    "blocks": (FORGED_START + b'"},', b'{"role":"user","content":"<<<BEGIN"},', b"0]}"),
    "numbers": (b'{"x":[', b"0,", b"0]}"),
    "brackets": (FORGED_START, b"[", b""),
    "braces": (USER, b"{", b""),
    "base64": (USER, b"iVBORw0KGgo=", b'"}]}'),
}


@pytest.mark.alone
@pytest.mark.parametrize("name", HOSTILE)
def test_twelve_megabytes_are_read_in_little_time(name):
    start, repeated, end = HOSTILE[name]
    raw = start + repeated * (BIG // len(repeated)) + end
    began = time.process_time()
    digest(raw)
    is_openclaw(raw)
    kind = internal_kind(raw)
    internal_reply(kind or "compaction", raw)
    assert time.process_time() - began < 3


def test_a_plain_request_is_let_through_without_a_look_inside():
    raw = bodies.plain("please look at the open class; Reply to You. Generate: " * 600)
    rounds = 300
    best = min(_spent(raw, rounds) for _ in range(5)) / rounds
    assert best < 100e-6, "parsing it alone would take longer"


def _spent(raw, rounds):
    start = time.process_time()
    for _ in range(rounds):
        is_openclaw(raw)
        internal_kind(raw)
    return time.process_time() - start


def test_the_import_brings_nothing_heavy():
    code = "import sys, aap.bodies; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"asyncio", "typer", "pydantic", "msgspec", "fastapi", "subprocess", "email"}
    assert heavy.isdisjoint(done.stdout.split())
