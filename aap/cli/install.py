"""`aap install` and `aap uninstall`: the units, in place and gone again."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aap import SPOOL_FOLDER, WORKSPACE_FILE, files, identity
from aap.cli import output
from aap.cli.place import Place
from aap.errors import AapError, Exit, PermissionDeniedError, UsageError
from aap.message import State
from aap.mode import (
    SYSTEM,
    SYSTEM_HOME,
    USER,
    VARIABLE,
    choose_mode,
    find_mode,
    install_command,
)

if TYPE_CHECKING:
    from aap.config import Loaded
    from aap.systemd.install import Report
    from aap.systemd.preflight import Wish


def install(
    place: Place,
    *,
    linger: bool | None = None,
    system: bool | None = None,
    yes: bool = False,
    as_json: bool = False,
) -> int:
    """Install the units for this user or, with `system`, for the machine; or renew them.

    `system` None means those that are installed, of the user if none are.
    `linger`: True turns lingering on, False leaves it as it is; None asks on a
    terminal and is an error elsewhere if the user does not linger. `yes` answers
    every question. Prints what was done (schema `aap.install/1`).
    """
    from aap.cli import share
    from aap.systemd.install import apply
    from aap.systemd.manager import Manager
    from aap.systemd.preflight import prepare

    _choose_mode(place, system, "install")
    _check_main(place)
    manager = Manager()
    if manager.mode == USER and linger is None:
        linger = _choose_linger(yes=yes)
    loaded = _of_main(place)
    wish = _wish(loaded, _environ(place, loaded), linger, manager.mode)
    plan = prepare(manager, wish)
    report = apply(manager, wish, plan)
    told = _notes(place, loaded, plan.environ["PATH"]) if report.changed else ()
    with _told_if_cut_short(report):
        wrote, advice = share.put(manager.mode)
        actions = (*report.actions, *wrote, *_update_skills(wish.workspaces.values()))
    notes = [*report.notes, *told, *advice]
    if as_json:
        output.write_json(
            "aap.install/1",
            changed=bool(actions),
            actions=actions,
            notes=notes,
            folder=report.folder,
            units=report.units,
            listen=[plan.listen, str(manager.runtime / "aap/api.sock")],
            sandbox="full" if plan.mounts else "seccomp",
        )
        return Exit.OK
    _tell(actions or ("aap is installed and up to date",), notes)
    output.note(f"listening on http://{plan.listen}")
    output.note("  aap send hello   tries it")
    return Exit.OK


@contextmanager
def _told_if_cut_short(report: Report) -> Iterator[None]:
    """Say what is in force all the same, should the pages or skills fail that come after it."""
    try:
        yield
    except (AapError, OSError):
        for action in report.actions:
            output.note(action)
        output.note(f"aap is installed and runs; {install_command()} puts the rest there")
        raise


def _choose_mode(place: Place, system: bool | None, verb: str) -> None:
    """Settle whose aap is meant. Raises PermissionDeniedError: root alone changes the machine's."""
    from aap.systemd.preflight import check_settings_folder

    choose_mode(find_mode() if system is None else SYSTEM if system else USER)
    if find_mode() == USER:
        return
    if os.geteuid() != 0:
        program = shutil.which(sys.argv[0]) or "aap"
        hint = f"sudo {shlex.quote(program)} {verb} --system"
        raise PermissionDeniedError(f"only root can {verb} aap for the whole machine", hint=hint)
    check_settings_folder()
    if place.config or os.environ.get("AAP_CONFIG"):
        said = f"the machine's aap reads its settings from {config_file()} alone"
        raise UsageError(said, hint="leave --config out, and unset AAP_CONFIG")


def config_file() -> Path:
    """The configuration file of the aap that is meant."""
    from aap import config

    return config.user_file()


def _update_skills(workspaces: Iterable[Path]) -> Iterator[str]:
    """Bring the skills up to date where somebody had them installed, and nowhere else."""
    from aap import skillset

    for path in workspaces:
        with identity.acting_for(path):
            steps = skillset.install(path) if _is_there(path / skillset.MANIFEST) else ()
        yield from (f"{each.action} {each.path}" for each in steps if each.action != "kept")


def _is_there(path: Path) -> bool:
    """Whether there is such a file, and not at the other end of a link to what is closed."""
    with suppress(PermissionError):
        return path.exists()
    return False


