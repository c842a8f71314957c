"""A stub of the models behind codex and claude: real protocols on loopback, scripted answers.

    with Model(run("echo hello"), say("Done.")) as model:
        ... start codex or claude with model.url ...
        assert model.requests[1].session == model.requests[0].session

It speaks OpenAI's Responses API (`POST /v1/responses`) and Anthropic's Messages API
(`POST /v1/messages`), streamed. As a program it does the same for a booted machine:

    python model.py PORT SCRIPT

where SCRIPT has one step a line in JSON, may grow at any time, and requests are
written to SCRIPT.requests, one a line; `inside()` starts that. stdlib only.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .machine import Machine

Json = dict[str, Any]
ALWAYS = 0


@dataclass(frozen=True)
class Step:
    """What the model does with one request.

    With `when`, a regular expression, it is for requests whose newest input matches,
    and `text` may use its groups as \\1. A step serves `times` requests (ALWAYS: any
    number); of those that fit, the first in the script is taken.
    """

    do: str  # run, say, fail, hang, drop
    text: str = ""  # run: the shell command; say, fail: the words
    status: int = 200
    when: str = ""
    times: int = 1
    delay: float = 0  # seconds before the answer
    tokens: tuple[int, int, int] = (1000, 800, 20)  # input with cached, of them cached, output


def run(command: str, **how: Any) -> Step:
    """Have the agent run a shell command."""
    return Step("run", command, **how)


def say(text: str = "Done.", **how: Any) -> Step:
    """End the turn with these words."""
    return Step("say", text, **how)


def fail(status: int, text: str = "scripted failure", **how: Any) -> Step:
    """Answer with an error: 401, 429, 500, ..."""
    return Step("fail", text, status, **how)


def hang(**how: Any) -> Step:
    """Never answer; the connection stays open."""
    return Step("hang", **how)


def drop(**how: Any) -> Step:
    """Begin the stream and close the connection in the middle of it."""
    return Step("drop", **how)


@dataclass(frozen=True)
class Request:
    """One request for a turn of the conversation, as an agent sent it."""

    agent: str  # codex, claude
    session: str  # the agent's own session id
    path: str
    headers: dict[str, str] = field(repr=False)  # names in lower case
    body: Json = field(repr=False)
    step: Step  # what was answered
    at: float  # Unix time

    @property
    def shown(self) -> str:
        """All text the model was shown, the system prompt and tools left out."""
        return "\n".join(_texts(_items(self.body)))

    @property
    def newest(self) -> str:
        """The text since the model's own last words: the prompt, or what a tool gave."""
        return newest(self.body)


SURROUNDINGS = ("<environment_context>", "<system-reminder>")


def newest(body: Json) -> str:
    """Return the text of `body` that came after what the model said last.

    At the start of a session the agents put their own instructions around the prompt:
    those are left out.
    """
    items = _items(body)
    own = [number for number, item in enumerate(items) if _is_own(item)]
    if own:
        return "\n".join(_texts(items[own[-1] + 1 :]))
    texts = _texts([item for item in items if item.get("role") == "user"])
    return "\n".join(text for text in texts if not text.startswith(SURROUNDINGS))


def _items(body: Json) -> list[Any]:
    found = body.get("input", body.get("messages", []))
    return found if isinstance(found, list) else [found]


def _is_own(item: Any) -> bool:
    return isinstance(item, dict) and (
        item.get("role") == "assistant" or item.get("type") in ("function_call", "reasoning")
    )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, dict):
        for key in ("text", "content", "output", "arguments", "input"):
            yield from _texts(value.get(key))


class Script:
    """Steps, how often each was taken, and a default for when none is left."""

    def __init__(self, steps: tuple[Step, ...] = ()) -> None:
        self.steps = list(steps)
        self.taken: dict[int, int] = {}
        self.lock = threading.Lock()

    def take(self, text: str) -> Step:
        """Return the step for a request whose newest input is `text`."""
        with self.lock:
            for number, step in enumerate(self.steps):
                match = re.search(step.when, text)
                taken = self.taken.get(number, 0)
                if match and (step.times == ALWAYS or taken < step.times):
                    self.taken[number] = taken + 1
                    words = match.expand(step.text) if step.when else step.text
                    return Step(**{**asdict(step), "text": words})
        return say()


