"""What a message is: its id, the name of its file, whose it is, what it says.

File names carry all state that a rename can change (see `aap-spool(5)`):

    1jb3k5m9q2xw7c4e8r0t.json      waiting, never tried
    1jb3k5m9q2xw7c4e8r0t+2.json    two attempts failed
    1jb3k5m9q2xw7c4e8r0t.photo.d   put aside: what was `photo.d` in inbox/ is no message

Facts here are named tuples, not frozen dataclasses: importing dataclasses costs as
much as starting Python, and the worker and `aap inbox` are started all the time.

An id is 20 characters of Crockford's base 32: 11 for the microsecond of arrival,
2 of chance, 7 of a fingerprint by which a client's retry is found again.
"""

from __future__ import annotations

import os
import re
import time
from enum import Enum
from typing import NamedTuple

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TIME_CHARS, CHANCE_CHARS, PRINT_CHARS = 11, 2, 7
ID_CHARS = TIME_CHARS + CHANCE_CHARS + PRINT_CHARS

_SECOND = 1_000_000_000  # in nanoseconds
_NAME = re.compile(rf"([{ALPHABET}]{{{ID_CHARS}}})(?:\+(\d{{1,6}}))?\.(.+)", re.DOTALL)


class State(str, Enum):
    """The folders of the spool; a message is in exactly one."""

    INBOX = "inbox"
    ACTIVE = "active"
    DEFERRED = "deferred"
    HOLD = "hold"
    DONE = "done"
    FAILED = "failed"


OPEN_STATES = (State.INBOX, State.ACTIVE, State.DEFERRED, State.HOLD, State.FAILED)


class Name(NamedTuple):
    """A file name that aap gave."""

    id: str
    attempts: int = 0
    suffix: str = "json"

    def __str__(self) -> str:
        tried = f"+{self.attempts}" if self.attempts else ""
        return f"{self.id}{tried}.{self.suffix}"

    @property
    def is_message(self) -> bool:
        """False for what recovery put aside because it was no message."""
        return self.suffix == "json"


def parse_name(name: str) -> Name | None:
    """Read a file name; None for one that aap did not give."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return Name(match[1], int(match[2] or 0), match[3])


def _base32(number: int, chars: int) -> str:
    digits = [ALPHABET[number >> 5 * place & 31] for place in range(chars)]
    return "".join(reversed(digits))


def fingerprint(data: bytes) -> str:
    """Seven characters by which `data` is found among ids; compare the bytes to be sure.

    Of a long text a thousandth or so is looked at: hashing all of 32 KiB would cost
    as much as writing it.
    """
    from hashlib import blake2b  # OpenSSL takes 3 ms to load, and only writers need it

    sample = data[:: max(1, len(data) >> 10)] + b"%d" % len(data)
    digest = blake2b(sample, digest_size=8).digest()
    return _base32(int.from_bytes(digest, "big"), PRINT_CHARS)


def id_time(message_id: str) -> float:
    """Seconds since the epoch at which the message arrived."""
    micros = 0
    for char in message_id[:TIME_CHARS]:
        micros = micros << 5 | ALPHABET.index(char)
    return micros / 1_000_000


def first_id(moment: float) -> str:
    """Return what no id from `moment` (seconds since the epoch) on is less than."""
    return _base32(max(0, int(moment * 1_000_000)), TIME_CHARS)


class IdClock:
    """Gives ids that only rise, also when the machine's clock is set back.

    `floor` is the highest id the spool holds already; no id below it is given. Other
    processes give ids too, so it is to be raised whenever the clock `is_doubtful`.
    """

    def __init__(self, floor: str = "") -> None:
        self._last = 0
        self._wall = self._boot = self._raised = 0
        if floor:
            self.raise_to(floor)

    def raise_to(self, floor: str) -> None:
        """Give no id below `floor` from now on; "" is below all."""
        self._last = max(self._last, round(id_time(floor) * 1_000_000) if floor else 0)
        self._raised = self._boot

    def is_doubtful(self) -> bool:
        """Tell whether another process may have given an id that ours must not come before.

        So it is if the clock was set back since the last call, as the clock shows that is
        never set. It may also have been set forth and back since; or be behind our ids,
        and thus behind another's. That much is asked once a second: whose message comes
        first within that, nobody can tell.
        """
        wall, boot = time.time_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        passed, shown = boot - self._boot, wall - self._wall
        self._wall, self._boot = wall, boot
        is_behind = wall < self._last * 1000
        is_due = boot - self._raised > _SECOND and (passed > _SECOND or is_behind)
        return is_due or shown < passed - _SECOND // 10

    def next(self, print_of: bytes) -> str:
        """Return a new id that carries the fingerprint of `print_of`."""
        self._last = max(time.time_ns() // 1000, self._last + 1)
        chance = int.from_bytes(os.urandom(2), "big")
        return (
            _base32(self._last, TIME_CHARS) + _base32(chance, CHANCE_CHARS) + fingerprint(print_of)
        )


class Conversation(NamedTuple):
    """Who a message belongs to. Two messages with equal values are in one conversation."""

    channel: str
    account: str
    chat: str

    def __str__(self) -> str:
        """Return one word for logs, filters and completion: channel/account/chat."""
        return "/".join(
            part.replace("/", "%2F") for part in (self.channel, self.account, self.chat)
        )


class Digest(NamedTuple):
    """The little that a person or an agent needs of a request body.

    `conversation` is None where the body names none: the message then forms its
    own. `text` is the newest words of the human, without the client's wrapping.
    Empty strings mean "the body does not say".
    """

    text: str = ""
    conversation: Conversation | None = None
    source: str = ""  # openclaw | openai | a2a | "" (JSON, but nothing that we know)
    sender: str = ""  # a name for people: "Ann"
    sender_id: str = ""
    channel_message_id: str = ""  # the channel's own id, for replies that quote
    chat_type: str = ""  # direct | group
    label: str = ""  # the group's subject, or what the client calls the chat
    model: str = ""
    attachments: tuple[str, ...] = ()  # "image/png 48 kB", in order