def _choose_linger(*, yes: bool) -> bool | None:
    """Ask whether to turn lingering on; None if it is on, or there is nobody to ask."""
    from aap.systemd import manager as managers

    if managers.has_linger() or not (yes or sys.stdin.isatty()):
        return None
    question = f"aap stops when {managers.user_name()} logs out, unless lingering is on."
    return yes or output.ask(f"{question} Turn it on?")


def _tell(actions: tuple[str, ...], notes: list[str]) -> None:
    for line in actions:
        output.write(line)
    for line in notes:
        output.note(f"note: {line}")


def _of_main(place: Place) -> Loaded:
    """An installation is of all workspaces; what they share is said where `main` is."""
    from aap import config

    loaded = config.load(workspace=place.workspace, config_file=place.config)
    if loaded.name == config.MAIN:
        return loaded  # `-w` may give it a folder that is still to be made
    return config.load(workspace=config.MAIN, config_file=place.config)


def _check_main(place: Place) -> None:
    """Let `-w` choose the folder of a first installation alone.

    Raises UsageError where it would take the place of `main`, whose messages nobody would
    look after any more, or names another workspace: an installation is of all.
    """
    from aap import config

    if place.workspace is None:
        return
    asked = config.load(workspace=place.workspace, config_file=place.config)
    if asked.name != config.MAIN:
        said = f"an installation is of all workspaces, not of {asked.name} alone"
        raise UsageError(said, hint=f"without -w: {install_command()}")
    main, folder = _main_so_far(place), asked.settings.workspace
    if main in (None, folder):
        return
    path = shlex.quote(str(folder))
    raise UsageError(
        f'the workspace "{config.MAIN}" is {main}, and stays there',
        hint=f"aap workspace add NAME {path}; or to move it: aap config set WORKSPACE {path}",
    )


def _main_so_far(place: Place) -> Path | None:
    """The folder of `main` that is installed, or set in a file; None where neither is."""
    from aap import config
    from aap.systemd import record

    if known := record.read(find_mode()):
        return known.plan.workspaces[config.MAIN]
    loaded = config.load(workspace=config.MAIN, config_file=place.config)
    is_set = loaded.origins["WORKSPACE"].where in {"config", "user", "system"}
    return loaded.settings.workspace if is_set else None


def _wish(loaded: Loaded, environ: dict[str, str], linger: bool | None, mode: str) -> Wish:
    from aap import config
    from aap.config.keys import KeyRing
    from aap.systemd.preflight import Wish

    settings = loaded.settings
    return Wish(
        host=settings.host,
        port=settings.port,
        lack=KeyRing.load(config.keys_file(), settings.api_key).lack,
        workspaces=loaded.workspaces,
        secrets=config.secrets_folder(),
        python=sys.executable,
        folders=tuple(_spool_folders(loaded.workspaces.values())),
        environ=environ,
        stop_grace=_longest_grace(loaded, environ),
        linger=linger,
        mode=mode,
    )


def _longest_grace(loaded: Loaded, environ: Mapping[str, str]) -> float:
    """All workers are started from one unit, and each workspace may have a time of its own."""
    from aap import config

    clean = _without_settings(environ)
    graces = [
        config.load(workspace=str(path), environ=clean).settings.stop_grace
        for path in loaded.workspaces.values()
    ]
    return max(loaded.settings.stop_grace, *graces)


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """This shell's environment, with the settings in it as the units have them."""
    given = os.environ.items()
    own = {key: text for key, text in given if key == VARIABLE or not key.startswith("AAP_")}
    return own | {key: value for key, value in environ.items() if key.startswith("AAP_")}


def _spool_folders(workspaces: Iterable[Path]) -> Iterator[Path]:
    from aap.inbox import Spool, check_format
    from aap.inbox.notes import FOLDER as NOTES

    for path in workspaces:
        spool = Spool(path / SPOOL_FOLDER)
        # What its owner may not read is no spool, and the preflight says what it is.
        with suppress(PermissionError, PermissionDeniedError), identity.acting_for(spool.root):
            check_format(spool.root)  # before an older aap takes a newer one's place
        yield from (spool.folder(state) for state in State)
        yield spool.root / NOTES
        yield spool.logs


