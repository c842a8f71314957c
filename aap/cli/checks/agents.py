"""The agent: is it there, is it logged in, and what may it do."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from aap import process
from aap.agents import Agent, find_agent
from aap.cli import output
from aap.cli.checks.finding import (
    FAIL,
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
    status_of,
)
from aap.cli.checks.service import missing_walls
from aap.cli.programs import look_for
from aap.errors import AapError, ConfigError
from aap.mode import ACCOUNT, USER
from aap.systemd import units

# Words by which an agent is let do anything without asking; gemini's is short.
_BYPASSES = frozenset((
    "--dangerously-bypass-approvals-and-sandbox", "--dangerously-skip-permissions", "--yolo",
    "--allow-dangerously-skip-permissions", "--yes-always", "bypassPermissions",
    "danger-full-access", "--permission-mode=bypassPermissions", "--sandbox=danger-full-access",
))  # fmt: skip
_LOGINS = {"codex": "codex login", "claude": "claude auth login"}


def agent_found(patient: Patient) -> Found:
    """Look for the agent's command as the worker would, with the units' PATH."""
    yield from in_each(patient, lambda site: _find(patient, site))


def _find(patient: Patient, site: Site) -> Found:
    agent = _configured(site)
    path = _units_path(patient)
    for note in agent.notes:
        yield Finding(NOTE, "the command is changed", detail=note)
    for each in look_for(agent, site.settings, path):
        if each.path:
            yield Finding(OK, f"{agent.name}: {each.path}")
        else:
            yield Finding(FAIL, each.trouble, each.fix, safe=each.safe)


def _configured(site: Site) -> Agent:
    settings = site.settings
    return find_agent(settings.agent, settings.agent_init_cli, settings.agent_cli)


def _configured_or_nothing(site: Site) -> Agent:
    try:
        return _configured(site)
    except ConfigError as error:
        raise Unasked from error  # agent.found says it


def _units_path(patient: Patient) -> str:
    try:
        return patient.installed.plan.environ["PATH"]
    except (AapError, KeyError):
        return os.environ.get("PATH", os.defpath)


def agent_outage(patient: Patient) -> Found:
    """Look whether the worker waits for the agent to come back."""
    yield from in_each(patient, _look_at_outage)


def _look_at_outage(site: Site) -> Found:
    outage = site.queue.outage
    if outage is None:
        yield Finding(OK, "no outage")
        return
    since = output.age(time.time() - outage.since)
    said = f"the agent has been out of order for {since}"
    yield Finding(WARN, said, "aap agent test", outage.reason)


# Logged in?


def agent_login(patient: Patient) -> Found:
    """Look whether the agent has a login or a key, where that can be told without a run."""
    status_of(patient)
    yield from in_each(patient, lambda site: _look_at_login(patient, site))


def _look_at_login(patient: Patient, site: Site) -> Found:
    agent = _configured_or_nothing(site)
    environ = {"HOME": str(patient.home)} | patient.unit_environment(site)
    if shutil.which(agent.resume[0], path=environ.get("PATH")) is None:
        raise Unasked
    told = {"claude": _claude_login, "codex": _codex_login}.get(agent.name)
    logged_in = told(agent, environ) if told else None
    if agent.name == "echo":
        yield Finding(OK, "echo needs no login")
    elif logged_in is None:
        yield Finding(OK, f"whether {agent.name} is logged in, a run tells: aap agent test")
    elif logged_in:
        yield Finding(OK, f"{agent.name} has a login or a key")
    else:
        said = f"{agent.name} has no login and no key that the units know"
        sudo = "" if patient.manager.mode == USER else f"sudo -u {ACCOUNT} -H "
        yield Finding(WARN, said, sudo + _LOGINS[agent.name])


def _claude_login(agent: Agent, environ: Mapping[str, str]) -> bool | None:
    """Ask claude itself. Older ones know no `auth status`, and print no JSON."""
    with suppress(AapError, ValueError, KeyError, TypeError):
        outcome = process.run([agent.resume[0], "auth", "status"], environ=environ, family=True)
        return bool(json.loads(outcome.out)["loggedIn"])
    return None


def _codex_login(_agent: Agent, environ: Mapping[str, str]) -> bool | None:
    """Look where codex looks; its own `login status` knows nothing of other providers."""
    home = Path(environ.get("CODEX_HOME") or Path(environ["HOME"], ".codex"))
    if environ.get("CODEX_API_KEY") or environ.get("OPENAI_API_KEY"):
        return True
    with suppress(OSError, ValueError):
        login = json.loads((home / "auth.json").read_bytes())
        if isinstance(login, dict) and (login.get("tokens") or login.get("OPENAI_API_KEY")):
            return True
    try:
        provider = _codex_provider(home / "config.toml")
    except (OSError, ValueError):
        return None
    if provider is None:
        return False
    variable = provider.get("env_key")
    return bool(environ.get(str(variable))) if variable else None


def _codex_provider(path: Path) -> dict[str, Any] | None:
    """Return a provider of the person's own; None for that of OpenAI. Raises ValueError."""
    if not path.exists():
        return None
    try:
        tomllib = import_module("tomllib")
    except ImportError as error:  # Python 3.10
        raise ValueError from error
    settings = tomllib.loads(path.read_text("utf-8"))
    name = settings.get("model_provider", "openai")
    provider = settings.get("model_providers", {}).get(name, {})
    return None if name == "openai" else dict(provider)


# May it do anything?


def agent_bypass(patient: Patient) -> Found:
    """Look whether an agent that asks nobody has the whole sandbox around it."""
    status_of(patient)
    yield from in_each(patient, lambda site: _look_at_bypass(patient, site))


def _look_at_bypass(patient: Patient, site: Site) -> Found:
    agent = _configured_or_nothing(site)
    words = {*agent.fresh, *agent.resume}
    bypasses = sorted(words & _BYPASSES) + (
        ["-y"] if agent.name == "gemini" and "-y" in words else []
    )
    if not bypasses:
        yield Finding(OK, f"{agent.name} is not told to do all without asking")
    elif _is_walled(patient, site):
        yield Finding(OK, f"{agent.name} asks nobody ({bypasses[0]}), within the sandbox")
    else:
        said = f"{agent.name} asks nobody ({shlex.join(bypasses)}), and the sandbox is not whole"
        yield Finding(WARN, said, "aap doctor --only sandbox")


def _is_walled(patient: Patient, site: Site) -> bool:
    plan = installation(patient).plan
    return (
        plan.mounts
        and patient.has_mounts
        and not missing_walls(patient, units.worker_service(site.path))
    )
