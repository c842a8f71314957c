"""What the program tells people to type must be there: every `aap …` in its texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
import typer
from harness.agreement import facts_of, fault_of
from harness.command import CHECKOUT

from aap.cli import app
from aap.config import SETTINGS

FACTS = facts_of(typer.main.get_command(app.app), app.SECTIONS)


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The string literals of a module, without its docstrings; what is filled in is a `{}`."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [getattr(part, "value", "") for part in node.values]
            skipped |= {id(part) for part in node.values}
            yield node.lineno, "".join(part if isinstance(part, str) else "{}" for part in parts)
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in skipped:
            yield node.lineno, node.value


def commands() -> list[tuple[str, str]]:
    """Each `aap …` in the program's texts, as (where, the words)."""
    named = re.compile(r"(?<![\w./-])aap (?:-w \S+ )?([a-z][^;,)`\n]*)")
    return [
        (f"{path.relative_to(CHECKOUT)}:{line}", match[1])
        for path in sorted((CHECKOUT / "aap").rglob("*.py"))
        for line, text in texts(ast.parse(path.read_text("utf-8")))
        for match in named.finditer(text)
    ]


COMMANDS = commands()


def test_hints_are_found() -> None:
    said = {words for _, words in COMMANDS}
    assert len(said) > 60
    assert {"config validate", "inbox ls --all"} <= said


@pytest.mark.parametrize(("where", "said"), COMMANDS)
def test_a_command_that_is_named_exists(where: str, said: str) -> None:
    assert fault_of(FACTS, said) == "", where


@pytest.mark.parametrize(("where", "said"), COMMANDS)
def test_a_setting_that_is_named_exists(where: str, said: str) -> None:
    match = re.match(r"config (?:set|get|unset|explain) ([A-Z_0-9]+)\b", said)
    assert not match or match[1] in {"KEY", *SETTINGS}, where


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("config key add NAME", "there is no aap config key"),
        ("inbox lost", "there is no aap inbox lost"),
        ("frobnicate", "there is no aap frobnicate"),
        ("statu", "there is no aap statu"),
        ("stats", "there is no aap stats"),
        ("install --root", "aap install has no --root"),
        ("install --user --linger turns lingering on", ""),
        ("is not installed", ""),
        ("config set AGENT codex", ""),
    ],
)
def test_the_test_itself_tells_right_from_wrong(said: str, wrong: str) -> None:
    assert fault_of(FACTS, said) == wrong
