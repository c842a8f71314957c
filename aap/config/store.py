"""Changing configuration files: comments and order stay, and what was written reads back."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from aap import files, identity
from aap.config.envfile import (
    Assignment,
    DoubtfulConfigError,
    find_not_text,
    parse,
    read_text,
)
from aap.config.files import locked, make_private, real_file, write_private
from aap.config.load import known_key, secret_name
from aap.config.table import NAMES, SETTINGS
from aap.errors import ConfigError, PermissionDeniedError, TryAgainError

# Where these are found it is not sure which text belongs to which setting.
_TANGLED = frozenset({"unclosed-quote", "swallowed-line", "comment-backslash", "not-text"})
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~<>^!?*()\[\]{}-]*", re.ASCII)
_SETTING_IN_VALUE = re.compile(r"\n(?=[ \t]*(?:export[ \t]+)?[A-Z][A-Z0-9_]*[ \t]*=)")


def quote(value: str) -> str:
    """Write `value` so that systemd and aap read the same back.

    Raises ConfigError for control characters (but tab and line break), which no setting takes,
    and for what systemd takes for no text.
    """
    strange = find_not_text(value) >= 0 or re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value)
    if strange:
        raise ConfigError("the value has a control character in it")
    if _PLAIN.fullmatch(value):
        return value
    inside = re.sub(r'(["\\`$])', r"\\\1", value)
    # A line that looks like a setting would be taken for the sign of an open quote: another
    # pair of quotes, which is joined to the first, says that it is meant so.
    return '"' + _SETTING_IN_VALUE.sub('\n""', inside) + '"'


def set_value(file: Path, key: str, value: str, *, mode: int = 0o600) -> bool:
    """Set `key` in `file`; False if it was so already.

    The line is replaced where it stands (further lines of the same key go), or added at the
    end. A new file and its folder are made, the file with `mode`. A file that holds a secret
    becomes 0600; another keeps its mode and group, without write permission for others, since
    the system's services may have to read it. Raises ConfigError, PermissionDeniedError.
    """
    key = known_key(key)
    value = _as_stored(key, value)
    with locked(file.parent):
        text = _read(file)
        changed = _with_value(text, key, value)
        _check_change(text, changed, key, value)
        if changed == text:
            return False
        _write(file, changed, mode)
    return True


def replace_text(file: Path, before: str, after: str, *, mode: int = 0o600) -> None:
    """Give `file` another text, if it still has the one `before`; a missing file has an empty one.

    Raises TryAgainError where somebody else has changed it, PermissionDeniedError.
    """
    with locked(file.parent):
        if whole_text(file) != before:
            raise TryAgainError(f"{file} was changed by somebody else meanwhile")
        _write(file, after, mode)


def whole_text(file: Path) -> str:
    """The text of a file, empty where there is none; for root, as `locked` lets it be changed.

    Raises ConfigError.
    """
    with identity.acting_for(file.parent), suppress(FileNotFoundError):
        return read_text(file)
    return ""


def changed_keys(before: str, after: str) -> list[str]:
    """Name the settings in which two texts differ."""
    old, new = _values(before), _values(after)
    return [key for key in SETTINGS if old.get(key) != new.get(key)]


def unset_value(file: Path, key: str) -> bool:
    """Take all lines of `key` (and of its aliases) out of `file`; False if there was none.

    Raises ConfigError, PermissionDeniedError.
    """
    return _take_out(file, known_key(key))


def unset_strange(file: Path, name: str) -> bool:
    """Take all lines of a name that is no setting out of `file`; False if there was none.

    Raises ConfigError, PermissionDeniedError.
    """
    return name.upper() not in NAMES and _take_out(file, name)


def _take_out(file: Path, key: str) -> bool:
    if not file.exists():
        return False
    with locked(file.parent):
        text = _read(file)
        changed = _without(text, _entries(text, key))
        _check_change(text, changed, key, None)
        if changed == text:
            return False
        _write(file, changed, 0o600)
    return True


def set_secret(folder: Path, key: str, value: str) -> bool:
    """Keep a secret setting in its own file of `folder` (0700); False if it was so already."""
    key = known_key(key)
    _as_stored(key, value)
    make_private(folder)
    file = folder / secret_name(SETTINGS[key])
    with locked(folder):
        if _read(file) == f"{value}\n":
            return False
        write_private(real_file(file), f"{value}\n")
    return True


def unset_secret(folder: Path, key: str) -> bool:
    """Delete the file of a secret setting in `folder`; False if there was none."""
    file = folder / secret_name(SETTINGS[known_key(key)])
    if not file.exists():
        return False
    with locked(folder):
        files.remove(file)
    return True


def _as_stored(key: str, value: str) -> str:
    """Check a value, and make a relative path a whole one: it was typed in this folder."""
    row = SETTINGS[key]
    try:
        read = row.parse(value)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}", hint=f"aap config explain {key}") from None
    return str(read) if row.kind == "path" and not value.startswith("~") else value


def _read(file: Path) -> str:
    text = whole_text(file)
    tangled = tuple(item for item in parse(text, str(file)).findings if item.code in _TANGLED)
    if tangled:
        raise DoubtfulConfigError(tangled)
    return text


def _write(file: Path, text: str, mode: int) -> None:
    target = real_file(file)
    before = target.stat() if target.exists() else None
    if before:
        mode = before.st_mode & 0o755
        if before.st_uid != os.geteuid():
            # The new file would be ours, and its owner could no longer read it.
            message = f"{target} belongs to another user"
            raise PermissionDeniedError(message, hint="run this as that user")
    if any(SETTINGS[key].secret for key in _values(text)):
        mode = 0o600
    write_private(target, text, mode | 0o600)
    with suppress(OSError):  # the change is made, and must not be told to have failed
        if before and before.st_gid != target.stat().st_gid:
            os.chown(target, -1, before.st_gid, follow_symlinks=False)


def _entries(text: str, key: str) -> list[Assignment]:
    return [entry for entry in parse(text).assignments if NAMES.get(entry.key, entry.key) == key]


def _values(text: str) -> dict[str, str]:
    """What counts in a file: of an alias and the name itself, the name; else the last."""
    entries = [entry for entry in parse(text).assignments if entry.key in NAMES]
    aliases = {NAMES[entry.key]: entry.value for entry in entries if entry.key not in SETTINGS}
    return aliases | {entry.key: entry.value for entry in entries if entry.key in SETTINGS}


def _with_value(text: str, key: str, value: str) -> str:
    line = f"{key}={quote(value)}"
    entries = _entries(text, key)
    if not entries:
        return text + ("\n" if text and text[-1] not in "\n\r" else "") + line + "\n"
    *others, last = entries
    if not others and last.key == key and last.value == value:
        return text
    return _without(text[: last.start] + line + text[last.end :], others)


def _without(text: str, entries: list[Assignment]) -> str:
    """Cut the entries' whole lines, from the last to the first, so that places stay right."""
    for entry in reversed(entries):
        start = entry.start - len(text[: entry.start]) + len(text[: entry.start].rstrip(" \t"))
        end = entry.end
        end += 2 if text[end : end + 2] == "\r\n" else min(1, len(text) - end)
        text = text[:start] + text[end:]
    return text


def _check_change(before: str, after: str, key: str, value: str | None) -> None:
    """A change that would change another setting is not made."""
    wanted = _values(before)
    wanted.pop(key, None)
    if value is not None:
        wanted[key] = value
    if _values(after) != wanted:
        hint = "change the file in an editor, then: aap config validate"
        raise ConfigError(f"{key} cannot be changed without changing other lines", hint=hint)
