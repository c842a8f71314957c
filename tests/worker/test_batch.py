"""What the queue promises: whole conversations, in their order."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.busy import Busy
from harness.damaged import Damaged

from aap.inbox import Entry, Spool
from aap.log import DailyLog
from aap.message import State
from aap.worker import batch
from aap.worker.batch import WINDOW, Queue

Make = Callable[..., bytes]


def queue_of(spool: Spool) -> Queue:
    spool.create()
    return Queue(spool, DailyLog(spool.logs, echo=False), 1 << 20)


def ids(entries: list[Entry]) -> list[str]:
    return [entry.id for entry in entries]


def test_what_lies_beyond_the_window_is_not_overtaken(
    tmp_path: Path, message: Callable[..., bytes]
) -> None:
    spool = Spool(tmp_path / "spool")
    spool.create()
    first = spool.deliver(message("first", "42"))
    for number in range(WINDOW):
        spool.deliver(message(f"other {number}"))
    spool.deliver(message("beyond", "42"))
    last = spool.deliver(message("put off", "42"))
    spool.defer(spool.claim(spool.find(last)), 4e9, "why")
    queue = Queue(spool, DailyLog(spool.logs, echo=False), 1 << 20)
    assert [entry.id for entry in queue.claim(10, 0.0)] == [first]
    assert spool.find(last).state is State.DEFERRED


def test_an_empty_inbox_is_seen_without_a_look_at_what_was_put_off(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.create()
    for number in range(3000):
        (spool.folder(State.DEFERRED) / f"{number:020}+1.json").touch()
    queue = Queue(spool, DailyLog(spool.logs, echo=False), 1 << 20)
    start = time.process_time()
    for _ in range(20):
        assert queue.claim(10, 0.0) == []
    assert time.process_time() - start < 0.1  # a look takes about 25 ms


def test_what_is_not_read_at_once_is_waited_for(tmp_path: Path, message: Make) -> None:
    spool = Damaged(tmp_path / "spool")
    queue = queue_of(spool)
    before, one, two = (spool.deliver(message(text, "A")) for text in ("before", "one", "two"))
    spool.bad = (one,)
    assert ids(queue.claim(10, 0.0)) == [before], "what came before it need not wait"
    assert queue.claim(10, 0.0) == []
    assert queue.wait > 0
    spool.bad = ()
    assert ids(queue.claim(10, 0.0)) == [one, two]


def test_what_was_put_off_and_is_not_read_is_waited_for(tmp_path: Path, message: Make) -> None:
    spool = Damaged(tmp_path / "spool")
    queue = queue_of(spool)
    one, two = (spool.deliver(message(text, "A")) for text in ("one", "two"))
    spool.defer(spool.claim(spool.find(one)), 4e9, "why")
    spool.bad = (one,)
    assert queue.claim(10, 0.0) == []
    assert queue.wait > 0
    spool.bad = ()
    assert ids(queue.claim(10, 0.0)) == [one, two]


def test_what_cannot_be_read_at_all_holds_nobody_up_for_ever(
    tmp_path: Path, message: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_PATIENCE", 0.2)
    spool = Damaged(tmp_path / "spool")
    queue = queue_of(spool)
    one, two = (spool.deliver(message(text)) for text in ("one", "two"))
    spool.bad = (one,)
    assert queue.claim(10, 0.0) == []
    time.sleep(0.3)
    assert ids(queue.claim(10, 0.0)) == [two]
    assert spool.find(one).state is State.INBOX
    assert queue.claim(10, 0.0) == []
    assert queue.wait == 0, "the worker may leave"


def test_what_is_no_message_for_good_holds_nobody_up(tmp_path: Path, message: Make) -> None:
    spool = Spool(tmp_path / "spool")
    queue = queue_of(spool)
    early = "0" * 19
    (spool.folder(State.INBOX) / f"{early}1.json").mkdir()
    os.mkfifo(spool.folder(State.INBOX) / f"{early}2.json")
    (spool.folder(State.INBOX) / f"{early}3.json").symlink_to("nowhere")
    last = spool.deliver(message("last"))
    assert ids(queue.claim(10, 0.0)) == [last]


def test_what_is_brought_back_between_look_and_claim_is_not_overtaken(
    tmp_path: Path, message: Make
) -> None:
    spool = Busy(tmp_path / "spool")
    queue = queue_of(spool)
    person = Spool(spool.root)
    one, two = (spool.deliver(message(text, "A")) for text in ("one", "two"))
    put_off = person.defer(person.claim(person.find(one)), 4e9, "why")
    # After inbox/ for what is foreign, deferred/, and inbox/ again.
    spool.once(3, lambda: person.retry(put_off))
    assert queue.claim(10, 0.0) == []
    assert queue.wait > 0
    assert ids(queue.claim(10, 0.0)) == [one, two]


def test_a_folder_that_is_missing_is_not_waited_for(tmp_path: Path, message: Make) -> None:
    spool = Spool(tmp_path / "spool")
    queue = queue_of(spool)
    spool.deliver(message("one"))
    spool.folder(State.ACTIVE).rmdir()
    assert queue.claim(10, 0.0) == []
