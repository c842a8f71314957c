"""Which workspace and which configuration a command is about."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from aap.errors import ConfigError, NotFoundError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one == other or one.samefile(other)
    return False


class Place:
    """The options that every command takes; None where the command line says nothing."""

    def __init__(self, workspace: str | None = None, config: str | None = None) -> None:
        self.workspace = workspace
        self.config = config

    @cached_property
    def loaded(self) -> Loaded:
        """The configuration with its origins.

        Raises ConfigError; NotFoundError where `workspace` is an unknown name or no folder.
        """
        from aap import config

        found = config.load(workspace=self.workspace, config_file=self.config)
        if self.workspace is not None and found.name == config.MAIN:
            self._check_folder(found.settings.workspace)
        return found

    def _check_folder(self, folder: Path) -> None:
        with suppress(PermissionError):  # whether it is there is then for the command to find out
            if not folder.is_dir():
                raise self.no_workspace(folder)

    def no_workspace(self, folder: Path) -> NotFoundError:
        """Return the error for a folder that is no workspace, with what makes it one."""
        return NotFoundError(f"no workspace at {folder}", hint=self.cure(folder))

    def cure(self, folder: Path) -> str:
        """Return the command that has a folder watched: one of the settings', or a new one."""
        import shlex

        from aap import config
        from aap.config.registry import read_registry
        from aap.mode import install_command

        main = config.find_folder(config.MAIN, self.config)
        if _is_same(folder, main) or read_registry(config.workspaces_file()).name_of(folder):
            return install_command()
        return f"aap workspace add NAME {shlex.quote(str(folder))}"

    def check_known(self) -> None:
        """Raise NotFoundError as `loaded` does, and let wrong settings be another's to tell."""
        with suppress(ConfigError, PermissionDeniedError):
            self.loaded  # noqa: B018 - it is what raises

    def check_served(self) -> None:
        """Raise NotFoundError where `workspace` is the path of none that aap looks after.

        Commands that have the API or systemd act need it: a path that neither knows would
        stand for `main`. What is in a folder can be read all the same.
        """
        from aap import config

        meant = self.workspace, self.config
        if self.workspace is None or config.find_name(*meant) != config.MAIN:
            return
        from aap.mode import find_mode
        from aap.systemd import record

        # The folder's own settings are not read: the group of the machine's aap may not.
        folder, known = config.find_folder(*meant), record.read(find_mode())
        self._check_folder(folder)
        if known and not any(_is_same(folder, each) for each in known.plan.workspaces.values()):
            raise self.no_workspace(folder)

    def chosen(self, paths: Mapping[str, Path]) -> Mapping[str, Path]:
        """Return the workspace of `paths` that the command line names, or all if it names none.

        Raises NotFoundError for one that is not among them.
        """
        from aap import config

        if self.workspace is None:
            return paths
        folder = config.find_folder(self.workspace, self.config)
        found = {name: path for name, path in paths.items() if _is_same(path, folder)}
        if not found:
            raise self.no_workspace(folder)
        return found

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
