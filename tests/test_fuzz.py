"""Whatever bytes come, no reader of them crashes or hangs; `scripts/torture fuzz` goes on."""

from __future__ import annotations

import json

import pytest
from torture import fuzz

from aap.agents import Ended, Verdict, find_agent


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_any_bytes_are_read_or_refused(name: str) -> None:
    fuzz.guess(name, 150)


@pytest.mark.parametrize(
    ("agent", "event"),
    [
        ("codex", {"type": ["error"]}),
        ("codex", {"type": "turn.completed", "usage": {"input_tokens": 10**400}}),
        ("claude", {"type": "result", "is_error": False, "total_cost_usd": 10**400}),
        ("claude", {"type": "result", "is_error": False, "total_cost_usd": float("nan")}),
        ("pi", {"type": "message_end", "message": {"role": "assistant", "stopReason": ["stop"]}}),
    ],
)
def test_what_no_agent_should_print_ends_no_worker(agent: str, event: dict[str, object]) -> None:
    reader = find_agent(agent, "", "").reader()
    reader.line(json.dumps(event))
    report = reader.end(Ended(0))
    assert report.outcome.verdict in set(Verdict)
    assert report.usage is None or report.usage.cost is None
    assert report.usage is None or report.usage.input == 0
