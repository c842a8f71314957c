"""The FORMAT file of a spool: the number of the rules by which its files are to be read.

The number rises only with a change that an older aap would get wrong. What an older
one leaves alone - a new folder, a new file, a new member of a note - does not raise it,
so a downgrade works across such changes.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from aap import __version__, files
from aap.errors import FormatError

FILE = "FORMAT"
NUMBER = 1


def check_format(root: Path) -> None:
    """Raise FormatError if the spool at `root` is not one that this aap understands.

    A spool without the file, which need not exist either, is of format 1: so are all
    that were made before there was one.
    """
    try:
        text = files.read_plain(root / FILE).strip()
    except (FileNotFoundError, NotADirectoryError):
        return
    if text != b"%d" % NUMBER:
        shown = text[:20].decode("ascii", "backslashreplace")
        raise FormatError(
            f"the spool {root} is of format {shown!r}, and aap {__version__} knows {NUMBER} only",
            hint="upgrade aap to the version that wrote it, then: aap install",
        )


def mark_format(root: Path) -> None:
    """Write the number down where it is missing, if it can be written.

    It comes last, and says that the spool's folders are on the disk: who made them may
    have been killed before that.
    """
    path = root / FILE
    if not path.exists():
        with suppress(OSError):  # on a full disk the spool works as well without
            files.fsync_folder(root.parent)
            files.fsync_folder(root)
            files.write_atomic(path, b"%d\n" % NUMBER)
