"""Changing OpenClaw's configuration: a backup, then the new file in one step."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aap import files
from aap.errors import ConfigError, PermissionDeniedError, TryAgainError
from aap.openclaw import edit, json5
from aap.openclaw.document import Document

Change = tuple[edit.Path, Any]


def fragment(changes: Sequence[Change]) -> str:
    """Return the changes as a piece of JSON5; of a list it shows the changed item alone."""
    document: Any = {}
    for path, value in changes:
        shown = tuple(0 if isinstance(step, int) else step for step in path)
        document = edit.updated(document, shown, value)
    return edit.write(document)


def changed_text(document: Document, changes: Sequence[Change]) -> str:
    """Return the file's text with the changes made, everything else as it stands.

    Raises ConfigError if what came out does not say what it must.
    """
    text, wanted = document.text, document.node.value
    for path, value in changes:
        text = edit.set_value(text, path, value)
        wanted = edit.updated(wanted, path, value)
    try:
        right = json5.loads(text) == wanted
    except json5.Json5Error:
        right = False
    if not right:
        raise ConfigError(
            f"{document.path} is written in a way that aap cannot change safely",
            hint="put in by hand what `aap openclaw setup` shows",
        )
    return text


def write(document: Document, changes: Sequence[Change]) -> Path:
    """Make the changes in the file; return the backup's path.

    Raises PermissionDeniedError for somebody else's file, TryAgainError if OpenClaw
    wrote it meanwhile, OSError as the kernel gives it; then nothing is changed.
    """
    text = changed_text(document, changes)
    path = document.path.resolve()  # the file itself, where the name is a link
    status = path.stat()
    if status.st_uid != os.geteuid():
        # Ours would replace it, and OpenClaw could no longer read it.
        raise PermissionDeniedError(
            f"{path} belongs to another user", hint="run the command as that user"
        )
    before = document.text.encode()
    backup = _back_up(path, before)
    try:
        is_same = path.read_bytes() == before
    except OSError:
        _drop(backup)
        raise
    if not is_same:
        _drop(backup)
        raise TryAgainError(f"{path} was changed just now", hint="try again")
    try:
        files.write_atomic(path, text.encode(), stat.S_IMODE(status.st_mode))
    except OSError:
        _drop(backup)
        raise
    return backup


def _back_up(path: Path, content: bytes) -> Path:
    number = 1
    while True:
        backup = path.with_name(f"{path.name}.before-aap{f'-{number}' if number > 1 else ''}")
        try:
            with files.naming(backup), files.new_file(backup) as fd:
                files.write_all(fd, content)
        except FileExistsError:
            number += 1
            continue
        try:
            files.fsync_folder(backup.parent)
        except OSError:
            _drop(backup)
            raise
        return backup


def _drop(backup: Path) -> None:
    with suppress(OSError):
        backup.unlink()
