"""What is said twice is checked once: manual pages against the program."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import typer
from harness.command import CHECKOUT

from aap.cli import app, manual
from aap.config import SETTINGS
from aap.errors import Exit
from aap.message import State

PAGES = sorted((CHECKOUT / "man").iterdir())
TREE: Any = typer.main.get_command(app.app)


def rendered(name: str) -> str:
    """A page as a reader sees it, on one line."""
    if shutil.which("mandoc") is None:
        pytest.skip("no mandoc here")
    page = str(CHECKOUT / "man" / name)
    done = subprocess.run(
        ["mandoc", "-Tutf8", "-Owidth=1000", page], capture_output=True, text=True, check=True
    )
    return " ".join(re.sub(".\b", "", done.stdout).split())


def leaves(command: Any, path: str = "") -> dict[str, Any]:
    below = {n: c for n, c in getattr(command, "commands", {}).items() if not c.hidden}
    if not below:
        return {path: command}
    return {k: v for n, c in below.items() for k, v in leaves(c, f"{path} {n}".strip()).items()}


COMMANDS = leaves(TREE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_are_well_formed(page: Any) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("no mandoc here")
    done = subprocess.run(
        ["mandoc", "-Tlint", str(page)], capture_output=True, text=True, check=False
    )
    # Our own pages are not installed where this runs.
    said = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
    assert said == []


@pytest.mark.parametrize("path", COMMANDS)
def test_the_manual_has_every_command_with_all_its_options(path: str) -> None:
    text = rendered("aap.1")
    start = text.index(f" aap {path} ")
    others = "|".join(TREE.commands)
    entry = re.split(rf" aap (?:{others}) ", text[start + len(path) + 5 :], maxsplit=1)[0]
    general = {"--workspace", "--config", "--help"}
    options = {
        spelling
        for parameter in COMMANDS[path].params
        for spelling in (*parameter.opts, *parameter.secondary_opts)
        if spelling.startswith("--")
    }
    assert set(re.findall(r"--[a-z][a-z0-9-]*", entry)) >= options - general
    source = (CHECKOUT / "man/aap.1").read_text(encoding="utf-8")
    line = re.search(rf"^\.It Nm Cm {path} .*$", source, re.MULTILINE)
    assert line and {f"-{name}" for name in re.findall(r"Fl (-[a-z-]+)", line[0])} <= options


def test_the_manual_has_every_exit_code() -> None:
    page = (CHECKOUT / "man" / "aap.1").read_text(encoding="utf-8")
    section = page.partition(".Sh EXIT STATUS")[2].partition(".Sh EXAMPLES")[0]
    assert [int(code) for code in re.findall(r"^\.It (\d+)$", section, re.MULTILINE)] == list(Exit)


def test_the_manual_of_the_configuration_is_that_of_the_table() -> None:
    page = (CHECKOUT / "man" / "aap.conf.5").read_text(encoding="utf-8")
    assert manual.renew(page) == page, "python -m aap.cli.manual man/aap.conf.5"
    text = rendered("aap.conf.5")
    for row in SETTINGS.values():
        alias = f"Alias: {', '.join(row.aliases)}. " if row.aliases else ""
        assert f"{row.key} {alias}{row.help} Default: {row.default or 'empty'}." in text


def test_the_manual_of_the_spool_has_every_state() -> None:
    text = rendered("aap-spool.5")
    assert all(f"{state.value}/" in text for state in State)
