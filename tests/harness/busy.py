"""A spool in which others act while one looks: folders are never read at one moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aap.inbox import Spool
from aap.message import State


class Busy(Spool):
    """Has others act after folders were listed.

    `meanwhile` is called with the number of folders that were, counted from its setting on;
    what it does, it does with a spool of its own.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._meanwhile: Callable[[int], object] | None = None
        self._listed = 0

    def interrupt(self, meanwhile: Callable[[int], object] | None) -> None:
        """Have this be done from now on; nothing more with None."""
        self._meanwhile, self._listed = meanwhile, 0

    def names(self, state: State) -> list[str]:
        """List a folder, and let others act."""
        found = super().names(state)
        self._listed += 1
        if self._meanwhile:
            self._meanwhile(self._listed)
        return found

    def once(self, number: int, act: Callable[[], object]) -> None:
        """Have something be done after so many folders."""
        self.interrupt(lambda listed: act() if listed == number else None)
