"""`aap inbox stats`: how many came, how long they waited, what failed, drawn over time.

Nothing is counted while it happens. The names of messages tell when they came, the
daily logs what was done with them and when; of a message that is not in the logs, the
ctime of its file in done/ or failed/ tells when it got there: rename(2) sets it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from math import ceil
from typing import Any, NamedTuple

from aap.cli import output, when
from aap.cli.logs import DailyFiles
from aap.cli.place import Place
from aap.errors import Exit
from aap.inbox import Spool
from aap.log import Line
from aap.message import ID_CHARS, State, first_id, id_time, parse_name

DAY = 86400.0
_WIDTHS = (60.0, 300.0, 900.0, 3600.0, 3 * 3600.0, 6 * 3600.0, DAY, 7 * DAY, 28 * DAY)
_MOST_ROWS = 30
_BAR = 40


class Counted(NamedTuple):
    """When what happened, in epoch seconds; each message counts once in each."""

    arrived: dict[str, float]
    claimed: dict[str, float]  # for the first time
    handled: dict[str, float]
    failed: dict[str, float]  # given up
    attempts: list[float]  # that failed and were not the last
    runs: list[tuple[float, float, bool]]  # end, seconds, went well


def stats(place: Place, *, since: str | None = None, as_json: bool = False) -> int:
    """Show throughput, waiting time and failures since a time, a day ago unless told."""
    start = when.parse(since) if since else time.time() - DAY
    now = time.time()
    counted = count(place.spool, start)
    width = _width(now - start)
    edges = _edges(start, now, width)
    waiting = [place.spool.count(state) for state in (State.INBOX, State.ACTIVE, State.DEFERRED)]
    if as_json:
        facts = _facts(counted, start)
        rows = [_row(counted, a, b) for a, b in pairwise(edges)]
        output.write_json(
            "aap.inbox.stats/1",
            since=output.iso(start),
            until=output.iso(now),
            waiting=sum(waiting),
            **facts,
            periods=[{**row, "from": output.iso(row["from"])} for row in rows],
        )
        return Exit.OK
    _print(counted, start, now, sum(waiting))
    if counted.arrived or counted.handled:
        output.write("")
        _draw(counted, edges, width)
    return Exit.OK


# Counting


def count(spool: Spool, start: float) -> Counted:
    """Count what happened from `start` on."""
    counted = Counted({}, {}, {}, {}, [], [])
    first = first_id(start)
    for _, names in spool.everywhere():
        for name in names:
            known = parse_name(name) if name >= first else None
            if known and known.is_message:
                counted.arrived[known.id] = id_time(known.id)
    # A message that came long before may have been claimed now: all lines count.
    for line in DailyFiles(spool.logs, output.iso(start)).read(only=(b" worker ", b" cli ")):
        if line.source in {"worker", "cli"}:  # what an agent printed may look like it
            with suppress(ValueError):  # a line of another hand
                _count_line(counted, line, start)
    _count_ended(spool, State.DONE, counted.handled, start)
    _count_ended(spool, State.FAILED, counted.failed, start)
    return counted


def _count_line(counted: Counted, line: Line, start: float) -> None:
    moment = output.from_iso(line.time)
    message_id = line.fields.get("id", "")
    if len(message_id) == ID_CHARS and id_time(message_id) >= start:
        counted.arrived.setdefault(message_id, id_time(message_id))
    if line.event == "claimed" and line.fields.get("attempt", "1") == "1":
        counted.claimed.setdefault(message_id, moment)
    elif line.event == "settled":
        counted.handled[message_id] = moment
    elif line.event == "failed":
        counted.failed[message_id] = moment
    elif line.event == "deferred":
        counted.attempts.append(moment)
    elif line.event == "run-ended":
        seconds = float(line.fields.get("seconds", "0"))
        counted.runs.append((moment, seconds, line.fields.get("outcome") == "ok"))


def _count_ended(spool: Spool, state: State, known: dict[str, float], start: float) -> None:
    folder = spool.folder(state)
    for name in spool.names(state):
        found = parse_name(name)
        if found and found.is_message and found.id not in known:
            with suppress(OSError):
                moment = (folder / name).lstat().st_ctime
                if moment >= start:
                    known[found.id] = moment


# Reckoning


def _width(span: float) -> float:
    fitting = (width for width in _WIDTHS if span / width <= _MOST_ROWS)
    return next(fitting, span / _MOST_ROWS)


def _edges(start: float, now: float, width: float) -> list[float]:
    """Begin at a round moment of the local day."""
    zone = time.localtime(start).tm_gmtoff
    first = (start + zone) // width * width - zone
    return [first + i * width for i in range(ceil((now - first) / width) + 1)]


def _row(counted: Counted, low: float, high: float) -> dict[str, Any]:
    def within(moments: Sequence[float]) -> int:
        return sum(low <= moment < high for moment in moments)

    waits = _waits({i: m for i, m in counted.claimed.items() if low <= m < high})
    return {
        "from": low,
        "arrived": within(list(counted.arrived.values())),
        "handled": within(list(counted.handled.values())),
        "failed": within(list(counted.failed.values())),
        "attempts_failed": within(counted.attempts),
        "wait_seconds": _middle(waits),
    }


def _waits(moments: dict[str, float]) -> list[float]:
    known = ((i, moment) for i, moment in moments.items() if len(i) == ID_CHARS)
    return sorted(max(0.0, moment - id_time(i)) for i, moment in known)


def _middle(values: Sequence[float]) -> float | None:
    return _share(values, 0.5)


def _share(values: Sequence[float], part: float) -> float | None:
    """Return the value that `part` of the sorted values do not exceed."""
    return round(values[max(0, ceil(part * len(values)) - 1)], 3) if values else None


def _spread(values: Sequence[float]) -> dict[str, float | None]:
    return {"median": _middle(values), "p95": _share(values, 0.95), "most": _share(values, 1)}


def _facts(counted: Counted, start: float) -> dict[str, Any]:
    runs = [run for run in counted.runs if run[0] >= start]
    return {
        "arrived": len(counted.arrived),
        "handled": len(counted.handled),
        "failed": len(counted.failed),
        "attempts_failed": len(counted.attempts),
        "wait_seconds": _spread(_waits(counted.claimed)),
        "answer_seconds": _spread(_waits(counted.handled)),
        "runs": {
            "count": len(runs),
            "failed": sum(not well for _, _, well in runs),
            "seconds": _spread(sorted(seconds for _, seconds, _ in runs)),
        },
    }


# Shown to people


def _print(counted: Counted, start: float, now: float, waiting: int) -> None:
    facts = _facts(counted, start)
    runs = facts["runs"]
    answered, took = _said(facts["answer_seconds"]), _said(runs["seconds"])
    bad_runs = f", {runs['failed']} failed" if runs["failed"] else ""
    failed = [f"{facts['failed']} given up"] if facts["failed"] else []
    if tries := facts["attempts_failed"]:
        failed += [f"{output.counted(tries, 'attempt')} failed"]
    output.fields(
        [
            ("since", f"{_clock(start)}, {output.age(now - start)}"),
            ("arrived", str(facts["arrived"])),
            ("handled", "; ".join(filter(None, (str(facts["handled"]), answered)))),
            ("waited", _said(facts["wait_seconds"])),
            ("waiting", str(waiting)),
            ("failed", ", ".join(failed) or "none"),
            ("runs", "; ".join(filter(None, (f"{runs['count']}{bad_runs}", took)))),
        ]
    )


def _said(spread: dict[str, float | None]) -> str:
    if spread["median"] is None or spread["p95"] is None:
        return ""
    if spread["median"] == spread["most"]:
        return f"in {_span(spread['median'])}"
    return f"half in {_span(spread['median'])}, 95 % in {_span(spread['p95'])}"


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else output.age(seconds)


def _clock(moment: float, width: float = 0.0) -> str:
    return time.strftime("%b %d" if width >= DAY else "%b %d %H:%M", time.localtime(moment))


def _draw(counted: Counted, edges: Sequence[float], width: float) -> None:
    """Draw a row for each period: a mark for each message that came, scaled down if need be."""
    rows = [_row(counted, low, high) for low, high in pairwise(edges)]
    while rows[1:] and not any(rows[0][key] for key in ("arrived", "handled", "failed")):
        del rows[0]
    most = max(row["arrived"] for row in rows) or 1
    total = output.columns()
    room = _BAR if total is None else max(8, min(_BAR, total - 52))
    mark = "█" if output.has_glyphs() else "#"
    head = [
        output.Column("FROM"),
        output.Column("ARRIVED", right=True),
        output.Column("HANDLED", right=True),
        output.Column("FAILED", right=True),
        output.Column("WAIT", right=True),
        output.Column("", room),
    ]
    table: list[tuple[str, ...]] = [
        (
            _clock(row["from"], width),
            str(row["arrived"]),
            str(row["handled"]),
            str(row["failed"] or ""),
            "" if row["wait_seconds"] is None else _span(row["wait_seconds"]),
            mark * ceil(row["arrived"] * min(1.0, room / most)),
        )
        for row in rows
    ]
    if total is not None and total < 60:
        head, table = [head[0], head[1], head[-1]], [(r[0], r[1], r[-1]) for r in table]
    output.table(head, table, least=1)
