"""The request reader, over inputs that nobody thought of."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aap.api.body import (
    MAX_DIGITS,
    SMALL,
    Body,
    Budget,
    ClientGoneError,
    has_long_number,
    peek,
    peek_request,
)
from aap.api.problems import BadRequestError, BodyTooLargeError, UnavailableError

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip
objects = st.dictionaries(st.text().filter(lambda key: key not in FIELDS), values)
KIB = 1 << 10
FIELDS = {"model", "stream", "stream_options"}


def accepts(raw: bytes) -> bool:
    try:
        peek(raw, peek_request)
    except BadRequestError:
        return False
    return True


@pytest.mark.slow
@given(objects, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_every_json_object_is_accepted(value: Any, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert accepts(text.encode("utf-8", "surrogatepass"))


@given(st.binary())
def test_what_is_accepted_is_read_by_pythons_json_as_an_object(raw: bytes) -> None:
    if accepts(raw):
        assert isinstance(json.loads(raw), dict)


@given(objects, st.data())
def test_damaged_json_is_refused_or_still_json(value: Any, data: st.DataObject) -> None:
    raw = bytearray(json.dumps(value).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        if not raw:
            break
    if accepts(bytes(raw)):
        assert isinstance(json.loads(bytes(raw)), dict)


@given(st.text(alphabet='\ud800\udc00\udfffaé\\"u', max_size=20))
def test_surrogate_escapes_are_valid_json_wherever_they_stand(text: str) -> None:
    assert accepts(json.dumps({text: [text], "user": text}).encode())


@given(
    st.integers(0, 3 * MAX_DIGITS),
    st.integers(MAX_DIGITS - 3, MAX_DIGITS + 3),
    st.sampled_from([b"", b"-"]),
)
@settings(max_examples=300)
def test_a_number_is_too_long_exactly_above_the_limit(pad: int, digits: int, sign: bytes) -> None:
    raw = b'{"a":"' + b"x" * pad + b'","b":' + sign + b"7" * digits + b"}"
    assert has_long_number(raw) == (digits > MAX_DIGITS)
    assert not has_long_number(raw.replace(b'"b":', b'"b":"').replace(b"}", b'"}'))


def receiver(chunks: list[bytes], gone: bool = False) -> Any:
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b""})
    supply = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(supply)

    return receive


def read(chunks: list[bytes], limit: int, budget: Budget, gone: bool = False) -> bytes:
    async def run() -> bytes:
        with budget.share() as share:
            return await Body(receiver(chunks, gone)).read(limit, share)

    return asyncio.run(run())


@given(st.lists(st.binary(max_size=20), max_size=10), st.integers(0, 100))
@settings(deadline=None)
def test_a_body_is_whole_or_refused_and_its_memory_given_back(
    chunks: list[bytes], limit: int
) -> None:
    budget = Budget(1000)
    whole = b"".join(chunks)
    if len(whole) <= limit:
        assert read(chunks, limit, budget) == whole
    else:
        with pytest.raises(BodyTooLargeError):
            read(chunks, limit, budget)
    assert budget.used == 0


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=10))
@settings(deadline=None)
def test_a_client_that_goes_away_leaves_nothing(chunks: list[bytes]) -> None:
    budget = Budget(1000)
    with pytest.raises(ClientGoneError):
        read(chunks, 1000, budget, gone=True)
    assert budget.used == 0


def test_more_than_the_memory_for_all_is_refused() -> None:
    budget = Budget(100)
    with pytest.raises(UnavailableError):
        read([b"x" * 60, b"x" * 60], 1000, budget)
    assert budget.used == 0


@given(
    st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=8), min_size=1, max_size=8),
    st.integers(0, 400),
)
@settings(deadline=None)
def test_bodies_together_never_hold_more_than_the_memory_for_all(
    clients: list[list[int]], reserve: int
) -> None:
    budget = Budget((SMALL << 1) + reserve * KIB, reserve * KIB)

    def supply(pieces: list[int]) -> Any:
        receive = receiver([b" " * size * KIB for size in pieces])

        async def slowly() -> Any:
            await asyncio.sleep(0)
            assert 0 <= budget.used <= budget.limit
            return await receive()

        return slowly

    async def send(pieces: list[int]) -> bool:
        with suppress(UnavailableError), budget.share() as share:
            return len(await Body(supply(pieces)).read(SMALL << 4, share)) == sum(pieces) * KIB
        return False

    async def run() -> list[bool]:
        return await asyncio.gather(*map(send, clients))

    taken = asyncio.run(run())
    assert budget.used == 0
    assert taken[-1] or len(clients) > 1 or sum(clients[0]) * KIB > SMALL
