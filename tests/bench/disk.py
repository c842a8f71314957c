"""Where the bench stores: durability costs what the file system below makes it cost."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

CACHE = Path(__file__).parents[2] / ".cache" / "bench"
_IMAGE_SIZE = 6 << 30  # bytes, sparse: what is never written takes no room
_INODES = 400_000


class Disk(NamedTuple):
    """A folder to measure in, and what is below it."""

    folder: Path
    kind: str


@contextmanager
def open_disk() -> Iterator[Disk]:
    """Give an ext4 with a journal where we may mount one, else a folder of the checkout's."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=CACHE))
    try:
        reason = _mount(folder)
        if reason:
            kind = f"{_file_system(folder)}, as it is here: {reason}"
            yield Disk(folder, kind)
        else:
            yield Disk(folder, "a journalled ext4 of its own, on a loop image")
    finally:
        if os.path.ismount(folder):
            subprocess.run(["umount", "--lazy", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _mount(folder: Path) -> str:
    """Mount a new image there; return why not, or nothing."""
    if os.geteuid() != 0:
        return "only root can mount another"
    image = folder.with_suffix(".img")
    try:
        with image.open("wb") as file:
            file.truncate(_IMAGE_SIZE)
        _run("mkfs.ext4", "-q", "-F", "-N", str(_INODES), "-E", "lazy_itable_init=0", image)
        _run("mount", "-o", "loop", image, folder)
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        return f"no image could be mounted ({detail.strip()})"
    finally:
        image.unlink(missing_ok=True)  # the mount holds it; nothing is left when that is gone
    return ""


def _run(*argv: str | Path) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True)


def _file_system(folder: Path) -> str:
    argv = ["findmnt", "--noheadings", "--output=FSTYPE", "--target", folder]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def settle(folder: Path) -> None:
    """Let the disk finish what was written, so that the next measurement does not pay for it."""
    subprocess.run(["sync", "--file-system", folder], check=True)
