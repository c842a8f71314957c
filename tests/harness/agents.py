"""The real codex and the real claude, for tests, with a stub in place of their models.

The programs come from the npm registry, once (scripts/agents), and lie in the
checkout, so that a booted machine sees them as well. Each agent gets a home of its
own, from which it knows nothing but the stub.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# Asked for here, because tests run without any variable AAP_…
REQUIRED = os.environ.get("AAP_REQUIRE_AGENTS") == "1"
CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(".cache/agents/bin")  # below a checkout

CODEX_CONFIG = """\
model = "gpt-5.1-codex"
model_provider = "stub"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.stub]
name = "stub"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "STUB_KEY"
request_max_retries = 0
stream_max_retries = 0
"""


class AgentsError(Exception):
    """The agent programs cannot be had here; the text says why."""


def install_agents() -> Path:
    """Return the folder with the programs `codex` and `claude`; download them if need be.

    Raises AgentsError where that cannot be done: no npm, no network.
    """
    # npm reads its settings, a mirror or a proxy, from the home that tests are kept from.
    settings = Path(pwd.getpwuid(os.geteuid()).pw_dir, ".npmrc")
    env = os.environ | ({"NPM_CONFIG_USERCONFIG": str(settings)} if settings.exists() else {})
    done = subprocess.run(
        [CHECKOUT / "scripts/agents"], capture_output=True, text=True, check=False, env=env
    )
    if done.returncode != 0:
        raise AgentsError(done.stderr.strip())
    return CHECKOUT / PROGRAMS


def programs_or_skip() -> Path:
    """Return what install_agents does; where it cannot, skip the test, in CI fail it."""
    try:
        return install_agents()
    except AgentsError as error:
        if REQUIRED:
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def configure_codex(home: Path, url: str) -> dict[str, str]:
    """Write the settings of a codex whose model is at `url`; return its environment."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(CODEX_CONFIG.format(url=url))
    return {"CODEX_HOME": str(home), "STUB_KEY": "stub"}


