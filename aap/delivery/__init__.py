"""The way out: replies to the chats that messages came from."""

from aap.delivery.outcome import FAILED, PARTIAL, SENT, UNKNOWN
from aap.delivery.program import notify
from aap.delivery.reply import Reply, Way, replies, send_reply, told

__all__ = [
    "FAILED",
    "PARTIAL",
    "SENT",
    "UNKNOWN",
    "Reply",
    "Way",
    "notify",
    "replies",
    "send_reply",
    "told",
]
