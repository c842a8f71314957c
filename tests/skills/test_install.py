"""Skills in a workspace: where agents look, up to date, and never over somebody's own words."""

import json

import pytest

from aap import skillset
from aap.skillset import COPIES, LINKS, MANIFEST

NAMES = [skill.name for skill in skillset.skills()]
FIRST = NAMES[0]


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def older(monkeypatch, tmp_path, workspace):
    """A workspace with the skills of an older aap, one of which is gone by now."""
    source = tmp_path / "old-skills"
    for name in (*NAMES, "gone"):
        (source / name).mkdir(parents=True)
        (source / name / "SKILL.md").write_text(
            f"---\nname: {name}\ndescription: old\n---\n# Old\n"
        )
    (source / FIRST / "extra.md").write_text("extra")
    with monkeypatch.context() as patch:
        patch.setattr(skillset, "source", lambda: source)
        skillset.install(workspace)
    return workspace


def told(steps):
    return {(step.action, step.path.name) for step in steps}


def tree(folder):
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def copy(workspace, place=COPIES[0], name=FIRST):
    return workspace / place / name / "SKILL.md"


@pytest.mark.parametrize("place", [*COPIES, LINKS])
@pytest.mark.parametrize("name", NAMES)
def test_every_agent_finds_every_skill(workspace, place, name):
    skillset.install(workspace)
    assert copy(workspace, place, name).read_text() == skillset.find(name).text


def test_claude_gets_links_that_survive_a_move(workspace, tmp_path):
    skillset.install(workspace)
    moved = workspace.rename(tmp_path / "elsewhere")
    for name in NAMES:
        assert (moved / LINKS / name).is_symlink()
        assert copy(moved, LINKS, name).read_text() == skillset.find(name).text


def test_a_second_time_changes_nothing(workspace):
    assert {action for action, _ in told(skillset.install(workspace))} == {"added"}
    before = tree(workspace)
    assert skillset.install(workspace) == []
    assert tree(workspace) == before


def test_an_upgrade_updates_what_nobody_changed(older):
    steps = skillset.install(older)
    assert {action for action, _ in told(steps)} == {"updated", "removed"}
    for name in NAMES:
        for place in COPIES:
            assert copy(older, place, name).read_text() == skillset.find(name).text
    assert not (older / COPIES[0] / "gone").exists()
    assert not (older / COPIES[0] / FIRST / "extra.md").exists()
    assert skillset.install(older) == []


def test_what_was_changed_is_left_and_said_every_time(older):
    copy(older).write_text("my own words")
    for _ in range(2):
        steps = skillset.install(older)
        assert [step.path for step in steps if step.action == "kept"] == [copy(older)]
        assert copy(older).read_text() == "my own words"
    assert skillset.state(older, skillset.find(FIRST)) == "changed"
    assert skillset.state(older, skillset.find(NAMES[1])) == "installed"


def test_force_replaces_it_and_keeps_a_backup(workspace):
    skillset.install(workspace)
    for words in ("mine", "mine again"):
        copy(workspace).write_text(words)
        (step,) = skillset.install(workspace, force=True)
        assert (step.action, step.path) == ("replaced", copy(workspace))
        assert step.backup.read_text() == words
        assert copy(workspace).read_text() == skillset.find(FIRST).text
    assert skillset.install(workspace) == []


def test_a_change_that_is_taken_back_is_none(workspace):
    skillset.install(workspace)
    copy(workspace).write_text("mine")
    skillset.install(workspace)
    copy(workspace).write_text(skillset.find(FIRST).text)
    assert skillset.install(workspace) == []


def test_a_skill_of_the_users_own_with_the_same_name_is_left(workspace):
    own = copy(workspace, "skills")
    own.parent.mkdir(parents=True)
    own.write_text("my skill")
    (workspace / LINKS / FIRST).mkdir(parents=True)
    kept = {step.path for step in skillset.install(workspace) if step.action == "kept"}
    assert kept == {own, workspace / LINKS / FIRST}
    assert own.read_text() == "my skill"


def test_nothing_is_written_through_a_link(workspace, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (workspace / "skills").mkdir()
    (workspace / "skills" / FIRST).symlink_to(elsewhere)
    steps = skillset.install(workspace)
    assert ("kept", "SKILL.md") in told(steps)
    assert list(elsewhere.iterdir()) == []
    skillset.install(workspace, force=True)
    assert list(elsewhere.iterdir()) == []
    assert copy(workspace, "skills").read_text() == skillset.find(FIRST).text


def test_a_claude_folder_that_is_a_link_itself_is_fine(workspace):
    (workspace / ".claude").mkdir()
    (workspace / ".agents" / "skills").mkdir(parents=True)
    (workspace / LINKS).symlink_to("../.agents/skills")
    skillset.install(workspace)
    assert copy(workspace, LINKS).read_text() == skillset.find(FIRST).text
    assert skillset.install(workspace) == []


def test_what_was_deleted_comes_back(workspace):
    skillset.install(workspace)
    copy(workspace).unlink()
    assert skillset.state(workspace, skillset.find(FIRST)) == "missing"
    assert told(skillset.install(workspace)) == {("added", "SKILL.md")}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": 5}', '{"files": {"../x": "y"}}'])
def test_a_broken_manifest_makes_everything_the_users(older, content):
    (older / MANIFEST).write_text(content)
    actions = {action for action, _ in told(skillset.install(older))}
    assert actions == {"kept"}


def test_removal_takes_what_is_aaps_and_leaves_the_rest(workspace):
    (workspace / "AGENTS.md").write_text("rules")
    (workspace / ".claude").mkdir()
    (workspace / ".claude" / "settings.json").write_text("{}")
    before = tree(workspace)
    skillset.install(workspace)
    skillset.remove(workspace)
    assert tree(workspace) == before
    assert not (workspace / "skills").exists()


def test_removal_leaves_what_was_changed(workspace):
    skillset.install(workspace)
    copy(workspace).write_text("mine")
    assert ("kept", "SKILL.md") in told(skillset.remove(workspace))
    assert copy(workspace).read_text() == "mine"


def test_a_folder_of_skills_gets_plain_copies(tmp_path):
    folder = tmp_path / "some" / "skills"
    skillset.install_in(folder)
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == NAMES
    assert skillset.install_in(folder) == []
    (folder / FIRST / "SKILL.md").write_text("mine")
    assert told(skillset.install_in(folder)) == {("kept", "SKILL.md")}


def test_the_manifest_is_for_people_to_read(workspace):
    skillset.install(workspace)
    facts = json.loads((workspace / MANIFEST).read_text())
    assert facts["version"] == 1
    assert set(facts["files"]) == {f"{place}/{n}/SKILL.md" for place in COPIES for n in NAMES}
