"""`aap config`: settings, each with where it comes from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from aap import config
from aap.cli import output
from aap.cli.place import Place
from aap.config import Finding, Origin, Setting
from aap.errors import Exit, NotFoundError, UsageError

KEY_NAME = "default"  # of the API key that `set API_KEY` stores
MASK = "(set, not shown)"

_RESTART = {
    "socket": "aap install --user   puts it in force",
    "install": "aap install --user   puts it in force",
    "api": "systemctl --user try-restart aap-api.service   puts it in force at once",
}


# Looking


def list_settings(place: Place, *, as_json: bool = False) -> int:
    """List all settings with their value and its origin."""
    loaded = place.loaded
    if as_json:
        for key, row in config.SETTINGS.items():
            output.write_json("aap.config.setting/1", **_members(row, loaded.origins[key]))
        return Exit.OK
    head = (output.Column("KEY", 20), output.Column("VALUE", 44), output.Column("FROM"))
    rows = [
        (key, output.one_line(_shown(row, loaded.origins[key])), _origin(loaded.origins[key]))
        for key, row in config.SETTINGS.items()
    ]
    output.table(head, rows, least=20)
    return Exit.OK


def get(place: Place, key: str, *, as_json: bool = False) -> int:
    """Print the value of one setting; a secret only as set or not."""
    row = config.SETTINGS[config.known_key(key)]
    origin = place.loaded.origins[row.key]
    if as_json:
        output.write_json("aap.config.setting/1", **_members(row, origin))
    else:
        value = getattr(place.settings, row.attribute)
        output.write(str(value) if row.kind == "path" else _shown(row, origin))
    return Exit.OK


def _shown(row: Setting, origin: Origin) -> str:
    return MASK if row.secret and origin.text else origin.text


def _origin(origin: Origin) -> str:
    """Where a value comes from, for people."""
    if origin.line:
        return f"{origin.file}:{origin.line}"
    return output.one_line(origin.name or origin.where)


def _members(row: Setting, origin: Origin) -> dict[str, Any]:
    return {
        "key": row.key,
        "value": None if row.secret else origin.text,
        "set": origin.where != "default",
        "origin": origin.where,
        "file": None if origin.file is None else str(origin.file),
        "line": origin.line or None,
        "default": row.default,
        "kind": row.kind,
        "secret": row.secret,
        "help": row.help,
    }


def path(place: Place, *, as_json: bool = False) -> int:
    """Print the file that `set` writes to; with JSON all places that are read."""
    if not as_json:
        output.write(str(_target(place)))
        return Exit.OK
    output.write_json(
        "aap.config.path/1",
        file=str(_target(place)),
        workspace=str(config.workspace_file(place.settings.workspace)),
        user=str(config.user_file()),
        system=str(config.system_file()),
        keys=str(config.keys_file()),
        secrets=str(config.secrets_folder()),
        read=[str(file) for file in place.loaded.files],
    )
    return Exit.OK


def validate(place: Place, *, as_json: bool = False) -> int:
    """Print what is doubtful in the configuration; 78 if aap refuses to run with it."""
    try:
        loaded = place.loaded
        findings, files = loaded.findings, loaded.files
    except config.DoubtfulConfigError as error:
        findings, files = error.findings, ()
    code = Exit.OK if all(finding.harmless for finding in findings) else Exit.BAD_CONFIG
    if as_json:
        output.write_json(
            "aap.config.validate/1",
            ok=code == Exit.OK,
            files=[str(file) for file in files],
            findings=[_finding(finding) for finding in findings],
        )
        return code
    for finding in findings:
        output.write(output.harmless(str(finding), layout=True))
        if finding.hint:
            output.write(f"  {output.harmless(finding.hint)}")
    if code == Exit.OK:
        output.note("ok: " + (", ".join(map(str, files)) or "no file, only defaults"))
    return code


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "where": finding.where,
        "line": finding.line or None,
        "column": finding.column or None,
        "message": finding.message,
        "hint": finding.hint or None,
        "harmless": finding.harmless,
    }


# Changing


def set_value(place: Place, key: str, value: str) -> int:
    """Set one setting in the user's file (or `--config`'s); `-` reads the value from stdin."""
    from aap.config import store

    row = config.SETTINGS[config.known_key(key)]
    if value == "-":
        value = sys.stdin.read().rstrip("\r\n")
    if row.secret:
        return _set_secret(row, value)
    changed = store.set_value(_target(place), row.key, value)
    _say(row, changed, _target(place))
    _say_if_hidden(place, row)
    return Exit.OK


def _set_secret(row: Setting, value: str) -> int:
    """No file of settings holds a secret: other programs read such files too."""
    from aap.config import keys, store

    if row.key == "API_KEY":
        changed, file = keys.add_key(config.keys_file(), KEY_NAME, value), config.keys_file()
    else:
        changed, file = (
            store.set_secret(config.secrets_folder(), row.key, value),
            config.secrets_folder(),
        )
    _say(row, changed, file)
    return Exit.OK


def unset(place: Place, key: str) -> int:
    """Take one setting out of the user's file (or `--config`'s); the default counts again."""
    from aap.config import store

    row = config.SETTINGS[config.known_key(key)]
    changed = store.unset_value(_target(place), row.key)
    if row.secret:
        changed = _unset_secret(row) or changed
    if not changed:
        output.note(f"{row.key} was not set in {_target(place)}")
        return Exit.OK
    _say(row, changed, _target(place))
    _say_if_hidden(place, row)
    return Exit.OK


def _unset_secret(row: Setting) -> bool:
    from aap.config import keys
    from aap.config.load import secret_name

    if row.key == "API_KEY":
        try:
            keys.remove_key(config.keys_file(), KEY_NAME)
        except NotFoundError:
            return False
        return True
    file = config.secrets_folder() / secret_name(row)
    if not file.exists():
        return False
    file.unlink()
    return True


def _target(place: Place) -> Path:
    return Path(place.config).expanduser().absolute() if place.config else config.user_file()


def _say(row: Setting, changed: bool, file: Path) -> None:
    if not changed:
        output.note(f"{row.key} was so already in {file}")
        return
    output.note(f"{row.key} changed in {file}")
    if row.restart in _RESTART:
        output.note(f"  {_RESTART[row.restart]}")


def _say_if_hidden(place: Place, row: Setting) -> None:
    """Tell when the change shows nowhere, because something else counts before the file."""
    origin = config.load(workspace=place.workspace, config_file=place.config).origins[row.key]
    if origin.where != "default" and origin.file != _target(place):
        output.note(f"  but {_origin(origin)} sets it too, and counts before")


def import_file(place: Place, source: str, *, as_json: bool = False) -> int:
    """Take over the settings of an ai-agent-proxy file."""
    from aap.config import takeover

    if not source:
        raise UsageError("give the file to import")
    report = takeover.import_seed(Path(source).expanduser(), _target(place), config.keys_file())
    if as_json:
        output.write_json(
            "aap.config.import/1",
            source=str(report.source),
            target=str(report.target),
            changed=report.changed,
            steps=[
                {"key": step.key, "line": step.line, "action": step.action, "note": step.note}
                for step in report.steps
            ],
            notes=list(report.notes),
        )
        return Exit.OK
    rows = [(step.key, step.action, output.one_line(step.note)) for step in report.steps]
    head = (output.Column("KEY", 20), output.Column("RESULT"), output.Column("NOTE"))
    output.table(head, rows, least=20)
    for text in report.notes:
        output.note(output.harmless(text))
    output.note(f"settings are in {report.target}")
    return Exit.OK
