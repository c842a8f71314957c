"""Names for the shells to complete: they are asked for at each Tab, so little is loaded."""

from __future__ import annotations

from aap import config
from aap.cli import output
from aap.cli.place import Place
from aap.errors import Exit


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
