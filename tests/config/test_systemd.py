"""The parser and a real systemd read the same out of the same files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.machine import BootError, Machine, booted

from aap.config.store import quote

from .corpus import CASES, Case

pytestmark = [pytest.mark.systemd, pytest.mark.slow]

FILE = "/run/aap-corpus.env"


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    try:
        with booted() as machine:
            yield machine
    except BootError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def version(machine: Machine) -> int:
    return int(machine.run(["systemctl", "--version"]).stdout.split()[1])


@pytest.fixture(scope="module")
def plain(machine: Machine) -> set[str]:
    """The names that systemd gives to every service."""
    return set(environment(machine, "", set()))


def environment(machine: Machine, text: str, plain: set[str]) -> dict[str, str]:
    """What a service gets of `text` by EnvironmentFile=."""
    machine.path(FILE).write_bytes(text.encode())
    unit = ["systemd-run", "--quiet", "--wait", "--pipe", f"--property=EnvironmentFile={FILE}"]
    shown = machine.run([*unit, "/usr/bin/env", "--null"]).stdout
    pairs = dict(entry.split("=", 1) for entry in shown.split("\0") if entry)
    return {name: value for name, value in pairs.items() if name not in plain}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_systemd_reads_what_the_table_says(
    machine: Machine, version: int, plain: set[str], case: Case
) -> None:
    before_254 = version < 254 and case.old is not None
    assert environment(machine, case.text, plain) == (case.old if before_254 else case.env)


VALUES = [
    "",
    "a b",
    " a ",
    "$x `y` \"z\" 'w' \\",
    "#;=",
    "a\n PORT=1\n\tb",
    "\\",
    "a\\\nb",
    "grüße ☕",
]


@pytest.mark.parametrize("value", VALUES)
def test_systemd_reads_back_what_aap_writes(machine: Machine, plain: set[str], value: str) -> None:
    assert environment(machine, f"REPLY={quote(value)}\n", plain) == {"REPLY": value}
