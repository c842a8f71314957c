"""Root where others may write: with sudo in a user's workspace, and as installer of the machine.

Each test plants what an attacker could have planted, and looks at what root made of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.machine import Machine, Result, System, User, installed
from harness.wait import wait_until

from aap.errors import Exit

pytestmark = pytest.mark.systemd

WORKSPACE = ".openclaw/workspace"
HOME = "/var/lib/aap"
SPOOL = f"{HOME}/workspace/.ai-agent-proxy"
TREASURE = "/root/treasure"  # what root alone may read and change


@pytest.fixture(scope="module")
def bob(machine: Machine) -> Iterator[User]:
    """An ordinary user who is out for root."""
    bob = machine.add_user("bob", uid=1991, linger=False)
    bob.run(["mkdir", "-p", bob.home / WORKSPACE])
    yield bob
    machine.remove_user(bob)


@pytest.fixture
def treasure(machine: Machine) -> Iterator[Path]:
    """A folder of root's with a file in it; nothing in it may change."""
    machine.run(["sh", "-c", f"mkdir -m 700 {TREASURE} && echo gold > {TREASURE}/2020-01-01.log"])
    before = snapshot(machine)
    yield machine.path(TREASURE)
    after = snapshot(machine)
    machine.run(["rm", "-r", TREASURE])
    assert after == before


def snapshot(machine: Machine) -> str:
    shown = ["find", TREASURE, "-printf", "%p %u %g %m %T@\n"]
    return machine.run(shown).stdout + machine.run(["sh", "-c", f"cat {TREASURE}/*"]).stdout


def sudo(machine: Machine, *words: str, **how: object) -> Result:
    """Run `aap` as root, as sudo does for bob."""
    return machine.run([machine.aap, *words], check=False, env={"SUDO_USER": "bob"}, timeout=20)


def of_root(machine: Machine, folder: Path | str) -> list[str]:
    """What is root's below a folder."""
    return machine.run(["find", folder, "-user", "root"]).stdout.split()


# A user's workspace


def test_sudo_in_a_users_workspace_leaves_nothing_of_roots(machine: Machine, bob: User) -> None:
    workspace = f"{bob.home}/{WORKSPACE}"
    added = bob.aap("inbox", "add", "--text", "mine").stdout.strip()
    commands = [
        ["inbox", "ls"],
        ["inbox", "add", "--text", "root's"],
        ["inbox", "hold", added],
        ["inbox", "done", added],
        ["inbox", "rm", "--yes", added],
        ["context", "append", "a fact"],
        ["skills", "install"],
        ["pause"],
        ["resume"],
        ["status"],
        ["doctor"],
    ]
    for command in commands:
        result = sudo(machine, "-w", workspace, *command)
        assert "Traceback" not in result.stderr
        assert "denied" not in result.stderr, (command, result.stderr)
        assert of_root(machine, bob.home) == [], command
    assert len(bob.aap("inbox", "new").stdout.split()) == 1  # what root added can be taken by bob


def test_a_link_does_not_lead_root_anywhere(machine: Machine, bob: User, treasure: Path) -> None:
    workspace = bob.home / "lure"
    spool = workspace / ".ai-agent-proxy"
    plans = {
        "the spool": f"ln -s {TREASURE} {spool}",
        "all": f"mkdir {spool}; for n in inbox active done notes logs hold failed deferred "
        f"context sessions; do ln -s {TREASURE} {spool}/$n; done",
        "files": f"mkdir -p {spool}/notes; ln -s {TREASURE}/x {spool}/LOCK; "
        f"ln -s {TREASURE}/x {spool}/PAUSED; ln -s {TREASURE}/x {spool}/FORMAT",
    }
    for name, plan in plans.items():
        bob.run(["sh", "-c", f"rm -rf {workspace}; mkdir {workspace}; {plan}"])
        for command in (
            ["inbox", "add", "--text", "x"],
            ["inbox", "rm", "--yes", "--all", "--state", "done"],
            ["context", "append", "x"],
            ["pause"],
        ):
            result = sudo(machine, "-w", str(workspace), *command)
            assert result.returncode != 124, (name, command)
            assert "gold" not in result.stdout
            assert treasure.joinpath("2020-01-01.log").exists()
            assert len(os.listdir(treasure)) == 1, (name, command)
        assert of_root(machine, bob.home) == [], name


