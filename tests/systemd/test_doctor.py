"""`aap status` and `aap doctor` on a real systemd: what is broken is named, and the cure cures."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import tarfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from harness.machine import Machine, User
from harness.pairs import both_ways, seen
from harness.wait import wait_until

from aap import copies
from aap.cli.checks import CHECKS
from aap.errors import Exit
from aap.systemd import units

__all__ = ["both_ways"]  # a fixture

pytestmark = pytest.mark.systemd

CONFIG = ".config/aap/aap.conf"
UNITS = ".local/share/systemd/user"
OWN_UNITS = ".config/systemd/user"
WORKSPACE = "my work"  # cures must quote it
SPOOL = f"{WORKSPACE}/.ai-agent-proxy"
SHARED = "state/aap/shared.json"
PLACE = f"WORKSPACE='~/{WORKSPACE}'\n"
SETTINGS = f"AGENT=echo\nIDLE_EXIT=1s\n{PLACE}"


@pytest.fixture
def installed(user: User) -> User:
    """A new user with aap installed and an agent configured."""
    return set_up(user)


def set_up(user: User) -> User:
    user.write(CONFIG, SETTINGS, 0o600)
    user.aap("install", "--user")
    user.aap("skills", "install")
    return user


class Ward:
    """One user for many ailments: a test that leaves it healthy says so, else it is replaced."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._user: User | None = None
        self.is_well = False

    def admit(self) -> User:
        if self._user is None or not self.is_well:
            self.close()
            name = f"ward{time.monotonic_ns()}"[:24]
            self._user = set_up(self._machine.add_user(name, uid=next(_uids)))
        self.is_well = False
        return self._user

    def discharge(self) -> None:
        """See with the doctor's own eyes that nothing is left of the ailment."""
        assert self._user is not None
        code, found = examine(self._user)
        assert code == Exit.OK, [each for each in found.values() if each["severity"] != "ok"]
        self.is_well = True

    def close(self) -> None:
        if self._user is not None:
            self._machine.remove_user(self._user)
            self._user = None


_uids = itertools.count(4001)


@pytest.fixture(scope="module")
def ward(machine: Machine) -> Iterator[Ward]:
    ward = Ward(machine)
    yield ward
    ward.close()


def watch(user: User) -> str:
    return units.worker_path(user.home / WORKSPACE)


def status(user: User) -> tuple[int, dict[str, Any]]:
    result = user.aap("status", "--json", check=False)
    return result.returncode, json.loads(result.stdout)


