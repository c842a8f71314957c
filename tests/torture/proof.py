"""What every part of the torture is for its runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Proof(NamedTuple):
    """A promise, and what tries to break it.

    `run` takes about so many minutes, prints its figures as lines, and returns whether the
    promise held. It raises UnableError where this machine cannot do it. `minutes` is what it
    is given where nothing is said.
    """

    promise: str
    run: Callable[[float], bool]
    minutes: float = 5.0


class UnableError(Exception):
    """This machine cannot do it; the text says why."""
