"""The real codex and the real claude, before a stub model, driven by the real worker."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.agents import configure_claude, configure_codex, programs_or_skip
from harness.model import ALWAYS, Model, fail, hang, run, say
from harness.wait import wait_until
from harness.workbench import Bench

pytestmark = pytest.mark.slow

Make = Callable[..., bytes]


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as model:
        yield model


@pytest.fixture(params=["codex", "claude"])
def real(request: pytest.FixtureRequest, bench: Bench, model: Model) -> Bench:
    """A workspace whose agent is the real thing."""
    name: str = request.param
    programs = programs_or_skip()
    home = bench.workspace.parent / "agent"
    configure = {"codex": configure_codex, "claude": configure_claude}[name]
    bench.settings |= {"AAP_AGENT": name, "PATH": f"{programs}:/usr/bin:/bin"}
    bench.settings |= configure(home, model.url)
    return bench


def aap(words: str) -> str:
    """A shell command that runs `aap`, as an agent would."""
    return f"{sys.executable} -m aap.cli.main {words}"


def work_requests(model: Model) -> list:
    """The requests after the one that opened the session."""
    return [r for r in model.requests if "You start a new session" not in r.newest]


def test_a_session_is_opened_once_and_resumed(real: Bench, model: Model, message: Make) -> None:
    (real.workspace / "SOUL.md").write_text("be kind")
    for text in ("the first message", "the second message"):
        real.spool.deliver(message(text, "42"))
        assert real.work(timeout=60) == 0
    assert set(real.states().values()) == {"done"}
    opening, first, second = model.requests
    assert "SOUL.md" in opening.newest
    assert "the first message" in first.newest
    assert "the second message" in second.newest
    assert "the first message" not in second.newest
    assert opening.session == first.session == second.session


def test_a_persons_own_session_in_the_same_folder_is_left_alone(
    real: Bench, model: Model, message: Make
) -> None:
    real.spool.deliver(message("one"))
    assert real.work(timeout=60) == 0
    ours = model.requests[0].session
    # The person's own run is the last one in this folder now.
    (real.spool.root / "sessions" / "workspace.json").rename(real.workspace.parent / "kept")
    real.spool.deliver(message("theirs"))
    assert real.work(timeout=60) == 0
    theirs = model.requests[-1].session
    assert theirs != ours
    (real.workspace.parent / "kept").rename(real.spool.root / "sessions" / "workspace.json")
    real.spool.deliver(message("two"))
    assert real.work(timeout=60) == 0
    assert model.requests[-1].session == ours


def test_conversations_with_sessions_of_their_own_never_see_each_other(
    real: Bench, model: Model, message: Make
) -> None:
    real.settings["AAP_SESSION"] = "conversation"
    for chat, text in (("A", "alpha secret"), ("B", "beta secret"), ("A", "alpha again")):
        real.spool.deliver(message(text, chat))
        assert real.work(timeout=60) == 0
    sessions: dict[str, str] = {}
    for request in model.requests:
        sessions[request.session] = sessions.get(request.session, "") + request.shown
    assert len(sessions) == 2
    assert not any("alpha" in shown and "beta" in shown for shown in sessions.values())
    assert sum("alpha again" in shown for shown in sessions.values()) == 1


def test_a_later_message_is_told_in_mid_run_and_settled_in_it(
    real: Bench, model: Model, message: Make
) -> None:
    first = real.spool.deliver(message("plan a trip", "42"))
    other = real.spool.deliver(message("other chat", "43"))
    later = message("make it Rome", "42")
    drop = real.workspace / "later.json"
    drop.write_bytes(later)
    # While the agent works on the first message, the second one arrives.
    model.add(run(aap(f"inbox add '{drop}'"), when="plan a trip"))
    assert real.work(timeout=90) == 0
    assert set(real.states().values()) == {"done"}
    (told,) = real.log("told")
    assert told.fields["id"] not in {first, other}
    runs = [
        line.fields["messages"] for line in real.log("run-started") if "kind" not in line.fields
    ]
    assert runs == ["1", "1"], "the later message had no run of its own"
    notices = [
        r for r in model.requests if "make it Rome" in r.newest and "since you started" in r.newest
    ]
    assert len(notices) == 1, "it was told once"
    assert "plan a trip" in notices[0].shown


def test_what_comes_at_the_very_end_is_told_before_the_agent_stops(
    real: Bench, model: Model, message: Make
) -> None:
    model.add(say("On its way.", when="plan a trip", delay=2))
    real.spool.deliver(message("plan a trip", "42"))
    process = real.start()
    wait_until(lambda: any("plan a trip" in r.newest for r in model.requests), 60, "the request")
    real.spool.deliver(message("make it Rome", "42"))
    process.communicate(timeout=60)
    assert list(real.states().values()) == ["done", "done"]
    assert len(real.log("told")) == 1
    assert "make it Rome" in model.requests[-1].newest


@pytest.mark.parametrize("status", [401, 429, 500])
def test_a_refusing_model_is_an_outage_and_heals(
    real: Bench, model: Model, message: Make, status: int
) -> None:
    real.spool.deliver(message("hello"))
    assert real.work(timeout=60) == 0
    model.add(fail(status, times=ALWAYS, when="please help"))
    ident = real.spool.deliver(message("please help"))
    process = real.start()
    try:
        outage = real.spool.root / "OUTAGE"
        wait_until(outage.exists, 60, "the outage")
    finally:
        process.terminate()
        process.communicate(timeout=20)
    entry = real.spool.find(ident)
    assert (entry.state.value, entry.attempts) == ("inbox", 0)
    model.script.steps.clear()
    assert real.work(timeout=60) == 0
    assert not outage.exists()
    assert real.states()[ident] == "done"
    assert len({request.session for request in model.requests}) == 1


def test_a_model_that_hangs_costs_an_attempt(real: Bench, model: Model, message: Make) -> None:
    real.spool.deliver(message("hello"))
    assert real.work(timeout=60) == 0
    model.add(hang(when="please help", times=ALWAYS))
    ident = real.spool.deliver(message("please help"))
    real.settings |= {"AAP_RUN_TIMEOUT": "4s", "AAP_STOP_GRACE": "2s"}
    assert real.work(timeout=60) == 0
    assert (real.spool.find(ident).state.value, real.spool.find(ident).attempts) == ("deferred", 1)


def test_a_lost_session_is_replaced_at_once(real: Bench, model: Model, message: Make) -> None:
    real.spool.deliver(message("hello"))
    assert real.work(timeout=60) == 0
    slot = real.spool.root / "sessions" / "workspace.json"
    facts = json.loads(slot.read_text()) | {"id": "11111111-1111-4111-8111-111111111111"}
    slot.write_text(json.dumps(facts))
    ident = real.spool.deliver(message("hello again"))
    assert real.work(timeout=60) == 0
    assert real.states()[ident] == "done"
    assert real.spool.find(ident).attempts == 0
    assert len(real.log("session-lost")) == 1


def test_each_runs_own_tokens_are_counted(real: Bench, model: Model, message: Make) -> None:
    model.add(say(tokens=(1000, 100, 10)), say(tokens=(4000, 3000, 40)))
    real.spool.deliver(message("hello"))
    assert real.work(timeout=60) == 0
    lines = (real.spool.root / "context" / "usage.jsonl").read_text().splitlines()
    used = [json.loads(line) for line in lines]
    assert [(u["input"], u["cached"], u["output"]) for u in used] == [
        (1000, 100, 10),
        (4000, 3000, 40),
    ]
    assert len({u["session"] for u in used}) == 1
    assert used[0]["session"]


def test_the_seeds_own_sample_runs(bench: Bench, model: Model, message: Make) -> None:
    codex: Path = programs_or_skip() / "codex"
    flags = "--dangerously-bypass-approvals-and-sandbox"
    (bench.workspace / ".ai-agent-proxy.conf").write_text(
        f'AGENT_INIT_CLI="{codex} exec --skip-git-repo-check {flags}"\n'
        f'AGENT_CLI="{codex} resume --last {flags}"\n'
    )
    bench.settings |= configure_codex(bench.workspace.parent / "agent", model.url)
    ident = bench.spool.deliver(message("hello"))
    assert bench.work(timeout=60) == 0
    assert bench.states() == {ident: "done"}
    assert "codex resume needs a terminal" in " ".join(
        line.fields["note"] for line in bench.log("command-changed")
    )


def test_a_fall_of_caching_is_told_to_the_agent(real: Bench, model: Model, message: Make) -> None:
    model.add(*(say(tokens=(1000, 800, 10)) for _ in range(5)), say(tokens=(1000, 100, 10)), say())
    for number in range(6):
        real.spool.deliver(message(f"message {number}"))
        assert real.work(timeout=60) == 0
    lines = (real.spool.root / "context" / "usage.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["init", *["work"] * 6]
    prompts = [request.newest for request in model.requests]
    pointed = ["provider's cache" in prompt for prompt in prompts]
    assert pointed == [False] * 6 + [True]
    assert "Only 10% of the last run's input" in prompts[-1]
