"""Whatever call of the system fails: the answer is honest, and nothing is lost or half-done.

An even choice of what `scripts/torture faults` tries.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from torture.cutting import CutError
from torture.faults import Tally, api_cases, clerk, every, program_cases, real, try_cases
from torture.faults.commands import COMMANDS
from torture.faults.sabotage import Case, Fault
from torture.faults.short import run_out_of_files, run_out_of_memory
from torture.faults.world import Stage, stage
from torture.proof import UnableError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    """A stage for all programs but the API."""
    with stage() as made:
        yield made


@pytest.fixture(scope="module")
def cases(on: Stage) -> dict[str, list[Case]]:
    """Their cases."""
    return program_cases(on, for_ever=True)


@pytest.mark.parametrize(
    ("name", "fault"),
    [("add", Fault("fsync", 1, errno.EIO)), ("key new", Fault("create", 1, errno.ENOSPC))],
)
def test_a_fork_meets_a_fault_as_the_whole_program_does(on: Stage, name: str, fault: Fault) -> None:
    command = next(each for each in COMMANDS if each.name == name)
    codes = []
    for run in (on.run, on.execute):
        argv = clerk.set_up(on, command)
        with on.control.armed(fault):
            ended = run("aap", *argv)
        assert on.control.hits == 1
        assert fault.complaint in ended.err
        codes.append(ended.code)
    assert codes[0] == codes[1] > 0


def test_a_reply_that_was_sent_but_not_noted_is_said(on: Stage) -> None:
    command = next(each for each in COMMANDS if each.name == "reply")
    argv = clerk.set_up(on, command)
    with on.control.armed(Fault("write", 2, errno.ENOSPC)):
        ended = on.run("aap", *argv)
    assert ended.code == 0
    assert "that it was sent could not be noted" in ended.err
    again = on.run("aap", *argv)
    assert "perhaps sent" in again.err
    assert (on.world.out / "chat").read_text().split() == ["hello"]


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


# What aap once got wrong. The numbers may come to mean other calls, which is as good.
_ONCE_WRONG = frozenset((
    "aap add, 2. fsync EIO",
    "aap agent init, 1. list EACCES",
    "aap config edit, 7. fstat EIO",
    "aap config edit, from 2. on fsync EIO",
    "aap config set, 16. stat EIO",
    "aap config set, from 2. on fsync EIO",
    "aap context append, 2. fsync EIO",
    "aap context rewrite again, 2. list EACCES",
    "aap context rewrite, from 4. on fsync EIO",
    "aap done all, 2. fsync EIO",
    "aap done, 1. fsync EIO",
    "aap hold, 1. fsync EIO",
    "aap key new, 2. fsync EIO",
    "aap inbox show, to a file, 1. write ENOSPC",
    "aap key revoke, 3. open EMFILE",
    "aap key revoke, from 2. on fsync EIO",
    "aap release, 2. fsync EIO",
    "aap openclaw setup, 9. open EMFILE",
    "aap reply, 2. fsync EIO",
    "aap reply, 3. close EIO",
    "aap resume, 1. fsync EIO",
    "aap retry, 1. fsync EIO",
    "aap config unset secret, 9. stat EIO",
    "aap workspace add, from 18. on open EIO",
    "aap workspace rm, 3. list EIO",
    "aap workspace use, from 2. on fsync EIO",
    "worker badly, 1. utime EPERM",
    "worker foreign, 5. read EIO",
    "worker outage over, 3. unlink EACCES",
    "worker prune, 20. list EACCES",
    "worker well, 3. read EIO",
    "worker well, 4. read EIO",
    "worker well, 5. read EIO",
))  # fmt: skip


def test_what_was_once_wrong(cases: dict[str, list[Case]]) -> None:
    found = [case for each in cases.values() for case in each if case.name in _ONCE_WRONG]
    _, wrong = try_cases(found)
    assert wrong == []
    assert len(found) > len(_ONCE_WRONG) / 2


@pytest.mark.parametrize(
    ("program", "step", "least"), [("start", 53, 1), ("worker", 1049, 5), ("commands", 251, 5)]
)
def test_the_programs_are_honest_and_heal(
    cases: dict[str, list[Case]], program: str, step: int, least: int
) -> None:
    tally, wrong = try_cases(every(step, cases[program]))
    print(dict(tally))
    assert wrong == []
    assert tally["honest"] >= least
