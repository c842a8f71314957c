"""Real shells in a pseudo-terminal, which find aap's completion where `aap install` puts it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from aap import shared

from .command import Terminal

BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")

# How each is started, and what a person's own start-up file would say.
START = {
    "bash": (("bash", "--norc", "-i"), f"source {BASH_COMPLETION}"),
    "zsh": (
        ("zsh", "-f", "-i"),
        "fpath=($XDG_DATA_HOME/zsh/site-functions $fpath); autoload -U compinit; compinit -u -D",
    ),
    "fish": (("fish", "-i"), "true"),
}


def why_not(shell: str) -> str:
    """What is missing to try a shell; empty if nothing is."""
    if shutil.which(shell) is None:
        return f"no {shell} here"
    return "" if shell != "bash" or BASH_COMPLETION.exists() else "no bash-completion here"


def put_scripts(env: Mapping[str, str]) -> None:
    """Place the scripts below the XDG_DATA_HOME of these shells."""
    share = Path(env["XDG_DATA_HOME"])
    shared.install(share, share.with_name("shared.json"))


def start(shell: str, env: Mapping[str, str]) -> Terminal:
    """Start a shell and wait until it is ready; the caller closes it."""
    words, setup = START[shell]
    plain = {"TERM": "xterm", "PS1": "ready> ", "PROMPT": "ready> "}
    # The shell ends with its controlling terminal.
    screen = Terminal(("setsid", "--ctty", "--wait", *words), 120, 24, {**env, **plain})
    screen.type(f"{setup}; echo set''up\n")
    screen.wait_for("setup")
    return screen


def press_tab(screen: Terminal, typed: str, completed: str) -> None:
    """Type, press Tab, wait for what is completed, and leave an empty line."""
    screen.screen = ""
    screen.type(f"{typed}\t")
    screen.wait_for(completed)
    screen.type("\x15")  # Ctrl-U
