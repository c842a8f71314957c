"""The ways of a message: in through the API's socket, on through the worker."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING

from aap import config
from aap.cli import output
from aap.cli.checks.finding import (
    FAIL,
    INSTALL,
    NOTE,
    OK,
    WARN,
    Finding,
    Found,
    Patient,
    Site,
    Unasked,
    in_each,
    installation,
    settings_of,
    status_of,
)
from aap.cli.checks.service import enable
from aap.errors import AapError
from aap.mode import USER, install_command
from aap.systemd import ports, units
from aap.systemd.status import WorkspaceUnits

if TYPE_CHECKING:
    from aap.config.keys import KeyRing

LOGS = "aap logs --today"
WAITS_TOO_LONG = 60.0  # seconds in inbox/ after which nobody seems to come


def socket_listening(patient: Patient) -> Found:
    """Look whether systemd holds the sockets, and who else has the port."""
    socket = status_of(patient).socket
    if socket.active == "active":
        yield Finding(OK, " and ".join(socket.listen))
        return
    listen = installation(patient).plan.listen
    port = ports.split(listen)[1]
    if ports.is_free(listen):
        yield Finding(FAIL, "nobody listens", enable(patient, socket), safe=True)
    else:
        said = f"port {port} is taken by {ports.holder(port).name}"
        yield Finding(FAIL, said, f"aap config set PORT {port + 1} && {INSTALL}")


def socket_port(patient: Patient) -> Found:
    """Compare the address with the settings."""
    settings = settings_of(patient)
    wanted = ports.listen_stream(settings.host, settings.port)
    listen = installation(patient).plan.listen
    if listen == wanted:
        yield Finding(OK, f"{listen}, as HOST and PORT say")
    else:
        said = f"the socket was installed for {listen}, but HOST and PORT say {wanted}"
        lack = not config.is_loopback(settings.host) and _ring(patient).lack
        # config.keys tells what is missing, without which an installation refuses.
        yield Finding(WARN, said, f"aap key new NAME && {INSTALL}" if lack else INSTALL,
                      safe=not lack)  # fmt: skip


def socket_file(patient: Patient) -> Found:
    """Look at the unix socket: whether it is there, and whose it is to open."""
    socket = status_of(patient).socket
    if socket.active != "active":
        raise Unasked
    # The service first: systemd 257 may find the address in use by what it forks at its end.
    stop = patient.manager.command("stop", units.API)
    restart = f"{stop} && {patient.manager.command('restart', socket.name)}"
    for path in (Path(each) for each in socket.listen if each.startswith("/")):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            yield Finding(FAIL, f"{path} was removed: nobody can open it", restart, safe=True)
            continue
        wanted = 0o600 if patient.manager.mode == USER else 0o660
        if stat.S_IMODE(mode) & ~wanted & 0o077:
            said = f"other users can open {path}, which needs no key"
            yield Finding(FAIL, said, f"chmod {wanted:o} {path}", safe=True)
        else:
            whose = "its owner" if wanted == 0o600 else "root and the group aap"
            yield Finding(OK, f"{path} can be opened by {whose} alone")


def socket_exposed(patient: Patient) -> Found:
    """Look whether other machines can post messages, and need a key."""
    found = [
        stream for stream in _streams(patient) if not config.is_loopback(ports.split(stream)[0])
    ]
    if not found:
        yield Finding(OK, "only this machine can connect")
    elif not (ring := _ring(patient)).lack:
        yield Finding(NOTE, f"other machines can connect to {', '.join(found)}, with a key")
    elif ring:
        said = f"other machines can connect to {', '.join(found)}, and {ring.lack}"
        yield Finding(FAIL, said, "aap key new NAME")
    else:
        fix = f"aap config set HOST 127.0.0.1 && {INSTALL}"
        yield Finding(FAIL, f"other machines can connect to {', '.join(found)} without a key", fix)


def _ring(patient: Patient) -> KeyRing:
    from aap.config.keys import KeyRing

    return KeyRing.load(config.keys_file(), settings_of(patient).api_key)


def _streams(patient: Patient) -> set[str]:
    """The TCP addresses: what is installed, and what a drop-in may have added."""
    streams = {installation(patient).plan.listen}
    try:
        listen = patient.status.socket.listen
    except AapError:
        return streams
    return streams | {each for each in listen if ":" in each and not each.startswith("/")}


def socket_answers(patient: Patient) -> Found:
    """Ask the API how it is; systemd starts it for that if need be."""
    if status_of(patient).socket.active != "active":
        raise Unasked
    host, port = ports.split(installation(patient).plan.listen)
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison
    began = time.monotonic()
    connection = HTTPConnection(shown, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse().status
    except (OSError, HTTPException) as error:
        yield Finding(FAIL, "the API does not answer", LOGS, str(error))
        return
    finally:
        connection.close()
    took = f"in {(time.monotonic() - began) * 1000:.0f} ms"
    if answer == 200:
        yield Finding(OK, f"the API answers {took}")
    else:
        yield Finding(FAIL, f"the API answers {answer} {took}", LOGS)


# The worker's way


def worker_path(patient: Patient) -> Found:
    """Look whether inboxes are watched and retries are timed."""
    found = status_of(patient)
    paused = [each for each in found.workspaces if each.is_paused]
    for each in paused:
        yield Finding(NOTE, f"{each.path} is paused", f"aap -w {each.name} resume")
    asleep = [
        unit
        for each in found.workspaces
        for unit in ((each.timer,) if each.is_paused else (each.watch, each.timer))
        if unit.active != "active" and unit.load == "loaded"
    ]
    for unit in asleep:
        yield Finding(FAIL, f"{unit.name} is {unit.active}", enable(patient, unit), safe=True)
    if not asleep and len(paused) < len(found.workspaces):
        watched = ", ".join(str(each.path) for each in found.workspaces if not each.is_paused)
        yield Finding(OK, f"the inbox of {watched} is watched")


def worker_workspace(patient: Patient) -> Found:
    """Compare the workspaces with the settings."""
    settings_of(patient)
    wanted = set(patient.loaded.workspaces.values())
    installed = set(installation(patient).plan.workspaces.values())
    for path in sorted(wanted - installed):
        said = f"{path} is a workspace, and its inbox is not watched"
        fix = patient.place.cure(path)
        is_ours = fix == install_command()
        yield Finding(WARN, said, INSTALL if is_ours else fix, safe=is_ours)
    if wanted <= installed:
        yield Finding(OK, ", ".join(map(str, sorted(wanted))))


def worker_oldest(patient: Patient) -> Found:
    """Look whether messages wait although nobody is at work."""
    yield from in_each(patient, lambda site: _look_at_oldest(patient, site))


def _look_at_oldest(patient: Patient, site: Site) -> Found:
    queue = site.queue
    waits = time.time() - queue.oldest_at if queue.oldest else 0.0
    count = output.counted(queue.counts["inbox"], "message")
    if waits < WAITS_TOO_LONG:
        yield Finding(OK, f"{count} waiting" if queue.counts["inbox"] else "no message waits")
        return
    said = f"{count} waiting, the oldest for {output.age(waits)}"
    if queue.pause:
        yield Finding(NOTE, f"{said}; the workspace is paused", "aap resume")
    elif any(each.worker.active == "active" for each in _units_of(patient, site)):
        yield Finding(NOTE, f"{said}; the worker is busy", LOGS)
    else:
        yield Finding(FAIL, f"{said}, and no worker runs", "aap doctor --only worker.path")


def _units_of(patient: Patient, site: Site) -> Iterator[WorkspaceUnits]:
    return (each for each in status_of(patient).workspaces if each.path == site.path)


def worker_run(patient: Patient) -> Found:
    """Look how the last run ended."""
    yield from in_each(patient, _look_at_last_run)


def _look_at_last_run(site: Site) -> Found:
    run = site.queue.last_run
    if run is None:
        yield Finding(OK, "no run so far")
        return
    ago = output.age(time.time() - run.ended)
    if run.outcome == "outage":
        said = f"the last run, {ago} ago, found the agent out of order; that costs no attempt"
        yield Finding(NOTE, said, detail=run.reason)
    elif run.outcome in {"ok", "stopped"}:
        ended = "ended well" if run.outcome == "ok" else "was stopped"
        yield Finding(OK, f"the last run {ended} {ago} ago")
    else:
        yield Finding(WARN, f"the last run failed {ago} ago", LOGS, run.reason)


def worker_orphans(patient: Patient) -> Found:
    """Look for messages that a worker had claimed which is gone."""
    yield from in_each(patient, lambda site: _look_at_orphans(patient, site))


def _look_at_orphans(patient: Patient, site: Site) -> Found:
    count = site.queue.counts["active"]
    if not count or site.spool.lock_holder():
        yield Finding(OK, "no message is left by a worker that died")
        return
    # What the timer starts every half minute.
    sweep = units.sweep_service(site.path)
    fix = patient.manager.command("start", f"'{sweep}'")
    said = f"{output.counted(count, 'message')} claimed by a worker that is gone"
    yield Finding(WARN, said, fix, safe=True)
