"""An upgrade under load, on a real systemd: runs go on, no request is lost, the new code comes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from harness.machine import Machine, User
from harness.wait import wait_until

from aap.systemd import units

pytestmark = [pytest.mark.systemd, pytest.mark.slow]

HARNESS = "/opt/aap/tests/harness"
Way = Callable[[Machine], AbstractContextManager[Path]]
WORKSPACE = ".openclaw/workspace"
SPOOL = f"{WORKSPACE}/.ai-agent-proxy"
NEWER = "99.0"
AGENT = """\
#!/bin/sh
grep -o '^<<<message [0-9a-z]*' <<. >> "$AAP_WORKSPACE/given"
$1
.
until [ -e "$AAP_WORKSPACE/go" ]; do sleep 0.1; done
echo "$PATH" > "$AAP_WORKSPACE/path"
"""


@contextmanager
def in_place(machine: Machine) -> Iterator[Path]:
    """As `pip install --upgrade` does: the new files where the old ones were."""
    code = machine.path(machine.checkout / "aap/__init__.py")
    before = code.read_text()
    code.with_suffix(".new").write_text(f'{before}\n__version__ = "{NEWER}"\n')
    code.with_suffix(".new").rename(code)
    try:
        yield machine.aap
    finally:
        code.write_text(before)


@contextmanager
def beside(machine: Machine) -> Iterator[Path]:
    """In a virtual environment of its own: the units have to name another interpreter."""
    new, old = Path("/opt/aap-newer"), machine.checkout
    script = f"""
        mkdir {new}
        cp -a {old}/aap {old}/packaging {old}/man {old}/completions {old}/skills {new}
        echo '__version__ = "{NEWER}"' >> {new}/aap/__init__.py
        {old}/.venv/bin/python -m venv --without-pip {new}/.venv
        cd {new}/.venv/lib/python3*/site-packages
        echo {new} > newer.pth
        ls -d {old}/.venv/lib/python3*/site-packages >> newer.pth
        sed 1s,{old},{new}, {old}/.venv/bin/aap > {new}/.venv/bin/aap
        chmod 755 {new}/.venv/bin/aap
    """
    machine.run(["sh", "-ec", script])
    try:
        yield new / ".venv/bin/aap"
    finally:
        machine.run(["rm", "-rf", new])


@pytest.fixture
def busy(user: User) -> User:
    """A user whose agent is in the middle of a long run."""
    agent = user.write(f"{WORKSPACE}/agent", AGENT, 0o755)
    user.write(".config/aap/aap.conf", f"AGENT_CLI={agent}\nIDLE_EXIT=1s\n", 0o600)
    user.aap("install", "--user")
    user.aap("send", "the first one")
    wait_until(lambda: given(user), 20, "the run")
    return user


def given(user: User) -> list[str]:
    path = user.path(f"{WORKSPACE}/given")
    return path.read_text().splitlines() if path.exists() else []


def start_storm(user: User) -> subprocess.Popen[str]:
    """Requests without a second try, some of them at any time."""
    unix = f"/run/user/{user.uid}/aap/api.sock"
    words = [user.machine.python, f"{HARNESS}/storm.py", "127.0.0.1:7011", unix, "40", "0.05"]
    return user.start(words, stdout=subprocess.PIPE)


def version_of_api(user: User) -> str:
    code = (
        "import http.client as c; h = c.HTTPConnection('127.0.0.1', 7011);"
        "h.request('GET', '/v1/status'); print(h.getresponse().read().decode())"
    )
    said = json.loads(user.run([user.machine.python, "-c", code]).stdout)
    return str(said["version"])


def is_quiet(user: User, worker: str) -> bool:
    waiting = (user.path(f"{SPOOL}/{state}") for state in ("inbox", "active", "deferred"))
    if any(any(folder.iterdir()) for folder in waiting):
        return False
    return user.show(worker, "ActiveState") == {"ActiveState": "inactive"}


@pytest.mark.parametrize("way", [in_place, beside])
def test_up_under_load_and_down_again(busy: User, way: Way) -> None:
    worker = units.worker_service(busy.home / WORKSPACE)
    before = busy.show(worker, "MainPID")
    with way(busy.machine) as aap:
        storm = start_storm(busy)
        busy.run([aap, "install", "--user"])
        assert busy.show(worker, "MainPID") == before, "the agent was left in its run"
        assert version_of_api(busy) == NEWER
        busy.write(f"{WORKSPACE}/go", "")
        told = json.loads(storm.communicate(timeout=60)[0])
        assert told["faults"] == []
        wait_until(lambda: is_quiet(busy, worker), 60, "all messages to be handled")
        busy.run([aap, "send", "by the new one"])
        wait_until(lambda: is_quiet(busy, worker), 20, "it to be handled")
        path = busy.path(f"{WORKSPACE}/path").read_text().strip()
        assert path.endswith(str(aap.parent)), "the next worker is the new one"
    busy.write(f"{SPOOL}/INDEX", "of the newer aap")
    busy.aap("install", "--user")
    assert version_of_api(busy) != NEWER
    busy.aap("send", "by the old one")
    wait_until(lambda: len(given(busy)) == 163, 20, "it to be handled")
    assert len(told["ids"]) == 160
    assert len(set(given(busy))) == 163, "each was given to the agent once"
    # A busy worker whose files were replaced makes room; it has no newer code to load.
    left = busy.journal(f"_SYSTEMD_USER_UNIT={worker}").count("worker replaced")
    assert left == (way is in_place)
    assert busy.systemctl("--failed", "--plain", "--no-legend") == ""
