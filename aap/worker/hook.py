"""What an agent's hook runs in mid-run: tell it of messages that came meanwhile.

    python -m aap.worker.hook WORKSPACE < EVENT > ANSWER

Codex and Claude Code call hooks with the same JSON. After a tool call the answer
adds a notice to what the model sees; when the agent is about to stop, it goes on.

Whether the CLI passed an answer on, the hook is not told: it may have been over its
time, or the agent at its end. The next event of the same run shows it. So a message
is told once, and claimed for the run at the event after that; a run that ends before
leaves it in inbox/ for the next one. What was never shown is never settled.

Tools that end together make events together: a hook that began before a message was told
is no later event. So TOLD keeps the moment, on the clock that /proc gives for processes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from aap import SPOOL_FOLDER, files
from aap.agents.prompt import Item, later_prompt
from aap.bodies import digest
from aap.errors import Exit, FormatError, describe
from aap.inbox import NO_FILE, Entry, Spool, check_format, read_pause
from aap.message import Digest, State, id_time

RUN_FILE = "RUN"  # what runs now, for `aap status` and for this; gone when nothing does
TOLD_FILE = "TOLD"  # a line for each message that a run was told of: its key, the moment, the id
_EVENTS = frozenset(("PostToolUse", "Stop"))
_WINDOW = 256
_MOST = 20


class _Run(NamedTuple):
    key: str
    conversations: frozenset[str]


def tell(workspace: Path, event: bytes, out: int = 1, *, since: int | None = None) -> None:
    """Write the hook's answer to `out`; nothing if there is nothing to tell.

    The event is of `since`, in nanoseconds since boot, or of now.
    """
    since = _now() if since is None else since
    spool = Spool(workspace / SPOOL_FOLDER)
    name = _event_name(event)
    run = _read_run(spool.root) if name in _EVENTS else None
    if run is None:
        return
    told = _read_told(spool.root, run)
    _claim(spool, {ident for ident, moment in told.items() if moment < since})
    later = [] if read_pause(spool.root) else _later(spool, run, told)
    if later:
        now = time.time()
        items = [Item(entry.id, said, max(0.0, now - id_time(entry.id))) for entry, said in later]
        answer = json.dumps(_answer(name, later_prompt(items))).encode()
        ids = [item.id for item in items]
        _tell_once(spool.root, run, ids, lambda: files.write_all(out, answer))


def forget_run(root: Path) -> None:
    """Take away what hooks knew of a run that has ended."""
    for name in (RUN_FILE, TOLD_FILE):
        with suppress(OSError):
            (root / name).unlink()


def _event_name(event: bytes) -> str:
    """Name the event; empty for one of a subagent, whose answer the agent itself does not see."""
    try:
        facts = json.loads(event)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(facts, dict) or facts.get("agent_id"):
        return ""
    return str(facts.get("hook_event_name", ""))


def _read_run(root: Path) -> _Run | None:
    """Return the run that the event is of, if it is about conversations."""
    with suppress(OSError, ValueError, LookupError, TypeError, FormatError):
        check_format(root)
        facts = json.loads(files.read_plain(root / RUN_FILE))
        conversations = frozenset(map(str, facts["conversations"]))
        key = f"{facts.get('pid')}/{facts.get('started')}"
        return _Run(key, conversations) if conversations else None
    return None


def _now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _process_start() -> int:
    """When this process was made, in nanoseconds since boot, rounded up: proc(5), starttime.

    By its own clock it began when Python had been loaded: on a busy machine a second later.
    """
    try:
        facts = files.read_plain(Path("/proc/self/stat")).rpartition(b")")[2].split()
        return (int(facts[19]) + 1) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, LookupError):  # no /proc
        return _now()


def _read_told(root: Path, run: _Run) -> dict[str, int]:
    """Return what the run was told of, and when, in nanoseconds since boot."""
    try:
        lines = files.read_plain(root / TOLD_FILE).decode("ascii", "replace").splitlines()
    except OSError:
        return {}
    words = [line.split(" ") for line in lines]
    ours = [each for each in words if len(each) == 3 and each[0] == run.key]
    return {ident: int(moment) for _, moment, ident in ours if moment.isdigit()}


def _tell_once(root: Path, run: _Run, ids: list[str], tell_now: Callable[[], None]) -> None:
    """Tell, and note it after that: who is killed in between is told again, never forgotten."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(root / TOLD_FILE, flags, files.FILE_MODE)
    except OSError:
        return  # it can wait; an agent that is told at each event cannot come to its end
    try:
        with suppress(OSError):
            files.write_all(fd, b"\n")  # takes the room on a full disk for what follows
            tell_now()
            files.write_all(fd, "".join(f"{run.key} {_now()} {each}\n" for each in ids).encode())
    finally:
        os.close(fd)


def _claim(spool: Spool, told: Collection[str]) -> None:
    for entry in spool.entries(State.INBOX, State.DEFERRED) if told else ():
        if entry.id in told:
            with suppress(OSError):
                spool.claim(entry)


def _later(spool: Spool, run: _Run, told: Collection[str]) -> list[tuple[Entry, Digest]]:
    """Find what waits of the conversations that the run is about, in their order."""
    found = []
    # deferred/ first: what is brought back meanwhile goes from there to inbox/.
    for entry in spool.entries(State.DEFERRED, State.INBOX, limit=_WINDOW):
        if entry.name and entry.is_message and entry.id not in told:
            try:
                said = digest(spool.read(entry))
            except OSError as error:
                if error.errno in NO_FILE:
                    continue
                break  # it, or where it moved to, may be told before the rest: that can wait
            if said.conversation and str(said.conversation) in run.conversations:
                found.append((entry, said))
    return found[:_MOST]


def _answer(name: str, text: str) -> dict[str, Any]:
    if name == "Stop":
        return {"decision": "block", "reason": text}
    return {"hookSpecificOutput": {"hookEventName": name, "additionalContext": text}}


def main(argv: list[str]) -> int:
    """Tell; a fault is one line for whoever runs the agent, which goes on."""
    try:
        tell(Path(argv[0]), sys.stdin.buffer.read(), since=_process_start())
    except OSError as error:
        with suppress(OSError):
            os.write(2, f"aap: {describe(error)}\n".encode("utf-8", "replace"))
        return Exit.FAILED
    return Exit.OK


if __name__ == "__main__":
    code = main(sys.argv[1:])
    os._exit(code)  # what was told counts as told: the CLI must have no time left to drop it
