"""`aap openclaw`: whether OpenClaw's own configuration suits an inbox behind it."""

from __future__ import annotations

from aap import config
from aap.cli import output
from aap.cli.place import Place
from aap.config.keys import KeyRing
from aap.errors import Exit
from aap.openclaw import read_document
from aap.openclaw import setup as editing
from aap.openclaw.check import KEY_REFERENCE, Aap, Finding, findings
from aap.openclaw.wishes import OK

_COLOURS = {"ok": "green", "note": "dim", "warn": "yellow", "FAIL": "red"}
_COLUMNS = (
    output.Column("", 4, colours=_COLOURS),
    output.Column("SETTING", 60),
    output.Column("IS", 24),
    output.Column("SHOULD BE", 24),
    output.Column("WHY"),
)
NEXT = "openclaw config validate && openclaw gateway restart"


def ourselves(place: Place) -> Aap:
    """What OpenClaw must know of this aap. Raises ConfigError."""
    settings = place.settings
    ring = KeyRing.load(config.keys_file(), settings.api_key)
    accepts = (lambda key: ring.check(key) is not None) if ring else None
    return Aap(settings.host, settings.port, accepts)


def examine(place: Place) -> list[Finding]:
    """Look at OpenClaw's configuration, for `check` and for `aap doctor`.

    Raises NotFoundError where there is no OpenClaw, ConfigError where its
    configuration, or ours, cannot be read.
    """
    return findings(read_document(), ourselves(place))


def check(place: Place, *, as_json: bool = False) -> int:
    """Show each setting that matters, what it should be, and why.

    Returns Exit.FINDINGS if one of them loses or shows what it should not. JSON is one
    line a setting, schema `aap.openclaw.check/1`.
    """
    found = examine(place)
    bad = sum(each.is_bad for each in found)
    if as_json:
        for each in found:
            output.write_json("aap.openclaw.check/1", **_members(each))
        return Exit.FINDINGS if bad else Exit.OK
    output.table(_COLUMNS, [_row(each) for each in found])
    if bad:
        do = "does" if bad == 1 else "do"
        setup = ": aap openclaw setup" if any(each.change for each in found) else ""
        output.note(f"{bad} of {len(found)} settings {do} not suit{setup}")
        _tell_by_hand(found)
        return Exit.FINDINGS
    output.note(f"all {len(found)} settings suit")
    return Exit.OK


def _members(found: Finding) -> dict[str, object]:
    return {
        "severity": found.severity,
        "setting": found.setting,
        "current": found.current,
        "wanted": found.wanted,
        "why": found.why,
        "can_be_set": found.change is not None,
    }


def _row(found: Finding) -> tuple[str, ...]:
    wanted = "" if found.severity == OK else found.wanted
    cells = (found.setting, found.current, wanted, found.why)
    return (found.severity, *map(output.one_line, cells))


def setup(place: Place, *, write: bool = False, as_json: bool = False) -> int:
    """Show what should be changed, as a piece of JSON5; with `write` change the file.

    JSON is one document, schema `aap.openclaw.setup/1`.
    """
    document = read_document()
    found = findings(document, ourselves(place))
    changes = [each.change for each in found if each.change]
    patch = editing.fragment(changes) if changes else ""
    editing.changed_text(document, changes)  # what --write could not do is said now
    backup = str(editing.write(document, changes)) if write and changes else None
    if as_json:
        settings = [_members(each) for each in found if each.change]
        facts = {"path": str(document.path), "written": bool(backup), "backup": backup}
        output.write_json("aap.openclaw.setup/1", **facts, patch=patch, changes=settings)
        return Exit.OK
    if patch:
        output.write(patch)
    _tell(str(document.path), found, backup)
    return Exit.OK


def _tell(path: str, found: list[Finding], backup: str | None) -> None:
    changes = [each for each in found if each.change]
    if not changes:
        output.note(f"nothing to change in {path}")
    elif backup is None:
        output.note(f"{len(changes)} settings of {path}; to set them: aap openclaw setup --write")
    else:
        output.note(f"{path}: {len(changes)} settings set; as it was: {backup}")
        output.note(f"then: {NEXT}")
    if any(each.change and each.change[1] == KEY_REFERENCE for each in changes):
        output.note("the key of aap belongs into ~/.openclaw/.env: AAP_API_KEY=…")
        output.note("  aap key new openclaw   makes one")
    _tell_by_hand(found)


def _tell_by_hand(found: list[Finding]) -> None:
    """Say what no command changes, and how it is done."""
    for each in found:
        if each.is_bad and not each.change:
            output.note(f"by hand: {each.setting}: {output.one_line(each.why)}")
