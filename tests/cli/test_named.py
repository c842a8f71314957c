"""What `-w` means: one workspace, where a command is of one; refused where it is of all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.command import Run

from aap.config import user_file, workspaces_file
from aap.errors import Exit
from aap.mode import user_record


@pytest.fixture
def work(home: Path, workspace: Path) -> Path:
    """A workspace besides `main`, with a message."""
    path = home / "work"
    path.mkdir()
    workspaces_file().parent.mkdir(parents=True, exist_ok=True)
    workspaces_file().write_text(f"work {path}\n")
    return path


@pytest.fixture
def gone(aap: Run, work: Path) -> Path:
    """The folder of one that was removed: its messages are still there."""
    aap("-w", "work", "inbox", "add", "--text", "hi")
    workspaces_file().write_text("")
    return work


@pytest.fixture
def installed(workspace: Path) -> None:
    """A record of an installation of `main` alone, as `aap install` leaves it."""
    plan = {
        "python": "/usr/bin/python3",
        "listen": "127.0.0.1:7011",
        "workspaces": {"main": str(workspace)},
        "secrets": "/nowhere",
    }
    user_record().parent.mkdir(parents=True)
    user_record().write_text(
        json.dumps({"aap": "1", "plan": plan, "units": [], "linger": False, "folders": []})
    )


OF_ALL = (
    ("uninstall",),
    ("uninstall", "--purge", "--yes"),
    ("workspace", "add", "new", "/srv/new"),
    ("workspace", "use", "main"),
    ("workspace", "rm", "work"),
    ("key", "new", "phone"),
    ("key", "ls"),
    ("key", "revoke", "phone"),
    ("config", "import", "file"),
    ("openclaw", "check"),
    ("openclaw", "setup"),
)


@pytest.mark.parametrize("words", OF_ALL, ids=" ".join)
def test_a_command_that_is_of_all_takes_no_workspace(
    aap: Run, work: Path, words: tuple[str, ...]
) -> None:
    aap("-w", "work", "inbox", "add", "--text", "hi")
    for each in (("-w", "work", *words), (*words, "-w", "work")):
        done = aap(*each)
        assert (done.returncode, done.stdout) == (Exit.USAGE, "")
        assert "is of all workspaces" in done.stderr
    assert aap("-w", "work", "inbox", "new").stdout
    assert "--workspace" not in aap(*words[:2], "--help").stdout


def test_uninstall_says_how_to_be_rid_of_one(aap: Run, work: Path) -> None:
    assert "aap workspace rm work" in aap("-w", "work", "uninstall", "--purge", "--yes").stderr


OF_ONE = (
    ("inbox", "ls"),
    ("inbox", "add", "--text", "hi"),
    ("send", "hi"),
    ("pause",),
    ("resume",),
    ("status",),
    ("doctor",),
    ("explain",),
    ("logs",),
    ("config", "get", "AGENT"),
    ("config", "validate"),
    ("config", "path"),
    ("agent", "show"),
    ("skills", "ls"),
    ("workspace", "ls"),
    ("workspace", "show"),
    ("context", "show"),
)


@pytest.mark.parametrize("words", OF_ONE, ids=" ".join)
def test_a_workspace_that_is_none_is_not_found(
    aap: Run, home: Path, work: Path, words: tuple[str, ...]
) -> None:
    for named, said in (("nope", "aap workspace ls"), (f"{home}/nope", "aap workspace add NAME")):
        done = aap("-w", named, *words)
        assert (done.returncode, done.stdout) == (Exit.NOT_FOUND, "")
        assert said in done.stderr
    assert not (home / "nope").exists()


@pytest.mark.parametrize("words", [("send", "hi"), ("pause",), ("resume",), ("status",)])
def test_one_that_was_removed_gets_no_message_and_no_worker(
    aap: Run, gone: Path, installed: None, words: tuple[str, ...]
) -> None:
    done = aap("-w", str(gone), *words)
    assert (done.returncode, done.stdout) == (Exit.NOT_FOUND, "")
    assert f"no workspace at {gone}" in done.stderr
    assert f"aap workspace add NAME {gone}" in done.stderr
    assert aap("-w", str(gone), "inbox", "new").stdout, "its messages can still be read"


def test_status_and_ls_show_the_one_that_is_named(aap: Run, work: Path) -> None:
    shown = json.loads(aap("-w", "work", "status", "--json").stdout)["workspaces"]
    assert [each["name"] for each in shown] == ["work"]
    listed = aap("-w", str(work), "workspace", "ls", "--json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in listed] == ["work"]


def test_status_says_by_its_code_that_settings_are_wrong(aap: Run, installed: None) -> None:
    for words, env in (
        (("--config", "/nope", "status"), {}),
        (("status",), {"AAP_PORT": "abc"}),
        (("status", "--json"), {"AAP_PORT": "abc"}),
    ):
        done = aap(*words, **env)
        assert done.returncode == Exit.BAD_CONFIG
        assert done.stdout
        assert ("/nope" if "--config" in words else "AAP_PORT") in done.stderr


def test_install_moves_main_nowhere(aap: Run, home: Path, installed: None) -> None:
    other = home / "other"
    done = aap("-w", str(other), "install", "--user", "--no-linger")
    assert done.returncode == Exit.USAGE
    assert f"aap workspace add NAME {other}" in done.stderr
    assert f"aap config set WORKSPACE {other}" in done.stderr


def test_install_moves_no_main_that_a_file_names(aap: Run, home: Path, work: Path) -> None:
    user_file().write_text(f"WORKSPACE={home}/mine\n")
    for named, said in ((f"{home}/other", "stays there"), ("work", "is of all workspaces")):
        done = aap("-w", named, "install", "--user", "--no-linger")
        assert done.returncode == Exit.USAGE
        assert said in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("install", "--user", "--system"), "--system and --user exclude each other"),
        (("uninstall", "--system", "--user"), "--system and --user exclude each other"),
        (("install", "--linger", "--no-linger"), "--linger and --no-linger exclude each other"),
        (("key", "new", "bad name"), "no name for a key"),
        (("key", "new"), "Missing argument 'NAME'"),
        (("workspace", "add"), "Missing argument 'NAME'"),
        (("completion",), "Missing argument 'SHELL'. Choose from: bash, zsh, fish"),
        (("inbox", "wait", "--timeout", "foo"), "such as 30s, 5m or 2h"),
        (("inbox", "ls", "--limit", "-1"), '"-1" cannot be read'),
        (("inbox", "ls", "--limit=-1"), '"-1" cannot be read'),
        (("context", "stats", "--limit", "-1"), '"-1" cannot be read'),
    ],
)
def test_what_makes_no_sense_is_refused(aap: Run, words: tuple[str, ...], said: str) -> None:
    done = aap(*words)
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("words", [("get", "PORTT"), ("unset", "PORTT"), ("explain", "PORTT")])
def test_a_setting_that_there_is_not_is_not_found(aap: Run, words: tuple[str, ...]) -> None:
    done = aap("config", *words)
    assert done.returncode == Exit.NOT_FOUND
    assert "did you mean PORT?" in done.stderr


def test_purge_off_a_terminal_names_the_whole_command(
    aap: Run, gone: Path, workspace: Path
) -> None:
    aap("inbox", "add", "--text", "hi")
    done = aap("uninstall", "--purge")
    assert done.returncode == Exit.USAGE
    assert "aap uninstall --user --purge --yes" in done.stderr
