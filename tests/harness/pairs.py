"""For each check of the doctor a test that breaks the thing and mends it again.

    @pytest.mark.mends("spool.failed")
    def test_what_was_given_up(spool): ...

Such a test must have seen the check find something, and then nothing any more: `seen` is
told what each look gave, and the fixture `both_ways` judges at the test's end.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = ("cli/test_doctor.py", "systemd/test_doctor.py")

_looks: list[tuple[str, str]] = []


def seen(check: str, severity: str) -> None:
    """Note what a check said."""
    _looks.append((check, severity))


@pytest.fixture(autouse=True)
def both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """Judge a test by its mark: what it breaks was found, and what it mends is well."""
    _looks.clear()
    yield
    for mark in request.node.iter_markers("mends"):
        for check in mark.args:
            said = [severity for name, severity in _looks if name == check]
            broken = next((at for at, each in enumerate(said) if each != "ok"), None)
            assert broken is not None, f"{check} found nothing: {said}"
            assert "ok" in said[broken:], f"{check} was never mended: {said}"


def checks_with_a_pair() -> set[str]:
    """Read from the tests' text which checks they break and mend."""
    return {
        argument.value
        for name in FILES
        for call in ast.walk(ast.parse((TESTS / name).read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"pytest.mark.mends", "Ailment"}
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
