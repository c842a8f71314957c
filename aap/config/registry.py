"""The workspaces besides `main`, by name: the file `workspaces`, one line each, `NAME PATH`.

`main` is the folder of the setting WORKSPACE and stands in no line. A `*` before a name
makes that workspace the default: what commands and clients mean that name none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from aap.config.envfile import DoubtfulConfigError, Finding, read_text
from aap.config.files import locked, real_file, write_private
from aap.errors import NotFoundError, UsageError, did_you_mean

MAIN = "main"
HEAD = '# Workspaces of aap besides "main", a "*" before the default one; see aap.conf(5).\n'

_NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
_LINE = rf"(\*[ \t]*)?({_NAME})[ \t]+(/.*\S)[ \t]*"


class Line(NamedTuple):
    """A workspace with the number of its line."""

    path: Path
    number: int


class Registry(NamedTuple):
    """What the file says. `default` is the name of the default workspace."""

    lines: dict[str, Line]
    default: str = MAIN

    def name_of(self, path: Path) -> str:
        """The name of the workspace in this folder, by whatever path it is reached; or empty."""
        for name, line in self.lines.items():
            if line.path == path:
                return name
        for name, line in self.lines.items():
            try:
                if line.path.samefile(path):
                    return name
            except OSError:
                continue
        return ""

    def check(self, name: str) -> None:
        """Raise NotFoundError, with the nearest name, if there is no such workspace."""
        names = [MAIN, *self.lines]
        if name in names:
            return
        if Path(name).is_dir():
            hint = f"the folder of that name is ./{name}"
        else:
            hint = did_you_mean(name, names, "aap workspace ls")
        raise NotFoundError(f'there is no workspace "{name}"', hint=hint)


def is_name(text: str) -> bool:
    """Whether `text` is meant as a workspace's name: what has a slash in it is a path."""
    return bool(text) and "/" not in text and text[0] not in "~."


def read_registry(file: Path) -> Registry:
    """Read `file`, which may be missing. Raises ConfigError, which tells a wrong line's place."""
    return _parse(_read(file), file)


def _read(file: Path) -> str:
    try:
        return read_text(file)
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _parse(text: str, file: Path) -> Registry:
    lines: dict[str, Line] = {}
    default = MAIN
    wrong: list[Finding] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(_LINE, line)
        problem = _problem(match, lines, default)
        if problem or not match:
            wrong.append(_finding(file, number, line, problem))
            continue
        lines[match[2]] = Line(Path(match[3]), number)
        default = match[2] if match[1] else default
    if wrong:
        raise DoubtfulConfigError(tuple(wrong))
    return Registry(lines, default)


def _problem(match: re.Match[str] | None, lines: dict[str, Line], default: str) -> str:
    """What is wrong with a line; empty if nothing is."""
    if match is None or not match[0].isprintable():
        return "this line is no workspace: NAME, a blank, and the whole path of a folder"
    if match[2] == MAIN:
        return f'"{MAIN}" is the workspace of the setting WORKSPACE, and stands in no line'
    if match[2] in lines:
        return f'"{match[2]}" is on line {lines[match[2]].number} already'
    if match[1] and default != MAIN:
        return f'"{default}" is marked as the default already'
    return ""


def _finding(file: Path, number: int, line: str, problem: str) -> Finding:
    shown = "".join(char if char.isprintable() or char == "\t" else "\ufffd" for char in line)
    column = len(line) - len(line.lstrip()) + 1
    hint = f"change it in an editor: {file}"
    return Finding("bad-workspace-line", str(file), problem, number, column, shown, hint)


def check_new(registry: Registry, name: str, path: Path) -> None:
    """Raise UsageError if `name` or `path` cannot be another workspace's."""
    if not re.fullmatch(_NAME, name):
        hint = 'a name is small letters, digits, "-" and "_", for example: work'
        raise UsageError(f'"{name}" is no name for a workspace', hint=hint)
    if name == MAIN:
        raise UsageError(
            f'"{MAIN}" is the workspace of the setting WORKSPACE',
            hint=f"aap config set WORKSPACE '{path}'",
        )
    if name in registry.lines and registry.lines[name].path != path:
        raise UsageError(
            f'there is a workspace "{name}" already, {registry.lines[name].path}',
            hint=f"take another name, or first: aap workspace rm {name}",
        )
    if (other := registry.name_of(path)) and other != name:
        raise UsageError(f'{path} is the workspace "{other}" already', hint="aap workspace ls")
    if not str(path).isprintable() or str(path) != str(path).rstrip():
        raise UsageError(f"the path {str(path)!r} has a character that no line of a file can hold")


def add_workspace(file: Path, name: str, path: Path) -> bool:
    """Add a line; False if it was so already. Creates the file (0600).

    Raises UsageError, ConfigError, PermissionDeniedError.
    """

    with locked(file.parent):
        text = _read(file)
        registry = _parse(text, file)
        check_new(registry, name, path)
        if name in registry.lines:
            return False
        whole = text if not text or text.endswith("\n") else text + "\n"
        _write(file, (whole or HEAD) + f"{name} {path}\n")
    return True


def remove_workspace(file: Path, name: str) -> Path:
    """Take a line away and return its path. Raises NotFoundError, UsageError for `main`."""
    if name == MAIN:
        hint = "aap uninstall takes away all; aap config set WORKSPACE moves it"
        raise UsageError(f'"{MAIN}" cannot be removed', hint=hint)
    read_registry(file).check(name)
    with locked(file.parent):
        text = _read(file)
        registry = _parse(text, file)
        registry.check(name)
        lines = text.split("\n")
        del lines[registry.lines[name].number - 1]
        _write(file, "\n".join(lines))
    return registry.lines[name].path


def mark_default(file: Path, name: str) -> bool:
    """Make `name` the default; False if it was so already. Raises NotFoundError."""
    registry = read_registry(file)
    registry.check(name)
    if registry.default == name:
        return False
    with locked(file.parent):
        text = _read(file)
        registry = _parse(text, file)
        registry.check(name)
        lines = text.split("\n")
        if registry.default != MAIN:
            at = registry.lines[registry.default].number - 1
            lines[at] = lines[at][1:].lstrip()
        if name != MAIN:
            at = registry.lines[name].number - 1
            lines[at] = f"* {lines[at]}"
        _write(file, "\n".join(lines))
    return True


def _write(file: Path, text: str) -> None:
    write_private(real_file(file), text)
