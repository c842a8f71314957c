"""What goes below a `share/`: manual pages and completions, where man and the shells look.

    man/man1/aap.1, …                           the pages, by section
    bash-completion/completions/aap             loaded at the first Tab
    zsh/site-functions/_aap                     where fpath has that folder
    fish/vendor_completions.d/aap.fish

The wheel brings the same files as its data, so `pip install` puts them into the `share/`
of its prefix; a virtual environment's is one where nobody looks.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aap.copies import Copies, Step

COMPLETIONS = {
    "bash": ("aap.bash", "bash-completion/completions/aap"),
    "zsh": ("_aap", "zsh/site-functions/_aap"),
    "fish": ("aap.fish", "fish/vendor_completions.d/aap.fish"),
}
"""By shell: the script's name in `completions/`, and its place below `share/`."""


def source(name: str) -> Path:
    """Return the folder `man` or `completions`: in the installed package, else in the checkout."""
    packaged = Path(__file__).with_name(name)
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / name


def wanted() -> dict[str, bytes]:
    """Return what belongs below a `share/`: the path there of each file, and its bytes."""
    pages = {f"man/man{page.suffix[1:]}/{page.name}": page for page in source("man").iterdir()}
    scripts = {place: source("completions") / name for name, place in COMPLETIONS.values()}
    return {path: file.read_bytes() for path, file in sorted({**pages, **scripts}.items())}


def completion(shell: str) -> str:
    """Return the completion script for one of the shells in `COMPLETIONS`."""
    return (source("completions") / COMPLETIONS[shell][0]).read_text("utf-8")


def install(share: Path, manifest: Path) -> list[Step]:
    """Put the files below `share`, or bring them up to date; `manifest` remembers them.

    What somebody changed stays, and what is there already is whose it was: `remove` leaves
    both. All users may read what is written, whatever the umask. Raises OSError.
    """
    with _readable():
        return _copies(share, manifest).put()


def remove(share: Path, manifest: Path) -> list[Step]:
    """Take away what `install` put there and nobody changed. Raises OSError."""
    return _copies(share, manifest).take_away()


def states(share: Path, manifest: Path) -> set[str]:
    """Tell how the files below `share` stand: some installed, old, changed or missing."""
    return _copies(share, manifest).states()


def _copies(share: Path, manifest: Path) -> Copies:
    return Copies(share, wanted(), manifest, adopts=False)


@contextmanager
def _readable() -> Iterator[None]:
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def man_folders(path: str, manpath: str = "") -> list[Path]:
    """Name where `man` looks, as far as PATH and MANPATH tell.

    manpath(1) of man-db takes `share/man` beside each folder of PATH, unless MANPATH is set
    and has no empty part, which stands for them.
    """
    beside = [Path(folder).parent / "share/man" for folder in path.split(":")]
    parts = manpath.split(":") if manpath else [""]
    return [folder for part in parts for folder in ([Path(part)] if part else beside)]
