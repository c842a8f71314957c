"""The way in and the one way out: arguments, errors, what a command imports."""

from __future__ import annotations

import importlib
import inspect
import os
import resource
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from harness.command import AAP, Run, chat, execute

from aap.cli import app
from aap.cli.main import HOT, PLACE, Hot, count, parse_hot, seconds
from aap.inbox import Spool
from aap.message import IdClock, State

TREE: Any = typer.main.get_command(app.app)


# The fast path


@pytest.mark.parametrize("name", HOT)
def test_the_fast_path_and_the_tree_agree(name: str) -> None:
    hot: Hot = HOT[name]
    command = TREE.commands["inbox"].commands[name]
    tree = {
        spelling: (option.name, option.is_flag, getattr(option, "multiple", False))
        for option in command.params
        if option.param_type_name == "option"
        for spelling in option.opts
    }
    ours = {
        spelling: (option.keyword, option.read is None, option.many)
        for spelling, option in {**PLACE, **hot.options}.items()
    }
    assert ours == tree
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    assert [hot.takes_ids, hot.takes_beginning] == [
        [p.nargs for p in arguments] == [count] for count in (-1, 1)
    ]


@pytest.mark.parametrize("name", HOT)
def test_what_is_not_given_means_the_same_on_both_ways(name: str) -> None:
    # The fast path leaves keywords out; the tree passes its own defaults on.
    hot = HOT[name]
    plain = inspect.signature(function(hot)).parameters
    wrapper = inspect.signature(TREE.commands["inbox"].commands[name].callback).parameters
    for option in hot.options.values():
        ours, theirs = plain[option.keyword].default, wrapper[option.keyword].default
        assert (ours or None) == (theirs or None), option


def function(hot: Hot) -> Any:
    return getattr(importlib.import_module(f"aap.cli.{hot.module}"), hot.function)


@pytest.mark.parametrize("name", HOT)
def test_values_are_read_alike(name: str) -> None:
    kinds = {
        str: {"str", "text"},
        int: {"int", "integer"},
        State: {"choice"},
        seconds: {"seconds"},
        count: {"count"},
    }
    params = {
        spelling: option
        for option in TREE.commands["inbox"].commands[name].params
        if option.param_type_name == "option"
        for spelling in option.opts
    }
    for spelling, option in HOT[name].options.items():
        if option.read is not None:
            assert params[spelling].type.name in kinds[option.read]  # type: ignore[index]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("inbox ls", ("ls", [], {})),
        ("inbox ids", ("ids", [], {})),
        ("inbox ids 1k", ("ids", ["1k"], {})),
        ("inbox ls --limit 5 --json", ("ls", [], {"limit": 5, "as_json": True})),
        ("inbox ls --state done --state=hold", ("ls", [], {"states": [State.DONE, State.HOLD]})),
        ("-w a inbox show x -w b y", ("show", ["x", "y"], {"workspace": "b"})),
        ("inbox done -", ("done", ["-"], {})),
        ("inbox wait --timeout 5m", ("wait", [], {"timeout": 300.0})),
        ("--config=f inbox new", ("new", [], {"config": "f"})),
    ],
)
def test_plain_arguments_take_the_fast_path(line: str, expected: object) -> None:
    hot, words, keywords = parse_hot(line.split())
    assert (hot.function, words, keywords) == expected


@pytest.mark.parametrize(
    "line",
    [
        "", "inbox", "inbox ls --help", "inbox ls --stat done", "inbox ls --limit x", "inbox done",
        "inbox ls --state nowhere", "inbox ls word", "inbox ls --json=yes", "inbox ls --limit",
        "inbox ls --limit -5", "inbox show -- x", "inbox ls -wx", "inbox add x", "--json inbox ls",
        "inbox wait --timeout soon", "inbox ids 1k 1j",
    ],
)  # fmt: skip
def test_anything_else_goes_to_the_tree(line: str) -> None:
    with pytest.raises(Exception, match=r"^$") as caught:
        parse_hot(line.split())
    assert type(caught.value).__name__ == "_NotHotError"


def test_the_slow_way_does_the_same(aap: Run, spool: Spool) -> None:
    message = spool.deliver(chat("hi"))
    fast = aap("inbox", "show", "--json", message)
    slow = aap("inbox", "show", "--json", "--", message)  # "--" is not in the small grammar
    assert slow.stdout == fast.stdout != ""


