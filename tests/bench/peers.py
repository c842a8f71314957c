"""The published proxies that aap is compared with, each in a virtual environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache" / "peers"
NEW, OLD = "2.3.3", "2.1.0"


def prepare(version: str) -> str:
    """Have `version` installed; return why it is not, or nothing."""
    folder = CACHE / version
    if (folder / "ready").exists():
        return ""
    try:
        _run(sys.executable, "-m", "venv", "--clear", folder)
        _run(folder / "bin/pip", "install", "--quiet", f"ai-agent-proxy=={version}")
    except (OSError, subprocess.SubprocessError) as error:
        lines = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        return f"ai-agent-proxy {version} cannot be installed: {lines[-1] if lines else error}"
    (folder / "ready").touch()
    return ""


def _run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300)


def command(version: str, workspace: Path, port: int) -> list[str]:
    """How it is started on the loopback."""
    folder = CACHE / version
    argv = [str(folder / "bin/python"), "-I", str(folder / "bin/ai-agent-proxy")]
    argv += ["--host", "127.0.0.1", "--port", str(port)]
    if version == NEW:
        return [*argv, "--inbox", str(inbox(version, workspace))]
    return [*argv, "--workspace", str(workspace)]


def inbox(version: str, workspace: Path) -> Path:
    """Where it stores."""
    return workspace / (".ai-agent-proxy/inbox" if version == OLD else "inbox")


# 2.1.0 runs an agent at its start and for each request: an agent that does nothing at once.
ENVIRONMENT = {"AGENT_INIT_CLI": "true", "AGENT_CLI": "true"}