def test_settings_that_are_a_link_show_root_no_more_than_the_owner(
    machine: Machine, bob: User, treasure: Path
) -> None:
    workspace = bob.home / "linked"
    plan = f"mkdir {workspace}; ln -s {TREASURE}/2020-01-01.log {workspace}/.ai-agent-proxy.conf"
    bob.run(["sh", "-c", plan])
    for command in (
        ["status"],
        ["config", "list"],
        ["config", "validate"],
        ["config", "set", "MAX_ATTEMPTS", "2"],
        ["config", "edit"],
        ["config", "import", f"{workspace}/.ai-agent-proxy.conf"],
        ["inbox", "ls"],
        ["doctor"],
    ):
        words = [machine.aap, "-w", str(workspace), *command]
        result = machine.run(words, check=False, env={"EDITOR": "cat"}, timeout=20)
        assert result.returncode not in (0, 124), command
        assert "gold" not in result.stdout + result.stderr, command
    # A link to what is the owner's, as keepers of dotfiles make them, counts as before.
    dotfile = bob.write("dotfiles/aap", "MAX_ATTEMPTS=7\n")
    bob.run(["ln", "-sfn", dotfile, f"{workspace}/.ai-agent-proxy.conf"])
    for said in (sudo(machine, "-w", str(workspace), "config", "get", "MAX_ATTEMPTS"),
                 bob.aap("-w", str(workspace), "config", "get", "MAX_ATTEMPTS")):  # fmt: skip
        assert said.stdout == "7\n"


def test_root_runs_no_program_that_a_workspace_names(machine: Machine, bob: User) -> None:
    workspace = bob.home / "evil"
    bob.write("evil/run", "#!/bin/sh\nid -un >> /tmp/ran-as\n", 0o755)
    config = f"DELIVERY=command\nDELIVERY_CMD={workspace}/run\nAGENT_CLI={workspace}/run\n"
    bob.write("evil/.ai-agent-proxy.conf", config)
    added = bob.aap("-w", str(workspace), "inbox", "add", "--text", "hello").stdout.strip()
    body = {"metadata": {"channel": "telegram"}, "messages": [{"role": "user", "content": "hi"}]}
    bob.aap("-w", str(workspace), "inbox", "add", "-", stdin=json.dumps(body))
    for command in (["reply", added, "words"], ["agent", "test", "--here"], ["agent", "show"]):
        sudo(machine, "-w", str(workspace), *command)
    ran = machine.path("/tmp/ran-as")
    assert set(ran.read_text().split()) == {"bob"}
    machine.run(["rm", "/tmp/ran-as"])


def test_root_writes_no_attachment_through_a_link(
    machine: Machine, bob: User, treasure: Path
) -> None:
    image = "data:image/png;base64,aGVsbG8="
    part = {"type": "image_url", "image_url": {"url": image}}
    body = {"messages": [{"role": "user", "content": [part]}]}
    added = bob.aap("inbox", "add", "-", stdin=json.dumps(body)).stdout.strip()
    bob.run(["ln", "-sfn", TREASURE, bob.home / "out"])
    workspace = f"{bob.home}/{WORKSPACE}"
    show = ["-w", workspace, "inbox", "show", "--attachment", "1", added]
    for target in (f"{bob.home}/out/2020-01-01.log", f"{bob.home}/out/new"):
        for force in ([], ["--force"]):
            result = sudo(machine, *show, "--output", target, *force)
            assert result.returncode == Exit.NO_PERMISSION, result.stderr
    fine = sudo(machine, *show, "--output", "/root/picture")
    assert fine.returncode == 0, fine.stderr
    assert machine.path("/root/picture").read_text() == "hello"


