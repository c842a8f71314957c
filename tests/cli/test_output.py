"""The terminal rules."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest
from harness.command import Run, Terminal, chat, environment, execute

from aap.cli import output
from aap.inbox import Spool

Start = Callable[..., Terminal]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Grüße 你好 👍", "Grüße 你好 👍"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\x00b\x7f\x9b", r"a\x00b\x7f\x9b"),
        ("\u202etxt\u2066", r"\u202etxt\u2066"),
        ("\ud83d", r"\ud83d"),
        ("two\nlines\t", r"two\nlines\t"),
    ],
)
def test_outside_text_is_made_harmless(text: str, shown: str) -> None:
    assert output.harmless(text) == shown


def test_layout_keeps_lines_and_tabs_but_no_carriage_return() -> None:
    assert output.harmless("a\n\tb\r", layout=True) == "a\n\tb\\r"


@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("你好", 4), ("e\u0301", 1), ("👍", 2), ("a\u200db", 2), ("", 0), ("ｱ", 1)],
)
def test_display_width(text: str, width: int) -> None:
    assert output.display_width(text) == width


@pytest.mark.parametrize("text", ["a long line of words", "你好你好你好你好", "e\u0301" * 20])
@pytest.mark.parametrize("width", [1, 2, 3, 5, 10])
def test_cut_never_takes_more_room_than_there_is(text: str, width: int) -> None:
    assert output.display_width(output.cut(text, width)) <= width


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-5, "0 s"), (3.9, "3 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (4 * 86400, "4 d")],
)
def test_ages_as_people_say_them(seconds: float, said: str) -> None:
    assert output.age(seconds) == said


def test_sizes_as_people_say_them() -> None:
    assert [output.size(n) for n in (0, 999, 61_000, 12_500_000, 4_200_000_000)] == [
        "0 B", "999 B", "61 kB", "12 MB", "4.2 GB",
    ]  # fmt: skip


# On a terminal


def fill(spool: Spool) -> list[str]:
    group = {
        "channel": "telegram",
        "target": "telegram:-1001234567890:topic:77",
        "metadata": {"sender": "Bartholomew the Elder", "label": "Family and friends 你好"},
    }
    ann = {"channel": "telegram", "target": "telegram:42", "metadata": {"sender": "Ann"}}
    ids = [
        spool.deliver(chat("when do we meet? " * 20, **ann)),
        spool.deliver(chat("你好" * 100, **group)),
        spool.deliver(chat("plain")),
    ]
    spool.fail(spool.find(ids[2]), "no")
    return ids


@pytest.mark.parametrize("columns", [40, 80, 100, 200])
def test_the_list_fits_the_terminal_and_loses_no_id(
    terminal: Start, spool: Spool, columns: int
) -> None:
    ids = fill(spool)
    screen = terminal("inbox", "ls", columns=columns, NO_COLOR="1")
    assert screen.end() == 0
    lines = screen.screen.splitlines()
    assert max(map(output.display_width, lines)) <= columns
    assert all(any(message in line for line in lines) for message in ids)
    assert "when do we" in screen.screen


def test_colours_are_for_terminals_that_want_them(terminal: Start, aap: Run, spool: Spool) -> None:
    fill(spool)
    colourful = terminal("inbox", "ls", columns=120)
    colourful.end()
    assert re.search(r"\x1b\[31mfailed *\x1b\[0m", colourful.screen)
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = terminal("inbox", "ls", **env)
        plain.end()
        assert "\x1b" not in plain.screen
    assert "\x1b" not in aap("inbox", "ls", TERM="xterm").stdout


def test_a_long_list_ends_within_the_screen_and_says_so(terminal: Start, spool: Spool) -> None:
    for number in range(30):
        spool.deliver(chat(str(number)))
    screen = terminal("inbox", "ls", lines=20)
    screen.end()
    assert len(screen.screen.splitlines()) == 19
    assert "13 more" in screen.screen


@pytest.mark.slow
def test_ctrl_c_is_130_without_a_word(terminal: Start, spool: Spool) -> None:
    screen = terminal("logs", "--follow")
    screen.read()
    import signal
    import time

    time.sleep(1)
    screen.process.send_signal(signal.SIGINT)
    assert screen.end() == 130
    assert "Traceback" not in screen.screen


@pytest.mark.slow
def test_what_takes_long_is_counted_on_a_terminal_and_gone_at_the_end() -> None:
    script = (
        "import time; from aap.cli.output import Progress; progress = Progress(3);"
        "progress.step(); time.sleep(1.05); progress.step(); progress.close()"
    )
    words = (sys.executable, "-c", script)
    screen = Terminal(words, 80, 24, environment(TERM="xterm"))
    assert screen.end() == 0
    screen.close()
    assert screen.screen == "\r2 of 3 \r\x1b[K"
    assert execute(*words).stderr == ""


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("one two three", ["one two", "three"]),
        ("one  two", ["one  two"]),
        ("a-word-too-long-for-it and more", ["a-word-too-long-for-it", "and more"]),
        ("in /a/long/path: it", ["in /a/long/path:", "it"]),
        ("words of it /a/long/path", ["words of", "it /a/long/path"]),
        ("你好 你好 你好", ["你好 你好", "你好"]),
        ("\x1b[31mred red\x1b[0m word", ["\x1b[31mred red\x1b[0m", "word"]),
    ],
)
def test_prose_is_filled_and_words_stay_whole(text: str, lines: list[str]) -> None:
    assert output.fill(text, 9) == lines
