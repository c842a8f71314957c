"""What the worker itself says to people: that the agent is out, that a message was given up."""

from __future__ import annotations

from aap.config import Settings
from aap.errors import AapError
from aap.inbox import Entry, Spool
from aap.log import DailyLog
from aap.message import Digest


def tell_operator(settings: Settings, log: DailyLog, event: str, text: str) -> None:
    """Tell NOTIFY_CMD, if there is one."""
    if not settings.notify_cmd:
        return
    from aap.delivery import notify

    trouble = notify(settings.notify_cmd, event, text)
    log.event("warning" if trouble else "info", "worker", "notified", reason=trouble or None)


def tell_chat(
    spool: Spool, settings: Settings, log: DailyLog, entry: Entry, digest: Digest
) -> None:
    """Send FAILED_REPLY, if there is one, to where a given-up message came from.

    It is noted as any reply, so a worker that is killed right after does not send
    it twice. That it cannot be sent is logged: the message is given up all the same.
    """
    if not settings.failed_reply:
        return
    from aap.delivery import SENT, Way, send_reply

    way = Way(settings.delivery, settings.delivery_cmd, settings.delivery_timeout)
    try:
        reply = send_reply(spool, way, entry.id, digest, settings.failed_reply)
    except (AapError, OSError) as error:
        log.event("warning", "worker", "apology-failed", id=entry.id, reason=error)
        return
    level = "info" if reply.state == SENT else "warning"
    log.event(
        level, "worker", "apologised", id=entry.id, state=reply.state, reason=reply.reason or None
    )
