"""What `--json` prints, held against golden files: members and their types.

A member that is new is added to the golden file; one that is gone needs a new number
in the schema. `WRITE_GOLDEN=1` writes the files.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.command import AAP, Run, chat, environment

from aap.inbox import Spool

GOLDEN = Path(__file__).parent / "golden"
ANN = {
    "channel": "telegram",
    "target": "telegram:42",
    "metadata": {"sender": "Ann"},
    "model": "aap",
}


def shape(value: Any) -> Any:
    """The types of all members; lists by their first item."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "null" if value is None else type(value).__name__


def check(schema: str, documents: list[dict[str, Any]]) -> None:
    """Hold documents, which all have one schema, against its golden file."""
    assert {each["schema"] for each in documents} == {schema}
    seen = [shape(each) for each in documents]
    path = GOLDEN / f"{schema.replace('/', '-')}.json"
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text(json.dumps(seen, indent=1) + "\n")
    assert seen == json.loads(path.read_text())


@pytest.fixture
def lively(spool: Spool) -> dict[str, str]:
    """A spool with a message in every state, with notes and logs."""
    ids = {word: spool.deliver(chat(word, **ANN)) for word in ("late", "lost", "held", "done")}
    spool.defer(spool.find(ids["late"]), time.time() + 900, "the agent said no")
    spool.fail(spool.find(ids["lost"]), "the agent said no")
    spool.hold(spool.find(ids["held"]))
    spool.settle(ids["done"])
    return {**ids, "here": spool.deliver(chat("here"))}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("aap.inbox.entry/1", ("inbox", "ls", "--all")),
        ("aap.inbox.group/1", ("inbox", "ls", "--group")),
        ("aap.inbox.show/1", ("inbox", "show", "late", "here")),
        ("aap.inbox.stats/1", ("inbox", "stats", "--since", "10 s")),
        ("aap.explain/1", ("explain", "late")),
        ("aap.logs.line/1", ("logs",)),
        ("aap.pause/1", ("pause", "--reason", "x")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_documents_have_the_members_that_they_had(
    aap: Run, lively: dict[str, str], schema: str, words: tuple[str, ...]
) -> None:
    if schema == "aap.logs.line/1":
        assert aap("inbox", "hold", lively["here"]).returncode == 0
    if schema == "aap.inbox.stats/1":
        time.sleep(0.01)
    call = [lively.get(word, word) for word in words]
    # Without journalctl: the journal of this machine is not the test's.
    done = aap(*call, "--json", PATH="/nowhere", AAP_AGENT="echo")
    assert done.returncode == 0
    assert done.stderr == "" or words == ("logs",)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    if schema == "aap.inbox.stats/1":
        documents[0]["periods"] = documents[0]["periods"][-1:]
    check(schema, documents)


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
    check("aap.inbox.event/1", [json.loads(line) for line in lines])


@pytest.mark.parametrize(
    "words",
    [("ls", "--state", "inbox"), ("new",), ("wait",), ("wait", "--conversation", "telegram//c")],
)
def test_all_that_lists_messages_lists_them_alike(
    documents: Callable[..., list[dict[str, Any]]], spool: Spool, words: tuple[str, ...]
) -> None:
    spool.deliver(chat("hi", channel="telegram", target="c", metadata={"sender": "Ann"}))
    (found,) = documents("inbox", *words)
    entry = json.loads((GOLDEN / "aap.inbox.entry-1.json").read_text())[0]
    assert found["schema"] == "aap.inbox.entry/1"
    assert set(found) == set(entry)
