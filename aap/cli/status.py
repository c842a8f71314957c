"""`aap status`: one screen that says whether a message would be taken and handled."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aap import SPOOL_FOLDER
from aap.cli import output
from aap.cli.activity import LastRun, Outage, Queue, Run, look_at_spool
from aap.cli.place import Place, at_workspace
from aap.config.registry import read_registry
from aap.errors import AapError, ConfigError, Exit, NotRunningError
from aap.inbox import Pause, check_format
from aap.mode import USER, find_mode, install_command

if TYPE_CHECKING:
    from aap.systemd.manager import Unit
    from aap.systemd.record import Record
    from aap.systemd.status import Status, WorkspaceUnits

Row = tuple[str, str]

_START = 2.0  # seconds that a worker may take to be started for a message

_OUTCOMES = {
    "ok": ("ended well", ""),
    "failed": ("failed", "red"),
    "outage": ("failed", "red"),
    "lost": ("failed", "red"),
    "stopped": ("was stopped", "yellow"),
}


@dataclass(frozen=True)
class View:
    """One workspace: what its spool says, and what systemd says if it could be asked."""

    name: str
    path: Path
    queue: Queue
    units: WorkspaceUnits | None
    agent: str  # of the next run; "" where none is configured
    trouble: str  # why its settings cannot be read, or ""


@dataclass(frozen=True)
class Picture:
    """All that `aap status` shows. `units` is None where systemd cannot be asked."""

    record: Record | None
    units: Status | None
    trouble: AapError | None  # why systemd cannot be asked
    workspaces: tuple[View, ...]

    @property
    def is_armed(self) -> bool:
        """Whether a request would be taken and handled, now and after a reboot."""
        return self.units is not None and self.units.is_armed


def status(place: Place, *, watch: bool = False, as_json: bool = False) -> int:
    """Show socket, API, and for each workspace its watch, worker, agent and messages.

    Returns Exit.BAD_CONFIG where the settings cannot be read; Exit.NOT_RUNNING where aap
    is not installed or not armed, and where systemd cannot be asked: what the spool says is
    shown all the same. The JSON is one document, schema `aap.status/1`; with `watch` one a
    line, for each change.
    """
    if watch:
        from aap.cli.redraw import watch_for_changes

        watch_for_changes(lambda: take(place), members, lines, "aap.status/1" if as_json else None)
    picture = take(place)
    if as_json:
        output.write_json("aap.status/1", **members(picture))
    else:
        _print(picture)
    try:
        place.loaded  # noqa: B018 - raises where the settings are wrong
    except ConfigError as error:
        output.warn(str(error), error.hint)
        return error.code
    return Exit.OK if picture.is_armed else Exit.NOT_RUNNING


def take(place: Place) -> Picture:
    """Look at everything once. Raises ConfigError only where no record names the workspaces."""
    from aap.systemd import record
    from aap.systemd.manager import Manager
    from aap.systemd.status import look

    manager = Manager()
    known = record.read(manager.mode)
    paths = place.chosen(known.plan.workspaces if known else place.loaded.workspaces)
    found, trouble = None, None
    try:
        found = look(manager, paths)
    except NotRunningError as error:
        trouble = error
    units = {each.path: each for each in found.workspaces} if found else {}
    views = tuple(
        View(name, path, _queue(path / SPOOL_FOLDER), units.get(path), *_agent(place, path))
        for name, path in paths.items()
    )
    return Picture(known, found, trouble, views)


def _queue(root: Path) -> Queue:
    check_format(root)
    return look_at_spool(root)


def _agent(place: Place, path: Path) -> tuple[str, str]:
    """Name the agent of a workspace, whose file may say otherwise than the user's; or the trouble.

    Where no agent is configured there is neither.
    """
    from aap import config
    from aap.agents import find_agent

    try:
        settings = config.load(workspace=str(path), config_file=place.config).settings
    except AapError as error:
        return "", str(error).splitlines()[0]
    try:
        return find_agent(settings.agent, settings.agent_init_cli, settings.agent_cli).name, ""
    except AapError as error:
        return "", str(error) if settings.agent else ""


# Shown to people


def _print(picture: Picture) -> None:
    for line in lines(picture):
        output.write(line)
    if picture.trouble:
        output.note(f"  {picture.trouble.hint}")
    elif picture.record is None:
        _tell_machines()
        output.note(f"  {install_command()}")
    elif not picture.is_armed:
        output.note("not all is armed")
        output.note("  aap doctor   says what is wrong, and what mends it")


def _tell_machines() -> None:
    """Say that the machine has an aap, to a user who has none and is not of its group."""
    from aap.systemd import record

    if find_mode() == USER and record.is_on_machine():
        output.note("the machine has one, which aap send uses; the group aap needs no key for it")
        output.note("one of your own needs another port: aap config set PORT 7012")


def lines(picture: Picture) -> list[str]:
    """Return the screen, a line each."""
    shown: list[str] = []
    if picture.trouble:
        said = output.paint(f"cannot be asked: {picture.trouble}", "red")
        shown += _fields([("systemd", said)])
    elif picture.record is None:
        whom = "this user" if find_mode() == USER else "this machine"
        shown.append(f"aap is not installed for {whom}")
    elif picture.units:
        socket = picture.units.socket
        address = " and ".join(socket.listen) if socket.active == "active" else ""
        rows = [("socket", _socket(picture.units)), ("address", address)]
        shown += _fields([*rows, ("API", _api(picture.units.api))])
    for each in picture.workspaces:
        if picture.record is None and not (each.path / SPOOL_FOLDER).is_dir():
            continue
        shown += ["", *_fields([("workspace", f"{each.name}, {each.path}"), *_rows(each)])]
    return shown


def _fields(rows: list[Row]) -> list[str]:
    # One width for all blocks, so that nothing moves while one watches.
    return [
        line
        for name, value in rows
        if value
        for line in output.hang(f"{output.paint(name.ljust(10), 'dim')}  ", value)
    ]


def _socket(found: Status) -> str:
    if found.socket.active != "active":
        return output.paint(_trouble(found.socket, "not listening"), "red")
    extra = "" if found.socket.is_armed else ", but not after a reboot"
    return f"listening for {_age_of(found.socket)}{extra}"


def _api(api: Unit) -> str:
    from aap.systemd.status import state_of

    state = state_of(api)
    if state == "idle":
        return "idle, as it should be between requests"
    if state == "running":
        return f"running for {_age_of(api)} (pid {api.pid})"
    return output.paint(_trouble(api, state), "red" if state == "failed" else "yellow")


def _rows(each: View) -> list[Row]:
    now, queue = time.time(), each.queue
    rows = [("inbox", _inbox(each))]
    if each.units:
        rows.append(("worker", _worker(each.units.worker, queue, now)))
    rows += [("agent", _at_work(each, now)), ("messages", _counts(queue, now))]
    if queue.next_retry is not None:
        rows.append(("next retry", _when(queue.next_retry - now)))
    if queue.last_run:
        rows.append(("last run", _last_run(queue.last_run, now)))
    return rows


def _inbox(each: View) -> str:
    if each.queue.pause:
        return _paused(each.queue.pause, each.name)
    return _watch(each.units) if each.units else output.paint("unknown", "yellow")


def _paused(pause: Pause, name: str) -> str:
    since = output.age(time.time() - pause.since)
    why = f": {output.one_line(pause.reason)}" if pause.reason else ""
    said = output.paint(f"paused for {since}{why}", "yellow")
    return f"{said}; {at_workspace('aap resume', None if name == _default() else name)}"


def _default() -> str:
    from aap import config

    try:
        return read_registry(config.workspaces_file()).default
    except AapError:
        return ""


def _watch(each: WorkspaceUnits) -> str:
    if each.watch.active != "active":
        return output.paint(_trouble(each.watch, "not watched"), "red")
    timer = "" if each.timer.is_armed else "; retries are not timed"
    return ("watched" if each.watch.is_armed else "watched, but not after a reboot") + timer


def _worker(worker: Unit, queue: Queue, now: float) -> str:
    from aap.systemd.status import state_of

    state = state_of(worker)
    if state == "running":
        return output.paint(f"running for {_age_of(worker)} (pid {worker.pid})", "green")
    if state == "idle" and queue.pause:
        return "idle while the workspace is paused"
    if state == "idle" and queue.oldest and now - queue.oldest_at > _START:
        return output.paint("idle, although messages wait", "yellow")
    if state == "idle":
        return "idle, as it should be while nothing waits"
    return output.paint(_trouble(worker, state), "red" if state == "failed" else "yellow")


def _age_of(unit: Unit) -> str:
    return output.age(time.clock_gettime(time.CLOCK_MONOTONIC) - unit.active_since)


def _trouble(unit: Unit, state: str) -> str:
    if unit.load not in ("loaded", "not-found"):
        return f"{state} ({unit.load})"
    return state if unit.result in ("", "success") else f"{state} ({unit.result})"


def _at_work(each: View, now: float) -> str:
    queue = each.queue
    trouble = output.paint(output.one_line(each.trouble), "red") + "; aap config validate"
    if queue.run:
        said = output.paint(_run(queue.run, now, after_outage=queue.outage is not None), "green")
        return f"{said}; {trouble}" if each.trouble else said
    if each.trouble:
        return trouble
    if queue.outage:
        reason, wait = output.one_line(queue.outage.reason), queue.outage.retry_at - now
        since = output.age(now - queue.outage.since)
        return output.paint(f"out of order for {since}: {reason}; next try {_when(wait)}", "red")
    if each.agent:
        return f"{each.agent}, idle"
    return output.paint("none is configured", "yellow") + "; aap config set AGENT codex"


def _run(run: Run, now: float, *, after_outage: bool) -> str:
    before = "; was out of order before" if after_outage else ""
    said = f"{run.agent} at work for {output.age(now - run.started)} (pid {run.pid}{before})"
    if not run.ids:
        return f"{said}, opening a session"
    messages = run.ids[0] if len(run.ids) == 1 else output.counted(len(run.ids), "message")
    return f"{said}, on {messages}" + (f" of {run.conversation}" if run.conversation else "")


def _last_run(run: LastRun, now: float) -> str:
    words, colour = _OUTCOMES.get(run.outcome, (run.outcome, ""))
    said = f"{words} {output.age(now - run.ended)} ago, after {run.seconds:.1f} s"
    reason = f": {output.one_line(run.reason)}" if run.reason and run.outcome != "ok" else ""
    return output.paint(said + reason, colour)


def _when(seconds: float) -> str:
    return f"in {output.age(seconds)}" if seconds > 0 else "due now"


def _counts(queue: Queue, now: float) -> str:
    words = {"inbox": "waiting", "active": "at work", "hold": "on hold"}
    said = [f"{n} {words.get(state, state)}" for state, n in queue.counts.items() if n]
    text = ", ".join(said) or "none"
    if queue.oldest:
        text += f"; the oldest waits for {output.age(now - queue.oldest_at)}"
    return text


# Shown to programs


def members(picture: Picture) -> dict[str, Any]:
    """Return what `aap.status/1` holds. None stands for what could not be asked."""
    known, found = picture.record, picture.units
    return {
        "installed": known is not None,
        "armed": picture.is_armed,
        "trouble": picture.trouble and str(picture.trouble),
        "version": known.aap if known else None,
        "sandbox": ("full" if known.plan.mounts else "seccomp") if known else None,
        "socket": _socket_members(found.socket) if found else None,
        "api": _service_members(found.api) if found else None,
        "workspaces": [_workspace_members(each) for each in picture.workspaces],
    }


def _socket_members(socket: Unit) -> dict[str, Any]:
    listening = socket.active == "active"
    return {
        "listening": listening,
        "since": _since(socket) if listening else None,
        "armed": socket.is_armed,
        "result": socket.result,
        "listen": socket.listen,
    }


def _service_members(service: Unit) -> dict[str, Any]:
    from aap.systemd.status import state_of

    running = service.active == "active"
    since = _since(service) if running else None
    return {"state": state_of(service), "pid": service.pid or None, "since": since}


def _since(unit: Unit) -> str:
    # In whole seconds: the two clocks drift, and a watcher would see a change each time.
    ago = time.clock_gettime(time.CLOCK_MONOTONIC) - unit.active_since
    return output.iso(round(time.time() - ago))


def _workspace_members(each: View) -> dict[str, Any]:
    units, queue = each.units, each.queue
    return {
        "name": each.name,
        "path": each.path,
        "watched": units and units.watch.active == "active",
        "armed": units and units.is_armed,
        "retries_timed": units and units.timer.is_armed,
        "worker": units and _service_members(units.worker),
        "agent": each.agent or None,
        "trouble": each.trouble or None,
        "run": queue.run and _run_members(queue.run),
        "last_run": queue.last_run and _last_run_members(queue.last_run),
        "messages": queue.counts,
        "oldest": {"id": queue.oldest, "arrived": _iso(queue.oldest_at)} if queue.oldest else None,
        "next_retry": _iso(queue.next_retry),
        "paused": queue.pause
        and {"since": _iso(queue.pause.since), "reason": queue.pause.reason or None},
        "outage": queue.outage and _outage_members(queue.outage),
    }


def _run_members(run: Run) -> dict[str, Any]:
    return {
        "agent": run.agent,
        "pid": run.pid,
        "started": _iso(run.started),
        "conversation": run.conversation or None,
        "ids": run.ids,
    }


def _last_run_members(run: LastRun) -> dict[str, Any]:
    reason = run.reason or None
    return {
        "ended": _iso(run.ended),
        "outcome": run.outcome,
        "reason": reason,
        "seconds": run.seconds,
    }


def _outage_members(outage: Outage) -> dict[str, Any]:
    since, retry_at = _iso(outage.since), _iso(outage.retry_at)
    return {"reason": outage.reason, "since": since, "retry_at": retry_at}


def _iso(moment: float | None) -> str | None:
    return None if moment is None else output.iso(moment)
