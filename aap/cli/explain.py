"""`aap explain`: why a message, or the workspace, does not move on, and what changes it."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from aap.cli import output
from aap.cli.activity import LastRun, Run, look_at_spool, read_outage, read_run
from aap.cli.inbox import read_digest
from aap.cli.place import Place, at_workspace
from aap.errors import AapError, ConfigError, Exit, NotRunningError
from aap.inbox import Entry, Spool, is_visible
from aap.message import State, id_time, parse_name
from aap.mode import find_mode, in_mode, install_command

if TYPE_CHECKING:
    from aap.systemd.status import WorkspaceUnits

_LIMITS = ("start-limit-hit", "unit-start-limit-hit", "trigger-limit-hit")
_FOREIGN_TIME = 60.0  # seconds after which a file that wakes nobody is no file on its way
_AS_IT_SHOULD = ": nothing runs, as it should be"
_WINDOW = 1000  # messages that are looked into for who is before one
_HISTORY_DAYS = 30 * 86400.0


class Cause(NamedTuple):
    """One reason: `id` is stable, `message` for people, `fix` a command or empty.

    `blocks` is False for what is as it should be (a run goes on, a retry has its time).
    """

    id: str
    message: str
    fix: str = ""
    blocks: bool = True


class Step(NamedTuple):
    """One line of a message's history; `time` as the logs have it."""

    time: str
    source: str
    text: str


def explain(place: Place, message_id: str | None = None, *, as_json: bool = False) -> int:
    """Say why a message, or without an id the workspace, is not moving.

    The JSON is one document, schema `aap.explain/1`.
    """
    spool = place.spool
    entry = spool.find(message_id) if message_id else None
    causes = [
        cause._replace(fix=at_workspace(cause.fix, place.workspace))
        for cause in (of_message(place, entry) if entry else of_workspace(place))
    ]
    steps = history(place, entry) if entry else []
    if as_json:
        output.write_json(
            "aap.explain/1",
            id=entry.id if entry else None,
            state=entry.state.value if entry else None,
            workspace=str(spool.root.parent),
            causes=[cause._asdict() for cause in causes],
            history=[step._asdict() for step in steps],
        )
        return Exit.OK
    _print(spool, entry, causes, steps)
    if entry and steps:
        more = at_workspace(f"aap logs --id {entry.id}", place.workspace)
        output.note(f"  {more}   has every line, the agent's too")
    return Exit.OK


# A message


def of_message(place: Place, entry: Entry) -> Iterator[Cause]:
    """Say why this message is where it is."""
    spool = place.spool
    if not entry.is_message:
        reason = _reason(spool, entry)
        yield Cause("foreign", f"it is no message: {reason}", f"aap inbox rm {entry.id}")
    elif entry.state is State.DONE:
        yield Cause("done", f"it was handled {_ago(_moved(entry))}", blocks=False)
    elif entry.state is State.HOLD:
        said = f"it was put on hold {_ago(_moved(entry))}"
        yield Cause("hold", said, f"aap inbox release {entry.id}")
    elif entry.state is State.FAILED:
        said = f"it was given up after {_times(entry.attempts)}: {_reason(spool, entry)}"
        yield Cause("failed", said, f"aap inbox retry {entry.id}")
    elif entry.state is State.DEFERRED:
        yield _deferred(spool, entry)
        yield from _obstacles(place)
    elif entry.state is State.ACTIVE:
        yield from _active(spool, entry)
    else:
        yield from _before(spool, entry)
        yield from _obstacles(place)
        yield from _at_work(spool)


def _deferred(spool: Spool, entry: Entry) -> Cause:
    due = 0.0
    with suppress(OSError):
        due = spool.retry_at(entry) or 0.0
    wait = due - time.time()
    when = f"in {output.age(wait)}" if wait > 0 else "now: it is taken at the next sweep"
    said = f"after {_times(entry.attempts)} its next try is due {when}"
    fix = f"aap inbox retry {entry.id}"
    return Cause("deferred", f"{said}; the last failed: {_reason(spool, entry)}", fix)


def _active(spool: Spool, entry: Entry) -> Iterator[Cause]:
    if spool.lock_holder() == 0:
        said = "the worker that took it has died; the next one, or the sweep, brings it back"
        yield Cause("orphan", said)
        return
    run = read_run(spool)
    if run and entry.id in run.ids:
        yield _running(run)
    else:
        yield Cause("claimed", "the worker has taken it for its current run", blocks=False)


