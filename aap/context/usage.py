"""How much of what the agent reads comes from its provider's cache, run by run.

`context/usage.jsonl` has one JSON object a line, as the worker writes it: time (epoch
seconds), agent, session, kind (init or work), input, cached, output (tokens; `cached`
is a part of `input`), cost (US dollars or null).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aap import files

FILE = "context/usage.jsonl"
MAX_BYTES = 1024 * 1024
KEEP_LINES = 2000

BASELINE_RUNS = 20  # earlier runs of the same kind that make the baseline
LEAST_RUNS = 3  # with fewer of them there is none
FALL = 0.30

_TAIL_BYTES = 32 * 1024  # what is read before a run: far more than the baseline needs


class Run(NamedTuple):
    """What one run used."""

    time: float
    agent: str
    session: str
    kind: str
    input: int
    cached: int
    output: int
    cost: float | None

    @property
    def ratio(self) -> float | None:
        """The cached part of the input, 0 to 1; None if there was no input."""
        return min(1.0, self.cached / self.input) if self.input > 0 else None


class Stats(NamedTuple):
    """The last run against the median of comparable ones before it.

    `change` is relative: -0.5 is half of the baseline. None where there is too little
    to compare.
    """

    last: Run | None
    ratio: float | None
    baseline: float | None
    compared: int  # how many runs the baseline is made of
    change: float | None

    @property
    def fell(self) -> bool:
        """Whether the ratio fell by more than 30 %."""
        return self.change is not None and self.change < -FALL


def record(root: Path, facts: dict[str, Any]) -> None:
    """Append a run to the file of the spool at `root`, and keep the file bounded.

    One writer at a time: the worker has the spool's lock. Raises OSError.
    """
    path = root / FILE
    files.make_folder(path.parent)
    files.append_line(path, json.dumps(facts))
    if path.stat().st_size > MAX_BYTES:
        lines = files.read_plain(path).splitlines(keepends=True)
        files.write_atomic(path, b"".join(lines[-KEEP_LINES:]))


def read_runs(root: Path, most: int = MAX_BYTES) -> list[Run]:
    """Return the runs of the last `most` bytes, the oldest first; torn lines are left out."""
    try:
        fd = files.open_plain(root / FILE)
    except FileNotFoundError:
        return []
    try:
        size = os.fstat(fd).st_size
        start = max(0, size - most)
        data = os.pread(fd, size - start, start)
    finally:
        os.close(fd)
    lines = data.splitlines()[1 if start else 0 :]
    return [run for line in lines if (run := _read_run(line))]


def _read_run(line: bytes) -> Run | None:
    try:
        facts = json.loads(line)
        cost = facts.get("cost")
        return Run(
            float(facts["time"]),
            str(facts["agent"]),
            str(facts.get("session", "")),
            str(facts.get("kind", "work")),
            int(facts["input"]),
            int(facts["cached"]),
            int(facts["output"]),
            None if cost is None else float(cost),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def summarize(runs: Sequence[Run]) -> Stats:
    """Compare the last run with those before it of the same agent and kind."""
    told = [run for run in runs if run.ratio is not None]
    if not told:
        return Stats(None, None, None, 0, None)
    last = told[-1]
    alike = [run for run in told[:-1] if (run.agent, run.kind) == (last.agent, last.kind)]
    ratios = [run.ratio for run in alike[-BASELINE_RUNS:] if run.ratio is not None]
    if last.ratio is None or len(ratios) < LEAST_RUNS:
        return Stats(last, last.ratio, None, len(ratios), None)
    baseline = _median(ratios)
    change = last.ratio / baseline - 1 if baseline > 0 else None
    return Stats(last, last.ratio, baseline, len(ratios), change)


def pointer(root: Path) -> str:
    """Return a sentence for the next prompt if the ratio fell by more than 30 %, else "".

    Reads only the end of the file; never raises, a prompt goes out without it.
    """
    try:
        stats = summarize(read_runs(root, _TAIL_BYTES))
    except OSError:
        return ""
    if not stats.fell or stats.ratio is None or stats.baseline is None:
        return ""
    return (
        f"Only {stats.ratio:.0%} of the last run's input came from the provider's cache, "
        f"{stats.baseline:.0%} before. If neither a new session nor a long pause explains it, "
        "put the context cache in order: skill context-cache, aap context stats."
    )


def _median(values: Sequence[float]) -> float:
    # The module statistics takes 10 ms to import.
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
