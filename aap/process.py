"""The one door to short commands of other programs.

argv lists only, never a shell; output captured, time limited, no terminal. Long
runs (the agent's) have their own supervision in the worker and do not come here.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from aap import identity
from aap.errors import AapError, NotFoundError, TryAgainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

TIMEOUT = 30.0


@dataclass(frozen=True)
class Outcome:
    """How a command ended: a negative `code` is the signal that killed it."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        """True if the exit code was 0."""
        return self.code == 0

    @property
    def complaint(self) -> str:
        """What the command said last, or how it ended when it said nothing."""
        said = (self.err.strip() or self.out.strip()).splitlines()
        return said[-1].strip() if said else f"exit code {self.code}"


class CommandError(AapError):
    """A command that must succeed did not; `outcome` holds all that it said."""

    def __init__(self, outcome: Outcome, *, hint: str = "") -> None:
        super().__init__(f"{shlex.join(outcome.argv)}: {outcome.complaint}", hint=hint)
        self.outcome = outcome


def run(
    argv: Sequence[str],
    *,
    timeout: float = TIMEOUT,
    stdin: str = "",
    environ: Mapping[str, str] | None = None,
    family: bool = False,
) -> Outcome:
    """Run a command to its end and return how it ended, whatever its exit code.

    Messages come in English (LC_ALL=C.UTF-8). Raises NotFoundError when there is
    no such program, TryAgainError (the command is killed) after `timeout` seconds.
    With `family` it has a session of its own, without the terminal, and what it has
    started is killed with it: for scripts and launchers, whose work others do. Root, while it
    works with somebody's rights, runs such a program as that somebody: it may be theirs.
    """
    import signal
    import subprocess

    with _start(argv, os.environ if environ is None else environ, family) as process:
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except BaseException as error:
            if family:
                os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: the pid is still its own
            process.kill()
            if isinstance(error, subprocess.TimeoutExpired):
                text = f"{shlex.join(argv)} did not end within {timeout:g} s"
                raise TryAgainError(text) from error
            raise
    return Outcome(tuple(argv), process.returncode, out, err)


def _start(argv: Sequence[str], environ: Mapping[str, str], family: bool) -> subprocess.Popen[str]:
    import subprocess

    owner = identity.current() if family else None
    who = _who(owner) if owner else {}
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env={**environ, **who, "LC_ALL": "C.UTF-8"},
            start_new_session=family,
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[] if owner else None,
        )
    except FileNotFoundError as error:
        raise NotFoundError(f"the program {argv[0]} is not there") from error


def _who(owner: identity.Owner) -> dict[str, str]:
    """What the environment says of a user."""
    import pwd

    with suppress(KeyError):
        known = pwd.getpwuid(owner.uid)
        return {"HOME": known.pw_dir, "USER": known.pw_name, "LOGNAME": known.pw_name}
    return {"HOME": "/nonexistent"}


def run_here(argv: Sequence[str]) -> int:
    """Run a program that has the terminal to itself, such as an editor; return its exit code.

    Raises NotFoundError when there is no such program.
    """
    import subprocess

    try:
        return subprocess.run(argv, check=False).returncode
    except FileNotFoundError as error:
        raise NotFoundError(f"the program {argv[0]} is not there") from error


def check(argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str = "", hint: str = "") -> str:
    """Run a command that must succeed and return its stdout; raises CommandError otherwise."""
    outcome = run(argv, timeout=timeout, stdin=stdin)
    if not outcome.ok:
        raise CommandError(outcome, hint=hint)
    return outcome.out