class ScriptFile(Script):
    """A script that is read anew for each request, as others may add to it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def take(self, text: str) -> Step:
        # A last line without its end is still being written.
        lines = self.path.read_text().rpartition("\n")[0].splitlines()
        self.steps = [Step(**json.loads(line)) for line in lines]
        return super().take(text)


class Model:
    """The server, from the start of the block to its end; use it with `with`."""

    def __init__(self, *steps: Step, port: int = 0, script: Script | None = None) -> None:
        self.script = script or Script(steps)
        self.requests: list[Request] = []
        self.others: list[str] = []  # requests that are no turn: "GET /v1/models", ...
        self.ended = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.server.daemon_threads = True

    def __enter__(self) -> Model:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, before the end of the block too; the second time does nothing."""
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def url(self) -> str:
        """The address without /v1."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def add(self, *steps: Step) -> None:
        """Put steps at the end of the script."""
        with self.script.lock:
            self.script.steps.extend(steps)

    def record(self, request: Request) -> None:
        """Keep a request; the program writes it down instead."""
        self.requests.append(request)


def _handler(model: Model) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        pass

    Handler.model = model
    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Model

    def log_message(self, *words: Any) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self.model.others.append(f"HEAD {self.path}")
        self._send_json(200, {})

    def do_GET(self) -> None:
        self.model.others.append(f"GET {self.path}")
        self._send_json(404, {"error": {"type": "not_found_error", "message": "not found"}})

    def do_POST(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self._post()

    def _post(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        agent = {"/v1/responses": "codex", "/v1/messages": "claude"}.get(self.path.split("?")[0])
        if agent is None:
            self.model.others.append(f"POST {self.path}")
            self._send_json(404, {"error": {"type": "not_found_error", "message": "not found"}})
            return
        step = self.model.script.take(newest(body))
        session = _session(headers, body)
        self.model.record(Request(agent, session, self.path, headers, body, step, time.time()))
        self._answer(agent, step, body)

    def _answer(self, agent: str, step: Step, body: Json) -> None:
        self.model.ended.wait(step.delay)
        if step.do == "hang":
            self.model.ended.wait()
            self.close_connection = True
        elif step.do == "fail":
            self._send_json(step.status, _error(agent, step))
        else:
            self._stream(_EVENTS[agent](step, body), cut=step.do == "drop")

    def _send_json(self, status: int, value: Json) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _stream(self, events: list[Json], *, cut: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events[: 2 if cut else None]:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        self.close_connection = True


def _session(headers: Mapping[str, str], body: Json) -> str:
    for name in ("session_id", "session-id", "x-claude-code-session-id"):
        if name in headers:
            return headers[name]
    return str(body.get("prompt_cache_key", ""))


ERRORS = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}


def _error(agent: str, step: Step) -> Json:
    error = {"type": ERRORS.get(step.status, "api_error"), "message": step.text}
    return {"error": error} if agent == "codex" else {"type": "error", "error": error}


def _responses_events(step: Step, body: Json) -> list[Json]:
    item = _responses_call(step) if step.do == "run" else _responses_message(step)
    tokens, cached, output = step.tokens
    usage = {
        "input_tokens": tokens,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens + output,
    }
    response = {"id": _new_id("resp"), "object": "response", "model": body.get("model", "")}
    done = {**response, "status": "completed", "output": [item], "usage": usage}
    events: list[Json] = [
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _responses_call(step: Step) -> Json:
    return {
        "type": "function_call",
        "id": _new_id("fc"),
        "call_id": _new_id("call"),
        "name": "exec_command",
        "arguments": json.dumps({"cmd": step.text, "yield_time_ms": 30000}),
        "status": "completed",
    }


def _responses_message(step: Step) -> Json:
    content = [{"type": "output_text", "text": step.text, "annotations": []}]
    about = {"type": "message", "id": _new_id("msg"), "role": "assistant", "status": "completed"}
    return {**about, "content": content}


def _messages_events(step: Step, body: Json) -> list[Json]:
    tokens, cached, output = step.tokens
    usage = {
        "input_tokens": tokens - cached,  # here the cached ones are not among them
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": output,
    }
    message = {
        "id": _new_id("msg"),
        "type": "message",
        "role": "assistant",
        "model": body.get("model", ""),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    reason = "tool_use" if step.do == "run" else "end_turn"
    return [
        {"type": "message_start", "message": message},
        *_messages_block(step),
        {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]


def _messages_block(step: Step) -> list[Json]:
    block: Json = {"type": "text", "text": ""}
    delta: Json = {"type": "text_delta", "text": step.text}
    if step.do == "run":
        block = {"type": "tool_use", "id": _new_id("toolu"), "name": "Bash", "input": {}}
        call = json.dumps({"command": step.text, "description": "as scripted"})
        delta = {"type": "input_json_delta", "partial_json": call}
    return [
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
    ]


_EVENTS = {"codex": _responses_events, "claude": _messages_events}


def _new_id(kind: str) -> str:
    return f"{kind}_{time.time_ns():x}"


class Inside:
    """A model that runs on a booted machine; steps are added and requests seen from outside."""

    def __init__(self, machine: Machine, port: int, script: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._script = machine.path(script)

    def add(self, *steps: Step) -> None:
        """Put steps at the end of the script."""
        with self._script.open("a") as file:
            file.write("".join(json.dumps(asdict(step)) + "\n" for step in steps))

    @property
    def requests(self) -> list[Request]:
        """All requests for a turn so far."""
        lines = _written(self._script).read_text().rpartition("\n")[0].splitlines()
        return [_read_request(json.loads(line)) for line in lines]


@contextmanager
def inside(machine: Machine, *steps: Step, port: int = 8123) -> Iterator[Inside]:
    """Run a model on `machine`, which has a loopback of its own, until the block ends."""
    script = Path(f"/run/model-{port}")
    model = Inside(machine, port, script)
    machine.path(script).write_text("")
    _written(machine.path(script)).write_text("")
    model.add(*steps)
    program = machine.checkout / "tests/harness/model.py"
    # It ends with its stdin: a signal to what was started on a machine goes astray.
    with machine.start(
        [machine.python, program, str(port), script], stdin=-1, stdout=-1
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline(), "the model did not start"
            yield model
        finally:
            process.stdin.close()


def _written(script: Path) -> Path:
    return script.with_name(script.name + ".requests")


def _read_request(value: Json) -> Request:
    step = {**value["step"], "tokens": tuple(value["step"]["tokens"])}
    return Request(**{**value, "step": Step(**step)})


class _Writing(Model):
    """Writes each request to a file."""

    def __init__(self, port: int, script: Path) -> None:
        super().__init__(port=port, script=ScriptFile(script))
        self.file = _written(script).open("a", buffering=1)

    def record(self, request: Request) -> None:
        self.file.write(json.dumps(asdict(request)) + "\n")


def main(port: str, script: str) -> None:
    """Serve until stdin ends."""
    with _Writing(int(port), Path(script)) as model:
        print(model.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
