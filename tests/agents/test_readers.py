"""Exit codes lie: what a CLI prints decides."""

import json

import pytest

from aap.agents import Ended, Report, Usage, Verdict, find_agent


def read(name: str, events: list[object], ended: Ended | None = None) -> Report:
    reader = find_agent(name, "", "").reader()
    for event in events:
        reader.line(event if isinstance(event, str) else json.dumps(event))
    return reader.end(ended or Ended(0))


def pi_message(**facts: object) -> dict[str, object]:
    return {"type": "message_end", "message": {"role": "assistant", "content": [], **facts}}


CODEX_OK = [
    {"type": "thread.started", "thread_id": "0199"},
    {"type": "turn.started"},
    {"type": "item.completed", "item": {"type": "agent_message", "text": "429 is a number"}},
    {"type": "turn.completed",
     "usage": {"input_tokens": 100, "cached_input_tokens": 60, "output_tokens": 7}},
]  # fmt: skip
CLAUDE_INIT = {"type": "system", "subtype": "init", "session_id": "abc"}
CLAUDE_OK = {
    "type": "result", "subtype": "success", "is_error": False, "session_id": "abc",
    "result": "done", "total_cost_usd": 0.5,
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 90,
              "cache_creation_input_tokens": 7, "output_tokens": 5},
}  # fmt: skip


def test_a_good_run_tells_its_session_and_its_usage() -> None:
    assert read("codex", CODEX_OK) == Report(
        (Verdict.OK, ""), "0199", Usage(100, 60, 7, cumulative=True)
    )
    assert read("claude", [CLAUDE_INIT, CLAUDE_OK]) == Report(
        (Verdict.OK, ""), "abc", Usage(100, 90, 5, cost=0.5)
    )


OUTAGE, FAILED, LOST = Verdict.OUTAGE, Verdict.FAILED, Verdict.LOST


@pytest.mark.parametrize(
    ("name", "events", "code", "verdict"),
    [
        ("codex", [*CODEX_OK[:2], {"type": "turn.failed", "error": {
            "message": "unexpected status 401 Unauthorized"}}], 1, OUTAGE),
        ("codex", [*CODEX_OK[:2], {"type": "error", "message": "exceeded retry limit, "
                    "last status: 429 Too Many Requests"}], 1, OUTAGE),
        ("codex", [*CODEX_OK[:2], {"type": "turn.failed", "error": {"message": "odd"}}], 1, FAILED),
        ("codex", CODEX_OK[:3], 0, FAILED),  # never said that the turn was complete
        ("codex", CODEX_OK, 1, FAILED),
        ("codex", ["Error: thread/resume failed: no rollout found for thread id 0199"], 1, LOST),
        ("claude", [CLAUDE_INIT, CLAUDE_OK | {"is_error": True, "api_error_status": 401,
                    "result": "Invalid API key · Fix external API key"}], 0, OUTAGE),
        ("claude", [CLAUDE_INIT, CLAUDE_OK | {"is_error": True, "api_error_status": 529,
                    "result": "API Error: Overloaded"}], 1, OUTAGE),
        ("claude", [CLAUDE_INIT, CLAUDE_OK | {"is_error": True, "result": "odd"}], 0, FAILED),
        ("claude", [CLAUDE_INIT], 0, FAILED),
        ("claude", ["No conversation found with session ID: abc"], 1, LOST),
        ("pi", [pi_message(stopReason="error", errorMessage="401 no")], 0, OUTAGE),
        ("pi", [pi_message(stopReason="error", errorMessage="odd")], 0, FAILED),
        ("pi", [pi_message(stopReason="stop")], 0, Verdict.OK),
        ("opencode", [{"type": "error", "sessionID": "ses_1", "error": {
            "name": "APIError", "data": {"message": "Too Many Requests"}}}], 0, OUTAGE),
        ("opencode", [{"type": "step_finish", "sessionID": "ses_1", "part": {}}], 0, Verdict.OK),
        ("gemini", ['{\n "session_id": "g",\n "response": "hello"\n}'], 0, Verdict.OK),
        ("gemini", ['{\n "error": {"message": "API key not valid"}\n}'], 145, OUTAGE),
        ("goose", ["error: Authentication error: 401 Unauthorized"], 0, OUTAGE),
        ("goose", ["Ran into this error: odd"], 0, FAILED),
        ("goose", ["we talked about 401 and rate limits"], 0, Verdict.OK),
    ],
)  # fmt: skip
def test_a_bad_run_is_told_from_a_good_one(name, events, code, verdict: Verdict) -> None:
    lines = [line for e in events for line in (e.splitlines() if isinstance(e, str) else [e])]
    report = read(name, lines, Ended(code))
    assert report.outcome.verdict is verdict, report.outcome
    assert verdict is Verdict.OK or report.outcome.reason


@pytest.mark.parametrize("name", ["codex", "claude", "gemini", "opencode", "pi"])
@pytest.mark.parametrize(
    "line", ["", "{", "[]", "{}", '{"type":null}', '{"type":"result","usage":7}', "[" * 9999,
             '{"type":"item.completed","item":[]}',
             '{"type":"assistant","message":{"content":"x"}}']
)  # fmt: skip
def test_no_output_is_too_strange(name: str, line: str) -> None:
    assert read(name, [line]).outcome.verdict is not Verdict.OK


def test_an_error_that_codex_recovered_from_is_none() -> None:
    events = [*CODEX_OK[:2], {"type": "error", "message": "Reconnecting... 1/5"}, *CODEX_OK[2:]]
    assert read("codex", events).outcome.verdict is Verdict.OK


def test_the_log_shows_words_and_commands_and_no_json() -> None:
    reader = find_agent("codex", "", "").reader()
    shown = [reader.line(json.dumps(event)) for event in CODEX_OK]
    command = {"type": "command_execution", "command": "ls", "exit_code": 0}
    shown.append(reader.line(json.dumps({"type": "item.completed", "item": command})))
    assert [text for text in shown if text] == ["429 is a number", "$ ls (exit 0)"]
