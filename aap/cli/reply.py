"""`aap reply`: answer a message in the chat it came from."""

from __future__ import annotations

import sys
from contextlib import suppress

from aap import bodies
from aap.cli import output
from aap.cli.place import Place
from aap.delivery import FAILED, PARTIAL, SENT, Reply, Way, send_reply
from aap.errors import AapError, Exit, TryAgainError, UsageError
from aap.inbox import Spool
from aap.message import Digest


def reply(
    place: Place,
    message_id: str,
    text: str | None = None,
    *,
    media: str | None = None,
    quote: bool = False,
    again: bool = False,
    as_json: bool = False,
) -> int:
    """Send `text` (`-`: what stdin says) to the message's own chat; say what became of it.

    Returns Exit.OK only for what is in the chat whole, now or since an earlier call;
    TRY_AGAIN says that nothing was sent and that the same call may work later, FAILED
    anything else, also a reply of which nobody knows. JSON is one document, schema
    `aap.reply/1`.
    """
    if text is None and media is None:
        raise UsageError("there is nothing to send", hint="aap reply ID TEXT, or - for stdin")
    words = sys.stdin.buffer.read().decode("utf-8", "replace") if text == "-" else text or ""
    found, digest = _read(place.spool, message_id)
    if quote and not digest.channel_message_id:
        output.note("the message has no id on its channel: sent without quoting it")
    settings = place.settings
    way = Way(settings.delivery, settings.delivery_cmd, settings.delivery_timeout)
    sent = send_reply(place.spool, way, found, digest, words, media=media, quote=quote, again=again)
    if as_json:
        output.write_json("aap.reply/1", **_members(found, sent))
    return _tell(found, sent, silent=as_json)


def _read(spool: Spool, message_id: str) -> tuple[str, Digest]:
    """Find and read; look again if the message moved in between."""
    for _ in range(10):
        entry = spool.find(message_id)
        if not entry.is_message or entry.is_foreign:
            raise UsageError(f"{entry.id} is no message that can be answered")
        with suppress(FileNotFoundError):
            return entry.id, bodies.digest(spool.read(entry))
    raise TryAgainError(f"{message_id} keeps moving")


def _members(message_id: str, sent: Reply) -> dict[str, object]:
    return {
        "id": message_id,
        "reply": sent.id,
        "state": sent.state,
        "repeat": sent.is_repeat,
        "channel": sent.channel,
        "target": sent.target,
        "via": sent.via or None,
        "sent_id": sent.sent_id or None,
        "reason": sent.reason or None,
    }


def _tell(message_id: str, sent: Reply, *, silent: bool) -> int:
    """Say how it went, on stderr; return the exit code, or raise what makes it."""
    if sent.state == SENT:
        if not silent:
            where = output.one_line(f"{sent.channel} {sent.target}")
            earlier = " already; --again sends it once more" if sent.is_repeat else f" to {where}"
            output.note(f"{message_id} sent{earlier}")
            if sent.reason:
                output.warn(output.one_line(sent.reason))
        return Exit.OK
    reason = output.one_line(sent.reason)
    if sent.state == FAILED:
        kind = TryAgainError if sent.is_passing else AapError
        raise kind(f"not sent: {reason}", hint=_hint(sent))
    if sent.state == PARTIAL:
        raise AapError(
            f"only a part of it arrived: {reason}",
            hint="send what is missing as a reply of its own, or all of it with --again",
        )
    raise AapError(
        f"perhaps sent, nobody knows: {reason}",
        hint="look into the chat; --again sends it, at the risk that it is there twice",
    )


def _hint(sent: Reply) -> str:
    return "openclaw gateway status" if sent.is_passing and sent.via != "command" else ""
