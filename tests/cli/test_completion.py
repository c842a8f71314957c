"""The completion scripts say what the command tree says, and shells understand them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import shells
from harness.command import AAP, CHECKOUT, Run, Terminal, chat, environment, execute

from aap import shared
from aap.cli import completion
from aap.config import keys_file, workspaces_file
from aap.config.keys import add_key
from aap.config.registry import add_workspace
from aap.inbox import Spool

FOLDER = CHECKOUT / "completions"


@pytest.mark.parametrize("shell", shared.COMPLETIONS)
def test_the_shipped_scripts_are_those_of_the_tree(shell: str) -> None:
    renewed = completion.script(shell)
    assert shared.completion(shell) == renewed, "python -m aap.cli.completion completions"


def test_an_option_takes_the_same_words_wherever_it_is() -> None:
    # In bash it is told apart by its name alone.
    values: dict[str, set[object]] = {}
    for node in completion.tree():
        for option in node.options:
            for name in option.names:
                values.setdefault(name, set()).add(option.value)
    assert {name: each for name, each in values.items() if len(each) > 1} == {}


@pytest.fixture
def commands(home: Path) -> str:
    """A PATH on which `aap` is found."""
    folder = home / "bin"
    folder.mkdir()
    (folder / "aap").write_text(f'#!/bin/sh\nexec {" ".join(AAP)} "$@"\n')
    (folder / "aap").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


LINES = {
    "aap ": {name for name, _ in next(iter(completion.tree())).commands},
    "aap skills show ": {"ai-agent-proxy", "context-cache", "openclaw-message"},
    "aap in": {"inbox", "install"},
    "aap -w /tmp inbox r": {"release", "retry", "rm"},
    "aap inbox ls --state d": {"deferred", "done"},
    "aap inbox ls --l": {"--limit"},
    "aap config set MAX_A": {"MAX_ATTEMPTS"},
    "aap inbox show --raw ": {"ID"},
    "aap logs --follow --id ": {"ID"},
    "aap inbox wait --conversation t": {"telegram//42"},
    "aap logs --conversation i": {"irc//#a"},
    "aap workspace use w": {"work"},
    "aap -w mai": {"main"},
    "aap inbox ls --workspace wo": {"work"},
    "aap key revoke ": {"laptop", "phone"},
}


def bash(line: str, path: str) -> set[str]:
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    script = (
        f"source {FOLDER}/aap.bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _aap;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = execute("bash", "--norc", "-c", script, PATH=path)
    assert done.stderr == ""
    return set(done.stdout.split())


def fish(line: str, path: str) -> set[str]:
    script = f"source {FOLDER}/aap.fish; complete -C '{line}'"
    done = execute("fish", "--no-config", "-c", script, PATH=path)
    assert done.stderr == ""
    return {row.partition("\t")[0] for row in done.stdout.splitlines()}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("shell", [bash, fish])
def test_a_shell_completes(shell: object, line: str, spool: Spool, commands: str) -> None:
    name = getattr(shell, "__name__", "")
    if shutil.which(name) is None:
        pytest.skip(f"no {name} here")
    message = spool.deliver(chat("hi", channel="telegram", target="42"))
    moment = "2026-11-23T21:10:26.123Z"
    (spool.logs / "2026-11-23.log").write_text(
        f"{moment} info worker claimed id=x conversation=irc//#a\n"
        f'{moment} info worker claimed id=x conversation="irc//a b"\n'
    )
    for name in ("phone", "laptop"):
        add_key(keys_file(), name, f"aap_{name}")
    add_workspace(workspaces_file(), "work", Path("/srv/work"))
    expected = {message if word == "ID" else word for word in LINES[line]}
    assert shell(line, commands) == expected  # type: ignore[operator]


def test_bash_takes_the_equals_sign_apart(commands: str) -> None:
    # As readline hands it over: "=" is a word of its own.
    assert bash("aap inbox ls --state = fa", commands) == {"failed"}


def test_zsh_reads_its_function(commands: str) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("no zsh here")
    assert execute("zsh", "-n", str(FOLDER / "_aap")).returncode == 0


# As a person types, in shells that find the scripts where `aap install` puts them.

TYPED = {
    # a command, an option, one of several spellings, words that are fixed
    "aap inbox rel": "release",
    "aap inbox ls --gr": "--group",
    "aap logs --fol": "--follow",
    "aap inbox ls --state def": "deferred",
    "aap completion f": "fish",
    "aap key new --scope rec": "receipts",
    # what tables know: settings, checks, skills
    "aap config set MAX_A": "MAX_ATTEMPTS",
    "aap doctor --only spool.fs": "spool.fsync",
    "aap skills show context-c": "context-cache",
    # what is asked for: ids, here and in the workspace that the line names, and names
    "aap inbox show HERE": "HERE",
    "aap -w work inbox show THERE": "THERE",
    "aap explain -w work THERE": "THERE",
    "aap inbox wait --conversation tele": "telegram//42",
    "aap workspace use wo": "work",
    "aap -w wo": "work",
    "aap key revoke lap": "laptop",
}


@pytest.fixture
def screens(home: Path, commands: str) -> Iterator[Callable[[str], Terminal]]:
    """Start a shell with `aap` on its PATH."""
    env = environment(PATH=commands)
    shells.put_scripts(env)
    started: list[Terminal] = []

    def start(shell: str) -> Terminal:
        started.append(shells.start(shell, env))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.mark.slow
@pytest.mark.parametrize("shell", shells.START)
def test_the_tab_key_completes(
    shell: str, screens: Callable[[str], Terminal], spool: Spool, tmp_path: Path
) -> None:
    if missing := shells.why_not(shell):
        pytest.skip(missing)
    add_key(keys_file(), "laptop", "aap_laptop")
    add_workspace(workspaces_file(), "work", tmp_path / "work")
    other = Spool(tmp_path / "work/.ai-agent-proxy")
    other.create()
    ids = {
        "HERE": spool.deliver(chat("hi", channel="telegram", target="42")),
        "THERE": other.deliver(chat("ho")),
    }
    screen = screens(shell)
    for line, completed in TYPED.items():
        words = line.split(" ")
        # As much as tells the two apart, which came at once.
        typed = " ".join(ids[word][:15] if word in ids else word for word in words)
        shells.press_tab(screen, typed, ids.get(completed, completed))


# Ids


def test_ids_are_those_that_begin_so_and_wait(aap: Run, spool: Spool) -> None:
    first, second = (spool.deliver(chat(text)) for text in ("one", "two"))
    spool.settle(second)
    assert aap("inbox", "ids").stdout.split() == [first]
    assert aap("inbox", "ids", first[:12]).stdout.split() == [first]
    # Nothing that waits begins so: then what was handled is meant.
    assert aap("inbox", "ids", second[:13]).stdout.split() == [second]
    assert aap("inbox", "ids", "zzz").stdout == ""
