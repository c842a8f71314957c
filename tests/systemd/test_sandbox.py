"""What the sandbox does, seen from inside the real units: effects, not directives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness.machine import SEEN_AS, Machine, System, User, booted, installed
from harness.wait import wait_until

from aap.systemd import units

pytestmark = pytest.mark.systemd

WORKSPACE = ".openclaw/workspace"
UNITS = ".config/systemd/user"
SETUID = "/usr/local/bin/setuid-id"  # id(1), which says 0 where a setuid program is obeyed
COMMON = ("/tmp/common", "/var/tmp/common", "/dev/shm/common")
FILES = (".netrc", ".git-credentials", ".Xauthority")  # the rest of HIDDEN are folders
ABSTRACT = "\0aap-probe"
SOCKETS = {
    "docker": "/run/docker.sock",
    "podman": "/run/podman/podman.sock",
    "containerd": "/run/containerd/containerd.sock",
    "an abstract socket": ABSTRACT,
}
SHARED = 0x616170  # the number of a piece of shared memory, shmget(2)
KEYCTL = {"x86_64": 250, "aarch64": 219}.get(os.uname().machine, 0)

EVERYBODY = frozenset({"agent-user", "api-user", "agent-system", "api-system"})
AGENTS = frozenset({"agent-user", "agent-system"})
USERS = frozenset({"agent-user", "api-user"})

# Who may do what probe.py tries; nobody, where nobody is named.
ALLOWED = {
    "read config": EVERYBODY,
    "read keys": EVERYBODY,
    "read secret": {"api-user", "api-system"},
    **{f"read {path}": set() for path in units.HIDDEN},
    # A home that its owner has opened to all is open to a user's agent, as to any program.
    "read neighbour": USERS,
    # ProcSubset=, which an agent's tools could not do without; and as in the next line.
    "read of the whole machine": EVERYBODY - {"api-system"},
    # In a user namespace the kernel gives no proc of its own, and ProtectProc= goes unheard.
    "see root's processes": USERS,
    "read a process's files": set(),
    "read a process's memory": set(),
    "write home": set(),
    "write units": set(),
    "write codex": AGENTS,
    # What a person's own agent starts, outside.
    **{f"change {path}": set() for path in units.COMMANDS},
    "write workspace": AGENTS,
    "write inbox": EVERYBODY,
    "write done": AGENTS,
    "write the settings": set(),
    "replace the settings": set(),
    "make the settings anew": set(),
    "move the settings' folder away": set(),
    "move another workspace away": set(),
    "write another workspace": set(),
    "write another workspace's inbox": {"api-user", "api-system"},
    "write another workspace's notes": set(),
    "write etc": set(),
    "write usr": set(),
    "write the common tmp": set(),
    "write the common var-tmp": set(),
    "write the common shm": set(),
    "tune the kernel": set(),
    "trigger sysrq": set(),
    "read the kernel's log": set(),
    "tune a device": set(),
    "leave its limits": set(),
    "lay a setuid file": set(),
    "make a device": set(),
    "reach tcp": AGENTS,
    "reach udp": AGENTS,
    "open a raw socket": set(),
    "open a packet socket": set(),
    "open a vsock": set(),
    "open a netlink socket": AGENTS,  # how programs list the interfaces
    # They belong to the network, not to a folder: SECURITY.md names X11.
    "reach an abstract socket": AGENTS,
    "reach docker": set(),
    "reach podman": set(),
    "reach containerd": set(),
    "reach the user's podman": set(),
    "reach the API without a key": {"api-system"},  # itself
    "reach the user's bus": set(),
    "reach the user's manager": set(),
    "reach the system bus": set(),
    "reach the system's manager": set(),
    "escape by systemd-run": set(),
    "escape by the system's systemd-run": set(),
    "be root by a setuid program": set(),
    "trace a process": set(),
    # The same account: systemd 257 knows PrivatePIDs=, 252 nothing that would keep it.
    "signal a process": EVERYBODY,
    "make a user namespace": set(),
    "mount": set(),
    "find a key of the user's": set(),
    "see the user's shared memory": set(),
    "change personality": set(),
    "run in real time": set(),
    "set the clock": set(),
    "name the machine": set(),
    "write code and run it": AGENTS,  # node compiles while it runs
}
# What an ordinary program may not do either: that it is refused proves nothing of the
# sandbox. Root tries it in the same units, and outside; and IN_FORCE holds each wall.
ONLY_ROOT = {
    *("write etc", "write usr", "tune the kernel", "tune a device"),
    *("make a device", "open a raw socket", "open a packet socket"),
    *("reach the system's manager", "escape by the system's systemd-run", "run in real time"),
    *("set the clock", "name the machine", "leave its limits", "read the kernel's log"),
}
# There is none in the machine of the tests.
NOBODY = {"trigger sysrq"}
# A machine's account has no service manager of its own, and writes no units as its user does.
OF_A_USER = {
    *("reach the user's bus", "reach the user's manager", "reach the user's podman"),
    *("escape by systemd-run", "write units"),
}

# What systemctl shows of each unit, by directive: where the probe cannot tell one wall from
# another behind it, or only root would notice.
NO_AGENT = {
    "MemoryDenyWriteExecute": "yes",
    "PrivateNetwork": "yes",
    "ProcSubset": "pid",
    "RestrictAddressFamilies": "AF_UNIX",
    "LimitCORE": "0",
}
IN_FORCE = {
    "everywhere": {
        "CapabilityBoundingSet": "",
        "KeyringMode": "private",
        "LimitCORESoft": "0",
        "LockPersonality": "yes",
        "NoNewPrivileges": "yes",
        "PrivateDevices": "yes",
        "PrivateIPC": "yes",
        "PrivateMounts": "yes",
        "PrivateTmp": "yes",
        "PrivateUsers": "yes",
        "ProtectClock": "yes",
        "ProtectControlGroups": "yes",
        "ProtectHostname": "yes",
        "ProtectKernelLogs": "yes",
        "ProtectKernelModules": "yes",
        "ProtectProc": "invisible",
        "ProtectSystem": "strict",
        "RestrictNamespaces": "yes",
        "RestrictRealtime": "yes",
        "RestrictSUIDSGID": "yes",
        "SystemCallArchitectures": "native",
        "SystemCallErrorNumber": "1",
        "UMask": "0077",
    },
    "user": {"ProtectHome": "read-only"},
    "system": {
        "DevicePolicy": "closed",
        "Group": "aap",
        "ProtectHome": "yes",
        "ProtectKernelTunables": "yes",
        "RemoveIPC": "yes",
        "User": "aap",
    },
    "api": {**NO_AGENT, "MemoryMax": str(512 << 20), "TasksMax": "64", "OOMPolicy": "stop"},
    "sweep": {**NO_AGENT, "TasksMax": "16"},
    "worker": {
        "LimitCORE": "infinity",  # the agent's programs may dump, the worker not
        "MemoryDenyWriteExecute": "no",
        "PrivateNetwork": "no",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_NETLINK AF_UNIX",
    },
}
# Where that is looked at: the home, and what worker and sweep must not see.
LAID_OUT = {
    "user": ("/home/shown", {"/run/user/1991", "/home/shown/.config/aap/secrets"}),
    "system": ("/var/lib/aap", {"/run/aap", "/etc/aap/secrets"}),
}
KINDS = ("api", "worker", "sweep")
# Names of system calls of each group that the units refuse.
REFUSED = {
    "everywhere": {
        *("clock_settime", "modify_ldt", "ptrace", "init_module", "mount", "umount2"),
        *("sysfs", "ioperm", "reboot", "swapon"),
    },
    "api": {"chroot", "setuid", "setpriority", "sched_setscheduler", "bpf"},
    "sweep": {"chroot", "setuid", "setpriority", "sched_setscheduler", "bpf"},
}
OUT_OF_REACH = {
    *("/run/dbus/system_bus_socket", "/run/systemd/private", "/run/docker.sock", "/run/podman"),
    *("/run/containerd", "/run/crio", "/run/libvirt", "/var/lib/incus", "/var/lib/lxd"),
    "/var/snap/lxd",
}


def lay_out(somebody: User, config: str) -> Path:
    """Put there what the probe looks for; return the command that runs it."""
    workspace, settings = places(somebody)
    for path in units.HIDDEN:
        somebody.write(path if path in FILES else f"{path}/x", "secret\n", 0o600)
    for path in (*units.COMMANDS, f"{UNITS}/.keep"):
        somebody.write(path, "")
    owner = somebody.machine if isinstance(somebody, System) else somebody
    for path, text in (("secrets/token", "secret"), ("keys", ""), ("aap.conf", config)):
        command = f"mkdir -p {settings}/secrets; cat > {settings}/{path}"
        owner.run(["sh", "-c", command], stdin=text)
    lure = f"cp /usr/bin/id {SETUID}; chmod 4755 {SETUID}; mkdir -pm 1777 {' '.join(COMMON)}"
    somebody.machine.run(["sh", "-c", lure])
    words = f"{KEYCTL - 2}, b'user', b'aap-probe', b'x', 1, -4"  # add_key(2), into @u
    key = f"import ctypes; ctypes.CDLL(None).syscall({words})"
    somebody.run(["/usr/bin/python3", "-c", key])
    facts = facts_of(somebody, workspace, settings)
    somebody.write(workspace / "facts.json", json.dumps(facts))
    facts |= {"workshop": "/tmp", "result": "/nowhere/found.json"}
    somebody.write(workspace / "facts-api.json", json.dumps(facts))
    text = "#!/usr/bin/python3\n" + Path(__file__).with_name("probe.py").read_text()
    return somebody.write(workspace / "probe", text, 0o755)


def places(somebody: User) -> tuple[Path, Path]:
    """The workspace, and the folder of the settings."""
    if isinstance(somebody, System):
        return somebody.home / "workspace", Path("/etc/aap")
    return somebody.home / WORKSPACE, somebody.home / ".config/aap"


def facts_of(somebody: User, workspace: Path, settings: Path) -> dict[str, Any]:
    """What the probe must be told."""
    home, spool = somebody.home, workspace / ".ai-agent-proxy"
    other = f"{home}/.openclaw/other/.ai-agent-proxy"
    victim = somebody.machine.run(["pgrep", "-u", somebody.name, "-f", "sleep 7020"]).stdout
    system = isinstance(somebody, System)
    units_folder = "/etc/systemd/system" if system else f"{home}/{UNITS}"
    files = {path: path if path in FILES else f"{path}/x" for path in units.HIDDEN}
    own = {"secret": "secrets/token", "keys": "keys", "config": "aap.conf"}
    return {
        "files": {
            **{name: f"{home}/{path}" for name, path in files.items()},
            **{name: f"{settings}/{path}" for name, path in own.items()},
            "neighbour": "/home/neighbour/note",
        },
        "folders": {
            "home": str(home),
            "units": units_folder,
            "codex": f"{home}/.codex",
            "workspace": str(workspace),
            "inbox": f"{spool}/inbox",
            "done": f"{spool}/done",
            "another workspace": f"{home}/.openclaw/other",
            "another workspace's inbox": f"{other}/inbox",
            "another workspace's notes": f"{other}/notes",
            "etc": "/etc",
            "usr": "/usr",
            "the common tmp": COMMON[0],
            "the common var-tmp": COMMON[1],
            "the common shm": COMMON[2],
        },
        "commands": {path: f"{home}/{path}" for path in units.COMMANDS},
        "sockets": {**SOCKETS, "the user's podman": podman_of(somebody)},
        "shared": SHARED,
        "runtime": f"/run/user/{somebody.uid}",
        "api": "/run/aap/api.sock" if system else f"/run/user/{somebody.uid}/aap/api.sock",
        "port": 7020,
        "victim": int(victim.split()[0]),
        "setuid": SETUID,
        "settings": f"{workspace}/.ai-agent-proxy.conf",
        "keyctl": KEYCTL,
        "escaped": f"{home}/escaped",
        "workshop": str(workspace),
        "result": f"{workspace}/found.json",
    }


def podman_of(somebody: User) -> str:
    return f"/run/user/{somebody.uid}/podman/podman.sock"


# With the paths of sockets as arguments; whoever may not make one leaves it out.
LISTENER = """
import contextlib, ctypes, os, pathlib, socket, sys, time
number, *paths = sys.argv[1:]
os.umask(0)
kept = []
for path in paths:
    with contextlib.suppress(OSError):
        pathlib.Path(path).parent.mkdir(exist_ok=True)
        pathlib.Path(path).unlink(missing_ok=True)
    kept.append(socket.socket(socket.AF_UNIX))
    kept[-1].bind(path.replace("@", chr(0)))
    kept[-1].listen()
