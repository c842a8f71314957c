"""What OpenClaw's configuration should say when its model only takes messages in.

Each row was tried with OpenClaw 2026.9.6; the reason says what happens without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from aap.openclaw.edit import Path

FAIL, WARN, NOTE, OK = "FAIL", "warn", "note", "ok"

VERSION = "2026.9.6"


class Wish(NamedTuple):
    """A value that should stand at a path, how much depends on it, and why.

    `fits` tells other values that will do; without it only `value` does.
    """

    path: Path
    value: Any
    severity: str
    why: str
    fits: Callable[[Any], bool] | None = None

    def is_met(self, current: Any) -> bool:
        """Whether the value that stands there will do; None for none."""
        if self.fits is not None:
            return self.fits(current)
        return type(current) is type(self.value) and bool(current == self.value)


def at_least(limit: int) -> Callable[[Any], bool]:
    """Accept numbers from `limit` on."""
    return lambda value: isinstance(value, (int, float)) and value >= limit


def one_of(*values: Any) -> Callable[[Any], bool]:
    """Accept any of these."""
    return lambda value: any(type(value) is type(each) and value == each for each in values)


def _path(dotted: str) -> Path:
    return tuple(dotted.split("."))


def _wish(dotted: str, value: Any, severity: str, why: str, *others: Any) -> Wish:
    return Wish(_path(dotted), value, severity, why, one_of(value, *others) if others else None)


_SHOWN = "else people see aap's receipt, or an error, as the answer to each message"
_UNASKED = "else OpenClaw sends requests that no human wrote"
_GROWTH = "else each request repeats older messages and grows"
_NOTICE = "else a notice that nobody needs may be shown or sent"

WISHES = (
    _wish("messages.visibleReplies", "message_tool", FAIL, _SHOWN),
    _wish("messages.groupChat.visibleReplies", "message_tool", FAIL, _SHOWN),
    _wish(
        "agents.defaults.compaction.enabled",
        False,
        FAIL,
        "a summary of the history would be asked of aap, and the message behind it is lost",
    ),
    _wish(
        "agents.defaults.compaction.mode",
        "safeguard",
        NOTE,
        "the mode that keeps a history rather than take aap's receipt for its summary",
        None,
    ),
    _wish("agents.defaults.compaction.memoryFlush.enabled", False, WARN, _UNASKED),
    _wish("agents.defaults.compaction.notifyUser", False, NOTE, _NOTICE),
    _wish("agents.defaults.heartbeat.every", "0m", WARN, _UNASKED, "0", "0s", "0h"),
    _wish("agents.defaults.heartbeat.target", "none", NOTE, _UNASKED),
    _wish(
        "agents.defaults.utilityModel", "", NOTE, "else small tasks of its own go to a model too"
    ),
    Wish(
        _path("agents.defaults.timeoutSeconds"),
        120,
        NOTE,
        "aap answers at once; a turn that takes long is stuck",
        lambda value: isinstance(value, (int, float)) and 0 < value <= 600,
    ),
    _wish(
        "agents.defaults.typingMode",
        "never",
        NOTE,
        "a turn ends at once, so there is nothing to show",
    ),
    _wish(
        "agents.defaults.skipBootstrap",
        True,
        NOTE,
        "the workspace's first files are for the agent behind aap to write",
    ),
    _wish("messages.groupChat.historyLimit", 0, WARN, _GROWTH),
    _wish(
        "messages.queue.mode",
        "followup",
        WARN,
        "else what is written during a turn is mixed into it, without an id of its own",
    ),
    _wish(
        "messages.queue.drop",
        "old",
        NOTE,
        "the newest words matter most, should too many wait in OpenClaw",
    ),
    Wish(
        _path("messages.queue.cap"),
        100,
        WARN,
        "OpenClaw gives up what waits beyond it, before aap sees it",
        at_least(100),
    ),
    _wish(
        "session.dmScope",
        "per-channel-peer",
        WARN,
        "else all direct chats share one history, and each request carries all of them",
        "per-account-channel-peer",
    ),
    _wish("session.notifyOnCreate", False, NOTE, _NOTICE),
    _wish("session.reset.mode", "idle", WARN, "groups grow for ever without it"),
    Wish(
        _path("session.reset.idleMinutes"),
        1,
        WARN,
        "groups grow for ever without it",
        lambda value: isinstance(value, (int, float)) and 0 < value <= 60,
    ),
    _wish("plugins.entries.memory-core.config.dreaming.enabled", False, WARN, _UNASKED),
    _wish("skills.workshop.autonomous.mode", "off", WARN, _UNASKED),
    _wish("hooks.internal.enabled", False, NOTE, _UNASKED),
    _wish("tools.exec.notifyOnExit", False, NOTE, _UNASKED),
)

# OpenClaw refuses to start with a key that it does not know: which channel has which.
_BOTH = frozenset((
    "discord", "feishu", "googlechat", "imessage", "irc", "msteams", "nextcloud-talk", "signal",
    "slack", "telegram", "whatsapp",
))  # fmt: skip
_HISTORY_ONLY = frozenset((
    "buzz", "clickclack", "line", "matrix", "mattermost", "tlon", "twitch", "zalo", "zalouser",
))  # fmt: skip


def channel_wishes(name: str) -> list[Wish]:
    """Return what a channel's own settings should say; none for a channel we do not know."""
    wishes = []
    if name in _BOTH | _HISTORY_ONLY:
        wishes.append(Wish(("historyLimit",), 0, WARN, _GROWTH))
    if name in _BOTH:
        wishes.append(Wish(("dmHistoryLimit",), 1, WARN, _GROWTH, one_of(0, 1)))
    if name == "telegram":
        wishes.append(Wish(("autoTopicLabel",), False, WARN, _UNASKED))
    return wishes
