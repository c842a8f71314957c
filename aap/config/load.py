"""Settings from all their places, each with its origin.

What comes first wins:

1. flags
2. `AAP_*` variables (`AAP_PORT` and so on)
3. secrets: systemd credentials (`api-key`, `a2a-key`), then the files of these names in the
   folder `secrets`. Above the files, since an agent may write its workspace's file.
4. `<workspace>/.ai-agent-proxy.conf`; what it says of the API counts in `main` only, for all
   workspaces, since there is one API; and nowhere in the machine's aap, whose agent owns
   the folder. Root reads it with the rights of its owner, who may have put a link there.
5. `aap.conf` of the user, or in its place the file that `--config` or `AAP_CONFIG` names
6. `/etc/aap/aap.conf`, unless it is that of an aap of the machine (`aap.mode`)
7. defaults

`./.ai-agent-proxy.conf` is read only where the current folder is the workspace. ai-agent-proxy
read it anywhere; but the units have another current folder than the person at the terminal,
and would run on other settings than `aap` shows. `aap --config` and `aap config import` take it.

The workspace is the one that `--workspace` or `AAP_WORKSPACE` names, else the default of the
file `workspaces`, else `main`. They may also give a path: one that no other workspace has
takes the place of `main`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from aap import identity
from aap.config.envfile import (
    Assignment,
    DoubtfulConfigError,
    Finding,
    decode,
    parse,
    read_bytes,
)
from aap.config.paths import (
    secrets_folder,
    system_file,
    user_file,
    workspace_file,
    workspaces_file,
)
from aap.config.registry import MAIN, Registry, is_name, read_registry
from aap.config.table import NAMES, SETTINGS, Setting, Settings, Value, nearest_key
from aap.errors import ConfigError, NotFoundError, PermissionDeniedError, unreadable
from aap.mode import SYSTEM, SYSTEM_RECORD, SYSTEM_WORKSPACE, VARIABLE, as_root, find_mode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PREFIX = "AAP_"
_NO_SETTINGS = frozenset({"AAP_CONFIG", "AAP_DEBUG", VARIABLE})  # they are options of `aap`
SAMPLE_KEY = "aibot_<your-key-something>"


class Origin(NamedTuple):
    """Where a value came from.

    `where` is flag, environment, credential, secret, workspaces (a line of that file),
    workspace, config, user, system or default; `name` is the flag's, the variable's or the
    file's name for people; `text` is the value as written (a secret too: mask it where
    `SETTINGS[key].secret`).
    """

    where: str
    name: str = ""
    file: Path | None = None
    line: int = 0
    text: str = ""

    def __repr__(self) -> str:
        return f"Origin({self.where!r}, {self.name!r}, {self.file!r}, {self.line})"


class Loaded(NamedTuple):
    """Settings, the origin of each by key, harmless findings, and the files that were read.

    `workspaces` has all workspaces by name, the first is that of the settings. `default` is
    the name of what clients mean that name none.
    """

    settings: Settings
    origins: dict[str, Origin]
    findings: tuple[Finding, ...]
    files: tuple[Path, ...]
    workspaces: dict[str, Path]
    default: str

    @property
    def name(self) -> str:
        """The name of the workspace that the settings are of."""
        return next(iter(self.workspaces))


class _Entry:
    """One value of one layer, not yet read.

    `finding` is what is said if the value is wrong; `folder` is where a relative path starts.
    """

    def __init__(
        self, key: str, origin: Origin, finding: Finding, folder: str | None = None
    ) -> None:
        self.key = key
        self.origin = origin
        self.finding = finding
        self.folder = folder

    def value(self) -> Value | Finding:
        try:
            return SETTINGS[self.key].parse(self.origin.text, self.folder)
        except ValueError as error:
            said = self.finding._asdict() | {"message": f"{self.key}: {error}"}
            return Finding(**said)


_Layer = dict[str, _Entry]


class _Files:
    """Files as they are read: each once, with all that is doubtful in them.

    `draft` is a file with the text that it is to have.
    """

    def __init__(self, draft: tuple[Path, str] | None = None) -> None:
        self.draft = draft
        self.read: list[Path] = []
        self.findings: list[Finding] = []

    def layer(self, path: Path, where: str, *, needed: bool = False) -> _Layer:
        if any(path == other or _same_file(path, other) for other in self.read):
            return {}
        is_draft = self.draft is not None and self.draft[0] == path
        text = self.draft[1] if is_draft and self.draft else _read_file(path, needed=needed)
        if text is None:
            return {}
        self.read.append(path)
        parsed = parse(text, str(path))
        self.findings += parsed.findings
        layer: _Layer = {}
        for entry in parsed.assignments:
            self._add(layer, _file_entry(entry, path, where))
        return layer

    def _add(self, layer: _Layer, entry: _Entry | None) -> None:
        if entry is None:
            return
        if isinstance(bad := entry.value(), Finding):
            self.findings.append(bad)
        # An alias never counts over the name itself, whichever is first.
        if entry.origin.name == entry.key or entry.key not in layer:
            layer[entry.key] = entry


def load(
    *,
    workspace: str | None = None,
    config_file: str | None = None,
    overrides: Mapping[str, str] | None = None,
    environ: Mapping[str, str] = os.environ,
    draft: tuple[Path, str] | None = None,
) -> Loaded:
    """Read all places in their order.

    `workspace` is a name or a path, `overrides` are flags, by key; `draft` is a file with the
    text to be read in its place. Raises ConfigError, where lines are doubtful or values wrong
    a DoubtfulConfigError with all findings; NotFoundError for an unknown workspace.
    """
    files = _Files(draft)
    given = _flag_layer(workspace, overrides or {})
    outer = _read_outer(given, config_file, environ, files)
    name, paths, layers = outer.name, outer.paths, outer.layers
    is_heard = find_mode(environ) != SYSTEM  # what the file of `main` says of the API
    if name == MAIN:
        read = _workspace_layer if is_heard else _own_layer
        layers[3:3] = [read(paths[MAIN], files)]
    else:
        layers.insert(0, _named_layer(name, outer.registry, workspaces_file(environ)))
        shared = _shared_layer(paths[MAIN]) if is_heard else {}
        layers[4:4] = [_own_layer(paths[name], files), shared]
    settings, origins = _settle(layers, files)
    findings = (*files.findings, *_advice(settings, origins))
    workspaces = {name: settings.workspace, **paths}
    # A path says what a command is about, and not what clients mean.
    default = outer.registry.default if name == MAIN else name
    return Loaded(settings, origins, findings, tuple(files.read), workspaces, default)


def find_folder(
    workspace: str | None, config_file: str | None, environ: Mapping[str, str] = os.environ
) -> Path:
    """The folder of the workspace that `load` would take, also where settings are wrong.

    Raises ConfigError for a file that cannot be read; NotFoundError for an unknown workspace.
    """
    outer = _read_outer(_flag_layer(workspace, {}), config_file, environ, _Files())
    return outer.paths[outer.name]


def find_name(
    workspace: str | None, config_file: str | None, environ: Mapping[str, str] = os.environ
) -> str:
    """The name of the workspace that `load` would take, without a look into its folder.

    Raises as `find_folder`.
    """
    return _read_outer(_flag_layer(workspace, {}), config_file, environ, _Files()).name


class _Outer(NamedTuple):
    """What is known before the workspace's own file: flags, variables, secrets, user, system."""

    layers: list[_Layer]
    registry: Registry
    name: str
    paths: dict[str, Path]


