"""What the queue promises: whole conversations, in their order."""

import time
from collections.abc import Callable
from pathlib import Path

from aap.inbox import Spool
from aap.log import DailyLog
from aap.message import State
from aap.worker.batch import WINDOW, Queue


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