def test_nobody_else_may_replace_the_way(machine: Machine, bob: User) -> None:
    for mode in (["0777"], ["0775", "--group=bob"]):
        machine.run(["install", "-d", "-m", *mode, "/srv/open"])
        machine.run(["mkdir", "/srv/open/ws"])
        result = sudo(machine, "-w", "/srv/open/ws", "inbox", "add", "--text", "x")
        assert result.returncode == Exit.NO_PERMISSION
        assert "others than root may change what is in /srv/open" in result.stderr
        assert machine.run(["ls", "-A", "/srv/open/ws"]).stdout == ""
        machine.run(["rmdir", "/srv/open/ws", "/srv/open"])


def test_a_cure_by_root_reaches_no_further_than_the_owner(
    machine: Machine, bob: User, treasure: Path
) -> None:
    workspace, spool = f"{bob.home}/doctored", f"{bob.home}/doctored/.ai-agent-proxy"
    place = {"AAP_WORKSPACE": workspace}
    bob.run(["mkdir", workspace])
    bob.aap("inbox", "add", "--text", "mine", env=place)
    doctor = [machine.aap, "doctor", "--only", "spool.permissions"]
    bob.run(["chmod", "755", f"{spool}/inbox"])
    found = machine.run([*doctor, "--json"], check=False, env=place).stdout
    fixes = [each["fix"] for each in json.loads(found)["findings"]]
    (fix,) = (each for each in fixes if "chmod" in each)
    machine.run([*doctor, "--fix", "--yes"], env=place)
    assert machine.run(["stat", "-c", "%a", f"{spool}/inbox"]).stdout.strip() == "700"

    # What bob puts in its place between the question and the answer.
    bob.run(["mv", spool, f"{spool}.away"])
    bob.run(["ln", "-s", "/root", spool])
    machine.run(["chmod", "755", "/root"])
    machine.run(["sh", "-c", fix], check=False)
    assert machine.run(["stat", "-c", "%a", "/root"]).stdout.strip() == "755"
    machine.run(["chmod", "700", "/root"])


def test_a_configuration_of_somebody_else_is_not_written_through(
    machine: Machine, bob: User, treasure: Path
) -> None:
    bob.run(["ln", "-sfn", f"{TREASURE}/2020-01-01.log", bob.home / "aap.conf"])
    bob.run(["mkdir", "-p", bob.home / "etc"])
    bob.run(["ln", "-sfn", TREASURE, bob.home / "etc/aap"])
    for config in (f"{bob.home}/aap.conf", f"{bob.home}/etc/aap/aap.conf"):
        result = sudo(machine, "--config", config, "config", "set", "PORT", "7099")
        assert result.returncode != 0, result.stdout
        assert "gold" not in result.stderr


# The machine's aap


def refused(machine: Machine, said: str, *words: str) -> None:
    """Have an installation refused that would have changed nothing."""
    result = sudo(machine, "install", "--system", *words)
    assert result.returncode not in (0, 124), result.stdout
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert machine.run(["id", "aap"], check=False).returncode != 0
    assert machine.systemctl("list-unit-files", "--no-legend", "aap*", check=False) == ""


def test_what_others_have_prepared_is_refused(machine: Machine, bob: User, treasure: Path) -> None:
    conf = "mkdir -p /etc/aap; echo WORKSPACE={} > /etc/aap/aap.conf"
    cases = {
        f"ln -s {TREASURE} {HOME}": "is no folder",
        f"install -d -o bob {HOME}": "in the hands of others",
        f"install -d -m 0777 {HOME}": "others than root may change what is in /var/lib/aap",
        f"ln -s {bob.home} /etc/aap": "is no folder",
        "install -d -o bob /etc/aap": "in the hands of others",
        conf.format(f"{bob.home}/ws"): "have one of their own",
        "install -d -o bob /srv/bobs; " + conf.format("/srv/bobs/ws"): "in the hands of user",
        "install -d -m 0777 /srv/bobs; " + conf.format("/srv/bobs/ws"): "others than root may",
        f"ln -s {bob.home} /srv/bobs; " + conf.format("/srv/bobs/ws"): "in the hands of user",
        "install -d /srv/bobs/ws; " + conf.format("/srv/bobs/ws"): "is root's",
        f"useradd --home-dir {bob.home} aap2; usermod -l aap aap2": "an account aap already",
    }
    for plan, said in cases.items():
        machine.run(["sh", "-c", plan])
        try:
            if "useradd" in plan:
                assert said in sudo(machine, "install", "--system").stderr
            else:
                refused(machine, said)
        finally:
            machine.run(["userdel", "aap"], check=False)
            machine.run(["rm", "-rf", HOME, "/etc/aap", "/srv/bobs"])
    refused(machine, "from /etc/aap/aap.conf alone", "--config", f"{bob.home}/aap.conf")


