"""`aap openclaw check` and `setup`: what is found, what is changed, and what is left alone."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.command import Run

from aap.openclaw import json5
from aap.openclaw.edit import set_value
from aap.openclaw.wishes import WISHES, channel_wishes

Write = Callable[[str], Path]

FRESH = """{
  // the gateway of this house
  gateway: { mode: "local", auth: { mode: "token", token: "hush-gateway" } },
  channels: {
    telegram: {
      enabled: true,
      botToken: "hush-bot", // from BotFather
    },
    matrix: { enabled: true },
    slack: { enabled: false },
  },
  agents: {
    defaults: {
      model: "openai/gpt-5", // for now
    },
  },
}
"""

BLOCK = """{
  models: { providers: { aap: {
    baseUrl: "http://127.0.0.1:7011/v1", api: "openai-completions", apiKey: "any",
    models: [ { id: "manager", name: "aap", input: ["text"], contextWindow: 2000000,
                maxTokens: 8192 } ] } } },
  channels: { telegram: { historyLimit: 0, dmHistoryLimit: 1, autoTopicLabel: false } },
  agents: { defaults: {
    model: { primary: "aap/manager" }, utilityModel: "",
    heartbeat: { every: "0m", target: "none" },
    compaction: { enabled: false, mode: "safeguard", memoryFlush: { enabled: false },
                  notifyUser: false },
    timeoutSeconds: 120, typingMode: "never", skipBootstrap: true } },
  messages: { visibleReplies: "message_tool",
    groupChat: { visibleReplies: "message_tool", historyLimit: 0 },
    queue: { mode: "followup", drop: "old", cap: 100 } },
  session: { dmScope: "per-channel-peer", notifyOnCreate: false,
             reset: { mode: "idle", idleMinutes: 1 } },
  plugins: { entries: { "memory-core": { config: { dreaming: { enabled: false } } } } },
  skills: { workshop: { autonomous: { mode: "off" } } },
  hooks: { internal: { enabled: false } },
  tools: { exec: { notifyOnExit: false } },
}
"""


@pytest.fixture
def check(aap: Run) -> Callable[..., dict[str, dict[str, Any]]]:
    """Run the check and return its findings by setting."""

    def check(code: int, **env: str) -> dict[str, dict[str, Any]]:
        done = aap("openclaw", "check", "--json", **env)
        assert done.returncode == code, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert {each["schema"] for each in found} == {"aap.openclaw.check/1"}
        return {each["setting"]: each for each in found}

    return check


Check = Callable[..., dict[str, dict[str, Any]]]


def test_the_configuration_that_suits_has_nothing_to_mend(write: Write, check: Check) -> None:
    write(BLOCK)
    assert {each["severity"] for each in check(0).values()} == {"ok"}


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every plain value."""
    if isinstance(value, dict):
        return [each for name, item in value.items() for each in paths(item, (*path, name))]
    return [path]


OF_THE_BLOCK = [
    path for path in paths(json5.loads(BLOCK))
    if path[-1] != "models" and path != ("agents", "defaults", "compaction", "mode")
]  # fmt: skip


@pytest.mark.parametrize("path", OF_THE_BLOCK, ids=lambda path: ".".join(map(str, path)))
def test_each_of_its_settings_is_missed(aap: Run, write: Write, path: tuple[str, ...]) -> None:
    value = json5.loads(BLOCK)
    below = value
    for step in path[:-1]:
        below = below[step]
    del below[path[-1]]
    write(json.dumps(value))
    patch = json.loads(aap("openclaw", "setup", "--json").stdout)["patch"]
    assert path in paths(json5.loads(patch))


def test_all_rows_have_a_place_in_the_block() -> None:
    block = {".".join(map(str, path)) for path in paths(json5.loads(BLOCK))}
    assert {".".join(map(str, wish.path)) for wish in WISHES} <= block


