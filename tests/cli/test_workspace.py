"""`aap workspace`: several workspaces, by name, where systemd has nothing to do with it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.command import Run

from aap.config import workspaces_file
from aap.errors import Exit

Documents = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place that is not below /tmp, of which units have their own."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.fixture
def work(aap: Run, folder: Path, workspace: Path) -> Path:
    path = folder / "my work"
    done = aap("workspace", "add", "work", str(path))
    assert done.returncode == 0, done.stderr
    return path


def test_a_new_workspace_is_listed_and_shown(
    aap: Run, documents: Documents, work: Path, workspace: Path
) -> None:
    assert work.is_dir()
    main, other = documents("workspace", "ls")
    assert main["schema"] == "aap.workspace/1"
    assert (main["name"], main["path"], main["default"]) == ("main", str(workspace), True)
    assert (other["name"], other["path"], other["default"]) == ("work", str(work), False)
    assert (other["model"], other["state"]) == ("aap/work", "not installed")
    shown = aap("workspace", "show", "work").stdout
    assert f"{work}/.ai-agent-proxy.conf" in shown
    assert documents("workspace", "show", "-w", "work") == [other]
    assert documents("workspace", "show") == [main]


def test_every_command_takes_a_workspace_by_name(
    aap: Run, documents: Documents, work: Path
) -> None:
    message = aap("-w", "work", "inbox", "add", "--text", "hi").stdout.strip()
    assert (work / ".ai-agent-proxy" / "inbox" / f"{message}.json").exists()
    assert aap("inbox", "new").stdout == ""
    for words, env in (
        (("inbox", "new", "-w", "work"), {}),
        (("inbox", "new"), {"AAP_WORKSPACE": "work"}),
        (("inbox", "new"), {"AAP_WORKSPACE": str(work)}),
    ):
        assert aap(*words, **env).stdout.strip() == message
    assert documents("workspace", "ls")[1]["messages"]["inbox"] == 1


def test_an_unknown_name_is_told_with_the_nearest(aap: Run, work: Path) -> None:
    for words, env in (
        (("-w", "wrok", "inbox", "ls"), {}),
        (("config", "list"), {"AAP_WORKSPACE": "wrok"}),
        (("workspace", "rm", "wrok"), {}),
        (("workspace", "use", "wrok"), {}),
        (("workspace", "show", "wrok"), {}),
    ):
        done = aap(*words, **env)
        assert done.returncode == Exit.NOT_FOUND
        assert "did you mean work?" in done.stderr


def test_use_changes_what_no_name_means(aap: Run, documents: Documents, work: Path) -> None:
    assert aap("workspace", "use", "work").returncode == 0
    assert [each["default"] for each in documents("workspace", "ls")] == [False, True]
    assert aap("config", "get", "WORKSPACE").stdout == f"{work}\n"
    assert "already" in aap("workspace", "use", "work").stderr
    removed = aap("workspace", "rm", "work")
    assert "the default workspace is main" in removed.stderr
    assert aap("config", "get", "WORKSPACE").stdout.strip().endswith("/.openclaw/workspace")


def test_rm_keeps_the_messages_and_says_where(aap: Run, documents: Documents, work: Path) -> None:
    message = aap("-w", "work", "inbox", "add", "--text", "hi").stdout.strip()
    done = aap("workspace", "rm", "work")
    assert f"{work}/.ai-agent-proxy; 1 of them" in done.stderr
    assert (work / ".ai-agent-proxy" / "inbox" / f"{message}.json").exists()
    assert [each["name"] for each in documents("workspace", "ls")] == ["main"]
    aap("workspace", "add", "work", str(work))
    (removed,) = documents("workspace", "rm", "work")
    assert (removed["schema"], removed["messages"]["inbox"]) == ("aap.workspace.rm/1", 1)


def test_validate_looks_at_all_workspaces(aap: Run, work: Path) -> None:
    assert aap("config", "validate").returncode == 0
    (work / ".ai-agent-proxy.conf").write_text("PORT=7012\nMAX_ATEMPTS=3\n")
    done = aap("config", "validate")
    assert done.returncode == Exit.BAD_CONFIG
    assert f"{work}/.ai-agent-proxy.conf:2:1: MAX_ATEMPTS is no setting" in done.stdout
    assert "PORT is of the API" not in done.stdout  # told when nothing else is wrong
    assert aap("-w", "main", "config", "validate").returncode == 0
    (work / ".ai-agent-proxy.conf").write_text("PORT=7012\n")
    done = aap("config", "validate")
    assert (done.returncode, "PORT is of the API" in done.stdout) == (0, True)
    workspaces_file().write_text("nonsense\n")
    done = aap("config", "validate")
    assert done.returncode == Exit.BAD_CONFIG
    assert f"{workspaces_file()}:1:1: " in done.stdout


def test_adding_again_does_no_harm(aap: Run, work: Path) -> None:
    before = workspaces_file().read_text()
    done = aap("workspace", "add", "work", str(work))
    assert done.returncode == 0
    assert "was so already" in done.stderr
    assert workspaces_file().read_text() == before


@pytest.mark.slow
def test_the_settings_of_a_workspace_go_into_its_own_file(aap: Run, work: Path) -> None:
    assert aap("-w", "work", "config", "set", "MAX_ATTEMPTS", "2").returncode == 0
    assert (work / ".ai-agent-proxy.conf").read_text() == "MAX_ATTEMPTS=2\n"
    assert aap("-w", "work", "config", "path").stdout == f"{work}/.ai-agent-proxy.conf\n"
    assert aap("config", "get", "MAX_ATTEMPTS").stdout == "5\n"
    assert aap("-w", "work", "config", "get", "MAX_ATTEMPTS").stdout == "2\n"
    refused = aap("-w", "work", "config", "set", "PORT", "7012")
    assert refused.returncode == Exit.USAGE
    assert "aap config set PORT" in refused.stderr
    assert aap("-w", "work", "config", "unset", "MAX_ATTEMPTS").returncode == 0
    assert aap("-w", "work", "config", "get", "MAX_ATTEMPTS").stdout == "5\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("Work", "{folder}/x"), Exit.USAGE, "no name for a workspace"),
        (("main", "{folder}/x"), Exit.USAGE, "aap config set WORKSPACE"),
        (("work", "{folder}/x"), Exit.USAGE, "aap workspace rm work"),
        (("again", "{folder}/my work"), Exit.USAGE, 'is the workspace "work" already'),
        (("again", "{folder}/link"), Exit.USAGE, 'is the workspace "work" already'),
        (("again", "{workspace}"), Exit.USAGE, 'is the workspace "main" already'),
        (("temp", "/tmp/x"), Exit.BAD_CONFIG, "of which the units have one of their own"),
        (("file", "{folder}/file"), Exit.BAD_CONFIG, "is no folder"),
        (("deep", "{folder}/{long}"), Exit.BAD_CONFIG, "at most 199"),
        (("lines", "{folder}/a\x01b"), Exit.USAGE, "control character"),
        (("empty", ""), Exit.USAGE, "is empty"),
        (("bad", "{folder}/bad"), Exit.BAD_CONFIG, "did you mean PORT?"),
    ],
)
def test_what_cannot_be_a_workspace_is_refused_with_the_reason(
    aap: Run,
    work: Path,
    workspace: Path,
    folder: Path,
    words: tuple[str, str],
    code: Exit,
    said: str,
) -> None:
    (folder / "file").touch()
    (folder / "link").symlink_to(work)
    (folder / "bad").mkdir()
    (folder / "bad" / ".ai-agent-proxy.conf").write_text("PROT=1\n")
    before = workspaces_file().read_text(), sorted(folder.rglob("*"))
    path = words[1].format(folder=folder, workspace=workspace, long="b" * 200)
    done = aap("workspace", "add", words[0], path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert (workspaces_file().read_text(), sorted(folder.rglob("*"))) == before
