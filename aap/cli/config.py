"""`aap config`: settings, each with where it comes from."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aap import SPOOL_FOLDER, config
from aap.cli import output
from aap.cli.place import Place, at_workspace
from aap.config import Finding, Loaded, Origin, Setting
from aap.errors import AapError, ConfigError, Exit, NotFoundError, UsageError
from aap.mode import SYSTEM, find_mode, in_mode, install_command

KEY_NAME = "default"  # of the API key that `set API_KEY` stores
MASK = "(set, not shown)"

_NEXT = {
    "socket": "aap install --user   puts it in force",
    "install": "aap install --user   puts it in force",
    "api": "systemctl --user try-restart aap-api.service   puts it in force at once",
}
_WHEN = {
    "socket": "when the socket listens anew: aap install --user",
    "install": "when the units are written anew: aap install --user",
    "api": "when the API starts next, after an idle time of IDLE_EXIT at the latest",
    "none": "at once: each command and each run of the agent reads it anew",
}
_COMMANDS = ("AGENT_INIT_CLI", "AGENT_CLI")
_KINDS = {
    "address": "an IP address",
    "choice": "one of the choices",
    "choices": "choices, with commas between",
    "command": "a command line",
    "duration": "a duration, such as 500ms, 30s, 5m, 1h30m or 7d",
    "int": "a whole number",
    "name": "a name of small letters, digits and -",
    "path": "the path of a folder",
    "port": "a port from 1 to 65535",
    "size": "a size, such as 500K, 12M or 4G",
    "text": "a text",
}


# Looking


def list_settings(place: Place, *, origin: bool = False, as_json: bool = False) -> int:
    """List all settings with their value and where it comes from; `origin`: file and line."""
    loaded = place.loaded
    if as_json:
        for key, row in config.SETTINGS.items():
            output.write_json("aap.config.setting/1", **_members(row, loaded.origins[key]))
        return Exit.OK
    said = _origin if origin else _origin_in_short
    head = (output.Column("KEY", 20), output.Column("VALUE", 44), output.Column("FROM"))
    rows = [
        (key, output.one_line(_shown(row, loaded.origins[key])), said(loaded.origins[key]))
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


def _origin_in_short(origin: Origin) -> str:
    """The same in a word: the variable, the flag, or whose file it is."""
    named = origin.where in {"environment", "flag"}
    return output.one_line(origin.name) if named else origin.where


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
        "choices": list(row.choices),
        "aliases": list(row.aliases),
        "shared": row.is_shared,
        "restart": row.restart,
    }


def explain(place: Place, key: str, *, as_json: bool = False) -> int:
    """Say all about one setting; JSON is as that of `get`."""
    row = config.SETTINGS[config.known_key(key)]
    origin = place.loaded.origins[row.key]
    if as_json:
        output.write_json("aap.config.setting/1", **_members(row, origin))
        return Exit.OK
    output.write(row.help)
    output.write("")
    output.fields(
        [
            ("key", row.key + (f", also {', '.join(row.aliases)}" if row.aliases else "")),
            ("takes", _takes(row)),
            ("default", row.default or "empty"),
            ("value", _shown(row, origin) or "empty"),
            ("from", _origin(origin)),
            ("of", "all workspaces" if row.is_shared else "each workspace, if its file has it"),
            ("counts", _counts(row, origin)),
        ]
    )
    return Exit.OK


def _takes(row: Setting) -> str:
    if row.key == "AGENT":
        from aap.agents import presets

        return ", ".join(presets.NAMES)
    return ", ".join(row.choices) or _KINDS[row.kind]


def _counts(row: Setting, origin: Origin) -> str:
    if row.key == "API_KEY" and origin.where == "default":
        return "a hashed key at once: aap key new NAME"
    return in_mode(_WHEN[row.restart])


def path(place: Place, *, as_json: bool = False) -> int:
    """Print the file that `set` writes to; with JSON all places that are read."""
    if not as_json:
        output.write(str(target_of(place)))
        return Exit.OK
    output.write_json(
        "aap.config.path/1",
        file=str(target_of(place)),
        workspaces=str(config.workspaces_file()),
        workspace=str(config.workspace_file(place.settings.workspace)),
        user=str(config.user_file()),
        system=str(config.system_file()),
        keys=str(config.keys_file()),
        secrets=str(config.secrets_folder()),
        read=[str(file) for file in place.loaded.files],
    )
    return Exit.OK


def validate(place: Place, *, as_json: bool = False) -> int:
    """Print what is doubtful in the configuration; 78 if aap refuses to run with it.

    Without `-w` the files of all workspaces are looked at.
    """
    place.check_known()
    findings, files = _look(place)
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


def _look(place: Place) -> tuple[list[Finding], list[Path]]:
    """All findings, each once, and all files that could be read."""
    from aap.config.registry import read_registry

    findings: dict[Finding, None] = {}
    files: dict[Path, None] = {}
    try:
        names = [config.MAIN, *read_registry(config.workspaces_file()).lines]
        for name in [place.workspace] if place.workspace is not None else names:
            loaded = _try(name, place.config, findings)
            files |= dict.fromkeys(loaded.files if loaded else ())
        findings |= dict.fromkeys(_exposure(place))
    except config.DoubtfulConfigError as error:
        findings |= dict.fromkeys(error.findings)
    return list(findings), list(files)


def _try(name: str, config_file: str | None, findings: dict[Finding, None]) -> Loaded | None:
    try:
        loaded = config.load(workspace=name, config_file=config_file)
    except config.DoubtfulConfigError as error:
        findings |= dict.fromkeys(error.findings)
        return None
    findings |= dict.fromkeys(loaded.findings)
    return loaded


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


def set_value(place: Place, key: str, value: str, *, apply: bool = False) -> int:
    """Set one setting in the file that `path` names; `-` reads the value from stdin.

    At a terminal a secret is asked for, unseen. `apply` puts it in force as well.
    """
    from aap.config import store

    row = config.SETTINGS[config.known_key(key)]
    if value == "-":
        value = _read_value(row)
    elif row.secret:
        output.note("others may have seen it: a command line is shown by ps, and kept by the shell")
        output.note(f"  aap config set {row.key} -   asks for it")
    if row.secret:
        return _set_secret(row, value, apply=apply)
    target = target_of(place)
    _check_shared(place, row)
    _check_agent(row, value)
    changed = store.set_value(target, row.key, value)
    output.note(changed_in(row.key, target) if changed else f"{row.key} was so already in {target}")
    _say_if_hidden(place, row)
    if row.key in _COMMANDS and value:
        _say_if_agent_hides(place)
    if row.key == "HOST" and not apply and _say_if_keyless(place):
        return Exit.OK
    _end_outages(place, [row], apply=apply)
    if changed or apply:
        put_in_force([row], target, apply=apply)
    return Exit.OK


def _read_value(row: Setting) -> str:
    if row.secret and sys.stdin.isatty():
        return output.ask_secret(row.key)
    return sys.stdin.read().rstrip("\r\n")


def changed_in(key: str, file: Path) -> str:
    """Say that a setting is another one now."""
    return f"{key} changed in {file}"


def _set_secret(row: Setting, value: str, *, apply: bool) -> int:
    """No file of settings holds a secret: other programs read such files too."""
    from aap.config import keys, store

    if row.key == "API_KEY":
        file = config.keys_file()
        changed = keys.add_key(file, KEY_NAME, value)
        output.note(f'{changed_in(row.key, file)}, as the key "{KEY_NAME}": it counts at once')
        return Exit.OK
    file = config.secrets_folder()
    changed = store.set_secret(file, row.key, value)
    output.note(changed_in(row.key, file) if changed else f"{row.key} was so already in {file}")
    if changed or apply:
        put_in_force([row], None, apply=apply)
    return Exit.OK


def unset(place: Place, key: str, *, apply: bool = False) -> int:
    """Take one setting out of the file that `path` names; the default counts again."""
    from aap.config import store

    target = target_of(place)
    if store.unset_strange(target, key):  # an error until it was gone
        output.note(changed_in(key, target))
        return Exit.OK
    row = config.SETTINGS[config.known_key(key)]
    changed = store.unset_value(target, row.key)
    if row.secret:
        changed = _unset_secret(row) or changed
    if not changed:
        output.note(f"{row.key} was not set in {target}")
        return Exit.OK
    output.note(changed_in(row.key, target))
    _say_if_hidden(place, row)
    _end_outages(place, [row], apply=apply)
    put_in_force([row], None if row.secret else target, apply=apply)
    return Exit.OK


def _unset_secret(row: Setting) -> bool:
    from aap.cli.key import say_if_closed
    from aap.config import keys, store

    if row.key == "API_KEY":
        try:
            keys.remove_key(config.keys_file(), KEY_NAME)
        except NotFoundError:
            return False
        say_if_closed()
        return True
    return store.unset_secret(config.secrets_folder(), row.key)


def target_of(place: Place) -> Path:
    """The file to change: the one that is named, that of the workspace of `-w`, or the user's."""
    if place.config is None and place.workspace is not None:
        place.check_known()
        return config.workspace_file(config.find_folder(place.workspace, None))
    named = place.config or os.environ.get("AAP_CONFIG")
    return Path(named).expanduser().absolute() if named else config.user_file()


