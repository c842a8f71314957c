"""What people see, at 40, 80 and 200 columns: held against golden files, and within the terminal.

`WRITE_GOLDEN=1` writes the files. tests/systemd/test_session.py has the screens that need
a systemd.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.command import Terminal, chat
from harness.screens import assert_fits, check, normal

from aap.cli import output
from aap.inbox import Spool
from aap.message import State, first_id

GOLDEN = Path(__file__).parent / "golden/screens"
WIDTHS = (40, 80, 200)
DAY = 86400

Start = Callable[..., Terminal]

GROUP = {
    "channel": "telegram",
    "target": "telegram:-1001234567890:topic:77",
    "metadata": {"sender": "Bartholomew the Elder", "label": "Family and friends 你好"},
}
ANN = {"channel": "telegram", "target": "telegram:42", "metadata": {"sender": "Ann"}}
LONG = "when do we meet? I can do Thursday, or any day of the week after that one. " * 3
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


@pytest.fixture
def spool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spool]:
    """The spool of a workspace whose path is always as long."""
    folder = tempfile.mkdtemp(prefix="aap-", dir="/tmp")
    monkeypatch.setenv("AAP_WORKSPACE", folder)
    spool = Spool(Path(folder, ".ai-agent-proxy"))
    spool.create()
    yield spool
    shutil.rmtree(folder)


def arrive(spool: Spool, moment: float, body: bytes) -> str:
    """Have a message come at a moment."""
    message = first_id(moment).ljust(20, "0")
    (spool.folder(State.INBOX) / f"{message}.json").write_bytes(body)
    return message


def fill(spool: Spool) -> str:
    """Put a message into each state; return one that failed twice."""
    now = time.time()
    arrive(spool, now - 3 * 60 - 20, chat(LONG, **ANN))
    arrive(spool, now - 2 * DAY - 20, chat("你好，我们什么时候见面？" * 8, **GROUP))
    arrive(spool, now - 3 * 3600 - 20, chat("plain"))
    parts = [{"type": "text", "text": f"look at this:\n\n    {LONG}"}, PIXEL]
    late = arrive(spool, now - 40 * 60 - 20, chat(parts, **ANN))  # type: ignore[arg-type]
    for wait, why in ((30, "the agent said no"), (900, "rate limit: try again later " * 4)):
        spool.defer(spool.find(late), now + wait + 20, why)
    spool.fail(spool.find(arrive(spool, now - 5 * 3600 - 20, chat("lost"))), "no")
    spool.hold(spool.find(arrive(spool, now - 6 * 3600 - 20, chat("held", **GROUP))))
    spool.settle(arrive(spool, now - 7 * 3600 - 20, chat("handled", **ANN)))
    return late


def live(spool: Spool) -> None:
    """Three days with messages that were handled, tried again and given up."""
    noon = time.time() // DAY * DAY + DAY / 2
    for day, waits in ((5, (0.2, 3.0, 65.0)), (4, ()), (3, (0.3,) * 30), (1, (2.0, 7200.0))):
        for number, wait in enumerate(waits):
            came = noon - day * DAY + number
            message = arrive(spool, came, chat("hi"))
            log(spool, came + wait, f"worker claimed id={message} attempt=1")
            log(spool, came + wait + 9, "worker run-ended outcome=ok seconds=8.5")
            log(spool, came + wait + 9, f"worker settled id={message}")
            spool.settle(message)
    bad = arrive(spool, noon - 3 * DAY + 100, chat("hi"))
    log(spool, noon - 3 * DAY + 101, f"worker claimed id={bad} attempt=1")
    log(spool, noon - 3 * DAY + 111, "worker run-ended outcome=failed seconds=10.0")
    log(spool, noon - 3 * DAY + 111, f"worker failed id={bad} attempts=1")
    spool.fail(spool.find(bad), "no")


def log(spool: Spool, moment: float, line: str) -> None:
    stamp = output.iso(moment)
    with (spool.logs / f"{stamp[:10]}.log").open("a") as file:
        file.write(f"{stamp} info {line}\n")


NAMES = [(r"/tmp/aap-[a-z0-9_]{8}", "/tmp/aap-WORKSPCE")]


def look(terminal: Start, words: tuple[str, ...], **env: str) -> dict[str, str]:
    """What a command shows at each width; nothing is wider."""
    shown = {}
    for columns in WIDTHS:
        screen = terminal(*words, columns=columns, lines=50, **env)
        assert screen.end() == 0, screen.screen
        assert_fits(screen.screen, columns)
        said = f"aap {' '.join(words)}".replace(words[-1], "ID") if len(words[-1]) == 20 else ""
        title = f"{columns} columns: {said or 'aap ' + ' '.join(words)}"
        shown[title] = normal(screen.screen, NAMES)
    return shown


SCREENS = {
    "inbox-ls": ("inbox", "ls", "--all"),
    "inbox-ls-group": ("inbox", "ls", "--group"),
    "inbox-show": ("inbox", "show", "@late"),
    "config-list": ("config", "list"),
    "config-explain": ("config", "explain", "RUN_TIMEOUT"),
}


@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_as_it_was(terminal: Start, spool: Spool, name: str) -> None:
    late = fill(spool)
    words = tuple(late if word == "@late" else word for word in SCREENS[name])
    check(GOLDEN / f"{name}.txt", look(terminal, words))


def test_the_days_are_drawn(terminal: Start, spool: Spool) -> None:
    live(spool)
    words = ("inbox", "stats", "--since", "10 d")
    check(GOLDEN / "inbox-stats.txt", look(terminal, words))


@pytest.mark.parametrize("words", [("--help",), ("inbox", "--help"), ("inbox", "ls", "--help")])
def test_help_is_as_it_was(terminal: Start, words: tuple[str, ...]) -> None:
    name = "-".join(word.strip("-") for word in words)
    check(GOLDEN / f"{name}.txt", look(terminal, words))


def test_a_locale_without_utf_8_gets_ascii(terminal: Start, spool: Spool) -> None:
    fill(spool)
    live(spool)
    for words in (
        ("inbox", "ls"),
        ("inbox", "stats", "--since", "10 d"),
        ("inbox", "ls", "--group"),
    ):
        screen = terminal(*words, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        assert screen.end() == 0
        assert screen.screen.isascii()
        assert_fits(screen.screen, 80)


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"LC_ALL": "", "LANG": "C"}, {"LC_ALL": ""}])
def test_the_locale_c_gets_no_marks_beyond_ascii(
    terminal: Start, spool: Spool, env: dict[str, str]
) -> None:
    live(spool)
    arrive(spool, time.time(), chat(LONG))
    for words in (("inbox", "ls"), ("inbox", "stats", "--since", "10d")):
        screen = terminal(*words, **{"LANG": "", "LC_CTYPE": "", **env})
        assert screen.end() == 0
        assert screen.screen.isascii()


@pytest.mark.parametrize("words", [("inbox", "ls"), ("inbox", "stats", "--since", "10 d")])
def test_colours_are_all_that_a_terminal_adds(
    terminal: Start, spool: Spool, words: tuple[str, ...]
) -> None:
    fill(spool)
    plain = terminal(*words, NO_COLOR="1")
    dumb, colourful = terminal(*words, TERM="dumb"), terminal(*words, TERM="xterm")
    for screen in (plain, dumb, colourful):
        assert screen.end() == 0
    assert "\x1b" not in plain.screen + dumb.screen
    assert "\x1b[" in colourful.screen
    assert normal(colourful.screen) == normal(plain.screen) == normal(dumb.screen)
