"""The completion scripts say what the command tree says, and shells understand them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from harness.command import AAP, CHECKOUT, Terminal, chat, environment, execute

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


SHELLS = {
    "bash": (["bash", "--norc", "-i"], f"source {FOLDER}/aap.bash"),
    "zsh": (
        ["zsh", "-f", "-i"],
        f"fpath=({FOLDER} $fpath); autoload -U compinit; compinit -u -D",
    ),
    "fish": (["fish", "--no-config", "-i"], f"source {FOLDER}/aap.fish"),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_tab_key_completes_commands_options_and_ids(
    shell: str, spool: Spool, commands: str
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    message = spool.deliver(chat("hi"))
    words, setup = SHELLS[shell]
    env = environment(TERM="xterm", PATH=commands, PS1="ready> ", PROMPT="ready> ")
    # The shell ends with its controlling terminal.
    screen = Terminal(("setsid", "--ctty", "--wait", *words), 120, 24, env)
    try:
        screen.type(f"{setup}; echo set''up\n")
        screen.wait_for("setup")
        for typed, completed in (
            ("aap inbox rel\t", "release"),
            ("aap inbox ls --gr\t", "--group"),
            (f"aap inbox show {message[:4]}\t", message),
        ):
            screen.screen = ""
            screen.type(typed)
            screen.wait_for(completed)
            screen.type("\x15")  # Ctrl-U empties the line
    finally:
        screen.close()
