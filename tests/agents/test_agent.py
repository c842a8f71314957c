"""Which command runs, and what its end means."""

import pytest

from aap.agents import Ended, Verdict, find_agent
from aap.agents.agent import judge_exit
from aap.errors import ConfigError

SEED_INIT = "/usr/bin/codex exec --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox"
SEED_WORK = "/usr/bin/codex resume --last --dangerously-bypass-approvals-and-sandbox"


def test_the_seeds_sample_runs_without_a_terminal_and_says_so() -> None:
    agent = find_agent("", SEED_INIT, SEED_WORK)
    assert agent.init == tuple(SEED_INIT.split())
    assert agent.work == (
        "/usr/bin/codex", "exec", "resume", "--last",
        "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check",
    )  # fmt: skip
    assert "codex exec resume" in agent.notes[0]


@pytest.mark.parametrize("command", ["codex exec resume --last", "my-codex resume", "resume codex"])
def test_other_commands_run_as_they_stand(command: str) -> None:
    agent = find_agent("custom", "", command)
    assert agent.work == tuple(command.split())
    assert agent.notes == ()


def test_words_may_be_quoted_and_start_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert find_agent("", "", "'~/my agent/run' -x").work == ("/home/ann/my agent/run", "-x")


def test_the_init_command_serves_for_both_when_it_is_alone() -> None:
    assert find_agent("", "agent --new", "").work == ("agent", "--new")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("", "", ""), "no agent is configured"),
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
        (Ended(127, error="cannot start x"), Verdict.OUTAGE),
    ],
)
def test_the_end_of_a_run_is_read_by_its_exit(ended: Ended, verdict: Verdict) -> None:
    assert judge_exit(ended).verdict is verdict
