"""An upgrade under load, on a real systemd: runs go on, no request is lost, the new code comes.

The newer aap is a copy of this one that differs in two things: its version, and that it
knows one more format of the spool.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest
from harness.machine import Machine, System, User, installed
from harness.wait import wait_until
from torture.site import layout

from aap.errors import Exit
from aap.systemd import units

pytestmark = [pytest.mark.systemd, pytest.mark.slow]

HARNESS = "/opt/aap/tests/harness"
Way = Callable[[Machine], AbstractContextManager[Path]]
NEWER = "99.0"
# What the newer aap has at the end of these files.
PATCHES = {
    "aap/__init__.py": f'__version__ = "{NEWER}"\n',
    "aap/inbox/format.py": """
_check_first = check_format


def check_format(root: Path) -> None:
    if not (root / FILE).exists() or files.read_plain(root / FILE) != b"2\\n":
        _check_first(root)
""",
}
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
    files = {machine.path(machine.checkout / name): text for name, text in PATCHES.items()}
    before = {path: path.read_text() for path in files}
    for path, text in files.items():
        path.with_suffix(".new").write_text(f"{before[path]}\n{text}")
        path.with_suffix(".new").rename(path)
    try:
        yield machine.aap
    finally:
        for path, text in before.items():
            path.write_text(text)


@contextmanager
def beside(machine: Machine) -> Iterator[Path]:
    """In a virtual environment of its own: the units have to name another interpreter."""
    new, old = Path("/opt/aap-newer"), machine.checkout
    script = f"""
        mkdir {new}
        cp -a {old}/aap {old}/packaging {old}/man {old}/completions {old}/skills {new}
        {old}/.venv/bin/python -m venv --without-pip {new}/.venv
        cd {new}/.venv/lib/python3*/site-packages
        echo {new} > newer.pth
        ls -d {old}/.venv/lib/python3*/site-packages >> newer.pth
        sed 1s,{old},{new}, {old}/.venv/bin/aap > {new}/.venv/bin/aap
        chmod 755 {new}/.venv/bin/aap
    """
    machine.run(["sh", "-ec", script])
    for name, text in PATCHES.items():
        with machine.path(new / name).open("a") as code:
            code.write(text)
    try:
        yield new / ".venv/bin/aap"
    finally:
        machine.run(["rm", "-rf", new])


@pytest.fixture(params=["user", "system"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def busy(mode: str, request: pytest.FixtureRequest, machine: Machine) -> Iterator[User]:
    """Somebody whose agent is in the middle of a long run: a user, or the machine's account."""
    with ExitStack() as stack:
        user = (
            request.getfixturevalue("user")
            if mode == "user"
            else stack.enter_context(installed(machine))
        )
        agent = user.write(f"{layout(user).workspace}/agent", AGENT, 0o755)
        if mode == "user":
            user.aap("install", "--user")
        user.aap("config", "set", "AGENT_CLI", str(agent))
        user.aap("config", "set", "IDLE_EXIT", "1s")
        user.aap("send", "the first one")
        wait_until(lambda: given(user), 20, "the run")
        yield user


def workspace(user: User) -> Path:
    return user.path(layout(user).workspace)


def spool(user: User) -> Path:
    return workspace(user) / ".ai-agent-proxy"


def given(user: User) -> list[str]:
    path = workspace(user) / "given"
    return path.read_text().splitlines() if path.exists() else []


def run_aap(user: User, aap: Path, *words: str) -> str:
    """Run an aap as whoever installed it."""
    run = user.machine.run if isinstance(user, System) else user.run
    return run([aap, *words]).stdout


def start_storm(user: User) -> subprocess.Popen[str]:
    """Requests without a second try, some of them at any time."""
    unix = layout(user).socket
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
    waiting = (spool(user) / state for state in ("inbox", "active", "deferred"))
    if any(any(folder.iterdir()) for folder in waiting):
        return False
    return user.show(worker, "ActiveState") == {"ActiveState": "inactive"}


def count_replaced(user: User, worker: str) -> int:
    """How many workers have ended because their files were others by then."""
    return user.journal(f"{layout(user).process}={worker}").count("worker replaced")


@pytest.mark.parametrize("way", [in_place, beside])
def test_up_under_load_and_down_again(busy: User, mode: str, way: Way) -> None:
    worker = units.worker_service(busy.home / layout(busy).workspace)
    before = busy.show(worker, "MainPID")
    earlier = count_replaced(busy, worker)  # the machine's journal has the last test's too
    with way(busy.machine) as aap:
        storm = start_storm(busy)
        run_aap(busy, aap, "install", f"--{mode}")
        assert busy.show(worker, "MainPID") == before, "the agent was left in its run"
        assert version_of_api(busy) == NEWER
        busy.write(f"{layout(busy).workspace}/go", "")
        told = json.loads(storm.communicate(timeout=60)[0])
        assert told["faults"] == []
        wait_until(lambda: is_quiet(busy, worker), 60, "all messages to be handled")
        # What only the newer one reads, so its API, its worker and its command were at work.
        (spool(busy) / "FORMAT").write_text("2\n")
        run_aap(busy, aap, "send", "by the new one")
        wait_until(lambda: is_quiet(busy, worker), 20, "it to be handled")
        path = (workspace(busy) / "path").read_text().strip()
        assert path.endswith(str(aap.parent)), "the next worker is the new one"
    refused = busy.aap("inbox", "ls", check=False)
    assert (refused.returncode, "is of format '2'" in refused.stderr) == (Exit.BAD_CONFIG, True)
    (spool(busy) / "FORMAT").write_text("1\n")
    busy.write(f"{layout(busy).workspace}/.ai-agent-proxy/INDEX", "of the newer aap")
    busy.aap("install", f"--{mode}")
    assert version_of_api(busy) != NEWER
    busy.aap("send", "by the old one")
    wait_until(lambda: len(given(busy)) == 163, 20, "it to be handled")
    assert len(told["ids"]) == 160
    assert len(set(given(busy))) == 163, "each was given to the agent once"
    # A busy worker whose files were replaced makes room; it has no newer code to load.
    assert count_replaced(busy, worker) - earlier == (way is in_place)
    assert busy.systemctl("--failed", "--plain", "--no-legend") == ""
