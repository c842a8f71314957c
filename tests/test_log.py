"""Log lines: written once, read back the same."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aap.log import DailyLog, format_line, format_text, parse_line


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True), st.text(max_size=40)))
def test_fields_are_read_back_as_they_were_written(fields: dict[str, str]) -> None:
    line = format_line("info", "worker", "claimed", **fields)
    assert "\n" not in line
    read = parse_line(line)
    assert read is not None
    assert (read.level, read.source, read.event) == ("info", "worker", "claimed")
    assert read.fields == fields


def test_what_an_agent_prints_stays_as_it_is() -> None:
    text = '  id=1 "quoted"  |  end '
    read = parse_line(format_text("agent", text))
    assert read is not None
    assert (read.event, read.text, read.fields) == ("output", text, {})


def test_what_aap_did_not_write_is_no_line() -> None:
    for line in ("", "hello", "2026-01-01T00:00:00.000Z maybe worker claimed", "a b c d"):
        assert parse_line(line) is None


def test_a_full_disk_stops_nobody(tmp_path: Path, capfd) -> None:
    log = DailyLog(tmp_path / "missing")
    log.event("warning", "worker", "deferred", id="x")
    log.text("agent", "words")
    assert capfd.readouterr().out == "<4>worker deferred id=x\n"


def test_old_days_are_pruned_and_nothing_else(tmp_path: Path) -> None:
    for name in ("2020-01-01.log", "2999-01-01.log", "notes.log", "2020-01-01.log.mine"):
        (tmp_path / name).touch()
    DailyLog(tmp_path).prune(86400, 1000)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "2020-01-01.log.mine",
        "2999-01-01.log",
        "notes.log",
    ]


@pytest.mark.parametrize(
    ("most", "kept"), [(1000, "789"), (30, "789"), (29, "89"), (10, "9"), (0, "9")]
)
def test_the_oldest_days_go_first_where_logs_take_too_much(
    tmp_path: Path, most: int, kept: str
) -> None:
    for day in "987":
        (tmp_path / f"2999-01-0{day}.log").write_text("x" * 10)
    DailyLog(tmp_path).prune(86400, most)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"2999-01-0{day}.log" for day in kept]
