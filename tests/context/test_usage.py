"""What runs used: kept within bounds, compared, and pointed out when it fell."""

import json

import pytest

from aap.context import pointer, read_runs, record, summarize
from aap.context.usage import FILE, KEEP_LINES, MAX_BYTES


def facts(cached, total=1000, *, agent="codex", kind="work", **more):
    line = {"time": 1.5, "agent": agent, "session": "s", "kind": kind, "input": total}
    return {**line, "cached": cached, "output": 7, "cost": None, "cumulative": False, **more}


def runs(tmp_path, *ratios, **more):
    for ratio in ratios:
        record(tmp_path, facts(round(ratio * 1000), **more))
    return read_runs(tmp_path)


def test_runs_are_read_back_in_order(tmp_path):
    record(tmp_path, facts(800, cost=0.25))
    record(tmp_path, facts(0, total=0, agent="claude"))
    first, second = read_runs(tmp_path)
    assert (first.agent, first.ratio, first.output, first.cost) == ("codex", 0.8, 7, 0.25)
    assert (second.agent, second.ratio) == ("claude", None)


def test_lines_that_are_torn_or_strange_are_left_out(tmp_path):
    record(tmp_path, facts(500))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'[]\nnull\n{"time":1}\n\xff\xfe\n{"time":"x","agent":1,"input":1,"cached":1}\n')
        file.write(json.dumps(facts(1))[:20].encode())
    record(tmp_path, facts(600))
    assert [run.cached for run in read_runs(tmp_path)] == [500, 600]


def test_the_file_stays_bounded(tmp_path):
    (tmp_path / "context").mkdir()
    line = json.dumps(facts(1)) + "\n"
    count = MAX_BYTES // len(line) + 1
    (tmp_path / FILE).write_text(line * count)
    record(tmp_path, facts(999))
    lines = (tmp_path / FILE).read_text().splitlines()
    assert len(lines) == KEEP_LINES
    assert json.loads(lines[-1])["cached"] == 999
    for _ in range(10):
        record(tmp_path, facts(1))
    assert len((tmp_path / FILE).read_text().splitlines()) == KEEP_LINES + 10


def test_the_last_run_is_compared_with_the_median_of_those_before(tmp_path):
    stats = summarize(runs(tmp_path, 0.1, 0.8, 0.9, 0.8, 0.8, 0.4))
    assert (stats.ratio, stats.baseline, stats.compared) == (0.4, 0.8, 5)
    assert stats.change == pytest.approx(-0.5)
    assert stats.fell


@pytest.mark.parametrize(("last", "fell"), [(0.57, False), (0.55, True), (0.9, False), (0.0, True)])
def test_a_fall_is_one_of_more_than_30_percent(tmp_path, last, fell):
    assert summarize(runs(tmp_path, 0.8, 0.8, 0.8, last)).fell is fell
    assert bool(pointer(tmp_path)) is fell


def test_only_runs_of_the_same_agent_and_kind_are_compared(tmp_path):
    runs(tmp_path, 0.9, 0.9, 0.9, agent="claude")
    runs(tmp_path, 0.9, 0.9, 0.9, kind="init")
    stats = summarize(runs(tmp_path, 0.1, 0.1, 0.1))
    assert (stats.baseline, stats.compared, stats.fell) == (None, 2, False)


def test_the_baseline_is_the_recent_one(tmp_path):
    stats = summarize(runs(tmp_path, *[0.9] * 30, *[0.5] * 20, 0.45))
    assert (stats.baseline, stats.fell) == (0.5, False)


def test_a_ratio_of_nothing_has_not_fallen(tmp_path):
    stats = summarize(runs(tmp_path, 0, 0, 0, 0))
    assert (stats.baseline, stats.change, stats.fell) == (0, None, False)
    assert summarize([]) == (None, None, None, 0, None)


def test_the_pointer_is_one_short_sentence_or_two(tmp_path):
    runs(tmp_path, 0.82, 0.82, 0.82, 0.31)
    said = pointer(tmp_path)
    assert "31%" in said
    assert "82%" in said
    assert "aap context stats" in said
    assert len(said) < 300
    assert "\n" not in said


def test_the_pointer_never_stops_a_run(tmp_path):
    assert pointer(tmp_path) == ""
    (tmp_path / FILE).mkdir(parents=True)
    assert pointer(tmp_path) == ""
    assert pointer(tmp_path / "context") == ""


def test_the_pointer_reads_only_the_end(tmp_path):
    (tmp_path / "context").mkdir()
    ratios = [0.1] * 3000 + [0.8] * 60 + [0.2]
    lines = (json.dumps(facts(round(ratio * 1000))) + "\n" for ratio in ratios)
    (tmp_path / FILE).write_text("".join(lines))
    assert "80%" in pointer(tmp_path)
