"""The one table of settings: key, kind, default and help, and how a value is read.

Parser, `aap config`, man page and completion all come from here. A new setting is
one more field of `Settings`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from aap import mode
from aap.errors import nearest

Value = str | int | float | Path | tuple[str, ...]

_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([KMGT]?)(?:I?B)?", re.ASCII | re.IGNORECASE)
_NUMBER = r"(\d{1,12}(?:\.\d{1,9})?)"
_SPAN = re.compile(rf"{_NUMBER}\s*(ms|s|m|h|d)\s*", re.ASCII | re.IGNORECASE)
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Setting(NamedTuple):
    """One row of the table.

    `default` is the text a person would write. `restart` names what must be started
    again before a new value counts: `socket` (and with it the API), `api`, `install`
    (the units carry the value), or `none` (the next worker or command reads it).
    """

    key: str
    kind: str
    default: str
    help: str
    restart: str
    secret: bool = False
    aliases: tuple[str, ...] = ()
    least: float = 0
    choices: tuple[str, ...] = ()

    @property
    def attribute(self) -> str:
        """The name of the field in `Settings`."""
        return self.key.lower()

    @property
    def is_shared(self) -> bool:
        """Whether it is of the one API that serves all workspaces; else each may have its own."""
        return self.restart in {"api", "socket"} or self.key == "WORKSPACE"

    def parse(self, text: str, folder: str | None = None) -> Value:
        """Read `text`; a relative path starts at `folder` (None: where the program runs).

        Raises ValueError whose text says what would be right. It never repeats a secret.
        """
        if not text.isprintable() and re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
            raise ValueError("has a control character in it")
        return _PARSERS[self.kind](self, text, folder)


def _quote(text: str) -> str:
    """`text` as it may stand in a message: one line, not long."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"


def _read_text(_row: Setting, text: str, _folder: str | None) -> str:
    return text


def _read_name(_row: Setting, text: str, _folder: str | None) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}|", text):
        raise ValueError(f'"{_quote(text)}" is no name: use small letters, digits and "-"')
    return text


def _read_choice(row: Setting, text: str, _folder: str | None) -> str:
    if text not in row.choices:
        raise ValueError(f'"{_quote(text)}" is none of: {", ".join(row.choices)}')
    return text


def _read_choices(row: Setting, text: str, _folder: str | None) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    strange = [word for word in words if word not in row.choices]
    if strange:
        raise ValueError(f'"{_quote(strange[0])}" is none of: {", ".join(row.choices)}')
    return words


def _read_address(_row: Setting, text: str, _folder: str | None) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if bare == "localhost":
        return "127.0.0.1"
    octets = bare.split(".")
    if len(octets) == 4 and all(re.fullmatch(r"0|[1-9][0-9]{0,2}", part) for part in octets):
        if max(map(int, octets)) <= 255:
            return bare
    elif ":" in bare and _is_ipv6(bare):
        return bare
    raise ValueError(f'"{_quote(text)}" is no IP address: for example 127.0.0.1, 0.0.0.0 or ::1')


def _is_ipv6(text: str) -> bool:
    import socket

    try:
        socket.inet_pton(socket.AF_INET6, text)
    except (OSError, ValueError):
        return False
    return True


def _read_port(_row: Setting, text: str, _folder: str | None) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f'"{_quote(text)}" is no port: give a number from 1 to 65535')
    return int(text)


def _read_int(row: Setting, text: str, _folder: str | None) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise ValueError(f'"{_quote(text)}" is no whole number')
    if int(text) < row.least:
        raise ValueError(f"{text} is too small: at least {row.least:g}")
    return int(text)


def _read_size(row: Setting, text: str, _folder: str | None) -> int:
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f'"{_quote(text)}" is no size: for example 500K, 12M or 4G')
    size = int(float(match[1]) * _SIZES[match[2].upper()])
    if size < row.least:
        raise ValueError(f"{text} is too small: at least {row.least:g} bytes")
    return size


def _read_duration(row: Setting, text: str, _folder: str | None) -> float:
    if re.fullmatch(_NUMBER, text, re.ASCII):
        seconds = float(text)
    elif re.fullmatch(f"(?:{_SPAN.pattern})+", text, _SPAN.flags):
        parts = _SPAN.findall(text)
        seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in parts)
    else:
        raise ValueError(f'"{_quote(text)}" is no duration: for example 30s, 5m, 1h30m or 7d')
    if seconds < row.least:
        raise ValueError(f"{text} is too short: at least {row.least:g} seconds")
    return seconds


