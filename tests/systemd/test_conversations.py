"""Whole conversations: systemd, the real worker, the real codex and claude, a stub gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import gateway
from harness.agents import CODEX_CONFIG, programs_or_skip
from harness.machine import Machine, User
from harness.model import Inside, fail, inside, run, say
from harness.wait import wait_until

from aap.log import Line, parse_line

pytestmark = [pytest.mark.systemd, pytest.mark.slow]

PROGRAMS = "/opt/aap/.cache/agents/bin"
SPOOL = ".openclaw/workspace/.ai-agent-proxy"
TOKEN = "gateway-token"
ENVIRON = {
    "STUB_KEY": "stub",
    "ANTHROPIC_API_KEY": "stub",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "DISABLE_AUTOUPDATER": "1",
}


@pytest.fixture(scope="session")
def programs() -> Path:
    """The programs, in the checkout before a machine shows it."""
    return programs_or_skip()


class Chat:
    """Ann's chat with an agent behind aap, and the model behind the agent."""

    def __init__(self, user: User, model: Inside, outside: gateway.Chat) -> None:
        self.user = user
        self.model = model
        self.outside = outside

    def script(self, *steps: object) -> None:
        self.model.add(*steps)

    def write(self, text: str) -> str:
        """Put a message of Ann's into the inbox; return its id."""
        body = {"messages": [{"role": "user", "content": text}]}
        body |= {"channel": "telegram", "target": "telegram:42"}
        raw = json.dumps(body)
        return self.user.aap("inbox", "add", "-", stdin=raw).stdout.strip()

    def state(self, message_id: str) -> str:
        shown = self.user.aap("inbox", "show", message_id, "--json").stdout
        return str(json.loads(shown)["state"])

    def wait_done(self, message_id: str) -> None:
        wait_until(lambda: self.state(message_id) == "done", 60, "the message to be handled")

    def wait_idle(self) -> None:
        """Wait for the end of the run: what comes before is told in it."""
        ends = ("run-started", "run-ended")
        wait_until(lambda: len({len(self.log(end)) for end in ends}) == 1, 60, "the run to end")

    def sent(self) -> list[str]:
        """What people saw, in order."""
        return [message for _, _, message in self.outside.delivered]

    def log(self, event: str) -> list[Line]:
        paths = sorted(self.user.path(f"{SPOOL}/logs").glob("*.log"))
        lines = [parse_line(line) for path in paths for line in path.read_text().splitlines()]
        return [line for line in lines if line and line.event == event]


@pytest.fixture(params=["codex", "claude"])
def chat(
    request: pytest.FixtureRequest, programs: Path, machine: Machine, user: User
) -> Iterator[Chat]:
    """An installed aap with a real agent, a stub model and a stub gateway."""
    user.run(["mkdir", "-p", ".codex", ".claude"])
    with inside(machine) as model, gateway.inside(machine, f"/tmp/chat-{user.uid}") as outside:
        environ = ENVIRON | {"ANTHROPIC_BASE_URL": model.url}
        lines = "".join(f"Environment={name}={value}\n" for name, value in environ.items())
        user.write(".config/systemd/user/aap-worker@.service.d/model.conf", f"[Service]\n{lines}")
        user.write(".codex/config.toml", CODEX_CONFIG.format(url=model.url))
        settings = {"gateway": {"port": 18789, "auth": {"mode": "token", "token": TOKEN}}}
        user.write(".openclaw/openclaw.json", json.dumps(settings), 0o600)
        user.write(".config/aap/aap.conf", f"AGENT={request.param}\nSETTLE=500ms\n", 0o600)
        path = f"{PROGRAMS}:{user.machine.aap.parent}:/usr/bin:/bin"
        user.aap("install", "--user", env={"PATH": path})
        yield Chat(user, model, outside)


def asks(text: str) -> str:
    """A pattern for a prompt with this message; its group is the id."""
    return rf"<<<message (\w{{20}}) [0-9a-f]{{16}}>>>\s+{text}"


def test_a_conversation_from_the_first_message_to_the_last(chat: Chat) -> None:
    # A reply, through the gateway, to the chat that the message came from.
    chat.script(run(r"aap reply \1 'Hello Ann' && aap inbox done \1", when=asks("are you there")))
    first = chat.write("are you there")
    chat.wait_done(first)
    assert chat.sent() == ["Hello Ann"]

    # A burst is one run.
    chat.wait_idle()
    burst = [chat.write(f"thought {number}") for number in range(3)]
    for message_id in burst:
        chat.wait_done(message_id)
    assert chat.log("run-started")[-1].fields["messages"] == "3"

    # What comes in mid-run is told and settled in it.
    runs = len(chat.log("run-started"))
    chat.script(run("sleep 4", when=asks("a long task")))
    long = chat.write("a long task")
    wait_until(lambda: len(chat.log("run-started")) > runs, 20, "the run to start")
    time.sleep(1)
    later = chat.write("and one more thing")
    chat.wait_done(long)
    chat.wait_done(later)
    assert [line.fields["id"] for line in chat.log("told")] == [later]
    assert len(chat.log("run-started")) == runs + 1

    # All of it in one session.
    assert len({request.session for request in chat.model.requests}) == 1
    assert chat.user.systemctl("--failed", "--plain", "--no-legend") == ""


def test_an_agent_killed_in_mid_run_does_not_reply_twice(chat: Chat) -> None:
    chat.script(
        run(r"aap reply \1 'Working on it'; sleep 60", when=asks("do it")),
        run(r"aap reply \1 'Working on it'; aap reply \1 'Done now'", when=asks("do it")),
    )
    message_id = chat.write("do it")
    wait_until(lambda: chat.sent() == ["Working on it"], 60, "the first reply")
    agent = json.loads(chat.user.path(f"{SPOOL}/RUN").read_text())["pid"]
    chat.user.run(["kill", "-KILL", str(agent)])
    wait_until(lambda: chat.state(message_id) == "deferred", 30, "the message to be deferred")
    chat.user.aap("inbox", "retry", message_id)
    chat.wait_done(message_id)
    assert chat.sent() == ["Working on it", "Done now"]
    again = [r.newest for r in chat.model.requests if "already sent for it" in r.newest]
    assert any("Working on it" in text for text in again)


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_refusing_model_backs_off_and_heals_by_itself(chat: Chat, status: int) -> None:
    if status == 500:
        chat.script(say("Ready.", when="You start a new session"))
    chat.script(fail(status, when=asks("hello")))
    message_id = chat.write("hello")
    wait_until(lambda: chat.user.path(f"{SPOOL}/OUTAGE").exists(), 60, "the outage")
    explained = chat.user.aap("explain", message_id, check=False).stdout
    assert "out of order" in explained
    chat.wait_done(message_id)
    assert not chat.user.path(f"{SPOOL}/OUTAGE").exists()
    assert chat.log("deferred") == []
