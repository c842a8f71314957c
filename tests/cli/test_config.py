"""`aap config`: settings with their origin, and changes that read back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.command import Run, Terminal

from aap.config import SETTINGS

Documents = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def user_file(home: Path) -> Path:
    return home / "xdg-config" / "aap" / "aap.conf"


def test_list_names_every_setting_its_value_and_its_origin(
    aap: Run, documents: Documents, workspace: Path, user_file: Path
) -> None:
    aap("config", "set", "MAX_ATTEMPTS", "3")
    (workspace / ".ai-agent-proxy.conf").write_text("# mine\nRETRY_MAX=2h\n")
    settings = {item["key"]: item for item in documents("config", "list", AAP_PORT="7012")}
    assert list(settings) == list(SETTINGS)
    assert all(item["schema"] == "aap.config.setting/1" for item in settings.values())
    said = {key: (settings[key]["value"], settings[key]["origin"], settings[key]["line"])
            for key in ("MAX_ATTEMPTS", "RETRY_MAX", "PORT", "HOST")}  # fmt: skip
    assert said == {
        "MAX_ATTEMPTS": ("3", "user", 1),
        "RETRY_MAX": ("2h", "workspace", 2),
        "PORT": ("7012", "environment", None),
        "HOST": ("127.0.0.1", "default", None),
    }
    plain = aap("config", "list", AAP_PORT="7012").stdout
    said = {row.split()[0]: row.split()[-1] for row in plain.splitlines()[1:]}
    assert (said["MAX_ATTEMPTS"], said["RETRY_MAX"]) == ("user", "workspace")
    assert (said["PORT"], said["HOST"]) == ("AAP_PORT", "default")
    assert f"{user_file}:1" in aap("config", "list", "--origin").stdout


@pytest.mark.slow
def test_set_get_unset(aap: Run, user_file: Path) -> None:
    assert aap("config", "get", "MAX_ATTEMPTS").stdout == "5\n"
    done = aap("config", "set", "max_attempts", "3")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"MAX_ATTEMPTS changed in {user_file}\n"
    assert aap("config", "get", "MAX_ATTEMPTS").stdout == "3\n"
    assert "was so already" in aap("config", "set", "MAX_ATTEMPTS", "3").stderr
    assert aap("config", "unset", "MAX_ATTEMPTS").returncode == 0
    assert aap("config", "get", "MAX_ATTEMPTS").stdout == "5\n"
    assert "was not set" in aap("config", "unset", "MAX_ATTEMPTS").stderr


def test_a_path_is_given_whole(aap: Run, home: Path) -> None:
    assert aap("config", "get", "WORKSPACE").stdout == f"{home}/.openclaw/workspace\n"
    assert aap("config", "get", "WORKDIR").stdout == f"{home}/.openclaw/workspace\n"


def test_a_change_says_what_puts_it_in_force(aap: Run) -> None:
    assert "aap install --user" in aap("config", "set", "PORT", "7012").stderr
    assert "try-restart aap-api.service" in aap("config", "set", "REPLY", "ok").stderr


def test_apply_says_where_nothing_runs(aap: Run) -> None:
    for key, value in (("PORT", "7012"), ("REPLY", "ok")):
        done = aap("config", "set", key, value, "--apply")
        assert done.returncode == 0
        assert "not installed: nothing runs with the old value" in done.stderr
    assert "installed" not in aap("config", "set", "MAX_ATTEMPTS", "3", "--apply").stderr


def test_the_file_that_a_variable_names_is_the_one_that_is_changed(
    aap: Run, home: Path, user_file: Path
) -> None:
    named = home / "named.conf"
    named.write_text("# mine\n")
    aap("config", "set", "PORT", "7012", AAP_CONFIG=str(named))
    assert named.read_text() == "# mine\nPORT=7012\n"
    assert not user_file.exists()


@pytest.mark.slow
def test_explain_says_what_it_takes_what_it_is_and_when_a_change_counts(
    aap: Run, documents: Documents, user_file: Path
) -> None:
    aap("config", "set", "SESSION", "conversation")
    said = aap("config", "explain", "session").stdout
    for text in (SETTINGS["SESSION"].help, "workspace, conversation", f"{user_file}:1", "at once"):
        assert text in said
    assert "aap install --user" in aap("config", "explain", "PORT").stdout
    (facts,) = documents("config", "explain", "WORKDIR")
    assert (facts["key"], facts["aliases"]) == ("WORKSPACE", ["WORKDIR"])
    assert "s3cret" not in aap("config", "explain", "API_KEY", AAP_API_KEY="s3cret").stdout
    done = aap("config", "explain", "PROT")
    assert (done.returncode, "did you mean PORT?" in done.stderr) == (5, True)


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_is_explained(aap: Run, key: str) -> None:
    assert aap("config", "explain", key).returncode == 0


# Edit


def editor(home: Path, script: str) -> str:
    """A program that changes the file it is given, as a person would."""
    path = home / "my editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"'{path}' --wait"


def test_edit_replaces_the_file_by_what_was_written(aap: Run, home: Path, user_file: Path) -> None:
    aap("config", "set", "PORT", "7012")
    program = editor(home, 'test "$1" = --wait; echo "# new" >> "$2"; echo REPLY=ok >> "$2"')
    done = aap("config", "edit", VISUAL=program, EDITOR="false")
    assert done.returncode == 0, done.stderr
    assert user_file.read_text() == "PORT=7012\n# new\nREPLY=ok\n"
    assert user_file.stat().st_mode & 0o777 == 0o600
    assert "REPLY changed" in done.stderr
    assert "try-restart aap-api.service" in done.stderr


def test_edit_begins_a_file_that_is_missing(aap: Run, home: Path, user_file: Path) -> None:
    assert "nothing was changed" in aap("config", "edit", EDITOR="true").stderr
    assert not user_file.exists()
    aap("config", "edit", EDITOR=editor(home, 'grep -q aap.conf "$2" && echo PORT=7012 >> "$2"'))
    assert aap("config", "get", "PORT").stdout == "7012\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PROT=7012", ":2:1: PROT is no setting of aap"),
        ("MAX_BODY=big", ":2:10: MAX_BODY:"),
        ("RETRY_MIN=2h", "longer than RETRY_MAX"),
        ("\\377", "no UTF-8 text"),
    ],
)
def test_edit_lets_no_fault_in_and_loses_no_text(
    aap: Run, home: Path, user_file: Path, text: str, said: str
) -> None:
    aap("config", "set", "PORT", "7012")
    program = editor(home, f"printf '{text}\\n' >> \"$2\"")
    done = aap("config", "edit", EDITOR=program)
    assert done.returncode == 78
    assert said in done.stderr
    assert user_file.read_text() == "PORT=7012\n"
    draft = Path(done.stderr.partition("your text is ")[2].split("\n")[0])
    assert draft.read_bytes().startswith(b"PORT=7012\n")
    assert draft.stat().st_mode & 0o777 == 0o600
    shutil.rmtree(draft.parent)


def test_edit_can_mend_a_file_that_stops_all_else(aap: Run, home: Path, user_file: Path) -> None:
    user_file.parent.mkdir(parents=True)
    user_file.write_text("PROT=7012\n")
    assert aap("inbox", "ls").returncode == 78
    done = aap("config", "edit", EDITOR=editor(home, 'sed -i s/PROT/PORT/ "$2"'))
    assert done.returncode == 0, done.stderr
    assert aap("config", "get", "PORT").stdout == "7012\n"


def test_edit_does_not_undo_what_another_wrote_meanwhile(
    aap: Run, home: Path, user_file: Path
) -> None:
    aap("config", "set", "PORT", "7012")
    program = editor(home, f'echo REPLY=mine >> "$2"; echo PORT=7013 > "{user_file}"')
    done = aap("config", "edit", EDITOR=program)
    assert done.returncode == 75
    assert "changed by somebody else" in done.stderr
    assert user_file.read_text() == "PORT=7013\n"
    draft = Path(done.stderr.partition("your text is ")[2].split()[0])
    assert draft.read_text() == "PORT=7012\nREPLY=mine\n"
    shutil.rmtree(draft.parent)


def test_an_editor_that_fails_changes_nothing(aap: Run, user_file: Path) -> None:
    aap("config", "set", "PORT", "7012")
    assert aap("config", "edit", EDITOR="false").returncode == 1
    assert aap("config", "edit", EDITOR="no-such-program").returncode == 5
    assert user_file.read_text() == "PORT=7012\n"


def test_at_a_terminal_a_faulty_text_is_edited_again(
    terminal: Callable[..., Terminal], home: Path, user_file: Path
) -> None:
    script = 'grep -q PROT "$2" && sed -i s/PROT/PORT/ "$2" || echo PROT=7012 >> "$2"'
    shown = terminal("config", "edit", EDITOR=editor(home, script))
    shown.wait_for("Edit it again? [y/N]")
    assert "did you mean PORT?" in shown.screen
    shown.type("y\n")
    assert shown.end() == 0
    assert user_file.read_text().endswith("\nPORT=7012\n")


def test_a_change_that_shows_nowhere_is_told(aap: Run) -> None:
    done = aap("config", "set", "PORT", "7013", AAP_PORT="7012")
    assert "AAP_PORT sets it too, and counts before" in done.stderr


@pytest.mark.parametrize(
    ("key", "value", "code"), [("PROT", "1", 5), ("PORT", "many", 78), ("MAX_BODY", "big", 78)]
)
def test_a_wrong_change_changes_nothing(
    aap: Run, user_file: Path, key: str, value: str, code: int
) -> None:
    done = aap("config", "set", key, value)
    assert done.returncode == code
    assert done.stderr.startswith("aap: ")
    assert not user_file.exists()


@pytest.mark.slow
def test_secrets_are_shown_nowhere_and_an_api_key_is_kept_as_a_hash(
    aap: Run, home: Path, user_file: Path
) -> None:
    assert aap("config", "set", "API_KEY", "-", stdin="s3cret-key\n").returncode == 0
    assert aap("config", "set", "A2A_KEY", "s3cret-other").returncode == 0
    (home / "named.conf").write_text("API_KEY=s3cret-plain\n")
    shown = ""
    for words in (("list",), ("list", "--json"), ("get", "API_KEY"), ("get", "A2A_KEY", "--json")):
        done = aap("--config", "named.conf", "config", *words)
        assert done.returncode == 0, done.stderr
        shown += done.stdout + done.stderr
    assert "s3cret" not in shown
    assert "(set, not shown)" in shown
    folder = user_file.parent
    stored = {p.relative_to(folder): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert "s3cret-key" not in "".join(stored.values())
    assert stored[Path("keys")].startswith("default sha256:")
    assert stored[Path("secrets/a2a-key")] == "s3cret-other\n"
    for key in ("API_KEY", "A2A_KEY"):
        assert aap("config", "unset", key).returncode == 0
    assert (folder / "keys").read_text() == ""
    assert not (folder / "secrets" / "a2a-key").exists()


def test_a_secret_is_asked_for_and_not_seen(
    terminal: Callable[..., Terminal], user_file: Path
) -> None:
    shown = terminal("config", "set", "A2A_KEY", "-")
    shown.wait_for("A2A_KEY: ")
    shown.type("s3cret-typed\n")
    assert shown.end() == 0
    assert "s3cret" not in shown.screen
    assert (user_file.parent / "secrets/a2a-key").read_text() == "s3cret-typed\n"


def test_a_secret_in_the_arguments_counts_with_a_warning(aap: Run, user_file: Path) -> None:
    done = aap("config", "set", "API_KEY", "s3cret-argument")
    assert done.returncode == 0
    assert "others may have seen it" in done.stderr
    assert "  aap config set API_KEY -   asks for it\n" in done.stderr
    assert "s3cret" not in done.stderr
    assert (user_file.parent / "keys").read_text().startswith("default sha256:")
    asked = aap("config", "set", "API_KEY", "-", stdin="s3cret-given\n")
    assert "others may have seen it" not in asked.stderr


def test_path_is_the_file_that_set_writes_to(
    aap: Run, documents: Documents, user_file: Path
) -> None:
    assert aap("config", "path").stdout == f"{user_file}\n"
    (paths,) = documents("config", "path", "--config", "/dev/null")
    assert paths["schema"] == "aap.config.path/1"
    assert (paths["file"], paths["user"]) == ("/dev/null", str(user_file))


def test_validate_has_the_same_exit_code_with_and_without_json(
    aap: Run, documents: Documents, user_file: Path
) -> None:
    assert aap("config", "validate").returncode == 0
    assert documents("config", "validate")[0]["ok"] is True
    user_file.parent.mkdir(parents=True)
    user_file.write_text('PORT=7011\nMAX_ATEMPTS=3\nREPLY="open\n')
    plain, machine = aap("config", "validate"), aap("config", "validate", "--json")
    assert plain.returncode == machine.returncode == 78
    assert f"{user_file}:2" in plain.stdout
    report = json.loads(machine.stdout)
    assert report["schema"] == "aap.config.validate/1"
    assert report["ok"] is False
    assert {finding["line"] for finding in report["findings"]} >= {2, 3}


def test_the_seeds_own_file_is_imported(aap: Run, home: Path, user_file: Path) -> None:
    seed = home / ".ai-agent-proxy.conf"
    seed.write_text(
        "HOST=127.0.0.1\nPORT=7020\nWORKDIR=~/work\nAPI_KEY=aibot_x\n"
        'AGENT_INIT_CLI="/usr/bin/codex exec --skip-git-repo-check"\n'
        'AGENT_CLI="/usr/bin/codex resume --last"\n'
    )
    done = aap("config", "import", str(seed))
    assert done.returncode == 0
    assert "hashed" in done.stdout
    assert "aibot_x" not in done.stdout + done.stderr + user_file.read_text()
    assert aap("config", "get", "PORT").stdout == "7020\n"
    assert aap("config", "get", "AGENT_CLI").stdout == "/usr/bin/codex resume --last\n"
    assert aap("config", "get", "WORKSPACE").stdout == f"{home}/work\n"
    again = json.loads(aap("config", "import", str(seed), "--json").stdout)
    assert again["schema"] == "aap.config.import/1"
    assert again["changed"] is False


def test_importing_what_is_not_there_is_said(aap: Run) -> None:
    done = aap("config", "import", "nowhere.conf")
    assert done.returncode == 78
    assert "nowhere.conf" in done.stderr


def test_an_agent_that_there_is_not_is_refused_before_it_is_written(aap: Run, home: Path) -> None:
    done = aap("config", "set", "AGENT", "codx")
    assert (done.returncode, done.stdout) == (78, "")
    assert "did you mean codex?" in done.stderr
    assert aap("config", "get", "AGENT").stdout == "\n"


@pytest.mark.slow
def test_a_broken_file_can_be_mended_by_the_commands_that_change_it(aap: Run, home: Path) -> None:
    path = home / "xdg-config/aap/aap.conf"
    path.parent.mkdir(parents=True)
    path.write_text("PORTT=1\n# mine\n")
    refused = aap("inbox", "ls")
    assert (refused.returncode, refused.stdout) == (78, "")
    assert f"{path}:1:1: PORTT is no setting of aap" in refused.stderr
    assert "did you mean PORT?" in refused.stderr
    done = aap("config", "set", "PORT", "7015")
    assert done.returncode == 0
    assert "PORT changed in" in done.stderr
    assert "PORTT is no setting" in done.stderr, "what is still wrong is said"
    for words in (("path",), ("edit",)):
        assert aap("config", *words, EDITOR="true").returncode == 0
    assert aap("config", "unset", "PORTT").returncode == 0
    assert path.read_text() == "# mine\nPORT=7015\n"
    assert aap("config", "unset", "PORTT").returncode == 5
    assert aap("inbox", "ls").returncode == 0


@pytest.mark.slow
def test_a_host_for_others_needs_a_key_that_is_a_secret(
    aap: Run, home: Path, user_file: Path
) -> None:
    set_ = aap("config", "set", "HOST", "0.0.0.0")
    assert set_.returncode == 0
    assert "there is no key" in set_.stderr and "aap key new NAME" in set_.stderr
    assert "install" not in set_.stderr
    checked = aap("config", "validate")
    assert checked.returncode == 78
    assert f"{user_file}:1" in checked.stdout and "aap key new NAME" in checked.stdout
    found = json.loads(aap("doctor", "--only", "config.keys", "--json").stdout)["findings"]
    assert [(each["severity"], each["fix"]) for each in found] == [("fail", "aap key new NAME")]
    aap("key", "new", "phone")
    assert aap("config", "validate").returncode == 0
    assert "install" in aap("config", "set", "HOST", "::").stderr


@pytest.mark.slow
def test_the_seeds_sample_is_not_taken_for_a_secret(aap: Run, home: Path) -> None:
    seed = home / "seed.conf"
    seed.write_text("HOST=0.0.0.0\nAPI_KEY=aibot_<your-key-something>\n")
    done = aap("config", "import", str(seed))
    assert done.returncode == 0
    assert "aap key new NAME" in done.stdout
    assert "there is no key" in done.stderr
    assert aap("config", "validate", "--config", str(seed)).returncode == 78
    aap("config", "set", "HOST", "127.0.0.1")
    seed.write_text("API_KEY=aibot_<your-key-something>\n")
    assert aap("config", "validate", "--config", str(seed)).returncode == 0
    found = json.loads(aap("doctor", "--config", str(seed), "--json").stdout)["findings"]
    keys = [each for each in found if each["id"] == "config.keys"]
    assert [(each["severity"], each["fix"]) for each in keys] == [("warn", "aap key new NAME")]


def test_an_agent_that_counts_before_imported_commands_is_named(aap: Run, home: Path) -> None:
    aap("config", "set", "AGENT", "echo")
    seed = home / "seed.conf"
    seed.write_text("AGENT_CLI='codex resume --last'\n")
    done = aap("config", "import", str(seed))
    assert "AGENT=echo counts before it\n  aap config unset AGENT\n" in done.stderr
    aap("config", "unset", "AGENT")
    assert "counts before" not in aap("config", "import", str(seed)).stderr


def test_unsetting_the_last_key_says_that_nobody_gets_in(aap: Run, home: Path) -> None:
    aap("config", "set", "API_KEY", "abc")
    done = aap("config", "unset", "API_KEY")
    assert "no client gets in" in done.stderr
    assert "rm " in done.stderr


def test_a_changed_agent_is_tried_at_once_where_the_old_one_was_out_of_order(
    aap: Run, home: Path
) -> None:
    root = home / ".openclaw/workspace/.ai-agent-proxy"
    root.mkdir(parents=True)
    outage = root / "OUTAGE"
    outage.write_text('{"since": 1, "retry_at": 2, "reason": "x"}')
    assert "aap -w main agent test" in aap("config", "set", "AGENT", "echo").stderr
    assert outage.exists()
    done = aap("config", "set", "AGENT", "custom", "--apply")
    assert "tried again now" in done.stderr
    assert not outage.exists()