def _read_path(_row: Setting, text: str, folder: str | None) -> Path:
    if not text:
        raise ValueError("is empty: give the path of a folder")
    if "\n" in text or "\t" in text:
        raise ValueError("has a tab or a line break in it")
    if (
        text.startswith("~/") and mode.find_mode() == mode.SYSTEM
    ):  # root's command, the account's unit
        text = f"{mode.SYSTEM_HOME}{text[1:]}"
    path = os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises for an unknown user
    if path.startswith("~"):
        raise ValueError(
            f'"{_quote(text)}" names a user who is not known here: give the whole path'
        )
    # abspath and not resolve: the name stays the one that the person gave.
    return Path(os.path.abspath(os.path.join(folder or "", path)))  # noqa: PTH100, PTH118


def _read_command(_row: Setting, text: str, _folder: str | None) -> str:
    if any(char in text for char in "'\"\\"):
        import shlex

        try:
            shlex.split(text)
        except ValueError as error:
            raise ValueError(f"is no command line: {str(error).lower()}") from None
    return text


_PARSERS: dict[str, Callable[[Setting, str, str | None], Value]] = {
    "address": _read_address,
    "choice": _read_choice,
    "choices": _read_choices,
    "command": _read_command,
    "duration": _read_duration,
    "int": _read_int,
    "name": _read_name,
    "path": _read_path,
    "port": _read_port,
    "size": _read_size,
    "text": _read_text,
}


def _setting(
    kind: str,
    default: str,
    text: str,
    restart: str = "none",
    *,
    secret: bool = False,
    aliases: tuple[str, ...] = (),
    least: float = 0,
    choices: tuple[str, ...] = (),
) -> Any:
    return Setting("", kind, default, text, restart, secret, aliases, least, choices)


