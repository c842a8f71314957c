"""Manual pages and completions below a `share/`: followed, never over a change, gone again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from harness.command import execute

from aap import shared

PAGE = "man/man1/aap.1"


@pytest.fixture
def share(tmp_path: Path) -> Path:
    return tmp_path / "home/share"


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "state/shared.json"


def actions(steps: list[shared.Step]) -> set[str]:
    return {step.action for step in steps}


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def an_older_aap(monkeypatch: pytest.MonkeyPatch, share: Path, manifest: Path) -> None:
    """As if another version had been installed: one page differs, one is no more."""
    older = {**shared.wanted(), PAGE: b"old", "man/man1/aap-gone.1": b"gone"}
    with monkeypatch.context() as patch:
        patch.setattr(shared, "wanted", lambda: older)
        shared.install(share, manifest)


def test_everything_is_put_once_and_taken_away_without_a_trace(
    tmp_path: Path, share: Path, manifest: Path
) -> None:
    (share / "man").mkdir(parents=True)  # an empty folder of somebody else's
    before = tree(tmp_path)
    assert actions(shared.install(share, manifest)) == {"added"}
    there = {name: each for name, each in tree(share).items() if each is not None}
    assert there == shared.wanted()
    assert shared.install(share, manifest) == []
    assert shared.states(share, manifest) == {"installed"}
    assert actions(shared.remove(share, manifest)) == {"removed"}
    manifest.parent.rmdir()  # beside the record of the installation, whose folder it is
    assert tree(tmp_path) == before


def test_another_version_takes_the_place_of_what_nobody_changed(
    monkeypatch: pytest.MonkeyPatch, share: Path, manifest: Path
) -> None:
    an_older_aap(monkeypatch, share, manifest)
    assert shared.states(share, manifest) == {"installed", "old"}
    assert actions(shared.install(share, manifest)) == {"updated", "removed"}
    assert shared.states(share, manifest) == {"installed"}
    assert not (share / "man/man1/aap-gone.1").exists()


def test_what_was_changed_stays(share: Path, manifest: Path) -> None:
    shared.install(share, manifest)
    (share / PAGE).write_text("mine")
    assert actions(shared.install(share, manifest)) == {"kept"}
    assert shared.states(share, manifest) == {"installed", "changed"}
    shared.remove(share, manifest)
    assert tree(share) == {"man": None, "man/man1": None, PAGE: b"mine"}


def test_what_a_package_put_there_is_left_to_it(share: Path, manifest: Path) -> None:
    (share / PAGE).parent.mkdir(parents=True)
    (share / PAGE).write_bytes(shared.wanted()[PAGE])
    shared.install(share, manifest)
    assert shared.states(share, manifest) == {"installed"}
    shared.remove(share, manifest)
    assert (share / PAGE).exists()


def test_all_users_can_read_them_whatever_the_umask(share: Path, manifest: Path) -> None:
    before = os.umask(0o077)
    try:
        shared.install(share, manifest)
    finally:
        assert os.umask(before) == 0o077
    for path in [share, *share.rglob("*")]:
        wanted = 0o644 if path.is_file() else 0o755
        assert path.stat().st_mode & 0o777 == wanted, path


def test_an_installation_that_was_cut_short_is_taken_away_whole(
    monkeypatch: pytest.MonkeyPatch, share: Path, manifest: Path
) -> None:
    from aap import files

    written = iter(range(5))

    def write(path: Path, data: bytes, mode: int) -> None:
        if next(written, None) is None:
            raise KeyboardInterrupt
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_atomic", write)
        with pytest.raises(KeyboardInterrupt):
            shared.install(share, manifest)
    assert len([each for each in tree(share).values() if each is not None]) == 4
    shared.remove(share, manifest)
    assert not share.exists()


@pytest.mark.parametrize(
    ("path", "manpath"),
    [
        ("home/bin:/usr/bin", ""),
        ("/usr/bin", ""),
        ("/usr/bin", "home/share/man:"),
        ("/usr/bin", "home/share/man"),
        ("home/bin:/usr/bin", "/usr/share/man"),
        ("home/bin:/usr/bin", ":/usr/share/man"),
    ],
)
def test_it_is_known_where_man_looks(share: Path, manifest: Path, path: str, manpath: str) -> None:
    if shutil.which("manpath") is None:
        pytest.skip("no man-db here")
    shared.install(share, manifest)
    base = str(share.parents[1])
    (share.parent / "bin").mkdir()
    path, manpath = (text.replace("home/", f"{base}/home/") for text in (path, manpath))
    env = {"PATH": path, **({"MANPATH": manpath} if manpath else {})}
    found = execute("/usr/bin/man", "-w", "aap", **env).stdout.strip()
    assert (share / "man" in shared.man_folders(path, manpath)) == (found == str(share / PAGE))
