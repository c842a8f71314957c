"""Group commit: acknowledged means there, and one folder fsync serves many."""

import threading
from pathlib import Path

from aap.inbox import Spool
from aap.inbox.committer import Committer
from aap.message import State


def test_every_acknowledged_message_is_there_with_its_bytes(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.create()
    committer = Committer(spool)
    results: dict[str, BaseException | None] = {}
    bodies = dict(_submit(spool, committer, results, 300))
    committer.close()
    assert results == dict.fromkeys(bodies)
    assert {e.id: spool.read(e) for e in spool.entries(State.INBOX)} == bodies


def _submit(spool, committer, results, count):
    for number in range(count):
        body = b"%d" % number
        staged = spool.stage(body)
        committer.submit(staged, lambda error, key=staged.id: results.__setitem__(key, error))
        yield staged.id, body


def test_a_failed_batch_is_told_and_the_next_one_works(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.create()
    committer = Committer(spool)
    told: list[BaseException | None] = []
    done = threading.Event()
    lost = spool.stage(b"1")
    Path(lost.hidden).unlink()  # as after rm -r of the inbox: the rename must fail

    committer.submit(lost, lambda error: (told.append(error), done.set()))
    assert done.wait(5)
    done.clear()
    committer.submit(spool.stage(b"2"), lambda error: (told.append(error), done.set()))
    assert done.wait(5)
    committer.close()
    assert isinstance(told[0], FileNotFoundError)
    assert told[1] is None
    assert [spool.read(entry) for entry in spool.entries()] == [b"2"]
