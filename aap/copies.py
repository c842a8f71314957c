"""Copies of aap's own files among those of a person, who may change each of them.

A copy that nobody changed follows aap; a changed one is its owner's. To tell them
apart, a manifest remembers the fingerprint of each file as aap wrote it, and the
folders that were not there before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aap import files

_FILE_MODE = 0o644
FOLDER_MODE = 0o777  # what the umask leaves of it


class Step(NamedTuple):
    """What was done with one file or link: added, updated, replaced, removed or kept.

    `kept` means that it is not as aap wrote it, and was left so; `backup` is where
    a replaced one went.
    """

    action: str
    path: Path
    backup: Path | None = None


class Copies:
    """Files below `base`; `wanted` has their paths below it, and their bytes.

    `whole` tells of a path which part of it is aap's alone, such as a skill's folder: a link
    in its place leads to what is not ours to write. `adopts` is whether an equal file that
    somebody else put there counts as a copy, to be taken away in the end. Raises OSError where
    the manifest is there, but cannot be read now.
    """

    def __init__(
        self,
        base: Path,
        wanted: Mapping[str, bytes],
        manifest: Path,
        *,
        force: bool = False,
        adopts: bool = True,
        whole: Callable[[str], str] = str,
    ) -> None:
        self._base = base
        self._wanted = wanted
        self._manifest = manifest
        self._force = force
        self._adopts = adopts
        self._whole = whole
        self._known, self._folders = _read_manifest(manifest)

    def state(self, path: str) -> str:
        """Tell how one wanted file stands: installed, old, changed or missing."""
        there = self._content(path)
        if there is None:
            foreign = os.path.lexists(self._base / path) or self._is_led_away(path)
            return "changed" if foreign else "missing"
        if there == self._wanted[path]:
            return "installed"
        return "old" if fingerprint(there) == self._known.get(path) else "changed"

    def states(self) -> set[str]:
        """Tell how they all stand: each state that there is."""
        return {self.state(path) for path in self._wanted}

    def put(self) -> list[Step]:
        """Write what is missing or old. Raises OSError."""
        # Before the files: what is cut short must be known to whoever takes it away.
        self._remember({**self._known, **{path: self._want(path) for path in self._new()}})
        steps = [step for path in self._wanted if (step := self._put(path))]
        gone = sorted(set(self._known) - set(self._wanted))
        steps += [step for path in gone if (step := self._drop(path))]
        there = [path for path in self._known if (self._base / path).exists()]
        self._remember({path: self._written(path) for path in there})
        files.remove_empty(self._folders)
        return steps

    def take_away(self) -> list[Step]:
        """Remove all unchanged copies, and folders that are empty then. Raises OSError."""
        steps = [step for path in sorted(self._known) if (step := self._drop(path))]
        with suppress(FileNotFoundError):
            self._manifest.unlink()
        files.remove_empty(self._folders)
        return steps

    def _new(self) -> list[str]:
        """Name what `put` will write that was not there, or not aap's."""
        ours = {"missing", *(["installed"] if self._adopts else []), *(["changed"] * self._force)}
        return [path for path in self._wanted if self.state(path) in ours]

    def _want(self, path: str) -> str:
        return fingerprint(self._wanted[path])

    def _written(self, path: str) -> str:
        """The fingerprint of what aap wrote there; what is kept is compared with it next time."""
        is_current = path in self._wanted and self._wanted[path] == self._content(path)
        return self._want(path) if is_current else self._known[path]

    def _content(self, path: str) -> bytes | None:
        """Return what aap could have written; None for nothing, or something else."""
        target = self._base / path
        if target.is_symlink() or self._is_led_away(path) or not target.is_file():
            return None
        return target.read_bytes()

    def _is_led_away(self, path: str) -> bool:
        return (self._base / self._whole(path)).is_symlink()

    def _put(self, path: str) -> Step | None:
        state = self.state(path)
        if state == "installed":
            return None
        target, backup = self._base / path, None
        if state == "changed":
            if not self._force:
                return Step("kept", target)
            backup = back_up(self._base / self._whole(path) if self._is_led_away(path) else target)
        files.make_folder(target.parent, FOLDER_MODE)
        files.write_atomic(target, self._wanted[path], _FILE_MODE)
        action = {"missing": "added", "old": "updated", "changed": "replaced"}[state]
        return Step(action, target, backup)

    def _drop(self, path: str) -> Step | None:
        content, target = self._content(path), self._base / path
        if content is None or fingerprint(content) != self._known[path]:
            return Step("kept", target) if os.path.lexists(target) else None
        target.unlink()
        files.fsync_folder(target.parent)  # before it is forgotten: else it may come back, unknown
        return Step("removed", target)

    def _remember(self, known: dict[str, str]) -> None:
        made = files.missing_folders(*((self._base / path).parent for path in known))
        folders = list(dict.fromkeys([*self._folders, *made]))
        if (known, folders) == (self._known, self._folders):
            return
        files.make_folder(self._manifest.parent)
        facts = {"version": 1, "files": known, "folders": list(map(str, folders))}
        text = json.dumps(facts, indent=1, sort_keys=True)
        files.write_atomic(self._manifest, text.encode(), _FILE_MODE)
        self._known, self._folders = known, folders


def back_up(path: Path) -> Path:
    """Move a file, link or folder aside, under a name that is hidden; return where it is."""
    number = 1
    while os.path.lexists(backup := path.with_name(f".{path.name}.bak{number}")):
        number += 1
    return path.rename(backup)


def fingerprint(data: bytes) -> str:
    """Return what a manifest remembers of a file."""
    from hashlib import sha256

    return sha256(data).hexdigest()


def _read_manifest(path: Path) -> tuple[dict[str, str], list[Path]]:
    try:
        facts = json.loads(path.read_bytes())
        known = {str(name): str(mark) for name, mark in facts["files"].items()}
        folders = [Path(str(each)) for each in facts.get("folders", ())]
        return {name: mark for name, mark in known.items() if ".." not in name}, folders
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}, []
