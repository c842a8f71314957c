"""The real codex and the real claude under the worker's real sandbox, at home where they live."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from harness.agents import CODEX_CONFIG, programs_or_skip
from harness.machine import Machine, User
from harness.model import Inside, inside, run, say
from harness.wait import wait_until

from aap.log import Line, parse_line

pytestmark = [pytest.mark.systemd, pytest.mark.slow]

PROGRAMS = "/opt/aap/.cache/agents/bin"
SPOOL = ".openclaw/workspace/.ai-agent-proxy"
CLAUDE = {
    "ANTHROPIC_API_KEY": "stub",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
}


@pytest.fixture(scope="session")
def programs() -> Path:
    """The programs, in the checkout before a machine shows it."""
    return programs_or_skip()


@pytest.fixture
def home(programs: Path, machine: Machine, user: User) -> User:
    """A user who has used both agents before, as far as their folders go."""
    user.write(".ssh/id", "secret\n", 0o600)
    user.run(["mkdir", "-p", ".codex"])
    user.write(".claude/settings.json", "{}\n")
    return user


def live_with(user: User, model: Inside, agent: str) -> None:
    """Configure `agent` as people do, in its usual folder, and install aap."""
    environ = {"STUB_KEY": "stub", "ANTHROPIC_BASE_URL": model.url, **CLAUDE}
    lines = "".join(f"Environment={name}={value}\n" for name, value in environ.items())
    user.write(".config/systemd/user/aap-worker@.service.d/model.conf", f"[Service]\n{lines}")
    user.write(".codex/config.toml", CODEX_CONFIG.format(url=model.url))
    user.write(".config/aap/aap.conf", f"AGENT={agent}\n", 0o600)
    user.aap(
        "install", "--user", env={"PATH": f"{PROGRAMS}:{user.machine.aap.parent}:/usr/bin:/bin"}
    )


def send(user: User, text: str) -> str:
    message_id = user.aap("inbox", "add", "--text", text).stdout.strip()
    done = user.path(f"{SPOOL}/done")
    wait_until(lambda: any(done.glob(f"{message_id}*")), 60, f"{text!r} to be handled")
    return message_id


def log(user: User) -> list[Line]:
    paths = sorted(user.path(f"{SPOOL}/logs").glob("*.log"))
    lines = [parse_line(line) for path in paths for line in path.read_text().splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("agent", ["codex", "claude"])
def test_it_works_and_cannot_get_out(home: User, agent: str) -> None:
    tried = "cat ~/.ssh/id; echo made > made; systemd-run --user true"
    for settings in ("~/.claude/settings.json", "~/.codex/config.toml"):
        tried += f"; echo '#made' >> {settings}"
    probe = shlex.join(["sh", "-c", tried])
    with inside(home.machine) as model:
        model.add(run(probe, when="first message"), say("Handled.", times=0))
        live_with(home, model, agent)
        send(home, "the first message")
        send(home, "the second message")
        requests = model.requests
    assert home.path(".openclaw/workspace/made").read_text() == "made\n"
    assert home.path(".claude/settings.json").read_text() == "{}\n"
    assert "#made" not in home.path(".codex/config.toml").read_text()
    shown = "\n".join(request.shown for request in requests)
    assert "Permission denied" in shown
    assert "secret" not in shown
    assert len({request.session for request in requests}) == 1, "the session was not resumed"
    assert not [line for line in log(home) if line.event in {"failed", "outage", "deferred"}]


def test_the_doctor_asks_claude_whether_it_is_logged_in(home: User) -> None:
    user, path = home, {"PATH": f"{PROGRAMS}:{home.machine.aap.parent}:/usr/bin:/bin"}
    user.write(".config/aap/aap.conf", "AGENT=claude\n", 0o600)
    user.aap("install", "--user", env=path)

    def login() -> dict[str, str]:
        result = user.aap("doctor", "--json", "--only", "agent.login", check=False)
        (finding,) = json.loads(result.stdout)["findings"]
        return dict(finding)

    assert (login()["severity"], login()["fix"]) == ("warn", "claude auth login")
    drop_in = "[Service]\nEnvironment=ANTHROPIC_API_KEY=stub\n"
    user.write(".config/systemd/user/aap-worker@.service.d/key.conf", drop_in)
    user.systemctl("daemon-reload")
    assert login()["severity"] == "ok"
