"""How an attempt to send a reply ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

SENDING = "sending"  # begun; where this is the last word, the sender died on the way
SENT = "sent"
PARTIAL = "partial"  # a part of it is in the chat
UNKNOWN = "unknown"  # it may be in the chat
FAILED = "failed"  # it is surely not in the chat

PARTIAL_CODE = "CHANNEL_PARTIAL_DELIVERY"


class Letter(NamedTuple):
    """What goes out, and where to. Empty strings mean that there is none."""

    message_id: str
    channel: str
    target: str
    account: str
    text: str
    media: str = ""  # an absolute path
    reply_to: str = ""  # the channel's id of the message that is quoted


class Outcome(NamedTuple):
    """One of the states above; `id` is what the channel calls the sent message."""

    state: str
    via: str  # gateway | openclaw | command
    id: str = ""
    reason: str = ""
    is_passing: bool = False  # nothing was sent, and later the same may work


def find_id(answer: Any) -> str:
    """Return the first `messageId` in an answer of OpenClaw's, "" if there is none."""
    for found in _find(answer, "messageId", 0):
        if isinstance(found, (str, int)) and not isinstance(found, bool) and str(found):
            return str(found)
    return ""


def judge_error(answer: Any, via: str) -> Outcome:
    """Read OpenClaw's description of a failure: `{"ok": false, "error": {…}, …}`."""
    members = answer if isinstance(answer, dict) else {}
    error = members.get("error")
    details = error if isinstance(error, dict) else {"message": error}
    reason = " ".join(str(details.get("message") or details.get("type") or "no reason").split())
    reason = reason[:500]
    marks = json.dumps([details, members.get("deliveryStatus")], default=str)
    partial = True in _find(answer, "partialDelivery", 0)
    if partial or PARTIAL_CODE in marks or "partial_failed" in marks:
        return Outcome(PARTIAL, via, find_id(answer), reason)
    if True in _find(answer, "sentBeforeError", 0):
        return Outcome(UNKNOWN, via, find_id(answer), reason)
    return Outcome(FAILED, via, reason=reason)


def _find(value: Any, name: str, depth: int) -> Iterator[Any]:
    """Yield the members called `name`, those of the outermost object first."""
    if depth > 8:
        return
    if isinstance(value, dict):
        if name in value:
            yield value[name]
        for member in value.values():
            yield from _find(member, name, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _find(item, name, depth + 1)
