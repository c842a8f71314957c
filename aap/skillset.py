"""The skills that come with aap, and their copies in a workspace.

A copy that nobody changed follows aap; a changed one is its owner's (aap.copies):

    <workspace>/.agents/skills/NAME     a copy, which most agents look for
    <workspace>/.claude/skills/NAME     a link to it
    <workspace>/skills/NAME             a copy, for OpenClaw
    <workspace>/.ai-agent-proxy/skills.json     the manifest
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aap import SPOOL_FOLDER, copies, files
from aap.copies import Copies, Step
from aap.errors import NotFoundError, did_you_mean

COPIES = (".agents/skills", "skills")
LINKS = ".claude/skills"
MANIFEST = f"{SPOOL_FOLDER}/skills.json"
LONE_MANIFEST = ".aap-skills.json"

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
    hint = did_you_mean(name, (skill.name for skill in skills()), "aap skills ls")
    raise NotFoundError(f"there is no skill {name!r}", hint=hint)


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
    return [*_copies(workspace, force=force).put(), *_put_links(workspace, force)]


def install_in(folder: Path, *, force: bool = False) -> list[Step]:
    """Put copies of the skills into a folder of skills, such as `~/.agents/skills`."""
    wanted = dict(_wanted(skills(), ("",)))
    manifest = folder / LONE_MANIFEST
    return Copies(folder, wanted, manifest, force=force, whole=_skill_folder).put()


def remove(workspace: Path) -> list[Step]:
    """Take away what `install` put into a workspace and nobody changed. Raises OSError."""
    steps = list(_drop_links(workspace))
    return steps + _copies(workspace).take_away()


def state(workspace: Path, skill: Skill) -> str:
    """Tell how a workspace's copies of a skill stand: installed, old, changed or missing."""
    wanted = dict(_wanted([skill], COPIES))
    states = Copies(workspace, wanted, workspace / MANIFEST, whole=_skill_folder).states()
    return next((one for one in ("changed", "missing", "old") if one in states), "installed")


def _copies(workspace: Path, *, force: bool = False) -> Copies:
    wanted = dict(_wanted(skills(), COPIES))
    return Copies(workspace, wanted, workspace / MANIFEST, force=force, whole=_skill_folder)


def _wanted(chosen: Sequence[Skill], places: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each file that should be there: its path below the folder, and its bytes."""
    for place in places:
        for skill in chosen:
            for name, content in skill.files.items():
                yield str(Path(place, skill.name, name)), content


def _skill_folder(path: str) -> str:
    place = next((place for place in COPIES if Path(path).is_relative_to(place)), "")
    return str(Path(place, Path(path).relative_to(place).parts[0]))


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
            backup = copies.back_up(link)
        files.make_folder(link.parent, copies.FOLDER_MODE)
        link.symlink_to(os.path.relpath(copy, link.parent))
        files.fsync_folder(link.parent)
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
