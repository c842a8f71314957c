"""Samples, taken in turn so that a drifting machine hits all alike, and how they are shown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Samples = dict[str, list[float]]


class MeasureError(Exception):
    """Something could not be measured; the text says what."""


def alternate(contenders: Mapping[str, Callable[[], float]], rounds: int) -> Samples:
    """Take one sample of each in turn, A B C A B C …; the first round warms up and is dropped."""
    samples: Samples = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, measure in contenders.items():
            value = measure()
            if number:
                samples[name].append(value)
    return samples


def ratios(samples: Samples, one: str, other: str) -> list[float]:
    """Divide round by round: what slowed both down cancels out."""
    return [a / b for a, b in zip(samples[one], samples[other], strict=True)]


def spread(values: Sequence[float]) -> str:
    """Median, and in brackets the least and the most."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{_short(middle)} ({_short(low)}–{_short(high)})"


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2f}"


@dataclass
class Report:
    """Prints lines as they are measured, and in the end how many goals are met."""

    met: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n{text}", flush=True)

    def note(self, text: str) -> None:
        """Say something that a reader must know of the figures around it."""
        print(f"  ({text})", flush=True)

    def line(self, what: str, values: Sequence[float], unit: str = "ms", more: str = "") -> None:
        """Show figures that have no goal."""
        print(f"  {what:44} {spread(values):>24} {unit:6} {more}".rstrip(), flush=True)

    def goal(
        self,
        what: str,
        values: Sequence[float],
        *,
        most: float | None = None,
        least: float | None = None,
        stretch: float | None = None,
        unit: str = "×",
    ) -> None:
        """Show figures that have a goal, by their median: at `most`, or at `least` so much."""
        middle = statistics.median(values)
        bound = most if most is not None else least
        assert bound is not None
        sign = "≤" if most is not None else "≥"
        met = middle <= bound if most is not None else middle >= bound
        (self.met if met else self.missed).append(what)
        words = f"goal {sign} {bound:g}" + (f" (stretch {stretch:g})" if stretch else "")
        print(
            f"  {what:44} {spread(values):>24} {unit:6} {words}: {'met' if met else 'MISSED'}",
            flush=True,
        )

    def end(self) -> None:
        """Sum up."""
        print(f"\n{len(self.met)} goals met, {len(self.missed)} missed")
        for what in self.missed:
            print(f"  missed: {what}")
