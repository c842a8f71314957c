"""What `--json` prints: one document or JSON Lines, a silent stderr, members that stay.

Every command with `--json` is run here or in tests/systemd/test_json.py, and held against
a golden file; `WRITE_GOLDEN=1` writes them.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from harness.command import AAP, Run, chat, environment
from harness.golden import GOLDEN, ON_SYSTEMD, check, json_commands, read_documents

from aap.cli import output
from aap.context import record
from aap.inbox import Spool
from aap.log import DailyLog

ANN = {
    "channel": "telegram",
    "target": "telegram:42",
    "metadata": {"sender": "Ann"},
    "model": "aap",
}
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PARTS: Any = [{"type": "text", "text": "here"}, PIXEL]
SETTINGS = "AGENT=echo\nDELIVERY=command\nDELIVERY_CMD=/bin/true\n"
FOREIGN = "PORT=7015\nAGENT_CLI=codex exec\nNOBODY_KNOWS=1\n"
OPENCLAW = '{"agents": {"defaults": {"model": "openai/gpt-5"}}}'


class Case(NamedTuple):
    """A call that succeeds; words such as @late are ids of the world's messages."""

    words: tuple[str, ...]
    is_list: bool = False  # a document a line, else one alone
    first: tuple[str, ...] = ()  # what is run before
    name: str = ""  # of the golden file, where it is not that of the command


def case(words: str, *, first: str = "", name: str = "", is_list: bool = False) -> Case:
    return Case(tuple(words.split()), is_list, tuple(first.split()), name)


CASES = [
    case("pause --reason x"),
    case("explain @late"),
    case("explain", name="explain-workspace"),
    case("reply @here hello"),
    case("logs", is_list=True),
    case("inbox ls --all", is_list=True),
    case("inbox ls --group --all", is_list=True, name="inbox-ls--group"),
    case("inbox show @late @here", is_list=True),
    case("inbox new", is_list=True),
    case("inbox wait"),
    case("inbox stats --since 10s"),
    case("config list", is_list=True),
    case("config get AGENT"),
    case("config explain AGENT"),
    case("config path"),
    case("config validate"),
    case("config import FOREIGN"),
    case("workspace ls", is_list=True),
    case("workspace show"),
    case("key new phone"),
    case("key ls", is_list=True, first="key new phone"),
    case("openclaw check", is_list=True, first="openclaw setup --write"),
    case("openclaw setup"),
    case("context show", is_list=True, first="context append words"),
    case("context stats"),
    case("skills ls", is_list=True),
    case("skills show context-cache"),
    case("skills install"),
    case("agent show"),
    case("agent test --here", name="agent-test--here"),
]
# They have tests of their own: the one does not end, the other succeeds with nothing to say.
APART = {("inbox", "watch"), ("context", "check")}


@pytest.fixture
def world(spool: Spool, home: Path) -> dict[str, str]:
    """A spool with a message in every state, with notes and logs, and all that is around it."""
    ids = {word: spool.deliver(chat(word, **ANN)) for word in ("late", "lost", "held", "done")}
    spool.defer(spool.find(ids["late"]), time.time() + 900, "the agent said no")
    spool.fail(spool.find(ids["lost"]), "the agent said no")
    spool.hold(spool.find(ids["held"]))
    spool.settle(ids["done"])
    log = DailyLog(spool.logs, echo=False)
    log.event("info", "worker", "run-ended", outcome="ok", seconds="1.5")
    used = {"time": 1.5, "agent": "codex", "session": "s", "kind": "work", "input": 1000}
    for cost in (None, 0.25):
        more = {"cached": 800, "output": 7, "cost": cost, "cumulative": False}
        record(spool.root, {**used, **more})
    write(home / "xdg-config/aap/aap.conf", SETTINGS)
    write(home / "FOREIGN", FOREIGN)
    write(home / ".openclaw/openclaw.json", OPENCLAW)
    return {**ids, "here": spool.deliver(chat(PARTS, **ANN))}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture
def succeed(aap: Run, world: dict[str, str], home: Path) -> Callable[..., str]:
    """Run a command, which must succeed in silence, and return what it printed."""
    # The journal of this machine is not the test's.
    (home / "bin").mkdir()
    (home / "bin/journalctl").symlink_to("/bin/true")

    def run(*words: str) -> str:
        call = [world[word[1:]] if word.startswith("@") else word for word in words]
        done = aap(*call, PATH=str(home / "bin"))
        assert done.returncode == 0, done.stderr
        assert done.stderr == "" or "--json" not in words
        return done.stdout

    return run


def test_every_command_with_json_is_tried() -> None:
    tried = {tuple(each for each in c.words if each.islower()) for c in CASES}
    known = {path: [w for w in tried if w[: len(path)] == path] for path in json_commands()}
    alone = [path for path, calls in known.items() if not calls]
    assert set(alone) == ON_SYSTEMD - {("agent", "test")} | APART


@pytest.mark.parametrize("each", CASES, ids=lambda each: "-".join(each.words))
def test_a_command_prints_what_its_golden_file_says(
    succeed: Callable[..., str], each: Case
) -> None:
    if each.first:
        succeed(*each.first)
    documents = read_documents(succeed(*each.words, "--json"))
    assert each.is_list or len(documents) == 1
    check(each.name or "-".join(words_of(each)), documents)


def words_of(each: Case) -> tuple[str, ...]:
    return max((p for p in json_commands() if each.words[: len(p)] == p), key=len)


@pytest.mark.slow
def test_events_have_the_members_that_they_had(spool: Spool) -> None:
    command = [*AAP, "inbox", "watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stdout is not None
        time.sleep(1.5)
        message = spool.deliver(chat("hi", **ANN))
        lines = [process.stdout.readline()]
        spool.defer(spool.find(message), time.time() + 900, "no")
        lines.append(process.stdout.readline())
        process.kill()
    check("inbox-watch", read_documents("".join(lines)))


def test_findings_of_the_cache_have_the_members_that_they_had(aap: Run, spool: Spool) -> None:
    (spool.root / "context").mkdir(exist_ok=True)
    (spool.root / "context/cache.txt").write_text("BLOCK_ID: 003\nsee [009]\n")
    done = aap("context", "check", "--json")
    assert (done.returncode, done.stderr) == (7, "")
    check("context-check", read_documents(done.stdout))


def test_one_schema_has_one_set_of_members() -> None:
    known: dict[str, set[str]] = {}
    for path in sorted(GOLDEN.glob("*.json")):
        facts = json.loads(path.read_text())
        assert set(facts) == known.setdefault(facts["schema"], set(facts)), path.name


@pytest.mark.parametrize(
    "words",
    [("ls",), ("new",), ("wait",), ("wait", "--conversation", "telegram//c")],
)
def test_all_that_lists_messages_lists_them_alike(
    documents: Callable[..., list[dict[str, Any]]], spool: Spool, words: tuple[str, ...]
) -> None:
    spool.deliver(chat("hi", channel="telegram", target="c", metadata={"sender": "Ann"}))
    (found,) = documents("inbox", *words)
    entry = json.loads((GOLDEN / "inbox-ls.json").read_text())
    assert found["schema"] == entry["schema"]
    assert set(found) == set(entry)
    assert found["arrived"] == output.iso(output.from_iso(found["arrived"]))