class Settings:
    """All settings. Sizes are bytes, durations are seconds, paths are absolute.

    `Settings()` holds the defaults, `Settings(port=1)` another port. In the class
    itself stand the rows of the table, which an instance covers with its values.
    """

    host: str = _setting(
        "address",
        "127.0.0.1",
        "Address the API listens on. Beyond this machine it needs a key.",
        "socket",
        aliases=("IP",),
    )
    port: int = _setting("port", "7011", "TCP port the API listens on.", "socket")
    workspace: Path = _setting(
        "path",
        "~/.openclaw/workspace",
        "Folder the agent works in; its messages are below .ai-agent-proxy/ there.",
        "install",
        aliases=("WORKDIR",),
    )
    api_key: str = _setting(
        "text",
        "",
        "Key that clients send as Authorization: Bearer. Better kept hashed in the file keys.",
        "api",
        secret=True,
    )
    a2a_key: str = _setting(
        "text", "", "Key that other agents send to POST /agent-inbox.", "api", secret=True
    )
    agent: str = _setting(
        "name", "", "The agent's preset. Empty: custom where AGENT_CLI is set, else none."
    )
    agent_init_cli: str = _setting(
        "command", "", "Command that opens a fresh session; the prompt is its last argument."
    )
    agent_cli: str = _setting(
        "command", "", "Command of each run; the prompt is its last argument."
    )
    reply: str = _setting(
        "text", "auto", "What clients get at once: auto, empty, or a text of your own.", "api"
    )
    internal: tuple[str, ...] = _setting(
        "choices",
        "",
        "Requests of OpenClaw's own that wake the agent all the same, by commas.",
        "api",
        choices=("heartbeat", "cron"),
    )
    max_body: int = _setting("size", "12M", "Largest request body.", "api", least=1024)
    header_timeout: float = _setting(
        "duration", "10s", "Time a client has for its request's header.", "api", least=0.1
    )
    body_timeout: float = _setting(
        "duration", "60s", "Time a client has for its request's body.", "api", least=0.1
    )
    max_connections: int = _setting("int", "1000", "Connections at a time.", "api", least=1)
    inbox_max: int = _setting("int", "100000", "Messages waiting at most.", "api", least=1)
    inbox_max_bytes: int = _setting("size", "4G", "Bytes waiting at most.", "api", least=1024)
    min_free: int = _setting("size", "64M", "Disk space that stays free.", "api")
    min_free_inodes: int = _setting("int", "1000", "Inodes that stay free.", "api")
    idle_exit: float = _setting(
        "duration", "30s", "Time without a request after which the API ends.", "api", least=0.05
    )
    run_timeout: float = _setting(
        "duration", "1h", "Time one run of the agent may take.", least=0.1
    )
    stop_grace: float = _setting(
        "duration", "20s", "Time the agent has to end after SIGTERM.", "install"
    )
    max_attempts: int = _setting("int", "5", "Failed runs that make a message fail.", least=1)
    retry_min: float = _setting("duration", "30s", "Wait after a first failed run.")
    retry_max: float = _setting("duration", "1h", "Longest wait between two attempts.")
    batch_max: int = _setting("int", "20", "Messages given to one run at most.", least=1)
    batch: str = _setting(
        "choice",
        "conversation",
        "What one run is given: messages of one conversation, or of all that wait.",
        choices=("conversation", "workspace"),
    )
    settle: float = _setting(
        "duration", "200ms", "Quiet time after which what was written counts as one piece."
    )
    session: str = _setting(
        "choice",
        "workspace",
        "Whose memory a session is: one of the workspace, or one of each conversation.",
        choices=("workspace", "conversation"),
    )
    session_max_age: float = _setting("duration", "7d", "Age at which a session is replaced.")
    session_max_runs: int = _setting(
        "int", "200", "Runs after which a session is replaced.", least=1
    )
    delivery: str = _setting(
        "choice",
        "openclaw",
        "Way out of replies: OpenClaw, a command of your own, or none.",
        choices=("openclaw", "command", "none"),
    )
    delivery_cmd: str = _setting(
        "command", "", "Program that sends a reply: text on stdin, AAP_CHANNEL and AAP_TARGET set."
    )
    delivery_timeout: float = _setting(
        "duration", "60s", "Time each way of sending a reply may take.", least=0.1
    )
    failed_reply: str = _setting(
        "text", "", "What the chat is told when its message was given up. Empty: nothing."
    )
    notify_cmd: str = _setting(
        "command", "", "Program that is told of an outage, on stdin. Empty: nobody is."
    )
    done_max_age: float = _setting("duration", "7d", "Age at which a handled message is removed.")
    done_max: int = _setting("int", "10000", "Handled messages kept at most.")
    log_max_age: float = _setting("duration", "30d", "Age at which a day's log is removed.")
    log_max: int = _setting(
        "size", "1G", "Bytes of all logs that are kept; the oldest days go first."
    )
    log_run_max: int = _setting(
        "size", "4M", "Bytes of one run's output that are logged.", least=1024
    )

    def __init__(self, **values: Value) -> None:
        for row in SETTINGS.values():
            # Read now: `~` means the home of the moment in which a value is asked for.
            value = values.pop(row.attribute, None)
            vars(self)[row.attribute] = row.parse(row.default) if value is None else value
        if values:
            raise TypeError(f"no such setting: {', '.join(values)}")

    def __repr__(self) -> str:
        shown = (
            f"{row.attribute}={'…' if row.secret else repr(getattr(self, row.attribute))}"
            for row in SETTINGS.values()
        )
        return f"Settings({', '.join(shown)})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"settings are read-only: {name}")


SETTINGS: dict[str, Setting] = {
    name.upper(): row._replace(key=name.upper())
    for name, row in vars(Settings).items()
    if isinstance(row, Setting)
}
"""The table, by key, in the order in which it is shown."""

NAMES: dict[str, str] = {
    **{alias: row.key for row in SETTINGS.values() for alias in row.aliases},
    **{key: key for key in SETTINGS},
}
"""Every name that a file may use, aliases too, with the key that it means."""


def nearest_key(name: str) -> str:
    """The key that `name` was probably meant to be, or an empty string."""
    near = nearest(name.upper(), NAMES)
    return NAMES[near] if near else ""


def is_loopback(host: str) -> bool:
    """Whether an address of `HOST` is reachable from this machine alone."""
    return host.startswith("127.") or host in {"::1", "0:0:0:0:0:0:0:1"}
