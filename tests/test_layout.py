"""Arrows go down: floor, rooms, programs. And what is started often loads little."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "aap"
PROGRAMS = {"api", "worker", "cli"}
ROOMS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - PROGRAMS
# A room may use another's public face where it stands above it.
ABOVE = {"delivery": {"inbox", "openclaw"}}


def imports() -> Iterator[tuple[str, str]]:
    """Each import inside aap, also those inside functions, as (who, what)."""
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        importer = ".".join(parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aap"):
                for name in node.names:
                    yield importer, f"{node.module}.{name.name}"
            elif isinstance(node, ast.Import):
                yield from ((importer, n.name) for n in node.names if n.name.startswith("aap."))


def place(module: str) -> str:
    """The room or program of a module; "floor" for what is in none."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS | PROGRAMS else "floor"


@pytest.mark.slow
def test_the_floor_stands_on_itself() -> None:
    assert [(who, what) for who, what in imports() if place(who) == "floor" != place(what)] == []


def test_rooms_know_no_program_and_only_the_face_of_rooms_below_them() -> None:
    for who, what in imports():
        room, other = place(who), place(what)
        if room not in ROOMS or other in {room, "floor"}:
            continue
        assert other in ABOVE.get(room, set()), f"{who} imports {what}"
        assert len(what.split(".")) <= 3, f"{who} imports the inside of {other}: {what}"


@pytest.mark.slow
def test_programs_do_not_know_each_other() -> None:
    for who, what in imports():
        if place(who) in PROGRAMS and place(what) in PROGRAMS:
            assert place(who) == place(what), f"{who} imports {what}"


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-I", "-c", code], text=True).split())


# Each of these costs more than all of what it would serve; the first as much as
# starting Python.
HEAVY = {
    *("dataclasses", "inspect", "asyncio", "email", "hashlib", "http", "random", "socket"),
    *("typer", "click", "rich", "pydantic", "fastapi", "msgspec", "platformdirs", "systemd"),
}


@pytest.mark.parametrize(
    "statement",
    [
        "import aap.worker.worker, aap.worker.main",
        "import aap.worker.hook",
        "import aap.cli.main, aap.cli.inbox; aap.cli.main.parse_hot(['inbox', 'ls'])",
    ],
)
def test_what_is_started_often_loads_little(statement: str) -> None:
    assert modules_after(statement) & HEAVY == set()


def test_the_first_line_of_the_worker_needs_no_agent_and_no_configuration() -> None:
    loaded = modules_after("import aap.worker.main")
    assert not {name for name in loaded if name.startswith(("aap.agents", "aap.config"))}


def test_the_api_answers_without_fastapi() -> None:
    loaded = modules_after("import aap.api.main, aap.api.app, aap.api.server")
    assert loaded & {"fastapi", "starlette", "pydantic", "typer"} == set()
