"""The short version of `scripts/torture power`: one record of an ext4, and a few cuts."""

from __future__ import annotations

import os
import random

import pytest
from torture import power
from torture.cutting import check_means, cuts, mounted, open_place, recorded
from torture.proof import UnableError

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _means() -> None:
    try:
        check_means(["ext4"])
    except UnableError as error:
        pytest.skip(str(error))


def test_a_cut_takes_what_was_not_synced_and_nothing_else() -> None:
    with open_place() as place:
        with recorded("ext4", place) as disk:
            synced, unsynced = disk.folder / "synced", disk.folder / "unsynced"
            with synced.open("wb") as file:
                file.write(b"kept" * 10_000)
                file.flush()
                os.fsync(file.fileno())
            unsynced.write_bytes(b"gone" * 10_000)
            moment = disk.position()
        for cut in cuts(disk, [moment] * 7, random.Random()):  # each way of keeping writes
            with mounted("ext4", cut.image, disk.folder):
                assert synced.read_bytes() == b"kept" * 10_000
                assert not unsynced.exists()


def test_a_power_cut_loses_nothing_that_was_acknowledged() -> None:
    figures = power.prove("ext4", 10, messages=80)
    print(dict(figures))
    assert figures.faults == 0, (figures, figures.remarks)
    assert figures["cuts"] == 10
    assert figures["answered"] >= 80
    assert figures["acknowledged"] > 100
    assert not figures.idle


@pytest.mark.parametrize("without", ["files", "folders"])
def test_an_aap_that_does_not_sync_would_be_found_out(without: str) -> None:
    assert power.disprove("ext4", without).faults > 0
