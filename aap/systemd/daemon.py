"""What a service says to systemd, and what it is given by it.

Works without systemd as well: there are then no sockets, and nobody listens.
"""

from __future__ import annotations

import os
import socket


def listen_sockets() -> list[socket.socket]:
    """Return the listening sockets that systemd passed (sd_listen_fds(3)); none if it passed none.

    Family and type are read from the sockets themselves. The environment that
    announced them is cleared, so that no child process takes them for its own.
    """
    if "LISTEN_FDS" not in os.environ:
        return []
    from systemd import daemon

    return [socket.socket(fileno=fd) for fd in daemon.listen_fds()]


def notify(state: str) -> bool:
    """Tell the service manager a state (sd_notify(3)), such as READY=1; False if there is none."""
    if "NOTIFY_SOCKET" not in os.environ:
        return False
    from systemd import daemon

    return bool(daemon.notify(state))
