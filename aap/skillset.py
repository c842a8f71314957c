"""The skills that come with aap, and their copies in a workspace.

A copy that nobody changed follows aap; a changed one is its owner's. To tell them
apart, a manifest remembers the fingerprint of each file as aap wrote it:

    <workspace>/.agents/skills/NAME     a copy, which most agents look for
    <workspace>/.claude/skills/NAME     a link to it
    <workspace>/skills/NAME             a copy, for OpenClaw
    <workspace>/.ai-agent-proxy/skills.json     the manifest
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aap import SPOOL_FOLDER, files
from aap.errors import NotFoundError

COPIES = (".agents/skills", "skills")
LINKS = ".claude/skills"
MANIFEST = f"{SPOOL_FOLDER}/skills.json"
LONE_MANIFEST = ".aap-skills.json"

_FILE_MODE = 0o644
_DESCRIPTION = re.compile(r"^description: (.*)$", re.MULTILINE)


class Skill(NamedTuple):
    """One skill: its name, what it is for, and its files by their path below its folder."""

    name: str
    description: str
    files: dict[str, bytes]

    @property
    def text(self) -> str:
        """What an agent reads of it."""
        return self.files["SKILL.md"].decode()


class Step(NamedTuple):
    """What was done with one file or link: added, updated, replaced, removed or kept.

    `kept` means that it is not as aap wrote it, and was left so; `backup` is where
    a replaced one went.
    """

    action: str
    path: Path
    backup: Path | None = None


def source() -> Path:
    """Return the folder with aap's skills: in the installed package, else in the checkout."""
    packaged = Path(__file__).with_name("skills")
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "skills"


def skills() -> list[Skill]:
    """Return all skills, by name."""
    return [_read_skill(folder) for folder in sorted(source().iterdir()) if folder.is_dir()]


def find(name: str) -> Skill:
    """Return one skill. Raises NotFoundError."""
    for skill in skills():
        if skill.name == name:
            return skill
    raise NotFoundError(f"there is no skill {name!r}", hint="aap skills ls")


def _read_skill(folder: Path) -> Skill:
    contents = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    described = _DESCRIPTION.search(contents["SKILL.md"].decode())
    return Skill(folder.name, described[1] if described else "", contents)


def install(workspace: Path, *, force: bool = False) -> list[Step]:
    """Put the skills where the agents of a workspace look, or bring them up to date.

    What was changed there stays, unless `force`: then a backup does. Returns what was
    done; nothing if all was as it should be. Raises OSError.
    """
    copies = _Copies(workspace, COPIES, workspace / MANIFEST, force)
    return [*copies.put(), *_put_links(workspace, force)]


def install_in(folder: Path, *, force: bool = False) -> list[Step]:
    """Put copies of the skills into a folder of skills, such as `~/.agents/skills`."""
    return _Copies(folder, ("",), folder / LONE_MANIFEST, force).put()


def remove(workspace: Path) -> list[Step]:
    """Take away what `install` put into a workspace and nobody changed. Raises OSError."""
    steps = list(_drop_links(workspace))
    return steps + _Copies(workspace, COPIES, workspace / MANIFEST, force=False).take_away()


def state(workspace: Path, skill: Skill) -> str:
    """Tell how a workspace's copies of a skill stand: installed, old, changed or missing."""
    copies = _Copies(workspace, COPIES, workspace / MANIFEST, force=False)
    states = {copies.state(path, want) for path, want in copies.wanted([skill])}
    return next((one for one in ("changed", "missing", "old") if one in states), "installed")


