"""What the sandbox does, seen from inside the real units: effects, not directives."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from harness.machine import User
from harness.wait import wait_until

from aap.systemd import units

pytestmark = pytest.mark.systemd

WORKSPACE = ".openclaw/workspace"
INBOX = f"{WORKSPACE}/.ai-agent-proxy/inbox"
UNITS = ".config/systemd/user"

# Tries each thing and writes {"name": "" or why not} to the file $AAP_PROBE, or to stdout.
PROBE = """\
import json, os, pathlib, socket, subprocess, sys, time, traceback
home = pathlib.Path.home()
runtime = f"/run/user/{os.getuid()}"
found = {}

def attempt(name, function):
    try:
        function()
        found[name] = ""
    except Exception as error:
        found[name] = f"{type(error).__name__}: {error}"

def run(*argv, **env):
    done = subprocess.run(argv, env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())

def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(5)
        sock.connect(address)

def touch(path):
    path = pathlib.Path(path)
    path.write_text("x")
    path.unlink()

attempt("read ssh", lambda: (home / ".ssh/id").read_text())
attempt("read secret", lambda: (home / ".config/aap/secrets/token").read_text())
attempt("read config", lambda: (home / ".config/aap/aap.conf").read_text())
attempt("write home", lambda: touch(home / "x"))
attempt("write units", lambda: touch(home / ".config/systemd/user/x.service"))
attempt("write codex", lambda: touch(home / ".codex/x"))
attempt("write workspace", lambda: touch(home / ".openclaw/workspace/x"))
attempt("write inbox", lambda: touch(home / ".openclaw/workspace/.ai-agent-proxy/inbox/.x"))
attempt("write done", lambda: touch(home / ".openclaw/workspace/.ai-agent-proxy/done/.x"))
attempt("write tmp", lambda: touch("/tmp/x"))
attempt("write etc", lambda: touch("/etc/x"))
attempt("reach tcp", lambda: connect(socket.AF_INET, ("127.0.0.1", LISTENER)))
attempt("reach user bus", lambda: connect(socket.AF_UNIX, f"{runtime}/bus"))
attempt("reach manager", lambda: connect(socket.AF_UNIX, f"{runtime}/systemd/private"))
attempt("reach system bus", lambda: connect(socket.AF_UNIX, "/run/dbus/system_bus_socket"))
def tune(path):
    with open(path, "r+") as file:
        file.write(file.read())

attempt("tune the kernel", lambda: tune("/proc/sys/kernel/domainname"))
attempt("trigger sysrq", lambda: open("/proc/sysrq-trigger", "w").close())
attempt("tune a device", lambda: tune("/sys/kernel/uevent_seqnum"))
own_group = pathlib.Path("/proc/self/cgroup").read_text().strip().partition("::")[2]
attempt("leave its limits", lambda: pathlib.Path(f"/sys/fs/cgroup{own_group}/x").mkdir())
attempt("gain privileges", lambda: run("grep", "-q", "NoNewPrivs:.*0", "/proc/self/status"))
escape = ("systemd-run", "--user", "--collect", "--wait", "touch", str(home / "escaped"))
attempt("escape", lambda: run(*escape, XDG_RUNTIME_DIR=runtime))
attempt("namespace", lambda: run("unshare", "--user", "true"))
attempt("another process's files",
        lambda: pathlib.Path(f"/proc/{MANAGER}/root{home}/.ssh/id").read_text())
attempt("another process's memory", lambda: open(f"/proc/{MANAGER}/mem", "rb").close())
text = json.dumps(found)
where = home / ".openclaw/workspace/found.json"
try:
    where.with_name("found.new").write_text(text)
    where.with_name("found.new").rename(where)
except OSError:
    print("PROBED " + text, flush=True)
