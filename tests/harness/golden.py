"""What programs read, held against files: the members and types of what `--json` prints.

`WRITE_GOLDEN=1` writes the files anew: look at what that changes. Within a version of a
schema members may be added; one that is gone, or of another type, needs a new number.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import typer

from aap.cli import app

GOLDEN = Path(__file__).parents[1] / "cli/golden"
WRITES = bool(os.environ.get("WRITE_GOLDEN"))
# Their members are not ours to promise: what a line of a log happens to tell.
_FREE = {"fields"}
_NULL = "or null"  # a mark among the members of what is not always there

# Commands whose JSON needs a systemd to succeed; tests/systemd/test_json.py runs them.
ON_SYSTEMD = {
    ("install",),
    ("status",),
    ("doctor",),
    ("send",),
    ("agent", "test"),
    ("workspace", "add"),
    ("workspace", "rm"),
    ("resume",),
    ("uninstall",),
}


def json_commands() -> Iterator[tuple[str, ...]]:
    """Every command of the tree that has `--json`, as its words."""
    yield from _below(typer.main.get_command(app.app), ())


def _below(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, each in getattr(command, "commands", {}).items():
        yield from _below(each, (*path, name))
    if any("--json" in param.opts for param in command.params):
        yield path


def read_documents(out: str) -> list[dict[str, Any]]:
    """Read JSON Lines, of which each must be an object that names its schema and version."""
    documents = [json.loads(line) for line in out.splitlines()]
    for each in documents:
        assert re.fullmatch(r"aap\.[a-z.]+/[1-9]", each["schema"]), each
        assert next(iter(each)) == "schema"
    assert out == "" or out.endswith("\n")
    return documents


def check(name: str, documents: Sequence[dict[str, Any]]) -> None:
    """Hold the documents that a command printed against its golden file."""
    assert documents, "a case that prints nothing shows nothing"
    (schema,) = {each.pop("schema") for each in documents}
    seen = {"schema": schema, **reduce(union, map(shape, documents))}
    path = GOLDEN / f"{name}.json"
    if WRITES:
        path.write_text(json.dumps(seen, indent=1, ensure_ascii=False) + "\n")
    assert path.exists(), f"no golden file {path.name}: WRITE_GOLDEN=1 writes it"
    assert seen == json.loads(path.read_text())


def shape(value: Any) -> Any:
    """The types of all members; of a list, what its items have in common."""
    if isinstance(value, dict):
        return {key: "…" if key in _FREE else shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [reduce(union, map(shape, value))] if value else []
    return "null" if value is None else type(value).__name__


def union(one: Any, other: Any) -> Any:
    """What fits both shapes; a member that only one of them has gets a `?`."""
    if isinstance(one, dict) and isinstance(other, dict):
        return _union_of_members(one, other)
    if isinstance(one, list) and isinstance(other, list):
        return [union(one[0], other[0])] if one and other else one or other
    if one == other:
        return one
    if (isinstance(one, dict) and other == "null") or (isinstance(other, dict) and one == "null"):
        return {_NULL: "", **(one if isinstance(one, dict) else other)}
    kinds = {kind for each in (one, other) for kind in _kinds(each)}
    return "|".join(sorted(kinds))


def _kinds(part: Any) -> list[str]:
    return part.split("|") if isinstance(part, str) else ["list" if isinstance(part, list) else
                                                          "object"]  # fmt: skip


def _union_of_members(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both: dict[str, Any] = {_NULL: ""} if _NULL in (*one, *other) else {}
    for key in dict.fromkeys(name.rstrip("?") for name in (*one, *other) if name != _NULL):
        parts = [part[name] for part in (one, other) for name in (key, f"{key}?") if name in part]
        known = all(key in part for part in (one, other))
        both[key if known else f"{key}?"] = reduce(union, parts)
    return both
