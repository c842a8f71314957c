"""The promise, on a real systemd: a 200 is handled at least once, in order, whatever crashes."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from collections import Counter

import pytest
from harness.machine import User
from harness.wait import wait_until

from aap.log import Line, parse_line

pytestmark = pytest.mark.systemd

POSTER = "/opt/aap/tests/harness/poster.py"
SPOOL = ".openclaw/workspace/.ai-agent-proxy"
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


def first_of_each(words: list[str]) -> list[str]:
    return list(dict.fromkeys(words))


def starts(user: User, unit: str) -> list[float]:
    """When the service was started, in seconds."""
    text = user.journal("-o", "short-unix", f"USER_UNIT={unit}")
    found = re.findall(r"^(\d+\.\d+) .*: Started ", text, re.MULTILINE)
    return sorted({round(float(stamp), 3) for stamp in found})


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
def test_nothing_is_lost_or_doubled_while_everything_is_killed(user: User) -> None:
    install(user, handled_agent(user), IDLE_EXIT="200ms")
    escaped = f"home-{user.name}-.openclaw-workspace".replace("-.", "-.")
    worker = f"aap-worker@{escaped}.service"
    # A back-off of seconds is right for people and slow for a test; drop-ins are how
    # a user changes it.
    user.write(".config/systemd/user/aap-worker@.service.d/test.conf", _FAST)
    user.systemctl("daemon-reload")
    chats = ["a", "b", "c", "d"]
    sock = f"/run/user/{user.uid}/aap/api.sock"
    posters = [
        user.start([user.machine.python, POSTER, url, chat, "50", "0.1"], stdout=subprocess.PIPE)
        for chat, url in zip(chats, ["http://127.0.0.1:7011", sock] * 2, strict=True)
    ]
    kills = _make_trouble(user, worker, posters)
    acknowledged = [line.split() for p in posters for line in p.communicate()[0].splitlines()]
    assert len(acknowledged) == 200
    wait_until(lambda: is_quiet(user), 60, "all messages to be handled")

    # Each acknowledged message is handled, and there is no other.
    assert ids(user, "done") == sorted(words[2] for words in acknowledged)
    assert ids(user, "failed") == []
    handled = user.path(".openclaw/workspace/handled").read_text().splitlines()
    for chat in chats:
        own = [line for line in handled if line.startswith(f"{chat} ")]
        assert first_of_each(own) == [f"{chat} {number}" for number in range(50)]

    # None is touched again after it was settled.
    settled: set[str] = set()
    for line in log_lines(user):
        if line.event == "claimed":
            assert line.fields["id"] not in settled
        elif line.event == "settled":
            settled.add(line.fields["id"])

    assert user.systemctl("--failed", "--plain", "--no-legend") == ""
    busiest = Counter(int(stamp) for stamp in starts(user, worker)).most_common(1)
    print(f"{kills} kills and restarts; worker starts in the busiest second: {busiest}")
    assert busiest[0][1] <= 4


_FAST = "[Service]\nRestartSec=300ms\n"


def _make_trouble(user: User, worker: str, posters: list[subprocess.Popen[str]]) -> int:
    """Kill, restart and reload at random until all is posted; return how often."""
    random.seed(7)
    count = 0
    while any(poster.poll() is None for poster in posters):
        unit = random.choice([worker, "aap-api.service"])
        kind = random.choice(["kill", "kill", "kill", "restart", "daemon-reload"])
        if kind == "kill":
            user.systemctl("kill", "--signal=KILL", "--kill-who=main", unit, check=False)
        elif kind == "restart":
            user.systemctl("try-restart", unit, check=False)
        else:
            user.systemctl("daemon-reload")
        count += 1
        time.sleep(random.uniform(0.05, 0.4))
    return count


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
