"""`aap status` and `aap doctor` on a real systemd: what is broken is named, and the cure cures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from harness.machine import User
from harness.wait import wait_until

from aap.cli.checks import CHECKS
from aap.errors import Exit
from aap.systemd import units

pytestmark = pytest.mark.systemd

CONFIG = ".config/aap/aap.conf"
UNITS = ".local/share/systemd/user"
OWN_UNITS = ".config/systemd/user"
WORKSPACE = "my work"  # cures must quote it
SPOOL = f"{WORKSPACE}/.ai-agent-proxy"
PLACE = f"WORKSPACE='~/{WORKSPACE}'\n"
SETTINGS = f"AGENT=echo\nIDLE_EXIT=1s\n{PLACE}"


@pytest.fixture
def installed(user: User) -> User:
    """A user with aap installed and an agent configured."""
    user.write(CONFIG, SETTINGS, 0o600)
    user.aap("install", "--user")
    return user


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
    return result.returncode, {finding["id"]: finding for finding in findings}


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
    assert f"custom at work for 0 s (pid {run['pid']})" in shown
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


def test_a_healthy_installation_has_no_findings(installed: User) -> None:
    code, found = examine(installed)
    assert code == Exit.OK, [each for each in found.values() if each["severity"] != "ok"]
    assert {each["severity"] for each in found.values()} == {"ok"}
    assert set(found) == set(CHECKS)
    shown = installed.aap("doctor")
    assert len(shown.stdout.splitlines()) == len(CHECKS)


def stop_socket(user: User) -> None:
    user.systemctl("stop", "aap-api.socket")


def stop_path(user: User) -> None:
    user.systemctl("stop", watch(user))


def disable_path(user: User) -> None:
    user.systemctl("disable", watch(user))


def change_port(user: User) -> None:
    user.write(CONFIG, SETTINGS + "PORT=7021\n", 0o600)


def change_workspace(user: User) -> None:
    user.write(CONFIG, SETTINGS.replace(WORKSPACE, "my other work"), 0o600)


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


def open_spool(user: User) -> None:
    user.path(SPOOL).chmod(0o755)


def leave_stray(user: User) -> None:
    stray = user.write(f"{SPOOL}/inbox/request.bak", '{"input": "hello"}')
    long_ago = time.time() - 3600
    os.utime(user.machine.path(stray), (long_ago, long_ago))


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


def show_key(user: User) -> None:
    user.write(CONFIG, SETTINGS + "API_KEY=a-key-of-my-own\n", 0o644)


AILMENTS: dict[str, tuple[str, Callable[[User], None]]] = {
    "socket stopped": ("socket.listening", stop_socket),
    "path stopped": ("worker.path", stop_path),
    "path disabled": ("units.enabled", disable_path),
    "port changed": ("socket.port", change_port),
    "workspace changed": ("worker.workspace", change_workspace),
    "unit edited": ("units.drift", edit_unit),
    "daemon-reload forgotten": ("units.drift", change_unit_behind_systemd),
    "units removed": ("units.present", remove_units),
    "not installed": ("units.present", uninstall),
    "spool open to others": ("spool.permissions", open_spool),
    "stray in the inbox": ("spool.strays", leave_stray),
    "given up by systemd": ("units.limit", hit_trigger_limit),
    "key open to others": ("config.secret", show_key),
}


@pytest.mark.parametrize("name", AILMENTS)
def test_an_ailment_is_found_and_its_cure_cures(installed: User, name: str) -> None:
    check, make_ill = AILMENTS[name]
    make_ill(installed)
    code, found = examine(installed)
    assert code == Exit.FINDINGS
    assert found[check]["severity"] in {"warn", "fail"}
    assert installed.aap("doctor", check=False).returncode == Exit.FINDINGS
    cure = found[check]["fix"]
    installed.run(["sh", "-c", cure])
    code, found = examine(installed, check)
    assert found[check]["severity"] == "ok", cure
    assert code == Exit.OK


def test_no_linger_is_found(user: User) -> None:
    user.aap("install", "--user")
    user.machine.run(["loginctl", "disable-linger", user.name])
    code, found = examine(user, "user.linger")
    assert code == Exit.FINDINGS
    assert found["user.linger"]["fix"] == f"loginctl enable-linger {user.name}"


def test_a_message_that_nobody_takes_is_found(installed: User) -> None:
    stop_path(installed)
    installed.write(f"{SPOOL}/inbox/1jb3k5m9q2xw7c4e8r0t.json", "{}")
    _, found = examine(installed, "worker.oldest")
    assert found["worker.oldest"]["severity"] == "fail"
    assert "no worker runs" in found["worker.oldest"]["message"]


def test_a_missing_agent_is_found_before_the_first_message(installed: User) -> None:
    installed.write(CONFIG, f"AGENT_CLI=no-such-agent --flag\n{PLACE}", 0o600)
    code, found = examine(installed, "agent")
    assert code == Exit.FINDINGS
    assert "no-such-agent is not in the units' PATH" in found["agent.found"]["message"]


def test_given_up_messages_and_own_changes_are_mentioned(installed: User) -> None:
    installed.write(f"{SPOOL}/failed/1jb3k5m9q2xw7c4e8r0t+5.json", "{}")
    installed.write(f"{OWN_UNITS}/aap-worker@.service.d/mine.conf", "[Service]\nMemoryMax=1G\n")
    installed.systemctl("daemon-reload")
    _, found = examine(installed)
    assert found["spool.failed"]["fix"] == "aap inbox ls --state failed"
    assert found["units.drift"]["severity"] == "note"
    assert "mine.conf" in found["units.drift"]["message"]


def test_doctor_works_where_nothing_else_does(user: User) -> None:
    user.write(CONFIG, "PORT=many\n")
    result = user.aap("doctor", check=False, env={"XDG_RUNTIME_DIR": ""})
    assert result.returncode == Exit.FINDINGS
    lines = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    assert [line.split()[1] for line in lines] == ["user.runtime", "config.parse"]


def test_an_unknown_check_is_a_usage_error(user: User) -> None:
    result = user.aap("doctor", "--only", "no.such", check=False)
    assert result.returncode == Exit.USAGE
    assert "socket.port" in result.stderr


def test_doctor_changes_nothing(installed: User) -> None:
    def names() -> list[str]:
        home = installed.path()
        return sorted(str(path.relative_to(home)) for path in home.rglob("*"))

    before = names()
    installed.aap("doctor")
    assert names() == before