if not os.getuid():
    kept.append(socket.create_server(("127.0.0.1", 7020)))
while True:  # what an account has goes when a unit of it ends: RemoveIPC=
    ctypes.CDLL(None).shmget(int(number), 4096, 0o1666)
    time.sleep(0.02)
"""


@contextmanager
def surroundings(machine: Machine, somebody: User) -> Iterator[None]:
    """Things that could be reached: listeners, a process, shared memory, a neighbour."""
    listen = ["/usr/bin/python3", "-c", LISTENER, str(SHARED)]
    public = [path.replace("\0", "@") for path in SOCKETS.values()]
    own = [] if isinstance(somebody, System) else [podman_of(somebody)]
    listeners = somebody.start([*listen, *own]), machine.start([*listen, *public])
    victim = somebody.start(["sleep", "7020"])
    neighbour = machine.add_user("neighbour", linger=False)
    neighbour.write("note", "hello")
    machine.run(["chmod", "755", neighbour.home])
    wait_until(lambda: ":7020" in machine.run(["ss", "-ltnH"]).stdout, 10, "the listener")
    try:
        yield
    finally:
        machine.run(["pkill", "-f", "create_server.*7020|sleep 7020"], check=False)
        somebody.run(["ipcrm", "-M", hex(SHARED)], check=False)
        machine.remove_user(neighbour)
        for process in (*listeners, victim):
            process.wait(10)


def as_agent(somebody: User, probe: Path) -> dict[str, str]:
    """Have the worker run the probe as its agent."""
    somebody.aap("inbox", "add", "--text", "look around")
    found = somebody.machine.path(probe.with_name("found.json"))
    wait_until(found.exists, 30, "the agent to have looked around")
    return dict(json.loads(found.read_text()))


def as_api(somebody: User, probe: Path) -> dict[str, str]:
    """Run the probe in the place of the API, in its unit with all its settings."""
    return in_place_of(somebody, units.API, probe)


def as_root(system: System, unit: str, probe: Path) -> dict[str, str]:
    """Run it in the place of a unit as root, with all capabilities that the walls leave."""
    own = "User=root\nGroup=root\nCapabilityBoundingSet=~\nPrivateUsers=no\n"
    return in_place_of(system, unit, probe, own)


def in_place_of(somebody: User, unit: str, probe: Path, more: str = "") -> dict[str, str]:
    """Run the probe in the place of a unit's program; `more` are lines of a drop-in."""
    command = f"{probe} {probe.with_name('facts-api.json')}"
    start = "[Unit]\nConditionDirectoryNotEmpty=\n"
    start += f"[Service]\nType=exec\nExecStart=\nExecStart={command}\nRestart=no\n{more}"
    system = isinstance(somebody, System)
    folder = f"/run/systemd/{'system' if system else 'user'}/{unit}.d"
    before = len(lines_of(somebody))
    command = 'mkdir -p "$1"; cat > "$1/probe.conf"'
    somebody.machine.run(["sh", "-c", command, "sh", folder], stdin=start)
    try:
        somebody.systemctl("daemon-reload")
        somebody.systemctl("restart", unit, check=False)
        printed = wait_until(lambda: lines_of(somebody)[before:], 30, "the probe's result")
    finally:
        somebody.machine.run(["rm", "-r", folder])
        somebody.systemctl("daemon-reload")
    return dict(json.loads(printed[-1].removeprefix("PROBED ")))


