"""Tries each thing that a sandbox should forbid, or leave, and says what came of it.

Run in the place of the agent or of the API, by the machine's Python and nothing else:

    probe.py FACTS      FACTS: a file of JSON, see `test_sandbox.py`

Prints a line `PROBED {"name": "" or why not, ...}`, or writes the same to the facts'
`result` where that can be written.
"""

import ctypes
import json
import mmap
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

facts = json.loads(Path(sys.argv[1]).read_text())
runtime = facts["runtime"]
libc = ctypes.CDLL(None, use_errno=True)
found = {}


def attempt(name):
    """Run the function now; what it raises is why it did not work."""

    def do(function):
        try:
            function()
            found[name] = ""
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"

    return do


def check(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def run(*argv, **env):
    environ = {**os.environ, **env}
    done = subprocess.run(
        argv, env=environ, capture_output=True, text=True, timeout=20, check=False
    )
    if done.returncode:
        raise OSError(done.stderr.strip() or done.returncode)
    return done.stdout.strip()


def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as sock:
        sock.settimeout(5)
        sock.connect(address)


def touch(path):
    path = Path(path)
    path.write_text("x")
    path.unlink()


def rewrite(path):
    with Path(path).open("r+") as file:
        file.write(file.read())


# Reading

for name, path in facts["files"].items():
    attempt(f"read {name}")(lambda path=path: Path(path).read_bytes())
attempt("read of the whole machine")(lambda: Path("/proc/meminfo").read_text())
attempt("see root's processes")(lambda: Path("/proc/1/stat").read_text())
attempt("read a process's files")(
    lambda: Path(f"/proc/{facts['victim']}/root{facts['files']['config']}").read_text()
)
attempt("read a process's memory")(lambda: Path(f"/proc/{facts['victim']}/mem").open("rb").close())

# Writing

for name, path in facts["folders"].items():
    attempt(f"write {name}")(lambda path=path: touch(f"{path}/.probe"))
for name, path in facts["commands"].items():
    attempt(f"change {name}")(lambda path=path: rewrite(path))
settings, anew = Path(facts["settings"]), Path(facts["settings"] + ".new")
attempt("write the settings")(lambda: rewrite(settings))


@attempt("replace the settings")
def _():
    anew.write_text(settings.read_text())
    anew.rename(settings)


@attempt("make the settings anew")
def _():
    text = settings.read_text()
    settings.unlink()
    settings.write_text(text)


@attempt("move the settings' folder away")
def _():
    folder = settings.parent
    folder.rename(f"{folder}.away").rename(folder)


@attempt("move another workspace away")
def _():
    folder = Path(facts["folders"]["another workspace"])
    folder.rename(f"{folder}.away").rename(folder)


attempt("tune the kernel")(lambda: rewrite("/proc/sys/kernel/domainname"))
attempt("trigger sysrq")(lambda: Path("/proc/sysrq-trigger").open("w").close())
attempt("read the kernel's log")(lambda: check(libc.klogctl(10, None, 0)))  # its size


@attempt("tune a device")
def _():
    files = (path for path in Path("/sys/kernel").rglob("*") if path.is_file())
    next(path for path in files if path.stat().st_mode & 0o200).open("r+").close()


@attempt("leave its limits")
def _():
    own = Path("/proc/self/cgroup").read_text().strip().partition("::")[2]
    group = Path(f"/sys/fs/cgroup{own.replace('..', '')}/of-the-probe")  # '..': from outside
    group.mkdir()
    group.rmdir()


@attempt("lay a setuid file")
def _():
    path = Path(facts["workshop"], "suid")
    path.write_text("x")
    try:
        path.chmod(0o4755)
        if not path.stat().st_mode & 0o4000:
            raise OSError("the bit is gone")
    finally:
        path.unlink()


@attempt("make a device")
def _():
    path = Path(facts["workshop"], "null")
    os.mknod(path, 0o20666, os.makedev(1, 3))
    path.unlink()


# The network

attempt("reach tcp")(lambda: connect(socket.AF_INET, ("127.0.0.1", facts["port"])))
attempt("reach udp")(lambda: connect(socket.AF_INET, ("127.0.0.1", 9), socket.SOCK_DGRAM))
attempt("open a raw socket")(
    lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
)
attempt("open a packet socket")(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM).close())
attempt("open a vsock")(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close())
attempt("open a netlink socket")(
    lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE).close()
)

# Ways out

attempt("reach the API without a key")(lambda: connect(socket.AF_UNIX, facts["api"]))
for name, path in facts["sockets"].items():
    attempt(f"reach {name}")(lambda path=path: connect(socket.AF_UNIX, path))
attempt("reach the user's bus")(lambda: connect(socket.AF_UNIX, f"{runtime}/bus"))
attempt("reach the user's manager")(lambda: connect(socket.AF_UNIX, f"{runtime}/systemd/private"))
attempt("reach the system bus")(lambda: connect(socket.AF_UNIX, "/run/dbus/system_bus_socket"))
attempt("reach the system's manager")(lambda: connect(socket.AF_UNIX, "/run/systemd/private"))
escape = ("--collect", "--wait", "touch", facts["escaped"])
attempt("escape by systemd-run")(
    lambda: run("systemd-run", "--user", *escape, XDG_RUNTIME_DIR=runtime)
)
attempt("escape by the system's systemd-run")(lambda: run("systemd-run", *escape))


@attempt("be root by a setuid program")
def _():
    if run(facts["setuid"], "-u") != "0":
        raise OSError("no more rights than before")


@attempt("trace a process")
def _():
    check(libc.ptrace(16, facts["victim"], 0, 0))  # PTRACE_ATTACH
    os.waitpid(facts["victim"], 0x40000000)
    libc.ptrace(17, facts["victim"], 0, 0)  # PTRACE_DETACH


attempt("signal a process")(lambda: os.kill(facts["victim"], 0))
attempt("make a user namespace")(lambda: run("unshare", "--user", "true"))
attempt("mount")(lambda: run("unshare", "--user", "--map-root-user", "--mount", "mount", "-t",
                             "tmpfs", "tmpfs", "/mnt"))  # fmt: skip
attempt("find a key of the user's")(  # KEYCTL_SEARCH in @u
    lambda: check(libc.syscall(facts["keyctl"], 10, -4, b"user", b"aap-probe", 0))
)
attempt("see the user's shared memory")(lambda: check(libc.shmget(facts["shared"], 0, 0)))
attempt("change personality")(lambda: check(libc.personality(0x0040000)))  # ADDR_NO_RANDOMIZE
attempt("run in real time")(
    lambda: (
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        or os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    )
)
attempt("set the clock")(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
attempt("name the machine")(lambda: socket.sethostname("probe"))
attempt("write code and run it")(
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close()
)

text = json.dumps(found)
try:
    draft = Path(facts["result"] + ".new")
    draft.write_text(text)
    draft.rename(facts["result"])
except OSError:
    print("PROBED " + text, flush=True)