"""


def prepare(user: User) -> str:
    """Lay out what the probe looks for; return the path of the probe, made executable."""
    user.write(".ssh/id", "secret\n", 0o600)
    user.write(".config/aap/secrets/token", "secret\n", 0o600)
    user.write(".codex/config.toml", "")
    user.write(f"{UNITS}/.keep", "")
    manager = user.machine.systemctl("show", f"user@{user.uid}", "--property=MainPID", "--value")
    facts = f"#!/usr/bin/python3\nMANAGER = {manager}\nLISTENER = 7020\n"
    probe = str(user.write(f"{WORKSPACE}/probe", facts + PROBE, 0o755))
    user.write(".config/aap/aap.conf", f"AGENT_CLI={probe}\nIDLE_EXIT=1s\n", 0o600)
    return probe


@pytest.fixture
def listener(user: User) -> Iterator[None]:
    """Something on this machine that could be talked to."""
    code = "import socket,time; s=socket.create_server(('127.0.0.1',7020)); time.sleep(600)"
    process = user.start(["/usr/bin/python3", "-c", code])
    wait_until(lambda: ":7020" in user.machine.run(["ss", "-ltnH"]).stdout, 10, "the listener")
    yield
    user.machine.run(["pkill", "-f", "create_server.*7020"], check=False)
    process.wait(10)


def as_agent(user: User) -> dict[str, str]:
    """Have the worker run the probe as its agent."""
    prepare(user)
    user.aap("install", "--user")
    user.aap("inbox", "add", "--text", "look around")
    found = user.path(f"{WORKSPACE}/found.json")
    wait_until(found.exists, 30, "the agent to have looked around")
    said: dict[str, str] = json.loads(found.read_text())
    return said


def as_api(user: User) -> dict[str, str]:
    """Run the probe in the place of the API, in its unit with all its settings."""
    probe = prepare(user)
    start = f"[Service]\nType=exec\nExecStart=\nExecStart={probe}\nRestart=no\n"
    user.write(f"{UNITS}/aap-api.service.d/probe.conf", start)
    user.aap("install", "--user")
    user.systemctl("start", "aap-api.service", check=False)

    def printed() -> list[str]:
        lines = user.journal("--unit=user@*", f"_UID={user.uid}", "--output=cat").splitlines()
        return [line for line in lines if line.startswith("PROBED ")]

    line = wait_until(printed, 30, "the probe's result")[-1]
    said: dict[str, str] = json.loads(line.removeprefix("PROBED "))
    return said


def allowed(found: dict[str, str]) -> set[str]:
    return {name for name, why_not in found.items() if not why_not}


@pytest.mark.usefixtures("listener")
def test_the_agent_can_work_and_cannot_get_out(user: User) -> None:
    found = as_agent(user)
    assert allowed(found) == {
        "read config",
        "write codex",
        "write workspace",
        "write inbox",
        "write done",
        "write tmp",
        "reach tcp",
    }
    assert not user.path("escaped").exists()


@pytest.mark.usefixtures("listener")
def test_the_api_writes_inboxes_only_and_has_no_network(user: User) -> None:
    found = as_api(user)
    assert allowed(found) == {"read secret", "read config", "write inbox", "write tmp"}
    assert not user.path("escaped").exists()


@pytest.mark.usefixtures("listener")
def test_with_the_home_as_workspace_the_ways_out_stay_shut(user: User) -> None:
    prepare(user)
    user.write(".config/aap/aap.conf", f"AGENT_CLI={user.home}/{WORKSPACE}/probe\n", 0o600)
    words = ("--workspace", str(user.home))
    printed = json.loads(user.aap("install", "--user", "--json", *words).stdout)
    assert any("holds your home" in note for note in printed["notes"])
    user.aap("inbox", "add", "--text", "look around", *words)
    found = user.path(f"{WORKSPACE}/found.json")
    wait_until(found.exists, 30, "the agent to have looked around")
    said = allowed(json.loads(found.read_text()))
    assert "write home" in said
    assert said.isdisjoint({"read ssh", "read secret", "write units", "escape", "reach manager"})


@pytest.fixture
def confined(user: User) -> User:
    """A user whose service manager gets no user namespaces, as on a hardened kernel."""
    machine, unit = user.machine, f"user@{user.uid}.service"
    folder = f"/run/systemd/system/{unit}.d"
    machine.run(["mkdir", "-p", folder])
    rule = "[Service]\nRestrictNamespaces=~user\n"
    machine.run(["sh", "-c", 'cat > "$1"', "sh", f"{folder}/no-userns.conf"], stdin=rule)
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", unit)
    wait_until(user.is_up, 20, "the service manager")
    return user


def test_without_namespaces_the_rest_holds_and_is_said(confined: User) -> None:
    user = confined
    found = as_agent(user)
    # What only a mount namespace can do is not done, and nobody is told otherwise.
    assert {"read ssh", "escape", "reach manager"} <= allowed(found), found
    assert {"namespace", "write etc"}.isdisjoint(allowed(found))
    printed = json.loads(user.aap("install", "--user", "--json").stdout)
    assert printed["sandbox"] == "seccomp"
    assert any("only a part of the sandbox" in note for note in printed["notes"])
    assert user.aap("send", "the API works as well").stdout


def test_the_sandbox_is_rated_as_promised(user: User) -> None:
    user.aap("install", "--user")
    workspace = user.home / WORKSPACE
    limits = {
        units.API: 10,
        units.worker_service(workspace): 20,
        units.sweep_service(workspace): 20,
    }
    for unit, limit in limits.items():
        rated = user.run(
            ["systemd-analyze", "--user", "security", "--no-pager", f"--threshold={limit}", unit],
            check=False,
        )
        assert rated.returncode == 0, rated.stdout.splitlines()[-1:]


def test_the_installed_units_verify_clean(user: User) -> None:
    user.aap("install", "--user")
    workspace = user.home / WORKSPACE
    names = [*units.armed({"main": workspace}), units.API, units.worker_service(workspace)]
    verified = user.run(["systemd-analyze", "--user", "verify", "--man=no", *names], check=False)
    assert verified.stderr == ""
    assert verified.returncode == 0
