"""What a check looks at, and what it says."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from aap import SPOOL_FOLDER, config, identity
from aap.cli.activity import Queue, look_at_spool
from aap.cli.place import Place, at_workspace
from aap.config import Loaded
from aap.errors import AapError, NotFoundError, UsageError
from aap.inbox import Spool
from aap.mode import SYSTEM_HOME, USER
from aap.systemd import record, units
from aap.systemd.manager import Manager
from aap.systemd.record import Record
from aap.systemd.status import Status, look

OK, NOTE, WARN, FAIL = "ok", "note", "warn", "FAIL"

INSTALL = "aap install --user"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    `message` is aap's own words; `detail` goes on with somebody else's (a reason, a
    line of a file), which no report takes along. `fix` is the command that mends it,
    or empty; if it is `safe`, `doctor --fix` may run it.
    """

    severity: str
    message: str
    fix: str = ""
    detail: str = ""
    safe: bool = False
    id: str = ""
    why: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether somebody should do something."""
        return self.severity in (WARN, FAIL)

    @property
    def text(self) -> str:
        """All of it in one line."""
        return ": ".join(part for part in (self.message, self.detail) if part)


Found = Iterable[Finding]


class Unasked(Exception):  # noqa: N818 - no error: the check has nothing to say
    """Raised by a check that another check's finding makes pointless."""


class Site:
    """One workspace as the checks see it; properties raise as what they read does."""

    def __init__(self, name: str, path: Path, config_file: str | None) -> None:
        self.name = name
        self.path = path
        self.spool = Spool(path / SPOOL_FOLDER)
        self._config_file = config_file

    @cached_property
    def settings(self) -> config.Settings:
        """What counts for its worker. Raises ConfigError."""
        return config.load(workspace=str(self.path), config_file=self._config_file).settings

    @cached_property
    def queue(self) -> Queue:
        """What is in its spool."""
        return look_at_spool(self.spool.root)


class Patient:
    """What the checks look at, each thing asked for once.

    The properties raise AapError where they cannot be had; the check that is
    about the cause says so, and the others keep silent.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.manager = Manager()

    @cached_property
    def status(self) -> Status:
        """What systemd knows of aap."""
        return look(self.manager, self.paths)

    @cached_property
    def installed(self) -> Record:
        """The record of the installation. Raises UsageError where there is none."""
        found = record.read(self.manager.mode)
        if found is None:
            raise UsageError("aap is not installed")
        return found

    @cached_property
    def loaded(self) -> Loaded:
        """The API's configuration, which is that of `main`. Raises ConfigError."""
        if self.place.loaded.name == config.MAIN and not self.units_file:
            return self.place.loaded
        return config.load(workspace=config.MAIN, config_file=self.config_file)

    @cached_property
    def units_file(self) -> str | None:
        """The file that the units were told to read, where this shell names none."""
        if self.place.config or os.environ.get("AAP_CONFIG"):
            return None
        known = record.read(self.manager.mode)
        return known.plan.environ.get("AAP_CONFIG") if known else None

    @property
    def config_file(self) -> str | None:
        """The file that the checks judge by: what runs counts, and not what a shell forgot."""
        return self.place.config or self.units_file

    @property
    def paths(self) -> Mapping[str, Path]:
        """The workspaces that are installed, or would be."""
        known = record.read(self.manager.mode)
        return known.plan.workspaces if known else self.loaded.workspaces

    @cached_property
    def sites(self) -> tuple[Site, ...]:
        """The same, each to be looked at; where the command line names one, that alone."""
        paths = self.paths
        with suppress(NotFoundError):  # worker.workspace says that it is not watched
            paths = self.place.chosen(paths)
        return tuple(Site(name, path, self.config_file) for name, path in paths.items())

    @property
    def home(self) -> Path:
        """The home of whom the units run as."""
        return Path.home() if self.manager.mode == USER else SYSTEM_HOME

    @cached_property
    def has_mounts(self) -> bool:
        """Whether a unit really gets a mount namespace here."""
        return self.manager.has_mounts()

    def unit_environment(self, site: Site) -> dict[str, str]:
        """Return what the worker of a workspace is started with.

        EnvironmentFile= of a person's own drop-in is not among it.
        """
        name = units.worker_service(site.path)
        own = self.manager.tell("show", "--property=Environment", "--value", "--", name)
        words = [*self.manager.tell("show-environment").splitlines(), *shlex.split(own)]
        return dict(word.split("=", 1) for word in words if "=" in word)


# What a check of one thing asks of another: where it is not to be had, it says nothing.


def status_of(patient: Patient) -> Status:
    """Return the status; a check of the user, or of the configuration, says why there is none."""
    try:
        found = patient.status
    except AapError as error:
        raise Unasked from error
    if found.record is None:
        raise Unasked
    return found


def installation(patient: Patient) -> Record:
    """Return the record of the installation."""
    try:
        return patient.installed
    except AapError as error:
        raise Unasked from error


def settings_of(patient: Patient) -> config.Settings:
    """Return the settings of the API."""
    try:
        return patient.loaded.settings
    except AapError as error:
        raise Unasked from error


def in_each(patient: Patient, look_at: Callable[[Site], Found]) -> Iterator[Finding]:
    """Look at each workspace whose configuration can be read; name it where there are several."""
    sites = _sites(patient)
    is_one_of_many = len(sites) > 1 or patient.place.workspace is not None
    for site in sites:
        with identity.acting_for(site.spool.root):
            found = list(look_at(site))
        for each in found:
            yield _named(each, site.name) if is_one_of_many else each


def _named(each: Finding, name: str) -> Finding:
    """Say which workspace is meant, in the cure too."""
    fix = at_workspace(each.fix, name)
    return replace(each, message=f"{name}: {each.message}", fix=fix)


def _sites(patient: Patient) -> list[Site]:
    try:
        sites = [site for site in patient.sites if _is_readable(site)]
    except AapError as error:
        raise Unasked from error
    if not sites:
        raise Unasked
    return sites


def _is_readable(site: Site) -> bool:
    try:
        return bool(site.settings)
    except AapError:
        return False  # config.parse says it


class Check(NamedTuple):
    """A check, and why anybody should care about what it finds."""

    look: Callable[[Patient], Found]
    why: str
