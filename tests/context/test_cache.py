"""The file: appended to by many, never torn, replaced only by what is right."""

import os
import signal
import subprocess
import sys
import time

import pytest

from aap.context.cache import Cache, read_number
from aap.errors import NotFoundError, TryAgainError, UsageError


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "spool")


def texts(cache):
    return [block.text for block in cache.blocks()]


def test_blocks_get_ids_that_rise(cache):
    ids = [cache.append(text).id for text in ("one", "two", "three\nlines\n\nof it\n")]
    assert ids == ["001", "002", "003"]
    assert texts(cache) == ["one", "two", "three\nlines\n\nof it"]
    assert cache.check() == []
    assert cache.path.stat().st_mode & 0o777 == 0o600


def test_what_stands_there_never_changes(cache):
    before = b""
    for number in range(5):
        cache.append(f"block {number}")
        after = cache.path.read_bytes()
        assert after.startswith(before)
        before = after


def test_citations_are_checked_and_written_down(cache):
    cache.append("Rome")
    block = cache.append("Paris instead, see [001]", cites=[1])
    assert cache.blocks([2])[0].text == "Refers to: [001]\nParis instead, see [001]"
    assert block.id == "002"
    for text, cites in (("x", [3]), ("x", [9]), ("see [003]", []), ("BLOCK_ID of BLOCK_ID: 7", [])):
        with pytest.raises(UsageError, match="there is no block 00"):
            cache.append(text, cites)
    assert len(texts(cache)) == 2
    assert cache.check() == []


@pytest.mark.parametrize(
    "text", ["", " \n\t", "a\n=======\nb", "a\n=======  \nb", "BLOCK_ID: 005\na", "a\0b", "\ud800",
             "x" * 300_000]
)  # fmt: skip
def test_what_is_no_block_is_refused(cache, text):
    with pytest.raises(UsageError):
        cache.append(text)
    assert not cache.path.exists()


def test_a_file_made_by_hand_is_gone_on_with(cache):
    cache.folder.mkdir(parents=True)
    cache.path.write_text("BLOCK_ID: 001\nno newline at the end")
    assert cache.append("next").id == "002"
    assert texts(cache) == ["no newline at the end", "next"]
    cache.path.write_text(cache.read() + "\n=======\n")
    assert cache.append("third").id == "003"
    assert cache.check() == []


def test_blocks_of_a_number_that_is_not_there(cache):
    cache.append("one")
    with pytest.raises(NotFoundError, match="no block 002"):
        cache.blocks([1, 2])


@pytest.mark.parametrize("word", ["7", "007", "[007]", " 007 "])
def test_numbers_are_read_as_people_write_them(word):
    assert read_number(word) == 7


@pytest.mark.parametrize("word", ["", "x", "-1", "1.5", "\u00b2", "9" * 12])
def test_other_words_are_no_numbers(word):
    with pytest.raises(UsageError):
        read_number(word)


# Generations


def test_a_new_generation_keeps_the_old_one_and_its_numbers(cache):
    for text in ("one", "two, see [001]", "three"):
        cache.append(text)
    old = cache.path.read_bytes()
    kept, left_out = cache.rewrite("BLOCK_ID: 001\nONE\n\n=======\nBLOCK_ID: 003\nTHREE [001]")
    assert kept.name == "cache.1.txt"
    assert kept.read_bytes() == old
    assert left_out == [2]
    assert cache.check() == []
    with pytest.raises(NotFoundError, match="left out") as caught:
        cache.blocks([2])
    assert caught.value.hint.endswith("cache.1.txt")
    kept, left_out = cache.rewrite("BLOCK_ID: 001\nall of it\n")
    assert (kept.name, left_out) == ("cache.2.txt", [3])
    assert cache.append("new").id == "004"  # 002 and 003 mean something already
    assert cache.check() == []


@pytest.mark.parametrize(
    "text",
    ["", "words", "BLOCK_ID: 001\n", "BLOCK_ID: 005\na\n", "BLOCK_ID: 001\nsee [002]\n",
     "BLOCK_ID: 002\na\n=======\nBLOCK_ID: 001\nb\n"],
)  # fmt: skip
def test_a_text_with_faults_replaces_nothing(cache, text):
    cache.append("one")
    before = cache.path.read_bytes()
    with pytest.raises(UsageError):
        cache.rewrite(text)
    assert cache.path.read_bytes() == before
    assert cache.generations() == []


def test_a_file_that_is_no_text_is_found_and_can_be_replaced(cache):
    cache.append("one")
    cache.path.write_bytes(b"BLOCK_ID: 001\n\xff\xfe\n")
    assert [finding.kind for finding in cache.check()] == ["torn"]
    kept, _ = cache.rewrite("BLOCK_ID: 001\nagain\n")
    assert kept.read_bytes().endswith(b"\xff\xfe\n")
    assert cache.append("two").id == "002"


# Several at once, and crashes

CODE = """
import sys
from pathlib import Path
from aap.context.cache import Cache
cache = Cache(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    print(cache.append(f"{sys.argv[2]} {number}").id, flush=True)
"""


def writer(cache, name, count):
    command = [sys.executable, "-c", CODE, str(cache.folder.parent), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_many_append_at_once_and_none_is_lost(cache):
    writers = [writer(cache, name, 25) for name in "abcd"]
    told = [line for each in writers for line in each.communicate(timeout=60)[0].split()]
    assert all(each.returncode == 0 for each in writers)
    assert sorted(told) == [f"{number:03d}" for number in range(1, 101)]
    assert cache.check() == []
    for name in "abcd":
        own = [text for text in texts(cache) if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(25)]


def test_whoever_is_killed_leaves_a_whole_file(cache):
    for round_ in range(5):
        process = writer(cache, f"r{round_}", 10_000)
        told = process.stdout.readline()
        time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        told += process.stdout.read()
        process.wait()
        process.stdout.close()
        whole = [line for line in told.splitlines() if len(line) >= 3]
        assert cache.check() == []
        assert len(texts(cache)) >= int(whole[-1])
    assert cache.append("after").number == len(texts(cache))


def test_a_lock_that_is_held_is_not_waited_for_forever(cache, monkeypatch):
    import fcntl

    from aap.context import cache as module

    cache.append("one")
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    fd = os.open(cache.folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(TryAgainError):
            cache.append("two")
    finally:
        os.close(fd)
    assert cache.append("two").id == "002"
