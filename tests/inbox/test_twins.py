"""One file under two names, as btrfs shows it after a power cut in a move: it stays one message."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from aap.errors import NotFoundError
from aap.inbox import Entry, Spool
from aap.message import State


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.create()
    return made


def twin(spool: Spool, first: State, second: State, name: str = "") -> tuple[Entry, Entry]:
    """A message that is in two folders, or in the second under another name."""
    message = spool.find(spool.deliver(b"{}"))
    source = spool.folder(first) / message.path.name
    target = spool.folder(second) / (name or message.path.name)
    if first is not State.INBOX:
        message.path.rename(source)
    os.link(source, target)
    entries = {entry.path: entry for entry in spool.entries()}
    return entries[source], entries[target]


def shown(spool: Spool) -> list[str]:
    return sorted(f"{e.state.value}/{e.path.name}" for e in spool.entries())


def test_a_claimed_one_is_brought_back_once(spool: Spool) -> None:
    waiting, _ = twin(spool, State.INBOX, State.ACTIVE)
    assert [entry.id for entry in spool.recover()] == [waiting.id]
    assert shown(spool) == [f"inbox/{waiting.path.name}"]


@pytest.mark.parametrize("state", [State.INBOX, State.ACTIVE, State.DEFERRED])
def test_a_settled_one_is_not_handled_again(spool: Spool, state: State) -> None:
    left, done = twin(spool, state, State.DONE)
    with pytest.raises(FileNotFoundError):
        spool.claim(left)
    assert shown(spool) == [f"done/{done.path.name}"]


def test_a_settled_one_is_not_recovered(spool: Spool) -> None:
    _, done = twin(spool, State.ACTIVE, State.DONE)
    assert spool.recover() == []
    assert shown(spool) == [f"done/{done.path.name}"]


def test_it_can_be_settled_by_its_id(spool: Spool) -> None:
    active, done = twin(spool, State.ACTIVE, State.DONE)
    assert not spool.settle(active.id)
    assert shown(spool) == [f"done/{done.path.name}"]


def test_one_that_was_put_off_under_its_new_name_is_settled_once(spool: Spool) -> None:
    active, late = twin(spool, State.ACTIVE, State.DEFERRED)
    later = late.path.rename(late.path.with_name(f"{late.id}+1.json"))
    assert spool.settle(active.id)
    assert shown(spool) == [f"done/{later.name}"]


def test_what_is_on_hold_stays_there(spool: Spool) -> None:
    waiting, held = twin(spool, State.INBOX, State.HOLD)
    with pytest.raises(FileNotFoundError):
        spool.claim(waiting)
    assert shown(spool) == [f"hold/{held.path.name}"]


def test_a_foreign_file_is_taken_in_once(spool: Spool) -> None:
    adopted, foreign = twin(spool, State.INBOX, State.INBOX, "note.json")
    with pytest.raises(FileNotFoundError):
        spool.adopt(foreign, b"{}")
    assert shown(spool) == [f"inbox/{adopted.path.name}"]


def test_a_name_that_was_hidden_goes_when_the_message_moves(spool: Spool) -> None:
    message = spool.find(spool.deliver(b"{}"))
    hidden = message.path.with_name(f".{message.path.name}")
    os.link(message.path, hidden)
    spool.claim(message)
    assert not hidden.exists()


def test_what_is_deleted_is_gone(spool: Spool) -> None:
    waiting, _ = twin(spool, State.INBOX, State.HOLD)
    with pytest.raises(FileNotFoundError):  # `aap inbox rm` looks again
        spool.remove(waiting)
    spool.remove(spool.find(waiting.id))
    with pytest.raises(NotFoundError):
        spool.find(waiting.id)


def test_a_link_from_elsewhere_is_nobodys_business(spool: Spool, tmp_path: Path) -> None:
    message = spool.find(spool.deliver(b"{}"))
    outside = tmp_path / "copy"
    os.link(message.path, outside)
    spool.settle(spool.defer(spool.claim(message), time.time(), "why"))
    assert shown(spool) == [f"done/{message.id}+1.json"]
    assert outside.read_bytes() == b"{}"
