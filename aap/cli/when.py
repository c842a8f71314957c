"""Moments as people write them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

from aap.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN = re.compile(r"(\d+)\s*(s|m|h|d|w)[a-z]*(?:\s+ago)?", re.IGNORECASE)


def midnight(days_ago: int = 0) -> float:
    """Seconds since the epoch at which the local day began."""
    today = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    return (today - timedelta(days=days_ago)).timestamp()


def parse(text: str) -> float:
    """Read `90m`, `2 hours ago`, `today`, `yesterday`, `2026-11-23`, `2026-11-23 21:10`, `…Z`.

    Times without a zone are local. Returns seconds since the epoch, never before it;
    raises UsageError.
    """
    text = text.strip()
    if match := _SPAN.fullmatch(text):
        return max(0.0, time.time() - int(match[1]) * _UNITS[match[2].lower()])
    if text in {"today", "yesterday"}:
        return midnight(days_ago=text == "yesterday")
    try:
        # fromisoformat() of Python 3.10 does not know the Z.
        return max(0.0, datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text)).timestamp())
    except (ValueError, OverflowError):
        raise UsageError(
            f"cannot read {text!r} as a time", hint="such as 90m, '2 hours ago', 2026-11-23"
        ) from None
