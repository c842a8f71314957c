"""Files that are replaced, or deleted, durably."""

from __future__ import annotations

from pathlib import Path

import pytest

from aap import files


def test_what_is_not_there_is_removed_only_if_it_need_not_be(tmp_path: Path) -> None:
    files.remove(tmp_path / "a", missing_ok=True)
    with pytest.raises(FileNotFoundError):
        files.remove(tmp_path / "a")


def test_nothing_of_a_removed_file_is_left(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    files.remove(tmp_path / "a")
    assert not any(tmp_path.iterdir())


def test_a_file_that_could_not_be_removed_durably_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error")

    (tmp_path / "a").write_text("said")
    monkeypatch.setattr(files, "fsync_folder", fail)
    with pytest.raises(OSError, match="Input/output"):
        files.remove(tmp_path / "a", missing_ok=True)
    assert (tmp_path / "a").read_text() == "said"
    assert len(list(tmp_path.iterdir())) == 1
