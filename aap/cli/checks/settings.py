"""The configuration: can it be read, by whom, and does it mean here what it means in the units."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aap import config
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
    in_each,
    settings_of,
    status_of,
)
from aap.config import Loaded
from aap.errors import ConfigError
from aap.mode import USER

if TYPE_CHECKING:
    from aap.config.keys import KeyRing

# Their own checks compare them with the units: socket.port and worker.workspace.
_ELSEWHERE = frozenset(("HOST", "PORT", "WORKSPACE"))


def config_parse(patient: Patient) -> Found:
    """Read the configuration."""
    try:
        loaded = patient.loaded
    except ConfigError as error:
        yield _unreadable(error, "aap config edit")
        return
    for each in loaded.findings:
        if each.code != "sample-key":  # config.keys says it
            detail = _in_a_line(str(each), each.hint)
            yield Finding(NOTE, "a line is doubtful", _edit(loaded, each.where), detail=detail)
    for site in patient.sites:
        try:
            site.settings  # noqa: B018 - raises where its own file cannot be read
        except ConfigError as error:
            yield _unreadable(error, f"aap -w {site.name} config edit")
            return
    yield Finding(OK, ", ".join(map(str, loaded.files)) or "no file, all defaults")


def _edit(loaded: Loaded, where: str) -> str:
    own = str(config.workspace_file(loaded.settings.workspace))
    return "aap -w main config edit" if where == own else "aap config edit"


def _unreadable(error: ConfigError, fix: str) -> Finding:
    return Finding(FAIL, "", fix, detail=_in_a_line(str(error), error.hint))


def _in_a_line(text: str, hint: str) -> str:
    """Say where and what; the line itself, and the mark below it, are for `config validate`."""
    return "; ".join(filter(None, (text.splitlines()[0], hint)))


def config_secret(patient: Patient) -> Found:
    """Look who else can read keys: in configuration files, and in the folder of secrets."""
    settings_of(patient)
    loaded = patient.loaded
    plain = {
        origin.file
        for key, origin in loaded.origins.items()
        if config.SETTINGS[key].secret and origin.file and origin.text
    }
    folder = config.secrets_folder()
    found = {path for path in (*plain, *folder.glob("*"), folder) if path.exists()}
    # The machine's are for the group of its account too.
    others = 0o077 if patient.manager.mode == USER else 0o027
    opened = sorted(path for path in found if path.stat().st_mode & others)
    for path in opened:
        mode = ("go=" if path.is_dir() else "600") if others == 0o077 else "g-w,o="
        fix = f"chmod {mode} {shlex.quote(str(path))}"
        yield Finding(WARN, f"others can read the key in {path}", fix, safe=True)
    if not opened:
        yield Finding(OK, "no key that other users can read")


def config_keys(patient: Patient) -> Found:
    """Read the file of hashed keys, and what HOST asks of them."""
    from aap.config.keys import KeyRing

    settings = settings_of(patient)
    ring = KeyRing.load(config.keys_file(), settings.api_key)
    for each in ring.findings:
        yield Finding(WARN, str(each).splitlines()[0], each.hint)
    yield _judge_keys(ring, settings.host)


def _judge_keys(ring: KeyRing, host: str) -> Finding:
    if ring.lack and not config.is_loopback(host):
        said = f"HOST={host} lets other machines in, and {ring.lack}"
        return Finding(FAIL, said, "aap key new NAME")
    if ring and ring.lack:
        return Finding(WARN, f"only this machine can connect, but {ring.lack}", "aap key new NAME")
    if ring:
        return Finding(OK, "clients need a key")
    if ring.is_required:
        said = f"no key is left in {config.keys_file()}, so no client gets in"
        return Finding(WARN, said, "aap key new NAME")
    return Finding(OK, "no key: clients on this machine need none")


def config_units(patient: Patient) -> Found:
    """Read the settings once more as the units do, with their environment instead of this one."""
    status_of(patient)
    yield from in_each(patient, lambda site: _compare(patient, site))


def _compare(patient: Patient, site: Site) -> Found:
    environ = {"HOME": str(patient.home)} | patient.unit_environment(site)
    there = config.load(workspace=str(site.path), environ=environ)
    here = config.load(workspace=str(site.path), config_file=patient.place.config)
    different = [key for key in config.SETTINGS if _differs(key, here, there)]
    if patient.units_file and different:
        said = f"the units read {patient.units_file}, and this shell does not"
        fix = f"export AAP_CONFIG={shlex.quote(patient.units_file)}"
        yield Finding(WARN, said, fix, f"{', '.join(different)} not the same")
        return
    different = [key for key in different if key not in _ELSEWHERE]
    for key in different:
        values = f"{_shown(key, here)} here, {_shown(key, there)} there"
        said = f"{key} is not the same in the units"
        yield Finding(WARN, said, _same_again(key, here, environ), values)
    if not different:
        yield Finding(OK, "the units read the same settings")


def _differs(key: str, here: Loaded, there: Loaded) -> bool:
    attribute = config.SETTINGS[key].attribute
    return bool(getattr(here.settings, attribute) != getattr(there.settings, attribute))


def _shown(key: str, loaded: Loaded) -> str:
    row = config.SETTINGS[key]
    text = str(getattr(loaded.settings, row.attribute))
    return ("set" if row.secret else text) if text else "not set"


def _same_again(key: str, here: Loaded, environ: Mapping[str, str]) -> str:
    origin = here.origins[key]
    if origin.where == "environment":
        return f"unset {origin.name}   # or: aap config set {key} …"
    if f"AAP_{key}" in environ:
        return "systemctl --user cat 'aap-worker@*' | grep Environment"
    return INSTALL
