"""The real codex and the real claude, for tests, with a stub in place of their models.

The programs come from the npm registry, once (scripts/agents), and lie in the
checkout, so that a booted machine sees them as well. Each agent gets a home of its
own, from which it knows nothing but the stub.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

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

CODEX_FLAGS = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json"]
CLAUDE_FLAGS = ["--dangerously-skip-permissions", "--output-format", "json"]


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