def _read_outer(
    given: _Layer, config_file: str | None, environ: Mapping[str, str], files: _Files
) -> _Outer:
    variables = _environment_layer(environ, files.findings)
    secret = _secret_layer(environ)
    named = config_file or environ.get(PREFIX + "CONFIG")
    if named:
        path = Path(os.path.abspath(os.path.expanduser(named)))  # noqa: PTH100, PTH111
        user = files.layer(path, "config", needed=True)
    else:
        # The machine's aap has no user's file: it would be the same once more.
        own = find_mode(environ) != SYSTEM
        user = files.layer(user_file(environ), "user") if own else {}
    system = files.layer(system_file(), "system") if _counts_for(environ) else {}
    registry = read_registry(workspaces_file(environ))
    name = _pick(given, variables, registry)
    layers = [given, variables, secret, user, system, _default_layer(environ)]
    named_paths = {each: line.path for each, line in registry.lines.items()}
    return _Outer(layers, registry, name, {MAIN: _main_folder(layers), **named_paths})


def _counts_for(environ: Mapping[str, str]) -> bool:
    """Whether the machine's file is this aap's: a user's too, unless the machine has one itself.

    Its settings are then of that one, and closed to most users.
    """
    if find_mode(environ) == SYSTEM:
        return True
    is_open = os.access(system_file().parent, os.X_OK)
    return is_open and not os.access(SYSTEM_RECORD, os.F_OK)