# What it costs to start


@pytest.mark.alone
@pytest.mark.parametrize("name", HOT)
def test_every_hot_command_is_started_at_most_four_times_as_slowly_as_python(
    spool: Spool, name: str
) -> None:
    spool.deliver(chat("hi", channel="telegram"))
    words = [sys.executable, "-m", "aap.cli.main", "inbox", name]
    words += ["1"] if HOT[name].takes_ids else []
    ratios = sorted(
        children_seconds(words) / children_seconds([sys.executable, "-c", "pass"])
        for _ in range(15)
    )
    assert ratios[7] <= 4


@pytest.mark.alone
def test_ten_thousand_messages_do_not_slow_the_tab_key(spool: Spool) -> None:
    inbox, clock = spool.folder(State.INBOX), IdClock()
    first = inbox / f"{clock.next(b'')}.json"
    first.write_bytes(chat("hi"))
    for number in range(10_000):
        os.link(first, inbox / f"{clock.next(b'%d' % number)}.json")
    words = [sys.executable, "-m", "aap.cli.main", "inbox", "ids", first.name[:12]]
    ratios = sorted(
        children_seconds(words) / children_seconds([sys.executable, "-c", "pass"])
        for _ in range(15)
    )
    assert ratios[7] <= 5  # 40 ms where Python takes 8


