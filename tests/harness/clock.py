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
        mode = "r+b" if self._offset.exists() else "wb"
        with self._offset.open(mode) as file:  # in place: it is mapped
            file.write(seconds.to_bytes(8, "little", signed=True))
