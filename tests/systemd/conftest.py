"""A machine for the whole session, ordinary users on it, and what to read after a failure."""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack

import pytest
from harness.machine import BootError, Machine, User, booted

REQUIRED = os.environ.get("AAP_REQUIRE_SYSTEMD") == "1"
_uids = itertools.count(2001)


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A systemd booted for this session, as PID 1 of namespaces of its own."""
    with ExitStack() as stack:
        try:
            machine = stack.enter_context(booted())
        except BootError as error:
            if REQUIRED:
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
        yield machine


@pytest.fixture
def user(machine: Machine) -> Iterator[User]:
    """A new ordinary user whose service manager runs; removed again after the test."""
    uid = next(_uids)
    user = machine.add_user(f"ann{uid}", uid=uid)
    yield user
    machine.remove_user(user)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the state of the units and the journal below a test that failed."""
    report = yield
    if report.failed:
        for fixture in getattr(item, "funcargs", {}).values():
            if isinstance(fixture, Machine | User):
                report.sections.extend(fixture.report().items())
    return report
