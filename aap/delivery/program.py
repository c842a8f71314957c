"""Sending through a program of the user's own (DELIVERY_CMD), and telling one (NOTIFY_CMD).

The program gets the text on standard input and the rest in its environment:

    AAP_CHANNEL AAP_TARGET AAP_ACCOUNT   where to
    AAP_MESSAGE_ID                       aap's id of the message that is answered
    AAP_REPLY_TO                         the channel's id of the message to quote, or empty
    AAP_MEDIA                            the path of a file to attach, or empty

Exit code 0 means sent, and a single word on its last line of output is the channel's
id of what was sent. 75 means: not sent, later it may work. Any other code means not sent;
a program that is killed, or takes longer than DELIVERY_TIMEOUT, may have sent.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from aap import process
from aap.delivery.outcome import FAILED, SENT, UNKNOWN, Letter, Outcome
from aap.errors import AapError, Exit, NotFoundError, TryAgainError

NOTIFY_TIMEOUT = 30.0


def send(
    command: str, letter: Letter, timeout: float, environ: Mapping[str, str] = os.environ
) -> Outcome:
    """Hand a letter to the program; never raises for what the program does."""
    facts = {
        "AAP_CHANNEL": letter.channel,
        "AAP_TARGET": letter.target,
        "AAP_ACCOUNT": letter.account,
        "AAP_MESSAGE_ID": letter.message_id,
        "AAP_REPLY_TO": letter.reply_to,
        "AAP_MEDIA": letter.media,
    }
    try:
        ended = _run(command, letter.text, timeout, {**environ, **facts})
    except NotFoundError as error:
        return Outcome(FAILED, "command", reason=f"DELIVERY_CMD: {error}", is_passing=True)
    except OSError as error:
        return Outcome(FAILED, "command", reason=f"DELIVERY_CMD: {error.strerror}")
    except TryAgainError:
        reason = f"DELIVERY_CMD did not end within {timeout:g} s"
        return Outcome(UNKNOWN, "command", reason=reason)
    if ended.ok:
        words = (ended.out.strip().splitlines() or [""])[-1].split()
        return Outcome(SENT, "command", words[0] if len(words) == 1 else "")
    reason = f"DELIVERY_CMD: {ended.complaint[:500]}"
    if ended.code < 0 or ended.code > 128:
        return Outcome(UNKNOWN, "command", reason=f"{reason} (killed)")
    return Outcome(FAILED, "command", reason=reason, is_passing=ended.code == Exit.TRY_AGAIN)


def notify(command: str, event: str, text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Tell NOTIFY_CMD of an event: its name in AAP_EVENT, `text` on standard input.

    Returns what went wrong, or "": a message to a person is never worth an error.
    """
    if not command.strip():
        return ""
    try:
        ended = _run(command, text, NOTIFY_TIMEOUT, {**environ, "AAP_EVENT": event})
    except (AapError, OSError, ValueError) as error:
        return str(error)
    return "" if ended.ok else ended.complaint


def _run(command: str, text: str, timeout: float, environ: Mapping[str, str]) -> process.Outcome:
    argv = shlex.split(command)
    argv[0] = os.path.expanduser(argv[0])  # noqa: PTH111 - as a shell would, and never raises
    return process.run(argv, timeout=timeout, stdin=text, environ=environ, family=True)
