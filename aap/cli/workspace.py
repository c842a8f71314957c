"""`aap workspace`: several workspaces, each with its own messages, agent, session and units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aap import SPOOL_FOLDER, config, files, identity
from aap.cli import output
from aap.cli.install import renew, renew_api
from aap.cli.place import Place
from aap.config import registry
from aap.config.files import real_file
from aap.errors import AapError, Exit, UsageError
from aap.inbox import Spool, read_pause
from aap.message import State
from aap.mode import find_mode, install_command

if TYPE_CHECKING:
    from aap.systemd.status import WorkspaceUnits

SCHEMA = "aap.workspace/1"
_COLOURS = {"watched": "green", "paused": "yellow", "not watched": "red"}
_OPEN = (State.INBOX, State.ACTIVE, State.DEFERRED)


class View(NamedTuple):
    """A workspace as it is shown."""

    name: str
    path: Path
    is_default: bool
    state: str  # watched, paused, not watched, not installed, unknown
    counts: dict[str, int]

    @property
    def waiting(self) -> int:
        """Messages that the agent is still to handle."""
        return sum(self.counts[state.value] for state in _OPEN)


def ls(place: Place, *, as_json: bool = False) -> int:
    """List the workspaces; with JSON one a line."""
    known, units = _registry(), _units(place)
    views = [_view(name, path, known, units) for name, path in place.chosen(_paths(place)).items()]
    if as_json:
        for view in views:
            output.write_json(SCHEMA, **_members(view))
        return Exit.OK
    head = (
        output.Column("", 1),
        output.Column("NAME", 24),
        output.Column("STATE", colours=_COLOURS),
        output.Column("WAITING", right=True),
        output.Column("PATH"),
    )
    rows = [
        ("*" if v.is_default else "", v.name, v.state, str(v.waiting), str(v.path)) for v in views
    ]
    output.table(head, rows, least=20)
    return Exit.OK


def show(place: Place, name: str | None = None, *, as_json: bool = False) -> int:
    """Show one workspace, that of `-w` or the default one unless named."""
    asked = Place(name, place.config) if name else place
    loaded = asked.loaded
    view = _view(loaded.name, loaded.settings.workspace, _registry(), _units(asked))
    if as_json:
        output.write_json(SCHEMA, **_members(view))
        return Exit.OK
    counts = ", ".join(f"{count} {state}" for state, count in view.counts.items() if count)
    output.fields(
        [
            ("workspace", view.name + (", the default one" if view.is_default else "")),
            ("path", str(view.path)),
            ("model", _model(view)),
            ("state", output.paint(view.state, _COLOURS.get(view.state, ""))),
            ("messages", counts or "none"),
            ("agent", _agent(asked)),
            ("settings", str(config.workspace_file(view.path))),
            ("units", _unit(view)),
        ]
    )
    return Exit.OK


def add(place: Place, name: str, path: str, *, as_json: bool = False) -> int:
    """Give a folder a name, and have its inbox watched where aap is installed.

    Nothing is changed if a part of it fails. Raises UsageError, ConfigError.
    """
    from aap.systemd import account
    from aap.systemd.preflight import check_workspace

    folder = _folder(path)
    _check_free(place, name, folder)
    check_workspace(folder, find_mode())
    with _all_or_nothing(folder):
        is_new = registry.add_workspace(config.workspaces_file(), name, folder)
        Place(name).loaded  # noqa: B018 - its own settings must be fit to run with
        account.make_folder(folder, find_mode())
        actions = renew()
        view = _view(name, _paths(place)[name], _registry(), _units(place))
    return _tell(view, actions, is_new=is_new, as_json=as_json)


def _folder(path: str) -> Path:
    try:
        return Path(str(config.SETTINGS["WORKSPACE"].parse(path)))
    except ValueError as error:
        raise UsageError(f"the path {error}") from None


def _check_free(place: Place, name: str, folder: Path) -> None:
    registry.check_new(_registry(), name, folder)
    main = _paths(place)[config.MAIN]
    if folder == main or (folder.exists() and main.exists() and folder.samefile(main)):
        raise UsageError(f'{folder} is the workspace "{config.MAIN}" already')


def _tell(view: View, actions: tuple[str, ...] | None, *, is_new: bool, as_json: bool) -> int:
    name = view.name
    if as_json:
        output.write_json(SCHEMA, **_members(view))
        return Exit.OK
    for line in actions or ():
        output.note(line)
    output.note(f"{name} is {view.path}" if is_new else f"{name} was so already")
    output.note(f"  clients choose it as the model {_model(view)}")
    output.note(f"  its own agent: aap -w {name} config set AGENT codex")
    if actions is None:
        output.note(f"  {install_command()}   starts to watch it")
    return Exit.OK


def use(place: Place, name: str) -> int:
    """Make a workspace the default one, for commands and for clients that name none."""
    path = _paths(place).get(name)
    with _all_or_nothing():
        changed = registry.mark_default(config.workspaces_file(), name)
        actions = renew_api() if changed else ()
    for line in actions or ():
        output.note(line)
    output.note(f"{name} is the default workspace{'' if changed else ' already'}: {path}")
    return Exit.OK


def rm(name: str, *, as_json: bool = False) -> int:
    """Forget a workspace: it is watched no longer, and its messages stay."""
    was_default = _registry().default == name
    with _all_or_nothing():
        path = registry.remove_workspace(config.workspaces_file(), name)
        spool = Spool(path / SPOOL_FOLDER)
        counts = _counts(spool)
        stay = spool.root.exists()
        actions = renew()
    if as_json:
        output.write_json(
            "aap.workspace.rm/1", name=name, path=path, spool=spool.root, messages=counts
        )
        return Exit.OK
    for line in actions or ():
        output.note(line)
    output.note(f"{name} is no workspace any more")
    if stay:
        waiting = sum(counts[state.value] for state in _OPEN)
        output.note(f"its messages stay in {spool.root}; {waiting} of them are not handled")
    if was_default:
        output.note(f"the default workspace is {config.MAIN}")
    return Exit.OK


@contextmanager
def _all_or_nothing(folder: Path | None = None) -> Iterator[None]:
    """Put the file of workspaces back as it was if the block fails; a new folder goes again."""
    file = config.workspaces_file()
    made = files.missing_folders(folder) if folder else []
    with files.kept(real_file(file)) as put_back:
        try:
            yield
        except BaseException:
            with suppress(OSError):
                put_back()
                files.fsync_folder(file.parent)
            identity.remove_empty(made)
            raise


# Facts


def _registry() -> registry.Registry:
    return registry.read_registry(config.workspaces_file())


def _paths(place: Place) -> dict[str, Path]:
    """All workspaces, `main` first. Those of other settings are shown if this one's are wrong."""
    main = config.find_folder(config.MAIN, place.config)
    return {config.MAIN: main, **{name: line.path for name, line in _registry().lines.items()}}