def lines_of(somebody: User) -> list[str]:
    lines = somebody.journal("--output=cat").splitlines()
    return [line for line in lines if line.startswith("PROBED ")]


def look_around(somebody: User, mode: str) -> dict[str, dict[str, str]]:
    """Run the probe as agent, as API, and as what it is outside of every sandbox."""
    with surroundings(somebody.machine, somebody):
        workspace = somebody.home / (WORKSPACE if mode == "user" else "workspace")
        config = f"AGENT_CLI={workspace}/probe {workspace}/facts.json\n"
        probe = lay_out(somebody, config)
        somebody.aap("install", f"--{mode}")
        somebody.aap("workspace", "add", "other", f"{somebody.home}/.openclaw/other")
        found = {f"agent-{mode}": as_agent(somebody, probe), f"api-{mode}": as_api(somebody, probe)}
        assert not somebody.machine.path(somebody.home / "escaped").exists()
        somebody.run([probe, probe.with_name("facts.json")])
        result = somebody.machine.path(probe.with_name("found.json"))
        found[f"outside-{mode}"] = json.loads(result.read_text())
        if isinstance(somebody, System):
            worker = units.worker_service(workspace)
            found["agent-root"] = as_root(somebody, worker, probe)
            found["api-root"] = as_root(somebody, units.API, probe)
            somebody.machine.run([probe, probe.with_name("facts.json")])
            found["outside-root"] = json.loads(result.read_text())
        return found


