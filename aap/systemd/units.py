"""The texts of the units: templates in, file names and contents out; nothing is touched.

`packaging/systemd/README.md` explains the two signs of the template language.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aap import SPOOL_FOLDER
from aap.errors import ConfigError
from aap.mode import SYSTEM, SYSTEM_HOME, USER

SOCKET = "aap-api.socket"
API = "aap-api.service"
TEMPLATES = (
    SOCKET,
    API,
    "aap-worker@.path",
    "aap-worker@.service",
    "aap-sweep@.timer",
    "aap-sweep@.service",
)

# What makes the account that the system's units run as, and its folders.
SYSUSERS = "/etc/sysusers.d/aap.conf"
TMPFILES = "/etc/tmpfiles.d/aap.conf"

# Longest name of a unit that systemd starts with PrivateTmp=: it makes a folder
# systemd-private-<32>-<unit>-<6>, and a file name has 255 bytes at most.
NAME_MAX = 199

# What neither the API nor an agent has any business with.
HIDDEN = (
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".password-store",
    ".local/share/keyrings",
    ".Xauthority",
)

# Who reaches one of these, and is in its group, starts a process outside every sandbox.
MANAGERS = (
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/docker.sock",
    "/run/podman",
    "/run/containerd",
    "/run/crio",
    "/run/libvirt",
    "/var/lib/incus",
    "/var/lib/lxd",
    "/var/snap/lxd",
)

# What is not there without mount namespaces, for people.
WITHOUT_MOUNTS = (
    "keys and secrets out of sight, system, settings and homes read-only, the service manager "
    "out of reach, /tmp and devices of its own"
)

# What agents keep outside the workspace: path, and who needs it.
WRITABLE = (
    (".codex", "codex"),
    (".claude", "claude"),
    (".claude.json", "claude"),
    (".gemini", "gemini"),
    (".config/opencode", "opencode"),
    (".local/share/opencode", "opencode"),
    (".local/state/opencode", "opencode"),
    (".pi", "pi"),
    (".config/goose", "goose"),
    (".local/share/goose", "goose"),
    (".local/state/goose", "goose"),
    (".openclaw", "openclaw message send"),
    (".cache", "everybody"),
    (".npm", "what is started by npx"),
)

# What of it names programs that the agent starts, which a person's own agent, outside,
# would start as well: the agent reads it. '-' cannot keep it from making one.
COMMANDS = (
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".claude/hooks",
    ".codex/config.toml",
    ".codex/hooks.json",
)


@dataclass(frozen=True)
class Plan:
    """All that the texts depend on."""

    python: str  # the interpreter of the environment that has aap installed
    listen: str  # what ListenStream= takes: 127.0.0.1:7011, [::1]:7011
    workspaces: Mapping[str, Path]  # name -> absolute path
    secrets: Path  # the folder that no agent may see
    environ: Mapping[str, str] = field(default_factory=dict)  # of all three programs
    stop_seconds: int = 60  # how long systemd waits for the worker to end its agent
    mode: str = USER
    systemd: int = 252  # major version
    mounts: bool = True  # units may have mount namespaces of their own
    users: bool = True  # and user namespaces; of a user's units, both or none


def render(plan: Plan) -> dict[str, str]:
    """Return the content of every file, by its name relative to the folder of units."""
    words = _words(plan)
    values = {
        "PYTHON": quote(plan.python),
        "LISTEN": plan.listen,
        "ENVIRONMENT": _environment(plan.environ),
        "HIDDEN": " ".join(f"-{_home(plan.mode)}/{path}" for path in HIDDEN),
        "MANAGERS": " ".join(f"-{path}" for path in MANAGERS),
        "WRITABLE": " ".join(f"-{path}" for path in writable(plan.mode)),
        "COMMANDS": " ".join(f"-{_home(plan.mode)}/{path}" for path in COMMANDS),
        "SECRETS": escape(str(plan.secrets)),
        "CONFIG": quote("-" + plan.environ.get("AAP_CONFIG", "")),
        "STOP_SECONDS": str(plan.stop_seconds),
    }
    texts = {name: _fill(_template(name), words, values) for name in TEMPLATES}
    for path in plan.workspaces.values():
        inbox = quote(f"-{path}/{SPOOL_FOLDER}/inbox")
        texts[drop_in(path)] = _fill(_template("workspace.conf"), words, {"INBOX": inbox})
        others = _others(plan, path)
        own = {"others"} if others else set()
        own |= {"quoted"} if set(str(path)) & set("'\"") else set()
        if own:
            text = _fill(_template("others.conf"), words | own, {"OTHERS": others})
            texts[others_drop_in(path)] = text
    if plan.mode == SYSTEM:
        texts |= account_files()
    return texts


def account_files() -> dict[str, str]:
    """Return what systemd-sysusers and systemd-tmpfiles are to read, by absolute name."""
    folders = {"sysusers": SYSUSERS, "tmpfiles": TMPFILES}
    return {path: _fill(_template(f"{kind}.conf"), set(), {}) for kind, path in folders.items()}


def drop_in(workspace: Path) -> str:
    """Name the file that lets the API write the inbox of `workspace`."""
    return f"{API}.d/workspace-{instance(workspace)}.conf"


def others_drop_in(workspace: Path) -> str:
    """Name the file of what the worker of `workspace` alone must be told, such as of the others."""
    return f"{worker_service(workspace)}.d/others.conf"


def _others(plan: Plan, workspace: Path) -> str:
    others = (path for path in plan.workspaces.values() if path != workspace)
    return " ".join(quote(f"-{path}") for path in others)


def armed(workspaces: Mapping[str, Path]) -> list[str]:
    """Name the units that are enabled and active while aap is installed; the socket is last."""
    names: list[str] = []
    for path in workspaces.values():
        names += [worker_path(path), sweep_timer(path)]
    return [*names, SOCKET]


def worker_path(workspace: Path) -> str:
    """Name the unit that watches the inbox of `workspace`."""
    return f"aap-worker@{instance(workspace)}.path"


def worker_service(workspace: Path) -> str:
    """Name the unit of the worker of `workspace`."""
    return f"aap-worker@{instance(workspace)}.service"


def sweep_timer(workspace: Path) -> str:
    """Name the unit that times the retries of `workspace`."""
    return f"aap-sweep@{instance(workspace)}.timer"


def pause_file(workspace: Path) -> Path:
    """Return the file that keeps the path unit of `workspace` from starting."""
    return workspace / SPOOL_FOLDER / "PAUSED"


def sweep_service(workspace: Path) -> str:
    """Name the unit that re-admits what is due in `workspace`."""
    return f"aap-sweep@{instance(workspace)}.service"


def writable(mode: str) -> list[str]:
    """List what an agent may write outside its workspace, with systemd's specifiers."""
    return [f"{_home(mode)}/{path}" for path, _ in WRITABLE]


