"""Whatever call of the system fails: the answer is honest, and nothing is lost or half-done.

An even choice of what `scripts/torture faults` tries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from torture.cutting import CutError
from torture.faults import Tally, api_cases, every, program_cases, real, try_cases
from torture.faults.sabotage import Case
from torture.faults.short import run_out_of_files, run_out_of_memory
from torture.faults.world import stage
from torture.proof import UnableError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cases() -> Iterator[dict[str, list[Case]]]:
    """The cases of all programs but the API."""
    with stage() as on:
        yield program_cases(on, for_ever=False)


def test_the_api_is_honest_and_loses_nothing() -> None:
    with api_cases(for_ever=False) as found:
        tally, wrong = try_cases(every(7, found))
    print(dict(tally))
    assert wrong == []
    assert tally["refused"] == tally["honest"] > 20


def test_a_full_disk_in_the_middle_of_the_work() -> None:
    try:
        tally, wrong = real.meet(real.TROUBLES[0], refusals=25)
    except (UnableError, CutError) as error:
        pytest.skip(str(error))
    print(dict(tally))
    assert wrong == []
    assert tally["refused"] == tally["honest"] >= 25


@pytest.mark.parametrize("run_out", [run_out_of_files, run_out_of_memory])
def test_an_api_that_is_short_of_something(run_out: Callable[[Tally], Iterator[str]]) -> None:
    tally = Tally()
    assert list(run_out(tally)) == []
    print(dict(tally))
    assert tally["refused"] > 0


@pytest.mark.parametrize(("program", "step"), [("worker", 521), ("commands", 97)])
def test_the_programs_are_honest_and_heal(
    cases: dict[str, list[Case]], program: str, step: int
) -> None:
    tally, wrong = try_cases(every(step, cases[program]))
    print(dict(tally))
    assert wrong == []
    assert tally["honest"] >= 5
