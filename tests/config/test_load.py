"""Settings come from many places, in one order, and each value knows its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aap import config
from aap.config import DoubtfulConfigError, load, paths
from aap.errors import ConfigError, Exit, NotFoundError

from .corpus import SAMPLE


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's file, which is not that of this machine."""
    file = tmp_path / "etc" / "aap.conf"
    file.parent.mkdir()
    monkeypatch.setattr(paths, "SYSTEM_FILE", file)
    return file


@pytest.fixture
def user() -> Path:
    file = config.user_file()
    file.parent.mkdir(parents=True)
    return file


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    folder.mkdir()
    return folder


def test_without_any_file_the_defaults_hold(home: Path) -> None:
    loaded = load()
    assert vars(loaded.settings) == vars(config.Settings())
    assert {origin.where for origin in loaded.origins.values()} == {"default"}
    assert loaded.origins["PORT"].text == "7011"
    assert (loaded.files, loaded.findings) == ((), ())


def test_flags_win_over_variables_over_files_over_defaults(
    system: Path, user: Path, workspace: Path
) -> None:
    steps = [(system, "system"), (user, "user"), (workspace / ".ai-agent-proxy.conf", "workspace")]
    for port, (file, where) in enumerate(steps, 1):
        file.write_text(f"# the port\nPORT={port}\n")
        loaded = load(workspace=str(workspace))
        origin = loaded.origins["PORT"]
        assert loaded.settings.port == port
        assert (origin.where, origin.file, origin.line, origin.text) == (where, file, 2, str(port))
    environ = {**os.environ, "AAP_PORT": "8"}
    loaded = load(workspace=str(workspace), environ=environ)
    assert (loaded.settings.port, loaded.origins["PORT"].name) == (8, "AAP_PORT")
    loaded = load(workspace=str(workspace), environ=environ, overrides={"PORT": "9"})
    assert (loaded.settings.port, loaded.origins["PORT"].name) == (9, "--port")
    assert set(loaded.files) == {file for file, _ in steps}


def test_each_file_may_name_the_workspace_whose_file_is_read(
    system: Path, user: Path, workspace: Path
) -> None:
    (workspace / ".ai-agent-proxy.conf").write_text("PORT=5\n")
    for file in (system, user):
        file.write_text(f"WORKSPACE={workspace}\n")
        assert load().settings.port == 5
        file.unlink()
    assert load(environ={**os.environ, "AAP_WORKDIR": str(workspace)}).settings.port == 5
    assert load(overrides={"WORKSPACE": str(workspace)}).settings.port == 5


def test_a_workspace_file_cannot_lead_to_another_workspace(workspace: Path) -> None:
    own = workspace / ".ai-agent-proxy.conf"
    own.write_text(f"WORKSPACE={workspace}/elsewhere\nPORT=5\n")
    loaded = load(workspace=str(workspace))
    assert (loaded.settings.workspace, loaded.settings.port) == (workspace, 5)
    assert [finding.code for finding in loaded.findings] == ["other-workspace"]
    own.write_text(f"WORKSPACE={workspace}\n")
    assert load(workspace=str(workspace)).findings == ()


@pytest.mark.parametrize("place", ["flag", "variable", "workspace"])
def test_the_sample_of_ai_agent_proxy_works_as_it_stands(
    home: Path, tmp_path: Path, place: str
) -> None:
    own = home / ".openclaw" / "workspace" / ".ai-agent-proxy.conf"
    file = own if place == "workspace" else tmp_path / ".ai-agent-proxy.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SAMPLE)
    environ = {**os.environ, "AAP_CONFIG": str(file)} if place == "variable" else os.environ
    loaded = load(config_file=str(file) if place == "flag" else None, environ=environ)
    settings = loaded.settings
    assert (settings.host, settings.port) == ("0.0.0.0", 7011)
    assert settings.workspace == home / ".openclaw" / "workspace"
    assert settings.api_key == "aibot_<your-key-something>"
    assert settings.agent_cli.startswith("/usr/bin/codex resume --last")
    assert settings.agent_init_cli.endswith("-approvals-and-sandbox")
    assert [finding.code for finding in loaded.findings] == ["sample-key"]
    assert loaded.files == (file,)


def test_a_named_file_stands_in_for_the_users(user: Path, system: Path, tmp_path: Path) -> None:
    user.write_text("PORT=1\nHOST=::1\n")
    system.write_text("PORT=2\nREPLY=empty\n")
    named = tmp_path / "my.conf"
    named.write_text("PORT=3\nWORKDIR=ws\n")
    settings = load(config_file=str(named)).settings
    assert (settings.port, settings.host, settings.reply) == (3, "127.0.0.1", "empty")
    assert settings.workspace == tmp_path / "ws"


def test_the_same_file_in_two_places_is_read_once(user: Path, workspace: Path) -> None:
    own = workspace / ".ai-agent-proxy.conf"
    own.write_text(f"WORKSPACE={workspace}\nPORT=5\n")
    user.symlink_to(own)
    loaded = load()
    assert (loaded.settings.workspace, loaded.settings.port) == (workspace, 5)
    assert (loaded.files, loaded.findings) == ((user,), ())


