"""`aap skills`: what agents should know of aap, put where they look."""

from __future__ import annotations

from pathlib import Path

from aap import identity, skillset
from aap.cli import output
from aap.cli.place import Place
from aap.copies import Step
from aap.errors import Exit

_COLUMNS = (output.Column("SKILL", 20), output.Column("STATE", 10), output.Column("WHAT FOR"))


def ls(place: Place, *, as_json: bool = False) -> int:
    """List the skills, and how the workspace's copies stand."""
    workspace = place.settings.workspace
    found = [(skill, skillset.state(workspace, skill)) for skill in skillset.skills()]
    if not as_json:
        output.table(_COLUMNS, [(skill.name, state, skill.description) for skill, state in found])
    else:
        for skill, state in found:
            output.write_json(
                "aap.skill/1", name=skill.name, state=state, description=skill.description
            )
    return Exit.OK


def show(name: str, *, as_json: bool = False) -> int:
    """Print a skill."""
    skill = skillset.find(name)
    if as_json:
        facts = {"name": skill.name, "description": skill.description, "text": skill.text}
        output.write_json("aap.skills.show/1", **facts, files=sorted(skill.files))
    else:
        output.write(skill.text.rstrip("\n"))
    return Exit.OK


def install(
    place: Place, *, folder: str | None = None, force: bool = False, as_json: bool = False
) -> int:
    """Put the skills into the workspace, or into a folder; say what was left as it was."""
    steps = _install(place, folder, force)
    if as_json:
        output.write_json("aap.skills.install/1", steps=[step._asdict() for step in steps])
        return Exit.OK
    tell(steps)
    if not steps:
        output.note("the skills are in place and up to date")
    return Exit.OK


def _install(place: Place, folder: str | None, force: bool) -> list[Step]:
    if folder is not None:
        target = Path(folder).expanduser().absolute()
        with identity.acting_for(target):
            return skillset.install_in(target, force=force)
    workspace = place.settings.workspace
    if not workspace.is_dir():
        raise place.no_workspace(workspace)
    with identity.acting_for(workspace):
        return skillset.install(workspace, force=force)


def tell(steps: list[Step]) -> None:
    """Print what was done; warn of what was kept."""
    for step in steps:
        if step.action != "kept":
            backup = f", the old one is {step.backup}" if step.backup else ""
            output.write(f"{step.action} {step.path}{backup}")
    kept = [str(step.path) for step in steps if step.action == "kept"]
    if kept:
        output.warn(
            f"left as it is, because it is not as aap wrote it: {', '.join(kept)}",
            "aap skills install --force replaces it and keeps a backup",
        )
