"""`aap agent`: what runs, in which sessions, and whether it works."""

import json
import time

from harness.command import Run

from aap.agents import find_agent
from aap.inbox import Spool


def put_session(spool: Spool, slot: str, conversation: str = "") -> None:
    folder = spool.root / "sessions"
    folder.mkdir(exist_ok=True)
    facts = {
        "key": find_agent("claude", "", "").key,
        "id": f"id-{slot}",
        "started": time.time() - 90,
        "runs": 3,
    }
    (folder / f"{slot}.json").write_text(json.dumps(facts | {"conversation": conversation}))


def test_the_seeds_sample_is_explained(aap: Run) -> None:
    sample = {"AAP_AGENT_INIT_CLI": "codex exec --x", "AAP_AGENT_CLI": "codex resume --last --x"}
    shown = aap("agent", "show", **sample)
    assert shown.returncode == 0
    assert "codex exec resume '{id}' --x" in shown.stdout
    assert "codex resume needs a terminal" in shown.stdout


def test_sessions_are_shown_and_forgotten(aap: Run, spool: Spool, documents) -> None:
    put_session(spool, "workspace")
    put_session(spool, "abc", "telegram/default/42")
    (facts,) = documents("agent", "show", AAP_AGENT="claude")
    assert facts["schema"] == "aap.agent.show/1"
    assert [(s["slot"], s["runs"]) for s in facts["sessions"]] == [("abc", 3), ("workspace", 3)]
    assert (
        "telegram/default/42: id-abc, 1 min old, 3 runs"
        in aap("agent", "show", AAP_AGENT="claude").stdout
    )
    assert documents("agent", "show", AAP_AGENT="codex")[0]["sessions"] == []  # of another agent
    assert aap("agent", "init", "--conversation", "telegram/default/42").returncode == 0
    assert [path.stem for path in (spool.root / "sessions").iterdir()] == ["workspace"]
    assert aap("agent", "init", "--conversation", "nobody").returncode == 5
    assert aap("agent", "init").returncode == 0
    assert list((spool.root / "sessions").iterdir()) == []


def test_without_an_agent_it_says_how_to_have_one(aap: Run) -> None:
    done = aap("agent", "show")
    assert done.returncode == 78
    assert "aap config set AGENT" in done.stderr


def test_a_trial_here_says_that_it_works(spool: Spool, documents) -> None:
    (facts,) = documents("agent", "test", "--here", AAP_AGENT="echo")
    assert (facts["verdict"], facts["code"], facts["under_unit"]) == ("ok", 0, False)


def test_a_trial_says_what_does_not_work(aap: Run, spool: Spool) -> None:
    missing = aap("agent", "test", "--here", AAP_AGENT_CLI="no-such-agent")
    assert missing.returncode == 1
    assert "no-such-agent is not in this PATH" in missing.stdout
    failing = aap("agent", "test", "--here", AAP_AGENT_CLI="sh -c 'echo oh; exit 3'")
    assert failing.returncode == 1
    assert "exit code 3" in failing.stdout
    assert "oh" in failing.stdout


def test_a_trial_under_the_unit_needs_an_installation(aap: Run, spool: Spool) -> None:
    done = aap("agent", "test", AAP_AGENT="echo")
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 3, "what it does, what is wrong, what mends it"


def test_a_trial_touches_no_message(aap: Run, spool: Spool) -> None:
    message = spool.deliver(b"{}")
    assert aap("agent", "test", "--here", AAP_AGENT="echo").returncode == 0
    assert [entry.id for entry in spool.entries()] == [message]
