"""What else is remembered of messages: `notes/ID.jsonl`, one JSON object a line."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aap import files
from aap.message import parse_name

FOLDER = "notes"


class Notes:
    """The notes of one spool. `json` is imported late: 1.5 ms, and few messages have notes."""

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER

    def add(self, message_id: str, event: dict[str, Any]) -> None:
        """Remember something, durably; `event` must be JSON."""
        import json

        line = json.dumps({"time": time.time(), **event}, ensure_ascii=False)
        files.append_line(self._path(message_id), line)

    def read(self, message_id: str) -> list[dict[str, Any]]:
        """Return all notes, oldest first; what is no object, as a torn line, is left out."""
        path = self._path(message_id)
        try:
            with files.naming(path):
                text = files.read_plain(path).decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        import json

        notes = []
        for line in text.split("\n"):  # a text may have what else splitlines() splits at
            with suppress(ValueError, RecursionError):
                notes.append(json.loads(line))
        return [note for note in notes if isinstance(note, dict)]

    @contextmanager
    def lock(self, message_id: str, patience: float) -> Iterator[None]:
        """Be the one who decides by a message's notes, for the length of the block.

        Raises TryAgainError if another one still holds it after `patience` seconds.
        """
        path = self._path(message_id)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, files.FILE_MODE)
        try:
            with files.naming(path):
                files.lock(fd, patience, f"another reply to {message_id} is being sent")
            yield
        finally:
            with suppress(OSError):  # NFS may complain; nothing was written here
                os.close(fd)

    def forget(self, message_id: str) -> None:
        """Delete the notes of a message that is gone, if that can be: `sweep` tries again."""
        with suppress(OSError):
            self._path(message_id).unlink()

    def sweep(self, find_ids: Callable[[], set[str]]) -> None:
        """Delete the notes of messages that are gone: who deletes both may die in between.

        `find_ids` returns the ids of all messages that there are.
        """
        orphans = self._of_nobody(find_ids)
        if orphans:  # a look of its own: one may have moved from folder to folder meanwhile
            orphans &= self._of_nobody(find_ids)
        for message_id in orphans:
            files.sweep(self._path(message_id))

    def _of_nobody(self, find_ids: Callable[[], set[str]]) -> set[str]:
        if self._folder.is_symlink():
            return set()  # what it leads to may be anything
        names = {name for name in os.listdir(self._folder) if name.endswith(".jsonl")}
        ids = {name.id for each in names if (name := parse_name(each)) and not name.attempts}
        return ids - find_ids() if ids else ids

    def _path(self, message_id: str) -> Path:
        return self._folder / f"{message_id}.jsonl"
