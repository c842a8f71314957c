"""Where configuration, keys, secrets and spools are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from aap import SPOOL_FOLDER, WORKSPACE_FILE, mode
from aap.config.table import Settings

SYSTEM_FILE = mode.SYSTEM_CONFIG / "aap.conf"


def config_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of `aap.conf`, `keys` and `secrets/`: of the user who runs this, or the machine.

    A unit with ConfigurationDirectory=aap says it in CONFIGURATION_DIRECTORY (/etc/aap for
    the system's units); a folder of another name there belongs to another unit that happened
    to start us. Else it is what platformdirs would say, without the 7 ms of importing it: a
    test compares the two.
    """
    for folder in environ.get("CONFIGURATION_DIRECTORY", "").split(":"):
        if Path(folder).name == "aap":
            return Path(folder)
    if mode.find_mode(environ) == mode.SYSTEM:
        return mode.SYSTEM_CONFIG
    base = environ.get("XDG_CONFIG_HOME", "").strip()
    if base.startswith("/"):
        return Path(base, "aap")
    return Path(environ.get("HOME") or Path.home(), ".config", "aap")


def user_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's configuration file, whether or not it exists."""
    return config_folder(environ) / "aap.conf"


def keys_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The file of hashed API keys."""
    return config_folder(environ) / "keys"


def secrets_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of real secrets, one file each, mode 0700; the worker's unit hides it."""
    return config_folder(environ) / "secrets"


def workspaces_file(environ: Mapping[str, str] = os.environ) -> Path:
    """The file of the workspaces besides `main`."""
    return config_folder(environ) / "workspaces"


def system_file() -> Path:
    """The machine's configuration file."""
    return SYSTEM_FILE


def workspace_file(workspace: Path) -> Path:
    """The workspace's own configuration file."""
    return workspace / WORKSPACE_FILE


def spool_root(settings: Settings) -> Path:
    """The spool of the settings' workspace."""
    return settings.workspace / SPOOL_FOLDER
