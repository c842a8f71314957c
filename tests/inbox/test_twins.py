"""One file under two names, as btrfs shows it after a power cut in a move: it stays one message."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
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


def foreign(spool: Spool, name: str, *also: str) -> Entry:
    """A file that somebody put into the inbox, under one name or several."""
    path = spool.folder(State.INBOX) / name
    path.write_bytes(b"{}")
    for other in also:
        os.link(path, path.with_name(other))
    return spool.find(name)


def test_a_foreign_file_is_taken_in_once(spool: Spool) -> None:
    note = foreign(spool, "note.json")
    adopted = spool.adopt(note)
    os.link(adopted.path, note.path)
    with pytest.raises(FileNotFoundError):
        spool.adopt(note)
    assert shown(spool) == [f"inbox/{adopted.path.name}"]


@pytest.mark.parametrize("name", ["note", "a.d", f"{'0' * 20}.d"])
def test_what_is_no_message_is_put_aside_once(spool: Spool, name: str) -> None:
    stray = foreign(spool, name)
    aside = spool.put_aside(stray, "why")
    os.link(aside.path, stray.path)
    assert spool.recover() == []
    assert shown(spool) == [f"failed/{aside.path.name}"]


@pytest.mark.parametrize("state", [State.HOLD, State.FAILED])
def test_two_names_where_no_run_looks_become_one(spool: Spool, state: State) -> None:
    _, done = twin(spool, state, State.DONE)
    spool.recover()
    assert shown(spool) == [f"done/{done.path.name}"]


def test_each_name_that_goes_is_told(spool: Spool) -> None:
    left, _ = twin(spool, State.INBOX, State.DONE)
    gone: list[Path] = []
    spool.recover(gone.append)
    assert gone == [left.path]


# A space saver gives one file to all that say the same: hardlink(1), rdfind, jdupes -L.


@pytest.mark.parametrize("first", [State.DONE, State.INBOX, State.DEFERRED, State.FAILED])
def test_what_a_space_saver_made_one_file_stay_two_messages(spool: Spool, first: State) -> None:
    old, new = (spool.find(spool.deliver(b"{}")) for _ in range(2))
    moved = old.path.rename(spool.folder(first) / old.path.name)
    new.path.unlink()
    os.link(moved, new.path)
    spool.recover()
    there = f"{first.value}/{old.path.name}"
    assert shown(spool) == sorted([there, f"inbox/{new.path.name}"])
    spool.settle(spool.defer(spool.claim(new), time.time(), "why"))
    assert shown(spool) == sorted([there, f"done/{new.id}+1.json"])
    spool.remove(spool.find(new.id))
    assert spool.read(spool.find(old.id)) == b"{}"


@pytest.mark.parametrize("act", [Spool.adopt, lambda spool, entry: spool.put_aside(entry, "why")])
def test_one_file_under_two_foreign_names_is_two_messages(
    spool: Spool, act: Callable[[Spool, Entry], Entry]
) -> None:
    one = foreign(spool, "one.json", "two.json")
    taken = {act(spool, one).path}
    spool.recover()
    taken.add(act(spool, spool.find("two.json")).path)
    assert len(taken) == 2
    spool.recover()
    assert {entry.path for entry in spool.entries()} == taken


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.HOLD, State.INBOX])
def test_an_old_message_under_a_new_name_is_a_message(spool: Spool, state: State) -> None:
    old, again = twin(spool, state, State.INBOX, "again.json")
    spool.recover()
    spool.settle(spool.adopt(again).id)
    assert f"{state.value}/{old.path.name}" in shown(spool)
    assert spool.count(State.DONE) == 1 + (state is State.DONE)


def test_a_tools_hidden_name_of_what_it_puts_there_is_left_to_it(spool: Spool) -> None:
    note = foreign(spool, "note.json", ".draft")
    spool.adopt(note)
    spool.recover()
    assert (spool.folder(State.INBOX) / ".draft").exists()


@pytest.mark.slow
def test_a_copied_spool_of_links_is_looked_at_once(spool: Spool, tmp_path: Path) -> None:
    ids = [f"{number:020}.json" for number in range(4300)]
    for number, name in enumerate(ids):
        (spool.folder(State.INBOX if number < 300 else State.DONE) / name).touch()
    subprocess.run(["cp", "-al", spool.root, tmp_path / "copy"], check=True)
    start = time.process_time()
    assert spool.recover() == []
    assert time.process_time() - start < 0.5  # a look at each folder per file takes 1.5 s
    assert spool.count(State.INBOX) == 300


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