def _home(mode: str) -> str:
    # In the system manager %h is root's home, whatever User= says.
    return "%h" if mode == USER else str(SYSTEM_HOME)


def instance(workspace: Path) -> str:
    """Return what `systemd-escape --path` returns. Raises ConfigError for what it refuses."""
    parts = [part for part in str(workspace).split("/") if part not in ("", ".")]
    if not workspace.is_absolute() or ".." in parts:
        raise ConfigError(f"the workspace {workspace} is not an absolute path without '..'")
    raw = "/".join(parts).encode("utf-8", "surrogateescape")
    return "".join(_escape_byte(byte, at) for at, byte in enumerate(raw)) or "-"


def _escape_byte(byte: int, at: int) -> str:
    char = chr(byte)
    if char == "/":
        return "-"
    plain = char.isascii() and (char.isalnum() or char in ":_.")
    return char if plain and (char != "." or at) else f"\\x{byte:02x}"


def check_name(workspace: Path) -> None:
    """Raise ConfigError if the path of `workspace` can be no part of a unit's name or text."""
    try:
        str(workspace).encode()
    except UnicodeEncodeError as error:
        said = f"the path of the workspace is no UTF-8: {str(workspace)!r}"
        raise ConfigError(said, hint="give it another name, or a link with one") from error
    name = worker_service(workspace)
    if len(name) > NAME_MAX:
        raise ConfigError(
            f"the path of the workspace is too long for systemd: the unit's name would have "
            f"{len(name)} characters, at most {NAME_MAX} are possible",
            hint=f"give a link instead: ln -s {shlex.quote(str(workspace))} ~/ws",
        )


def quote(value: str) -> str:
    """Return `value` as one word of a unit file, with nothing in it special to systemd."""
    return '"' + escape(value) + '"'


def escape(value: str) -> str:
    """Return `value` so that it may stand between double quotes in a unit file."""
    if re.search(r"[\x00-\x1f\x7f]", value):
        raise ConfigError(f"a control character cannot stand in a unit file: {value!r}")
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _environment(environ: Mapping[str, str]) -> str:
    return "\n".join("Environment=" + quote(f"{key}={value}") for key, value in environ.items())


def _words(plan: Plan) -> set[str]:
    words = {plan.mode}
    if plan.mounts:
        words.add("mounts")
    if plan.users:
        words.add("users")
    if "AAP_CONFIG" in plan.environ:
        words.add("config")
    if plan.systemd >= 254:
        words.add("v254")
    return words


def _template(name: str) -> str:
    here = Path(__file__).parent / "templates"  # where a wheel has them
    folder = here if here.is_dir() else Path(__file__).parents[2] / "packaging" / "systemd"
    return (folder / f"{name}.in").read_text("utf-8")


def _fill(template: str, words: set[str], values: Mapping[str, str]) -> str:
    kept = (_keep(line, words) for line in template.splitlines())
    text = "\n".join(line for line in kept if line is not None) + "\n"
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text)


def _keep(line: str, words: set[str]) -> str | None:
    while match := re.match(r"\?(\w+): ", line):
        if match[1] not in words:
            return None
        line = line[match.end() :]
    return line