def children_seconds(words: list[str]) -> float:
    """CPU time, which a busy machine changes less than the time that passes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    execute(*words, PYTHONDONTWRITEBYTECODE="")  # the first call compiles, as an installation does
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# The tree in parts


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("inbox add x", {"inbox"}),
        ("-w work config get PORT", {"config"}),
        ("resume", {"pause", "resume"}),
        ("status --json", {"status"}),
        ("inbx", set(TREE.commands)),
        ("--help", set(TREE.commands)),
        ("--json inbox ls", set(TREE.commands)),
        ("", set(TREE.commands)),
    ],
)
def test_only_what_is_meant_is_built(line: str, commands: set[str]) -> None:
    part: Any = typer.main.get_command(app._whole(app._needed(line.split())))
    assert set(part.commands) == commands


@pytest.mark.slow
def test_a_part_of_the_tree_is_as_the_whole(aap: Run) -> None:
    for line in ("inbox add --help", "inbox", "resume --help", "config get --jsn", "key lss"):
        part, whole = aap(*line.split()), aap("--config=/dev/null", "--", *line.split())
        assert (part.stdout, part.stderr) == (whole.stdout, whole.stderr)


# Help and mistakes


def test_help_groups_commands_by_what_one_wants(aap: Run) -> None:
    done = aap("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for title in app.SECTIONS:
        assert f"{title}:" in done.stdout
    assert "aap inbox retry ID" in done.stdout


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    below = getattr(command, "commands", {})
    return [path, *(p for name, each in below.items() for p in commands(each, (*path, name)))]


def test_every_command_is_in_a_section() -> None:
    named = [name for names in app.SECTIONS.values() for name in names]
    assert sorted(named) == sorted(name for name, c in TREE.commands.items() if not c.hidden)


@pytest.mark.parametrize("path", commands(TREE), ids=" ".join)
def test_every_command_has_help_within_80_columns(path: tuple[str, ...]) -> None:
    command = TREE
    context = command.make_context("aap", [], resilient_parsing=True)
    for name in path:
        command = command.commands[name]
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
    text = command.get_help(context)
    assert command.help
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("inbx",), "Did you mean 'inbox'"),
        (("inbox", "lss"), "Did you mean 'ls'"),
        (("inbox", "ls", "--jsn"), "Did you mean '--json'"),
        (("inbox", "ls", "--no-such-thing"), "No such option '--no-such-thing'"),
        (("--json", "inbox", "ls"), "goes after the command"),
        (("agent", "tst"), "Did you mean 'test'"),
        (("inbox", "show"), "Missing argument"),
        (("inbox", "ls", "--state", "nowhere"), "'deferred'"),
    ],
)
def test_a_mistake_names_the_nearest_and_where_help_is(
    aap: Run, words: tuple[str, ...], said: str
) -> None:
    done = aap(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("aap: ")
    assert said in done.stderr
    assert done.stderr.rstrip().endswith("--help")


def test_no_command_shows_help_and_is_a_usage_error(aap: Run) -> None:
    done = aap()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: aap")


def test_version(aap: Run) -> None:
    fast, slow = aap("--version"), aap("--version", "inbox")
    assert fast.stdout == slow.stdout
    assert fast.stdout.startswith("aap ")


# The door for errors


def test_what_the_system_refuses_is_one_line(aap: Run, workspace: Path) -> None:
    done = aap("inbox", "add", "no-such-file")
    assert (done.returncode, done.stderr) == (5, "aap: no-such-file: No such file or directory\n")


def test_a_fault_of_our_own_is_one_line_and_the_traceback_on_demand(aap: Run, spool: Spool) -> None:
    spool.folder(State.INBOX).rmdir()
    spool.folder(State.INBOX).write_text("not a folder")
    done = aap("inbox", "ls")
    assert done.returncode == 1
    assert done.stderr.count("\n") <= 2
    assert "Traceback" in aap("inbox", "ls", AAP_DEBUG="1").stderr


def test_a_doubtful_configuration_is_exit_78(aap: Run, workspace: Path) -> None:
    (workspace / ".ai-agent-proxy.conf").write_text("PORT=many\n")
    done = aap("inbox", "ls")
    assert done.returncode == 78
    assert ".ai-agent-proxy.conf" in done.stderr


@pytest.mark.slow
def test_a_reader_that_has_enough_is_no_error(spool: Spool) -> None:
    clock = IdClock()
    for number in range(5000):  # more than a pipe holds
        (spool.folder(State.INBOX) / f"{clock.next(b'%d' % number)}.json").touch()
    pipe = f"{' '.join(AAP)} inbox new | head -1; echo ${{PIPESTATUS[0]}}"
    done = execute("bash", "-c", pipe)
    assert done.stdout.splitlines()[1:] == ["0"]
    assert done.stderr == ""


def test_a_full_disk_under_stdout_is_said(spool: Spool) -> None:
    spool.deliver(chat("hi"))
    done = execute("bash", "-c", f"{' '.join(AAP)} inbox ls >/dev/full")
    assert done.returncode == 75
    assert done.stderr == "aap: No space left on device\n"


def test_a_read_only_disk_is_said_with_the_command_that_shows_it(spool: Spool) -> None:
    here = [sys.executable, "-m", "aap.cli.main", "inbox", "add", "--text", "hi"]
    inbox = spool.folder(State.INBOX)
    script = f'mount --bind -o ro "{spool.root}" "{spool.root}" && exec "$@"'
    done = execute("unshare", "--mount", "sh", "-c", script, "sh", *here)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("no mounts here")
    assert done.returncode == 4
    first, hint = done.stderr.splitlines()
    assert first.endswith(": Read-only file system")
    assert hint == f"  findmnt -T {inbox}"


@pytest.mark.parametrize("path", commands(TREE), ids=" ".join)
def test_what_takes_words_or_options_of_its_own_shows_an_example(path: tuple[str, ...]) -> None:
    command = TREE
    for name in path:
        command = command.commands[name]
    common = {"as_json", "workspace", "config", "system", "yes"}
    own = [param for param in command.params if param.name not in common]
    lines = [line.strip() for line in (command.epilog or "").strip().splitlines()]
    shown = [line for line in lines if " ".join(("aap", *path)) in line]
    assert shown or not own or command.hidden


@pytest.mark.slow
def test_unknown_names_are_answered_with_the_nearest(aap: Run, home: Path) -> None:
    assert aap("key", "new", "phone").returncode == 0
    for words, near in (
        (("key", "revoke", "phon"), "phone"),
        (("skills", "show", "context-cash"), "context-cache"),
        (("doctor", "--only", "spool.strayz"), "spool.strays"),
        (("config", "get", "AGNT"), "AGENT"),
        (("-w", "mian", "inbox", "ls"), "main"),
    ):
        done = aap(*words)
        assert done.returncode != 0
        assert done.stderr.endswith(f"  did you mean {near}?\n"), done.stderr
