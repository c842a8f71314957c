"""Root between a look and a step: what it works in is swapped under its hands all the while.

The owner of a workspace exchanges its folders and files with links to what is root's, as fast
as it can (tests/harness/swap.py), while root runs commands there. Not one look into root's
folder may come of it. AAP_RACE has the seconds of each race, for a longer try.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness.machine import Machine, Result, System, User, installed
from harness.watch import watched

pytestmark = pytest.mark.systemd

SECONDS = float(os.environ.get("AAP_RACE", "3"))
TREASURE = "/root/treasure"  # what root alone may read and change
GOLD = f"{TREASURE}/2020-01-01.log"
HOME = "/var/lib/aap"
INNER = "inbox active done deferred hold failed notes logs context sessions"
FOLDERS, FILES = INNER.split(), ["LOCK", "PAUSED"]


@pytest.fixture(scope="module")
def bob(machine: Machine) -> Iterator[User]:
    """An ordinary user who is out for root."""
    bob = machine.add_user("bob", uid=1992, linger=False)
    yield bob
    machine.remove_user(bob)


@pytest.fixture
def treasure(machine: Machine) -> Iterator[Path]:
    """A folder of root's, into which nobody may look, and where nothing may change."""
    plan = "mkdir -m 700 $0 $0/inner; for n in 2020-01-01.log .ai-agent-proxy.conf "
    plan += "FORMAT PAUSED inner/.ai-agent-proxy.conf; do echo gold > $0/$n; done"
    machine.run(["sh", "-c", plan, TREASURE])
    folder = machine.path(TREASURE)
    with watched(folder) as seen:
        machine.run(["cat", GOLD])
    assert any("read" in each for each in seen)
    with watched(folder) as seen:
        yield folder
    machine.run(["rm", "-r", TREASURE])
    assert seen == []


@contextmanager
def swapping(owner: User, *places: str) -> Iterator[None]:
    """Have the owner swap these places with what lies beside them."""
    script = owner.machine.checkout / "tests/harness/swap.py"
    words = [owner.machine.python, script, *places]
    with owner.start(words, stdout=-1) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            owner.machine.run(["pkill", "-KILL", "-u", str(owner.uid), "-f", str(script)])


def lay(owner: User, place: str, target: str = TREASURE) -> str:
    """Put a link to what is root's beside a place."""
    owner.run(["ln", "-s", target, f"{place}.other"])
    return place


def of_root(machine: Machine, folder: Path | str) -> list[str]:
    """What is root's below a folder."""
    find = ["find", folder, "-mindepth", "1", "-user", "root"]
    found = machine.run(find, check=False)  # aap removes a folder that is empty
    return found.stdout.split()


ADD = ["inbox", "add", "--text", "x"]
WORK = (
    ADD,
    ["config", "set", "MAX_ATTEMPTS", "3"],
    ["inbox", "done", "--all", "--state", "inbox"],
    ["context", "append", "x"],
    ["config", "set", "MAX_ATTEMPTS", "4"],
    ["pause"],
    ["inbox", "ls", "--all"],
    ["resume"],
    ["logs", "--today"],
    ["inbox", "rm", "--all", "--state", "done", "--yes"],
)


def work_in(machine: Machine, workspace: str, commands: Sequence[list[str]] = WORK) -> None:
    """Be root who runs commands there, again and again."""
    script = machine.checkout / "tests/harness/again.py"
    done = machine.run(
        [machine.python, script, str(SECONDS)],
        env={"SUDO_USER": "bob"},
        stdin=json.dumps([["-w", workspace, *words] for words in commands]),
        timeout=SECONDS + 30,
    )
    found = json.loads(done.stdout)
    print(workspace, found["runs"], found["codes"])
    assert "gold" not in found["said"]
    assert "124" not in found["codes"]
    assert found["codes"].get("0", 0) > 0, found["said"][-2000:]  # it was a race


@pytest.fixture
def workspace(bob: User) -> Iterator[str]:
    """A workspace of bob's, with a spool."""
    path = f"{bob.home}/race"
    bob.run(["mkdir", path])
    bob.aap("-w", path, "inbox", "add", "--text", "mine")
    bob.aap("-w", path, "config", "set", "MAX_ATTEMPTS", "2")
    yield path
    bob.run(["sh", "-c", f"rm -rf {path} {path}.other"])


def test_the_workspace_is_swapped(
    machine: Machine, bob: User, treasure: Path, workspace: str
) -> None:
    with swapping(bob, lay(bob, workspace)):
        work_in(machine, workspace)
    assert of_root(machine, bob.home) == []


def test_the_spool_and_the_settings_are_swapped(
    machine: Machine, bob: User, treasure: Path, workspace: str
) -> None:
    spool = lay(bob, f"{workspace}/.ai-agent-proxy")
    settings = lay(bob, f"{workspace}/.ai-agent-proxy.conf", GOLD)
    with swapping(bob, spool, settings):
        work_in(machine, workspace)
    assert of_root(machine, bob.home) == []


