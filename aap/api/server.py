"""uvicorn's server with an end that loses nobody.

Measured with uvicorn's own shutdown behind socket activation: up to 5 % of the
requests around an exit are lost, because connections that were accepted but not
read yet are closed. Here the listeners are closed first (the kernel's queue stays
with systemd's copy of the socket), and every connection that is open is answered.
"""

from __future__ import annotations

import asyncio
import functools
import signal
import socket

from aap.api.connection import Connection, Limits, State
from aap.api.engine import Config
from aap.api.engine import Server as UvicornServer
from aap.errors import Exit
from aap.systemd import daemon

BACKLOG = 4096  # uvicorn calls listen(2) again: less would undo the Backlog= of the socket unit
GRACE = 2.0  # seconds in which an idle connection may still send a last request
DRAIN_MAX = 20.0  # seconds; below the unit's TimeoutStopSec


class Server(UvicornServer):
    """Serves `app` on `sockets` until a signal, `stop`, or `idle_exit` s without a connection.

    `idle_exit` 0 means never. `exit_code` tells afterwards why it ended.
    """

    def __init__(
        self,
        app: object,
        sockets: list[socket.socket],
        *,
        limits: Limits | None = None,
        idle_exit: float = 0.0,
    ) -> None:
        config = Config(
            app,  # type: ignore[arg-type]
            loop="uvloop",
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
        )
        super().__init__(config)
        self.sockets = sockets
        self.limits = limits or Limits()
        self.idle_exit = idle_exit
        self.shared = State()
        self.server_state = self.shared
        self.exit_code = Exit.OK
        self._last_seen = 0.0

    def serve_until_done(self) -> Exit:
        """Run; returns the exit code."""
        self.run(sockets=self.sockets)
        return self.exit_code

    def stop(self, code: Exit) -> None:
        """Drain and end with `code`."""
        self.exit_code = code
        self.should_exit = True

    def handle_exit(self, sig: int, frame: object) -> None:
        """Note a signal. uvicorn would raise it again in the end, and the exit code be lost."""
        super().handle_exit(sig, frame)  # type: ignore[arg-type]
        self._captured_signals.clear()
        self.exit_code = Exit.INTERRUPTED if sig == signal.SIGINT else self.exit_code

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell systemd."""
        loop = asyncio.get_running_loop()
        self.servers = [await self._listen(loop, sock) for sock in sockets or []]
        self.started = True
        self._last_seen = loop.time()
        daemon.notify("READY=1")

    async def _listen(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket
    ) -> asyncio.base_events.Server:
        local = sock.family == socket.AF_UNIX
        # Told by the listener: a client's own address cannot be read once it has reset.
        make = functools.partial(
            Connection, self.config, self.shared, {}, limits=self.limits, local=local
        )
        # create_server for a unix socket as well: create_unix_server would, from Python 3.13
        # on, delete the path when it closes, which is systemd's.
        return await loop.create_server(make, sock=sock, backlog=BACKLOG)

    async def on_tick(self, counter: int) -> bool:
        """Look after deadlines and idleness, ten times a second."""
        done = await super().on_tick(counter)
        now = asyncio.get_running_loop().time()
        self._check_deadlines(now)
        return done or self._is_idle(now)

    def _check_deadlines(self, now: float) -> None:
        for connection in list(self.shared.connections):
            connection.check_deadline(now)  # type: ignore[union-attr]

    def _is_idle(self, now: float) -> bool:
        """Idle is no open connection, not no request: a client may be about to send."""
        if self._is_busy():
            self._last_seen = now
        return self.idle_exit > 0 and now - self._last_seen >= self.idle_exit

    def _is_busy(self) -> bool:
        return bool(self.shared.connections or self.shared.tasks)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listeners, never shutdown(2) them, and answer who got in."""
        daemon.notify("STOPPING=1")
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        for _ in range(3):  # connections that were accepted in this turn of the loop appear
            await asyncio.sleep(0)
        self.shared.draining = True
        for connection in list(self.shared.connections):
            connection.drain(GRACE)  # type: ignore[union-attr]
        await self._drain()

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_MAX
        while self._is_busy() and loop.time() < end and not self.force_exit:
            await asyncio.sleep(0.01)
            self._check_deadlines(loop.time())
        for connection in list(self.shared.connections):
            connection.shutdown()
        await asyncio.sleep(0)
