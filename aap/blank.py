"""The settings file of a workspace in which nobody has set anything.

What a workspace sets, `aap` obeys outside of every sandbox, so the agent may read the file
and no more. But only what is there can be shown read-only: where there was none, the agent
could make one. So there always is one.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from aap import WORKSPACE_FILE, files

# Nothing, a link, something else than a file, or what is closed to us: we make none of these.
_NOT_OURS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL, errno.EACCES)
TEXT = b"# Settings of this workspace, which its agent can read alone: see aap.conf(5).\n"


def make(workspace: Path) -> bool:
    """Make the file; False if there is anything of that name. Raises OSError."""
    file = workspace / WORKSPACE_FILE
    if os.path.lexists(file):
        return False
    try:
        with files.naming(file), files.new_file(file) as fd:
            files.write_all(fd, TEXT)
    except FileExistsError:
        return False
    try:
        files.fsync_folder(workspace)
    except OSError:
        with suppress(OSError):
            file.unlink()
        raise
    return True


def remove(workspace: Path) -> bool:
    """Remove the file if it is as `make` made it; False if it is not. Raises OSError."""
    file = workspace / WORKSPACE_FILE
    try:
        # A crash, or a disk that is gone, may have left the beginning of it.
        is_ours = TEXT.startswith(files.read_plain(file, len(TEXT) + 1))
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise
        return False
    if is_ours:
        files.remove(file)
    return is_ours
