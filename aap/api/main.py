"""The program: settings in, sockets in, serve, exit code out."""

from __future__ import annotations

import gc
import resource
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from aap.api.app import App, Policy
from aap.api.connection import MAX_LINGERING, Limits
from aap.api.gauge import Levels
from aap.api.intake import Intake
from aap.api.journal import Journal
from aap.api.keys import LiveKeys
from aap.api.server import Server
from aap.config import Loaded, Settings, is_loopback, keys_file, load, spool_root
from aap.errors import AapError, ConfigError, Exit, FormatError, UsageError
from aap.inbox import Spool
from aap.systemd.daemon import listen_sockets

USAGE = "usage: python -m aap.api [--config FILE] [--workspace PATH] [--bind ADDRESS]..."

_PR_SET_DUMPABLE = 4  # prctl(2)
_SPARE_FILES = 256  # descriptors besides those of connections: staged messages, listeners


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the API and exit: the one place that turns errors into exit codes."""
    journal = Journal()
    try:
        code = run(sys.argv[1:] if argv is None else argv, journal)
    except AapError as error:
        journal.event("error", "failed", error=str(error), hint=error.hint or None)
        code = error.code
    sys.exit(code)


def run(argv: Sequence[str], journal: Journal) -> Exit:
    """Serve until told to stop, or until idle where systemd holds the sockets.

    Raises AapError.
    """
    flags = _read_flags(argv)
    _hide_memory()
    loaded = load(
        workspace=flags.get("--workspace", [None])[-1],
        config_file=flags.get("--config", [None])[-1],
    )
    settings = loaded.settings
    keys = LiveKeys(keys_file(), settings.api_key)
    passed = listen_sockets()
    sockets = passed or [_bind(address) for address in _addresses(flags, settings)]
    _check_exposure(sockets, keys)
    _raise_file_limit(settings.max_connections)
    idle_exit = settings.idle_exit if passed else 0.0
    return _serve(loaded, keys, sockets, idle_exit, journal)


def _hide_memory() -> None:
    """Leave no core dump, and let no other process of the user look inside: there are keys."""
    nothing = 0, 0
    if resource.getrlimit(resource.RLIMIT_CORE) != nothing:  # the unit forbids to say it again
        resource.setrlimit(resource.RLIMIT_CORE, nothing)
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))


def _read_flags(argv: Sequence[str]) -> dict[str, list[str]]:
    """Read the few flags by hand: argparse takes 10 ms, and units start us without any."""
    flags: dict[str, list[str]] = {}
    words = iter(argv)
    for word in words:
        value = next(words, None)
        if word not in {"--bind", "--config", "--workspace"} or value is None:
            raise UsageError(USAGE)
        flags.setdefault(word, []).append(value)
    return flags


def _addresses(flags: dict[str, list[str]], settings: Settings) -> list[str]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return flags.get("--bind", [f"{host}:{settings.port}"])


def _bind(address: str) -> socket.socket:
    """Open a socket at `HOST:PORT` or `unix:PATH`."""
    try:
        if address.startswith("unix:"):
            return _bind_unix(Path(address.removeprefix("unix:")))
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(port)), family=family)
    except (OSError, ValueError, OverflowError) as error:
        raise ConfigError(f"cannot listen at {address}: {error}") from error


def _bind_unix(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    path.chmod(0o600)  # before listen: nobody gets in meanwhile
    bound.listen()
    return bound


def _check_exposure(sockets: Sequence[socket.socket], keys: LiveKeys) -> None:
    open_to_all = [
        sock.getsockname()[0]
        for sock in sockets
        if sock.family != socket.AF_UNIX and not is_loopback(sock.getsockname()[0])
    ]
    if open_to_all and keys.lack:
        raise ConfigError(
            f"{open_to_all[0]} is reachable from other machines, and {keys.lack}",
            hint="make one with: aap key new NAME",
        )


def _raise_file_limit(connections: int) -> None:
    # Without a spare descriptor, libuv accepts a connection only to close it.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * (connections + MAX_LINGERING) + _SPARE_FILES  # of TCP, of the unix socket
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _serve(
    loaded: Loaded,
    keys: LiveKeys,
    sockets: list[socket.socket],
    idle_exit: float,
    journal: Journal,
) -> Exit:
    def restart() -> None:
        journal.event("error", "stale", hint="inbox/ was made anew; starting again to reach it")
        server.stop(Exit.FAILED)

    settings = loaded.settings
    intakes = {
        name: Intake(name, _spool(path), _levels(settings), restart)
        for name, path in loaded.workspaces.items()
    }
    ordered = {loaded.default: intakes[loaded.default], **intakes}
    app = App(ordered, keys, _policy(settings), journal)
    server = Server(app, sockets, limits=_limits(settings), idle_exit=idle_exit)
    for sock in sockets:
        journal.event("info", "listening", at=_name(sock))
    gc.freeze()  # what was imported is never garbage: leave it out of every collection
    try:
        return server.serve_until_done()
    finally:
        for intake in intakes.values():
            intake.close()


def _spool(workspace: Path) -> Spool:
    spool = Spool(spool_root(Settings(workspace=workspace)))
    # In the sandbox only inbox/ can be written; each message finds out what is wrong.
    with suppress(OSError, FormatError):
        spool.create()
    return spool


def _name(sock: socket.socket) -> str:
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


def _limits(settings: Settings) -> Limits:
    return Limits(
        header_timeout=settings.header_timeout,
        body_timeout=settings.body_timeout,
        connections=settings.max_connections,
    )


def _levels(settings: Settings) -> Levels:
    return Levels(
        messages=settings.inbox_max,
        size=settings.inbox_max_bytes,
        free=settings.min_free,
        free_inodes=settings.min_free_inodes,
    )


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_body=settings.max_body,
        body_memory=max(Policy().body_memory, 4 * settings.max_body),
        reply=settings.reply,
        internal=settings.internal,
        a2a_key=settings.a2a_key,
    )
