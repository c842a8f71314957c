"""The text of a cache: what is read, and every fault that is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aap.context.blocks import citations, find_faults, name, parse, write

SEED = """\
BLOCK_ID: 001
Project: holiday
Summary: Ann wants to go to Rome.

=======
BLOCK_ID: 002
Topic: update
Summary: Update to BLOCK_ID: 001 on the place. Paris.

=======
BLOCK_ID: 003
Summary: Refers to BLOCK_ID: 001 and BLOCK_ID: 002, and to [001].
"""


def kinds(text, elsewhere=()):
    return [finding.kind for finding in find_faults(text, elsewhere)]


def test_a_file_of_ai_agent_proxy_is_read_as_it_is():
    first, second, third = parse(SEED)
    assert (first.number, first.line) == (1, 1)
    assert first.text == "Project: holiday\nSummary: Ann wants to go to Rome."
    assert (second.id, second.line) == ("002", 6)
    assert citations(third.text, 3) == [1, 2]
    assert kinds(SEED) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("\n\n", []),
        ("BLOCK_ID: 001\na\n", []),
        ("BLOCK_ID: 1\na\n", []),
        ("BLOCK_ID: 001\r\na\r\n=======\r\nBLOCK_ID: 002\r\nb\r\n", []),
        ("BLOCK_ID: 001\na", ["torn"]),
        ("BLOCK_ID: 001\na\n\n=======\n", ["torn"]),
        ("BLOCK_ID: 001\na\n\n===\n", ["torn"]),
        ("BLOCK_ID: 001\n", ["empty"]),
        ("just words\n", ["no-id"]),
        ("BLOCK_ID: first\na\n", ["no-id"]),
        ("BLOCK_ID: 002\na\n", ["missing"]),
        ("BLOCK_ID: 001\na\n=======\nBLOCK_ID: 004\nb\n", ["missing"]),
        ("BLOCK_ID: 001\na\n=======\nBLOCK_ID: 001\nb\n", ["duplicate"]),
        ("BLOCK_ID: 002\na\n=======\nBLOCK_ID: 001\nb\n", ["order"]),
        ("BLOCK_ID: 000\na\n", ["order"]),
        ("BLOCK_ID: 001\nsee [002]\n=======\nBLOCK_ID: 002\nb\n", ["dangling"]),
        ("BLOCK_ID: 001\nsee [001]\n", ["dangling"]),
        ("BLOCK_ID: 001\nsee BLOCK_ID: 009\n", ["dangling"]),
        ("BLOCK_ID: 001\nin [2024], list[100], HTTP 404\n", []),
        ("BLOCK_ID: 001\na\n\n=======\n\n=======\nBLOCK_ID: 002\nb\n", ["empty", "no-id"]),
    ],
)
def test_every_fault_has_its_kind(text, found):
    assert sorted(kinds(text)) == found


def test_a_fault_names_its_line():
    (finding,) = find_faults(SEED.replace("[001]", "[007]"))
    assert (finding.line, finding.kind) == (11, "dangling")
    assert finding.message == "003 cites 007, which is not there"


def test_what_an_older_generation_holds_was_left_out_on_purpose():
    text = "BLOCK_ID: 001\na\n=======\nBLOCK_ID: 004\nb\n"
    assert kinds(text, {2, 3}) == []
    (finding,) = find_faults(text, {2})
    assert finding.message == "003 should stand before 004"


def test_a_wild_number_is_one_finding():
    assert kinds("BLOCK_ID: 999999999\na\n") == ["missing"]
    assert kinds(f"BLOCK_ID: {'9' * 5000}\na\n") == ["no-id"]


@given(st.text())
def test_no_text_makes_it_fail(text):
    parse(text)
    find_faults(text)


# A text that ends in a line of "=" cannot be told from one whose separator was cut off.
words = st.text(st.sampled_from("abc []=#\n0123\u00e9"), min_size=1).filter(
    lambda text: (
        "=======" not in text and "[" not in text and text.strip().rpartition("\n")[2].strip("= ")
    )
)


@given(st.lists(words, min_size=1, max_size=8))
def test_what_is_written_is_read_back(texts):
    file = "\n=======\n".join(write(n, text.strip()) for n, text in enumerate(texts, 1))
    assert [block.text for block in parse(file)] == [text.strip() for text in texts]
    assert [block.id for block in parse(file)] == [name(n) for n in range(1, len(texts) + 1)]
    assert kinds(file) == []


@given(st.lists(words, min_size=1, max_size=5), st.data())
def test_a_file_that_was_cut_off_is_noticed_or_has_lost_nothing_but_whole_lines(texts, data):
    file = "\n=======\n".join(write(n, text.strip()) for n, text in enumerate(texts, 1))
    cut = file[: data.draw(st.integers(1, len(file) - 1))]
    assert kinds(cut) or cut.endswith("\n")
