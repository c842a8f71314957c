"""The report for a bug report: what aap knows of itself, and nothing of anybody.

What goes in is picked, not what stays out: aap's own words, numbers, states and the
names of settings. No message and no chat, no reason that an agent gave, no value that
could hold a key, no environment. What is left is combed once more for keys, for the
home and for the names of user and machine.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import socket
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aap import SPOOL_FOLDER, __version__, config, files, process
from aap.cli import output
from aap.cli.checks import Finding, Patient
from aap.cli.place import Place
from aap.errors import AapError, UsageError
from aap.log import parse_line
from aap.message import State
from aap.mode import USER
from aap.systemd import record

EVENTS = 2000  # the last ones of each workspace
JOURNAL_LINES = 500

# Fields of a log line that aap itself counted or measured.
_FIELDS = frozenset((
    "id", "attempt", "attempts", "messages", "waiting", "prompt_bytes", "seconds", "code",
    "outcome", "input", "cached", "output", "kind", "agent", "status", "bytes", "milliseconds",
))  # fmt: skip
# Kinds of settings whose values are numbers and words of aap's own.
_PLAIN_KINDS = frozenset(("choice", "choices", "duration", "int", "name", "port", "size"))
_LEFT_OUT = "(left out)"
# Lines of a unit whose values may hold anything.
_PRIVATE_LINES = re.compile(r"(Environment|PassEnvironment|SetCredential|LoadCredential|Exec)\w*=")
_OWN_NAMES = (
    *(state.value for state in State),
    *("notes", "logs", "context", "sessions", "LOCK", "RUN", "OUTAGE", "PAUSED"),
)
_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASS|AUTH|CREDENTIAL", re.IGNORECASE)
_TOKENS = re.compile(
    r"\b(?:(?:sk|pk|ghp|gho|glpat|xox[a-z])[-_]|aap_)[A-Za-z0-9_-]{8,}"
    r"|\bAKIA[A-Z0-9]{12,}|\beyJ[A-Za-z0-9_-]{10,}[.\w-]*|(?i:\bbearer\s+\S+)"
    r"|[A-Za-z0-9+_]{40,}={0,2}"
)


def write_bundle(place: Place, findings: Sequence[Finding], path: Path) -> None:
    """Write the report: a text, or for FILE.tar.gz an archive of its parts.

    Raises UsageError if there is a file already.
    """
    if path.exists():
        raise UsageError(f"{path} exists already", hint="give the report another name")
    patient = Patient(place)
    comb = Comb(_secrets(patient), _names())
    parts = {name: comb.clean(text) for name, text in _parts(patient, findings)}
    data = _archive(parts) if path.name.endswith((".tar.gz", ".tgz")) else _text(parts)
    with files.naming(path), files.new_file(path) as fd:
        files.write_all(fd, data)


def _text(parts: Mapping[str, str]) -> bytes:
    return "\n".join(f"==== {name}\n\n{text}\n" for name, text in parts.items()).encode()


def _archive(parts: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in parts.items():
            facts = tarfile.TarInfo(f"aap-report/{name}")
            facts.size, facts.mtime = len(text.encode()), int(time.time())
            archive.addfile(facts, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _parts(patient: Patient, findings: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    yield "versions.txt", _versions(patient)
    yield "doctor.txt", "\n".join(_finding(each) for each in findings)
    yield "status.json", _json(_status(patient.place))
    yield "settings.txt", "\n".join(_settings(patient))
    yield "units.txt", "\n".join(_units(patient))
    yield "spool.txt", "\n".join(_spools(patient))
    yield "events.log", "\n".join(_events(patient))
    yield "journal.txt", "\n".join(_journal(patient))


def _json(value: object) -> str:
    return json.dumps(value, indent=1, default=str)


def _versions(patient: Patient) -> str:
    system = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    try:
        systemd = str(patient.manager.version())
    except AapError:
        systemd = "does not answer"
    facts = {
        "aap": __version__,
        "python": platform.python_version(),
        "systemd": systemd,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "system": system.get("PRETTY_NAME", "unknown"),
        "written": output.iso(time.time()),
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items())


def _finding(each: Finding) -> str:
    more = f" {_LEFT_OUT}" if each.detail else ""
    return f"{each.severity:4} {each.id}  {each.message}{more}"


def _status(place: Place) -> Any:
    from aap.cli.status import members, take

    try:
        return _without(members(take(place)), {"reason", "trouble", "conversation"})
    except AapError as error:
        return {"error": type(error).__name__}


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _LEFT_OUT if key in names and each else _without(each, names)
            for key, each in value.items()
        }
    return [_without(each, names) for each in value] if isinstance(value, list) else value


def _settings(patient: Patient) -> Iterator[str]:
    try:
        loaded = patient.loaded
    except AapError as error:
        yield f"cannot be read: {type(error).__name__}"
        return
    for key, row in config.SETTINGS.items():
        origin = loaded.origins[key]
        plain = row.kind in _PLAIN_KINDS and not row.secret
        value = getattr(loaded.settings, row.attribute)
        yield f"{key}={value if plain else _veiled(key, value)}   # {origin.where}"


def _veiled(key: str, value: Any) -> str:
    if key == "HOST":
        return "loopback" if config.is_loopback(str(value)) else "not loopback"
    if key.endswith("_CLI"):
        # Of a command the program and the names of its options.
        shown = re.findall(r"^(?:\S*/)?([\w.+-]+)(?!\S)|(?<!\S)(--[a-z][a-z-]*)", str(value))
        return " ".join(map("".join, shown)) or "empty"
    return "set" if value else "empty"


def _units(patient: Patient) -> Iterator[str]:
    for path in sorted(_unit_files(patient)):
        yield f"# {path}"
        with suppress(OSError):
            yield from _harmless_lines(path.read_text("utf-8", "replace"))
        yield ""


def _unit_files(patient: Patient) -> Iterable[Path]:
    found: set[Path] = set()
    with suppress(AapError):
        folder = record.unit_folder(patient.manager.mode)
        found |= {folder / name for name in patient.installed.units}
    with suppress(AapError):
        for unit in patient.status.all_units:
            found |= {Path(name) for name in (unit.fragment, *unit.drop_ins) if name}
    return found


def _harmless_lines(text: str) -> Iterator[str]:
    """Give the lines of a unit without comments, and without what may hold a key."""
    for line in text.replace("\\\n", " ").splitlines():
        private = _PRIVATE_LINES.match(line.lstrip())
        if private:
            yield f"{private[0]}{_LEFT_OUT}"
        elif line.strip() and not line.lstrip().startswith(("#", ";")):
            yield line


def _spools(patient: Patient) -> Iterator[str]:
    with suppress(AapError):
        for name, workspace in patient.paths.items():
            yield f"{name}:"
            yield from (f"  {_entry(workspace / SPOOL_FOLDER / each)}" for each in _OWN_NAMES)


def _entry(path: Path) -> str:
    try:
        facts = path.lstat()
        held = f"{len(os.listdir(path))} files" if path.is_dir() else f"{facts.st_size} bytes"
    except OSError as error:
        return f"{path.name}: {error.strerror}"
    whose = "own" if facts.st_uid == os.getuid() else "another user's"
    return f"{path.name}: {facts.st_mode:o}, {whose}, {held}"


def _events(patient: Patient) -> Iterator[str]:
    with suppress(AapError):
        for name, path in patient.paths.items():
            yield f"{name}:"
            yield from _last_events(path / SPOOL_FOLDER / "logs")


def _last_events(logs: Path) -> list[str]:
    found: list[str] = []
    with suppress(OSError):
        for name in sorted(os.listdir(logs), reverse=True)[:7]:
            text = files.read_plain(logs / name).decode("utf-8", "replace")
            found = [line for raw in text.splitlines() for line in _event(raw)] + found
            if len(found) > EVENTS:
                break
    return found[-EVENTS:]


def _event(raw: str) -> Iterator[str]:
    line = parse_line(raw)
    if line and line.source in {"worker", "cli"} and re.fullmatch(r"[a-z-]+", line.event):
        kept = (f"{key}={value}" for key, value in line.fields.items() if key in _FIELDS)
        yield " ".join((line.time, line.level, line.source, line.event, *kept))


def _journal(patient: Patient) -> Iterator[str]:
    """What the service manager itself said of the units; what programs printed stays out."""
    try:
        units = [unit.name for unit in patient.status.all_units]
        field = "USER_UNIT" if patient.manager.mode == USER else "UNIT"
        words = ["journalctl", "--quiet", "--no-pager", "--output=json", f"--lines={JOURNAL_LINES}"]
        matches = [word for name in units for word in ("+", f"{field}={name}")][1:]
        printed = process.run([*words, *matches]).out
    except AapError as error:
        yield f"cannot be read: {type(error).__name__}"
        return
    for raw in printed.splitlines():
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(raw)
            if entry["_COMM"] == "systemd":
                at = output.iso(int(entry["__REALTIME_TIMESTAMP"]) / 1e6)
                yield f"{at} {entry['MESSAGE']}"


# The comb


class Comb:
    """Takes out what got in all the same."""

    def __init__(self, secrets: Iterable[str], names: Mapping[str, str]) -> None:
        # The longest first: one may be the beginning of another.
        self._secrets = sorted((each for each in secrets if len(each) >= 6), key=len, reverse=True)
        self._names = names

    def clean(self, text: str) -> str:
        """Return `text` without known secrets, what looks like one, and personal names."""
        for secret in self._secrets:
            text = text.replace(secret, _LEFT_OUT)
        text = _TOKENS.sub(_LEFT_OUT, text)
        for name, stand_in in self._names.items():
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", stand_in, text)
        return text


def _secrets(patient: Patient) -> Iterator[str]:
    environ = dict(os.environ)
    with suppress(AapError):
        for site in patient.sites:
            environ |= patient.unit_environment(site)
    yield from (value for name, value in environ.items() if _SECRET_NAMES.search(name))
    with suppress(AapError):
        settings = patient.loaded.settings
        rows = (row for row in config.SETTINGS.values() if row.secret)
        yield from (str(getattr(settings, row.attribute)) for row in rows)
    with suppress(OSError):
        for path in config.secrets_folder().iterdir():
            yield path.read_text("utf-8", "replace").strip()


def _names() -> dict[str, str]:
    from aap.systemd.manager import user_name

    home = str(Path.home())
    # systemd writes a path within a unit's name with "-" for "/".
    names = {home: "~", home.strip("/").replace("/", "-"): "HOME"}
    names |= {user_name(): "USER", socket.gethostname(): "HOST"}
    return {name: word for name, word in names.items() if len(name) > 2 and name != "root"}