@pytest.fixture(scope="module")
def found(machine: Machine) -> dict[str, dict[str, str]]:
    """What each could do, by who it is."""
    user = machine.add_user("probing", uid=1990)
    try:
        of_user = look_around(user, "user")
        user.aap("uninstall", "--user")
    finally:
        machine.remove_user(user)
    with installed(machine) as system:
        return of_user | look_around(system, "system")


@pytest.mark.parametrize("who", sorted(EVERYBODY))
@pytest.mark.parametrize("what", ALLOWED)
def test_the_sandbox(found: dict[str, dict[str, str]], what: str, who: str) -> None:
    why_not = found[who][what]
    if who in ALLOWED[what]:
        assert why_not == ""
    else:
        assert why_not != ""


def test_all_that_is_tried_is_in_the_table(found: dict[str, dict[str, str]]) -> None:
    assert set(found["agent-user"]) == set(ALLOWED)


@pytest.mark.parametrize("who", ["outside-user", "outside-system"])
def test_without_the_sandbox_it_could_be_done(found: dict[str, dict[str, str]], who: str) -> None:
    """Else its refusal would prove nothing."""
    possible = {what for what, why_not in found[who].items() if not why_not}
    beyond = ONLY_ROOT | NOBODY | (set() if who == "outside-user" else OF_A_USER)
    assert set(ALLOWED) - beyond - possible == set()


