"""When a message that failed is tried again."""

from __future__ import annotations

import os

from aap.config import Settings

_JITTER = 0.2  # what failed together does not come back together


def next_delay(settings: Settings, tries: int) -> float:
    """Seconds from now, after `tries` attempts that failed before the last one."""
    # The module random takes 4 ms to import.
    factor = 1 + _JITTER * (2 * os.urandom(1)[0] / 255 - 1)
    return min(settings.retry_max, settings.retry_min * 2.0 ** min(tries, 64)) * factor


def longest_delay(settings: Settings) -> float:
    """Return what `next_delay` never exceeds, in seconds."""
    return settings.retry_max * (1 + _JITTER)
