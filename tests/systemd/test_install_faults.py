"""An installation that meets a fault is taken back; a removal that does goes on later.

A few of what `scripts/torture installs` tries, and what was once wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.machine import Machine
from torture import installs
from torture.faults import every, try_cases
from torture.faults.sabotage import Case

pytestmark = [pytest.mark.systemd, pytest.mark.slow]

# The numbers may come to mean other calls, which is as good.
_ONCE_WRONG = frozenset((
    "aap install, 18. fsync EDQUOT",
    "aap install, 61. open ENOMEM",
    "aap install, 235. stat EACCES",
    "aap install anew, 220. stat EIO",
    "aap uninstall, 5. open ENOMEM",
    "aap uninstall, 21. open EMFILE",
    "aap uninstall, 42. unlink ENOSPC",
))  # fmt: skip


@pytest.fixture(scope="module")
def cases(machine: Machine) -> Iterator[dict[str, list[Case]]]:
    """All that there are."""
    site = installs.Site(machine, "unlucky")
    yield installs.cases(site)
    site.close()


@pytest.mark.parametrize("step", [each.name for each in installs.STEPS])
def test_a_fault_is_told_and_nothing_half_done_stays(
    cases: dict[str, list[Case]], step: str
) -> None:
    tally, wrong = try_cases(every(251, cases[step]))
    print(dict(tally))
    assert wrong == []
    assert tally["honest"] > 1


def test_what_was_once_wrong(cases: dict[str, list[Case]]) -> None:
    found = [case for each in cases.values() for case in each if case.name in _ONCE_WRONG]
    _, wrong = try_cases(found)
    assert wrong == []
    assert len(found) > len(_ONCE_WRONG) / 2