@pytest.mark.parametrize("who", ["agent-root", "api-root"])
@pytest.mark.parametrize("what", sorted(ONLY_ROOT))
def test_not_even_root_could_do_it_there(
    found: dict[str, dict[str, str]], what: str, who: str
) -> None:
    # It has the family, and no capability only as what it is. And systemd 257 leaves /sys
    # as it is in a container without a network of its own, which the tests' machine is.
    its_own = {("agent-root", "open a raw socket"), ("agent-root", "tune a device")}
    assert found[who][what] != "" or (who, what) in its_own
    assert found["outside-root"][what] == ""


@pytest.fixture(scope="module")
def shown(machine: Machine) -> dict[str, dict[str, str]]:
    """What the manager has loaded, by kind of unit and mode."""
    properties = {name for each in IN_FORCE.values() for name in each}
    properties |= {"InaccessiblePaths", "SystemCallFilter", "TemporaryFileSystem", "IPAddressDeny"}
    properties |= {"ReadOnlyPaths", "BindReadOnlyPaths", "UnsetEnvironment"}
    user = machine.add_user("shown", uid=1991)
    try:
        user.aap("install", "--user")
        of_user = loaded(user, "user", properties)
    finally:
        machine.remove_user(user)
    with installed(machine) as system:
        return of_user | loaded(system, "system", properties)


def loaded(somebody: User, mode: str, properties: set[str]) -> dict[str, dict[str, str]]:
    workspace, _ = places(somebody)
    names = (units.API, units.worker_service(workspace), units.sweep_service(workspace))
    return {
        f"{kind}-{mode}": somebody.show(name, *properties)
        for kind, name in zip(KINDS, names, strict=True)
    }


