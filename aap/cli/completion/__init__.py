"""The completion scripts in `completions/`, written from the command tree.

Static scripts, because a script that asks the program at each Tab waits for typer to be
imported. Only names that change are asked for, by hot commands, about the workspace that
the line names; and ids by what is typed of them, or a shell would sort ten thousand.
`python -m aap.cli.completion FOLDER` writes the three files.
"""

from aap.cli.completion import bash, fish, zsh
from aap.cli.completion.nodes import tree

WRITERS = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}


def script(shell: str) -> str:
    """Return the completion script for `bash`, `zsh` or `fish`."""
    return WRITERS[shell](tree())