def _check_shared(place: Place, row: Setting) -> None:
    """Refuse what would not count: the API is one, and only the file of `main` may speak for it.

    Not even that of the machine's aap, which its agent owns.
    """
    if place.workspace is None or place.config is not None or not row.is_shared:
        return
    is_heard = place.loaded.name == config.MAIN and find_mode() != SYSTEM
    if row.key == "WORKSPACE" or not is_heard:
        raise UsageError(
            f"{row.key} is not of one workspace: all share it",
            hint=f"without -w: aap config set {row.key} …",
        )


def _check_agent(row: Setting, value: str) -> None:
    """Refuse an agent that there is not. A file may name one: the API takes messages all the same.

    Raises ConfigError.
    """
    if row.key == "AGENT" and value:
        from aap.agents import find_agent

        find_agent(value, "", "any")


def put_in_force(rows: Sequence[Setting], target: Path | None, *, apply: bool) -> None:
    """Start again what must be, or say what that is; a worker reads its settings for each run."""
    wanted = {row.restart for row in rows} - {"none"}
    if not wanted:
        return
    need = "install" if wanted & {"install", "socket"} else "api"
    if not apply:
        output.note(f"  {in_mode(_NEXT[need])}")
        return
    from aap.cli.install import renew, renew_api

    _check_read(target)
    actions = renew() if need == "install" else renew_api()
    if actions is None:
        output.note("aap is not installed: nothing runs with the old value")
    for line in actions or ():
        output.note(line)


