"""Which walls of a unit's sandbox are lower, as its manager has loaded it, than aap's text says.

A drop-in of a person's own counts more than the unit. What it makes stricter, or opens by
another path to write (aap(7) tells how), is no concern of this.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from functools import partial

# From low to high.
_RANKS = {
    "ProtectHome": ("no", "read-only", "yes", "tmpfs"),
    "ProtectSystem": ("no", "yes", "full", "strict"),
    "ProtectProc": ("default", "noaccess", "invisible", "ptraceable"),
    "ProcSubset": ("all", "pid"),
    "KeyringMode": ("inherit", "shared", "private"),
    "DevicePolicy": ("auto", "closed", "strict"),
}
# One system call of each group that our filters refuse: systemctl shows no groups.
_CALLS = {
    "clock_settime": "@clock",
    "modify_ldt": "@cpu-emulation",
    "ptrace": "@debug",
    "init_module": "@module",
    "mount": "@mount",
    "sysfs": "@obsolete",
    "ioperm": "@raw-io",
    "reboot": "@reboot",
    "swapon": "@swap",
    "chroot": "@privileged",
    "setpriority": "@resources",
}
# What `systemctl show` and a unit file write alike, whatever the version.
_PLAIN = re.compile(r"[\w./:=,@+-]+", re.ASCII)


def properties(text: str) -> list[str]:
    """Name the properties that `lower` wants to be shown of a unit with this text."""
    return [name for name, values in _asked(text).items() if _judge(name, values)]


def lower(text: str, shown: Mapping[str, str], places: Mapping[str, str]) -> list[str]:
    """Say of each wall that `text` asks for and the manager has not loaded what there is instead.

    `shown` is what systemctl shows; `places` is what the specifiers stand for, by letter.
    """
    found = []
    for name, values in _asked(text).items():
        judge = _judge(name, values)
        if judge and name in shown:
            wanted = [word for value in values for word in _words(value, places)]
            if said := judge(wanted, shown[name]):
                found.append(f"{name}{said}")
    return found


def _asked(text: str) -> dict[str, list[str]]:
    asked: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        asked.setdefault(name, []).append(value)
    return asked


def _words(value: str, places: Mapping[str, str]) -> list[str]:
    known = {"%": "%", **places}
    whole = re.sub("%(.)", lambda match: known.get(match[1], match[0]), value)
    return shlex.split(whole)


_Judge = Callable[[list[str], str], str]  # what is asked for, what is shown -> what is wrong


def _judge(name: str, values: list[str]) -> _Judge | None:
    if ranks := _RANKS.get(name):
        return partial(_ranks_lower, ranks)
    return _is_off if values == ["yes"] else _JUDGES.get(name)


def _ranks_lower(ranks: tuple[str, ...], wanted: list[str], shown: str) -> str:
    known = shown in ranks  # a later systemd may have a value that nobody can judge here
    return f"={shown}" if known and ranks.index(shown) < ranks.index(wanted[-1]) else ""


def _is_off(_wanted: list[str], shown: str) -> str:
    return "" if shown == "yes" else f"={shown}"


def _is_another(wanted: list[str], shown: str) -> str:
    return "" if shown.split() == wanted else f"={shown}"


def _allows_more(wanted: list[str], shown: str) -> str:
    allowed = set(shown.split()) or {"all"}
    return "" if allowed <= {*wanted, "none"} else f"={shown}"


def _lacks_words(wanted: list[str], shown: str) -> str:
    there = shown.split()
    lost = [word.removeprefix("-") for word in wanted if _PLAIN.fullmatch(word)]
    lost = [word for word in lost if word not in there and f"-{word}" not in there]
    more = f" and {len(lost) - 1} more" if lost[1:] else ""
    return f" without {lost[0]}{more}" if lost else ""


def _lets_through(wanted: list[str], shown: str) -> str:
    refuses, calls = shown.startswith("~"), set(shown.removeprefix("~").split())
    let = [call for call in _CALLS if (call in calls) != refuses or not calls]
    is_list_of_allowed = "@system-service" in wanted  # which has none of them then
    asked = {word.removeprefix("~") for word in wanted}
    groups = [_CALLS[call] for call in let if is_list_of_allowed or _CALLS[call] in asked]
    return f" lets {', '.join(groups)} through" if groups else ""


def _is_not_any(_wanted: list[str], shown: str) -> str:
    return "" if {"0.0.0.0/0", "::/0"} <= set(shown.split()) else f"={shown}"


_JUDGES: dict[str, _Judge] = {
    "CapabilityBoundingSet": _is_another,
    "IPAddressDeny": _is_not_any,
    "InaccessiblePaths": _lacks_words,
    "ReadOnlyPaths": _lacks_words,
    "RestrictAddressFamilies": _allows_more,
    "SystemCallArchitectures": _allows_more,
    "SystemCallFilter": _lets_through,
    "TemporaryFileSystem": _lacks_words,
    "User": _is_another,
}
