"""The configuration of ai-agent-proxy is taken over as that program read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aap.config import DoubtfulConfigError, keys_file, load, secrets_folder, user_file
from aap.config.keys import KeyRing
from aap.config.takeover import ImportReport, import_seed
from aap.errors import ConfigError

from .corpus import SAMPLE


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / ".ai-agent-proxy.conf"


def take(source: Path) -> ImportReport:
    return import_seed(source, user_file(), keys_file())


def actions(report: ImportReport) -> list[tuple[str, str]]:
    return [(step.key, step.action) for step in report.steps]


def test_the_sample_is_taken_over_without_its_key_that_everyone_knows(
    source: Path, home: Path
) -> None:
    source.write_text(SAMPLE)
    report = take(source)
    assert actions(report) == [
        ("HOST", "taken"),
        ("PORT", "taken"),
        ("WORKSPACE", "taken"),
        ("API_KEY", "skipped"),
        ("AGENT_INIT_CLI", "taken"),
        ("AGENT_CLI", "taken"),
    ]
    assert report.changed
    assert report.steps[3].note.endswith("is no key: aap key new NAME")
    assert [note for note in report.notes if "HOST=0.0.0.0" in note]
    settings = load().settings
    assert settings.agent_cli == (
        "/usr/bin/codex resume --last --dangerously-bypass-approvals-and-sandbox"
    )
    assert (settings.host, settings.api_key) == ("0.0.0.0", "")
    assert settings.workspace == home / ".openclaw" / "workspace"
    assert not keys_file().exists()
    assert source.read_text() == SAMPLE


def test_a_second_time_changes_nothing(source: Path) -> None:
    source.write_text(SAMPLE.replace("<your-key-something>", "mine") + "A2A_KEY=hush\n")
    take(source)
    before = {path: path.stat().st_ino for path in user_file().parent.rglob("*")}
    report = take(source)
    assert {action for _, action in actions(report)} == {"same"}
    assert not report.changed
    assert {path: path.stat().st_ino for path in user_file().parent.rglob("*")} == before


def test_lines_are_read_as_ai_agent_proxy_read_them(source: Path) -> None:
    source.write_text(
        "no setting\n# PORT=1\nport = 8001\nexport HOST=::1\n"
        'AGENT_CLI="codex -c "a b" \\d"\nIP=127.0.0.2\nAGENT_INIT_CLI=\n'
        "PORT=8002\nWORKDIR=sub\nPUBLIC_URL=http://a\n"
    )
    report = take(source)
    assert actions(report) == [
        ("PORT", "skipped"),
        ("EXPORT HOST", "skipped"),
        ("AGENT_CLI", "taken"),
        ("IP", "taken"),
        ("AGENT_INIT_CLI", "skipped"),
        ("PORT", "taken"),
        ("WORKDIR", "taken"),
        ("PUBLIC_URL", "skipped"),
    ]
    assert report.steps[0].note == "line 8 sets it again"
    settings = load().settings
    assert settings.agent_cli == 'codex -c "a b" \\d'
    assert (settings.host, settings.port) == ("127.0.0.2", 8002)
    assert settings.workspace == source.parent / "sub"


def test_the_name_counts_over_its_alias(source: Path) -> None:
    source.write_text("WORKSPACE=/a\nWORKDIR=/b\nIP=::1\nHOST=127.0.0.1\n")
    steps = take(source).steps
    assert [step.action for step in steps] == ["taken", "skipped", "skipped", "taken"]
    assert steps[1].note == "WORKSPACE on line 1 counts"
    assert load().settings.workspace == Path("/a")


def test_in_a_file_of_2_3_the_key_is_the_clients_and_api_key_a_models(source: Path) -> None:
    source.write_text("KEY=mine\nAPI_KEY=sk_model\nURL=https://a.example/v1\nINBOX=/x\nPORT=7011\n")
    report = take(source)
    assert actions(report)[:2] == [("API_KEY", "hashed"), ("API_KEY of a model", "skipped")]
    ring = KeyRing.load(keys_file())
    assert (ring.check("mine"), ring.check("sk_model")) == ("imported", None)


def test_what_was_set_otherwise_is_replaced_and_told(source: Path) -> None:
    user_file().parent.mkdir(parents=True)
    user_file().write_text("# mine\nPORT=1\nREPLY=empty\n")
    source.write_text("PORT=7011\n")
    (step,) = take(source).steps
    assert (step.action, step.note) == ("replaced", "it was 1")
    assert user_file().read_text() == "# mine\nPORT=7011\nREPLY=empty\n"


def test_the_key_between_agents_is_kept_apart(source: Path) -> None:
    source.write_text("A2A_KEY='hush'\n")
    assert actions(take(source)) == [("A2A_KEY", "secret")]
    assert (secrets_folder() / "a2a-key").read_text() == "hush\n"
    assert not user_file().exists()
    assert load().settings.a2a_key == "hush"


def test_a_wrong_value_changes_nothing_at_all(source: Path) -> None:
    source.write_text("API_KEY=k\nHOST=::1\nPORT=7011 # mine\n")
    with pytest.raises(DoubtfulConfigError) as caught:
        take(source)
    assert str(caught.value).startswith(f'{source}:3:6: PORT: "7011 # mine" is no port')
    assert not user_file().exists() and not keys_file().exists()


def test_a_file_that_is_not_there_or_is_aaps_own_is_named(source: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        take(source)
    user_file().parent.mkdir(parents=True)
    user_file().write_text("PORT=1\n")
    with pytest.raises(ConfigError, match="own file already"):
        take(user_file())


def test_no_report_shows_a_secret(source: Path) -> None:
    source.write_text("API_KEY=hush\nA2A_KEY=hush\n")
    assert "hush" not in repr(take(source))
    assert keys_file().exists()
