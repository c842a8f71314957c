"""Settings: the table, the files, their order, and the keys of the API.

Imports the standard library only, and little of it: the worker starts with this. `KeyRing`,
`set_value` and `import_seed` and their like come from the modules `keys`, `store` and
`takeover`, by who needs them.
"""

from aap.config.envfile import DoubtfulConfigError, Finding, parse
from aap.config.load import Loaded, Origin, find_folder, find_name, known_key, load
from aap.config.paths import (
    config_folder,
    keys_file,
    secrets_folder,
    spool_root,
    system_file,
    user_file,
    workspace_file,
    workspaces_file,
)
from aap.config.registry import MAIN
from aap.config.table import SETTINGS, Setting, Settings, is_loopback

__all__ = [
    "MAIN",
    "SETTINGS",
    "DoubtfulConfigError",
    "Finding",
    "Loaded",
    "Origin",
    "Setting",
    "Settings",
    "config_folder",
    "find_folder",
    "find_name",
    "is_loopback",
    "keys_file",
    "known_key",
    "load",
    "parse",
    "secrets_folder",
    "spool_root",
    "system_file",
    "user_file",
    "workspace_file",
    "workspaces_file",
]
