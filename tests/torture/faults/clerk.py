"""Tries commands under every fault: the answer is honest, and what was refused is not done."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial

from aap import files
from aap.errors import Exit
from torture.faults.commands import Command
from torture.faults.sabotage import CHANGE, FOR_EVER, Case, Fault, plan
from torture.faults.world import Ended, Stage

# The exit codes by which aap says what kind of fault it was, as aap(1) has them.
_CODES = {
    errno.EACCES: Exit.NO_PERMISSION,
    errno.EPERM: Exit.NO_PERMISSION,
    errno.EROFS: Exit.NO_PERMISSION,
    errno.ENOSPC: Exit.TRY_AGAIN,
    errno.EDQUOT: Exit.TRY_AGAIN,
    errno.EMFILE: Exit.TRY_AGAIN,
    errno.ENOMEM: Exit.TRY_AGAIN,
    errno.ENOLCK: Exit.TRY_AGAIN,
    errno.EIO: Exit.FAILED,
}

# What is not as before after a refusal, and may be: of one fault, or of any but the last one
# of all, when nothing can be changed any more, so not put back either.
_STEPS = "many steps, each whole, and the next try goes on from there"
_SETTINGS = "home/config/aap/aap.conf"
_MAY_BE_CHANGED = {
    "config import": _STEPS,
    "skills install": _STEPS,
    "done all": _STEPS,
    "rm": "what was deleted cannot be put back, should the folder not be synced",
    "agent init": "many steps: each session that is gone is one",
}
# What is not synced, and success is told all the same, is told with this.
_MAY_BE_UNSYNCED = {"reply": "that it was sent could not be noted"}


def count_calls(stage: Stage, command: Command) -> dict[str, int]:
    """Run it without a fault; return how many calls of each kind it makes."""
    argv = set_up(stage, command)
    with stage.control.armed():
        ended = stage.run("aap", *argv, stdin=command.stdin)
    wrong = list(command.undone(stage.world))
    assert ended.code == 0 and not wrong, (command.name, ended, wrong)
    return stage.control.counts


def set_up(stage: Stage, command: Command) -> list[str]:
    """Make the world in which a command has something to do; return its words."""
    stage.world.reset()
    word = command.prepare(stage.world)
    return [word if each == "ID" else each for each in command.argv]


def try_command(
    stage: Stage, command: Command, after: Mapping[str, str], fault: Fault, tally: Counter[str]
) -> Iterator[str]:
    """Run a command that meets a fault, then once more without it; say what was wrong.

    `after` is what there is after a run without one.
    """
    argv = set_up(stage, command)
    before = stage.world.snapshot()
    with stage.control.armed(fault):
        ended = stage.run("aap", *argv, stdin=command.stdin)
    if not stage.control.hits:
        return
    tally["combinations"] += 1
    tally["honest"] += 1 if ended.code else 0
    yield from judge(ended, fault)
    yield from _judge_syncs(stage, command, ended)
    yield from _judge_left_overs(stage, fault)
    if ended.code:
        yield from _judge_refused(stage, command, fault, ended, before, after)
    else:
        yield from command.undone(stage.world)
    if ended.code:
        again = stage.run("aap", *argv, stdin=command.stdin)
        yield from _judge_again(stage, command, fault, again)


def is_all_gone(fault: Fault) -> bool:
    """Whether nothing can be changed any more: what was begun cannot be put back either."""
    return fault.call == CHANGE and fault.count == FOR_EVER


def _judge_again(stage: Stage, command: Command, fault: Fault, again: Ended) -> Iterator[str]:
    undone = list(command.undone(stage.world))
    if again.code == Exit.NOT_FOUND and not undone:
        return  # to be deleted, and gone by the first try, of which that was not sure
    if again.code and not undone and is_all_gone(fault):
        return  # it says that it is so already, for the first could not be put back
    if "perhaps sent" in again.err and fault.count == FOR_EVER and not _chat(stage):
        return  # its notes took nothing any more: too careful, but never sent twice
    if undone and is_all_gone(fault) and command.twice:
        undone = list(command.twice(stage.world))  # the first could not be put back
    yield from undone
    if again.code:
        yield f"it does not work when the fault is gone: {again.code} {again.said!r}"


def _judge_syncs(stage: Stage, command: Command, ended: Ended) -> Iterator[str]:
    if stage.control.trusted:
        yield "a file was trusted after its fsync failed"
    told = _MAY_BE_UNSYNCED.get(command.name)
    if stage.control.unsynced and not ended.code and not (told and told in ended.err):
        yield f"it says that all is well, and has not synced {sorted(stage.control.unsynced)}"


def _judge_left_overs(stage: Stage, fault: Fault) -> Iterator[str]:
    """Judge what is hidden: where nothing can be deleted, a draft stays until the next one."""
    left = [stage.world.root / name for name in stage.world.left_overs()]
    if fault.call == "unlink":
        for path in left:
            files.sweep_drafts(path.parent, path.name[1:].rsplit(".", 2)[0])
    if stage.world.left_overs() and not is_all_gone(fault):
        yield f"left behind: {stage.world.left_overs()}"


def _chat(stage: Stage) -> bool:
    return (stage.world.out / "chat").exists()


def judge(ended: Ended, fault: Fault) -> Iterator[str]:
    """Say what is not honest about an answer."""
    if fault.is_harmless and ended.code:
        yield f"a call that need only be repeated made it fail: {ended.said!r}"
    if "Traceback" in ended.said or "unexpected" in ended.said or ended.code in (99, -9):
        yield f"it fell over: {ended.code} {ended.said[-1500:]}"
    elif ended.code and not fault.is_harmless:
        yield from _judge_refusal(ended, fault)


def _judge_refusal(ended: Ended, fault: Fault) -> Iterator[str]:
    if ended.code != _CODES[fault.error]:
        yield f"exit code {ended.code}, not {_CODES[fault.error]}: {ended.err!r}"
    lines = [line for line in ended.err.splitlines() if line.startswith("aap: ")]
    told = [line for line in lines if fault.complaint in line]
    if not told:
        yield f"the cause is not told: {ended.err!r}"
    elif not any("/" in line for line in told):
        yield f"the file is not named: {ended.err!r}"


def _judge_refused(
    stage: Stage,
    command: Command,
    fault: Fault,
    ended: Ended,
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> Iterator[str]:
    """Say what a refused command has changed."""
    now = stage.world.snapshot()
    changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    if not changed or is_all_gone(fault):
        return
    if "your text is" in ended.err:
        return  # what a person has typed is kept
    if command.name == "reply" and not _chat(stage):
        return  # its notes say that it was tried
    if command.name not in _MAY_BE_CHANGED:
        yield f"refused, and yet changed: {sorted(changed)}: {ended.err!r}"
    whole = set(before.values())  # such as a message, moved
    torn = [n for n in changed if now.get(n) not in {before.get(n), after.get(n), *whole}]
    if torn == [_SETTINGS] and command.name == "config import":
        torn = _strange_lines(now[_SETTINGS], before.get(_SETTINGS, ""), after[_SETTINGS])
    if torn:
        yield f"neither as before nor as after: {torn}"


def _strange_lines(text: str, *known: str) -> list[str]:
    """Give what is no line of a text that is known: settings are taken over one by one."""
    lines = {line for each in known for line in each.splitlines(keepends=True)}
    return [line for line in text.splitlines(keepends=True) if line not in lines]


def cases(stage: Stage, commands: Iterable[Command], *, for_ever: bool) -> Iterator[Case]:
    """Give each command with each fault that it can meet."""
    for command in commands:
        counts = count_calls(stage, command)
        after = stage.world.snapshot()
        for fault in plan(counts, for_ever=for_ever):
            run = partial(try_command, stage, command, after, fault)
            yield Case(f"aap {command.name}, {fault}", fault, run)
