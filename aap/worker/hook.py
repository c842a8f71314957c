"""What an agent's hook runs in mid-run: tell it of messages that came meanwhile.

    python -m aap.worker.hook WORKSPACE < EVENT > ANSWER

Codex and Claude Code call hooks with the same JSON. After a tool call the answer
adds a notice to what the model sees; when the agent is about to stop, it goes on.
A message that was told is claimed, so it is told once, and ends with its run.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aap import SPOOL_FOLDER, files
from aap.agents.prompt import Item, later_prompt
from aap.bodies import digest
from aap.inbox import Entry, Spool, read_pause
from aap.message import Digest, State, id_time

RUN_FILE = "RUN"  # what runs now, for `aap status` and for this; gone when nothing does
_WINDOW = 256
_MOST = 20


def tell(workspace: Path, event: bytes, out: int = 1) -> None:
    """Write the hook's answer to `out`; nothing if there is nothing to tell."""
    spool = Spool(workspace / SPOOL_FOLDER)
    name = _event_name(event)
    tells = name in {"PostToolUse", "Stop"} and not read_pause(spool.root)
    later = _later(spool) if tells else []
    if not later:
        return
    now = time.time()
    items = [Item(entry.id, said, max(0.0, now - id_time(entry.id))) for entry, said in later]
    answer = json.dumps(_answer(name, later_prompt(items))).encode()
    # Told before it is claimed: who is killed in between is told again, never forgotten.
    files.write_all(out, answer)
    for entry, _ in later:
        with suppress(OSError):
            spool.claim(entry)


def _event_name(event: bytes) -> str:
    try:
        facts = json.loads(event)
    except (ValueError, RecursionError):
        return ""
    return str(facts.get("hook_event_name", "")) if isinstance(facts, dict) else ""


def _later(spool: Spool) -> list[tuple[Entry, Digest]]:
    """Find what waits of the conversations that the current run is about."""
    try:
        conversations = set(json.loads((spool.root / RUN_FILE).read_bytes())["conversations"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if not conversations:
        return []
    found = []
    for entry in spool.entries(State.INBOX, limit=_WINDOW):
        if entry.name and entry.is_message:
            with suppress(OSError):
                said = digest(spool.read(entry))
                if said.conversation and str(said.conversation) in conversations:
                    found.append((entry, said))
    return found[:_MOST]


def _answer(name: str, text: str) -> dict[str, Any]:
    if name == "Stop":
        return {"decision": "block", "reason": text}
    return {"hookSpecificOutput": {"hookEventName": name, "additionalContext": text}}


if __name__ == "__main__":
    tell(Path(sys.argv[1]), sys.stdin.buffer.read())