def _default_layer(environ: Mapping[str, str]) -> _Layer:
    """What is not the same by default for the machine's aap as for a user's."""
    if find_mode(environ) != SYSTEM:
        return {}
    return {"WORKSPACE": _plain_entry("WORKSPACE", str(SYSTEM_WORKSPACE), "default", "")}


def _pick(given: _Layer, variables: _Layer, registry: Registry) -> str:
    """The name of the workspace that is meant; flags and variables then have `main`'s path only."""
    picked = ""
    for layer in (given, variables):
        if (entry := layer.get("WORKSPACE")) is None:
            continue
        name = _name(entry, registry)
        if name:
            del layer["WORKSPACE"]
        picked = picked or name or MAIN
    return picked or registry.default


def _name(entry: _Entry, registry: Registry) -> str:
    """The name that a flag or variable gives, or that its path has; empty for other paths."""
    if is_name(entry.origin.text):
        registry.check(entry.origin.text)
        return entry.origin.text
    path = entry.value() if registry.lines else None
    return registry.name_of(path) if isinstance(path, Path) else ""


def _main_folder(layers: list[_Layer]) -> Path:
    entry = next((layer["WORKSPACE"] for layer in layers if "WORKSPACE" in layer), None)
    folder = entry.value() if entry else None
    if isinstance(folder, Path):
        return folder
    # A wrong value is said when all is settled.
    default = SETTINGS["WORKSPACE"].parse(SETTINGS["WORKSPACE"].default)
    return default if isinstance(default, Path) else Path()


def _settle(layers: list[_Layer], files: _Files) -> tuple[Settings, dict[str, Origin]]:
    values: dict[str, Any] = {}  # each was read by its own row
    origins: dict[str, Origin] = {}
    for key, row in SETTINGS.items():
        entry = next((layer[key] for layer in layers if key in layer), None)
        if entry is None:
            origins[key] = Origin("default", text=row.default)
            continue
        value = entry.value()
        origins[key] = entry.origin
        if not isinstance(value, Finding):
            values[row.attribute] = value
        elif entry.origin.file not in files.read:  # there all lines were tried already
            files.findings.append(value)
    _stop_at_errors(files.findings)
    settings = Settings(**values)
    _check_together(settings, origins)
    return settings, origins


def _stop_at_errors(findings: list[Finding]) -> None:
    errors = tuple(finding for finding in findings if not finding.harmless)
    if errors:
        raise DoubtfulConfigError(errors)


def _check_together(settings: Settings, origins: dict[str, Origin]) -> None:
    if settings.retry_min > settings.retry_max:
        low, high = origins["RETRY_MIN"].text, origins["RETRY_MAX"].text
        raise ConfigError(
            f"RETRY_MIN ({low}) is longer than RETRY_MAX ({high})",
            hint=f"aap config set RETRY_MAX {low}",
        )


def _advice(settings: Settings, origins: dict[str, Origin]) -> Iterator[Finding]:
    if settings.api_key == SAMPLE_KEY:
        origin = origins["API_KEY"]
        yield Finding(
            "sample-key",
            str(origin.file or origin.name),
            "API_KEY is the sample from a README, which everyone knows",
            origin.line,
            1 if origin.line else 0,
            hint="aap key new NAME",
            harmless=True,
        )


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _read_file(path: Path, *, needed: bool) -> str | None:
    try:
        return decode(read_bytes(path), str(path))
    except (FileNotFoundError, NotADirectoryError):
        if needed:
            hint = "give --config (or AAP_CONFIG) the path of a file"
            raise ConfigError(f"{path} does not exist", hint=hint) from None
        return None
    except OSError as error:
        is_roots = isinstance(error, PermissionError) and os.geteuid() != 0
        if is_roots and find_mode() == SYSTEM:
            raise PermissionDeniedError(
                f"{path} is of the machine's aap, which root looks after",
                hint=as_root(),
            ) from None
        raise unreadable(path, error) from None


def _file_entry(entry: Assignment, path: Path, where: str) -> _Entry | None:
    key = NAMES.get(entry.key)
    if key is None:
        return None  # the parser has said so
    column = min(entry.value_column, len(entry.excerpt) + 1)
    finding = Finding("bad-value", str(path), "", entry.value_line, column, entry.excerpt)
    origin = Origin(where, entry.key, path, entry.line, entry.value)
    return _Entry(key, origin, finding, str(path.parent))


def _plain_entry(key: str, text: str, where: str, name: str, file: Path | None = None) -> _Entry:
    return _Entry(key, Origin(where, name, file, 0, text), Finding("bad-value", name, ""))