class _Copies:
    """Copies of the skills below `base`, in each of the folders `places`."""

    def __init__(self, base: Path, places: Sequence[str], manifest: Path, force: bool) -> None:
        self._base = base
        self._places = places
        self._manifest = manifest
        self._force = force
        self._known = _read_manifest(manifest)

    def wanted(self, chosen: Sequence[Skill]) -> Iterator[tuple[str, bytes]]:
        """Yield each file that should be there: its path below `base`, and its bytes."""
        for place in self._places:
            for skill in chosen:
                for name, content in skill.files.items():
                    yield str(Path(place, skill.name, name)), content

    def state(self, path: str, want: bytes) -> str:
        """Tell how one file stands: installed, old, changed or missing."""
        there = self._content(path)
        if there is None:
            foreign = os.path.lexists(self._base / path) or self._skill_folder(path).is_symlink()
            return "changed" if foreign else "missing"
        if there == want:
            return "installed"
        return "old" if _fingerprint(there) == self._known.get(path) else "changed"

    def put(self) -> list[Step]:
        """Write what is missing or old."""
        wanted = dict(self.wanted(skills()))
        steps = [step for path, want in wanted.items() if (step := self._put(path, want))]
        steps += [step for path in set(self._known) - set(wanted) if (step := self._drop(path))]
        known = {path: _fingerprint(want) for path, want in wanted.items() if self._is(path, want)}
        # What is kept is compared with what aap once wrote, also next time.
        known |= {path: self._known[path] for path in self._known if path not in known}
        known = {path: print_ for path, print_ in known.items() if (self._base / path).exists()}
        if known != self._known:
            files.make_folder(self._manifest.parent)
            text = json.dumps({"version": 1, "files": known}, indent=1, sort_keys=True)
            files.write_atomic(self._manifest, text.encode(), _FILE_MODE)
        return steps

    def take_away(self) -> list[Step]:
        """Remove all unchanged copies, and folders that are empty then."""
        steps = [step for path in sorted(self._known) if (step := self._drop(path))]
        with suppress(FileNotFoundError):
            self._manifest.unlink()
        return steps

    def _is(self, path: str, want: bytes) -> bool:
        return self._content(path) == want

    def _content(self, path: str) -> bytes | None:
        """Return what aap could have written; None for nothing, or something else."""
        target = self._base / path
        # A link in its place leads to what is not ours to write.
        if target.is_symlink() or self._skill_folder(path).is_symlink() or not target.is_file():
            return None
        return target.read_bytes()

    def _skill_folder(self, path: str) -> Path:
        place = next(p for p in self._places if Path(path).is_relative_to(p or "."))
        return self._base / place / Path(path).relative_to(place or ".").parts[0]

    def _put(self, path: str, want: bytes) -> Step | None:
        state = self.state(path, want)
        if state == "installed":
            return None
        target, backup = self._base / path, None
        if state == "changed":
            if not self._force:
                return Step("kept", target)
            moved = self._skill_folder(path) if self._skill_folder(path).is_symlink() else target
            backup = _back_up(moved)
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write_atomic(target, want, _FILE_MODE)
        action = {"missing": "added", "old": "updated", "changed": "replaced"}[state]
        return Step(action, target, backup)

    def _drop(self, path: str) -> Step | None:
        content, target = self._content(path), self._base / path
        if content is None or _fingerprint(content) != self._known[path]:
            return Step("kept", target) if os.path.lexists(target) else None
        target.unlink()
        _drop_empty(target.parent, self._base)
        return Step("removed", target)


def _put_links(workspace: Path, force: bool) -> Iterator[Step]:
    for skill in skills():
        link = workspace / LINKS / skill.name
        copy = workspace / COPIES[0] / skill.name
        if link.exists() and link.resolve() == copy.resolve():
            continue
        backup = None
        if os.path.lexists(link):
            if not force:
                yield Step("kept", link)
                continue
            backup = _back_up(link)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(copy, link.parent))
        yield Step("replaced" if backup else "added", link, backup)


def _drop_links(workspace: Path) -> Iterator[Step]:
    for skill in skills():
        link = workspace / LINKS / skill.name
        if link.is_symlink() and link.resolve() == (workspace / COPIES[0] / skill.name).resolve():
            link.unlink()
            _drop_empty(link.parent, workspace)
            yield Step("removed", link)


def _drop_empty(folder: Path, base: Path) -> None:
    with suppress(OSError):
        while folder != base and folder.is_relative_to(base):
            folder.rmdir()
            folder = folder.parent


def _back_up(path: Path) -> Path:
    """Move a file, link or folder aside, under a name that no agent takes for a skill."""
    number = 1
    while os.path.lexists(backup := path.with_name(f".{path.name}.bak{number}")):
        number += 1
    return path.rename(backup)


def _read_manifest(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_bytes())["files"]
        return {str(name): str(print_) for name, print_ in known.items() if ".." not in name}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _fingerprint(data: bytes) -> str:
    from hashlib import sha256

    return sha256(data).hexdigest()
