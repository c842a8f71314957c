"""The promise, on a real systemd: a 200 is handled at least once, in order, whatever crashes."""

from __future__ import annotations

import signal

import pytest
from harness.clock import Clock
from harness.disk import DiskError, SmallDisk
from harness.machine import User
from harness.wait import wait_until
from torture import trouble
from torture.chaos import CLOCK, Scale, busiest_second, wreck
from torture.site import Site, starts

from aap.log import Line, parse_line
from aap.systemd import units

pytestmark = pytest.mark.systemd

POSTER = "/opt/aap/tests/harness/poster.py"
WORKSPACE = ".openclaw/workspace"
SPOOL = f"{WORKSPACE}/.ai-agent-proxy"
# What a real agent does, as far as order goes: it takes its messages in turn.
AGENT = """\
#!/bin/sh
printf '%s\\n' "$1" | grep -A1 '^<<<message ' | grep -v '^<<<\\|^--' >> "$HOME/ws-handled.tmp"
sync "$HOME/ws-handled.tmp" 2>/dev/null
sleep 0.05
"""


def handled_agent(user: User) -> str:
    """An agent that writes down what it was given, in the workspace, the one place it may."""
    script = AGENT.replace("$HOME/ws-handled.tmp", "$AAP_WORKSPACE/handled")
    return str(user.write(".openclaw/workspace/agent", script, 0o755))


def install(user: User, command: str, **settings: str) -> None:
    lines = {"AGENT_CLI": command, "IDLE_EXIT": "1s"} | settings
    text = "".join(f"{key}={value}\n" for key, value in lines.items())
    user.write(".config/aap/aap.conf", text, 0o600)
    user.aap("install", "--user")


def ids(user: User, state: str) -> list[str]:
    folder = user.path(f"{SPOOL}/{state}")
    return sorted(path.name.partition(".")[0].partition("+")[0] for path in folder.iterdir())


def log_lines(user: User) -> list[Line]:
    paths = sorted(user.path(f"{SPOOL}/logs").glob("*.log"))
    lines = [parse_line(line) for path in paths for line in path.read_text().splitlines()]
    return [line for line in lines if line]


def processes(user: User) -> list[str]:
    found = user.machine.run(["pgrep", "-u", user.name, "-fa", r"-m aap\."], check=False).stdout
    return found.splitlines()


def is_quiet(user: User) -> bool:
    return not any(ids(user, state) for state in ("inbox", "active", "deferred"))


def test_one_post_wakes_everybody_and_leaves_nobody(user: User) -> None:
    install(user, handled_agent(user))
    assert processes(user) == []
    posted = user.run([user.machine.python, POSTER, "http://127.0.0.1:7011", "chat", "1"]).stdout
    message = posted.split()[2]
    wait_until(lambda: ids(user, "done") == [message], 20, "the message to be settled")
    wait_until(lambda: not processes(user), 10, "all processes to end")
    assert user.path(".openclaw/workspace/handled").read_text() == "chat 0\n"
    for unit in ("aap-api.socket", "aap-worker@home-*.path"):
        state = user.systemctl("is-active", unit, check=False)
        assert state == "active", unit
    assert user.systemctl("--failed", "--plain", "--no-legend") == ""


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_whatever_fails(user: User) -> None:
    try:
        outcome = wreck(user.machine, user, Scale(240, 4, 2.0, 96, calm=0.2))
    except DiskError as error:
        pytest.skip(str(error))
    print(*outcome.figures, sep="\n")
    assert outcome.broken == []


@pytest.mark.slow
def test_trouble_that_meets_nobody_does_not_count(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trouble, "PATIENCE", 0.05)
    place = user.machine.path(CLOCK)
    place.mkdir(exist_ok=True)
    try:
        with SmallDisk(user.machine, user.home / WORKSPACE, megabytes=64, owner=user) as disk:
            made = trouble.Trouble(Site(user, Clock(place, seen_as=CLOCK), disk, 0))
            for _ in range(50):
                made.make()
            made.make(last=True)
    except DiskError as error:
        pytest.skip(str(error))
    unmet = {kind for kind, count in made.counts.items() if count == 0}
    assert unmet == {
        "API killed",
        "API restarted",
        "agent killed",
        "disk broken under the worker",
        "worker killed",
        "worker restarted",
    }


@pytest.mark.slow
def test_messages_that_come_one_by_one_start_two_workers_a_second_at_most(user: User) -> None:
    install(user, "true", SETTLE="0")
    posted = user.run([user.machine.python, POSTER, "http://127.0.0.1:7011", "chat", "30", "0.1"])
    assert len(posted.stdout.splitlines()) == 30
    wait_until(lambda: is_quiet(user), 20, "all messages to be handled")
    found = starts(user, units.worker_service(user.home / ".openclaw/workspace"))
    print(f"{len(found)} starts, at most {busiest_second(found)} within a second")
    assert busiest_second(found) <= 2


@pytest.mark.slow
def test_a_requests_agent_survives_a_restart_of_the_api(user: User) -> None:
    slow = user.write(".openclaw/workspace/agent", "#!/bin/sh\nsleep 3; echo done\n", 0o755)
    install(user, str(slow))
    user.run([user.machine.python, POSTER, "http://127.0.0.1:7011", "chat", "1"])
    wait_until(lambda: ids(user, "active"), 10, "the message to be claimed")
    user.systemctl("restart", "aap-api.service")
    user.systemctl("kill", f"--signal={signal.SIGKILL.value}", "aap-api.service", check=False)
    wait_until(lambda: ids(user, "done"), 20, "the message to be settled")
    assert [line.event for line in log_lines(user)].count("run-started") == 1
