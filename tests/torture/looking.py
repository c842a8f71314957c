"""What is in a spool, seen by `ls` and `cat` alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from aap import SPOOL_FOLDER
from aap.message import State, parse_name
from torture.posting import digest


class File(NamedTuple):
    """A message file."""

    state: State
    id: str
    digest: bytes
    path: Path


class Found(NamedTuple):
    """What is in the folders of a spool."""

    files: Sequence[File]
    hidden: int  # files that never became messages

    def states(self, message_id: str) -> set[State]:
        """Where a message is."""
        return {each.state for each in self.files if each.id == message_id}

    def lost(self, acked: Mapping[str, int]) -> set[str]:
        """The acknowledged ones, by id and serial, that are nowhere."""
        return set(acked) - {each.id for each in self.files}

    def torn(self, acked: Mapping[str, int], sent: Mapping[bytes, int]) -> int:
        """Count the files that hold nothing that was sent, or not what their id stands for."""
        serials = [(each.id, sent.get(each.digest)) for each in self.files]
        return sum(found is None or found != acked.get(each, found) for each, found in serials)

    def doubled(self) -> int:
        """Count the bodies that are there more than once."""
        return sum(count > 1 for count in Counter(each.digest for each in self.files).values())


def look(workspace: Path) -> Found:
    """Read every message file there is."""
    files, hidden = [], 0
    for state in State:
        folder = workspace / SPOOL_FOLDER / state.value
        for path in folder.iterdir() if folder.is_dir() else ():
            hidden += path.name.startswith(".")
            if known := parse_name(path.name):
                files.append(File(state, known.id, digest(path.read_bytes()), path))
    return Found(files, hidden)
