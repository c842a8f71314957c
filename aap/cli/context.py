"""`aap context`: what the agent keeps between runs, and how well its input is cached."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aap.cli import output
from aap.cli.place import Place
from aap.errors import Exit, UsageError

if TYPE_CHECKING:
    from aap.context import Run, Stats
    from aap.context.cache import Cache

_HEIGHT = 8
_AXIS = 7  # columns left of the plot
_WIDTH = 80  # where there is no terminal


def append(place: Place, text: str | None = None, *, cites: str | None = None) -> int:
    """Append a block from the command line or stdin; print its id."""
    from aap.context.cache import read_number

    numbers = [read_number(word) for word in (cites or "").split(",") if word.strip()]
    block = _cache(place).append(_text(text), numbers)
    output.write(block.id)
    return Exit.OK


def show(place: Place, ids: Sequence[str] = (), *, as_json: bool = False) -> int:
    """Print the cache as it is, or the blocks of these ids."""
    from aap.context.cache import read_number

    cache = _cache(place)
    if not ids and not as_json:
        text = cache.read()
        if not text:
            output.note("the context cache is empty: aap context append TEXT")
        _write_whole(text)
        return Exit.OK
    for block in cache.blocks([read_number(word) for word in ids]):
        if as_json:
            output.write_json(
                "aap.context.block/1", id=block.id or None, line=block.line, text=block.text
            )
        else:
            output.write(output.harmless(f"BLOCK_ID: {block.id}\n{block.text}\n", layout=True))
    return Exit.OK


def _write_whole(text: str) -> None:
    """Print the cache; into a file or a pipe as it is, since it may come back by `rewrite`."""
    if sys.stdout.isatty():
        sys.stdout.write(output.harmless(text, layout=True))
    else:
        output.write_bytes(text.encode())


def check(place: Place, *, as_json: bool = False) -> int:
    """Say what is wrong with the cache, line by line; 7 if anything is."""
    cache = _cache(place)
    findings = cache.check()
    for finding in findings:
        if as_json:
            output.write_json("aap.context.finding/1", **finding._asdict())
        else:
            output.write(f"{cache.path}:{finding.line}: {finding.kind}: {finding.message}")
    if not findings and not as_json:
        output.note("nothing is wrong with the context cache")
    return Exit.FINDINGS if findings else Exit.OK


def rewrite(place: Place, source: str) -> int:
    """Replace the cache by a file (- for stdin); keep the old one beside it."""
    from aap.context import blocks

    raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{source}: no UTF-8 text at byte {error.start}") from None
    kept, left_out = _cache(place).rewrite(text)
    if kept:
        output.write(str(kept))
    if left_out:
        names = ", ".join(map(blocks.name, left_out[:20])) + (", ..." if left_out[20:] else "")
        output.note(f"left out: {names}")
    return Exit.OK


def stats(place: Place, *, limit: int = 0, as_json: bool = False) -> int:
    """Show how much of each run's input came from the provider's cache."""
    from aap import context

    root = place.spool.root
    runs = context.read_runs(root)[-max(0, limit) :]
    stats = context.summarize(runs)
    if as_json:
        _write_stats(runs, stats, context.pointer(root))
        return Exit.OK
    ratios = [run.ratio for run in runs if run.ratio is not None]
    if not ratios:
        output.note("no run has told its tokens yet")
        return Exit.OK
    for line in plot(ratios, stats.baseline, output.columns() or _WIDTH):
        output.write(line)
    output.write("")
    output.fields(_facts(runs, stats))
    if stats.fell:
        output.warn(
            "the cached part of the input fell by more than 30 %", "aap skills show context-cache"
        )
    return Exit.OK


def plot(ratios: Sequence[float], baseline: float | None, width: int) -> list[str]:
    """Draw ratios from 0 to 1 as columns of plain characters, the newest at the right.

    What does not fit into `width` columns is left out at the left. The baseline is a
    line of dashes where no column covers it.
    """
    shown = ratios[-max(1, width - _AXIS - 1) :]
    marked = None if baseline is None else min(_HEIGHT - 1, int(baseline * _HEIGHT))
    lines = []
    for row in reversed(range(_HEIGHT)):
        label = f"{(row + 1) / _HEIGHT:4.0%}" if row % 2 else ""
        empty = "-" if row == marked else " "
        cells = (_cell(ratio * _HEIGHT - row, empty) for ratio in shown)
        lines.append(f"{label:>{_AXIS - 2}} |{''.join(cells)}".rstrip())
    lines.append(f"{'0%':>{_AXIS - 2}} +{'-' * len(shown)}")
    return [line[:width] for line in lines]


def _cell(above: float, empty: str) -> str:
    """One character of a column that reaches `above` rows over the row's lower edge."""
    if above >= 0.75:
        return "#"
    return "." if above >= 0.25 else empty


def _facts(runs: Sequence[Run], stats: Stats) -> list[tuple[str, str]]:
    last = stats.last
    if last is None or stats.ratio is None:
        return []
    costs = [run.cost for run in runs if run.cost is not None]
    compared = f"{stats.baseline:.0%}, median of {stats.compared}" if stats.baseline else ""
    return [
        ("last run", f"{stats.ratio:.0%} of {last.input} tokens from the cache"),
        ("agent", f"{last.agent} ({last.kind})"),
        ("before", compared or f"too few runs of this kind to compare ({stats.compared})"),
        ("change", "" if stats.change is None else f"{stats.change:+.0%}"),
        ("runs", str(len(runs))),
        ("tokens", f"{sum(r.input for r in runs)} in, {sum(r.output for r in runs)} out"),
        ("cost", f"{sum(costs):.2f} USD in {len(costs)} runs" if costs else ""),
    ]


def _write_stats(runs: Sequence[Run], stats: Stats, pointer: str) -> None:
    output.write_json(
        "aap.context.stats/1",
        runs=[{**run._asdict(), "ratio": run.ratio, "time": output.iso(run.time)} for run in runs],
        ratio=stats.ratio,
        baseline=stats.baseline,
        compared=stats.compared,
        change=stats.change,
        fell=stats.fell,
        pointer=pointer or None,
    )


def _cache(place: Place) -> Cache:
    from aap.context.cache import Cache

    return Cache(place.spool.root)


def _text(text: str | None) -> str:
    if text is None and sys.stdin.isatty():
        raise UsageError("give a text, or - for stdin", hint="aap context append --help")
    # Whatever the locale made of the argument's bytes: the file is UTF-8.
    raw = sys.stdin.buffer.read() if text in {None, "-"} else os.fsencode(text or "")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the text is no UTF-8 at byte {error.start}") from None