def examine(user: User, *only: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the worst finding of each check."""
    words = [word for name in only for word in ("--only", name)]
    result = user.aap("doctor", "--json", *words, check=False)
    order = ["ok", "note", "warn", "fail"]
    findings = json.loads(result.stdout)["findings"]
    findings.sort(key=lambda finding: order.index(finding["severity"]))
    worst = {finding["id"]: finding for finding in findings}
    for check, finding in worst.items():
        seen(check, finding["severity"])
    return result.returncode, worst


# status


def test_status_says_that_aap_is_not_installed(user: User) -> None:
    code, found = status(user)
    assert code == Exit.NOT_RUNNING
    assert found["installed"] is False
    shown = user.aap("status", check=False)
    assert shown.returncode == Exit.NOT_RUNNING
    assert "aap install --user" in shown.stderr


def test_status_of_an_idle_installation_is_calm(installed: User) -> None:
    code, found = status(installed)
    assert code == Exit.OK
    assert found["schema"] == "aap.status/1"
    assert found["armed"] is True
    assert found["socket"]["listen"] == [
        "127.0.0.1:7011",
        f"/run/user/{installed.uid}/aap/api.sock",
    ]
    assert found["api"] == {"state": "idle", "pid": None, "since": None}
    (workspace,) = found["workspaces"]
    assert workspace["worker"] == {"state": "idle", "pid": None, "since": None}
    assert workspace["agent"] == "echo"
    assert set(workspace["messages"].values()) == {0}
    assert installed.aap("status").stdout.count("as it should be") == 2


def test_status_follows_a_message_to_its_end(installed: User) -> None:
    script = installed.write(
        "agent",
        '#!/bin/sh\nwhile [ ! -e "$AAP_WORKSPACE/go" ]; do sleep 0.1; done\n',
        0o755,
    )
    installed.write(CONFIG, f"AGENT_CLI={script}\n{PLACE}", 0o600)
    installed.aap("inbox", "add", "--text", "hello")

    def workspace() -> dict[str, Any]:
        found: dict[str, Any] = status(installed)[1]["workspaces"][0]
        return found

    wait_until(lambda: workspace()["messages"]["active"] == 1, 20, "the message to be at work")
    assert workspace()["worker"]["state"] == "running"
    run = wait_until(lambda: workspace()["run"], 20, "the run to be told")
    assert len(run["ids"]) == 1
    shown = installed.aap("status").stdout
    assert "1 at work" in shown
    assert re.search(rf"custom at work for \d+ s \(pid {run['pid']}\)", shown)
    installed.write(f"{WORKSPACE}/go", "")
    wait_until(lambda: workspace()["messages"]["done"] == 1, 20, "the message to be done")
    wait_until(lambda: workspace()["worker"]["state"] == "idle", 20, "the worker to end")
    assert (workspace()["run"], workspace()["last_run"]["outcome"]) == (None, "ok")


def test_status_shows_an_outage_and_the_next_retry(installed: User) -> None:
    installed.write(CONFIG, f"AGENT_CLI=no-such-agent\n{PLACE}", 0o600)
    deferred = installed.write(f"{SPOOL}/deferred/1jb3k5m9q2xw7c4e8r0t+1.json", "{}")
    due = time.time() + 3600
    os.utime(installed.machine.path(deferred), (due, due))
    installed.aap("inbox", "add", "--text", "hello")
    wait_until(lambda: status(installed)[1]["workspaces"][0]["outage"], 20, "the outage")
    shown = installed.aap("status").stdout
    assert "out of order" in shown
    assert "no-such-agent" in shown
    assert "in 59 min" in shown


@pytest.mark.parametrize("unit", ["aap-api.socket", "aap-worker@*.path"])
def test_status_fails_where_a_part_is_not_armed(installed: User, unit: str) -> None:
    installed.systemctl("stop", unit)
    code, found = status(installed)
    assert code == Exit.NOT_RUNNING
    assert found["armed"] is False
    assert installed.aap("status", check=False).returncode == Exit.NOT_RUNNING


def test_status_without_a_way_to_systemd_says_so(installed: User) -> None:
    result = installed.aap("status", check=False, env={"XDG_RUNTIME_DIR": ""})
    assert result.returncode == Exit.NOT_RUNNING
    assert "cannot be asked" in result.stdout
    assert "messages    none" in result.stdout
    assert "export XDG_RUNTIME_DIR=" in result.stderr


# doctor


def test_a_healthy_installation_has_no_findings(ward: Ward) -> None:
    user = ward.admit()
    code, found = examine(user)
    assert code == Exit.OK, [each for each in found.values() if each["severity"] != "ok"]
    assert {each["severity"] for each in found.values()} == {"ok"}
    assert set(found) == set(CHECKS)
    shown = user.aap("doctor")
    assert {line.split()[1] for line in shown.stdout.splitlines()} == set(CHECKS)
    assert shown.stderr == ""
    ward.is_well = True


def stop_socket(user: User) -> None:
    user.systemctl("stop", "aap-api.socket")


def stop_path(user: User) -> None:
    user.systemctl("stop", watch(user))


def disable_path(user: User) -> None:
    user.systemctl("disable", watch(user))


def change_port(user: User) -> None:
    user.write(CONFIG, SETTINGS + "PORT=7021\n", 0o600)


def change_port_back(user: User) -> None:
    user.write(CONFIG, SETTINGS, 0o600)


def edit_unit(user: User) -> None:
    with user.path(f"{UNITS}/aap-worker@.service").open("a") as file:
        file.write("MemoryMax=1M\n")
    user.systemctl("daemon-reload")


def change_unit_behind_systemd(user: User) -> None:
    path = user.path(f"{UNITS}/aap-api.service")
    time.sleep(0.01)
    os.utime(path, (time.time() + 10, time.time() + 10))


def remove_units(user: User) -> None:
    for path in user.path(UNITS).glob("aap-worker@*"):
        path.unlink()
    user.systemctl("stop", watch(user))
    user.systemctl("daemon-reload")


def uninstall(user: User) -> None:
    user.aap("uninstall", "--user")


def shut_inbox(user: User) -> None:
    user.path(f"{SPOOL}/inbox").chmod(0o500)


def remove_socket_file(user: User) -> None:
    user.machine.path(f"/run/user/{user.uid}/aap/api.sock").unlink()


def open_socket_file(user: User) -> None:
    user.machine.path(f"/run/user/{user.uid}/aap/api.sock").chmod(0o666)


def claim_and_die(user: User) -> None:
    stop_path(user)
    # The timer would bring it back before we look.
    user.systemctl("stop", units.sweep_timer(user.home / WORKSPACE))
    message = add(user)
    user.run(["mv", f"{SPOOL}/inbox/{message}.json", f"{SPOOL}/active"])


def add(user: User) -> str:
    return user.aap("inbox", "add", "--text", "hello").stdout.strip()


def is_done(user: User, message: str) -> bool:
    return user.path(f"{SPOOL}/done/{message}.json").exists()


def weaken_sandbox(user: User) -> None:
    weaken(user, "aap-worker@.service", "ProtectSystem=no")


def weaken_api(user: User) -> None:
    weaken(user, "aap-api.service", "SystemCallFilter=")


def weaken(user: User, unit: str, *lines: str) -> None:
    drop_in = "\n".join(["[Service]", *lines, ""])
    user.write(f"{OWN_UNITS}/{unit}.d/weak.conf", drop_in)
    user.systemctl("daemon-reload")


def remove_settings(user: User) -> None:
    user.path(f"{WORKSPACE}/.ai-agent-proxy.conf").unlink()


def link_settings(user: User) -> None:
    file, dotfile = f"{WORKSPACE}/.ai-agent-proxy.conf", "dotfiles/aap"
    user.run(["mkdir", "-p", "dotfiles"])
    user.run(["mv", file, dotfile])
    user.run(["ln", "-s", f"{user.home}/{dotfile}", file])


def fail_for_good(user: User) -> None:
    """A worker that cannot work, and is not started again."""
    broken = "[Service]\nRestart=no\nExecStart=\nExecStart=/bin/false\n"
    user.write(f"{OWN_UNITS}/aap-worker@.service.d/broken.conf", broken)
    user.systemctl("daemon-reload")
    stop_path(user)
    add(user)
    worker = units.worker_service(user.home / WORKSPACE)
    user.systemctl("start", worker, check=False)
    failed = {"ActiveState": "failed"}
    wait_until(lambda: user.show(worker, "ActiveState") == failed, 30, "the worker to fail")
    user.run(["sh", "-c", f"rm -r {OWN_UNITS}/aap-*.d"])
    user.systemctl("daemon-reload")


def hit_trigger_limit(user: User) -> None:
    """A worker that ends well and leaves the inbox as it is, and little patience with it."""
    broken = "[Service]\nExecStart=\nExecStart=/bin/true\n"
    impatient = "[Path]\nTriggerLimitIntervalSec=1h\nTriggerLimitBurst=3\n"
    user.write(f"{OWN_UNITS}/aap-worker@.service.d/broken.conf", broken)
    user.write(f"{OWN_UNITS}/aap-worker@.path.d/impatient.conf", impatient)
    user.systemctl("daemon-reload")
    user.aap("inbox", "add", "--text", "hello")
    failed = {"ActiveState": "failed"}
    wait_until(lambda: user.show(watch(user), "ActiveState") == failed, 30, "the path to fail")
    user.run(["sh", "-c", f"rm -r {OWN_UNITS}/aap-*.d"])
    user.systemctl("daemon-reload")


def open_to_all(user: User) -> None:
    """A person's own drop-in, which no setting knows of."""
    drop_in = "[Socket]\nListenStream=0.0.0.0:7031\n"
    user.write(f"{OWN_UNITS}/aap-api.socket.d/more.conf", drop_in)
    restart_socket(user)


def close_again(user: User) -> None:
    user.run(["rm", "-r", f"{OWN_UNITS}/aap-api.socket.d"])
    restart_socket(user)


def restart_socket(user: User) -> None:
    user.systemctl("daemon-reload")
    # What systemd 257 forks to clear the service's private /tmp holds the socket for a moment.
    user.systemctl("stop", "aap-api.service")
    time.sleep(0.5)
    user.systemctl("restart", "aap-api.socket")


def lose_the_path(user: User) -> None:
    """An older installation, by a shell that did not find the agent."""
    user.aap("install", "--user", env={"PATH": "/usr/bin:/bin"})
    user.write("bin/my-agent", "#!/bin/sh\n", 0o755)
    user.write(CONFIG, f"AGENT_CLI=my-agent\nIDLE_EXIT=1s\n{PLACE}", 0o600)


def find_it_again(user: User) -> None:
    user.aap("install", "--user", env={"PATH": f"{user.home}/bin:/usr/bin:/bin"})
    assert examine(user, "agent.found")[1]["agent.found"]["severity"] == "ok"
    user.write(CONFIG, SETTINGS, 0o600)
    user.aap("install", "--user")


def age_a_page(user: User) -> None:
    """A manual page that an older aap wrote, as its manifest says."""
    name = "man/man1/aap.1"
    page, manifest = (user.path(f".local/{each}") for each in (f"share/{name}", SHARED))
    facts = json.loads(manifest.read_text())
    page.write_text("as it was once\n")
    facts["files"][name] = copies.fingerprint(page.read_bytes())
    manifest.write_text(json.dumps(facts))


def start_all(user: User) -> None:
    user.systemctl("start", *units.armed({"main": user.home / WORKSPACE}))


class Ailment(NamedTuple):
    """What is done to a user; a cure of the test's own where the doctor's is no command to run."""

    check: str
    make_ill: Callable[[User], None]
    cure: Callable[[User], None] | None = None
    after: Callable[[User], None] | None = None


AILMENTS: dict[str, Ailment] = {
    "socket stopped": Ailment("socket.listening", stop_socket),
    "socket file removed": Ailment("socket.file", remove_socket_file),
    "socket file open to others": Ailment("socket.file", open_socket_file),
    "open to other machines": Ailment("socket.exposed", open_to_all, close_again),
    "path stopped": Ailment("worker.path", stop_path),
    "path disabled": Ailment("units.enabled", disable_path),
    "worker died": Ailment("worker.orphans", claim_and_die, after=start_all),
    "port changed": Ailment("socket.port", change_port, after=change_port_back),
    "unit edited": Ailment("units.drift", edit_unit),
    "daemon-reload forgotten": Ailment("units.drift", change_unit_behind_systemd),
    "units removed": Ailment("units.present", remove_units),
    "not installed": Ailment("units.present", uninstall),
    "worker failed": Ailment("units.failed", fail_for_good, after=start_all),
    "given up by systemd": Ailment("units.limit", hit_trigger_limit),
    "sandbox weakened": Ailment("sandbox.whole", weaken_sandbox),
    "API weakened": Ailment("sandbox.whole", weaken_api),
    "settings removed": Ailment("sandbox.settings", remove_settings),
    "settings are a link": Ailment("sandbox.settings", link_settings),
    "inbox not writable": Ailment("spool.permissions", shut_inbox),
    "manual page of another version": Ailment("shell.current", age_a_page),
    "agent not in the PATH": Ailment("agent.found", lose_the_path, find_it_again),
}


@pytest.mark.parametrize("name", AILMENTS)
def test_an_ailment_is_found_and_its_cure_cures(ward: Ward, name: str) -> None:
    user, ailment = ward.admit(), AILMENTS[name]
    ailment.make_ill(user)
    code, found = examine(user, ailment.check)
    assert code == Exit.FINDINGS
    finding = found[ailment.check]
    assert finding["severity"] in {"warn", "fail"}
    assert finding["why"]
    if ailment.cure:
        ailment.cure(user)
    elif finding["safe"]:
        user.aap("doctor", "--fix", "--yes", "--only", ailment.check)
    else:
        user.run(["sh", "-c", finding["fix"]])
    if ailment.after:
        ailment.after(user)
        user.aap("doctor", "--fix", "--yes")
    ward.discharge()


@pytest.mark.mends("worker.workspace")
def test_a_new_workspace_is_found_and_watched(ward: Ward) -> None:
    user = ward.admit()
    user.write(CONFIG, SETTINGS.replace(WORKSPACE, "my other work"), 0o600)
    _, found = examine(user, "worker.workspace")
    assert found["worker.workspace"]["severity"] == "warn"
    user.run(["sh", "-c", found["worker.workspace"]["fix"]])
    assert examine(user, "worker.workspace")[0] == Exit.OK
    user.write(CONFIG, SETTINGS, 0o600)
    user.aap("doctor", "--fix", "--yes")
    ward.discharge()


def test_of_several_workspaces_the_ill_one_is_named(ward: Ward) -> None:
    user = ward.admit()
    user.aap("workspace", "add", "lab", f"{user.home}/lab")
    user.write("lab/.ai-agent-proxy/failed/1jb3k5m9q2xw7c4e8r0t+5.json", "{}")
    _, found = examine(user, "spool.failed")
    assert found["spool.failed"]["message"].startswith("lab: 1 message given up")
    assert found["spool.failed"]["fix"] == "aap -w lab inbox ls --state failed"
    user.write("lab/.ai-agent-proxy.conf", "PORT many")
    assert "spool.failed" in examine(user, "spool")[1], "the other one is still looked at"
    assert examine(user, "config.parse")[1]["config.parse"]["severity"] == "fail"
    user.run(["rm", "lab/.ai-agent-proxy.conf"])
    user.aap("workspace", "rm", "lab")
    ward.discharge()


# What a drop-in says, and what the doctor says of it.
WEAKER = {
    "InaccessiblePaths=": "InaccessiblePaths without /",
    "SystemCallFilter=": "SystemCallFilter lets @clock, @cpu-emulation, @debug, @module, @mount,",
    "SystemCallFilter=@debug": "SystemCallFilter lets @debug through",
    "SystemCallArchitectures=": "SystemCallArchitectures=",
    "CapabilityBoundingSet=CAP_NET_RAW": "CapabilityBoundingSet=cap_net_raw",
    "RestrictAddressFamilies=AF_PACKET": "RestrictAddressFamilies=AF_",
    "RestrictNamespaces=no": "RestrictNamespaces=no",
    "RestrictNamespaces=user": "RestrictNamespaces=user",
    "ProtectHome=no": "ProtectHome=no",
    "ProtectSystem=full": "ProtectSystem=full",
    "ProtectProc=default": "ProtectProc=default",
    "KeyringMode=shared": "KeyringMode=shared",
    "TemporaryFileSystem=": "TemporaryFileSystem without /",
    "PrivateTmp=no": "PrivateTmp=no",
    "NoNewPrivileges=no": "NoNewPrivileges=no",
}
STRICTER = (
    "ProtectHome=tmpfs",
    "BindPaths=-%h/.codex",
    "ReadWritePaths=-%h/project",
    "InaccessiblePaths=-%h/.config/gh",
    "RestrictAddressFamilies=~AF_NETLINK",
    "SystemCallFilter=~@keyring",
    "MemoryMax=1G",
)


@pytest.mark.mends("sandbox.whole")
def test_each_wall_that_a_drop_in_takes_down_is_named(ward: Ward) -> None:
    user = ward.admit()
    for unit in ("aap-worker@.service", "aap-api.service"):
        for line, said in WEAKER.items():
            weaken(user, unit, line)
            message = examine(user, "sandbox.whole")[1]["sandbox.whole"]["message"]
            assert said in message, (unit, line)
        weaken(user, unit, *STRICTER)
        kept = examine(user, "sandbox.whole")[1]["sandbox.whole"]
        assert (kept["severity"], kept["message"][:19]) == ("ok", "no drop-in weakens ")
        user.run(["rm", "-r", f"{OWN_UNITS}/{unit}.d"])
    user.systemctl("daemon-reload")
    ward.discharge()


def test_a_workspace_that_an_agent_can_move_away_is_found(ward: Ward) -> None:
    user = ward.admit()
    user.run(["mkdir", "-p", "elsewhere", ".openclaw"])
    user.run(["ln", "-s", f"{user.home}/elsewhere", f"{user.home}/.openclaw/link"])
    for place, step in ((".openclaw/a/deep", ".openclaw/a"), (".openclaw/link", ".openclaw/link")):
        user.aap("workspace", "add", "lab", f"{user.home}/{place}")
        finding = examine(user, "sandbox.settings")[1]["sandbox.settings"]
        assert finding["severity"] == "warn"
        assert f"lab: an agent could put another {user.home}/{step} in its place" in str(finding)
        user.aap("workspace", "rm", "lab")
    user.aap("workspace", "add", "lab", f"{user.home}/.openclaw/lab")
    assert examine(user, "sandbox.settings")[0] == Exit.OK
    user.aap("workspace", "rm", "lab")
    ward.discharge()


@pytest.mark.mends("user.linger")
def test_no_linger_is_found(ward: Ward) -> None:
    user = ward.admit()
    user.machine.run(["loginctl", "disable-linger", user.name])
    # The manager goes down some seconds later, unless somebody is there again.
    code, found = examine(user, "user.linger")
    user.machine.run(["loginctl", "enable-linger", user.name])
    assert code == Exit.FINDINGS
    assert found["user.linger"]["fix"] == f"loginctl enable-linger {user.name}"
    wait_until(user.is_up, 20, "the service manager")
    ward.discharge()


@pytest.mark.mends("worker.oldest")
def test_a_message_that_nobody_takes_is_found(ward: Ward) -> None:
    user = ward.admit()
    stop_path(user)
    old = user.path(f"{SPOOL}/inbox/1jb3k5m9q2xw7c4e8r0t.json")
    user.write(f"{SPOOL}/inbox/{old.name}", "{}")
    _, found = examine(user, "worker.oldest")
    assert found["worker.oldest"]["severity"] == "fail"
    assert "no worker runs" in found["worker.oldest"]["message"]
    user.systemctl("start", watch(user))
    wait_until(lambda: not old.exists(), 20, "the message to be handled")
    ward.discharge()


@pytest.mark.mends("socket.listening")
def test_a_port_of_somebody_else_is_named_with_its_owner(ward: Ward) -> None:
    user = ward.admit()
    stop_socket(user)
    code = "import socket,time; s=socket.create_server(('127.0.0.1',7011)); time.sleep(600)"
    process = user.start(["/usr/bin/python3", "-c", code])
    wait_until(lambda: ":7011" in user.machine.run(["ss", "-ltnH"]).stdout, 10, "the listener")
    _, found = examine(user, "socket")
    user.machine.run(["pkill", "-U", str(user.uid), "-f", "create_server.*7011"])
    process.wait(10)
    assert "port 7011 is taken by python3 (pid " in found["socket.listening"]["message"]
    assert "PORT 7012" in found["socket.listening"]["fix"]
    user.systemctl("start", "aap-api.socket")
    ward.discharge()


@pytest.mark.mends("socket.answers")
def test_an_api_that_does_not_answer_is_found(ward: Ward) -> None:
    user = ward.admit()
    user.write(CONFIG, "PORT=many\n", 0o600)
    user.write(
        f"{OWN_UNITS}/aap-api.service.d/x.conf",
        "[Service]\nExecStart=\nExecStart=/bin/false\nRestart=no\n",
    )
    user.systemctl("daemon-reload")
    user.systemctl("stop", "aap-api.service")
    _, found = examine(user, "socket.answers")
    assert found["socket.answers"]["severity"] == "fail"
    user.write(CONFIG, SETTINGS, 0o600)
    user.run(["rm", "-r", f"{OWN_UNITS}/aap-api.service.d"])
    user.systemctl("daemon-reload")
    # The client of before starts the service again and again, until that is too often for
    # systemd: 20 times in TriggerLimitIntervalSec=2s, which go on counting over a stop.
    user.systemctl("stop", "aap-api.socket", "aap-api.service")
    time.sleep(2)
    user.systemctl("reset-failed")
    user.systemctl("start", "aap-api.socket")
    settled = {"dead", "running"}  # it may be on its way to a restart
    wait_until(lambda: user.show("aap-api.service", "SubState")["SubState"] in settled, 20)
    ward.discharge()


@pytest.mark.mends("units.drop-ins")
def test_own_changes_are_mentioned(ward: Ward) -> None:
    user = ward.admit()
    user.write(f"{OWN_UNITS}/aap-worker@.service.d/mine.conf", "[Service]\nMemoryMax=1G\n")
    user.systemctl("daemon-reload")
    code, found = examine(user, "units")
    assert (code, found["units.drop-ins"]["severity"]) == (Exit.OK, "note")
    assert "mine.conf" in found["units.drop-ins"]["message"]
    user.run(["rm", "-r", f"{OWN_UNITS}/aap-worker@.service.d"])
    user.systemctl("daemon-reload")
    ward.discharge()


@pytest.mark.mends("units.version")
def test_an_interpreter_that_is_gone_is_found(ward: Ward) -> None:
    user = ward.admit()
    record = user.path(".local/state/aap/install.json")
    before = record.read_text()
    for python, said in ((f"{user.home}/gone/python", "is gone"), ("/usr/bin/python3", "import")):
        facts = json.loads(before)
        facts["plan"]["python"] = python
        record.write_text(json.dumps(facts))
        _, found = examine(user, "units.version")
        assert found["units.version"]["severity"] == "fail"
        assert said in found["units.version"]["message"]
    record.write_text(before.replace('"aap": "', '"aap": "0.0.'))
    assert examine(user, "units.version")[1]["units.version"]["severity"] == "warn"
    user.aap("doctor", "--fix", "--yes")
    ward.discharge()


@pytest.mark.mends("config.units")
def test_settings_of_this_shell_alone_are_found(ward: Ward) -> None:
    user = ward.admit()
    words = ["doctor", "--json", "--only", "config.units"]
    result = user.aap(*words, check=False, env={"AAP_MAX_ATTEMPTS": "9"})
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["severity"] == "warn"
    assert "MAX_ATTEMPTS is not the same in the units: 9 here, 5 there" in finding["message"]
    assert finding["fix"].startswith("unset AAP_MAX_ATTEMPTS")
    user.write(".config/environment.d/aap.conf", "AAP_MAX_ATTEMPTS=8\n")
    user.systemctl("set-environment", "AAP_MAX_ATTEMPTS=8")
    _, found = examine(user, "config.units")
    assert "5 here, 8 there" in found["config.units"]["message"]
    user.systemctl("unset-environment", "AAP_MAX_ATTEMPTS")
    user.run(["rm", "-r", ".config/environment.d"])
    ward.discharge()


@pytest.mark.mends("agent.login", "agent.bypass")
def test_a_codex_without_login_or_key_is_found(ward: Ward) -> None:
    user = ward.admit()
    user.write("bin/codex", "#!/bin/sh\n", 0o755)
    user.write(CONFIG, SETTINGS.replace("echo", "codex"), 0o600)
    path = {"PATH": f"{user.home}/bin:{user.machine.aap.parent}:/usr/bin:/bin"}
    user.aap("install", "--user", env=path)

    def login() -> dict[str, str]:
        return examine(user, "agent.login")[1]["agent.login"]

    assert (login()["severity"], login()["fix"]) == ("warn", "codex login")
    user.write(".codex/auth.json", '{"tokens": {"access_token": "x"}}', 0o600)
    assert login()["severity"] == "ok"
    provider = 'model_provider="own"\n[model_providers.own]\nenv_key="OWN_KEY"\n'
    user.write(".codex/auth.json", "{}", 0o600)
    user.write(".codex/config.toml", provider)
    assert login()["severity"] == "warn"
    user.systemctl("set-environment", "OWN_KEY=x")
    assert login()["severity"] == "ok"
    user.systemctl("unset-environment", "OWN_KEY")
    bypass = examine(user, "agent.bypass")[1]["agent.bypass"]
    assert (bypass["severity"], "within the sandbox" in bypass["message"]) == ("ok", True)
    weaken_sandbox(user)
    bypass = examine(user, "agent.bypass")[1]["agent.bypass"]
    assert bypass["severity"] == "warn"
    assert "--dangerously-bypass-approvals-and-sandbox" in bypass["message"]
    user.run(["rm", "-r", f"{OWN_UNITS}/aap-worker@.service.d", ".codex"])
    user.write(CONFIG, SETTINGS, 0o600)
    user.aap("install", "--user")
    ward.discharge()


def without_journal(user: User, *words: str) -> list[str]:
    """A shell command in which the journal on the disk is hidden from `aap doctor`."""
    switch = ["setpriv", f"--reuid={user.name}", f"--regid={user.name}", "--init-groups"]
    inner = [*switch, "--inh-caps=-all", str(user.machine.aap), "doctor", "--json", *words]
    hide = "mount -t tmpfs -o mode=755 tmpfs /var/log/journal"
    return ["unshare", "--mount", "sh", "-c", f"{hide} && {{ $0; }} && {shlex.join(inner)}"]


@pytest.mark.mends("journal.readable", "journal.persistent")
def test_a_journal_that_cannot_be_read_or_is_not_kept_is_found(ward: Ward) -> None:
    user = ward.admit()
    words = without_journal(user, "--only", "journal")
    keep = "mkdir /var/log/journal/$(cat /etc/machine-id)"
    shown = []
    for before in ("true", f"eval {keep}"):
        script = [*words[:-1], words[-1].replace("$0", before)]
        result = user.machine.run(script, env=user.env, check=False)
        assert result.returncode == Exit.OK, result.stderr
        findings = json.loads(result.stdout)["findings"]
        shown.append({each["id"]: each for each in findings})
        for each in findings:
            seen(each["id"], each["severity"])
    hidden, kept = shown
    assert hidden["journal.readable"]["severity"] == "note"
    assert "systemd-journal" in hidden["journal.readable"]["fix"]
    assert hidden["journal.persistent"]["severity"] == "note"
    assert kept["journal.persistent"]["severity"] == "ok"
    ward.discharge()


@pytest.mark.slow
@pytest.mark.mends("journal.complete")
def test_lines_that_the_journal_threw_away_are_counted(user: User) -> None:
    machine, unit = user.machine, f"user@{user.uid}.service"
    machine.run(["usermod", "-aG", "systemd-journal", user.name])
    assert examine(user, "journal.complete")[1]["journal.complete"]["severity"] == "ok"
    rule = "[Service]\nLogRateLimitIntervalSec=1s\nLogRateLimitBurst=5\n"
    machine.run(["mkdir", "-p", f"/run/systemd/system/{unit}.d"])
    path = f"/run/systemd/system/{unit}.d/limit.conf"
    machine.run(["sh", "-c", 'cat > "$1"', "sh", path], stdin=rule)
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", unit)
    wait_until(user.is_up, 20, "the service manager")
    say = ["systemd-run", "--user", "--wait", "--quiet"]
    user.run([*say, "seq", "2000"])

    def is_told() -> bool:
        # It is told with the first line after the second in which they were thrown away.
        user.run([*say, "echo", "and more"])
        return examine(user, "journal.complete")[1]["journal.complete"]["severity"] == "note"

    wait_until(is_told, 20, "the lost lines to be told")
    machine.run(["journalctl", "--rotate", "--vacuum-time=1s"])
    assert examine(user, "journal.complete")[1]["journal.complete"]["severity"] == "ok"


@pytest.mark.slow
@pytest.mark.mends("sandbox.enforced")
def test_a_kernel_without_user_namespaces_is_found(ward: Ward) -> None:
    user = ward.admit()
    machine, unit = user.machine, f"user@{user.uid}.service"
    folder = f"/run/systemd/system/{unit}.d"
    machine.run(["mkdir", "-p", folder])
    rule = "[Service]\nRestrictNamespaces=~user\n"
    machine.run(["sh", "-c", 'cat > "$1"', "sh", f"{folder}/no-userns.conf"], stdin=rule)
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", unit)
    wait_until(user.is_up, 20, "the service manager")
    _, found = examine(user, "sandbox.enforced")
    assert found["sandbox.enforced"]["severity"] == "fail"
    user.aap("doctor", "--fix", "--yes", "--only", "sandbox", check=False)
    _, found = examine(user, "sandbox.enforced")
    assert found["sandbox.enforced"]["severity"] == "warn", "what is left is for an administrator"
    machine.run(["rm", f"{folder}/no-userns.conf"])
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", unit)
    wait_until(user.is_up, 20, "the service manager")
    user.aap("doctor", "--fix", "--yes", "--only", "sandbox")
    ward.discharge()


def test_what_listened_before_a_cure_listens_after_it(ward: Ward) -> None:
    user = ward.admit()
    code = (
        "from aap.cli import cures; from aap.cli.checks import CHECKS, Check, Finding;"
        "from aap.cli.place import Place;"
        "bad = Finding('warn', 'x', 'systemctl --user stop aap-api.socket', safe=True);"
        "CHECKS['x.y'] = Check(lambda patient: [bad], 'why');"
        "import dataclasses; bad = dataclasses.replace(bad, id='x.y');"
        "print(*[cure.command for cure in cures.cure(Place(), [bad], yes=True)], sep=chr(10))"
    )
    done = user.run([user.machine.python, "-c", code]).stdout.splitlines()
    assert done == [
        "systemctl --user stop aap-api.socket",
        "systemctl --user start 'aap-api.socket'",
    ]
    ward.discharge()


@pytest.mark.mends("user.bus", "user.runtime")
def test_a_manager_that_does_not_answer_is_found(ward: Ward) -> None:
    user = ward.admit()
    folder = user.home / "empty"
    user.run(["mkdir", "--mode=700", folder])
    words = ["doctor", "--json", "--only", "user.bus"]
    result = user.aap(*words, check=False, env={"XDG_RUNTIME_DIR": str(folder)})
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["severity"] == "fail"
    assert finding["fix"] == f"sudo loginctl enable-linger {user.name}"
    seen("user.bus", finding["severity"])
    words = ["doctor", "--json", "--only", "user.runtime"]
    result = user.aap(*words, check=False, env={"XDG_RUNTIME_DIR": ""})
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["severity"] == "fail"
    seen("user.runtime", finding["severity"])
    ward.discharge()


def test_doctor_works_where_nothing_else_does(user: User) -> None:
    user.write(CONFIG, "PORT=many\n")
    result = user.aap("doctor", check=False, env={"XDG_RUNTIME_DIR": ""})
    assert result.returncode == Exit.FINDINGS
    lines = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    assert [line.split()[1] for line in lines] == ["user.runtime", "config.parse"]


def test_doctor_changes_nothing(ward: Ward) -> None:
    user = ward.admit()

    def names() -> list[str]:
        home = user.path()
        return sorted(str(path.relative_to(home)) for path in home.rglob("*"))

    before = names()
    user.aap("doctor", check=False)
    assert names() == before
    ward.discharge()


# The report

SECRETS = {
    "API_KEY": "plain-key-of-the-api",
    "file": "token-of-a-gateway",
    "drop-in": "key-of-a-provider",
    "environment": "word-from-a-shell",
    "command": "flag-with-a-password",
    "message": "what Ann wrote in confidence",
    "reason": "what the agent said of it",
    "agent": "what the agent printed",
    "sender": "Ann Confidential",
    "openclaw": "token-in-openclaws-file",
}


def plant(user: User) -> None:
    key, flag = SECRETS["API_KEY"], SECRETS["command"]
    settings = (
        f"AGENT_CLI=/bin/false --password={flag} -p{flag}\nAPI_KEY={key}\n"
        f"IDLE_EXIT=1s\nFAILED_REPLY={SECRETS['message']}\n{PLACE}"
    )
    user.write(CONFIG, settings, 0o600)
    user.write(".config/aap/secrets/openclaw", SECRETS["file"], 0o600)
    drop_in = (
        f"[Service]\n# {SECRETS['drop-in']}\nEnvironment=PROVIDER_KEY={SECRETS['drop-in']} \\\n"
        f"  MORE={SECRETS['drop-in']}\nSetCredential=x:{SECRETS['drop-in']}\n"
        f"ExecStartPre=/bin/echo {SECRETS['drop-in']}\nMemoryMax=1G\n"
    )
    user.write(f"{OWN_UNITS}/aap-worker@.service.d/own.conf", drop_in)
    user.write(".openclaw/openclaw.json", json.dumps({"token": SECRETS["openclaw"]}))
    said = SECRETS["message"]
    body = json.dumps({"input": said, "user": SECRETS["sender"], "channel": "telegram",
                       "target": SECRETS["sender"]})  # fmt: skip
    for name in (
        "failed/1jb3k5m9q2xw7c4e8r0t+5.json",
        f"inbox/{said}.bak",
        "hold/1jb3k5m9q2xw7c4e8r0u.json",
    ):
        user.write(f"{SPOOL}/{name}", body)
    user.write(
        f"{SPOOL}/OUTAGE", json.dumps({"reason": SECRETS["reason"], "since": 1, "retry_at": 2})
    )
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    lines = (
        f'{now} warning worker run-ended outcome=failed seconds=1.5 reason="{SECRETS["reason"]}"\n'
        f"{now} info agent | {SECRETS['agent']}\n"
        f'{now} info worker claimed id=1jb3k5m9q2xw7c4e8r0t conversation="{SECRETS["sender"]}"\n'
        f"{now} info worker {SECRETS['message']}\n"
    )
    user.write(f"{SPOOL}/logs/{now[:10]}.log", lines)


@pytest.mark.parametrize("name", ["report.txt", "report.tar.gz"])
def test_a_report_tells_of_aap_and_of_nobody(ward: Ward, name: str) -> None:
    user = ward.admit()
    plant(user)
    user.systemctl("daemon-reload")
    shell = {"SOME_TOKEN": SECRETS["environment"], "HARMLESS": SECRETS["environment"]}
    result = user.aap("doctor", "--bundle", name, check=False, env=shell)
    assert f"{name} holds no message" in result.stderr
    path = user.path(name)
    assert path.stat().st_mode & 0o777 == 0o600
    if name.endswith(".gz"):
        with tarfile.open(path) as archive:
            files = [archive.extractfile(each) for each in archive.getmembers()]
            text = "\n".join(file.read().decode() for file in files if file)
    else:
        text = path.read_text()
    for what, secret in SECRETS.items():
        assert secret not in text, what
    assert user.name not in text
    assert str(user.home) not in text
    for said in ("systemd: ", "run-ended outcome=failed seconds=1.5", "MemoryMax=1G",
                 "warn spool.failed",
                 "AGENT_CLI=false --password", "API_KEY=set", "ListenStream=127.0.0.1:7011",
                 "claimed id=1jb3k5m9q2xw7c4e8r0t", '"failed": 1', "Started aap"):  # fmt: skip
        assert said in text, said
    again = user.aap("doctor", "--bundle", name, check=False)
    assert again.returncode == Exit.USAGE
    assert "exists already" in again.stderr
