"""What the presets rely on, seen in the real codex and the real claude.

A new version of either that behaves otherwise fails here first.
"""

from __future__ import annotations

import json
import os
import signal
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from harness.agents import Agent, Claude, Codex, claude_at, codex_at
from harness.model import ALWAYS, Model, drop, fail, hang, run, say
from harness.wait import wait_until

pytestmark = pytest.mark.slow

UNKNOWN = "11111111-1111-4111-8111-111111111111"


def test_a_prompt_on_stdin_begins_a_session_that_uses_the_shell(agent: Agent, model: Model) -> None:
    model.add(run("echo from the shell; pwd"), say("All done."))
    done = agent.run(agent.fresh(), "please look")
    answer = agent.read(done.stdout)
    first, second = model.requests
    assert done.returncode == 0
    assert (answer.ok, answer.text, answer.session) == (True, "All done.", first.session)
    assert "please look" in first.newest
    assert f"from the shell\n{agent.cwd}" in second.newest
    assert "Authorization" not in done.stdout + done.stderr


def test_a_session_is_resumed_by_its_id(agent: Agent, model: Model) -> None:
    model.add(say("First."), say("Second."))
    begun = agent.read(agent.run(agent.fresh(), "the first prompt").stdout)
    done = agent.run(agent.resume(begun.session), "the second prompt")
    answer = agent.read(done.stdout)
    first, second = model.requests
    assert (done.returncode, answer.ok, answer.text) == (0, True, "Second.")
    assert answer.session == begun.session == first.session == second.session
    assert second.newest.strip() == "the second prompt"
    assert "the first prompt" in second.shown
    assert "First." in second.shown


def test_the_folder_does_not_matter_to_a_session_with_an_id(
    agent: Agent, model: Model, tmp_path: Path
) -> None:
    session = agent.read(agent.run(agent.fresh(), "begin").stdout).session
    elsewhere = replace(agent, cwd=tmp_path)
    done = elsewhere.run(agent.resume(session), "elsewhere")
    assert done.returncode == 0, done.stderr
    assert agent.read(done.stdout).session == session
    assert "begin" in model.requests[-1].shown


@pytest.mark.parametrize("agent", [claude_at], ids=["claude"], indirect=True)
def test_claude_takes_the_id_of_a_session_from_outside(agent: Agent) -> None:
    session = str(uuid.uuid4())
    words = agent.fresh("--session-id", session)
    assert agent.read(agent.run(words, "begin").stdout).session == session
    again = agent.run(words, "begin")
    assert (again.returncode, again.stdout) == (1, "")
    assert "already in use" in again.stderr


@pytest.mark.parametrize("agent", [claude_at], ids=["claude"], indirect=True)
def test_claude_ends_well_when_it_was_denied_its_shell(agent: Claude, model: Model) -> None:
    model.add(run("touch made"))
    done = agent.run(["-p", "--output-format", "json"], "hello")
    assert (done.returncode, agent.read(done.stdout).ok) == (0, True)
    assert [denial["tool_name"] for denial in json.loads(done.stdout)["permission_denials"]] == [
        "Bash"
    ]
    assert not (agent.cwd / "made").exists()


@pytest.mark.parametrize("agent", [claude_at], ids=["claude"], indirect=True)
def test_claude_tells_its_session_and_result_in_a_stream_too(agent: Claude, model: Model) -> None:
    model.add(run("echo hello"), say("Bye."))
    words = ["-p", "--dangerously-skip-permissions", "--output-format", "stream-json", "--verbose"]
    lines = agent.run(words, "hello").stdout.splitlines()
    first, last = json.loads(lines[0]), agent.read(lines[-1])
    assert (first["type"], first["subtype"]) == ("system", "init")
    assert (last.ok, last.text) == (True, "Bye.")
    assert first["session_id"] == last.session == model.requests[0].session


@pytest.mark.parametrize(
    ("agent", "key", "reason"),
    [
        (codex_at, "STUB_KEY", "Missing environment variable: `STUB_KEY`."),
        (claude_at, "ANTHROPIC_API_KEY", "Not logged in · Please run /login"),
    ],
    ids=["codex", "claude"],
    indirect=["agent"],
)
def test_without_a_login_no_request_is_made(
    agent: Agent, model: Model, key: str, reason: str
) -> None:
    env = {name: value for name, value in agent.env.items() if name != key}
    done = replace(agent, env=env).run(agent.fresh(), "hello")
    answer = agent.read(done.stdout)
    assert (done.returncode, answer.ok, answer.text) == (1, False, reason)
    assert model.requests == []


