"""A wall clock that a test sets, for the processes that it starts with it (clock.c)."""

from __future__ import annotations

import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Clock:
    """The shim and its offset, in a folder that must exist.

    `seen_as` is the folder's name for the processes, where it is not the same.
    """

    def __init__(self, folder: Path, seen_as: Path | None = None) -> None:
        self._offset = folder / "clock"
        self.set(0)
        shim = folder / "clock.so"
        words = ["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", shim]
        subprocess.run([*words, HERE / "clock.c"], check=True)
        there = seen_as or folder
        self.environment = {
            "LD_PRELOAD": str(there / shim.name),
            "AAP_TEST_CLOCK": str(there / self._offset.name),
        }

    def set(self, seconds: int) -> None:
        """Have the clock be so far ahead of the real one, at once and for all."""
        set_clock(self._offset, seconds)


def set_clock(offset: Path, seconds: int, passed: int = 0) -> None:
    """The same, from within a process: `offset` is the file that AAP_TEST_CLOCK names.

    `passed` is how many seconds more have passed since the boot than really have.
    """
    mode = "r+b" if offset.exists() else "wb"
    with offset.open(mode) as file:  # in place: it is mapped
        for number in (seconds, passed):
            file.write(number.to_bytes(8, "little", signed=True))
