"""DELIVERY=command: any program that takes a text and a chat."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.command import Run

from aap.delivery import program
from aap.inbox import Spool


def write_program(folder: Path, script: str) -> str:
    path = folder / "send it"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"'{path}' --fast"


@pytest.fixture
def command(home: Path, programs: Path) -> dict[str, str]:
    """A program that takes down what it got."""
    script = f"""
env | grep ^AAP_ | sort >{home}/env
printf '%s\\n' "$@" >{home}/args
cat >{home}/text
echo working; echo id-77"""
    return {"AAP_DELIVERY": "command", "AAP_DELIVERY_CMD": write_program(programs, script)}


def test_the_program_gets_the_text_on_stdin_and_the_rest_in_its_environment(
    aap: Run, message: str, home: Path, command: dict[str, str]
) -> None:
    (home / "a.png").write_bytes(b"png")
    text = "$(id) `id`\nsecond line"
    words = ("reply", message, "-", "--media", "a.png", "--reply-to", "--json")
    done = aap(*words, stdin=text, **command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent_id"] == "id-77"
    assert (home / "text").read_text() == text
    assert (home / "args").read_text() == "--fast\n"
    seen = dict(line.split("=", 1) for line in (home / "env").read_text().splitlines())
    assert {key: seen[f"AAP_{key}"] for key in (
        "CHANNEL", "TARGET", "ACCOUNT", "MESSAGE_ID", "REPLY_TO", "MEDIA",
    )} == {
        "CHANNEL": "telegram", "TARGET": "telegram:42", "ACCOUNT": "default",
        "MESSAGE_ID": message, "REPLY_TO": "501", "MEDIA": str(home / "a.png"),
    }  # fmt: skip


def test_it_may_send_where_no_messenger_is(
    aap: Run, spool: Spool, home: Path, command: dict[str, str]
) -> None:
    message = spool.deliver(b'{"agent_id": "other", "prompt": "hello"}')
    assert aap("reply", message, "hi", **command).returncode == 0
    assert "AAP_CHANNEL=a2a" in (home / "env").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "code", "state"),
    [
        ("exit 0", 0, "sent"),
        ("echo no such chat >&2; exit 1", 1, "failed"),
        ("exit 75", 75, "failed"),
        ("kill -9 $$", 1, "unknown"),
        ("sleep 30 & sleep 30", 1, "unknown"),
        ("exec sleep 30", 1, "unknown"),
    ],
)
def test_its_end_tells_what_became_of_it(
    aap: Run, message: str, programs: Path, script: str, code: int, state: str
) -> None:
    settings = {"AAP_DELIVERY": "command", "AAP_DELIVERY_CMD": write_program(programs, script)}
    done = aap("reply", message, "hello", "--json", **settings)
    assert (done.returncode, json.loads(done.stdout)["state"]) == (code, state)


def test_a_program_that_is_not_there_is_a_passing_fault(aap: Run, message: str) -> None:
    done = aap("reply", message, "x", AAP_DELIVERY="command", AAP_DELIVERY_CMD="/nowhere/send")
    assert done.returncode == 75
    assert "/nowhere/send is not there" in done.stderr


def test_no_program_is_a_fault_of_the_configuration(aap: Run, message: str) -> None:
    done = aap("reply", message, "x", AAP_DELIVERY="command")
    assert done.returncode == 78


def test_a_notice_reaches_its_program_and_never_raises(home: Path, tmp_path: Path) -> None:
    script = 'echo "$AAP_EVENT" >seen; cat >>seen'
    command = write_program(tmp_path, f"cd {tmp_path}; {script}")
    assert program.notify(command, "outage", "codex is not logged in") == ""
    assert (tmp_path / "seen").read_text() == "outage\ncodex is not logged in"
    assert program.notify("", "outage", "x") == ""
    assert program.notify("/nowhere/x", "outage", "x") == "the program /nowhere/x is not there"
    assert program.notify("false", "outage", "x") == "exit code 1"
