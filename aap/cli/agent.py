"""`aap agent`: which agent runs, in which sessions, and whether it works."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aap import files
from aap.cli import output
from aap.cli.place import Place
from aap.errors import AapError, Exit, NotFoundError, NotRunningError

if TYPE_CHECKING:
    from aap.inbox import Spool


def show(place: Place, *, as_json: bool = False) -> int:
    """Show what would run for the next message; `aap.agent.show/1` as JSON."""
    from aap.agents import find_agent

    settings = place.settings
    agent = find_agent(settings.agent, settings.agent_init_cli, settings.agent_cli)
    program = agent.resume[0]
    facts: dict[str, Any] = {
        "agent": agent.name,
        "program": shutil.which(program),
        "fresh": list(agent.fresh),
        "resume": list(agent.resume),
        "prompt": "stdin" if agent.prompt_on_stdin else "argument",
        "mid_run_notices": agent.hooks is not None,
        "session_of": settings.session,
        "sessions": _sessions(place, agent.key),
        "notes": list(agent.notes),
    }
    if as_json:
        output.write_json("aap.agent.show/1", **facts)
        return Exit.OK
    output.fields([
        ("agent", agent.name),
        ("program", facts["program"] or f"{program} is not in this shell's PATH"),
        ("new session", shlex.join(agent.fresh) or "needs no step of its own"),
        ("each run", shlex.join(agent.resume)),
        ("prompt", "on standard input" if agent.prompt_on_stdin else "as the last argument"),
        ("mid-run", "is told of later messages" if agent.hooks else "looks by aap inbox new"),
        *[("session", _session_text(each)) for each in facts["sessions"]],
        *[("note", note) for note in agent.notes],
    ])  # fmt: skip
    return Exit.OK


def _sessions(place: Place, key: str) -> list[dict[str, Any]]:
    """Return those that the next run may go on with: not another agent's."""
    found = []
    for path in _slots(place):
        try:
            facts = json.loads(files.read_plain(path))
        except (OSError, ValueError):
            continue
        members = ("conversation", "id", "started", "runs", "failures")
        if isinstance(facts, dict) and facts.get("key") == key:
            found.append({"slot": path.stem} | {each: facts.get(each) for each in members})
    return found


def _session_text(session: dict[str, Any]) -> str:
    age = output.age(time.time() - (session["started"] or 0))
    whose = session["conversation"] or "workspace"
    return output.one_line(
        f"{whose}: {session['id'] or 'no id'}, {age} old, {output.counted(session['runs'], 'run')}"
    )


def init(place: Place, *, conversation: str | None = None) -> int:
    """Have the next run start a new session: of every slot, or of one conversation."""
    forgotten = 0
    for path in _slots(place):
        if conversation is None or _belongs(path, conversation):
            files.remove(path, missing_ok=True)
            forgotten += 1
    if conversation is not None and not forgotten:
        raise NotFoundError(f"no session of {conversation!r}", hint="aap agent show")
    output.note("the next run starts a new session")
    return Exit.OK


def _slots(place: Place) -> list[Path]:
    """Find the files of the sessions. Raises OSError, which Path.glob keeps to itself."""
    folder = place.spool.root / "sessions"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names) if name.endswith(".json") and name[0] != "."]


def _belongs(path: Path, conversation: str) -> bool:
    try:
        return bool(json.loads(files.read_plain(path)).get("conversation") == conversation)
    except (OSError, ValueError):
        return False


def test(place: Place, *, here: bool = False, as_json: bool = False) -> int:
    """Run the agent once, under the worker unit's own environment, and tell how it went.

    With `here`, in this shell's; else a worker that sits out an outage of the agent tries
    again at once where it answers. Returns Exit.FAILED if it did not.
    JSON: `aap.agent.test/1`.
    """
    if not here and not as_json:
        output.note("running the agent once, as the worker would …")
    facts = _try_here(place) if here else _try_under_unit(place)
    if as_json:
        output.write_json("aap.agent.test/1", under_unit=not here, **facts)
    else:
        _print_trial(facts, here=here)
    if facts["verdict"] == "ok" and not here and try_at_once(place.spool) and not as_json:
        output.note("messages that waited for it are tried again now")
    return Exit.OK if facts["verdict"] == "ok" else Exit.FAILED


def try_at_once(spool: Spool) -> bool:
    """Have a worker that sits out an outage try the agent again now; False where none does."""
    from aap.cli.activity import OUTAGE

    try:
        (spool.root / OUTAGE).unlink()
    except FileNotFoundError:
        return False
    return True


def _try_under_unit(place: Place) -> dict[str, Any]:
    from aap.systemd.manager import Manager
    from aap.systemd.trial import run_trial

    try:
        return _read(run_trial(Manager(), place.settings.workspace))
    except NotRunningError as error:
        raise NotRunningError(str(error), hint=error.hint or "aap agent test --here") from error


def _try_here(place: Place) -> dict[str, Any]:
    import sys

    from aap import identity, process

    workspace = str(place.settings.workspace)
    argv = [sys.executable, "-I", "-m", "aap.worker", "--workspace", workspace, "--try"]
    identity.follow(place.settings.workspace)
    return _read(process.run(argv, timeout=200, family=True).out)


def _read(printed: str) -> dict[str, Any]:
    line = printed.strip().rpartition("\n")[2]
    try:
        facts = json.loads(line)
    except ValueError:
        raise AapError(f"the trial failed: {line.removeprefix('<3>') or 'no answer'}") from None
    return dict(facts)


def _print_trial(facts: dict[str, Any], *, here: bool) -> None:
    usage = facts.get("usage")
    logged_in = {True: "yes", False: "no", None: ""}[facts.get("logged_in")]
    well = facts["verdict"] == "ok"
    output.fields([
        (name, output.one_line(str(value)))
        for name, value in (
            ("agent", facts["agent"]),
            ("where", "this shell" if here else "the worker's unit"),
            ("found", facts["program"] or f"no; PATH is {facts['path']}"),
            ("version", facts["version"]),
            ("logged in", logged_in),
            ("answers", "yes" if well else f"no: {facts['reason']}"),
            ("took", f"{facts['seconds']} s" if "seconds" in facts else ""),
            ("tokens", f"{usage['input']} in ({usage['cached']} cached), {usage['output']} out"
                       if usage else ""),
            ("said", " / ".join(facts.get("printed", [])[:5])),
        )
        if value
    ])  # fmt: skip
