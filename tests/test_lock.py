"""What development and CI install is locked, with checksums, as pyproject.toml asks for it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).parents[1]
LOCKS = sorted((CHECKOUT / "packaging/lock").glob("*.txt"))
MEND = "pyproject.toml has changed: run scripts/lock"


def project() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))


def asked_for() -> list[Requirement]:
    """All that is installed somewhere, but for aap itself."""
    facts = project()
    extras = facts["project"]["optional-dependencies"].values()
    groups = [facts["dependency-groups"][name] for name in ("build", "lock")]
    lists = [facts["project"]["dependencies"], *groups, *extras]
    found = [Requirement(text) for words in lists for text in words]
    return [each for each in found if each.name != "aap"]


def entries(lock: Path) -> list[str]:
    """The requirements of a lock file, each with its continuation lines on one line."""
    text = lock.read_text("utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip()]


def locked() -> list[Requirement]:
    """What is locked, without checksums."""
    lines = [line for lock in LOCKS for line in entries(lock)]
    return [Requirement(line.partition("--hash")[0]) for line in lines]


@pytest.mark.parametrize("asked", asked_for(), ids=lambda each: each.name)
def test_each_requirement_is_locked_at_a_version_that_fits(asked: Requirement) -> None:
    name = canonicalize_name(asked.name)
    found = [each for each in locked() if canonicalize_name(each.name) == name]
    assert found, MEND
    for each in found:
        (version,) = each.specifier
        assert version.operator == "=="
        assert asked.specifier.contains(version.version), MEND


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_each_locked_package_has_checksums_and_no_address(lock: Path) -> None:
    for line in entries(lock):
        assert re.search(r" --hash=sha256:[0-9a-f]{64}\b", line), line
        assert "://" not in line


@pytest.mark.parametrize("script", ["lock", "setup", "torture"])
def test_scripts_install_what_is_locked_alone(script: str) -> None:
    text = (CHECKOUT / "scripts" / script).read_text("utf-8").replace("\\\n", " ")
    installs = [line for line in text.splitlines() if re.search(r"\bpip --.*\binstall ", line)]
    assert installs
    for line in installs:
        assert "--require-hashes" in line or "$what" in line, line
    for what in re.findall(r"for what in (.*)", text):
        assert all(re.match(r"--require-hashes|--no-deps", w) for w in re.findall('"(.*?)"', what))


def test_a_user_installs_few_packages() -> None:
    assert len(project()["project"]["dependencies"]) <= 8
