"""The settings file in which nobody has set anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from aap import WORKSPACE_FILE, blank


def test_what_was_made_is_removed(tmp_path: Path) -> None:
    assert blank.make(tmp_path)
    assert (tmp_path / WORKSPACE_FILE).read_bytes() == blank.TEXT
    assert not blank.make(tmp_path)
    assert blank.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [0, 1, len(blank.TEXT) - 1])
def test_what_a_crash_has_left_of_it_is_removed(tmp_path: Path, length: int) -> None:
    (tmp_path / WORKSPACE_FILE).write_bytes(blank.TEXT[:length])
    assert not blank.make(tmp_path)
    assert blank.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", [b"PORT=7000\n", b"# mine\n", blank.TEXT + b"# and mine\n"])
def test_what_somebody_wrote_stays(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / WORKSPACE_FILE
    file.write_bytes(text)
    assert not blank.make(tmp_path)
    assert not blank.remove(tmp_path)
    assert file.read_bytes() == text


def test_a_link_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / WORKSPACE_FILE
    file.symlink_to("elsewhere")
    assert not blank.make(tmp_path)
    assert not blank.remove(tmp_path)
    assert file.is_symlink()


def test_without_a_file_there_is_nothing_to_remove(tmp_path: Path) -> None:
    assert not blank.remove(tmp_path)
    assert not blank.remove(tmp_path / "nowhere")