def _check_read(target: Path | None) -> None:
    """Raise UsageError if aap is installed with another file than the one that was changed."""
    from aap.systemd import record

    known = record.read(find_mode())
    if known is None or target is None:
        return
    named = known.plan.environ.get("AAP_CONFIG")
    read = Path(named) if named else config.user_file()
    own = [config.workspace_file(path) for path in known.plan.workspaces.values()]
    if target not in (read, *own):
        hint = f"{install_command()} --config {shlex.quote(str(target))}"
        raise UsageError(f"aap is installed with {read}, and does not read {target}", hint=hint)


def _say_if_hidden(place: Place, row: Setting) -> None:
    """Tell when the change shows nowhere, because something else counts before the file."""
    try:
        origin = config.load(workspace=place.workspace, config_file=place.config).origins[row.key]
    except ConfigError as error:  # of another line: this one is as it was asked for
        output.warn(str(error), error.hint)
        return
    if origin.where != "default" and origin.file != target_of(place):
        output.note(f"  but {_origin(origin)} sets it too, and counts before")


def _say_if_agent_hides(place: Place) -> None:
    """Tell when AGENT names another agent than the commands do: AGENT counts before them."""
    from aap.agents import find_agent

    with suppress(AapError):
        settings = config.load(workspace=place.workspace, config_file=place.config).settings
        if settings.agent in ("", "custom"):
            return
        if find_agent("", settings.agent_init_cli, settings.agent_cli).name != settings.agent:
            output.note(f"AGENT={settings.agent} counts before it")
            output.note(f"  {at_workspace('aap config unset AGENT', place.workspace)}")