def renew() -> tuple[str, ...] | None:
    """Bring what is installed in line with settings and workspaces; return what was done.

    None where aap is not installed. The units keep what the installing shell gave them, its
    PATH above all: a change made from elsewhere must not take the agent out of their reach.
    """
    from aap import config
    from aap.systemd import record
    from aap.systemd.install import apply
    from aap.systemd.manager import Manager
    from aap.systemd.preflight import prepare

    manager = Manager()
    known = record.read(manager.mode)
    if known is None:
        return None
    environ = dict(known.plan.environ)
    loaded = config.load(workspace=config.MAIN, environ=_without_settings(environ))
    wish = replace(_wish(loaded, environ, False, manager.mode), python=known.plan.python)
    return apply(manager, wish, prepare(manager, wish)).actions


def renew_api() -> tuple[str, ...] | None:
    """Have a running API read its settings again, without losing a request; as `renew`."""
    from aap.systemd import record, units
    from aap.systemd.manager import STOP_TIMEOUT, Manager

    manager = Manager()
    if record.read(manager.mode) is None:
        return None
    manager.check_reachable()
    if manager.show(units.API)[units.API].active != "active":
        return ()
    manager.tell("try-restart", units.API, timeout=STOP_TIMEOUT)
    return (f"restarted {units.API}",)


def _environ(place: Place, loaded: Loaded) -> dict[str, str]:
    """What the units must be told, because they do not come from this shell."""
    if find_mode() == SYSTEM:
        found = {"PATH": _system_path(), VARIABLE: SYSTEM}
        return found | _named_workspace(loaded)
    # The mode too: a member of the group aap, seen from a unit, may look like the machine's.
    found = {"PATH": _path(), VARIABLE: USER}
    found["XDG_CONFIG_HOME"] = os.environ.get("XDG_CONFIG_HOME", "")
    if config_file := place.config or os.environ.get("AAP_CONFIG"):
        found["AAP_CONFIG"] = str(Path(config_file).expanduser().absolute())
    found |= _named_workspace(loaded)
    return {key: value for key, value in found.items() if value}


def _named_workspace(loaded: Loaded) -> dict[str, str]:
    if loaded.origins["WORKSPACE"].where in {"flag", "environment"}:
        return {"AAP_WORKSPACE": str(loaded.settings.workspace)}
    return {}


def _system_path() -> str:
    """This shell's PATH without what the units do not see, and what the account has of its own."""
    hidden = ("/home/", "/root/", "/tmp/", "/run/user/")  # noqa: S108 - left out, not used
    seen = [each for each in _path().split(os.pathsep) if not f"{each}/".startswith(hidden)]
    return os.pathsep.join([*seen, str(SYSTEM_HOME / ".local/bin")])


def _path() -> str:
    """This shell's PATH: the user manager's own is too poor to find an agent in it.

    The folder of `aap` itself comes last if need be, because agents call it.
    """
    given = os.environ.get("PATH", os.defpath).split(os.pathsep)
    folders = [folder for folder in given if folder.startswith("/") and Path(folder).is_dir()]
    if shutil.which("aap", path=os.pathsep.join(folders)) is None:
        folders.append(str(Path(sys.executable).parent))
    return os.pathsep.join(dict.fromkeys(folders))


def _notes(place: Place, loaded: Loaded, path: str) -> Iterator[str]:
    yield f"the agent is looked for in this shell's PATH ({path}); after a change, install again"
    if place.config:
        file = shlex.quote(place.config)
        yield f"to use the same settings in this shell: export AAP_CONFIG={file}"
    if loaded.origins["WORKSPACE"].where in {"flag", "environment"}:
        workspace = shlex.quote(str(loaded.settings.workspace))
        yield f"to make this workspace the default one: aap config set WORKSPACE {workspace}"


