"""`aap completion`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from aap.cli.commands.parts import Command, group

app = group()


@app.command(
    cls=Command,
    epilog="""
    eval "$(aap completion bash)"
    aap completion zsh >~/.zfunc/_aap
    """,
)
def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"],
        typer.Argument(metavar="SHELL", help="Which shell: bash, zsh or fish."),
    ],
) -> int:
    """Print the completion script for a shell; aap install puts it in place."""
    from aap.cli import share

    return share.completion(shell)
