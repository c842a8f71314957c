"""The checks of `aap doctor`, in the order in which a person would look.

The ids are stable: scripts and manuals may name them. A check looks and changes
nothing that stays. A new check is a function and a line in `CHECKS`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace

from aap.cli.checks import agents, machine, others, service, settings, spools, ways
from aap.cli.checks.finding import FAIL, INSTALL, Check, Finding, Patient, Unasked
from aap.errors import AapError, NotRunningError, PermissionDeniedError, describe
from aap.mode import SYSTEM, as_root, find_mode, in_mode

__all__ = ["CHECKS", "Check", "Finding", "Patient", "examine"]

CHECKS: dict[str, Check] = {
    "user.runtime": Check(
        machine.user_runtime, "without it no command finds the service manager that runs aap"
    ),
    "user.bus": Check(machine.user_bus, "systemd runs every part of aap"),
    "user.linger": Check(
        machine.user_linger, "systemd ends all that a user runs when the last login ends"
    ),
    "config.parse": Check(
        settings.config_parse, "with a line that cannot be understood, API and worker do not start"
    ),
    "config.secret": Check(settings.config_secret, "who can read a key can use it"),
    "config.keys": Check(settings.config_keys, "the keys decide who may make the agent act"),
    "config.units": Check(settings.config_units, "what you see here is not what runs"),
    "units.present": Check(service.units_present, "a missing unit is a part that nobody starts"),
    "units.enabled": Check(service.units_enabled, "after a reboot nobody would be there"),
    "units.drift": Check(
        service.units_drift, "other units than these may lack what this version relies on"
    ),
    "units.drop-ins": Check(service.units_drop_ins, "they count more than aap's own units"),
    "units.version": Check(service.units_version, "it is what the units start"),
    "units.failed": Check(service.units_failed, "a unit in this state does not do its part"),
    "units.limit": Check(service.units_limit, "systemd does not start it again by itself"),
    "socket.listening": Check(ways.socket_listening, "every client is refused"),
    "socket.port": Check(ways.socket_port, "who goes by the settings reaches nobody"),
    "socket.file": Check(ways.socket_file, "local programs come in by this file, without a key"),
    "socket.exposed": Check(ways.socket_exposed, "whoever connects can make the agent act"),
    "socket.answers": Check(ways.socket_answers, "clients get an error, and try again or give up"),
    "worker.path": Check(ways.worker_path, "messages are accepted, and nobody takes them"),
    "worker.workspace": Check(
        ways.worker_workspace, "what comes for that workspace waits for ever"
    ),
    "worker.oldest": Check(ways.worker_oldest, "somebody waits for an answer"),
    "worker.orphans": Check(ways.worker_orphans, "they wait until they are brought back"),
    "worker.run": Check(
        ways.worker_run,
        "each failure costs its messages an attempt, and they have MAX_ATTEMPTS",
    ),
    "agent.found": Check(agents.agent_found, "without it no message is handled"),
    "agent.login": Check(agents.agent_login, "each run would end in an outage"),
    "agent.outage": Check(agents.agent_outage, "messages wait until it works again"),
    "agent.bypass": Check(
        agents.agent_bypass, "what a stranger writes could have it do anything you could do"
    ),
    "sandbox.enforced": Check(
        service.sandbox_enforced, "it keeps the agent from your keys and your service manager"
    ),
    "sandbox.whole": Check(
        service.sandbox_whole, "it keeps the agent from your keys and your service manager"
    ),
    "sandbox.settings": Check(
        service.sandbox_settings, "what they name, aap runs and obeys outside the sandbox"
    ),
    "spool.format": Check(spools.spool_format, "an older aap would spoil what a newer one wrote"),
    "spool.permissions": Check(
        spools.spool_permissions, "messages are private, and must be there to be stored"
    ),
    "spool.fsync": Check(spools.spool_fsync, "a 200 promises that the message is on the disk"),
    "spool.rename": Check(spools.spool_rename, "each step of a message is one rename"),
    "spool.lock": Check(spools.spool_lock, "it keeps a second worker out"),
    "spool.space": Check(spools.spool_space, "what cannot be stored is refused"),
    "spool.strays": Check(spools.spool_strays, "nobody will ever handle them"),
    "spool.leftovers": Check(spools.spool_leftovers, "they only take room"),
    "spool.corrupt": Check(spools.spool_corrupt, "they go to failed/ when their turn comes"),
    "spool.failed": Check(spools.spool_failed, "somebody got no answer"),
    "journal.readable": Check(
        machine.journal_readable, "without it aap logs shows the worker's files alone"
    ),
    "journal.persistent": Check(
        machine.journal_persistent, "what the API said before a reboot is gone"
    ),
    "journal.complete": Check(machine.journal_complete, "a trace may have holes"),
    "clock.sane": Check(machine.clock_sane, "messages are ordered, retried and removed by it"),
    "skills.current": Check(others.skills_current, "agents do what they read there"),
    "shell.current": Check(others.shell_current, "man and the Tab key say what was true once"),
    "openclaw.settings": Check(
        others.openclaw_settings,
        "with others OpenClaw answers in the agent's place, or drops messages",
    ),
}


def examine(patient: Patient, ids: Sequence[str]) -> list[Finding]:
    """Run the checks of these ids. What a check raises is a finding too."""
    return [
        replace(each, id=name, why=each.why or CHECKS[name].why, fix=_in_place(patient, each.fix))
        for name in ids
        for each in _examine(patient, CHECKS[name])
    ]


def _in_place(patient: Patient, fix: str) -> str:
    """Have a cure be for the aap that is meant, and its units read on what they read."""
    if file := patient.units_file:  # without it they would read the defaults from then on
        fix = fix.replace(INSTALL, f"aap --config {shlex.quote(file)} install --user")
    return in_mode(fix)


def _examine(patient: Patient, check: Check) -> list[Finding]:
    try:
        return list(check.look(patient))
    except Unasked:
        return []
    except (AapError, OSError) as error:
        return [_raised(error)]
    except Exception as error:  # one check that is at a loss must not silence the others
        if os.environ.get("AAP_DEBUG"):
            raise
        return [
            Finding(FAIL, f"the check itself failed, {type(error).__name__}", detail=str(error))
        ]


def _raised(error: AapError | OSError) -> Finding:
    if isinstance(error, NotRunningError):
        return Finding(FAIL, str(error), error.hint)
    closed = isinstance(error, (PermissionDeniedError, PermissionError))
    why = "what you may not read cannot be judged" if closed else ""
    if isinstance(error, AapError):
        return Finding(FAIL, "", error.hint, str(error), why=why)
    is_roots = closed and find_mode() == SYSTEM and os.geteuid() != 0
    return Finding(FAIL, "", as_root() if is_roots else "", describe(error), why=why)
