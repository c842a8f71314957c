"""All interleavings of what may happen to a spool: see `torture.machine`, here a short look."""

import shutil

import pytest
from torture.machine import run


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc makes the clock that is set")
def test_whoever_does_what_each_message_is_in_one_place_in_order() -> None:
    done = run(examples=60, steps=50, minutes=0)
    assert done.returncode == 0, done.stdout
    assert "examples" in done.stdout