def test_the_name_itself_counts_over_its_alias(user: Path, tmp_path: Path) -> None:
    for lines in (["WORKSPACE=/a", "WORKDIR=/b"], ["WORKDIR=/b", "WORKSPACE=/a"]):
        user.write_text("\n".join(lines))
        assert load().settings.workspace == Path("/a")
    user.write_text("IP=::1")
    assert load().settings.host == "::1"


def test_all_doubtful_lines_and_wrong_values_are_told_at_once(user: Path, system: Path) -> None:
    user.write_text("PORT=70x\n\nPROT=1\n")
    system.write_text('  MAX_BODY= "12 apples"\n')
    with pytest.raises(DoubtfulConfigError) as caught:
        load(overrides={"PORT": "1"})
    codes = {(finding.code, finding.line, finding.column) for finding in caught.value.findings}
    assert codes == {("bad-value", 1, 6), ("unknown-key", 3, 1), ("bad-value", 1, 13)}
    assert caught.value.code is Exit.BAD_CONFIG
    text = str(caught.value)
    assert f'{user}:1:6: PORT: "70x" is no port: give a number from 1 to 65535' in text
    assert "\n    PORT=70x\n         ^\n" in text
    assert f'{system}:1:13: MAX_BODY: "12 apples" is no size' in text


def test_a_wrong_flag_or_variable_is_named() -> None:
    with pytest.raises(ConfigError, match=r'^--port: PORT: "x" is no port'):
        load(overrides={"PORT": "x"})
    with pytest.raises(ConfigError, match=r'^AAP_PORT: PORT: "x" is no port'):
        load(environ={**os.environ, "AAP_PORT": "x"})
    with pytest.raises(NotFoundError, match="PROT is no setting") as caught:
        load(overrides={"PROT": "1"})
    assert caught.value.hint == "did you mean PORT?"
    loaded = load(environ={**os.environ, "AAP_PROT": "1"})
    assert [(finding.code, finding.where) for finding in loaded.findings] == [
        ("unknown-variable", "AAP_PROT")
    ]


def test_a_wrong_workspace_is_an_error_and_not_the_default() -> None:
    with pytest.raises(ConfigError, match=r"^--workspace: WORKSPACE: is empty"):
        load(workspace="")


def test_settings_that_contradict_each_other_are_refused(user: Path) -> None:
    user.write_text("RETRY_MIN=2h\n")
    with pytest.raises(ConfigError, match=r"RETRY_MIN \(2h\) is longer than RETRY_MAX \(1h\)"):
        load()


def test_secrets_come_from_credentials_then_their_folder_then_files(
    user: Path, tmp_path: Path
) -> None:
    user.write_text("API_KEY=plain\nA2A_KEY=plain\n")
    folder = config.secrets_folder()
    folder.mkdir()
    (folder / "a2a-key").write_text("kept apart\n")
    (tmp_path / "api-key").write_text("handed over\n")
    loaded = load(environ={**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (loaded.settings.api_key, loaded.settings.a2a_key) == ("handed over", "kept apart")
    assert loaded.origins["API_KEY"].where == "credential"
    assert loaded.origins["A2A_KEY"].file == folder / "a2a-key"
    assert load().settings.api_key == "plain"
    assert "handed over" not in repr(loaded)


def test_a_folder_or_a_fifo_in_the_place_of_a_file_stops_nobody_for_ever(
    user: Path, tmp_path: Path
) -> None:
    os.mkfifo(user)
    with pytest.raises(ConfigError, match="is no file that can be read"):
        load()
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory|is no file"):
        load(config_file=str(tmp_path))
    with pytest.raises(ConfigError, match="does not exist"):
        load(config_file=str(tmp_path / "none.conf"))
    assert load(config_file="/dev/null").settings.port == 7011


def test_a_file_without_end_is_refused(user: Path) -> None:
    user.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_an_error(user: Path) -> None:
    user.write_text("PORT=1\n")
    user.chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        load()


def test_the_config_folder_is_where_platformdirs_has_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import platformdirs

    for value in (None, "", str(home / "elsewhere")):
        if value is None:
            monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        else:
            monkeypatch.setenv("XDG_CONFIG_HOME", value)
        assert config.config_folder() == platformdirs.user_config_path("aap")


def test_a_unit_says_where_its_config_folder_is() -> None:
    here = {"HOME": "/home/ann", "CONFIGURATION_DIRECTORY": "/etc/other:/etc/aap"}
    assert config.keys_file(here) == Path("/etc/aap/keys")
    foreign = {"HOME": "/home/ann", "CONFIGURATION_DIRECTORY": "/etc/openclaw"}
    assert config.user_file(foreign) == Path("/home/ann/.config/aap/aap.conf")


def test_the_spool_follows_the_workspace(workspace: Path) -> None:
    loaded = load(workspace=str(workspace))
    assert config.spool_root(loaded.settings) == workspace / ".ai-agent-proxy"
    assert loaded.workspaces == {"main": workspace}


def test_reading_settings_imports_little() -> None:
    script = "import sys; before = set(sys.modules); import aap.config; aap.config.load(); "
    script += "print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    heavy = {
        "difflib",
        "hashlib",
        "hmac",
        "platformdirs",
        "dataclasses",
        "socket",
        "shlex",
        "secrets",
    }
    heavy |= {"asyncio", "logging", "json", "subprocess", "pydantic", "typer"}
    assert "aap.config.table" in done.stdout.split()
    assert heavy.isdisjoint(done.stdout.split())
