"""Which command runs, and what its end means."""

import pytest

from aap.agents import Ended, Verdict, find_agent
from aap.agents.trouble import judge_process
from aap.errors import ConfigError

SEED_INIT = "/usr/bin/codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox"
SEED_WORK = "/usr/bin/codex resume --last --dangerously-bypass-approvals-and-sandbox"

CODEX_OUTPUT = ("--json", "-c", "allow_login_shell=false", "-")


def test_the_seeds_sample_runs_without_a_terminal_owns_its_session_and_says_so() -> None:
    agent = find_agent("", SEED_INIT, SEED_WORK)
    assert agent.name == "codex"
    assert agent.fresh == (*SEED_INIT.split(), *CODEX_OUTPUT)
    assert agent.resume == (
        "/usr/bin/codex", "exec", "resume", "{id}",
        "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check", *CODEX_OUTPUT,
    )  # fmt: skip
    assert any("codex resume needs a terminal" in note for note in agent.notes)


@pytest.mark.parametrize("name", ["codex", "claude", "gemini", "opencode", "pi", "goose"])
def test_a_preset_needs_nothing_but_its_name(name: str) -> None:
    agent = find_agent(name, "", "")
    assert agent.fresh[0] == agent.resume[0] == name
    assert agent.fresh != agent.resume
    assert agent.notes == ()
    assert not any("last" in word for word in agent.resume)


def test_a_users_own_flags_and_program_are_kept() -> None:
    agent = find_agent("claude", "", "/opt/claude -c -p --model opus --output-format text")
    assert agent.resume[:6] == ("/opt/claude", "-p", "-r", "{id}", "--model", "opus")
    assert agent.resume[-3:] == ("--output-format", "stream-json", "--verbose")
    assert agent.resume.count("-p") == 1
    assert agent.fresh[:4] == ("/opt/claude", "-p", "--session-id", "{id}")
    assert agent.notes


@pytest.mark.parametrize(
    "command", ["env A=1 codex resume --last", "my-codex resume", "sh -c 'codex exec'", "codex mcp"]
)
def test_a_command_that_is_not_known_for_sure_runs_as_it_stands(command: str) -> None:
    import shlex

    agent = find_agent("", "", command)
    assert agent.name == "custom"
    assert agent.resume == tuple(shlex.split(command))
    assert agent.notes == ()


def test_custom_takes_even_a_known_cli_as_it_stands() -> None:
    assert find_agent("custom", "", "codex exec --oss").resume == ("codex", "exec", "--oss")


def test_a_resumed_id_in_the_configuration_is_not_resumed() -> None:
    agent = find_agent("", "", "codex exec resume 0199-abc -m gpt-5")
    assert agent.resume[:6] == ("codex", "exec", "resume", "{id}", "-m", "gpt-5")


def test_words_may_be_quoted_and_start_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert find_agent("", "", "'~/my agent/run' -x").resume == ("/home/ann/my agent/run", "-x")


def test_the_init_command_serves_for_both_when_it_is_alone() -> None:
    assert find_agent("", "agent --new", "").resume == ("agent", "--new")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("", "", ""), "no agent is configured"),
        (("custom", "", ""), "no agent is configured"),
        (("cluade", "", "x"), "AGENT=cluade is unknown"),
        (("", "", "it's"), "AGENT_CLI cannot be read"),
    ],
)
def test_a_configuration_without_a_usable_agent_is_refused(settings, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find_agent(*settings)


@pytest.mark.parametrize(
    ("ended", "verdict"),
    [
        (Ended(0), Verdict.OK),
        (Ended(1), Verdict.FAILED),
        (Ended(-9), Verdict.FAILED),
        (Ended(0, timed_out=True), Verdict.FAILED),
        (Ended(127), Verdict.OUTAGE),
        (Ended(126), Verdict.OUTAGE),
        (Ended(75), Verdict.OUTAGE),
        (Ended(127, error="cannot start x"), Verdict.OUTAGE),
    ],
)
def test_the_end_of_a_run_is_read_by_its_exit(ended: Ended, verdict: Verdict) -> None:
    assert judge_process(ended).verdict is verdict
