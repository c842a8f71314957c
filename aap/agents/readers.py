"""What each agent CLI prints, and what it means: exit codes alone lie.

Formats were read off the programs themselves, without a terminal: codex 0.169,
claude 2.1, gemini 0.61, opencode 1.18, pi 0.73, goose 1.34.
"""

from __future__ import annotations

import json
import re
from typing import Any

from aap.agents.agent import Ended, Outcome, Report, Usage, Verdict
from aap.agents.trouble import find_outage, judge_error, judge_process

_REASON_CHARS = 200
_MANY = (
    1 << 53
)  # no count of tokens, nor a price; larger ones would break what calculates with them
_LOGGED_CHARS = 2000  # of one event; the agent's own session file has the rest


# Words of an event are looked for in tuples: in its place may stand a list, which no set can hold.


def _event(text: str) -> dict[str, Any]:
    """Read a line of JSON; {} for any other line."""
    if not text.startswith("{"):
        return {}
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _part(event: object, *path: str) -> Any:
    """Follow keys into nested objects; None where there is no such way."""
    for key in path:
        if not isinstance(event, dict):
            return None
        event = event.get(key)
    return event


def _number(event: object, *path: str) -> int:
    value = _part(event, *path)
    return value if isinstance(value, int) and 0 <= value < _MANY else 0


def _shown(text: object) -> str:
    return str(text)[:_LOGGED_CHARS].strip()


class PlainReader:
    """A command of the user's own: every line is for people, the exit code judges."""

    def __init__(self) -> None:
        self._last = ""

    def line(self, text: str) -> str | None:
        """Log it as it is."""
        self._last = text if text.strip() else self._last
        return text

    def end(self, ended: Ended) -> Report:
        """Judge by the exit code; of a failure the last words are likely to say why."""
        outcome = judge_process(ended)
        if outcome.verdict is Verdict.FAILED and ended.code > 0 and self._last:
            said = " ".join(self._last.split())[:_REASON_CHARS]
            outcome = Outcome(Verdict.FAILED, f"{outcome.reason}: {said}")
        return Report(outcome)


class JsonReader:
    """Common to the CLIs that print JSON events: errors are collected, the end decides."""

    def __init__(self) -> None:
        self.session = ""
        self.usage: Usage | None = None
        self.error = ""
        self.done = False  # the CLI said that its turn ended well
        self.other = ""  # the last lines that were no events, where a CLI complains in words

    def line(self, text: str) -> str | None:
        """Take an event, or a word said beside the events."""
        event = _event(text)
        if not event:
            self.other = (self.other + "\n" + text)[-4000:]
            return text or None
        return self.take(event)

    def take(self, event: dict[str, Any]) -> str | None:
        """Read one event; return what to log."""
        raise NotImplementedError

    def end(self, ended: Ended) -> Report:
        """Well only if the process and what it printed both say so."""
        return Report(self._judge(ended), self.session, self.usage)

    def _judge(self, ended: Ended) -> Outcome:
        if ended.timed_out and find_outage(self.error):
            return judge_error(self.error)  # codex waits for the network, and does not give up
        if ended.error or ended.timed_out:
            return judge_process(ended)
        if self.done and not self.error and ended.code == 0:
            return Outcome(Verdict.OK)
        if self.error or ended.code != 0:
            return self.blame(self.error or self.other or judge_process(ended).reason)
        return Outcome(Verdict.FAILED, "the agent ended without a word on how its turn went")

    def blame(self, error: str) -> Outcome:
        """Judge an error text."""
        if re.search(self.lost, error, re.IGNORECASE):
            return Outcome(Verdict.LOST, _shown(error))
        return judge_error(error)

    lost = r"$^"  # what the CLI says when it does not know the session


class CodexReader(JsonReader):
    """codex exec --json: one event a line, flat, the kind in `type`.

    Its usage counts from the thread's start (seen on resumed threads).
    """

    lost = r"no rollout found|thread .{0,60}not found|session .{0,60}not found"

    def take(self, event: dict[str, Any]) -> str | None:
        """Read one event."""
        kind = event.get("type")
        if kind == "thread.started":
            self.session = str(event.get("thread_id") or "")
        elif kind == "turn.started":
            self.done, self.error = False, ""
        elif kind == "turn.completed":
            self.done = True
            usage = event.get("usage")
            self.usage = Usage(
                _number(usage, "input_tokens"),
                _number(usage, "cached_input_tokens"),
                _number(usage, "output_tokens"),
                cumulative=True,
            )
        elif kind in ("error", "turn.failed"):
            # "error" also reports retries that succeed later: turn.completed clears it.
            self.error = _shown(event.get("message") or _part(event, "error", "message") or kind)
            return f"error: {self.error}"
        elif kind == "item.completed":
            return self._item(event.get("item"))
        return None

    def _item(self, item: object) -> str | None:
        kind = _part(item, "type")
        if kind == "agent_message":
            return _shown(_part(item, "text"))
        if kind == "command_execution":
            return f"$ {_shown(_part(item, 'command'))} (exit {_part(item, 'exit_code')})"
        return None

    def _judge(self, ended: Ended) -> Outcome:
        if self.done and ended.code == 0:
            self.error = ""
        return super()._judge(ended)


