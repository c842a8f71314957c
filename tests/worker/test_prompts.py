"""The prompt of a run: in the workspace's own words, with a pointer when caching fell."""

import json
from collections.abc import Callable

import pytest
from harness.workbench import Bench

from aap.context import record

Make = Callable[..., bytes]


@pytest.fixture
def told(bench: Bench, message: Make) -> Callable[[], str]:
    """Handle one message, and return the prompt that the agent got."""
    bench.agent('printf "%s" "$1" > prompt.txt')

    def handle() -> str:
        bench.spool.deliver(message("hello there"))
        assert bench.work() == 0
        return (bench.workspace / "prompt.txt").read_text()

    return handle


def count(bench: Bench, *ratios: float) -> None:
    for ratio in ratios:
        record(bench.spool.root, {
            "time": 1.0, "agent": "codex", "session": "s", "kind": "work",
            "input": 1000, "cached": round(ratio * 1000), "output": 1,
        })  # fmt: skip


@pytest.mark.slow
def test_a_fall_of_caching_is_pointed_out_until_it_is_over(
    bench: Bench, told: Callable[[], str]
) -> None:
    count(bench, 0.8, 0.8, 0.8)
    assert "cache" not in told()
    count(bench, 0.3)
    assert "Only 30% of the last run's input came from the provider's cache, 80% before." in told()
    count(bench, 0.8)
    assert "cache" not in told()


def test_a_workspace_says_it_in_its_own_words(bench: Bench, told: Callable[[], str]) -> None:
    folder = bench.spool.root / "templates"
    folder.mkdir()
    (folder / "work.txt").write_text("Please:\n{messages}\nThank you.")
    prompt = told()
    assert prompt.startswith("Please:\nWhat stands between the fence lines")
    assert "hello there" in prompt
    assert prompt.endswith("\nThank you.")


def test_a_template_that_cannot_be_used_is_said_and_stops_nothing(
    bench: Bench, told: Callable[[], str]
) -> None:
    folder = bench.spool.root / "templates"
    folder.mkdir()
    (folder / "work.txt").write_text("no field at all")
    assert told().startswith("You handle messages")
    (line,) = bench.log("template-ignored")
    assert line.fields["file"] == str(folder / "work.txt")
    assert "{messages} must be there once" in line.fields["reason"]


def test_strange_lines_of_usage_stop_nothing(bench: Bench, told: Callable[[], str]) -> None:
    count(bench, 0.8, 0.8, 0.8)
    with (bench.spool.root / "context" / "usage.jsonl").open("ab") as file:
        file.write(b"\xff{]\n" + json.dumps({"time": "x"}).encode())
    assert "hello there" in told()
