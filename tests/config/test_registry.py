"""Workspaces have names; settings are of one workspace, and what all share is of `main`."""

from __future__ import annotations

from pathlib import Path

import pytest

from aap import config
from aap.config import DoubtfulConfigError, load, paths
from aap.config.registry import add_workspace, mark_default, read_registry, remove_workspace
from aap.errors import ConfigError, Exit, NotFoundError, UsageError


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of this machine's."""
    monkeypatch.setattr(paths, "SYSTEM_FILE", tmp_path / "none")


@pytest.fixture
def file() -> Path:
    return config.workspaces_file()


@pytest.fixture
def work(file: Path, home: Path) -> Path:
    """A workspace of that name."""
    path = home / "my work"
    path.mkdir()
    add_workspace(file, "work", path)
    return path


@pytest.fixture
def main(home: Path) -> Path:
    path = home / ".openclaw" / "workspace"
    path.mkdir(parents=True)
    return path


def test_without_a_file_there_is_main_alone(main: Path) -> None:
    loaded = load()
    assert (loaded.name, loaded.workspaces) == ("main", {"main": main})


def test_a_workspace_is_named_by_flag_variable_or_path(main: Path, work: Path) -> None:
    both = {"main": main, "work": work}
    assert load().workspaces == both
    named = [
        load(workspace="work"),
        load(environ={"AAP_WORKSPACE": "work", **environment()}),
        load(workspace=str(work)),
        load(workspace=f"{work}/../my work/"),
        load(environ={"AAP_WORKSPACE": str(work), **environment()}),
    ]
    for loaded in named:
        assert (loaded.name, loaded.settings.workspace) == ("work", work)
        assert loaded.workspaces == both
    inside = {"AAP_WORKSPACE": str(work), **environment()}  # as the agent of "work" has it
    assert load(workspace="main", environ=inside).settings.workspace == main


def environment() -> dict[str, str]:
    import os

    return {key: os.environ[key] for key in ("HOME", "XDG_CONFIG_HOME")}


def test_a_path_without_a_name_takes_the_place_of_main(work: Path, tmp_path: Path) -> None:
    loaded = load(workspace=f"{tmp_path}/other")
    assert loaded.workspaces == {"main": tmp_path / "other", "work": work}


def test_a_link_to_a_workspace_means_that_workspace(work: Path, home: Path) -> None:
    (home / "link").symlink_to(work)
    assert load(workspace=f"{home}/link").settings.workspace == work