def configure_claude(home: Path, url: str) -> dict[str, str]:
    """Return the environment of a claude whose model is at `url` and that lives in `home`."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "CLAUDE_CONFIG_DIR": str(home),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "stub",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",  # or it refuses --dangerously-skip-permissions as root
    }


@dataclass(frozen=True)
class Answer:
    """What one run said of itself."""

    session: str
    ok: bool
    text: str  # its last words, or what went wrong
    tokens: tuple[int, int, int] | None  # input with cached, of them cached, output
    cost: float | None = None  # US dollars


@dataclass(frozen=True)
class Agent:
    """One agent program, at home in a folder of its own, that works in `cwd`."""

    name: str
    program: Path
    cwd: Path
    env: Mapping[str, str] = field(repr=False)

    def fresh(self, *more: str) -> list[str]:
        """The words that begin a session; the prompt comes on stdin."""
        raise NotImplementedError

    def resume(self, session: str, *more: str) -> list[str]:
        """The words that take a session up again; the prompt comes on stdin."""
        raise NotImplementedError

    def with_hooks(self, command: Path) -> list[str]:
        """The words that have `command` run after each tool call and before the end."""
        raise NotImplementedError

    def read(self, printed: str) -> Answer:
        """Read what a run printed."""
        raise NotImplementedError

    def run(
        self, words: Sequence[str], prompt: str, timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        process = self.start(words, prompt)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(self, words: Sequence[str], prompt: str) -> subprocess.Popen[str]:
        """Start with `prompt` as its stdin."""
        prompts = self.cwd / ".prompt"
        prompts.write_text(prompt)
        with prompts.open() as stdin:
            return subprocess.Popen(
                [self.program, *words],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=self.cwd,
                env=self.env,
            )


class Codex(Agent):
    """codex exec."""

    FLAGS = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json")

    def fresh(self, *more: str) -> list[str]:
        return ["exec", *self.FLAGS, *more, "-"]

    def resume(self, session: str, *more: str) -> list[str]:
        return ["exec", "resume", *self.FLAGS, *more, session, "-"]

    def with_hooks(self, command: Path, *, trusted: str = "hash") -> list[str]:
        """Codex runs no hook that nobody trusts: not at all, this one by its hash, or all."""
        # A JSON string is a TOML string as well.
        words = json.dumps(str(command))
        hook = f'[{{hooks=[{{type="command",command={words},timeout=10}}]}}]'
        settings = [f"hooks.PostToolUse={hook}", f"hooks.Stop={hook}"]
        if trusted == "hash":
            hashes = [_hook_hash(event, str(command)) for event in ("post_tool_use", "stop")]
            settings.append(f"hooks.state={{{','.join(hashes)}}}")
        flags = ["--dangerously-bypass-hook-trust"] if trusted == "all" else []
        return [*flags, *(word for setting in settings for word in ("-c", setting))]

    def read(self, printed: str) -> Answer:
        events = [json.loads(line) for line in printed.splitlines()]
        last: dict[str, Any] = {event["type"]: event for event in events}
        session = last.get("thread.started", {}).get("thread_id", "")
        if "turn.completed" not in last:
            text = last.get("turn.failed", {}).get("error", {}).get("message", "")
            return Answer(session, False, text, None)
        usage = last["turn.completed"]["usage"]
        tokens = tuple(
            usage[name] for name in ("input_tokens", "cached_input_tokens", "output_tokens")
        )
        items = [event["item"] for event in events if event["type"] == "item.completed"]
        said = [item["text"] for item in items if item["type"] == "agent_message"]
        return Answer(session, True, said[-1], tokens)


def _hook_hash(event: str, command: str) -> str:
    """The entry of `hooks.state` that trusts this one hook, given by -c; see hooks/list."""
    hook = {"async": False, "command": command, "timeout": 10, "type": "command"}
    identity = json.dumps(
        {"event_name": event, "hooks": [hook]}, sort_keys=True, separators=(",", ":")
    )
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return f'"/<session-flags>/config.toml:{event}:0:0"={{trusted_hash="sha256:{digest}"}}'


class Claude(Agent):
    """claude -p."""

    FLAGS = ("--dangerously-skip-permissions", "--output-format", "json")

    def fresh(self, *more: str) -> list[str]:
        return ["-p", *self.FLAGS, *more]

    def resume(self, session: str, *more: str) -> list[str]:
        return ["-p", *self.FLAGS, *more, "--resume", session]

    def with_hooks(self, command: Path) -> list[str]:
        hook = [{"hooks": [{"type": "command", "command": str(command), "timeout": 10}]}]
        return ["--settings", json.dumps({"hooks": {"PostToolUse": hook, "Stop": hook}})]

    def read(self, printed: str) -> Answer:
        if not printed:
            return Answer("", False, "", None)
        result = json.loads(printed)
        usage = result["usage"]
        cached = usage["cache_read_input_tokens"]
        written = usage["cache_creation_input_tokens"]
        tokens = (usage["input_tokens"] + cached + written, cached, usage["output_tokens"])
        # Interrupted, it may say nothing but that it is an error.
        text, cost = result.get("result", ""), result["total_cost_usd"]
        return Answer(result["session_id"], not result["is_error"], text, tokens, cost)


def codex_at(home: Path, url: str, programs: Path) -> Codex:
    """Return a codex that lives in `home` and whose model is at `url`."""
    return Codex("codex", programs / "codex", *_dwelling(home, configure_codex(home, url)))


def claude_at(home: Path, url: str, programs: Path) -> Claude:
    """Return a claude that lives in `home` and whose model is at `url`."""
    return Claude("claude", programs / "claude", *_dwelling(home, configure_claude(home, url)))


def _dwelling(home: Path, env: Mapping[str, str]) -> tuple[Path, Mapping[str, str]]:
    cwd = home / "workspace"
    cwd.mkdir(exist_ok=True)
    return cwd, {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **env}
