"""Replies: each is written down before and after it is sent, and none goes out twice unasked.

A reply has two lines in its message's notes: one before the first byte leaves, one
with the outcome. Where the second is missing, the sender died on the way and nobody
knows whether the chat has it; so it is neither forgotten nor sent again by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from aap.delivery.outcome import FAILED, PARTIAL, SENDING, SENT, UNKNOWN, Letter, Outcome
from aap.errors import AapError, ConfigError, UsageError, describe
from aap.inbox import Spool
from aap.message import Digest

EVENT = "reply"
# Names that aap gives to conversations which no messenger is behind.
NO_WAY_OUT = frozenset(("openai", "a2a", "webchat"))


class Way(NamedTuple):
    """How replies leave: the settings DELIVERY, DELIVERY_CMD and DELIVERY_TIMEOUT."""

    kind: str = "openclaw"
    command: str = ""
    timeout: float = 60.0


class Reply(NamedTuple):
    """A reply as the notes tell it. `sent_id` is the channel's own id of it.

    `state` is sent, partial, failed or unknown ("perhaps sent").
    """

    id: str
    state: str
    text: str
    channel: str = ""
    target: str = ""
    media: str = ""
    via: str = ""
    sent_id: str = ""
    reason: str = ""
    is_passing: bool = False
    is_repeat: bool = False  # this call sent nothing: the reply is an earlier one


def replies(notes: Iterable[Mapping[str, Any]]) -> list[Reply]:
    """Return the replies that a message's notes tell of, in the order they were begun."""
    found: dict[str, Reply] = {}
    for number, note in enumerate(notes):
        if note.get("event") != EVENT:
            continue
        name = str(note.get("reply") or number)
        before = found.get(name) or Reply(name, SENT, "")
        fields = {key: note[key] for key in Reply._fields if isinstance(note.get(key), str)}
        found[name] = before._replace(**{**fields, "id": name})
    return [
        each._replace(state=UNKNOWN, reason="its sender ended before the outcome was known")
        if each.state == SENDING
        else each
        for each in found.values()
    ]


def told(notes: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what the chat has, or may have, in words for the agent of a repeated run."""
    heads = {SENT: "", PARTIAL: "(only a part of this arrived) "}
    return tuple(
        f"{heads.get(each.state, '(perhaps sent, nobody knows) ')}{_content(each)}"
        for each in replies(notes)
        if each.state != FAILED
    )


def _content(reply: Reply) -> str:
    return " ".join(filter(None, (reply.text, reply.media and f"[file {reply.media}]")))


def send_reply(
    spool: Spool,
    way: Way,
    message_id: str,
    digest: Digest,
    text: str,
    *,
    media: str | Path | None = None,
    quote: bool = False,
    again: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Reply:
    """Send a reply to where a message came from; return it with its outcome.

    The same text with the same file goes out once for a message, unless `again`:
    otherwise the earlier one is returned, `is_repeat`. A reply that failed, of which
    nothing is in the chat, may simply be sent again. Raises UsageError and ConfigError
    for what cannot be sent at all, TryAgainError while another reply to the message is
    being sent for too long, OSError if it cannot be written down; then nothing was sent.
    """
    letter = _write_letter(way, message_id, digest, text=text, media=str(media or ""), quote=quote)
    with spool.lock_notes(message_id, patience=2 * way.timeout + 10):
        earlier = [each for each in replies(spool.notes(message_id)) if _is_same(each, letter)]
        if earlier and not again:
            return earlier[-1]._replace(is_repeat=True)
        return _send(spool, way, letter, environ)


def _is_same(reply: Reply, letter: Letter) -> bool:
    same = (reply.text, reply.media) == (letter.text, letter.media)
    return same and reply.state != FAILED


def _send(spool: Spool, way: Way, letter: Letter, environ: Mapping[str, str]) -> Reply:
    name = os.urandom(4).hex()
    _begin(spool, letter, name)
    outcome = _hand_over(way, letter, environ)
    reason = outcome.reason
    try:
        facts = {"via": outcome.via, "sent_id": outcome.id, "reason": outcome.reason}
        spool.note(letter.message_id, event=EVENT, reply=name, state=outcome.state, **facts)
    except OSError as error:
        # The line before it stands alone then, which says "perhaps": true enough.
        reason = reason or f"that it was {outcome.state} could not be noted: {describe(error)}"
    return Reply(
        name,
        outcome.state,
        letter.text,
        letter.channel,
        letter.target,
        letter.media,
        via=outcome.via,
        sent_id=outcome.id,
        reason=reason,
        is_passing=outcome.is_passing,
    )


def _begin(spool: Spool, letter: Letter, name: str) -> None:
    """Write down that a reply is about to be sent. Raises OSError: it must not be sent then."""
    facts: dict[str, str] = {"event": EVENT, "reply": name}
    places = {"channel": letter.channel, "target": letter.target, "media": letter.media}
    try:
        spool.note(letter.message_id, **facts, state=SENDING, text=letter.text, **places)
    except OSError as error:
        # The line may be there all the same, and would say for ever that it was perhaps sent.
        with suppress(OSError):
            spool.note(letter.message_id, **facts, state=FAILED, reason=describe(error))
        raise


def _hand_over(way: Way, letter: Letter, environ: Mapping[str, str]) -> Outcome:
    if way.kind == "command":
        from aap.delivery import program

        return program.send(way.command, letter, way.timeout, environ)
    from aap.delivery import openclaw

    return openclaw.send(letter, way.timeout, environ)


# Where to, and what


def _write_letter(
    way: Way, message_id: str, digest: Digest, *, text: str, media: str, quote: bool
) -> Letter:
    _check_way(way)
    where = digest.conversation
    if where is None or not where.chat:
        raise AapError(
            f"{message_id} does not say which chat it came from, so there is no way back",
            hint="handle it, then: aap inbox done " + message_id,
        )
    if where.channel in NO_WAY_OUT and way.kind == "openclaw":
        raise AapError(
            f'{message_id} came by "{where.channel}", which no messenger is behind',
            hint="with DELIVERY=command a program of your own can send there: man aap.conf",
        )
    letter = Letter(
        message_id,
        where.channel,
        where.chat,
        where.account,
        _clean(text),
        _find_file(media) if media else "",
        digest.channel_message_id if quote else "",
    )
    if not (letter.text or letter.media):
        raise UsageError("there is nothing to send: the text is empty")
    if any("\0" in word for word in letter):
        raise UsageError("the text has a NUL character in it, which no program takes")
    return letter


def _check_way(way: Way) -> None:
    if way.kind == "none":
        raise ConfigError(
            "replies are switched off: DELIVERY is none", hint="aap config set DELIVERY openclaw"
        )
    if way.kind == "command" and not way.command.strip():
        raise ConfigError(
            "DELIVERY is command, but DELIVERY_CMD is empty",
            hint="aap config set DELIVERY_CMD /path/to/program",
        )


def _clean(text: str) -> str:
    """Drop empty lines around a text (a here-document has one) and what UTF-8 cannot say."""
    return text.encode("utf-8", "replace").decode().rstrip().lstrip("\r\n")


def _find_file(media: str) -> str:
    path = Path(media).absolute()
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"{path} cannot be sent: {error.strerror}") from None
    return str(path)
