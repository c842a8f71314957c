"""`aap context`: blocks from the command line, and the plot."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from harness.command import Run, Terminal

from aap.cli.context import plot
from aap.context import record
from aap.inbox import Spool


def told(cached: int, **more: Any) -> dict[str, Any]:
    line = {"time": 1.0, "agent": "codex", "session": "s", "kind": "work"}
    return {**line, "input": 1000, "cached": cached, "output": 7, "cost": None, **more}


@pytest.mark.slow
def test_a_block_is_appended_shown_and_cited(aap: Run, spool: Spool) -> None:
    assert aap("context", "append", "Ann likes Rome").stdout == "001\n"
    assert aap("context", "append", "-", stdin="a\nb\n").stdout == "002\n"
    assert aap("context", "append", stdin="from stdin").stdout == "003\n"
    assert aap("context", "append", "--cites", "001, 003", "so [002] it is").stdout == "004\n"
    shown = aap("context", "show", "004", "1")
    assert shown.stdout == (
        "BLOCK_ID: 004\nRefers to: [001], [003]\nso [002] it is\n\n"
        "BLOCK_ID: 001\nAnn likes Rome\n\n"
    )
    whole = aap("context", "show")
    assert whole.stdout.encode() == (spool.root / "context" / "cache.txt").read_bytes()


def test_blocks_for_programs(
    aap: Run, documents: Callable[..., list[dict[str, Any]]], spool: Spool
) -> None:
    aap("context", "append", "one")
    aap("context", "append", "two")
    first, second = documents("context", "show")
    assert (first["schema"], first["id"], first["text"]) == ("aap.context.block/1", "001", "one")
    assert documents("context", "show", "002") == [second]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("append", "see [009]"), 2),
        (("append", "--cites", "001", "x"), 2),
        (("append", "--cites", "one", "x"), 2),
        (("append", " "), 2),
        (("show", "001"), 5),
        (("show", "x"), 2),
        (("rewrite", "/nowhere/at/all"), 5),
        (("rewrite", "-"), 2),
    ],
)
def test_what_cannot_be_done_is_said(aap: Run, spool: Spool, words: Any, code: int) -> None:
    done = aap("context", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("aap: ")


def test_check_finds_what_is_wrong(
    aap: Run, documents: Callable[..., list[dict[str, Any]]], spool: Spool
) -> None:
    assert aap("context", "check").returncode == 0
    aap("context", "append", "one")
    file = spool.root / "context" / "cache.txt"
    assert aap("context", "check").returncode == 0
    with file.open("a") as handle:
        handle.write("\n=======\nBLOCK_ID: 003\nsee [007]")
    done = aap("context", "check")
    assert done.returncode == 7
    assert done.stdout.splitlines() == [
        f"{file}:5: dangling: 003 cites 007, which is not there",
        f"{file}:5: missing: 002 should stand before 003",
        f"{file}:5: torn: the last block does not end with a newline",
    ]
    lines = aap("context", "check", "--json").stdout.splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["dangling", "missing", "torn"]


def test_rewrite_tells_where_the_old_one_is(aap: Run, spool: Spool) -> None:
    for text in ("one", "two"):
        aap("context", "append", text)
    new = aap("context", "show").stdout.partition("\n=======")[0].replace("one", "both")
    done = aap("context", "rewrite", "-", stdin=new)
    assert done.returncode == 0
    assert done.stdout == f"{spool.root / 'context' / 'cache.1.txt'}\n"
    assert done.stderr == "left out: 002\n"
    assert aap("context", "show").stdout == "BLOCK_ID: 001\nboth\n"


def test_control_characters_reach_no_terminal(
    aap: Run, terminal: Callable[..., Terminal], spool: Spool
) -> None:
    aap("context", "append", "-", stdin="a\x1b[2Jb")
    assert "\x1b" in aap("context", "show").stdout
    screen = terminal("context", "show", NO_COLOR="1")
    assert screen.end() == 0
    assert "a\\x1b[2Jb" in screen.screen


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_file_is_utf_8_in_any_locale(aap: Run, spool: Spool, locale: str) -> None:
    plain = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert aap("context", "append", "Z\u00fcrich", **plain).stdout == "001\n"
    assert aap("context", "show", **plain).stdout == "BLOCK_ID: 001\nZ\u00fcrich\n"
    assert aap("context", "show", "001", **plain).returncode == 0


# stats


def test_stats_without_runs(aap: Run, spool: Spool) -> None:
    done = aap("context", "stats")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no run" in done.stderr


def test_stats_draw_and_compare(aap: Run, spool: Spool) -> None:
    for cached in (800, 800, 800, 400):
        record(spool.root, told(cached, cost=0.5))
    done = aap("context", "stats", LC_ALL="C")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert done.stdout == (
        " 100% |\n"
        "      |...-\n"
        "  75% |###\n"
        "      |###\n"
        "  50% |###\n"
        "      |####\n"
        "  25% |####\n"
        "      |####\n"
        "   0% +----\n"
        "\n"
        "last run  40% of 1000 tokens from the cache\n"
        "agent     codex (work)\n"
        "before    80%, median of 3\n"
        "change    -50%\n"
        "runs      4\n"
        "tokens    4000 in, 28 out\n"
        "cost      2.00 USD in 4 runs\n"
    )
    assert "fell by more than 30 %" in done.stderr


def test_stats_for_programs(documents: Callable[..., list[dict[str, Any]]], spool: Spool) -> None:
    for cached in (800, 800, 800, 400):
        record(spool.root, told(cached))
    (stats,) = documents("context", "stats")
    assert stats["schema"] == "aap.context.stats/1"
    assert (stats["ratio"], stats["baseline"], stats["fell"]) == (0.4, 0.8, True)
    assert [run["ratio"] for run in stats["runs"]] == [0.8, 0.8, 0.8, 0.4]
    assert "40%" in stats["pointer"]
    (last,) = documents("context", "stats", "--limit", "2")
    assert len(last["runs"]) == 2


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_the_plot_fits_its_terminal(
    terminal: Callable[..., Terminal], spool: Spool, columns: int
) -> None:
    for number in range(300):
        record(spool.root, told(number * 3))
    screen = terminal("context", "stats", columns=columns, LC_ALL="C")
    assert screen.end() == 0
    drawn = screen.screen.split("\n\n")[0].splitlines()
    assert len(drawn) == 9
    assert max(map(len, drawn)) == columns - 1
    assert drawn[-1].endswith("-" * (columns - 8))


def test_the_baseline_is_seen_where_no_column_covers_it() -> None:
    lines = plot([0.1, 1.0, 0.1], 0.8, 40)
    assert lines[1] == "      |-#-"
    assert lines[0] == " 100% | #"
