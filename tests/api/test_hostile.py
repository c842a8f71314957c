"""Clients that mean harm, for some seconds; `scripts/torture hostile` goes on for longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from torture import hostile
from torture.shapes import ALL

from tests.api.conftest import Api


@pytest.fixture(scope="module")
def target() -> Iterator[Api]:
    """One API for all of them; it must survive each."""
    with hostile.api_under_attack() as api:
        yield api
        assert " fault " not in api.log


@pytest.mark.parametrize("shape", ALL.values(), ids=ALL)
def test_a_request_on_the_wire_is_one_message_at_most(target: Api, shape: hostile.Shape) -> None:
    assert hostile.fault_of(target, shape) == ""


@pytest.mark.slow
def test_what_is_stored_is_what_another_parser_reads(target: Api) -> None:
    count, faults = hostile.try_damage(target, seconds=3, seed=5)
    assert count > 100
    assert faults == []


@pytest.mark.slow
@pytest.mark.alone
def test_others_are_served_at_once_while_one_holds_all_connections() -> None:
    with hostile.api_under_attack() as api:
        for _ in range(3):  # whatever else the machine does only ever adds
            others, seen = hostile.besiege(api, count=3000, rate=1000, seconds=4)
            hostile.tell_siege(others, seen)
            faults = hostile.faults_of_siege(others, seen, count=3000)
            if not faults:
                break
        assert faults == []
        assert " fault " not in api.log
