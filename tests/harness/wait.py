"""Waiting with a limit: the only way in which a test may wait for something."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout: float = 10, what: str = "") -> T:
    """Return the first true value of `predicate`; AssertionError after `timeout` seconds.

    `what` completes the sentence "waited 10 s for …" for whoever reads the failure.
    """
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            awaited = what or getattr(predicate, "__name__", "something")
            raise AssertionError(f"waited {timeout:g} s for {awaited}; it was {value!r} at the end")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
