"""Tries commands under every fault: the answer is honest, and what was refused is not done."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

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


def try_command(stage: Stage, command: Command, fault: Fault, tally: Counter[str]) -> Iterator[str]:
    """Run a command that meets a fault, then once more without it; say what was wrong."""
    argv = set_up(stage, command)
    before = stage.world.snapshot()
    with stage.control.armed(fault):
        ended = stage.run("aap", *argv, stdin=command.stdin)
    if not stage.control.hits:
        return
    tally["combinations"] += 1
    tally["honest"] += 1 if ended.code else 0
    yield from _judge(ended, fault)
    yield from _judge_state(stage, command, fault, ended, before)
    if stage.control.trusted:
        yield "a file was trusted after its fsync failed"
    if ended.code:
        again = stage.run("aap", *argv, stdin=command.stdin)
        yield from _judge_again(stage, command, fault, again)


def _judge_again(stage: Stage, command: Command, fault: Fault, again: Ended) -> Iterator[str]:
    undone = list(command.undone(stage.world))
    if again.code == Exit.NOT_FOUND and not undone:
        return  # to be deleted, and gone by the first try, of which that was not sure
    if "perhaps sent" in again.err and fault.count == FOR_EVER and not _chat(stage):
        return  # its notes took nothing any more: too careful, but never sent twice
    if fault.call in (CHANGE, "fsync") and fault.count == FOR_EVER:
        undone = []  # what could not be put back either may have been done twice
    yield from undone
    if again.code:
        yield f"it does not work when the fault is gone: {again.code} {again.said!r}"


def _chat(stage: Stage) -> bool:
    return (stage.world.out / "chat").exists()


def _judge(ended: Ended, fault: Fault) -> Iterator[str]:
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


def _judge_state(
    stage: Stage, command: Command, fault: Fault, ended: Ended, before: dict[str, str]
) -> Iterator[str]:
    world, kept = (
        stage.world,
        fault.call in ("fsync", "unlink", "change") and fault.count == FOR_EVER,
    )
    if world.left_overs() and not kept:
        yield f"left behind: {world.left_overs()}"
    if not ended.code:
        yield from command.undone(world)
        return
    after = world.snapshot()
    if after == before or not list(command.undone(world)):
        return
    if "your text is" in ended.err:
        return  # what a person has typed is kept
    if command.name == "reply" and not _chat(stage):
        return  # its notes say that it was tried
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    if kept or command.name in ("config import", "skills install", "done all"):
        return  # many steps, each whole, and the next try goes on from there
    yield f"refused, and yet changed: {sorted(changed)}"


def cases(stage: Stage, commands: Iterable[Command], *, for_ever: bool) -> Iterator[Case]:
    """Give each command with each fault that it can meet."""
    for command in commands:
        for fault in plan(count_calls(stage, command), for_ever=for_ever):
            yield Case(f"aap {command.name}, {fault}", partial(try_command, stage, command, fault))
