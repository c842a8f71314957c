"""A message that moves while one looks is found: the folders are not read at one moment."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.busy import Busy

from aap.api.retries import Known, Retry
from aap.cli.checks.spools import _leftovers
from aap.inbox import Entry, Spool
from aap.message import State, fingerprint

RAW = b'{"messages": []}'
LISTINGS = range(1, 8)  # after any of which it may move


def put_into(spool: Spool, state: State) -> Entry:
    entry = spool.find(spool.deliver(RAW))
    to: dict[State, Callable[[], object]] = {
        State.INBOX: lambda: None,
        State.ACTIVE: lambda: spool.claim(entry),
        State.DEFERRED: lambda: spool.defer(entry, time.time() + 60, "why"),
        State.HOLD: lambda: spool.hold(entry),
        State.FAILED: lambda: spool.fail(entry, "why"),
        State.DONE: lambda: spool.settle(entry),
    }
    to[state]()
    return spool.find(entry.id)


@pytest.fixture(params=[State.ACTIVE, State.HOLD, State.DONE])
def moving(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[int], tuple[Busy, str]]:
    """Makes a spool whose one message is brought back after so many folders were listed."""

    def make(number: int) -> tuple[Busy, str]:
        spool = Busy(tmp_path / str(number))
        spool.create()
        person = Spool(spool.root)
        entry = put_into(person, request.param)
        spool.once(number, lambda: person.release(entry))
        return spool, entry.id

    return make


@pytest.mark.parametrize("number", LISTINGS)
def test_what_moves_back_is_found(moving: Callable[[int], tuple[Busy, str]], number: int) -> None:
    spool, message = moving(number)
    assert spool.find(message).id == message


@pytest.mark.parametrize("number", LISTINGS)
def test_the_retry_of_what_moves_back_is_known(
    moving: Callable[[int], tuple[Busy, str]], number: int
) -> None:
    spool, message = moving(number)
    assert {entry.id for entry in spool.matches(fingerprint(RAW))} == {message}


@pytest.mark.parametrize("number", LISTINGS)
def test_the_api_knows_what_moved_back_when_it_first_looked(
    moving: Callable[[int], tuple[Busy, str]], number: int
) -> None:
    spool, message = moving(number)
    assert asyncio.run(Known(spool).find(RAW, Retry())) == message


@pytest.mark.parametrize("number", LISTINGS)
def test_all_that_there_is_has_in_it_what_moves_back(
    moving: Callable[[int], tuple[Busy, str]], number: int
) -> None:
    spool, message = moving(number)
    assert {entry.id for entry in spool.entries()} == {message}


@pytest.mark.parametrize("number", LISTINGS)
def test_no_id_is_given_below_one_that_moves_back(tmp_path: Path, number: int) -> None:
    spool = Busy(tmp_path / "spool")
    spool.create()
    person = Spool(spool.root)
    entry = put_into(person, State.ACTIVE)
    spool.once(number, lambda: person.give_back(entry))
    assert spool._highest_id() == entry.id


def test_what_goes_there_and_back_is_found_all_the_same(tmp_path: Path) -> None:
    spool = Busy(tmp_path / "spool")
    spool.create()
    person = Spool(spool.root)
    entry = put_into(person, State.ACTIVE)

    def flip(listed: int) -> None:
        nonlocal entry
        if listed <= 2:
            back = entry.state is State.ACTIVE
            entry = person.give_back(entry) if back else person.claim(entry)

    spool.interrupt(flip)
    assert {each.id for each in spool.matches(fingerprint(RAW))} == {entry.id}


def test_the_notes_of_what_moves_back_are_nobodys_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Spool(tmp_path / "spool")
    person.create()
    entry = put_into(person, State.FAILED)
    listdir = os.listdir

    def listdir_and_retry(path: Path) -> list[str]:
        found = listdir(path)
        if Path(path).name == State.INBOX.value and entry.path.exists():
            entry.path.rename(person.folder(State.INBOX) / f"{entry.id}.json")
        return found

    monkeypatch.setattr(os, "listdir", listdir_and_retry)
    assert list(_leftovers(person.root)) == []