def _before(spool: Spool, entry: Entry) -> Iterator[Cause]:
    """Look what is handled before a waiting message."""
    if entry.is_foreign:
        said = "another program put it there; the worker takes it in as a message"
        yield Cause("foreign-name", said, blocks=False)
        return
    ours = _conversation(spool, entry)
    for state in (State.ACTIVE, State.INBOX):
        for other in spool.entries(state, limit=_WINDOW):
            if other.id < entry.id and other.name and ours and _conversation(spool, other) == ours:
                what = "is handled now" if state is State.ACTIVE else "goes with it"
                yield Cause("conversation", f"{other.id} of the same conversation {what}, "
                            "for it came before", blocks=state is State.ACTIVE)  # fmt: skip
                break
    waiting, total = spool.page(State.INBOX, limit=_WINDOW)
    key = (entry.attempts > 0, entry.id)
    first = [each for each in waiting if each.name and (each.attempts > 0, each.id) < key]
    if first:
        more = " at least" if total > _WINDOW else ""
        said = f"{_messages(len(first))}{more} came before it, the first is {first[0].id}"
        yield Cause("queue", said, blocks=False)


def _conversation(spool: Spool, entry: Entry) -> str:
    digest = read_digest(spool, entry)
    return str(digest.conversation) if digest and digest.conversation else ""


# The workspace


def of_workspace(place: Place) -> Iterator[Cause]:
    """Say why messages of this workspace are not handled, or that there is no reason."""
    spool = place.spool
    obstacles = [*_socket(), *_obstacles(place)]
    yield from obstacles
    yield from _at_work(spool)
    queue = look_at_spool(spool.root)
    if queue.counts["inbox"]:
        said = f"{_messages(queue.counts['inbox'])} in inbox/"
        if queue.oldest:
            said += f", the oldest for {output.age(time.time() - queue.oldest_at)}"
        yield Cause("waiting", said, blocks=False)
    if queue.next_retry is not None:
        wait = queue.next_retry - time.time()
        when = f"in {output.age(wait)}" if wait > 0 else "now"
        said = f"{_messages(queue.counts['deferred'])} put off; the next try is due {when}"
        said += _last_failure(queue.last_run)
        yield Cause("deferred", said, "aap inbox retry --all --state deferred", blocks=False)
    for state, verb in ((State.HOLD, "release"), (State.FAILED, "retry")):
        if number := queue.counts[state.value]:
            said = f"{_messages(number)} {'on hold' if verb == 'release' else 'given up'}"
            said += _last_failure(queue.last_run) if state is State.FAILED else ""
            yield Cause(state.value, said, f"aap inbox {verb} --all --state {state.value}", False)
    if not any(queue.counts[state] for state in ("inbox", "active", "deferred")):
        as_it_should = "" if any(each.blocks for each in obstacles) else _AS_IT_SHOULD
        yield Cause("idle", f"no message waits{as_it_should}", blocks=False)


def _last_failure(run: LastRun | None) -> str:
    if run is None or run.outcome not in ("failed", "lost") or not run.reason:
        return ""
    return f"; the last run failed {_ago(run.ended)}: {output.one_line(run.reason)}"


def _socket() -> Iterator[Cause]:
    """Look whether new messages get in, as far as systemd says."""
    from aap.systemd import record, units
    from aap.systemd.manager import Manager

    manager = Manager()
    with suppress(AapError):  # `_units` says it
        if record.read(manager.mode) is None:
            return
        manager.check_reachable()
        unit = manager.show(units.SOCKET)[units.SOCKET]
        if unit.active != "active":
            said = f"no new message gets in: {unit.name} is {unit.active}"
            fix = (
                manager.command("start", unit.name) if unit.load == "loaded" else install_command()
            )
            yield Cause("socket", said, fix)


def _obstacles(place: Place) -> Iterator[Cause]:
    """Find what keeps every message from being handled; the cause of causes first."""
    spool = place.spool
    queue = look_at_spool(spool.root)
    if queue.pause:
        why = f" ({output.one_line(queue.pause.reason)})" if queue.pause.reason else ""
        since = _ago(queue.pause.since)
        yield Cause("paused", f"the workspace was paused {since}{why}", "aap resume")
    yield from _units(place, paused=queue.pause is not None)
    yield from _agent(place)
    if queue.outage:
        outage, wait = queue.outage, queue.outage.retry_at - time.time()
        when = f"in {output.age(wait)}" if wait > 0 else "at the worker's next start"
        reason = output.one_line(outage.reason)
        said = f"the agent has been out of order since {_ago(outage.since)}, because {reason}"
        if queue.run:  # to start the worker again would end the very run that may mend it
            yield Cause("outage", f"{said}; a run tries it now", blocks=False)
        else:
            yield Cause("outage", f"{said}; the next try is {when}", _restart(place))
    yield from _space(place)
    yield from _strays(spool)


