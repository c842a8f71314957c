"""Manual pages and completions: put where man and the shells look, and taken away."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from aap import shared
from aap.cli import output
from aap.copies import Step
from aap.errors import Exit
from aap.mode import USER

# What Debian, Fedora and Arch call it; without it bash loads no completion by itself.
_BASH_COMPLETION = Path("/usr/share/bash-completion/bash_completion")


def put(mode: str) -> tuple[list[str], list[str]]:
    """Write what is missing or old; return what was done, and what the person should know."""
    from aap.systemd import record

    share = record.share_folder(mode)
    steps = shared.install(share, record.shared_file(mode))
    added = any(each.action == "added" for each in steps)
    return list(_told(steps, share)), list(_advice(mode, share)) if added else []


def remove(mode: str) -> list[str]:
    """Take away what `put` wrote and nobody changed; return what was done."""
    from aap.systemd import record

    share = record.share_folder(mode)
    steps = shared.remove(share, record.shared_file(mode))
    left = [f"left {each.path}: somebody changed it" for each in steps if each.action == "kept"]
    return [*_told(steps, share), *left]


def _told(steps: Sequence[Step], share: Path) -> Iterator[str]:
    done = [each.action for each in steps if each.action != "kept"]
    for action in dict.fromkeys(done):
        place = "from" if action == "removed" else "in"
        yield f"{action} {_counted(done.count(action))} {place} {share}"


def _counted(count: int) -> str:
    noun = "manual page or completion" if count == 1 else "manual pages and completions"
    return f"{count} {noun}"


def _advice(mode: str, share: Path) -> Iterator[str]:
    """What a shell must be told, where it does not look there by itself."""
    if mode != USER:
        return
    shell = Path(os.environ.get("SHELL", "")).name
    if shell == "zsh":
        folder = shlex.quote(str(share / "zsh/site-functions"))
        yield f"for completion write in ~/.zshrc, before compinit: fpath=({folder} $fpath)"
    if shell == "bash" and not _BASH_COMPLETION.exists():
        yield "completion in bash needs the package bash-completion"
    looked_in = shared.man_folders(os.environ.get("PATH", ""), os.environ.get("MANPATH", ""))
    if not any((folder / "man1/aap.1").exists() for folder in looked_in):
        yield f"to have man find the pages: export MANPATH={shlex.quote(f'{share}/man')}:"


def completion(shell: str) -> int:
    """Print the completion script for a shell."""
    output.write(shared.completion(shell).rstrip("\n"))
    return Exit.OK
