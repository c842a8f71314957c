"""Swaps files and folders with what lies beside them, over and over, until it is ended.

    swap.py PLACE...

exchanges each PLACE and `PLACE.other` in one step, in any order; a place of which one of the
two is missing is renamed to and fro. Who looks, and then acts on what it saw, acts on
something else. There are pauses of all lengths, as some steps are far from the look.
"""

from __future__ import annotations

import ctypes
import os
import random
import sys
import time

_AT_FDCWD, _EXCHANGE = -100, 2  # linux/fs.h
_PAUSES = (0, 0, 0.0001, 0.001, 0.01)
_libc = ctypes.CDLL(None)


def swap(one: bytes, other: bytes) -> None:
    """Exchange two names, or rename the one that is there."""
    if _libc.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _EXCHANGE) == 0:
        return
    there, missing = (one, other) if os.path.lexists(one) else (other, one)
    _libc.renameat2(_AT_FDCWD, there, _AT_FDCWD, missing, 1)  # and replaces nothing


def main(places: list[str]) -> None:
    """Swap for ever."""
    pairs = [(os.fsencode(place), os.fsencode(f"{place}.other")) for place in places]
    print("ready", flush=True)
    while True:
        swap(*random.choice(pairs))
        time.sleep(random.choice(_PAUSES))


if __name__ == "__main__":
    main(sys.argv[1:])
