"""Taking over the configuration of ai-agent-proxy, the program that aap succeeds.

Its files are read here as it reads them itself, which is not as systemd does: one line is
one setting, a key may be in small letters, one outer pair of quotes goes, a backslash is a
backslash. What comes out is written in the language of `envfile`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from aap import WORKSPACE_FILE, identity
from aap.config.envfile import (
    LATER_KEYS,
    DoubtfulConfigError,
    Finding,
    parse,
    read_text,
    show_line,
)
from aap.config.keys import add_key
from aap.config.load import SAMPLE_KEY
from aap.config.store import set_secret, set_value
from aap.config.table import NAMES, SETTINGS, is_loopback
from aap.errors import ConfigError, unreadable

KEY_NAME = "imported"


class ImportStep(NamedTuple):
    """What was done with one key of the file.

    `action` is taken, replaced, hashed (into `keys`), secret (into `secrets/`), same (it was
    so already) or skipped; `note` is for people.
    """

    key: str
    line: int
    action: str
    note: str = ""


class ImportReport(NamedTuple):
    """What an import did, in the file's order; `notes` are about the whole."""

    source: Path
    target: Path
    steps: tuple[ImportStep, ...]
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """False when all was so already."""
        return any(step.action not in {"same", "skipped"} for step in self.steps)


class _Line(NamedTuple):
    name: str
    value: str
    number: int
    text: str


class _Places(NamedTuple):
    """Where an import writes to."""

    target: Path
    keys: Path

    @property
    def secrets(self) -> Path:
        return self.keys.parent / "secrets"


def import_seed(seed_file: Path, target_file: Path, keys_file: Path) -> ImportReport:
    """Take the settings of an ai-agent-proxy file over; a second time changes nothing.

    The API key goes hashed into `keys_file` as "imported", the key between agents into
    `secrets/` beside it, all else into `target_file`, where it replaces what is set. The
    source stays as it is. Raises ConfigError before anything is changed when the file cannot
    be read or a value cannot be taken.
    """
    if target_file.exists() and seed_file.exists() and target_file.samefile(seed_file):
        raise ConfigError(f"{seed_file} is aap's own file already", hint="aap config validate")
    lines = _read(seed_file)
    names = {line.name for line in lines}
    later = bool(names & LATER_KEYS)
    lines = [line if not later else _from_later(line) for line in lines]
    reasons = {line.number: _reason_to_skip(line, lines) for line in lines}
    _check([line for line in lines if not reasons[line.number]], seed_file)
    places = _Places(target_file, keys_file)
    steps = [
        ImportStep(line.name, line.number, "skipped", reason)
        if (reason := reasons[line.number])
        else _take(line, seed_file, places)
        for line in lines
    ]
    return ImportReport(seed_file, target_file, tuple(steps), tuple(_notes(seed_file, lines)))


def _read(file: Path) -> list[_Line]:
    try:
        with identity.acting_for(file.absolute().parent):
            text = read_text(file)
    except OSError as error:
        raise unreadable(file, error) from None
    found = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#") or "=" not in line:
            continue
        name, value = (part.strip() for part in line.split("=", 1))
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found.append(_Line(name.upper(), value, number, raw))
    return found


def _from_later(line: _Line) -> _Line:
    """In a file of 2.3, KEY is the clients' key, and API_KEY that of a model."""
    name = {"KEY": "API_KEY", "API_KEY": "API_KEY of a model"}.get(line.name, line.name)
    return _Line(name, line.value, line.number, line.text)


def _reason_to_skip(line: _Line, lines: list[_Line]) -> str:
    """Why a line is not taken; empty for one that is."""
    key = NAMES.get(line.name)
    if key is None:
        return "aap has no such setting"
    if not line.value:
        return "it is empty"
    if key == "API_KEY" and line.value == SAMPLE_KEY:
        return "the sample of a README, which everyone knows, is no key: aap key new NAME"
    for other in lines:
        same = other.value and NAMES.get(other.name) == key and other is not line
        if same and (other.name == line.name) and other.number > line.number:
            return f"line {other.number} sets it again"
        if same and other.name == key != line.name:
            return f"{key} on line {other.number} counts"
    return ""


def _check(lines: list[_Line], file: Path) -> None:
    found = []
    for line in lines:
        key = NAMES[line.name]
        try:
            SETTINGS[key].parse(line.value, str(file.parent))
        except ValueError as error:
            found.append(_finding(line, file, f"{key}: {error}"))
    if found:
        raise DoubtfulConfigError(tuple(found))


def _finding(line: _Line, file: Path, message: str) -> Finding:
    excerpt = show_line(line.text)
    column = min(line.text.index("=") + 2, len(excerpt) + 1)
    return Finding("bad-value", str(file), message, line.number, column, excerpt)


def _take(line: _Line, seed_file: Path, places: _Places) -> ImportStep:
    key = NAMES[line.name]
    if key == "API_KEY":
        changed = add_key(places.keys, KEY_NAME, line.value)
        note = f'clients use the same key; its hash is in {places.keys} as "{KEY_NAME}"'
        return ImportStep(line.name, line.number, "hashed" if changed else "same", note)
    if SETTINGS[key].secret:
        changed = set_secret(places.secrets, key, line.value)
        note = f"kept in {places.secrets}"
        return ImportStep(line.name, line.number, "secret" if changed else "same", note)
    return _take_setting(line, key, seed_file, places.target)


def _take_setting(line: _Line, key: str, seed_file: Path, target: Path) -> ImportStep:
    value = line.value
    if SETTINGS[key].kind == "path" and not value.startswith("~"):
        value = str(SETTINGS[key].parse(value, str(seed_file.parent)))
    before = _set_in(target).get(key)
    if not set_value(target, key, value):
        return ImportStep(line.name, line.number, "same")
    if before in (None, value):
        return ImportStep(line.name, line.number, "taken")
    return ImportStep(line.name, line.number, "replaced", f"it was {before}")


def _set_in(file: Path) -> dict[str, str]:
    if not file.exists():
        return {}
    entries = parse(read_text(file)).assignments
    return {NAMES[entry.key]: entry.value for entry in entries if entry.key in NAMES}


def _notes(seed_file: Path, lines: list[_Line]) -> list[str]:
    values = {NAMES[line.name]: line.value for line in lines if line.name in NAMES}
    notes = []
    host = values.get("HOST", "")
    if host and not is_loopback(host) and host != "localhost":
        notes.append(f"HOST={host} lets other machines in, with a key only")
    if seed_file.name == WORKSPACE_FILE:
        notes.append(
            f"where {seed_file.parent} is the workspace, {seed_file.name} is still read, before "
            "the new file: move it away when all works"
        )
    return notes
