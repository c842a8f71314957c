"""Socket activation as systemd does it: the sockets live here, the service comes and goes."""

from __future__ import annotations

import http.client
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from aap.inbox import Spool
from tests.api.conftest import UnixConnection, environment

# Puts the sockets where sd_listen_fds(3) looks for them, in the process that will be the API.
_HAND_OVER = """
import fcntl, os, sys
held = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1:3]]
for number, fd in enumerate(held):
    os.dup2(fd, 3 + number)
    os.close(fd)
os.environ |= {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", "aap.api", *sys.argv[3:]])
"""


class Activator:
    """Starts the API when a connection waits and none runs; used as a context manager."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.unix = folder / "api.sock"
        self.log_file = folder / "api.log"
        self.spool = Spool(folder / "ws" / ".ai-agent-proxy")
        self.starts = 0
        self.exits: list[int] = []
        self._environment = environment(settings)
        self._done = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Activator:
        self._tcp = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._unix = socket.socket(socket.AF_UNIX)
        self._unix.bind(str(self.unix))
        self._unix.listen(4096)
        self.port = self._tcp.getsockname()[1]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._tcp.close()
        self._unix.close()

    @property
    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def connect_unix(self, timeout: float = 30) -> UnixConnection:
        return UnixConnection(self.unix, timeout)

    def restart(self) -> None:
        """As `systemctl restart` does: SIGTERM; the next connection starts it again."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)

    def _work(self) -> None:
        while not self._done.is_set():
            if select.select([self._tcp, self._unix], [], [], 0.01)[0]:
                self._run()

    def _run(self) -> None:
        self.starts += 1
        fds = (self._tcp.fileno(), self._unix.fileno())
        command = [sys.executable, "-S", "-E", "-c", _HAND_OVER, *map(str, fds)]
        command += ["--workspace", str(self.folder / "ws")]
        with self.log_file.open("ab") as log:
            self._process = process = subprocess.Popen(
                command, stderr=log, env=self._environment, pass_fds=fds
            )
        while process.poll() is None:
            if self._done.is_set():
                process.terminate()
                process.wait(30)
            time.sleep(0.002)
        self.exits.append(process.returncode)
