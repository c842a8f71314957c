"""The short version of `scripts/torture power`: one record of an ext4, and a few cuts."""

from __future__ import annotations

import pytest
from torture import power
from torture.cutting import check_means
from torture.proof import UnableError


@pytest.fixture(autouse=True)
def _means() -> None:
    try:
        check_means(["ext4"])
    except UnableError as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_a_power_cut_loses_nothing_that_was_acknowledged() -> None:
    figures = power.prove("ext4", 10)
    print(dict(figures))
    assert figures.faults == 0, figures.remarks
    assert figures["cuts"] == 10
    assert figures["acknowledged"] > 100 < figures["settled"] + figures["answered"]


@pytest.mark.slow
@pytest.mark.parametrize("without", ["files", "folders"])
def test_an_aap_that_does_not_sync_would_be_found_out(without: str) -> None:
    assert power.disprove("ext4", without).faults > 0
