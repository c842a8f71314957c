"""A C library before fsync: it counts the calls, or leaves them out: then promises must break."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

MODES = ("all", "files", "folders")  # what is not synced

_SOURCE = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_void(int fd)
{
    const char *mode = getenv("NO_FSYNC_OF");
    struct stat facts;
    if (!mode || fstat(fd, &facts) != 0)
        return 0;
    return !strcmp(mode, "all") || !strcmp(mode, S_ISDIR(facts.st_mode) ? "folders" : "files");
}

static void count(const char *name)
{
    const char *path = getenv("FSYNC_COUNT");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (write(fd, name, strlen(name)) < 0)
        abort();
    close(fd);
}

#define WRAP(name) \\
    int name(int fd) \\
    { \\
        int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, #name); \\
        count(#name "\\n"); \\
        return is_void(fd) ? 0 : real(fd); \\
    }

WRAP(fsync)
WRAP(fdatasync)
WRAP(syncfs)
"""


def without(folder: Path, mode: str) -> dict[str, str]:
    """What a program's environment needs to sync nothing, or no files, or no folders."""
    return {"LD_PRELOAD": str(_library(folder)), "NO_FSYNC_OF": mode}


def counting(folder: Path) -> dict[str, str]:
    """What a program's environment needs for its calls to be counted."""
    return {"LD_PRELOAD": str(_library(folder)), "FSYNC_COUNT": str(folder / "syncs")}


def counts(folder: Path) -> Counter[str]:
    """How often each was called by those who were counted."""
    return Counter((folder / "syncs").read_text().split())


def _library(folder: Path) -> Path:
    library = folder / "shim.so"
    if not library.exists():
        source = library.with_suffix(".c")
        source.write_text(_SOURCE)
        command = ["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"]
        subprocess.run(command, check=True, env={**os.environ, "LC_ALL": "C"})
    return library
