"""`aap config edit`: a file in an editor, replaced only by a text that aap can run with."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from aap import config, files, process
from aap.cli import output
from aap.cli.config import changed_in, put_in_force, target_of
from aap.cli.place import Place
from aap.config import store
from aap.config.envfile import decode
from aap.errors import AapError, ConfigError, Exit, UsageError

_NEW_FILE = "# Settings of aap, one KEY=VALUE a line. What there is: aap config list, aap.conf(5)\n"
_EDITORS = ("sensible-editor", "nano", "vi")


def edit(place: Place, *, apply: bool = False) -> int:
    """Have the file changed in an editor; it is replaced only by a text that aap can run with."""
    target = target_of(place)
    before = store.whole_text(target)
    shown = before or _NEW_FILE
    draft = Path(tempfile.mkdtemp(prefix="aap-"), target.name.lstrip("."))
    try:
        files.write_atomic(draft, shown.encode())
        after = _edit_until_right(place, target, draft, shown)
        if after != shown:
            store.replace_text(target, before, after)
    except (AapError, OSError):
        if _is_changed(draft, shown):
            output.note(f"your text is {draft}")
        else:
            _discard(draft)
        raise
    _discard(draft)
    if after == shown:
        output.note("nothing was changed")
        return Exit.OK
    keys = store.changed_keys(before, after)
    output.note(changed_in(", ".join(keys) or "comments alone", target))
    put_in_force([config.SETTINGS[key] for key in keys], target, apply=apply)
    return Exit.OK


def _is_changed(draft: Path, shown: str) -> bool:
    try:
        return draft.read_bytes() != shown.encode()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # perhaps


def _discard(draft: Path) -> None:
    """Remove the draft, and what an editor leaves beside it."""
    with suppress(OSError):  # of which not all are ignored by what says so
        shutil.rmtree(draft.parent, ignore_errors=True)


def _edit_until_right(place: Place, target: Path, draft: Path, shown: str) -> str:
    """Raises ConfigError where the person gives up."""
    while True:
        argv = [*_editor(), str(draft)]
        code = process.run_here(argv)
        if code != 0:
            raise AapError(f"{argv[0]} ended with {code}: nothing was changed")
        try:
            text = decode(draft.read_bytes(), str(target))
            if text != shown:
                _check_text(place, target, text)
        except ConfigError as error:
            if not sys.stdin.isatty():
                raise
            output.warn(str(error), error.hint)
            if not output.ask("Edit it again?"):
                raise ConfigError(f"nothing was changed in {target}") from None
        else:
            return text


def _check_text(place: Place, target: Path, text: str) -> None:
    """Raise ConfigError if aap could not run with this text. Faults of other files do not count."""
    try:
        config.load(workspace=place.workspace, config_file=place.config, draft=(target, text))
    except config.DoubtfulConfigError as error:
        own = tuple(each for each in error.findings if each.where == str(target))
        if own:
            raise config.DoubtfulConfigError(own) from None


def _editor() -> list[str]:
    for name in ("VISUAL", "EDITOR"):
        if words := shlex.split(os.environ.get(name, "")):
            return words
    found = next((name for name in _EDITORS if shutil.which(name)), None)
    if found is None:
        raise UsageError("there is no editor", hint="EDITOR=nano aap config edit")
    return [found]
