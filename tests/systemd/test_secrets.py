"""Keys stay where they are: the API as it is installed shows none, whatever is asked of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.machine import Machine, System, User, installed
from harness.wait import wait_until

from aap.systemd import units

pytestmark = pytest.mark.systemd

PLAIN, A2A = "aap_the-plain-key-of-the-configuration-file", "agents-have-a-word-of-their-own"
ASK = """
import http.client, json, sys
for method, path, key in json.load(sys.stdin):
    connection = http.client.HTTPConnection("127.0.0.1", 7011, timeout=20)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request(method, path, b"{}" if method == "POST" else None, headers)
    print(connection.getresponse().status)
"""


@pytest.fixture(params=["user", "system"])
def keeper(request: pytest.FixtureRequest, machine: Machine) -> Iterator[User]:
    """A user, or the machine's account, with keys of every kind, whose API stays up."""
    lines = f"AGENT_CLI=sh -c 'sleep 7030'\nIDLE_EXIT=10m\nAPI_KEY={PLAIN}\nA2A_KEY={A2A}\n"
    if request.param == "system":
        with installed(machine) as system:
            machine.run(["sh", "-c", "umask 027; cat > /etc/aap/aap.conf"], stdin=lines)
            machine.run(["chgrp", "aap", "/etc/aap/aap.conf"])
            yield ready(system)
            machine.run(["sh", "-c", "rm -rf /run/systemd/system/aap-*.d"])
    else:
        user: User = request.getfixturevalue("user")
        user.write(".config/aap/aap.conf", lines, 0o600)
        user.aap("install", "--user")
        yield ready(user)


def ready(keeper: User) -> User:
    """Nobody is to handle what is sent."""
    keeper.aap("pause")
    return keeper


def workspace(keeper: User) -> Path:
    return keeper.home / ("workspace" if isinstance(keeper, System) else ".openclaw/workspace")


def drop_in(keeper: User, unit: str, text: str) -> None:
    """Change a unit for as long as the keeper is there."""
    is_system = isinstance(keeper, System)
    folder = "/run/systemd/system" if is_system else f"/run/user/{keeper.uid}/systemd/user"
    words = ["sh", "-c", 'mkdir -p "$1"; cat > "$1/core.conf"', "sh", f"{folder}/{unit}.d"]
    (keeper.machine if is_system else keeper).run(words, stdin=text)
    keeper.systemctl("daemon-reload")


def ask(user: User, *requests: tuple[str, str, str]) -> list[int]:
    """Send requests and return their statuses."""
    command = [user.machine.python, "-c", ASK]
    return list(map(int, user.run(command, stdin=json.dumps(requests)).stdout.split()))


def use_keys(user: User, key: str) -> None:
    """Have every key used, rightly and wrongly."""
    chat = "/v1/chat/completions"
    assert ask(
        user,
        ("POST", chat, PLAIN),
        ("POST", chat, key),
        ("POST", "/agent-inbox", A2A),
        ("POST", chat, f"{key}x"),
        ("POST", f"{chat}?key={key}", ""),
        ("GET", f"/v1/nothing?api_key={PLAIN}", PLAIN),
        ("GET", f"/v1/models/{key}", key),
        ("GET", f"/{PLAIN}/v1/models", PLAIN),
    ) == [200, 200, 200, 401, 401, 404, 404, 404]


@pytest.mark.slow
def test_no_key_is_seen_from_outside(keeper: User) -> None:
    key = keeper.aap("key", "new", "phone").stdout.strip()
    use_keys(keeper, key)
    proc = f"/proc/{keeper.show('aap-api.service', 'MainPID')['MainPID']}"
    report = Path("/root" if isinstance(keeper, System) else keeper.home, "report.txt")
    shown = {
        "argv": keeper.run(["cat", f"{proc}/cmdline"]).stdout,
        "environment": keeper.machine.run(["cat", f"{proc}/environ"]).stdout,
        "units": keeper.systemctl("show", "aap-api.service", "aap-api.socket")
        + keeper.systemctl("cat", "aap-api.service"),
        "status": keeper.aap("status", "--json", check=False).stdout,
        "doctor": keeper.aap("doctor", "--json", "--bundle", str(report), check=False).stdout,
        "report": keeper.machine.run(["cat", report]).stdout,
        "config": keeper.aap("config", "list", "--json").stdout,
        "keys": keeper.aap("key", "ls", "--json").stdout,
        "logs": keeper.aap("logs", "--json").stdout,
        "journal": keeper.journal(),
    }
    assert "refused" in shown["journal"]
    for place, text in shown.items():
        assert text, place
        for secret in (PLAIN, A2A, key):
            assert secret not in text, place
            assert secret[4:30] not in text, place


@pytest.mark.slow
def test_nobody_reads_the_apis_memory(keeper: User) -> None:
    key = keeper.aap("key", "new", "phone").stdout.strip()
    use_keys(keeper, key)
    proc = f"/proc/{keeper.show('aap-api.service', 'MainPID')['MainPID']}"
    limits = keeper.machine.run(["cat", f"{proc}/limits"]).stdout
    assert limits.partition("Max core file size")[2].split()[:2] == ["0", "0"]
    # Nor other programs of its own user, which they may in a process that could dump core.
    for file in ("mem", "environ"):
        read = keeper.run(["head", "-c", "1", f"{proc}/{file}"], check=False)
        assert "Permission denied" in read.stderr, file


@pytest.mark.slow
def test_an_api_that_crashes_leaves_no_core_dump(keeper: User) -> None:
    # Where it could be written, and with no help of the unit.
    inbox = workspace(keeper) / ".ai-agent-proxy/inbox"
    text = f"[Service]\nWorkingDirectory={inbox}\nLimitCORE=infinity\n"
    drop_in(keeper, "aap-api.service", text)
    use_keys(keeper, keeper.aap("key", "new", "phone").stdout.strip())
    facts = "NRestarts", "MainPID"
    before = keeper.show("aap-api.service", *facts)
    keeper.systemctl("kill", "--signal=ABRT", "--kill-whom=main", "aap-api.service")
    wait_until(lambda: keeper.show("aap-api.service", *facts) != before, what="a new API")
    journal = keeper.journal()
    assert "code=killed, status=6/ABRT" in journal
    assert "code=dumped" not in journal


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["", "LimitCORE=infinity"])
def test_a_worker_that_crashes_leaves_no_core_dump(keeper: User, limit: str) -> None:
    """But for one whose unit is told so: else that there is none would prove nothing."""
    unit = units.worker_service(workspace(keeper))
    drop_in(keeper, unit, f"[Service]\nRestart=no\n{limit}\n")
    keeper.aap("resume")
    keeper.aap("inbox", "add", "--text", "hello")
    agent = ["pgrep", "-u", keeper.name, "-f", "sleep 7030"]
    wait_until(lambda: keeper.machine.run(agent, check=False).stdout, 20, "the agent")
    keeper.systemctl("kill", "--signal=ABRT", "--kill-whom=main", unit)
    wait_until(lambda: keeper.show(unit, "ActiveState")["ActiveState"] == "failed", 20)
    found = keeper.machine.run(["grep", "-rl", PLAIN, workspace(keeper)], check=False).stdout
    assert ("/core" in found) == bool(limit)