def _units(place: Place, *, paused: bool) -> Iterator[Cause]:
    from aap.systemd.manager import Manager
    from aap.systemd.status import look

    manager = Manager()
    folder = place.spool.root.parent
    try:
        found = look(manager, {"": folder})
    except NotRunningError as error:
        yield Cause("systemd", f"systemd cannot be asked: {error}", error.hint)
        return
    except AapError as error:
        yield Cause("systemd", str(error), error.hint)
        return
    if found.record is None:
        if place.spool.lock_holder() == 0:
            yield Cause("not-installed", "aap is not installed", install_command())
        return
    own = next((each for each in found.workspaces if each.path == folder), None)
    if own is None:
        said = f"the installation does not know the workspace {folder}"
        yield Cause("not-watched", said, place.cure(folder))
        return
    if not paused:
        yield from _watch(own, manager)
    yield from _worker(place.spool, own, manager)


def _watch(own: WorkspaceUnits, manager: Any) -> Iterator[Cause]:
    unit = own.watch
    if unit.load != "loaded":
        yield Cause("path", f"systemd does not know {unit.name}", install_command())
    elif unit.active != "active":
        fix = manager.command("start", f"'{unit.name}'")
        if unit.result in _LIMITS:
            said = f"systemd gave up watching inbox/ ({unit.result}): the worker ended too often"
            yield Cause(
                "path", said, f"{manager.command('reset-failed', repr(unit.name))} && {fix}"
            )
        else:
            yield Cause("path", f"inbox/ is not watched: {unit.name} is {unit.active}", fix)
    if own.timer.active != "active" and own.timer.load == "loaded":
        said = f"retries are not timed: {own.timer.name} is {own.timer.active}"
        yield Cause("timer", said, manager.command("start", f"'{own.timer.name}'"))


def _worker(spool: Spool, own: WorkspaceUnits, manager: Any) -> Iterator[Cause]:
    from aap.systemd.status import state_of

    state = state_of(own.worker)
    if state == "retrying":
        said = f"the worker fails ({own.worker.result}) and is started again soon"
        yield Cause("worker", said, "aap logs --worker --errors")
    elif state == "failed":
        fix = manager.command("reset-failed", f"'{own.worker.name}'")
        yield Cause("worker", f"the worker failed ({own.worker.result})", fix)
    holder = spool.lock_holder()
    tries = own.worker.pid or state == "retrying"
    if holder > 0 and tries and holder != own.worker.pid:
        said = f"another worker, process {holder}, has the lock; systemd's has to wait for it"
        yield Cause("lock", said, f"kill {holder}")


def _restart(place: Place) -> str:
    from aap.systemd import record, units
    from aap.systemd.manager import Manager

    if record.read(find_mode()) is None:
        return ""
    name = units.worker_service(place.spool.root.parent)
    return Manager().command("restart", f"'{name}'")


def _agent(place: Place) -> Iterator[Cause]:
    from aap.agents import find_agent
    from aap.cli.programs import look_for
    from aap.systemd import record

    settings = place.settings
    try:
        agent = find_agent(settings.agent, settings.agent_init_cli, settings.agent_cli)
    except ConfigError as error:
        yield Cause("agent", str(error), error.hint or "aap config set AGENT echo")
        return
    known = record.read(find_mode())
    path = known.plan.environ.get("PATH") if known else None
    search = path or os.environ.get("PATH", os.defpath)
    for each in look_for(agent, settings, search):
        if not each.path:
            yield Cause("agent", each.trouble, in_mode(each.fix))


def _space(place: Place) -> Iterator[Cause]:
    root = place.spool.root
    try:
        free = os.statvfs(root)
    except OSError:
        return
    room = free.f_bavail * free.f_frsize
    fix = f"df -h {shlex.quote(str(root))}"
    if room < place.settings.min_free:
        yield Cause("disk", f"only {output.size(room)} are free: new messages are refused", fix)
    elif free.f_files and free.f_favail < place.settings.min_free_inodes:
        said = f"only {free.f_favail} inodes are free: new messages are refused"
        yield Cause("disk", said, fix.replace("-h", "-i"))


def _strays(spool: Spool) -> Iterator[Cause]:
    inbox = spool.folder(State.INBOX)
    try:
        names = sorted(name for name in os.listdir(inbox) if not is_visible(name))
    except OSError:
        return
    strays = [name for name in names if not parse_name(name[1:]) and _is_old(inbox / name)]
    if strays:
        files = output.counted(len(strays), "file")
        said = f"{files} in inbox/ of a name that wakes nobody, as {strays[0]!r}"
        fix = shlex.join(["mv", str(inbox / strays[0]), str(inbox / "message.json")])
        yield Cause("strays", said, fix, blocks=False)


