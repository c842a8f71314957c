"""The words of this room: an agent, how a run of it ended, and what that says."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple, Protocol


class Verdict(str, Enum):
    """What the end of a run says of the messages it was given."""

    OK = "ok"  # they are handled
    FAILED = "failed"  # they cost an attempt
    OUTAGE = "outage"  # the agent itself is out of order: they lose nothing
    LOST = "lost"  # the session is gone: try again at once in a new one


class Outcome(NamedTuple):
    """A verdict, and its reason in one line for people."""

    verdict: Verdict
    reason: str = ""


class Usage(NamedTuple):
    """Tokens and cost (US dollars) of a run, as the agent reports them.

    `cached` is a part of `input`. `cumulative`: they count from the session's start.
    """

    input: int
    cached: int
    output: int
    cost: float | None = None
    cumulative: bool = False


class Ended(NamedTuple):
    """How a process ended: exit code (-N for signal N), why aap ended it."""

    code: int
    timed_out: bool = False
    error: str = ""  # the command could not be started at all


class Report(NamedTuple):
    """All that a run tells: its outcome, the id of its session, what it used."""

    outcome: Outcome
    session: str = ""
    usage: Usage | None = None


class Reader(Protocol):
    """Reads what one run of an agent prints."""

    def line(self, text: str) -> str | None:
        """Take one line of output; return what the log shall say of it, None for nothing."""

    def end(self, ended: Ended) -> Report:
        """Judge the run."""


class Agent(NamedTuple):
    """The commands of one agent; `{id}` in a word stands for the session's id.

    `fresh` opens a session; where it is empty, a session needs no step of its own.
    """

    name: str
    fresh: tuple[str, ...]
    resume: tuple[str, ...]
    prompt_on_stdin: bool
    reader: Callable[[], Reader]
    chooses_id: bool = False  # the id is ours to choose; else the agent prints it
    hooks: Callable[[str], tuple[str, ...]] | None = None  # words that have a command run
    environment: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()  # what was changed in the configured commands, and why

    @property
    def key(self) -> str:
        """Changes when the commands do: a session belongs to one key."""
        return " ".join((*self.fresh, "|", *self.resume))
