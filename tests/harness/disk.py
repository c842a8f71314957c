"""A small disk for one folder of a machine, which can be filled, made read-only and broken.

    with SmallDisk(machine, user.home / "work", megabytes=64, owner=user) as disk:
        disk.fill()
        disk.empty()

It is an ext4 image behind a loop device: what the kernel does when there is no room, or
no way to write, is what it does on a real one.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from .machine import Machine, User

_FILLER = ".filler"


class DiskError(Exception):
    """There are no loop devices here, or no ext4; the text says why."""


class SmallDisk:
    """The disk; it is mounted at `at` for the length of the block. Raises DiskError."""

    def __init__(self, machine: Machine, at: Path, *, megabytes: int, owner: User) -> None:
        self._machine = machine
        self._at = at
        self._megabytes = megabytes
        self._owner = owner
        self._device = ""
        self._held = -1

    def __enter__(self) -> SmallDisk:
        with tempfile.NamedTemporaryFile(prefix="aap-disk-", dir="/var/tmp") as image:
            os.truncate(image.fileno(), self._megabytes << 20)
            # No blocks of root's own: its files are what fills the disk.
            _tell("mkfs.ext4", "-q", "-F", "-m", "0", "-e", "remount-ro", image.name)
            self._device = _tell("losetup", "--find", "--show", image.name)
        # Until nobody has it open any more: it outlives being unmounted, and not this process.
        self._held = os.open(self._device, os.O_RDONLY | os.O_CLOEXEC)
        _tell("losetup", "--detach", self._device)
        number = self._device.removeprefix("/dev/loop")
        root = self._machine
        root.run(["mknod", "-m", "600", self._device, "b", "7", number], check=False)
        self._owner.run(["mkdir", "-p", self._at])
        self._mount()
        root.run(["rmdir", self._at / "lost+found"])
        root.run(["chown", f"{self._owner.name}:", self._at])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._machine.run(["umount", "-l", self._at], check=False)
        self._machine.run(["rm", "-f", self._device], check=False)
        os.close(self._held)

    def fill(self) -> None:
        """Leave not a byte."""
        fd = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            size, end = 64 << 20, os.fstat(fd).st_size
            while size >= 1024:
                try:
                    os.posix_fallocate(fd, end, size)
                    end += size
                except OSError:
                    size //= 2
        finally:
            os.close(fd)

    def empty(self) -> None:
        """Give back what `fill` took."""
        self._filler.unlink(missing_ok=True)

    def lock(self, patience: float = 2.0) -> bool:
        """Make the whole file system read-only; False if somebody wrote all the time."""
        deadline = time.monotonic() + patience
        while not self._remount("ro"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def unlock(self) -> None:
        """Let it be written again."""
        self._remount("rw")

    def break_(self) -> None:
        """Let it meet an error: the kernel writes nothing more, whoever has files open."""
        (self._kernels / "trigger_fs_error").write_text("1")

    def mend(self, patience: float = 15.0) -> None:
        """Do what is done with a broken disk that nobody uses any more: check, mount again."""
        deadline = time.monotonic() + patience
        while self._kernels.exists():  # a sandbox that ends has it mounted for a moment more
            self._machine.run(["umount", "-l", self._at], check=False)
            assert time.monotonic() < deadline, f"somebody still uses {self._at}"
            time.sleep(0.02)
        checked = subprocess.run(
            ["e2fsck", "-f", "-y", self._device], check=False, capture_output=True
        )
        assert checked.returncode in {0, 1}, checked.stdout  # 1: errors were corrected
        self._mount()

    @property
    def _kernels(self) -> Path:
        return Path("/sys/fs/ext4", Path(self._device).name)

    def _mount(self) -> None:
        self._machine.run(["mount", "-t", "ext4", self._device, self._at])

    @property
    def _filler(self) -> Path:
        return self._machine.path(self._at / _FILLER)

    def _remount(self, how: str) -> bool:
        words = ["mount", "-o", f"remount,{how}", self._at]
        return self._machine.run(words, check=False).returncode == 0


def _tell(*words: str) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise DiskError(f"{words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()
