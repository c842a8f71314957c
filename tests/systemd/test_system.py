"""`aap install --system`: for the whole machine, by root, on a real systemd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.machine import Machine, System, User, installed
from harness.wait import wait_until

from aap.errors import Exit
from aap.systemd import units

pytestmark = pytest.mark.systemd

HOME = "/var/lib/aap"
WORKSPACE = f"{HOME}/workspace"
SPOOL = f"{WORKSPACE}/.ai-agent-proxy"
PLACES = ("/etc", "/usr/local/share", "/var/lib", "/run/aap")


@pytest.fixture(scope="module")
def system(machine: Machine) -> Iterator[System]:
    """aap, installed for the machine once for the tests after those that install it themselves."""
    with installed(machine) as system:
        yield system


def tree(machine: Machine) -> str:
    """What an installation could leave behind: names, owners and modes, without times."""
    found = ["find", *PLACES, "-printf", "%p %u %g %m %l\n"]
    skipped = (
        "/etc/passwd",
        "/etc/group",
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/subuid",
        "/etc/subgid",
    )
    lines = machine.run(found, check=False).stdout.splitlines()
    kept = [line for line in lines if not line.startswith((*skipped, "/var/lib/systemd"))]
    return "\n".join(sorted(kept))


def settled(system: System, message_id: str, spool: str = SPOOL) -> None:
    done = system.machine.path(f"{spool}/done/{message_id}.json")
    wait_until(done.exists, 20, f"{message_id} to be handled")


def test_uninstall_leaves_messages_and_with_purge_nothing(machine: Machine) -> None:
    before = tree(machine)
    with installed(machine) as system:
        system.aap("inbox", "add", "--text", "hello")
        kept = system.aap("uninstall", "--system")
        assert f"the messages stay in {SPOOL}" in kept.stderr
        assert "aap uninstall --system --purge   deletes them" in kept.stderr
        assert "account aap stays" in kept.stderr
        assert machine.run(["find", SPOOL, "-name", "*.json", "-user", "aap"]).stdout
        assert machine.systemctl("list-unit-files", "--no-legend", "aap*", check=False) == ""
        system.aap("uninstall", "--system", "--purge", "--yes")
        assert tree(machine) == before
        assert machine.run(["id", "aap"], check=False).returncode != 0


def test_nothing_is_installed_that_is_open_to_the_network_without_a_key(machine: Machine) -> None:
    before = tree(machine)
    machine.run(["mkdir", "-p", "/etc/aap"])
    machine.path("/etc/aap/aap.conf").write_text("HOST=0.0.0.0\n")
    try:
        refused = machine.run([machine.aap, "install", "--system"], check=False)
        assert refused.returncode == Exit.BAD_CONFIG
        assert "0.0.0.0" in refused.stderr
        assert "aap key new" in refused.stderr
        assert machine.systemctl("list-unit-files", "--no-legend", "aap*", check=False) == ""
    finally:
        machine.run(["rm", "-r", "/etc/aap"])
    assert tree(machine) == before


def test_the_account_stays_while_a_removed_workspace_holds_files_of_it(machine: Machine) -> None:
    before = tree(machine)
    with installed(machine) as system:
        system.aap("workspace", "add", "proj", "/srv/proj")
        system.aap("-w", "proj", "inbox", "add", "--text", "hello")
        system.aap("workspace", "rm", "proj")
        machine.run(["install", "-o", "aap", "/dev/null", "/srv/proj/of-the-agent"])
        purged = system.aap("uninstall", "--system", "--purge", "--yes")
        assert "deleted /srv/proj/.ai-agent-proxy\n" in purged.stdout
        assert "account aap stays, for there are files of it in /srv/proj;" in purged.stderr
        assert "settings and keys stay in /etc/aap, and count" in purged.stderr
        assert "rm -r /etc/aap/workspaces   deletes them" in purged.stderr
        machine.run(["chown", "-R", "root:", "/srv/proj"])
        assert "removed the account" in system.aap("uninstall", "--system").stdout
        machine.run(["rm", "-r", "/etc/aap", "/srv/proj"])
        assert tree(machine) == before
        assert machine.run(["id", "aap"], check=False).returncode != 0


def test_another_users_aap_on_the_port_is_not_to_be_stopped(user: User) -> None:
    file = f"/run/user/{user.uid}/aap/api.sock"
    words = [f"--socket-property=ListenStream={at}" for at in ("127.0.0.1:7013", file)]
    user.run(["systemd-run", "--user", "--quiet", *words, "true"])
    install = [user.machine.aap, "install", "--system"]
    taken = user.machine.run(install, check=False, env={"AAP_PORT": "7013"})
    assert f"port 7013 is taken by the aap of {user.name}\n" in taken.stderr
    assert "  take another port: AAP_MODE=system aap config set PORT 7014\n" in taken.stderr


def test_root_without_an_aap_is_offered_that_of_the_machine(machine: Machine) -> None:
    for command in ("status", "install"):
        refused = machine.run([machine.aap, command], check=False)
        assert refused.returncode == Exit.NOT_RUNNING
        assert refused.stderr.splitlines()[-1] == "  aap install --system"


def test_what_root_would_run_must_be_roots_alone(machine: Machine) -> None:
    file = machine.checkout / "aap/log.py"
    folder = machine.checkout / "aap/cli"
    for change, back, said in (
        (["chmod", "o+w", file], ["chmod", "644", file], f"{file} can be changed by others"),
        (["chown", "daemon", file], ["chown", "root", file], f"{file} is not root's"),
        (["chmod", "g+w", folder], ["chmod", "755", folder], f"{folder} can be changed by others"),
        (["chmod", "777", "/opt"], ["chmod", "755", "/opt"], "/opt can be changed by others"),
    ):
        before = tree(machine)
        machine.run(change)
        try:
            result = machine.run([machine.aap, "install", "--system"], check=False)
        finally:
            machine.run(back)
        assert result.returncode == Exit.NO_PERMISSION, result.stderr
        assert said in result.stderr
        assert tree(machine) == before
        assert machine.run(["id", "aap"], check=False).returncode != 0


def test_also_where_links_lead_to(machine: Machine) -> None:
    link, aside = machine.checkout / "aap/cli/linked", Path("/opt/aside")
    machine.run(["mkdir", "-p", f"{aside}/package"])
    machine.run(["touch", f"{aside}/package/module.py"])
    try:
        for target, change, back, said in (
            ("package/module.py", "chown 65534", "chown 0", f"{aside}/package/module.py is not"),
            ("package/module.py", "chmod 777", "chmod 755", f"{aside}/package can be changed"),
            ("package", "chown 65534", "chown 0", f"{aside}/package is not root's"),
            ("package", "chmod 666", "chmod 644", f"{aside}/package/module.py can be changed"),
            ("package", "chmod 777", "chmod 755", f"{aside} can be changed by others"),
        ):
            spoilt = said.split()[0]
            machine.run(["ln", "-sfn", aside / target, link])
            machine.run([*change.split(), spoilt])
            result = machine.run([machine.aap, "install", "--system"], check=False)
            machine.run([*back.split(), spoilt])
            assert result.returncode == Exit.NO_PERMISSION, result.stderr
            assert said in result.stderr
        # Round and round, and nowhere: all of it is root's.
        machine.run(["ln", "-s", aside, f"{aside}/package/round"])
        machine.run(["ln", "-s", f"{aside}/nothing", f"{aside}/package/nowhere"])
        machine.run(["ln", "-s", f"{aside}/package/self", f"{aside}/package/self"])
        with installed(machine):
            pass
    finally:
        machine.run(["rm", "-rf", link, aside])


def test_a_failure_half_way_takes_everything_back(machine: Machine) -> None:
    before = tree(machine)
    wants = "/etc/systemd/system/sockets.target.wants"
    machine.run(["sh", "-c", f"rm -rf {wants}; echo in the way > {wants}"])
    try:
        result = machine.run([machine.aap, "install", "--system"], check=False)
    finally:
        machine.run(["rm", wants])
    assert result.returncode != 0
    assert "sockets.target.wants" in result.stderr
    assert tree(machine) == before
    assert machine.run(["id", "aap"], check=False).returncode != 0


def test_a_message_is_handled_and_everything_can_be_seen(system: System) -> None:
    script = "#!/bin/sh\nid -un; echo $HOME; umask; aap inbox done --all --state active\n"
    agent = system.write("workspace/agent", script, 0o755)
    system.aap("config", "set", "AGENT_CLI", str(agent))
    message_id = system.aap("send", "hello").stdout.strip()
    settled(system, message_id)

    assert json.loads(system.aap("status", "--json").stdout)["armed"] is True
    shown = system.aap("logs", "--today").stdout
    assert "aap\n" in shown
    assert f"{HOME}\n" in shown
    assert f"enqueued id={message_id}" in shown  # the API's, from the journal
    assert message_id in system.aap("inbox", "ls", "--all").stdout
    assert "nothing runs, as it should be" in system.aap("explain").stdout
    bad = [each for each in doctor(system) if each["severity"] not in {"ok", "note"}]
    assert bad == []


def doctor(system: System) -> list[dict[str, str]]:
    printed = json.loads(system.aap("doctor", "--json", check=False).stdout)
    found: list[dict[str, str]] = printed["findings"]
    return found


def test_everything_is_whose_it_should_be(system: System) -> None:
    assert "but for the socket of the group aap\n" in system.aap("key", "new", "phone").stderr
    system.aap("config", "set", "API_KEY", "a-key-of-my-own")
    wanted = {
        "/etc/aap": "root aap 750",
        "/etc/aap/aap.conf": "root aap 640",
        "/etc/aap/keys": "root aap 640",
        "/etc/aap/install.json": "root aap 640",
        HOME: "aap aap 750",
        WORKSPACE: "aap aap 700",
        f"{SPOOL}/inbox": "aap aap 700",
        "/run/aap/api.sock": "root aap 660",
        "/etc/systemd/system/aap-api.socket": "root root 644",
    }
    there = {name for name in wanted if system.machine.path(name).exists()}
    assert set(wanted) - there <= {"/etc/aap/aap.conf"}
    stat = ["stat", "--format=%n %U %G %a", *sorted(there)]
    found = dict(line.split(" ", 1) for line in system.machine.run(stat).stdout.splitlines())
    assert found == {name: wanted[name] for name in there}
    settled(system, system.aap("send", "the API reads its keys").stdout.strip())


def test_a_second_install_changes_nothing(system: System) -> None:
    before = tree(system.machine)
    again = json.loads(system.aap("install", "--json").stdout)  # without --system: it is known
    assert again["changed"] is False
    assert again["sandbox"] == "full"
    assert again["listen"][1] == "/run/aap/api.sock"
    assert tree(system.machine) == before


def test_several_workspaces_each_kept_from_the_other(system: System) -> None:
    machine = system.machine
    other = f"{HOME}/.openclaw/other"  # where every agent may write, for `openclaw message send`
    reach = f"touch {SPOOL}/x && echo main; touch {other}/.ai-agent-proxy/x && echo other; true"
    script = f"#!/bin/sh\n{reach}\n"
    agent = system.write("agent", script, 0o755)
    system.aap("config", "set", "AGENT_CLI", str(agent))
    system.aap("workspace", "add", "other", other)
    assert machine.path(f"{other}/.ai-agent-proxy/inbox").stat().st_uid == system.uid
    for name, spool in (("main", SPOOL), ("other", f"{other}/.ai-agent-proxy")):
        message_id = system.aap("-w", name, "send", f"to {name}").stdout.strip()
        settled(system, message_id, spool)
        said = system.aap("-w", name, "logs", "--agent").stdout.split()
        assert [word for word in said if word in {"main", "other"}] == [name]
    system.aap("workspace", "rm", "other")
    assert not [*machine.path("/etc/systemd/system").glob("*/others.conf")]


def test_a_workspace_cannot_speak_for_the_api(system: System) -> None:
    file = f"{WORKSPACE}/.ai-agent-proxy.conf"
    system.write("workspace/.ai-agent-proxy.conf", "PORT=7099\nAPI_KEY=of-the-agent\n", 0o600)
    try:
        assert system.aap("config", "get", "PORT").stdout == "7011\n"
        said = system.aap("config", "validate", check=False).stdout
        assert f"{file}:1:6: PORT is of the API, which all workspaces share" in said
        refused = system.aap("-w", "main", "config", "set", "PORT", "7098", check=False)
        assert refused.returncode == Exit.USAGE
        assert "PORT is not of one workspace" in refused.stderr
        system.systemctl("try-restart", units.API)
        settled(system, system.aap("send", "with the key of before").stdout.strip())
    finally:
        system.write("workspace/.ai-agent-proxy.conf", "", 0o600)


def test_the_group_may_send_and_nobody_else_by_the_socket(system: System, user: User) -> None:
    machine = system.machine
    curl = [machine.python, "-c", _CONNECT]
    assert user.run(curl, check=False).returncode != 0
    machine.run(["usermod", "-aG", "aap", user.name])
    assert user.run(curl).returncode == 0
    for where in ((), ("-w", "main")):
        settled(system, user.aap(*where, "send", "hello").stdout.strip())
    # Whoever may read its settings means the machine's aap, if they have none of their own.
    refused = user.aap("status", check=False)
    assert refused.returncode == Exit.NO_PERMISSION
    assert "sudo aap status" in refused.stderr


def test_the_group_is_told_what_root_would_do(system: System, user: User) -> None:
    system.machine.run(["usermod", "-aG", "aap", user.name])
    printed = user.aap("doctor", "--json", check=False).stdout
    found = {each["id"]: each for each in json.loads(printed)["findings"]}
    assert found["config.parse"]["fix"] == "sudo aap doctor --json"
    assert found["config.parse"]["why"] == "what you may not read cannot be judged"
    as_after_su = {"LOGNAME": "root", "AAP_MODE": "user"}
    own = user.aap("doctor", "--only", "user.linger", env=as_after_su, check=False).stdout
    assert f"{user.name} lingers" in own


def test_a_user_is_told_that_the_machine_has_one(system: System, user: User) -> None:
    assert "the machine has one, which aap send uses" in user.aap("status", check=False).stderr
    taken = user.aap("install", "--user", check=False).stderr
    assert "port 7011 is taken by the machine's aap" in taken
    change = ("config", "set", "PORT", "7012")
    refused = user.aap(*change, check=False, env={"AAP_MODE": "system"})
    assert refused.returncode == Exit.NO_PERMISSION
    assert f"  sudo AAP_MODE=system aap {' '.join(change)}\n" in refused.stderr


_CONNECT = "import socket; socket.socket(socket.AF_UNIX).connect('/run/aap/api.sock')"


def test_doctor_tries_the_sandbox_as_root_and_knows_whose_login_counts(system: System) -> None:
    system.write(".local/bin/codex", "#!/bin/sh\n", 0o755)
    system.aap("config", "unset", "AGENT_CLI")
    system.aap("config", "set", "AGENT", "codex")
    found = {each["id"]: each for each in doctor(system)}
    system.aap("config", "unset", "AGENT")
    assert found["agent.bypass"]["severity"] == "ok"
    assert "within the sandbox" in found["agent.bypass"]["message"]
    assert found["agent.login"]["fix"] == "sudo -u aap -H codex login"


def test_units_verify_and_are_rated_as_promised(system: System) -> None:
    workspace = Path(WORKSPACE)
    names = [*units.armed({"main": workspace}), units.API, units.worker_service(workspace)]
    verified = system.machine.run(["systemd-analyze", "verify", "--man=no", *names], check=False)
    assert (verified.stderr, verified.returncode) == ("", 0)
    for unit, limit in ((units.API, 5), (units.worker_service(workspace), 20)):
        rated = ["systemd-analyze", "security", "--no-pager", f"--threshold={limit}", unit]
        said = system.machine.run(rated, check=False)
        assert said.returncode == 0, said.stdout.splitlines()[-1:]
