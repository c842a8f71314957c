"""Who listens on a TCP port, and whether we could."""

from __future__ import annotations

import pwd
import re
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aap.errors import ConfigError, PermissionDeniedError
from aap.mode import SYSTEM
from aap.systemd import record, units

_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp


def listen_stream(host: str, port: int) -> str:
    """Return what ListenStream= takes for an address or a name. Raises ConfigError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"HOST={host} is no address of this machine: {error}") from error
    family, _, _, _, address = found[0]
    shown = f"[{address[0]}]" if family == socket.AF_INET6 else str(address[0])
    return f"{shown}:{port}"


def is_free(stream: str) -> bool:
    """Whether a listener could bind `stream` now.

    Raises ConfigError for an address that is not this machine's, PermissionDeniedError
    for a port that only root may take.
    """
    host, port = split(stream)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # as systemd binds
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise PermissionDeniedError(
                f"port {port} is for root alone", hint="aap config set PORT 7011"
            ) from error
        except OSError as error:
            return _explain_bind(error, host)
    return True


def _explain_bind(error: OSError, host: str) -> bool:
    import errno

    if error.errno == errno.EADDRINUSE:
        return False
    raise ConfigError(
        f"this machine has no address {host}", hint="aap config set HOST 127.0.0.1"
    ) from error


def split(stream: str) -> tuple[str, int]:
    """Return host and port of what `listen_stream` made."""
    host, _, port = stream.rpartition(":")
    return host.strip("[]"), int(port)


class Holder(NamedTuple):
    """Who listens on a port, in words, and whether it is a process that somebody may stop."""

    name: str
    is_plain: bool


def holder(port: int) -> Holder:
    """Say which process listens on `port`: "node (pid 123)"; others' processes show no more.

    What systemd holds is a unit's, whose processes come and go: it may be another aap.
    """
    sockets = _listening(port)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(fd.readlink()) in sockets for fd in (process / "fd").iterdir()):
                name = (process / "comm").read_text().strip()
                plain = Holder(f"{name} (pid {process.name})", is_plain=True)
                return plain if name != "systemd" else _manager(process, port)
    return _machines(port) or Holder("a process of another user", is_plain=False)


def _manager(process: Path, port: int) -> Holder:
    """Name whose service manager this is, and the aap that it listens for."""
    if process.name == "1":
        return _machines(port) or Holder("a socket unit of the machine", is_plain=False)
    uid = process.stat().st_uid
    whose = f"user {uid}"
    with suppress(KeyError):
        whose = pwd.getpwuid(uid).pw_name
    has_aap = Path(f"/run/user/{uid}/aap/api.sock").exists()
    return Holder(f"the {'aap' if has_aap else 'service manager'} of {whose}", is_plain=False)


def _machines(port: int) -> Holder | None:
    """The machine's aap, if it is installed for this port: everybody may read its units."""
    with suppress(OSError):
        unit = (record.unit_folder(SYSTEM) / units.SOCKET).read_text("utf-8", "replace")
        if re.search(rf"^ListenStream=.*:{port}$", unit, re.MULTILINE):
            return Holder("the machine's aap, which aap send uses", is_plain=False)
    return None


def _listening(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{words[9]}]")
    return inodes
