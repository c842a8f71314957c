"""Whose aap is meant, and what follows from it for settings and files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aap import config, identity, mode
from aap.config import store
from aap.errors import ConfigError, PermissionDeniedError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone has rights to give away")


def test_it_is_the_users_unless_something_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode, "SYSTEM_RECORD", Path("/nowhere/install.json"))
    assert mode.find_mode({}) == mode.USER
    assert mode.find_mode({"AAP_MODE": "system"}) == mode.SYSTEM
    with pytest.raises(ConfigError, match='AAP_MODE is "both"'):
        mode.find_mode({"AAP_MODE": "both"})


def test_the_machines_counts_where_the_user_has_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = tmp_path / "install.json"
    record.write_text("{}")
    monkeypatch.setattr(mode, "SYSTEM_RECORD", record)
    environ = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert mode.find_mode(environ) == mode.SYSTEM
    own = mode.user_record(environ)
    own.parent.mkdir(parents=True)
    own.write_text("{}")
    assert mode.find_mode(environ) == mode.USER
    assert mode.find_mode(environ | {"AAP_MODE": "system"}) == mode.SYSTEM


def test_the_machines_settings_know_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AAP_MODE", "system")
    assert config.config_folder() == Path("/etc/aap")
    assert config.load().settings.workspace == Path("/var/lib/aap/workspace")
    assert config.SETTINGS["WORKSPACE"].parse("~/ws") == Path("/var/lib/aap/ws")


def test_the_owner_of_the_first_foreign_folder_decides(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the way there is not root's")
    inner = tmp_path / "bobs" / "ws"
    inner.mkdir(parents=True)
    assert identity.find_owner(inner) is None
    os.chown(inner.parent, 65534, 65534)
    assert identity.find_owner(inner / "not" / "there") == (65534, 65534)
    (tmp_path / "link").symlink_to(inner)
    assert identity.find_owner(tmp_path / "link/x") == (65534, 65534)
    inner.parent.chmod(0o777)
    os.chown(inner.parent, 0, 0)
    with pytest.raises(PermissionDeniedError, match="others than root may change"):
        identity.find_owner(inner)


@needs_root
def test_a_link_that_leads_into_others_hands_is_theirs_whatever_they_put_there(
    tmp_path: Path,
) -> None:
    """Root's own link to a folder of bob's, in whose place bob has put a link to root's."""
    bobs = tmp_path / "bobs"
    bobs.mkdir()
    os.chown(bobs, 65534, 65534)
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots/ws").mkdir()
    (bobs / "sub").symlink_to(tmp_path / "roots")
    (tmp_path / "link").symlink_to("bobs/../bobs/sub")
    assert identity.find_owner(tmp_path / "link/ws") == (65534, 65534)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        identity.find_owner(tmp_path / "loop/x")


@needs_root
def test_what_everybody_may_make_is_nobodys_yet(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    with pytest.raises(PermissionDeniedError, match="others than root may make it"):
        identity.find_owner(tmp_path / "tmp/ws/.ai-agent-proxy")
    (tmp_path / "tmp/ws").mkdir()
    assert identity.find_owner(tmp_path / "tmp/ws/.ai-agent-proxy") is None


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that everybody can look into; pytest's own are closed."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@needs_root
def test_root_has_the_owners_rights_and_its_own_again(common: Path) -> None:
    (common / "bobs").mkdir()
    os.chown(common / "bobs", 65534, 65534)
    secret = common / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    with identity.acting_for(common / "bobs/ws"):
        with pytest.raises(PermissionError):
            secret.read_text()
        with identity.acting_for(secret):  # in between, root's again
            assert secret.read_text() == "x"
        with pytest.raises(PermissionError):
            secret.read_text()
    assert identity.current() is None
    assert secret.read_text() == "x"


@needs_root
def test_a_setting_is_written_as_the_owner_of_its_folder(common: Path) -> None:
    bobs = common / "bobs"
    bobs.mkdir()
    os.chown(bobs, 65534, 65534)
    file = bobs / "etc/aap.conf"
    store.set_value(file, "PORT", "7099")
    assert (file.stat().st_uid, file.parent.stat().st_uid) == (65534, 65534)