@pytest.mark.parametrize(
    ("setting", "value", "severity"),
    [
        ("agents.defaults.heartbeat.every", "0s", "ok"),
        ("agents.defaults.heartbeat.every", "30m", "warn"),
        ("session.dmScope", "per-account-channel-peer", "ok"),
        ("messages.queue.cap", 20, "warn"),
        ("messages.queue.cap", 500, "ok"),
        ("messages.visibleReplies", "automatic", "FAIL"),
        ("messages.groupChat.historyLimit", False, "warn"),
        ("agents.defaults.model", "aap/manager", "ok"),
        ("agents.defaults.model", "other/x", "FAIL"),
        ("agents.defaults.model.fallbacks", ["openai/x"], "warn"),
        ("models.providers.aap.baseUrl", "http://localhost:7011", "ok"),
        ("models.providers.aap.baseUrl", "http://127.0.0.1:7012/v1", "FAIL"),
        ("models.providers.aap.baseUrl", "http://127.0.0.1:7011/v2", "FAIL"),
        ("models.providers.aap.api", "openai-responses", "ok"),
        ("channels.telegram.accounts.b.historyLimit", 9, "warn"),
        ("channels.telegram.accounts.b.historyLimit", 0, "ok"),
    ],
)
def test_values_are_judged(
    write: Write, check: Check, setting: str, value: object, severity: str
) -> None:
    write(set_value(BLOCK, tuple(setting.split(".")), value))
    assert check(7 if severity in {"warn", "FAIL"} else 0)[setting]["severity"] == severity


def test_the_address_is_that_of_this_aap(write: Write, check: Check) -> None:
    write(BLOCK)
    found = check(7, AAP_PORT="7999")["models.providers.aap.baseUrl"]
    assert (found["severity"], found["wanted"]) == ("FAIL", '"http://127.0.0.1:7999/v1"')


def test_a_provider_of_another_name_is_recognised(write: Write, check: Check) -> None:
    write(BLOCK.replace("aap: {", "inbox: {").replace("aap/manager", "inbox/manager"))
    assert check(0)["models.providers.inbox.apiKey"]["severity"] == "ok"


@pytest.mark.slow
def test_the_key_is_one_of_ours_and_is_never_shown(aap: Run, write: Write, check: Check) -> None:
    assert aap("config", "set", "API_KEY", "-", stdin="hush-right").returncode == 0
    path = write(BLOCK.replace('"any"', '"hush-wrong"'))
    wrong = check(7)["models.providers.aap.apiKey"]
    assert (wrong["severity"], wrong["current"]) == ("FAIL", "set")
    assert "hush" not in json.dumps(wrong)
    path.write_text(BLOCK.replace('"any"', '"hush-right"'))
    check(0)
    path.write_text(BLOCK.replace('"any"', '"${AAP_OC_KEY}"'))
    assert "AAP_OC_KEY, which is not set" in check(7)["models.providers.aap.apiKey"]["why"]
    path.with_name(".env").write_text("AAP_OC_KEY=hush-right\n")
    check(0)
    path.write_text(BLOCK.replace('"any"', '{source: "exec", provider: "v", id: "x"}'))
    assert check(0)["models.providers.aap.apiKey"]["severity"] == "note"


def test_there_may_be_no_openclaw(aap: Run) -> None:
    done = aap("openclaw", "check")
    assert done.returncode == 5
    assert "openclaw onboard" in done.stderr


def test_people_read_a_table(aap: Run, write: Write) -> None:
    write(FRESH)
    done = aap("openclaw", "check")
    assert done.returncode == 7
    assert "messages.visibleReplies" in done.stdout
    assert "people see aap's receipt" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    assert "aap openclaw setup" in done.stderr


def test_only_keys_that_a_channel_has_are_asked_of_it() -> None:
    # OpenClaw refuses to start with a key that it does not know.
    assert [wish.path[0] for wish in channel_wishes("telegram")] == [
        "historyLimit", "dmHistoryLimit", "autoTopicLabel",
    ]  # fmt: skip
    assert [wish.path[0] for wish in channel_wishes("matrix")] == ["historyLimit"]
    assert channel_wishes("sms") == channel_wishes("of-the-future") == []


# Setup


def test_setup_shows_what_it_would_do_and_does_nothing(aap: Run, write: Write) -> None:
    path = write(FRESH)
    done = aap("openclaw", "setup")
    assert done.returncode == 0
    patch = json5.loads(done.stdout)
    assert patch["messages"]["visibleReplies"] == "message_tool"
    assert patch["channels"]["telegram"] == {
        "historyLimit": 0, "dmHistoryLimit": 1, "autoTopicLabel": False,
    }  # fmt: skip
    assert "slack" not in patch["channels"]
    assert "hush" not in done.stdout + done.stderr
    assert path.read_text() == FRESH
    assert os.listdir(path.parent) == [path.name]