def _is_old(path: os.PathLike[str]) -> bool:
    with suppress(OSError):
        return time.time() - os.lstat(path).st_mtime > _FOREIGN_TIME
    return False


def _at_work(spool: Spool) -> Iterator[Cause]:
    if run := read_run(spool):
        yield _running(run)
    elif spool.lock_holder() and read_outage(spool.root):
        yield Cause("worker", "the worker sits out the agent's outage", blocks=False)
    elif spool.lock_holder():
        yield Cause("worker", "the worker is at work between two runs", blocks=False)


def _running(run: Run) -> Cause:
    what = f"over {_messages(len(run.ids))}" if run.ids else "that builds its session"
    where = f" of {run.conversation}" if run.conversation else ""
    said = f"a run {what}{where} began {_ago(run.started)} ({run.agent}, pid {run.pid})"
    return Cause("running", said, "aap logs --agent --follow", blocks=False)


# What has become of a message


def history(place: Place, entry: Entry) -> list[Step]:
    """Return what the logs and notes say of a message, oldest first."""
    from aap.cli.journal import Journal
    from aap.cli.logs import DailyFiles

    if entry.is_foreign:
        return []
    arrived = id_time(entry.id)
    start = max(arrived - 1, time.time() - _HISTORY_DAYS)
    lines = [
        *DailyFiles(place.spool.logs, output.iso(start)).read(only=(entry.id.encode(),)),
        *Journal(start).history(f"AAP_MESSAGE_ID={entry.id}"),
    ]
    steps = [
        Step(line.time, line.source, _step_text(line.event, line.fields))
        for line in lines
        if line.fields.get("id") == entry.id
    ]
    steps += [
        Step(output.iso(float(note["time"])), "note", _step_text(str(note.get("event", "")), note))
        for note in place.spool.notes(entry.id)
        # The logs tell these too; a reply is told by its note alone.
        if isinstance(note, dict)
        and "time" in note
        and (note.get("event") not in {"deferred", "failed", "put-aside"} or not lines)
    ]
    if not any(step.source == "api" for step in steps):
        steps.insert(0, Step(output.iso(arrived), "", "arrived"))
    return sorted(steps, key=lambda step: step.time)


def _step_text(event: str, fields: dict[str, Any]) -> str:
    told = ("attempt", "attempts", "conversation", "seconds", "reason", "text")
    parts = [f"{key} {fields[key]}" if key[:7] == "attempt" else str(fields[key])
             for key in told if fields.get(key) and key != "seconds"]  # fmt: skip
    return ", ".join([event, *parts])


def _reason(spool: Spool, entry: Entry) -> str:
    with suppress(OSError):
        for note in reversed(spool.notes(entry.id)):
            if isinstance(note, dict) and note.get("reason"):
                return output.one_line(str(note["reason"]))
    return "the reason was not noted"


def _moved(entry: Entry) -> float:
    """When the file came into its folder: rename(2) sets its ctime."""
    with suppress(OSError):
        return entry.path.lstat().st_ctime
    return time.time()


# Shown to people


def _print(spool: Spool, entry: Entry | None, causes: Iterable[Cause], steps: list[Step]) -> None:
    if entry:
        digest = read_digest(spool, entry)
        words = output.one_line(digest.text) if digest else ""
        _line(f"{output.one_line(entry.id)} ({entry.state.value}) {words}", "bold")
    else:
        _line(str(spool.root.parent), "bold")
    for cause in causes:
        output.write_hanging("- ", output.harmless(cause.message), _colour(cause))
        if cause.fix:
            output.write(f"    {output.harmless(cause.fix)}")
    if steps:
        output.write("")
        for step in steps:
            prefix = f"{output.paint(_clock(step.time), 'dim')}  {output.pad(step.source, 7)} "
            output.write_hanging(prefix, output.one_line(step.text))


def _line(text: str, colour: str = "") -> None:
    width = output.columns()
    output.write(output.paint(text if width is None else output.cut(text, width), colour))


def _colour(cause: Cause) -> str:
    return "yellow" if cause.blocks else ""


def _clock(moment: str) -> str:
    with suppress(ValueError):
        return time.strftime("%b %d %H:%M:%S", time.localtime(output.from_iso(moment)))
    return moment  # a line of another hand


def _ago(moment: float) -> str:
    return f"{output.age(time.time() - moment)} ago"


def _times(count: int) -> str:
    return output.counted(count, "attempt")


def _messages(count: int) -> str:
    return output.counted(count, "message")
