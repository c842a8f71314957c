"""What root runs must be root's alone.

Units of the system run as the account `aap`, but root runs the same code: `aap install`,
`aap key new`. Whoever could change it, or a folder on the way to it, would be root.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
from pathlib import Path

from aap import process
from aap.errors import AapError, PermissionDeniedError

_ASK = "import json, sys, aap; print(json.dumps([*sys.path, *aap.__path__]))"


def check_python(python: str) -> None:
    """Raise PermissionDeniedError if others than root may change `python`, or what it imports.

    It is looked at before it is run. Raises AapError if it has no aap.
    """
    look = _Look()
    look.at_way(Path(python))
    outcome = process.run([python, "-I", "-c", _ASK])
    if not outcome.ok:
        raise AapError(
            f"{python} -I cannot import aap, so the units could not start it: {outcome.complaint}",
            hint=f"{shlex.quote(python)} -m pip install aap",
        )
    for folder in map(Path, json.loads(outcome.out)):
        look.at_all(folder)


class _Look:
    """Looks at each thing once: links may lead round and round."""

    def __init__(self) -> None:
        self._steps: set[Path] = set()
        self._ends: set[Path] = set()

    def at_way(self, path: Path) -> None:
        """Look at every step to `path` as it is written, and as its links lead."""
        for step in {path, *path.parents} - self._steps:
            self._steps.add(step)
            _check(step)
            if step.is_symlink():
                self.at_way(step.parent / step.readlink())

    def at_all(self, path: Path) -> None:
        """Look at the way to `path`, and at all that is below it or where its links lead."""
        self.at_way(path)
        end = Path(os.path.realpath(path))  # the way is root's: nobody leads it elsewhere now
        if end in self._ends:
            return
        self._ends.add(end)
        for parent, folders, names in os.walk(end):
            for below in (Path(parent, name) for name in (*folders, *names)):
                _check(below)
                if below.is_symlink():
                    self.at_all(below)


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
