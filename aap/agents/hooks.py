"""The words by which an agent CLI runs a command after each tool call and before its end."""

from __future__ import annotations

import json

_TIMEOUT = 10  # seconds
_EVENTS = ("PostToolUse", "Stop")


def claude_hooks(command: str) -> tuple[str, ...]:
    """Return the words for claude: settings for this call, beside the user's own."""
    hook = [{"hooks": [{"type": "command", "command": command, "timeout": _TIMEOUT}]}]
    return ("--settings", json.dumps({"hooks": dict.fromkeys(_EVENTS, hook)}))


def codex_hooks(command: str) -> tuple[str, ...]:
    """Return the words for codex, which runs no hook that nobody trusts, and says nothing of it.

    Ours is trusted by its hash, so that no other one is: the flag
    --dangerously-bypass-hook-trust would trust whatever lies in the workspace.
    """
    # A JSON string is a TOML string as well.
    hook = f'[{{hooks=[{{type="command",command={json.dumps(command)},timeout={_TIMEOUT}}}]}}]'
    trusted = ",".join(_trust(event, command) for event in ("post_tool_use", "stop"))
    settings = [*(f"hooks.{event}={hook}" for event in _EVENTS), f"hooks.state={{{trusted}}}"]
    return tuple(word for setting in settings for word in ("-c", setting))


def _trust(event: str, command: str) -> str:
    """The entry of `hooks.state` for one hook; the hash is codex's own, of its canonical JSON."""
    from hashlib import sha256

    hook = {"async": False, "command": command, "timeout": _TIMEOUT, "type": "command"}
    identity = json.dumps(
        {"event_name": event, "hooks": [hook]}, sort_keys=True, separators=(",", ":")
    )
    digest = sha256(identity.encode()).hexdigest()
    return f'"/<session-flags>/config.toml:{event}:0:0"={{trusted_hash="sha256:{digest}"}}'