def test_what_is_in_the_spool_is_swapped(
    machine: Machine, bob: User, treasure: Path, workspace: str
) -> None:
    spool = f"{workspace}/.ai-agent-proxy"
    places = [lay(bob, f"{spool}/{name}") for name in FOLDERS]
    places += [lay(bob, f"{spool}/{name}", GOLD) for name in FILES]
    with swapping(bob, *places):
        work_in(machine, workspace)
    assert of_root(machine, bob.home) == []


def test_roots_own_link_leads_into_a_folder_that_is_swapped(
    machine: Machine, bob: User, treasure: Path, workspace: str
) -> None:
    bob.run(["mkdir", f"{workspace}/inner"])
    machine.run(["ln", "-sfn", workspace, "/srv/link"])
    try:
        with swapping(bob, lay(bob, workspace)):
            work_in(machine, "/srv/link/inner")
    finally:
        machine.run(["rm", "/srv/link"])
    assert of_root(machine, bob.home) == []


def test_a_workspace_in_a_folder_for_all_comes_and_goes(
    machine: Machine, bob: User, treasure: Path
) -> None:
    place = "/srv/all/race"
    machine.run(["install", "-d", "-m", "1777", "/srv/all"])
    inner = f"{place}/.ai-agent-proxy"
    links = "; ".join(f"ln -s {TREASURE} {inner}/{name}" for name in FOLDERS)
    bob.run(["sh", "-c", f"mkdir -p {inner}; {links}"])
    try:
        with swapping(bob, place):
            work_in(machine, place, [ADD])  # what it adds shows who it was
        assert of_root(machine, "/srv/all") == []
    finally:
        machine.run(["rm", "-rf", "/srv/all"])


# The machine's aap


@pytest.fixture
def system(machine: Machine) -> Iterator[System]:
    """aap, installed for the machine, with one more folder of the account's."""
    with installed(machine) as system:
        machine.run(["install", "-d", "-o", "aap", "-g", "aap", "/srv/ws"])
        system.aap("inbox", "add", "--text", "the agent's")
        yield system
        machine.run(["rm", "-rf", "/srv/ws"])


def lay_for(system: System, what: str) -> list[str]:
    """Lay links beside what the account can swap: its spools, or what is in one."""
    main = f"{HOME}/workspace/.ai-agent-proxy"
    system.run(["mkdir", "-p", "/srv/ws/.ai-agent-proxy"])
    places = {
        "spools": [f"{HOME}/workspace", main, "/srv/ws/.ai-agent-proxy"],
        "folders": [f"{main}/{name}" for name in FOLDERS],
    }
    places["folders"].remove(f"{main}/inbox")  # systemd looks into it, whether it is empty
    for place in places["folders"]:
        system.run(["mkdir", "-p", place])
    return [lay(system, place) for place in places[what]]


def run_all(machine: Machine, commands: Sequence[list[str]]) -> list[Result]:
    """Run commands as root; none may hang, or fail as it never should."""
    done = [machine.run([machine.aap, *each], check=False, timeout=40) for each in commands]
    for each in done:
        assert each.returncode != 124, each.args
        assert "Traceback" not in each.stderr, each.stderr
        assert "gold" not in each.stdout + each.stderr
    return done


def test_root_sees_of_a_spool_what_its_owner_may(system: System, treasure: Path) -> None:
    assert system.aap("workspace", "add", "other", "/srv/ws").returncode == 0
    spools = [f"{HOME}/workspace/.ai-agent-proxy", "/srv/ws/.ai-agent-proxy"]
    for spool in spools:
        system.run(["sh", "-c", f"mkdir -p {spool}; rm -rf {spool}/done"])
        system.run(["ln", "-s", TREASURE, f"{spool}/done"])
    shown = [["ls"], ["show", "main"], ["show", "other"], ["rm", "other"]]
    run_all(system.machine, [["workspace", *words] for words in shown])
    system.run(["sh", "-c", f"rm {spools[0]}/done; mv {spools[0]} {spools[0]}.was"])
    system.run(["ln", "-s", TREASURE, spools[0]])
    run_all(system.machine, [["workspace", "ls"], ["install", "--system"]])


def race(system: System, what: str, commands: Sequence[list[str]]) -> None:
    """Run the commands while the account swaps."""
    machine = system.machine
    end = time.monotonic() + SECONDS
    with swapping(system, *lay_for(system, what)):
        while time.monotonic() < end:
            print([each.returncode for each in run_all(machine, commands)])
    for folder in (HOME, "/srv/ws"):
        assert of_root(machine, folder) == []


@pytest.mark.parametrize("what", ["spools", "folders"])
def test_the_account_swaps_while_root_installs(system: System, treasure: Path, what: str) -> None:
    commands = [
        ["install", "--system"],
        ["workspace", "add", "other", "/srv/ws"],
        ADD,
        ["-w", "main", "config", "set", "MAX_ATTEMPTS", "3"],
        ["workspace", "ls"],
        ["workspace", "rm", "other"],
    ]
    race(system, what, commands)


@pytest.mark.parametrize("what", ["spools", "folders"])
def test_the_account_swaps_while_root_takes_all_away(
    system: System, treasure: Path, what: str
) -> None:
    system.aap("workspace", "add", "other", "/srv/ws")
    race(system, what, [["uninstall", "--system", "--purge", "--yes"], ["install", "--system"]])
