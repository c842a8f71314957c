"""Which workspace and which configuration a command is about."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aap.config import Loaded, Settings
    from aap.inbox import Spool
    from aap.log import DailyLog


def at_workspace(command: str, workspace: str | None) -> str:
    """Return a command of aap as it is typed for a workspace; what is of all stays as it is."""
    if not workspace or not command.startswith("aap "):
        return command
    if command.split()[1] in {"install", "uninstall", "doctor", "status", "key", "workspace"}:
        return command
    import shlex

    return f"aap -w {shlex.quote(workspace)} {command.removeprefix('aap ')}"


class Place:
    """The options that every command takes; None where the command line says nothing."""

    def __init__(self, workspace: str | None = None, config: str | None = None) -> None:
        self.workspace = workspace
        self.config = config

    @cached_property
    def loaded(self) -> Loaded:
        """The configuration with its origins. Raises ConfigError."""
        from aap import config

        return config.load(workspace=self.workspace, config_file=self.config)

    @property
    def settings(self) -> Settings:
        """The values alone."""
        return self.loaded.settings

    @cached_property
    def spool(self) -> Spool:
        """The workspace's spool, which need not exist yet; for root, with its owner's rights.

        Raises FormatError for a newer one.
        """
        from aap import config, identity
        from aap.inbox import Spool, check_format

        root = config.spool_root(self.settings)
        identity.follow(root)
        check_format(root)
        return Spool(root)

    @cached_property
    def log(self) -> DailyLog:
        """The workspace's daily log, for what is done by hand."""
        from aap.log import DailyLog

        return DailyLog(self.spool.logs, echo=False)