@pytest.mark.parametrize("mode", ["user", "system"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_wall_is_in_force(shown: dict[str, dict[str, str]], kind: str, mode: str) -> None:
    has = shown[f"{kind}-{mode}"]
    wanted = {**IN_FORCE["everywhere"], **IN_FORCE[mode], **IN_FORCE[kind]}
    assert {name: has[name] for name in wanted} == wanted
    refused = REFUSED["everywhere"] | REFUSED.get(kind, set())
    assert refused == {call for call in refused if refuses(has["SystemCallFilter"], call)}
    hidden = {path.removeprefix("-") for path in has["InaccessiblePaths"].split()}
    home, own = LAID_OUT[mode]
    assert hidden >= OUT_OF_REACH | {f"{home}/{path}" for path in units.HIDDEN}
    assert kind == "api" or hidden >= own
    assert "/dev/shm:" in has["TemporaryFileSystem"]
    if kind != "worker" and mode == "system":
        assert set(has["IPAddressDeny"].split()) == {"0.0.0.0/0", "::/0"}
    if kind != "api" and mode == "user":
        assert set(has["UnsetEnvironment"].split()) >= {"DBUS_SESSION_BUS_ADDRESS"}


def refuses(shown: str, call: str) -> bool:
    """Whether a filter as systemctl shows it refuses a system call."""
    return (call in shown.removeprefix("~").split()) == shown.startswith("~")


def sweep(somebody: User, mode: str) -> None:
    """Have the sweep bring back what a dead worker left."""
    workspace, _ = places(somebody)
    somebody.aap("install", f"--{mode}")
    somebody.aap("pause")
    message = somebody.aap("inbox", "add", "--text", "hello").stdout.strip()
    spool = workspace / ".ai-agent-proxy"
    somebody.run(["mv", f"{spool}/inbox/{message}.json", f"{spool}/active"])
    somebody.systemctl("start", units.sweep_service(workspace))
    back = somebody.machine.path(f"{spool}/inbox/{message}.json")
    wait_until(back.exists, 20, "the message to be back")


def test_the_sweep_works_in_its_sandbox(user: User) -> None:
    sweep(user, "user")
    user.aap("uninstall", "--user")
    with installed(user.machine) as system:
        sweep(system, "system")


def test_with_the_home_as_workspace_the_ways_out_stay_shut(user: User) -> None:
    with surroundings(user.machine, user):
        config = f"AGENT_CLI={user.home}/{WORKSPACE}/probe {user.home}/{WORKSPACE}/facts.json\n"
        lay_out(user, config)
        words = ("--workspace", str(user.home))
        printed = json.loads(user.aap("install", "--user", "--json", *words).stdout)
        assert any("holds your home" in note for note in printed["notes"])
        user.aap("inbox", "add", "--text", "look around", *words)
        found = user.path(f"{WORKSPACE}/found.json")
        wait_until(found.exists, 30, "the agent to have looked around")
    said = {what for what, why_not in json.loads(found.read_text()).items() if not why_not}
    assert "write home" in said
    out = {"read .ssh", "read secret", "write units", "escape by systemd-run"}
    assert said.isdisjoint({*out, "reach the user's manager", "reach the user's bus"})


WRITER = """#!/bin/sh
touch started
(echo '# from the agent' >>.ai-agent-proxy.conf) 2>/dev/null && touch wrote
while ! [ -e go ]; do sleep 0.1; done
"""


def start_run(user: User) -> None:
    """Have an agent at work that has tried to write its workspace's settings."""
    user.run(["rm", "-f", f"{WORKSPACE}/started", f"{WORKSPACE}/go"])
    user.aap("inbox", "add", "--text", "hello")
    wait_until(user.path(f"{WORKSPACE}/started").exists, 20, "the agent to be at work")


def end_run(user: User) -> None:
    user.write(f"{WORKSPACE}/go", "")
    active = user.path(f"{WORKSPACE}/.ai-agent-proxy/active")
    wait_until(lambda: not [*active.iterdir()], 20, "the run to end")


@pytest.fixture
def writer(user: User) -> User:
    """A user whose agent tries to write its workspace's settings."""
    agent = user.write("agent", WRITER, 0o755)
    user.write(".config/aap/aap.conf", f"AGENT_CLI={agent}\nSETTLE=0\n", 0o600)
    user.aap("install", "--user")
    return user


def test_settings_that_a_person_replaces_are_kept_from_the_next_run(writer: User) -> None:
    start_run(writer)
    writer.aap("-w", "main", "config", "set", "MAX_ATTEMPTS", "4")
    second = writer.aap("inbox", "add", "--text", "hello").stdout.strip()
    writer.run(["rm", f"{WORKSPACE}/started"])
    end_run(writer)
    done = writer.path(f"{WORKSPACE}/.ai-agent-proxy/done/{second}.json")
    wait_until(done.exists, 20, "the second message to be handled")
    assert writer.path(f"{WORKSPACE}/started").exists()
    assert "settings-replaced" in writer.aap("logs", "--today").stdout
    assert not writer.path(f"{WORKSPACE}/wrote").exists()
    assert "# from the agent" not in writer.path(f"{WORKSPACE}/.ai-agent-proxy.conf").read_text()


def test_settings_that_were_named_are_read_only_too(user: User) -> None:
    agent = user.write("agent", WRITER.replace(".ai-agent-proxy.conf", "my%aap.conf"), 0o755)
    config = user.write(f"{WORKSPACE}/my%aap.conf", f"AGENT_CLI={agent}\n", 0o600)
    user.aap("--config", str(config), "install", "--user")
    start_run(user)
    end_run(user)
    assert not user.path(f"{WORKSPACE}/wrote").exists()


def test_where_settings_are_missing_the_agent_can_make_none(writer: User) -> None:
    settings = writer.path(f"{WORKSPACE}/.ai-agent-proxy.conf")
    blank = settings.read_text()
    writer.run(["rm", f"{WORKSPACE}/.ai-agent-proxy.conf"])
    start_run(writer)
    end_run(writer)
    assert not writer.path(f"{WORKSPACE}/wrote").exists()
    assert settings.read_text() == blank


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
    with surroundings(user.machine, user):
        config = f"AGENT_CLI={user.home}/{WORKSPACE}/probe {user.home}/{WORKSPACE}/facts.json\n"
        probe = lay_out(user, config)
        user.aap("install", "--user")
        found = as_agent(user, probe)
    said = {what for what, why_not in found.items() if not why_not}
    # What only a mount namespace can do is not done, and nobody is told otherwise.
    assert {"read .ssh", "escape by systemd-run", "reach the user's manager"} <= said, found
    assert {"make a user namespace", "write etc"}.isdisjoint(said)
    printed = json.loads(user.aap("install", "--user", "--json").stdout)
    assert printed["sandbox"] == "seccomp"
    assert any("only a part of the sandbox" in note for note in printed["notes"])
    assert {"read secret", "write home", "write the common tmp"} <= said  # as is said there:
    assert any(units.WITHOUT_MOUNTS in note for note in printed["notes"])
    doctor = json.loads(user.aap("doctor", "--json", "--only", "sandbox", check=False).stdout)
    assert any(units.WITHOUT_MOUNTS in each["message"] for each in doctor["findings"])
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


NO_USERNS = ("/usr/bin/python3", f"{SEEN_AS}/tests/harness/no_userns.py")


@pytest.mark.slow
def test_the_systems_units_do_without_user_namespaces() -> None:
    """On a machine without them, which says so, and where all else holds."""
    with booted(start=NO_USERNS) as machine, installed(machine) as system:
        told = system.aap("install", "--system").stderr
        assert "can look into what else the account aap runs" in told
        found = look_around(system, "system")
        # Of the same account outside, as is said. (Keys are hidden by KeyringMode= too.)
        said = {"read a process's files", "read a process's memory", "find a key of the user's"}
        for who in ("agent-system", "api-system"):
            done = {what for what, why_not in found[who].items() if not why_not}
            allowed = {what for what, whose in ALLOWED.items() if who in whose}
            assert done - said == allowed
        bad = json.loads(system.aap("doctor", "--json", "--only", "sandbox", check=False).stdout)
        assert {each["severity"] for each in bad["findings"]} == {"ok"}
