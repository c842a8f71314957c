"""What root runs must be root's alone.

Units of the system run as the account `aap`, but root runs the same code: `aap install`,
`aap key new`. Whoever could change it, or a folder on the way to it, would be root.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from aap import process
from aap.errors import AapError, PermissionDeniedError

_ASK = "import json, sys, aap; print(json.dumps([*sys.path, *aap.__path__]))"


def check_python(python: str) -> None:
    """Raise PermissionDeniedError if others than root may change `python`, or what it imports.

    It is looked at before it is run. Raises AapError if it has no aap.
    """
    _check_way(Path(python))
    outcome = process.run([python, "-I", "-c", _ASK])
    if not outcome.ok:
        raise AapError(
            f"{python} -I cannot import aap, so the units could not start it: {outcome.complaint}",
            hint=f"{shlex.quote(python)} -m pip install aap",
        )
    for folder in map(Path, json.loads(outcome.out)):
        _check_way(folder)
        for path in _below(folder):
            _check(path)


def _check_way(path: Path) -> None:
    """Look at every step to `path` as it is written, and as its links lead."""
    for step in (path, *path.parents):
        _check(step)
        if step.is_symlink():
            _check_way(step.parent / step.readlink())


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *names))


def _check(path: Path) -> None:
    try:
        facts = path.lstat()
    except FileNotFoundError:  # a part of sys.path need not be there; the way to it is looked at
        return
    is_link = stat.S_ISLNK(facts.st_mode)
    shown = shlex.quote(str(path))
    if facts.st_uid != 0:
        said = f"{path} is not root's: its owner could change what root and the units run"
        hint = f"chown -R root: {shown}, or make an environment below /opt, as root"
        raise PermissionDeniedError(said, hint=hint)
    if not is_link and facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        said = f"{path} can be changed by others than root, and root and the units run it"
        raise PermissionDeniedError(said, hint=f"chmod -R go-w {shown}")
