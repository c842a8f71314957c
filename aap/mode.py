"""Whose aap is meant: that of the user who runs this, or the machine's.

The machine's has its settings and keys in /etc/aap, which root changes and the group
`aap` reads, and its messages where the account `aap` may write. The record of its
installation is in /etc/aap too: below /var/lib/aap the agent could change what root reads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from aap.errors import ConfigError

USER, SYSTEM = "user", "system"

ACCOUNT = "aap"  # the user, and the group, that the machine's units run as
SYSTEM_CONFIG = Path("/etc/aap")
SYSTEM_HOME = Path("/var/lib/aap")  # of the account
SYSTEM_RECORD = SYSTEM_CONFIG / "install.json"
SYSTEM_WORKSPACE = SYSTEM_HOME / "workspace"

VARIABLE = "AAP_MODE"


def find_mode(environ: Mapping[str, str] = os.environ) -> str:
    """Return USER or SYSTEM.

    `AAP_MODE` says it; the machine's units have it. Without, it is the machine's aap where
    that is installed, this process may read its settings (root, and the group `aap`), and
    the user has installed none of their own. Raises ConfigError for any other AAP_MODE.
    """
    said = environ.get(VARIABLE, "")
    if said in (USER, SYSTEM):
        return said
    if said:
        raise ConfigError(f'{VARIABLE} is "{said}"', hint=f"export {VARIABLE}={USER}, or {SYSTEM}")
    if not os.access(SYSTEM_RECORD, os.R_OK):
        return USER
    # access(2) asks with the rights that the process was started with.
    return USER if os.access(user_record(environ), os.F_OK) else SYSTEM


def choose_mode(mode: str) -> None:
    """Have this process, and what it starts, mean this one's aap."""
    os.environ[VARIABLE] = mode


def install_command() -> str:
    """The command that puts the units of this aap in place, for a person to type."""
    if find_mode() == USER:
        return "aap install --user"
    return "aap install --system" if os.geteuid() == 0 else "sudo aap install --system"


def in_mode(command: str) -> str:
    """Turn a command that is written for a user's own aap into that for the aap that is meant."""
    mode = find_mode()
    if mode == SYSTEM:
        systemctl = "systemctl" if os.geteuid() == 0 else "sudo systemctl"
        command = command.replace("aap install --user", install_command())
        command = command.replace("systemctl --user", systemctl)
    if mode == find_mode({**os.environ, VARIABLE: ""}):
        return command
    # An option said whose aap is meant, before one is installed: the next command has none.
    for group in ("config", "key"):
        command = command.replace(f"aap {group} ", f"{VARIABLE}={mode} aap {group} ")
    return command


def as_root() -> str:
    """The command that runs, for a person to type who may not do what root may."""
    import shlex
    import sys

    return shlex.join(["sudo", "aap", *sys.argv[1:]])


def user_record(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the record of the user's own installation is."""
    base = environ.get("XDG_STATE_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".local/state"
    return folder / "aap/install.json"