def _flag_layer(workspace: str | None, overrides: Mapping[str, str]) -> _Layer:
    layer: _Layer = {}
    for name, text in overrides.items():
        key = known_key(name)
        layer[key] = _plain_entry(key, text, "flag", _flag(key))
    if workspace is not None:
        layer["WORKSPACE"] = _plain_entry("WORKSPACE", workspace, "flag", "--workspace")
    return layer


def _flag(key: str) -> str:
    return "--" + key.lower().replace("_", "-")


def _environment_layer(environ: Mapping[str, str], findings: list[Finding]) -> _Layer:
    """`AAP_*`. An unknown one is worth a word only: other programs may use the prefix too."""
    layer: _Layer = {}
    for name in environ:
        if not name.startswith(PREFIX) or name in _NO_SETTINGS:
            continue
        key = NAMES.get(name[len(PREFIX) :])
        if key is None:
            message = "this variable is no setting of aap"
            findings.append(Finding("unknown-variable", name, message, harmless=True))
        elif name == PREFIX + key or key not in layer:
            layer[key] = _plain_entry(key, environ[name], "environment", name)
    return layer


def secret_name(row: Setting) -> str:
    """The file in `secrets/`, and the systemd credential, that holds a secret setting."""
    return row.key.lower().replace("_", "-")


def _secret_layer(environ: Mapping[str, str]) -> _Layer:
    layer: _Layer = {}
    folders = [("secret", secrets_folder(environ))]
    if credentials := environ.get("CREDENTIALS_DIRECTORY"):
        folders.insert(0, ("credential", Path(credentials)))
    for row in (row for row in SETTINGS.values() if row.secret):
        for where, folder in folders:
            path = folder / secret_name(row)
            text = _read_secret(path)
            if text:
                layer[row.key] = _plain_entry(row.key, text, where, str(path), path)
                break
    return layer


def _read_secret(path: Path) -> str:
    """Return a secret without its line's end; empty where there is none, or none for us.

    The worker's unit hides the folder, which shows as EACCES or as an empty folder. Any
    other fault raises ConfigError: without its key the API would open what was closed.
    """
    try:
        return decode(read_bytes(path), str(path)).rstrip("\r\n")
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return ""
    except OSError as error:
        raise unreadable(path, error) from None


def _named_layer(name: str, registry: Registry, file: Path) -> _Layer:
    path, number = registry.lines[name]
    origin = Origin("workspaces", name, file, number, str(path))
    return {"WORKSPACE": _Entry("WORKSPACE", origin, Finding("bad-value", str(file), "", number))}


def _file_layer(folder: Path, files: _Files) -> _Layer:
    file = workspace_file(folder)
    try:
        with identity.acting_for(folder):
            return files.layer(file, "workspace")
    except OSError as error:  # of the way to it
        raise unreadable(file, error) from None


def _shared_layer(main: Path) -> _Layer:
    """What the file of `main` says of the API. Its other lines are its own affair."""
    layer = _file_layer(main, _Files())
    return {key: entry for key, entry in layer.items() if SETTINGS[key].is_shared}


def _own_layer(folder: Path, files: _Files) -> _Layer:
    """Read the file of a workspace that cannot speak for the API."""
    layer = _workspace_layer(folder, files)
    shared = [key for key in layer if SETTINGS[key].is_shared]
    for key in shared:
        said = layer.pop(key).finding._asdict() | {
            "code": "shared-setting",
            "message": f"{key} is of the API, which all workspaces share: it does not count here",
            "hint": f"aap config set {key} …",
            "harmless": True,
        }
        files.findings.append(Finding(**said))
    return layer


def _workspace_layer(folder: Path, files: _Files) -> _Layer:
    """Read the workspace's own file, which cannot send us to another workspace."""
    layer = _file_layer(folder, files)
    redirect = layer.pop("WORKSPACE", None)
    if redirect and redirect.value() != folder:
        said = redirect.finding._asdict() | {
            "code": "other-workspace",
            "message": f"this is the file of {folder}, and cannot name another workspace",
            "hint": "set WORKSPACE with: aap config set WORKSPACE …",
            "harmless": True,
        }
        files.findings.append(Finding(**said))
    return layer


def known_key(name: str) -> str:
    """The key that `name` (a key or an alias, in any case) means; raises NotFoundError."""
    key = NAMES.get(name.upper())
    if key is None:
        near = nearest_key(name)
        hint = f"did you mean {near}?" if near else "see the keys with: aap config list"
        raise NotFoundError(f"{name} is no setting of aap", hint=hint)
    return key
