"""Names for the shells to complete: they are asked for at each Tab, so little is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

from aap import config
from aap.cli import output
from aap.cli.place import Place
from aap.errors import Exit
from aap.message import ID_CHARS, OPEN_STATES, State


def ids(place: Place, beginnings: Sequence[str] = ("",)) -> int:
    """Print the ids that begin so of all messages that are not handled; else of those that are.

    Straight from the names, without the spool: a shell waits, and there may be very many.
    """
    found = list(_ids(place, OPEN_STATES, beginnings[0]))
    if not found and beginnings[0]:
        found = list(_ids(place, (State.DONE,), beginnings[0]))
    if found:
        output.write("\n".join(sorted(found)))
    return Exit.OK


def _ids(place: Place, states: Sequence[State], beginning: str) -> Iterator[str]:
    root = config.spool_root(place.settings)
    for state in states:
        with suppress(FileNotFoundError):
            for name in os.listdir(root / state.value):
                if name.startswith(beginning) and name[ID_CHARS : ID_CHARS + 1] in {".", "+"}:
                    yield name[:ID_CHARS]


def workspaces(_place: Place) -> int:
    """Print the names of all workspaces."""
    from aap.config.registry import read_registry

    for name in (config.MAIN, *read_registry(config.workspaces_file()).lines):
        output.write(name)
    return Exit.OK


def keys(_place: Place) -> int:
    """Print the names of the keys that can be revoked."""
    from aap.config.keys import KeyRing

    for name in KeyRing.load(config.keys_file()).names:
        output.write(name)
    return Exit.OK