def _units(place: Place) -> dict[Path, WorkspaceUnits] | None:
    """The units by workspace; none where systemd cannot be asked, None where aap is not there."""
    from aap.systemd import record
    from aap.systemd.manager import Manager
    from aap.systemd.status import look

    manager = Manager()
    if record.read(manager.mode) is None:
        return None
    try:
        found = look(manager, _paths(place))
    except AapError:
        return {}
    return {each.path: each for each in found.workspaces}


def _view(
    name: str, path: Path, known: registry.Registry, units: dict[Path, WorkspaceUnits] | None
) -> View:
    spool = Spool(path / SPOOL_FOLDER)
    counts = _counts(spool)
    with identity.acting_for(spool.root):
        state = _state(spool, path, units)
    return View(name, path, name == known.default, state, counts)


def _counts(spool: Spool) -> dict[str, int]:
    """How many messages are in each state, as far as the owner of the spool may look."""
    counts = dict.fromkeys((state.value for state in State), 0)
    with identity.acting_for(spool.root):
        for state in State:
            with suppress(PermissionError):
                counts[state.value] = spool.count(state)
    return counts


def _state(spool: Spool, path: Path, units: dict[Path, WorkspaceUnits] | None) -> str:
    if read_pause(spool.root):
        return "paused"
    if units is None:
        return "not installed"
    if not units:
        return "unknown"
    return "watched" if path in units and units[path].watch.active == "active" else "not watched"


def _model(view: View) -> str:
    return f"aap/{view.name}" + (", aap, manager" if view.is_default else "")


def _unit(view: View) -> str:
    from aap.systemd import units

    return f"{units.worker_path(view.path)}, {units.worker_service(view.path)}"


def _agent(place: Place) -> str:
    from aap.agents import find_agent

    settings = place.settings
    try:
        return find_agent(settings.agent, settings.agent_init_cli, settings.agent_cli).name
    except AapError as error:
        return f"none: {error}"


def _members(view: View) -> dict[str, Any]:
    from aap.systemd import units

    return {
        "name": view.name,
        "path": view.path,
        "default": view.is_default,
        "model": f"aap/{view.name}",
        "state": view.state,
        "messages": view.counts,
        "spool": view.path / SPOOL_FOLDER,
        "settings": config.workspace_file(view.path),
        "units": {
            "path": units.worker_path(view.path),
            "worker": units.worker_service(view.path),
            "timer": units.sweep_timer(view.path),
        },
    }