class ClaudeReader(JsonReader):
    """claude -p --output-format stream-json --verbose: the last event is `result`.

    An API failure has `subtype: "success"` and `is_error: true`; an interrupted run
    exits 0 and has `is_error: true`. Usage is per run, the cost of the whole session.
    """

    lost = r"no conversation found"

    def take(self, event: dict[str, Any]) -> str | None:
        """Read one event."""
        kind = event.get("type")
        if kind == "system":
            self.session = str(event.get("session_id") or self.session)
        elif kind == "assistant":
            return self._said(_part(event, "message", "content"))
        elif kind == "result":
            self.session = str(event.get("session_id") or self.session)
            self.done = event.get("is_error") is False
            self.error = "" if self.done else _error_of(event)
            self.usage = _claude_usage(event)
            return None if self.done else f"error: {self.error}"
        return None

    def _said(self, content: object) -> str | None:
        parts = content if isinstance(content, list) else []
        lines = []
        for part in parts:
            if _part(part, "type") == "text":
                lines.append(_shown(_part(part, "text")))
            elif _part(part, "type") == "tool_use":
                command = _part(part, "input", "command")
                lines.append(f"$ {_shown(command)}" if command else f"[{_part(part, 'name')}]")
        return "\n".join(lines) or None


def _error_of(event: dict[str, Any]) -> str:
    errors = event.get("errors")
    listed = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
    status = event.get("api_error_status")
    said = _shown(event.get("result") or listed or event.get("subtype"))
    return f"{status} {said}" if status else said


def _claude_usage(event: dict[str, Any]) -> Usage:
    usage = event.get("usage")
    cached = _number(usage, "cache_read_input_tokens")
    fresh = _number(usage, "input_tokens") + _number(usage, "cache_creation_input_tokens")
    cost = event.get("total_cost_usd")
    return Usage(
        fresh + cached,
        cached,
        _number(usage, "output_tokens"),
        cost=float(cost) if isinstance(cost, int | float) and 0 <= cost < _MANY else None,
    )


class GeminiReader(JsonReader):
    """gemini --output-format json: one object over many lines at the end, `response` or `error`."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    def line(self, text: str) -> str | None:
        """Gather the object, which is printed over several lines."""
        self._text = (self._text + text + "\n")[-1_000_000:]
        return text or None

    def take(self, event: dict[str, Any]) -> str | None:
        """Read the object."""
        self.session = str(event.get("session_id") or "")
        self.error = _shown(_part(event, "error", "message") or "")
        self.done = "response" in event and not self.error
        return None

    def end(self, ended: Ended) -> Report:
        """Find the object in what was printed, then judge."""
        start = self._text.find("{\n")
        event = _event(self._text[start:].strip()) if start >= 0 else {}
        if event:
            self.take(event)
        else:
            self.other = self._text[-4000:]
        return super().end(ended)


class OpencodeReader(JsonReader):
    """opencode run --format json: events with `sessionID`; a failed one ends with exit 1."""

    lost = r"session not found"

    def take(self, event: dict[str, Any]) -> str | None:
        """Read one event."""
        self.session = str(event.get("sessionID") or self.session)
        kind = event.get("type")
        if kind == "error":
            error = event.get("error")
            said = _part(error, "data", "message") or _part(error, "message") or error
            self.error = _shown(said)
            return f"error: {self.error}"
        if kind == "step_finish":
            self.done = True
            tokens = _part(event, "part", "tokens")
            cached = _number(tokens, "cache", "read")
            before = self.usage or Usage(0, 0, 0)
            self.usage = Usage(
                before.input + _number(tokens, "input") + cached,
                before.cached + cached,
                before.output + _number(tokens, "output"),
            )
        return _shown(_part(event, "part", "text")) if kind == "text" else None


class PiReader(JsonReader):
    """pi -p --mode json: exits 0 whatever happens; the last assistant message tells.

    `stopReason` is "error" or "aborted" when it went wrong, with `errorMessage`.
    """

    lost = r"no session|session .{0,60}not found"

    def take(self, event: dict[str, Any]) -> str | None:
        """Read one event."""
        kind = event.get("type")
        if kind == "session":
            self.session = str(event.get("id") or "")
        elif kind == "message_end" and _part(event, "message", "role") == "assistant":
            return self._message(event["message"])
        return None

    def _message(self, message: dict[str, Any]) -> str | None:
        self.done = message.get("stopReason") not in ("error", "aborted")
        self.error = "" if self.done else _shown(message.get("errorMessage") or "error")
        usage = message.get("usage")
        cached = _number(usage, "cacheRead")
        before = self.usage or Usage(0, 0, 0)
        self.usage = Usage(
            before.input + _number(usage, "input") + cached,
            before.cached + cached,
            before.output + _number(usage, "output"),
        )
        if self.error:
            return f"error: {self.error}"
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        said = [_shown(_part(part, "text")) for part in parts if _part(part, "type") == "text"]
        return "\n".join(said) or None


class GooseReader(PlainReader):
    """goose run: plain text, and exit 0 for a refused key: its own error line tells."""

    _ERROR = re.compile(
        r"(?:^|\s)(?:error|ran into this error|execution error)\b\s*:", re.IGNORECASE
    )

    def __init__(self) -> None:
        self._error = ""

    def line(self, text: str) -> str | None:
        """Log it, and remember what goose itself complains of."""
        if self._ERROR.search(text[:500]):
            self._error = text[:2000]
        return text

    def end(self, ended: Ended) -> Report:
        """Judge by the exit code and by that line."""
        outcome = judge_process(ended)
        if self._error and not (ended.error or ended.timed_out):
            outcome = judge_error(self._error)
            if re.search(r"no session|session .{0,60}not found", self._error, re.IGNORECASE):
                outcome = Outcome(Verdict.LOST, self._error[:300])
        return Report(outcome)