def uninstall(
    place: Place,
    *,
    purge: bool = False,
    yes: bool = False,
    system: bool | None = None,
    as_json: bool = False,
) -> int:
    """Stop and remove the units; messages stay, unless `purge` deletes them too.

    `purge` asks on a terminal and wants `yes` elsewhere. Prints what was done
    (schema `aap.uninstall/1`).
    """
    from aap.cli import share
    from aap.systemd import record
    from aap.systemd.manager import Manager
    from aap.systemd.uninstall import forget, remove_account
    from aap.systemd.uninstall import uninstall as take_away

    _choose_mode(place, system, "uninstall")
    manager = Manager()
    known = record.read(manager.mode)
    paths = known.plan.workspaces if known else place.loaded.workspaces
    workspaces = list(paths.values())
    if manager.mode == SYSTEM:
        workspaces = _with_former(workspaces)
    spools = [path / SPOOL_FOLDER for path in workspaces if (path / SPOOL_FOLDER).exists()]
    if purge and spools and not yes:
        _confirm_purge(spools)
    at_work = list(_at_work(workspaces))
    removal = take_away(manager)
    others = (*share.remove(manager.mode), *_remove_skills(workspaces), *_remove_blanks(workspaces))
    deleted = list(_delete_spools(spools, purge=purge))
    forget(manager, removal)
    told, note = remove_account(manager)
    actions = tuple(each for each in (*removal.actions, *others, told) if each)
    notes = [each for each in (*removal.notes, *at_work, note) if each]
    kept = [spool for spool in spools if spool.exists()]
    if as_json:
        facts = {"actions": actions, "notes": notes, "deleted": deleted, "kept": kept}
        output.write_json("aap.uninstall/1", changed=bool(actions), **facts)
        return Exit.OK
    actions = actions or ("aap is not installed: nothing to do",)
    _tell((*actions, *(f"deleted {spool}" for spool in deleted if purge)), notes)
    _tell_kept(kept)
    return Exit.OK


def _at_work(workspaces: Iterable[Path]) -> Iterator[str]:
    """Say which runs are ended: their messages go back to inbox/, and are not handled."""
    from aap.cli.activity import read_run
    from aap.inbox import Spool

    for path in workspaces:
        spool = Spool(path / SPOOL_FOLDER)
        with identity.acting_for(spool.root):
            run = read_run(spool)
        if run:
            messages = output.counted(len(run.ids), "message")
            yield f"ended a run of {run.agent} in {path}, over {messages} not handled yet"


def _with_former(workspaces: list[Path]) -> list[Path]:
    """Those that are none any more too; and have all known until the account is gone."""
    from aap.systemd import account, former

    if account.is_ours():
        former.add(workspaces)
    return list(dict.fromkeys([*workspaces, *former.with_messages()]))


def _delete_spools(spools: Iterable[Path], *, purge: bool) -> Iterator[Path]:
    """Delete those that hold nothing, or with `purge` all; yield each."""
    for spool in spools:
        if spool.exists() and (purge or not _holds_anything(spool)):
            _delete(spool)
            yield spool


def _tell_kept(kept: Sequence[Path]) -> None:
    for spool in kept:
        output.note(f"the messages stay in {spool}")
    if kept:
        which = "--purge" if find_mode() == USER else "--system --purge"
        output.note(f"  aap uninstall {which}   deletes them")
    folder = config_file().parent
    left = sorted(str(path) for path in folder.glob("*") if path.name != "former.json")
    if left:
        output.note(f"settings and keys stay in {folder}, and count after another installation")
        output.note(f"  {shlex.join(['rm', '-r', *left])}   deletes them")


def _remove_skills(workspaces: Iterable[Path]) -> Iterator[str]:
    """Take the skills away that `aap skills install` put there and nobody changed."""
    from aap import skillset

    for path in workspaces:
        with identity.acting_for(path):
            steps = skillset.remove(path) if _is_there(path / skillset.MANIFEST) else ()
        if any(each.action == "removed" for each in steps):
            yield f"removed the skills from {path}"


def _remove_blanks(workspaces: Iterable[Path]) -> Iterator[str]:
    """Take the settings files away that `aap install` made and nobody changed."""
    from aap.systemd.install import remove_blank

    yield from (f"removed {path / WORKSPACE_FILE}" for path in workspaces if remove_blank(path))


def _delete(spool: Path) -> None:
    """Delete a spool; of a link, the link alone."""
    with identity.acting_for(spool):
        if spool.is_symlink():
            spool.unlink()
        else:
            _delete_folder(spool)
        files.fsync_folder(spool.parent)


def _delete_folder(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        error.filename = str(folder)  # it names what is below, and not where
        raise


def _holds_anything(spool: Path) -> bool:
    """Whether there is a file besides the lock: a message, a note of one, a log."""
    with identity.acting_for(spool):
        return any(path.name != "LOCK" and not path.is_dir() for path in spool.rglob("*"))


def _confirm_purge(spools: list[Path]) -> None:
    said = ", ".join(map(str, spools))
    if not output.ask(f"Delete all messages in {said} for good?"):
        hint = f"aap uninstall --{find_mode()} --purge --yes"
        raise UsageError("nothing was deleted or uninstalled", hint=hint)
