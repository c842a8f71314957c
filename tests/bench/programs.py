"""How each contender is started, and how long a whole process takes."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL
from typing import IO, NamedTuple

from .figures import MeasureError

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
PYTHON = sys.executable
AAP = str(Path(sys.executable).with_name("aap"))

Argv = Sequence[str | os.PathLike[str]]


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a service or a shell has, with nothing of whoever runs the bench."""
    home.mkdir(parents=True, exist_ok=True)
    path = f"{Path(PYTHON).parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **more}


def run_ms(argv: Argv, env: Mapping[str, str], *, status: int = 0) -> float:
    """Milliseconds from before the start of a command to its end; what it prints is dropped."""
    words = [os.fspath(word) for word in argv]
    start = time.perf_counter()
    actions = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    pid = os.posix_spawnp(words[0], words, dict(env), file_actions=actions)
    _, found = os.waitpid(pid, 0)
    took = (time.perf_counter() - start) * 1000
    if os.waitstatus_to_exitcode(found) != status:
        raise MeasureError(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(found)}")
    return took


def first_output_ms(argv: Argv, env: Mapping[str, str]) -> float:
    """Milliseconds from before the start of a command to its first byte of output."""
    start = time.perf_counter()
    process = subprocess.Popen(argv, env=dict(env), stdout=subprocess.PIPE)
    assert process.stdout is not None
    data = os.read(process.stdout.fileno(), 1)
    took = (time.perf_counter() - start) * 1000
    with process.stdout as rest:
        rest.read()
    if process.wait() != 0 or not data:
        raise MeasureError(f"{argv} printed nothing, or failed")
    return took


class Fifo:
    """A place where a started program says that it runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with suppress(FileExistsError):
            os.mkfifo(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # both ends: it never hangs up

    def wait(self, seconds: float = 20.0) -> float:
        """Return the moment (perf_counter) at which somebody wrote."""
        ready, _, _ = select.select([self._fd], [], [], seconds)
        moment = time.perf_counter()
        if not ready:
            raise MeasureError(f"nobody wrote to {self.path.name} within {seconds:g} s")
        os.read(self._fd, 4096)
        return moment


# Servers


class Server(NamedTuple):
    """A running server."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    inbox: Path | None  # what the bench empties between measurements

    def cpu(self) -> float:
        """Seconds of processor time so far, with children that have ended."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_bytes().rpartition(b")")[2].split()
        return sum(map(int, stat[11:15])) / os.sysconf("SC_CLK_TCK")

    def resident(self, what: str = "VmRSS") -> float:
        """Mebibytes of memory now (VmRSS), or at most since `forget_peak` (VmHWM)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) / 1024
        raise MeasureError(f"{self.name} is gone")

    def forget_peak(self) -> None:
        """Start a new VmHWM, proc(5)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def empty(self) -> None:
        """Delete what it stored."""
        if self.inbox is not None:
            with os.scandir(self.inbox) as found:
                for item in found:
                    with suppress(FileNotFoundError):
                        Path(item.path).unlink()


def aap_api(workspace: Path) -> list[str]:
    """The API's command, as its unit has it."""
    return [PYTHON, "-I", "-m", "aap.api", "--workspace", str(workspace)]


def aap_inbox(workspace: Path) -> Path:
    """Where the API stores."""
    return workspace / ".ai-agent-proxy" / "inbox"


def bare(fd: int) -> list[str]:
    """The command of the FastAPI app that stores nothing."""
    return [PYTHON, "-I", str(HERE / "bare.py"), str(fd)]


def listen() -> socket.socket:
    """A listening socket on the loopback, as systemd would hold it."""
    return socket.create_server(("127.0.0.1", 0), backlog=4096)


def free_port() -> int:
    """A port that was free a moment ago, for servers that cannot inherit a socket."""
    with listen() as sock:
        return int(sock.getsockname()[1])


def spawn_with_socket(
    argv: Argv,
    sock: socket.socket,
    env: Mapping[str, str],
    out: int | IO[bytes] = DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a command with `sock` as its descriptor 3, and the environment of sd_listen_fds(3).

    What it prints goes to `out`, or is dropped.
    """
    # The shell puts its own pid into LISTEN_PID and becomes the command. It gets the socket
    # as its input, for a shell need not know descriptors of two digits.
    script = 'exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    return subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *argv],
        env=dict(env),
        stdin=sock,
        stdout=out,
        stderr=out,
        start_new_session=True,
    )


def spawn(argv: Argv, env: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, its output dropped."""
    return subprocess.Popen(
        argv,
        env=dict(env),
        cwd=folder,
        stdout=DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a server with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait()


@contextmanager
def serving(
    name: str, argv: Argv, env: Mapping[str, str], port: int, inbox: Path | None, folder: Path
) -> Iterator[Server]:
    """Run a server that opens `port` itself."""
    process = spawn(argv, env, folder)
    try:
        wait_until_up(process, port, name)
        yield Server(name, process, port, inbox)
    finally:
        end(process)


@contextmanager
def serving_bare(env: Mapping[str, str]) -> Iterator[Server]:
    """Run the FastAPI app that stores nothing."""
    with listen() as sock:
        process = spawn_with_socket(bare(3), sock, env)
        port = sock.getsockname()[1]
    try:
        wait_until_up(process, port, "bare")
        yield Server("bare", process, port, None)
    finally:
        end(process)


def wait_until_up(process: subprocess.Popen[bytes], port: int, name: str) -> None:
    """Wait until somebody listens at `port`."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.01)
    raise MeasureError(f"{name} does not start")
