"""A changed file keeps its comments and order, and reads back what was written."""

from __future__ import annotations

import os
import stat
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aap.config import DoubtfulConfigError, load
from aap.config.envfile import parse
from aap.config.store import quote, set_secret, set_value, unset_value
from aap.errors import ConfigError, NotFoundError, PermissionDeniedError

FILE = """\
# aap on the small machine
PORT=7011   \n
  # what people get at once
REPLY="a
b"
AGENT_CLI=codex \\
  exec
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "aap.conf"
    path.write_text(FILE)
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "aap.conf"
    assert set_value(file, "PORT", "7012")
    assert file.read_text() == "PORT=7012\n"
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)


def test_a_value_is_replaced_where_it_stands(file: Path) -> None:
    assert set_value(file, "PORT", "7012")
    assert set_value(file, "REPLY", "Just a moment…")
    assert set_value(file, "AGENT_CLI", "claude -p")
    assert file.read_text() == (
        "# aap on the small machine\nPORT=7012\n\n  # what people get at once\n"
        'REPLY="Just a moment…"\nAGENT_CLI="claude -p"\n'
    )


def test_a_new_value_goes_to_the_end(file: Path) -> None:
    file.write_text("PORT=1")
    set_value(file, "HOST", "::1")
    assert file.read_text() == "PORT=1\nHOST=::1\n"


def test_a_value_that_is_there_already_is_not_written_again(file: Path) -> None:
    inode = file.stat().st_ino
    assert not set_value(file, "PORT", "7011")
    assert not unset_value(file, "HOST")
    assert file.stat().st_ino == inode
    assert not unset_value(file.with_name("none.conf"), "HOST")


def test_a_double_key_is_one_afterwards(file: Path) -> None:
    file.write_text("PORT=1\r\nREPLY=a\r\n PORT=2\r\n")
    set_value(file, "PORT", "3")
    assert file.read_bytes() == b"REPLY=a\r\n PORT=3\r\n"


def test_an_alias_is_replaced_by_the_key(file: Path, tmp_path: Path) -> None:
    file.write_text("WORKDIR=/a\n# end\n")
    set_value(file, "workspace", "/b")
    assert file.read_text() == "WORKSPACE=/b\n# end\n"


def test_a_relative_path_is_written_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    set_value(file, "WORKSPACE", "ws")
    assert f"WORKSPACE={file.parent}/ws\n" in file.read_text()
    set_value(file, "WORKSPACE", "~/ws")
    assert "WORKSPACE=~/ws\n" in file.read_text()


def test_unset_takes_all_lines_of_a_key(file: Path) -> None:
    assert unset_value(file, "REPLY")
    assert unset_value(file, "AGENT_CLI")
    assert file.read_text() == (
        "# aap on the small machine\nPORT=7011   \n\n  # what people get at once\n"
    )
    file.write_text("WORKDIR=/a\nPORT=1\n\tWORKSPACE=/b")
    assert unset_value(file, "WORKSPACE")
    assert file.read_text() == "PORT=1\n"


def test_a_wrong_value_or_key_changes_nothing(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"PORT: .*no port"):
        set_value(file, "PORT", "x")
    with pytest.raises(NotFoundError, match="PROT is no setting"):
        set_value(file, "PROT", "1")
    with pytest.raises(ConfigError, match="control character"):
        set_value(file, "REPLY", "a\x1b")
    with pytest.raises(ConfigError, match="control character"):
        set_value(file, "REPLY", "a\ufffe")
    assert file.read_text() == FILE


def test_a_wrong_value_can_be_mended(file: Path) -> None:
    file.write_text("PORT=x # y\n")
    set_value(file, "PORT", "1")
    assert file.read_text() == "PORT=1\n"


@pytest.mark.parametrize("text", ['REPLY="a\n', "# a\\\nPORT=1\n", 'REPLY="a\nPORT=1\n"\n'])
def test_a_file_whose_lines_are_tangled_is_left_alone(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(DoubtfulConfigError):
        set_value(file, "PORT", "1")
    assert file.read_text() == text


def test_a_change_never_falls_into_another_value(file: Path) -> None:
    file.write_text("REPLY=a\\")
    with pytest.raises(ConfigError, match="without changing other lines"):
        set_value(file, "PORT", "1")
    assert file.read_text() == "REPLY=a\\"


def test_a_secret_closes_the_file_and_other_modes_stay(file: Path) -> None:
    file.chmod(0o666)
    set_value(file, "PORT", "1")
    assert mode(file) == 0o644
    set_value(file, "API_KEY", "hush")
    assert mode(file) == 0o600


def test_a_link_of_ones_own_is_followed(file: Path) -> None:
    link = file.with_name("link.conf")
    link.symlink_to(file)
    set_value(link, "PORT", "1")
    assert link.is_symlink()
    assert load(config_file=str(file)).settings.port == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_link_to_anothers_file_is_not_followed(file: Path) -> None:
    link = file.with_name("link.conf")
    link.symlink_to(file)
    os.chown(file, 65534, 65534)
    with pytest.raises(ConfigError, match="is a link"):
        set_value(link, "PORT", "1")
    os.chown(file, 0, 0)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(ConfigError, match="is a link"):
        set_value(link, "PORT", "1")
    assert file.read_text() == FILE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_stays_its_owners_and_its_groups(file: Path) -> None:
    os.chown(file, 0, 65534)
    file.chmod(0o640)
    set_value(file, "PORT", "1")
    assert (file.stat().st_gid, mode(file)) == (65534, 0o640)
    os.chown(file, 65534, 65534)
    with pytest.raises(PermissionDeniedError, match="belongs to another user"):
        set_value(file, "PORT", "2")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_without_permission_is_named(file: Path) -> None:
    file.parent.chmod(0o500)
    with pytest.raises(PermissionDeniedError, match=str(file.parent)):
        set_value(file, "PORT", "1")


def test_a_secret_has_a_file_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "aap" / "secrets"
    assert set_secret(folder, "A2A_KEY", "hush")
    assert not set_secret(folder, "A2A_KEY", "hush")
    assert (folder / "a2a-key").read_text() == "hush\n"
    assert (mode(folder), mode(folder / "a2a-key")) == (0o700, 0o600)


def test_plain_values_are_written_plain() -> None:
    assert quote("~/.openclaw/workspace") == "~/.openclaw/workspace"
    assert quote("") == ""
    assert quote("a b") == '"a b"'
    assert quote('$x `y` "z" \\') == '"\\$x \\`y\\` \\"z\\" \\\\"'
    assert quote("it's #1") == '"it\'s #1"'


# Cs and Cc are what no file can hold; tab and line break can.
PRINTABLE = st.text(
    st.one_of(st.sampled_from("\t\n'\"\\$`#;= "), st.characters(exclude_categories=("Cs", "Cc")))
)
NONCHARACTERS = set(range(0xFDD0, 0xFDF0)) | {
    plane << 16 | low for plane in range(17) for low in (0xFFFE, 0xFFFF)
}


@pytest.mark.slow
@given(PRINTABLE.filter(lambda text: NONCHARACTERS.isdisjoint(map(ord, text))))
@example("a\nPORT=1\n  export REPLY = 2")
@example(" # a")
@example("\\")
@example(string.printable[:95])
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_printable_value_reads_back(tmp_path: Path, value: str) -> None:
    file = tmp_path / "aap.conf"
    file.write_text("# first\nREPLY=old\nPORT=1\n")
    set_value(file, "REPLY", value)
    loaded = load(config_file=str(file))
    assert (loaded.settings.reply, loaded.settings.port) == (value, 1)
    assert loaded.findings == ()
    set_value(file, "REPLY", "old")
    assert file.read_text() == "# first\nREPLY=old\nPORT=1\n"


PIECES = st.sampled_from(
    [
        "PORT=1",
        "REPLY=a b",
        "REPLY='c'",
        "WORKDIR=/a",
        "#",
        ";",
        "\n",
        "\r\n",
        " ",
        "x",
        '"',
        "\\",
        "HOST",
    ]
)


@pytest.mark.slow
@given(st.lists(PIECES, max_size=20).map("".join))
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_change_touches_no_other_setting_of_any_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "aap.conf"
    file.write_bytes(text.encode())
    try:
        set_value(file, "PORT", "77")
    except ConfigError:
        assert file.read_bytes() == text.encode()
        return
    changed = file.read_bytes().decode()
    assert [entry.value for entry in parse(changed).assignments if entry.key == "PORT"] == ["77"]
    others = [(entry.key, entry.value) for entry in parse(text).assignments if entry.key != "PORT"]
    assert [
        (entry.key, entry.value) for entry in parse(changed).assignments if entry.key != "PORT"
    ] == others