@pytest.mark.parametrize(
    ("word", "hint"), [("wrok", "did you mean work?"), ("zzz", "aap workspace ls")]
)
def test_an_unknown_name_is_told_with_the_nearest(work: Path, word: str, hint: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        load(workspace=word)
    assert (caught.value.code, caught.value.hint) == (Exit.NOT_FOUND, hint)


def test_a_folder_of_that_name_is_pointed_at(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(work.parent)
    (work.parent / "stuff").mkdir()
    with pytest.raises(NotFoundError) as caught:
        load(workspace="stuff")
    assert caught.value.hint.endswith("./stuff")


def test_the_default_is_what_no_name_means(file: Path, main: Path, work: Path) -> None:
    assert mark_default(file, "work")
    assert not mark_default(file, "work")
    loaded = load()
    assert (loaded.name, list(loaded.workspaces)) == ("work", ["work", "main"])
    origin = loaded.origins["WORKSPACE"]
    assert (origin.where, origin.file, origin.line, origin.text) == (
        "workspaces",
        file,
        2,
        str(work),
    )
    assert load(workspace="main").settings.workspace == main
    mark_default(file, "main")
    assert load().name == "main"


def test_each_workspace_has_its_own_settings_and_main_speaks_for_the_api(
    main: Path, work: Path
) -> None:
    (main / ".ai-agent-proxy.conf").write_text("AGENT=codex\nPORT=7012\nMAX_ATTEMPTS=2\n")
    (work / ".ai-agent-proxy.conf").write_text("AGENT=claude\nPORT=7013\n")
    loaded = load(workspace="work")
    settings = loaded.settings
    assert (settings.agent, settings.port, settings.max_attempts) == ("claude", 7012, 5)
    (finding,) = loaded.findings
    assert (finding.code, finding.line, finding.harmless) == ("shared-setting", 2, True)
    assert load().settings.agent == "codex"


def test_no_workspace_speaks_for_the_api_of_the_machine(
    file: Path, main: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its agent owns the workspaces, and could name the key or the address."""
    shared = file.with_name("aap.conf")
    shared.write_text(f"WORKSPACE={main}\nPORT=7012\n")
    monkeypatch.setattr(paths, "SYSTEM_FILE", shared)
    monkeypatch.setenv("CONFIGURATION_DIRECTORY", str(file.parent))
    monkeypatch.setenv("AAP_MODE", "system")
    (main / ".ai-agent-proxy.conf").write_text("AGENT=codex\nPORT=7013\nAPI_KEY=mine\n")
    (work / ".ai-agent-proxy.conf").write_text("AGENT=claude\n")
    for name, agent in (("main", "codex"), ("work", "claude")):
        settings = load(workspace=name).settings
        assert (settings.agent, settings.port, settings.api_key) == (agent, 7012, "")
    found = load(workspace="main").findings
    assert [(each.code, each.line, each.harmless) for each in found] == [
        ("shared-setting", 2, True),
        ("shared-setting", 3, True),
    ]


def test_a_fault_in_mains_own_lines_does_not_stop_another_workspace(main: Path, work: Path) -> None:
    (main / ".ai-agent-proxy.conf").write_text("AGNET=codex\nRETRY_MIN=soon\n")
    assert load(workspace="work").settings.retry_min == 30
    with pytest.raises(DoubtfulConfigError):
        load()


def test_lines_are_added_and_removed_and_comments_stay(file: Path, work: Path, home: Path) -> None:
    file.write_text(file.read_text() + "\n# for the week-end\n")
    assert not add_workspace(file, "work", work)
    add_workspace(file, "play", home / "größe 100%")
    assert read_registry(file).lines["play"].path == home / "größe 100%"
    assert file.stat().st_mode & 0o777 == 0o600
    assert remove_workspace(file, "work") == work
    head, *rest = file.read_text().splitlines()
    assert head.startswith("#")
    assert rest == ["", "# for the week-end", f"play {home}/größe 100%"]
    mark_default(file, "play")
    remove_workspace(file, "play")
    assert read_registry(file).default == "main"


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("Work", "/srv/x", "no name"),
        ("a/b", "/srv/x", "no name"),
        ("", "/srv/x", "no name"),
        ("main", "/srv/x", "setting WORKSPACE"),
        ("work", "/srv/x", "already"),
        ("again", "{work}", 'is the workspace "work" already'),
        ("lines", "/srv/a\nb", "no line"),
        ("blank", "/srv/a ", "no line"),
    ],
)
def test_what_cannot_be_a_workspace_is_refused(
    file: Path, work: Path, name: str, path: str, said: str
) -> None:
    before = file.read_text()
    with pytest.raises(UsageError, match=said):
        add_workspace(file, name, Path(path.format(work=work)))
    assert file.read_text() == before


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ("work", 1, "no workspace"),
        ("  work ~/x", 3, "no workspace"),
        ("Work /x", 1, "no workspace"),
        ("main /x", 1, "stands in no line"),
        ("play /x\nplay /y", 1, "line 1 already"),
        ("* play /x\n* other /y", 1, "as the default already"),
    ],
)
def test_a_wrong_line_is_told_with_its_place(file: Path, line: str, column: int, said: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{line}\n")
    with pytest.raises(ConfigError, match=said) as caught:
        load()
    number = line.count("\n") + 1
    assert str(caught.value).startswith(f"{file}:{number}:{column}: ")
