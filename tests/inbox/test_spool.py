"""What a spool promises: same bytes, one folder at a time, nothing deleted by itself."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aap.errors import NotFoundError, TryAgainError, UsageError
from aap.inbox import Spool, is_visible
from aap.message import (
    ALPHABET,
    ID_CHARS,
    TIME_CHARS,
    IdClock,
    Name,
    State,
    fingerprint,
    id_time,
    parse_name,
)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.create()
    return made


def everything(spool: Spool) -> dict[str, list[str]]:
    """What `ls -A` of each folder shows, empty folders left out."""
    shown = {s.value: sorted(os.listdir(spool.folder(s))) for s in State}
    return {state: names for state, names in shown.items() if names}


def test_the_bytes_come_back_as_they_were_given(spool: Spool) -> None:
    raw = b'{ "a" :\t"\\ud800", "n":1e999 }\r\n\x00'
    entry = spool.find(spool.deliver(raw))
    assert spool.read(entry) == raw
    assert entry.path.stat().st_mode & 0o777 == 0o600


def test_a_message_goes_from_inbox_to_active_to_done(spool: Spool) -> None:
    message = spool.deliver(b"{}")
    spool.claim(spool.find(message))
    assert everything(spool) == {"active": [f"{message}.json"]}
    assert spool.settle(message)
    assert everything(spool) == {"done": [f"{message}.json"]}
    assert not spool.settle(message)


@pytest.mark.parametrize("state", [State.INBOX, State.DEFERRED, State.HOLD, State.FAILED])
def test_a_message_can_be_settled_wherever_it_waits(spool: Spool, state: State) -> None:
    message = spool.deliver(b"{}")
    moved = spool.claim(spool.find(message))
    if state is State.DEFERRED:
        spool.defer(moved, time.time() + 60, "why")
    elif state is State.FAILED:
        spool.fail(moved, "why")
    elif state is State.HOLD:
        spool.hold(spool.give_back(moved))
    else:
        spool.give_back(moved)
    assert spool.find(message).state is state
    assert spool.settle(message)
    assert spool.find(message).state is State.DONE


def test_a_deferred_message_knows_its_attempts_its_time_and_its_reason(spool: Spool) -> None:
    message = spool.deliver(b"{}")
    due = round(time.time()) + 60
    spool.defer(spool.claim(spool.find(message)), due, "exit code 3")
    entry = spool.find(message)
    assert (entry.state, entry.attempts, spool.retry_at(entry)) == (State.DEFERRED, 1, due)
    assert spool.notes(message)[-1]["reason"] == "exit code 3"
    assert spool.admit(due - 1) == []
    (back,) = spool.admit(due)
    assert (back.state, back.attempts) == (State.INBOX, 1)


def test_a_dead_workers_messages_are_recovered_in_order(spool: Spool) -> None:
    ids = [spool.deliver(b"{}") for _ in range(5)]
    for entry in spool.entries(State.INBOX):
        spool.claim(entry)
    assert [entry.id for entry in spool.recover()] == ids
    assert [entry.id for entry in spool.entries(State.INBOX)] == ids


def test_what_is_no_file_is_recovered_too(spool: Spool) -> None:
    os.mkfifo(spool.folder(State.ACTIVE) / "pipe")
    (entry,) = spool.recover()
    assert entry.state is State.INBOX
    assert entry.path.is_fifo()


def test_the_retry_of_a_failed_message_has_all_attempts_before_it(spool: Spool) -> None:
    message = spool.deliver(b"{}")
    spool.fail(spool.claim(spool.find(message)), "why")
    spool.retry(spool.find(message))
    assert everything(spool) == {"inbox": [f"{message}.json"]}


def test_ids_rise_although_the_clock_is_set_back(spool: Spool) -> None:
    ahead = Name(_id_at(time.time() + 5 * 3600))
    (spool.folder(State.INBOX) / str(ahead)).write_bytes(b"{}")
    after = Spool(spool.root).deliver(b"{}")
    assert after > ahead.id
    assert id_time(after) < time.time() + 6 * 3600


@pytest.mark.slow
def test_ids_rise_past_those_that_another_process_gave_ahead_of_the_clock(spool: Spool) -> None:
    first = spool.deliver(b"{}")
    ahead = Name(_id_at(time.time() + 5 * 3600))
    (spool.folder(State.INBOX) / str(ahead)).write_bytes(b"{}")
    time.sleep(1.1)  # the clock may have been set forth and back meanwhile
    assert first < ahead.id < spool.deliver(b"{}")


@pytest.mark.slow
@pytest.mark.parametrize(("ahead", "times"), [(3600, 1), (-3600, 0)])
def test_only_a_clock_that_is_behind_its_ids_asks_for_others(ahead: int, times: int) -> None:
    clock = IdClock(_id_at(time.time() + ahead))
    assert clock.is_doubtful()
    clock.raise_to("")
    asked, end = 0, time.monotonic() + 1.3
    while time.monotonic() < end:
        if clock.is_doubtful():
            clock.raise_to("")
            asked += 1
        time.sleep(0.01)
    assert asked == times


def test_a_made_up_name_does_not_carry_the_clock_away(spool: Spool) -> None:
    (spool.folder(State.INBOX) / f"{'z' * ID_CHARS}.json").write_bytes(b"{}")
    assert abs(id_time(Spool(spool.root).deliver(b"{}")) - time.time()) < 60


def _id_at(moment: float) -> str:
    micros = round(moment * 1_000_000)
    digits = [ALPHABET[micros >> 5 * place & 31] for place in reversed(range(TIME_CHARS))]
    return "".join(digits).ljust(ID_CHARS, "0")


def test_a_retry_is_found_by_its_fingerprint_in_every_state(spool: Spool) -> None:
    first = spool.deliver(b'{"a":1}')
    keyed = spool.deliver(b'{"a":1}', retry_key=b"key-1")
    assert [e.id for e in spool.matches(fingerprint(b'{"a":1}'))] == [first]
    spool.settle(keyed)
    assert [e.id for e in spool.matches(fingerprint(b"key-1"))] == [keyed]


def test_find_takes_a_unique_prefix_and_names_the_trouble(spool: Spool) -> None:
    first, second = spool.deliver(b"{}"), spool.deliver(b"{}")
    common = first[: _first_difference(first, second)]
    assert common
    assert spool.find(first).id == first
    assert spool.find(first[: len(common) + 1]).id == first
    with pytest.raises(UsageError, match="2 messages start with"):
        spool.find(common)
    with pytest.raises(NotFoundError):
        spool.find("nothing")
    with pytest.raises(UsageError):
        spool.find("")


def _first_difference(one: str, other: str) -> int:
    return next(place for place in range(len(one)) if one[place] != other[place])


def test_entries_are_listed_oldest_first_with_foreign_files_last(spool: Spool) -> None:
    inbox = spool.folder(State.INBOX)
    (inbox / "0-first-by-name.json").write_bytes(b"{}")
    ids = [spool.deliver(b"{}") for _ in range(4)]
    listed = spool.entries(State.INBOX)
    assert [entry.id for entry in listed] == [*ids, "0-first-by-name.json"]
    assert [entry.id for entry in spool.entries(State.INBOX, limit=2)] == ids[:2]


def test_only_what_systemd_sees_counts(spool: Spool) -> None:
    for name in (".hidden", "x~", "x.bak", "x.swp", "x.dpkg-new", "lost+found"):
        (spool.folder(State.INBOX) / name).write_bytes(b"{}")
    assert spool.entries(State.INBOX) == []
    assert is_visible("x.tmp")
    assert is_visible("bak")


def test_a_foreign_file_gets_an_id_so_that_its_name_can_be_used_again(spool: Spool) -> None:
    for content in (b'{"n":1}', b'{"n":2}'):
        (spool.folder(State.INBOX) / "note.json").write_bytes(content)
        spool.settle(spool.adopt(spool.find("note.json")).id)
    assert sorted(spool.read(e) for e in spool.entries(State.DONE)) == [b'{"n":1}', b'{"n":2}']


def test_settling_a_foreign_file_never_replaces_an_older_one(spool: Spool) -> None:
    for content in (b"1", b"2"):
        (spool.folder(State.INBOX) / "note.json").write_bytes(content)
        spool.settle("note.json")
    assert sorted(spool.read(e) for e in spool.entries(State.DONE)) == [b"1", b"2"]


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "long"])
def test_what_is_no_message_is_put_aside_whole(spool: Spool, kind: str) -> None:
    path = spool.folder(State.INBOX) / ("n" * 255 if kind == "long" else "stray.json")
    make = {"folder": lambda: (path.mkdir(), (path / "x").touch()), "fifo": lambda: os.mkfifo(path),
            "link": lambda: path.symlink_to("/etc/passwd"), "long": path.touch}  # fmt: skip
    make[kind]()
    aside = spool.put_aside(spool.find(path.name), "no message")
    assert aside.state is State.FAILED
    assert not aside.is_message
    assert aside.path.name.endswith(path.name[:200])
    with pytest.raises(UsageError):
        spool.retry(aside)
    if kind in ("fifo", "link", "folder"):
        with pytest.raises(OSError) as caught:
            spool.read(aside)
        assert caught.value.errno in (errno.EINVAL, errno.ELOOP)


def test_only_handled_messages_are_pruned(spool: Spool) -> None:
    old = _id_at(time.time() - 1000)
    for state in State:
        (spool.folder(state) / f"{old}.json").write_bytes(b"{}")
    assert spool.prune(max_age=500, max_count=10, now=time.time()) == 1
    assert {e.state for e in spool.entries()} == {*State} - {State.DONE}


def test_the_oldest_are_pruned_when_there_are_too_many(spool: Spool) -> None:
    ids = [spool.deliver(b"{}") for _ in range(5)]
    for message in ids:
        spool.note(message, event="x")
        spool.settle(message)
    assert spool.prune(max_age=500, max_count=2, now=time.time()) == 3
    assert [e.id for e in spool.entries(State.DONE)] == ids[3:]
    assert spool.notes(ids[0]) == []


def test_a_killed_writers_left_over_is_swept_but_a_live_ones_is_not(spool: Spool) -> None:
    old, young = spool.stage(b"{}"), spool.stage(b"{}")
    os.utime(old.hidden, (1, 1))
    spool.recover()
    assert everything(spool) == {"inbox": [Path(young.hidden).name]}


def test_a_write_that_fails_leaves_nothing_behind(spool: Spool) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    code = (
        "import resource, signal, sys; from pathlib import Path; from aap.inbox import Spool\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: Spool(Path(sys.argv[1])).deliver(b'x' * 5000)\n"
        "except OSError as error: print(error.errno)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, spool.root], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == errno.EFBIG
    assert everything(spool) == {}
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before


def test_a_batch_reports_each_message_for_itself(spool: Spool) -> None:
    good, bad = spool.stage(b"1"), spool.stage(b"2")
    os.close(bad.fd)
    bad_fd = os.open("/dev/full", os.O_WRONLY)  # fsync of a device that has none: EINVAL
    bad = type(bad)(bad.id, bad_fd, bad.hidden, bad.target)
    first, second = spool.commit([good, bad])
    assert first is None
    assert isinstance(second, OSError)
    assert everything(spool) == {"inbox": [Path(good.target).name]}


def test_a_large_batch_is_synced_as_one_and_still_told_one_by_one(spool: Spool) -> None:
    batch = [spool.stage(b"%d" % number) for number in range(10)]
    Path(batch[3].hidden).unlink()
    results = spool.commit(batch)
    assert [result is None for result in results] == [number != 3 for number in range(10)]
    assert [spool.read(e) for e in spool.entries(State.INBOX)] == [
        b"%d" % n for n in range(10) if n != 3
    ]


def test_a_large_batch_that_cannot_be_synced_leaves_nothing(spool: Spool) -> None:
    batch = [spool.stage(b"%d" % number) for number in range(10)]
    os.close(batch[0].fd)
    broken = os.open(batch[0].hidden, os.O_PATH)  # syncfs refuses it: EBADF
    batch[0] = batch[0]._replace(fd=broken)
    assert all(isinstance(result, OSError) for result in spool.commit(batch))
    assert everything(spool) == {}


def test_one_worker_at_a_time(spool: Spool) -> None:
    with spool.lock(), pytest.raises(TryAgainError), Spool(spool.root).lock():
        pass
    with Spool(spool.root).lock():
        pass


def test_a_torn_note_spoils_only_itself(spool: Spool) -> None:
    spool.note("a", event="one")
    with (spool.root / "notes" / "a.jsonl").open("a") as file:
        file.write('{"event": "to')
    spool.note("a", event="two")
    assert [note["event"] for note in spool.notes("a")] == ["one", "two"]


def test_a_note_may_hold_any_text(spool: Spool) -> None:
    # A reply that could not be read back would be sent again.
    text = "".join(map(chr, (*range(0x20), 0x85, 0x2028, 0x2029, 0xD800)))
    spool.note("a", text=text)
    assert spool.notes("a")[0]["text"] == text.replace("\ud800", "?")


def test_two_names_of_one_message_become_one(spool: Spool) -> None:
    message = spool.deliver(b"{}")
    entry = spool.claim(spool.find(message))
    for state, name in ((State.DEFERRED, f"{message}+1.json"), (State.DONE, f"{message}.json")):
        os.link(entry.path, spool.folder(state) / name)
    assert spool.recover() == []
    assert everything(spool) == {"done": [f"{message}.json"]}


def test_a_copy_made_by_hand_is_nobodys_twin(spool: Spool) -> None:
    message = spool.deliver(b"{}")
    spool.settle(message)
    (spool.folder(State.INBOX) / f"{message}.json").write_bytes(b"{}")
    spool.recover()
    assert everything(spool) == {"inbox": [f"{message}.json"], "done": [f"{message}.json"]}


def test_notes_of_deleted_messages_go_in_time(spool: Spool) -> None:
    message = spool.deliver(b"{}")
    for of in (message, "0" * ID_CHARS):
        spool.note(of, event="why")
    young = "1" * ID_CHARS
    old = time.time() - 2 * 3600
    for path in (spool.root / "notes").iterdir():
        os.utime(path, (old, old))
    spool.note(young, event="a message that is on its way")
    spool.prune(1e9, 1000, time.time())
    left = {path.stem for path in (spool.root / "notes").iterdir()}
    assert left == {message, young}


def test_a_message_can_be_deleted_although_its_notes_cannot(spool: Spool) -> None:
    message = spool.deliver(b"{}")
    (spool.root / f"notes/{message}.jsonl").mkdir()
    spool.remove(spool.find(message))
    assert everything(spool) == {}


def test_names_are_read_back() -> None:
    name = Name("1jb3k5m9q2xw7c4e8r0t", 2)
    assert str(name) == "1jb3k5m9q2xw7c4e8r0t+2.json"
    assert parse_name(str(name)) == name
    for foreign in ("x.json", "1jb3k5m9q2xw7c4e8r0t", "1jb3k5m9q2xw7c4e8r0t+.json", "", "+1.json"):
        assert parse_name(foreign) is None


@pytest.mark.slow
@pytest.mark.parametrize("signal_after", [0.05, 0.2, 0.4])
def test_a_killed_sender_leaves_whole_messages_or_none(spool: Spool, signal_after: float) -> None:
    code = (
        "import sys; from pathlib import Path; from aap.inbox import Spool\n"
        "spool = Spool(Path(sys.argv[1]))\n"
        "while True: print(spool.deliver(b'x' * 100_000), flush=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, spool.root], stdout=subprocess.PIPE)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(signal_after)
    process.kill()
    acknowledged = (first + process.stdout.read()).decode().split("\n")[:-1]
    process.stdout.close()
    process.wait()
    stored = {entry.id for entry in spool.entries(State.INBOX)}
    assert stored >= set(acknowledged)
    assert all(spool.read(e) == b"x" * 100_000 for e in spool.entries(State.INBOX))