def test_an_unknown_session_is_an_error_that_never_reaches_the_model(
    agent: Agent, model: Model
) -> None:
    done = agent.run(agent.resume(UNKNOWN), "hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert UNKNOWN in done.stderr
    assert "no rollout found" in done.stderr or "No conversation found" in done.stderr
    assert model.requests == []


def test_a_prompt_of_300_kb_arrives_whole(agent: Agent, model: Model) -> None:
    prompt = "".join(f"line {number}\n" for number in range(28_000))
    assert len(prompt) > 280_000
    agent.run(agent.fresh(), prompt)
    assert prompt.strip() in model.requests[0].newest


def test_tokens_are_reported(agent: Agent, model: Model) -> None:
    model.add(run("true", tokens=(1000, 100, 10)), say(tokens=(2000, 900, 20)))
    model.add(say(tokens=(4000, 3000, 40)))
    begun = agent.read(agent.run(agent.fresh(), "first").stdout)
    resumed = agent.read(agent.run(agent.resume(begun.session), "second").stdout)
    assert begun.tokens == (3000, 1000, 30)
    if isinstance(agent, Claude):  # of this run; the cost is of the whole session
        assert resumed.tokens == (4000, 3000, 40)
        assert begun.cost is not None
        assert resumed.cost is not None
        assert resumed.cost > begun.cost > 0
    else:  # of the whole session
        assert resumed.tokens == (7000, 4000, 70)
        assert resumed.cost is None


REASONS = {
    ("codex", 401): "unexpected status 401 Unauthorized: no such key",
    ("codex", 403): "unexpected status 403 Forbidden: no such key",
    ("codex", 429): "exceeded retry limit, last status: 429 Too Many Requests",
    ("codex", 500): "We’re currently experiencing high demand",
    ("claude", 401): "Failed to authenticate. API Error: 401 no such key",
    ("claude", 403): "Failed to authenticate. API Error: 403 no such key",
    ("claude", 429): "API Error: Request rejected (429) · no such key",
    ("claude", 500): "API Error: 500 no such key",
}


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_a_refusal_of_the_model_is_told(agent: Agent, model: Model, status: int) -> None:
    model.add(fail(status, "no such key", times=ALWAYS))
    done = agent.run(agent.fresh(), "hello")
    answer = agent.read(done.stdout)
    assert (done.returncode, answer.ok) == (1, False)
    assert answer.text.startswith(REASONS[agent.name, status])
    assert answer.session == model.requests[0].session


def test_a_session_survives_a_refusal(agent: Agent, model: Model) -> None:
    model.add(fail(429), say("Again."))
    session = agent.read(agent.run(agent.fresh(), "first").stdout).session
    answer = agent.read(agent.run(agent.resume(session), "second").stdout)
    assert (answer.ok, answer.session, answer.text) == (True, session, "Again.")
    assert "first" in model.requests[-1].shown


def test_an_answer_cut_off_is_a_failure(agent: Agent, model: Model) -> None:
    model.add(drop(times=ALWAYS))
    done = agent.run(agent.fresh(), "hello")
    assert (done.returncode, agent.read(done.stdout).ok) == (1, False)


@pytest.mark.parametrize(
    ("number", "codes"),
    [(signal.SIGTERM, {"codex": -15, "claude": 143}), (signal.SIGINT, {"codex": 1, "claude": 0})],
)
def test_a_model_that_hangs_is_left_by_a_signal(
    agent: Agent, model: Model, number: signal.Signals, codes: dict[str, int]
) -> None:
    model.add(hang(times=ALWAYS))
    with agent.start(agent.fresh(), "hello") as process:
        wait_until(lambda: model.requests, 20, "the request")
        process.send_signal(number)
        out, _ = process.communicate(timeout=10)
    assert process.returncode == codes[agent.name]
    assert not agent.read(out).ok, "the exit code 0 of claude is a lie, its output is not"


def test_what_a_tool_started_outlives_codex_and_not_claude(agent: Agent, model: Model) -> None:
    pid_file = agent.cwd / "tool.pid"
    model.add(run(f"echo $$ > {pid_file}; tail -f /dev/null"))
    with agent.start(agent.fresh(), "hello") as process:
        wait_until(lambda: pid_file.exists() and pid_file.read_text().strip(), 20, "the tool")
        tool = int(pid_file.read_text())
        assert os.getsid(tool) not in (os.getsid(0), process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        try:
            assert Path(f"/proc/{tool}").exists() == (agent.name == "codex")
        finally:
            _end_session(tool)


def _end_session(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


HOOK = """#!/bin/sh
# Says each thing once, as a hook must.
cat > "{folder}/$$.json"
if grep -q '"hook_event_name":"PostToolUse"' "{folder}/$$.json"; then
    echo '{{"hookSpecificOutput": {{"hookEventName": "PostToolUse",
        "additionalContext": "NOTICE: a later message"}}}}'
elif mkdir "{folder}/told"; then
    echo '{{"decision": "block", "reason": "NOTICE: one more message"}}'
fi
"""


@pytest.fixture
def hook(tmp_path: Path) -> Path:
    """A hook that keeps what it is told in its folder."""
    hook = tmp_path / "hooks/hook"
    hook.parent.mkdir()
    hook.write_text(HOOK.format(folder=hook.parent))
    hook.chmod(0o755)
    return hook


def test_hooks_tell_the_agent_in_mid_run(agent: Agent, model: Model, hook: Path) -> None:
    model.add(run("echo working"), say("Finished."), say("Finished now."))
    done = agent.run(agent.fresh(*agent.with_hooks(hook)), "hello")
    answer = agent.read(done.stdout)
    _, after_tool, after_stop = model.requests
    assert (done.returncode, answer.ok, answer.text) == (0, True, "Finished now.")
    assert "NOTICE: a later message" in after_tool.newest
    assert "NOTICE: one more message" in after_stop.newest
    told = [path.read_text() for path in hook.parent.glob("*.json")]
    assert len(told) == 3
    assert all(f'"session_id":"{answer.session}"' in text for text in told)


def test_hooks_work_in_a_resumed_session(agent: Agent, model: Model, hook: Path) -> None:
    session = agent.read(agent.run(agent.fresh(), "begin").stdout).session
    model.add(say("Finished."), say("Finished now."))
    done = agent.run(agent.resume(session, *agent.with_hooks(hook)), "again")
    assert agent.read(done.stdout).text == "Finished now."
    assert "NOTICE: one more message" in model.requests[-1].newest


@pytest.mark.parametrize("agent", [codex_at], ids=["codex"], indirect=True)
@pytest.mark.parametrize(
    ("trusted", "runs"), [("", set()), ("hash", {"ours"}), ("all", {"ours", "theirs"})]
)
def test_codex_runs_the_hooks_that_are_trusted(
    agent: Codex, model: Model, tmp_path: Path, trusted: str, runs: set[str]
) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat > '{tmp_path}/{name}.ran'\n")
        (tmp_path / name).chmod(0o755)
    theirs = {"hooks": [{"type": "command", "command": str(tmp_path / "theirs")}]}
    settings = json.dumps({"hooks": {"Stop": [theirs]}})
    Path(agent.env["CODEX_HOME"], "hooks.json").write_text(settings)
    words = agent.fresh(*agent.with_hooks(tmp_path / "ours", trusted=trusted))
    assert agent.run(words, "hello").returncode == 0
    assert {path.stem for path in tmp_path.glob("*.ran")} == runs


@pytest.mark.parametrize("agent", [codex_at], ids=["codex"], indirect=True)
@pytest.mark.parametrize(
    ("flags", "is_found"), [((), False), (("-c", "allow_login_shell=false"), True)]
)
def test_codex_forgets_the_path_unless_its_shell_is_no_login_shell(
    agent: Agent, model: Model, tmp_path: Path, flags: tuple[str, ...], is_found: bool
) -> None:
    (tmp_path / "our-command").write_text("#!/bin/sh\necho it is found\n")
    (tmp_path / "our-command").chmod(0o755)
    path = f"{tmp_path}:{agent.env['PATH']}"
    model.add(run("our-command"))
    replace(agent, env={**agent.env, "PATH": path}).run(agent.fresh(*flags), "hello")
    assert ("it is found" in model.requests[-1].newest) == is_found


def test_two_runs_of_a_session_at_a_time_are_refused_by_codex_alone(
    agent: Agent, model: Model
) -> None:
    session = agent.read(agent.run(agent.fresh(), "begin").stdout).session
    model.add(hang())
    with agent.start(agent.resume(session), "the first") as first:
        wait_until(lambda: len(model.requests) == 2, 20, "the first run's request")
        second = agent.run(agent.resume(session), "the second")
        first.kill()
        first.communicate()
    if isinstance(agent, Claude):
        assert agent.read(second.stdout).ok
    else:
        assert (second.returncode, second.stdout) == (1, "")
        assert "already has an active writer" in second.stderr


def test_without_a_network_codex_waits_and_claude_fails(
    agent: Agent, model: Model, tmp_path: Path
) -> None:
    port = int(model.url.rpartition(":")[2])
    model.close()
    if isinstance(agent, Claude):
        done = agent.run(agent.fresh(), "hello")
        answer = agent.read(done.stdout)
        assert (done.returncode, answer.ok) == (1, False)
        assert answer.text.startswith("API Error: Connection refused")
        return
    with agent.start(agent.fresh(), "hello") as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        seen = next(line for line in lines if "waiting for network" in line)
        assert json.loads(seen)["type"] == "error", "an error that does not end the run"
        with Model(say("Back."), port=port):
            answer = agent.read(process.communicate(timeout=30)[0])
    assert (process.returncode, answer.ok, answer.text) == (0, True, "Back.")