@pytest.fixture(scope="module")
def system(machine: Machine) -> Iterator[System]:
    """aap, installed for the machine; the account may do what an agent could do."""
    with installed(machine) as system:
        yield system


def test_root_follows_no_link_of_the_agents(system: System, treasure: Path) -> None:
    machine = system.machine
    for plan in (
        f"rm -rf {SPOOL} && mkdir {SPOOL} && ln -s {TREASURE} {SPOOL}/inbox && "
        f"ln -s {TREASURE} {SPOOL}/logs && ln -s {TREASURE} {SPOOL}/done",
        f"mv {HOME}/workspace {HOME}/was && ln -s {TREASURE} {HOME}/workspace",
    ):
        system.run(["sh", "-c", plan])
        for command in (
            ["install", "--system"],
            ["inbox", "add", "--text", "x"],
            ["status"],
            ["logs", "--today"],
            ["skills", "install"],
        ):
            result = sudo(machine, *command)
            assert result.returncode != 124, (plan, command)
            assert "gold" not in result.stdout
        restore = f"rm -rf {HOME}/workspace {HOME}/was; mkdir -m 700 {HOME}/workspace"
        system.run(["sh", "-c", restore])
    assert sudo(machine, "install", "--system").returncode == 0


def test_settings_of_the_agent_show_root_nothing(system: System, treasure: Path) -> None:
    file = f"{HOME}/workspace/.ai-agent-proxy.conf"
    system.run(["ln", "-sfn", f"{TREASURE}/2020-01-01.log", file])
    for command in (["status"], ["config", "list"], ["install", "--system"], ["doctor"]):
        result = sudo(system.machine, *command)
        assert result.returncode not in (0, 124), command
        assert "gold" not in result.stdout + result.stderr, command
    assert f"{file} cannot be read: Permission denied" in sudo(system.machine, "status").stderr
    system.run(["rm", file])
    assert sudo(system.machine, "install", "--system").returncode == 0


def test_purge_removes_the_agents_files_and_nothing_a_link_leads_to(
    system: System, treasure: Path
) -> None:
    machine = system.machine
    add = ["install", "-d", "-o", "aap", "/srv/ws"]
    machine.run(add)
    assert sudo(machine, "workspace", "add", "other", "/srv/ws").returncode == 0
    system.run(["sh", "-c", f"rm -rf {SPOOL}/done && ln -s {TREASURE} {SPOOL}/done"])
    system.run(
        ["sh", "-c", f"rm -rf /srv/ws/.ai-agent-proxy && ln -s {TREASURE} /srv/ws/.ai-agent-proxy"]
    )
    again = sudo(machine, "install", "--system")
    assert "rm /srv/ws/.ai-agent-proxy" in again.stderr
    removed = sudo(machine, "uninstall", "--system", "--purge", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert not machine.path(SPOOL).exists()
    machine.run(["rm", "-rf", "/srv/ws", "/etc/aap"])


def test_the_agent_cannot_change_what_root_reads(system: System) -> None:
    """Last: the account itself tries, outside of every sandbox."""
    machine = system.machine
    machine.run([machine.aap, "install", "--system"])
    wait_until(lambda: machine.path("/etc/aap/install.json").exists(), 5, "the record")
    for path in ("install.json", "aap.conf", "keys", "x"):
        changed = system.run(["sh", "-c", f"echo x > /etc/aap/{path}"], check=False)
        assert changed.returncode != 0
    for path in ("/etc/systemd/system/x.service", "/etc/tmpfiles.d/aap.conf", "/run/aap/x"):
        assert system.run(["sh", "-c", f"echo x > {path}"], check=False).returncode != 0
