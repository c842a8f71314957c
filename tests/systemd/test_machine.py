"""The machine that the other tests stand on is what they take it for."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness.machine import CHECKOUT, CommandError, Machine, User, booted
from harness.wait import wait_until

pytestmark = pytest.mark.systemd


def test_pid_1_is_systemd_and_nothing_failed(machine: Machine) -> None:
    assert machine.run(["cat", "/proc/1/comm"]).stdout.strip() == "systemd"
    assert machine.systemctl("--failed", "--plain", "--no-legend") == ""


def test_an_ordinary_user_has_a_service_manager(user: User) -> None:
    assert user.systemctl("is-system-running") == "running"
    assert user.run(["id", "-u"]).stdout.strip() == str(user.uid)
    assert user.run(["pwd"]).stdout.strip() == str(user.home)


def test_a_users_unit_runs_the_checkout_from_the_virtual_environment(user: User) -> None:
    code = "import sys, aap; print(sys.prefix, aap.__file__)"
    printed = user.run(
        ["systemd-run", "--user", "--pipe", "--wait", "--quiet", user.machine.python, "-Ic", code]
    ).stdout
    assert printed.split() == ["/opt/aap/.venv", "/opt/aap/aap/__init__.py"]


def test_a_path_unit_of_the_user_is_woken_by_a_file(user: User) -> None:
    units = ".config/systemd/user"
    user.write(f"{units}/woken.path", "[Path]\nDirectoryNotEmpty=%h/in\nMakeDirectory=yes\n")
    user.write(
        f"{units}/woken.service",
        "[Service]\nType=exec\nExecStart=sh -c 'mv %h/in/* %h/'\n",
    )
    user.systemctl("daemon-reload")
    user.systemctl("start", "woken.path")
    user.write("in/letter", "hello")
    wait_until(user.path("letter").exists, 5, "the letter to be moved")
    assert user.path("letter").read_text() == "hello"


def test_a_sandbox_of_the_user_has_an_effect(user: User) -> None:
    confined = ["-p", "PrivateUsers=yes", "-p", "ProtectHome=read-only"]
    write = ["systemd-run", "--user", "--wait", "--quiet", "--pipe"]
    refused = user.run([*write, *confined, "touch", user.home / "x"], check=False)
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stderr


def test_a_user_reads_the_journal_of_its_own_units(user: User) -> None:
    user.run(["systemd-run", "--user", "--wait", "--quiet", "echo", "a word for the journal"])
    wait_until(
        lambda: "a word for the journal" in user.run(["journalctl", "--user"]).stdout, 5, "the line"
    )
    assert "a word for the journal" in user.journal()


def test_the_network_is_the_machines_own(machine: Machine) -> None:
    links = machine.run(["ip", "-brief", "link"]).stdout.splitlines()
    assert [line.split()[0] for line in links if "UP" in line] == ["lo"]


def test_nothing_that_runs_there_can_write_to_the_checkout_outside(machine: Machine) -> None:
    machine.run(["touch", "/opt/aap/written-on-the-machine"])
    assert machine.path("/opt/aap/written-on-the-machine").exists()
    assert not (CHECKOUT / "written-on-the-machine").exists()


def test_a_failed_command_shows_what_it_printed(user: User) -> None:
    with pytest.raises(CommandError, match="no such luck"):
        user.run(["sh", "-c", "echo no such luck >&2; exit 3"])


def test_a_command_that_hangs_is_killed_and_counts_as_failed(user: User) -> None:
    begin = time.monotonic()
    assert user.run(["sleep", "4711"], check=False, timeout=0.2).returncode == 124
    assert time.monotonic() - begin < 10
    assert user.machine.run(["pgrep", "-f", "^sleep 4711"], check=False).stdout == ""


def test_a_removed_user_leaves_no_process_and_no_home(machine: Machine) -> None:
    bob = machine.add_user("bob")
    bob.run(["systemd-run", "--user", "--quiet", "sleep", "4712"])
    machine.remove_user(bob)
    assert machine.run(["pgrep", "-U", str(bob.uid)], check=False).stdout == ""
    assert not bob.path().exists()


def test_without_linger_there_is_no_service_manager(machine: Machine) -> None:
    carol = machine.add_user("carol", linger=False)
    assert not carol.is_up()
    machine.remove_user(carol)


@pytest.mark.slow
def test_two_machines_at_a_time_do_not_see_each_other(machine: Machine) -> None:
    with booted() as other:
        other.run(["touch", "/here"])
        assert not machine.path("/here").exists()
        assert other.run(["cat", "/etc/machine-id"]) != machine.run(["cat", "/etc/machine-id"])
        machine.run(["systemctl", "is-system-running"])


@pytest.mark.slow
@pytest.mark.usefixtures("machine")  # which skips, where none can be booted
def test_a_machine_ends_with_the_process_that_booted_it() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from harness.machine import booted\n"
        "with booted() as machine: print(machine.root.parent.name, flush=True); input()"
    )
    tests = str(Path(__file__).parents[1])
    pipe = subprocess.PIPE
    booter = subprocess.Popen(
        [sys.executable, "-c", code, tests], stdin=pipe, stdout=pipe, text=True
    )
    with booter:
        assert booter.stdout is not None
        pid = booter.stdout.readline().strip()
        assert Path(f"/proc/{pid}/comm").read_text() == "systemd\n"
        booter.kill()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10, "the orphaned systemd to end")