def _end_outages(place: Place, rows: Sequence[Setting], *, apply: bool) -> None:
    """Have a changed agent tried at once, or say how, where the old one was out of order."""
    if not any(row.key in ("AGENT", *_COMMANDS) for row in rows):
        return
    from aap import identity
    from aap.cli.activity import read_outage
    from aap.cli.agent import try_at_once
    from aap.inbox import Spool

    with suppress(AapError):
        loaded = config.load(workspace=place.workspace, config_file=place.config)
        paths = (
            loaded.workspaces
            if place.workspace is None
            else {loaded.name: loaded.settings.workspace}
        )
        for name, path in paths.items():
            root = path / SPOOL_FOLDER
            with identity.acting_for(root):
                if read_outage(root) is None:
                    continue
                if apply:
                    try_at_once(Spool(root))
            test = at_workspace("aap agent test", name)
            said = "messages that waited for the agent are tried again now"
            output.note(said if apply else f"  {test}   tries it now, and then what waits for it")


def _say_if_keyless(place: Place) -> bool:
    """Tell when HOST lets other machines in, and no key keeps them out."""
    found = [each for each in _exposure(place) if each]
    for each in found:
        output.note(f"{each.message}, so aap refuses to run with it")
        output.note(f"  {each.hint}")
    return bool(found)


def _exposure(place: Place) -> Iterator[Finding]:
    """Find what `load` cannot: it reads no keys."""
    from aap.config.keys import KeyRing

    with suppress(AapError):
        loaded = config.load(workspace=config.MAIN, config_file=place.config)
        settings, origin = loaded.settings, loaded.origins["HOST"]
        lack = KeyRing.load(config.keys_file(), settings.api_key).lack
        if lack and not config.is_loopback(settings.host):
            where = str(origin.file or origin.name)
            said = f"HOST={settings.host} lets other machines in, and {lack}"
            at = (origin.line, 1 if origin.line else 0)
            yield Finding("open-without-key", where, said, *at, hint="aap key new NAME")


def import_file(place: Place, source: str, *, apply: bool = False, as_json: bool = False) -> int:
    """Take over the settings of an ai-agent-proxy file."""
    from aap.config import takeover

    if not source:
        raise UsageError("give the file to import")
    # A seed's file is of the whole, so it does not go into one workspace's.
    target = target_of(Place(None, place.config))
    report = takeover.import_seed(Path(source).expanduser(), target, config.keys_file())
    changed = (step.key for step in report.steps if step.action in {"taken", "replaced", "secret"})
    taken = [config.SETTINGS[config.known_key(key)] for key in changed]
    if as_json:
        if apply:
            put_in_force(taken, report.target, apply=True)
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
    if any(step.key in _COMMANDS and step.action != "skipped" for step in report.steps):
        _say_if_agent_hides(Place(None, place.config))
    _end_outages(Place(None, place.config), taken, apply=apply)
    if apply or not _say_if_keyless(Place(None, place.config)):
        put_in_force(taken, report.target, apply=apply)
    return Exit.OK
