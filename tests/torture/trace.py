"""What a program did to the files below one folder: strace(1)'s account, read.

A call that changes files and that is not understood here is an error, not left out:
a model of the disk that misses a change proves nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_CALLS = (
    "open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,sendfile,copy_file_range,splice,"
    "fallocate,truncate,ftruncate,fsync,fdatasync,sync,syncfs,sync_file_range,msync,"
    "rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod,mknodat,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,utime,utimes,futimesat,utimensat"
)
_LINE = re.compile(r"\d+\s+(\w+)\((.*)\)\s+= (-?\d+)")
_DELAY = 5000  # microseconds
_UNFINISHED = "<unfinished ...>\n"
_PART = re.compile(r'"((?:\\x[0-9a-f]{2})*)"|(\w+)<((?:\\x[0-9a-f]{2})*)(?:\(deleted\))?>')


class Step(NamedTuple):
    """One change of the files, or one word (`say`) that the program printed.

    `kind` is create, folder, write, truncate, sync, sync-all, sync-start, rename, link, unlink,
    time or say; paths are relative to the folder that is watched.

    A sync during which other threads went on has a sync-start of the same `thread` before it:
    what is changed from there on it has not promised.
    """

    kind: str
    path: str = ""
    other: str = ""  # where a rename or a link leads to
    data: bytes = b""
    number: float = -1  # an offset (-1: at the end), a size or a time
    thread: int = 0


def record(argv: Sequence[str], root: Path, log: Path) -> list[Step]:
    """Run a program, its children too; return what it did below `root`, in order.

    Raises CalledProcessError if it fails.
    """
    strace = ["strace", "-f", "-y", "-xx", "-s", "4000000", "-qq", "--seccomp-bpf"]
    # As on a slow disk: others go on meanwhile, and what waits together is written together.
    strace += ["-e", f"inject=fsync,fdatasync,syncfs:delay_enter={_DELAY}"]
    command = [*strace, "-o", str(log), "-e", f"trace={_CALLS}", *argv]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120, env=environment)
    with log.open() as lines:
        return list(_read(lines, os.fspath(root)))


def _read(lines: Iterator[str], root: str) -> Iterator[Step]:
    """Put together what strace tells in two parts: a call counts when it returns."""
    begun: dict[str, str] = {}
    for line in lines:
        thread = line.split(maxsplit=1)[0]
        if line.endswith(_UNFINISHED):
            begun[thread] = line.removesuffix(_UNFINISHED)
            yield from _start(begun[thread], int(thread), root)
        elif " resumed>" in line:
            whole = begun.pop(thread) + line.split(" resumed>", 1)[1]
            for step in _call(whole, root):
                is_sync = step.kind in {"sync", "sync-all"}
                yield step._replace(thread=int(thread)) if is_sync else step
        else:
            yield from _call(line, root)


def _call(line: str, root: str) -> Iterator[Step]:
    match = _LINE.match(line)
    if match and int(match[3]) >= 0:
        yield from _steps(match[1], match[2], int(match[3]), root)


def _start(begun: str, thread: int, root: str) -> Iterator[Step]:
    """What a sync begins with, if this is one: its descriptor is all that it is given."""
    match = re.match(r"\d+\s+(fsync|fdatasync|syncfs)\((.*)", begun)
    for step in _steps(match[1], match[2], 0, root) if match else ():
        yield Step("sync-start", step.path if step.kind == "sync" else "", thread=thread)


def _steps(name: str, args: str, result: int, root: str) -> Iterator[Step]:
    said = name == "write" and args.startswith(("1<", "2<"))
    texts = [_text(part) for part in _PART.findall(args)]
    if said:
        yield Step("say", data=texts[1])
        return
    paths = list(_paths(texts, args, name))
    inside = [path[len(root) :].lstrip("/") for path in paths if f"{path}/".startswith(f"{root}/")]
    if inside:
        yield from _change(name, args, result, inside, texts)


def _text(part: tuple[str, str, str]) -> bytes:
    return bytes.fromhex((part[0] or part[2]).replace("\\x", ""))


def _paths(texts: list[bytes], args: str, name: str) -> Iterator[str]:
    """Put names together with the folders that they are relative to."""
    folder = ""
    words = _PART.findall(args)
    if name in _BY_DESCRIPTOR:
        yield os.fsdecode(texts[0])
        return
    for (_, descriptor, _), text in zip(words, texts, strict=True):
        if descriptor:
            folder = os.fsdecode(text)
        else:
            yield os.path.normpath(os.path.join(folder, os.fsdecode(text)))  # noqa: PTH118


_BY_DESCRIPTOR = frozenset(
    ("write", "pwrite64", "ftruncate", "fsync", "fdatasync", "syncfs"),
)


def _change(
    name: str, args: str, result: int, paths: list[str], texts: list[bytes]
) -> Iterator[Step]:
    path, other = paths[0], paths[-1]
    if name in {"open", "openat", "creat"}:
        if "O_CREAT" in args or name == "creat":
            yield Step("create", path)
        if "O_TRUNC" in args or name == "creat":
            yield Step("truncate", path, number=0)
    elif name == "write":
        yield Step("write", path, data=texts[1][:result])
    elif name == "pwrite64":
        yield Step("write", path, data=texts[1][:result], number=int(args.rsplit(", ", 1)[1]))
    elif name in {"ftruncate", "truncate"}:
        yield Step("truncate", path, number=int(args.rsplit(", ", 1)[1]))
    elif name in {"rename", "renameat", "renameat2", "link", "linkat"}:
        assert len(paths) == 2, f"a name came from elsewhere, or went there: {paths}"
        yield Step("rename" if name[0] == "r" else "link", path, other)
    elif name in _SIMPLE:
        yield Step(_SIMPLE[name], path)
    elif name == "utimensat":
        yield Step("time", path, number=_modification_time(args))
    else:
        raise NotImplementedError(f"{name}({args})")


_SIMPLE = {
    "fsync": "sync",
    "fdatasync": "sync",
    "syncfs": "sync-all",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "rmdir": "unlink",
    "mkdir": "folder",
    "mkdirat": "folder",
}


def _modification_time(args: str) -> float:
    _, *seconds = re.findall(r"tv_sec=(\d+), tv_nsec=(\d+)", args)
    return int(seconds[0][0]) + int(seconds[0][1]) / 1e9
