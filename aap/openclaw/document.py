"""OpenClaw's own configuration file: where it is, what it says, and what it refers to.

The file is JSON5. It may take parts from other files (`$include`), values from the
environment (`${NAME}`), and secrets from elsewhere (an object with `source`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aap.errors import ConfigError, NotFoundError, unreadable
from aap.openclaw.json5 import Json5Error, Node, parse

_INCLUDE = "$include"
_INCLUDE_DEPTH = 10
_MOST_BYTES = 2 << 20  # of one file; OpenClaw's own limit for included ones
_VARIABLE = re.compile(r"\$\$?\{([A-Z_][A-Z0-9_]*)\}")
_SHORT = re.compile(r"\$([A-Z_][A-Z0-9_]*)")


class Document(NamedTuple):
    """The file as it stands, and what it comes to.

    `values` has the included files merged in; variables are not filled in, since
    only secrets and addresses use them. `variables` is the environment that OpenClaw
    would have: ours, then its `.env`, then the `env` of the file.
    """

    path: Path
    text: str
    node: Node
    values: dict[str, Any]
    variables: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Document({str(self.path)!r})"  # the rest may hold secrets

    def get(self, *path: str | int) -> Any:
        """Return what stands at a path; None where there is nothing."""
        return look_up(self.values, path)


def look_up(value: Any, path: tuple[str | int, ...]) -> Any:
    """Return what stands at `path` below plain `value`; None where there is nothing."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def state_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of OpenClaw's state, whether or not it exists."""
    named = environ.get("OPENCLAW_STATE_DIR", "").strip()
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111 - never raises
    home = environ.get("OPENCLAW_HOME", "").strip() or environ.get("HOME") or str(Path.home())
    return Path(os.path.expanduser(home), ".openclaw")  # noqa: PTH111


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """OpenClaw's configuration file, whether or not it exists."""
    named = environ.get("OPENCLAW_CONFIG_PATH", "").strip()
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111
    return state_folder(environ) / "openclaw.json"


def read_document(environ: Mapping[str, str] = os.environ) -> Document:
    """Read OpenClaw's configuration.

    Raises NotFoundError where there is none, ConfigError for one that cannot be read.
    """
    path = config_path(environ)
    try:
        text, node = _read(path)
    except FileNotFoundError:
        raise NotFoundError(
            f"OpenClaw has no configuration here: {path} is not there",
            hint="openclaw onboard, or OPENCLAW_CONFIG_PATH for one elsewhere",
        ) from None
    values = _include(node.value, path, 0)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: it must be an object")
    return Document(path, text, node, values, _variables(values, environ))


def _read(path: Path) -> tuple[str, Node]:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise ConfigError(f"{path}: it is larger than 2 MB")
        text = raw.decode("utf-8")
        return text, parse(text)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: it is not UTF-8") from None
    except Json5Error as error:
        raise ConfigError(f"{path}: {error}", hint="openclaw doctor") from None


def _include(value: Any, path: Path, depth: int) -> Any:
    """Return `value` with the files that it includes merged in, siblings winning."""
    if isinstance(value, list):
        return [_include(item, path, depth) for item in value]
    if not isinstance(value, dict):
        return value
    merged: Any = {}
    names = value.get(_INCLUDE, [])
    for name in [names] if isinstance(names, str) else names:
        merged = _merge(merged, _read_included(path, str(name), depth + 1))
    rest = {name: _include(item, path, depth) for name, item in value.items() if name != _INCLUDE}
    return _merge(merged, rest) if rest or _INCLUDE not in value else merged


def _read_included(path: Path, name: str, depth: int) -> Any:
    if depth > _INCLUDE_DEPTH:
        raise ConfigError(f"{path}: files include each other, more than {_INCLUDE_DEPTH} deep")
    included = path.parent / name
    try:
        _, node = _read(included)
    except FileNotFoundError:
        raise ConfigError(f"{path}: it includes {included}, which is not there") from None
    return _include(node.value, included, depth)


def _merge(below: Any, above: Any) -> Any:
    """OpenClaw's merge: objects by member, lists one behind the other, else the later one."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            **below,
            **{
                name: _merge(below[name], item) if name in below else item
                for name, item in above.items()
            },
        }
    if isinstance(below, list) and isinstance(above, list):
        return below + above
    return above


# Variables and secrets


def _variables(values: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    inline = values.get("env")
    plain = inline if isinstance(inline, dict) else {}
    named = plain.get("vars")
    variables = {
        name: text
        for source in (plain, named if isinstance(named, dict) else {})
        for name, text in source.items()
        if isinstance(text, str)
    }
    return {**variables, **_read_dotenv(state_folder(environ) / ".env"), **environ}


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, equals, text = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            text = text.strip()
            quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
            found[name.strip()] = text[1:-1] if quoted else text.partition(" #")[0].strip()
    return found


def resolve(value: Any, variables: Mapping[str, str]) -> str:
    """Return the text that a string or a reference to a secret stands for; "" for none.

    Raises ConfigError, which names the reference and never a secret, for one that
    only OpenClaw itself can follow.
    """
    if isinstance(value, dict):
        return _follow(value, variables)
    if not isinstance(value, str):
        return ""
    short = _SHORT.fullmatch(value)
    if short:
        return _variable(short[1], variables)

    def fill(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return match[0][1:]
        return _variable(match[1], variables)

    return _VARIABLE.sub(fill, value)


def _variable(name: str, variables: Mapping[str, str]) -> str:
    text = variables.get(name, "")
    if not text:
        raise ConfigError(
            f"OpenClaw's configuration takes a value from ${name}, which is not set here",
            hint=f"a line {name}=… in ~/.openclaw/.env is read by both",
        )
    return text


def _follow(reference: dict[str, Any], variables: Mapping[str, str]) -> str:
    source, name = reference.get("source"), reference.get("id")
    if source == "env" and isinstance(name, str):
        return _variable(name, variables)
    raise ConfigError(f"OpenClaw keeps a secret where only it can look (source {source!r})")