def test_setup_writes_what_the_check_wants_and_keeps_the_rest(
    aap: Run, write: Write, check: Check
) -> None:
    path = write(FRESH)
    done = aap("openclaw", "setup", "--write", "--json")
    answer = json.loads(done.stdout)
    assert answer["written"]
    assert "hush" not in done.stdout + done.stderr
    check(0)
    backup = Path(answer["backup"])
    assert backup.read_text() == FRESH
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path, backup)] == [0o600, 0o600]
    text = path.read_text()
    for kept in ("// the gateway of this house", '"hush-bot", // from BotFather', "// for now"):
        assert kept in text
    value = json5.loads(text)
    assert value["gateway"] == json5.loads(FRESH)["gateway"]
    assert value["channels"]["slack"] == {"enabled": False}
    assert {path.name, backup.name} == set(os.listdir(path.parent))


def test_setup_twice_changes_nothing_more(aap: Run, write: Write) -> None:
    path = write(FRESH)
    aap("openclaw", "setup", "--write")
    text = path.read_text()
    done = aap("openclaw", "setup", "--write")
    assert "nothing to change" in done.stderr
    assert path.read_text() == text
    assert len(os.listdir(path.parent)) == 2


def test_an_earlier_backup_is_kept(aap: Run, write: Write) -> None:
    path = write(FRESH)
    aap("openclaw", "setup", "--write")
    path.write_text("{}")
    aap("openclaw", "setup", "--write")
    assert path.with_name("openclaw.json.before-aap").read_text() == FRESH
    assert path.with_name("openclaw.json.before-aap-2").read_text() == "{}"


def test_a_link_stays_a_link(aap: Run, write: Write, check: Check, home: Path) -> None:
    path = write(FRESH)
    real = home / "dotfiles.json5"
    path.rename(real)
    path.symlink_to(real)
    aap("openclaw", "setup", "--write")
    check(0)
    assert path.is_symlink()


def test_included_settings_are_overridden_beside_the_include(
    aap: Run, write: Write, check: Check
) -> None:
    path = write('{\n  messages: { $include: "messages.json5" },\n}\n')
    included = '{visibleReplies: "automatic", queue: {mode: "steer"}}'
    path.with_name("messages.json5").write_text(included)
    assert check(7)["messages.visibleReplies"]["current"] == '"automatic"'
    assert aap("openclaw", "setup", "--write").returncode == 0
    check(0)
    assert path.with_name("messages.json5").read_text() == included


def test_with_keys_the_key_is_referred_to(aap: Run, write: Write) -> None:
    aap("config", "set", "API_KEY", "-", stdin="hush-right")
    path = write(FRESH)
    done = aap("openclaw", "setup", "--write")
    assert "AAP_API_KEY" in done.stderr
    assert json5.loads(path.read_text())["models"]["providers"]["aap"]["apiKey"] == "${AAP_API_KEY}"


def test_a_list_of_models_keeps_its_others(aap: Run, write: Write, check: Check) -> None:
    text = BLOCK.replace(
        '{ id: "manager"', '{ id: "other", headers: { x: "hush" } }, { id: "manager"'
    )
    path = write(text.replace("contextWindow: 2000000", "contextWindow: 8000"))
    done = aap("openclaw", "setup", "--write")
    assert "hush" not in done.stdout
    check(0)
    models = json5.loads(path.read_text())["models"]["providers"]["aap"]["models"]
    assert [each["id"] for each in models] == ["other", "manager"]
    assert models[0]["headers"] == {"x": "hush"}


def test_somebody_elses_file_is_left_alone(aap: Run, write: Write) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can own files for others")
    path = write(FRESH)
    os.chown(path, 12345, 12345)
    done = aap("openclaw", "setup", "--write")
    assert done.returncode == 4
    assert path.read_text() == FRESH
    assert os.listdir(path.parent) == [path.name]


def test_a_key_that_is_nowhere_is_told_with_where_it_belongs(aap: Run, write: Write) -> None:
    aap("config", "set", "API_KEY", "-", stdin="hush-right")
    write(FRESH)
    aap("openclaw", "setup", "--write")
    done = aap("openclaw", "check")
    assert done.returncode == 7
    assert "1 of " in done.stderr and "does not suit\n" in done.stderr
    assert "a line AAP_API_KEY=… in ~/.openclaw/.env" in done.stderr
