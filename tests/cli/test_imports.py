"""What each command imports: no more than what it is about.

Importing is most of what a command takes, and typer takes longer than all else together.
So what agents and shells call all the time does without it, and the others bring no room of
aap, and no library, that has no part in what they do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

import pytest
import typer
from harness.agreement import facts_of
from harness.command import chat, environment

from aap.cli import app
from aap.cli.main import HOT, NAMES
from aap.errors import Exit
from aap.inbox import Spool

FACTS = facts_of(typer.main.get_command(app.app), app.SECTIONS)

# What a command is about, by the rooms of aap; ID is a message's.
TABLE = {
    "inbox ls": "bodies config inbox",
    "inbox show ID": "bodies config inbox",
    "inbox new": "config inbox",
    "inbox wait": "config inbox",
    "inbox watch": "config inbox",
    "inbox stats": "config inbox",
    "inbox add --text hi": "config inbox",
    "inbox retry ID": "config inbox",
    "inbox hold ID": "config inbox",
    "inbox release ID": "config inbox",
    "inbox ids": "config",
    "inbox conversations": "bodies config inbox",
    "inbox done ID": "config inbox",
    "reply ID hello": "bodies config delivery inbox openclaw",
    "send hello": "config systemd",
    "pause": "config inbox systemd",
    "resume": "config inbox systemd",
    "explain": "agents config inbox systemd",
    "explain ID": "agents bodies config inbox systemd",
    "inbox rm --yes ID": "config inbox",
    "logs": "config inbox",
    "logs --id ID": "config inbox",
    "status": "agents config inbox systemd",
    "doctor --skip agent": "agents config inbox openclaw systemd",
    "install": "config inbox systemd",
    "uninstall": "config inbox systemd",
    "completion bash": "",
    "agent show": "agents config inbox",
    "agent init": "config inbox",
    "agent test": "config systemd",
    "context append hello": "config context inbox",
    "context show": "config context inbox",
    "context check": "config context inbox",
    "context rewrite /dev/null": "config context inbox",
    "context stats": "config context inbox",
    "skills ls": "config",
    "skills show context-cache": "",
    "skills install": "config",
    "config list": "config",
    "config get PORT": "config",
    "config set PORT 7012": "config",
    "config unset PORT": "config",
    "config edit": "config",
    "config explain PORT": "config",
    "config path": "config",
    "config validate": "config",
    "config import /dev/null": "config",
    "workspace ls": "config inbox systemd",
    "workspace show": "agents config inbox systemd",
    "workspace add work FOLDER": "config inbox systemd",
    "workspace use main": "config inbox",
    "workspace rm work": "config inbox",
    "workspace names": "config",
    "key new phone": "config",
    "key ls": "config",
    "key revoke phone": "config",
    "key names": "config",
    "openclaw check": "config openclaw",
    "openclaw setup": "config openclaw",
    "--help": "",
    "inbox --help": "",
    "--version": "",
}
ROOMS = {"agents", "api", "bodies", "config", "context", "delivery", "inbox", "openclaw",
         "systemd", "worker"}  # fmt: skip
# What no command needs; the first two are in reach of typer, the others of the API.
NEVER = {
    "rich",
    "pydantic",
    "pydantic_core",
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "msgspec",
    "asyncio",
    "concurrent",
    "platformdirs",
    "multiprocessing",
}
# Who talks to somebody: the API, OpenClaw, the units.
TALKS = {"http": {"send hello", "doctor --skip agent"}}
IS_HOT = {f"inbox {name}" for name in HOT} | {f"{group} names" for group in NAMES} | {"--version"}
# Where no systemd is, and no OpenClaw; and the two that wait are interrupted.
FINE = {Exit.OK, Exit.NOT_RUNNING, Exit.NOT_FOUND, Exit.FINDINGS, Exit.INTERRUPTED}
# On top of what every hot command needs: to read bodies, and to show times.
MORE = {"inbox ls", "inbox show ID", "inbox conversations"}

# A process that has imported nothing of ours is forked for each line; ending itself, it
# tells what it has then. Half a minute's wait is cut short.
SCRIPT = """
import json, os, sys, _signal

def tell(line):
    null = os.open(os.devnull, os.O_RDWR)
    keep = os.dup(1)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    _signal.signal(_signal.SIGALRM, _signal.default_int_handler)
    _signal.setitimer(_signal.ITIMER_REAL, 0.5 if line in {"inbox watch", "inbox wait"} else 20)
    from aap.cli.main import run
    code = run(line.split())
    os.write(keep, json.dumps([line, code, sorted(sys.modules)]).encode() + b"\\n")
    os._exit(0)

lines = sys.stdin.read().split(chr(10))
for line in lines:
    if not line:
        import typer  # what comes now needs it, and is not to take the time for it each
    elif os.fork() == 0:
        tell(line)
    else:
        os.wait()
"""


class Start(NamedTuple):
    """How a command ended, and what it had imported by then."""

    code: int
    modules: frozenset[str]

    @property
    def rooms(self) -> set[str]:
        ours = (name.split(".") for name in self.modules if name.startswith("aap."))
        return {name[1] for name in ours if name[1] in ROOMS}

    @property
    def tops(self) -> set[str]:
        return {name.partition(".")[0] for name in self.modules}


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Start]:
    """Every line of the table, in a home with one message."""
    home = tmp_path_factory.mktemp("home")
    spool = Spool(home / ".openclaw/workspace/.ai-agent-proxy")
    spool.create()
    message = spool.deliver(chat("hi", channel="telegram", target="42"))
    env = environment(
        HOME=str(home), XDG_CONFIG_HOME=str(home / "config"), EDITOR="true", AAP_AGENT="echo"
    )
    words = {"ID": message, "FOLDER": str(home / "work")}

    def typed(line: str) -> str:
        return " ".join(words.get(word, word) for word in line.split(" "))

    hot = [line for line in TABLE if line.removesuffix(" ID") in IS_HOT]
    lines = {typed(line): line for line in [*hot, "", *(line for line in TABLE if line not in hot)]}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input="\n".join(lines), env=env, cwd=home,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told: list[tuple[str, int, list[str]]] = [json.loads(row) for row in done.stdout.splitlines()]
    return {lines[line]: Start(code, frozenset(modules)) for line, code, modules in told}


def test_every_command_is_in_the_table() -> None:
    named = {" ".join(line.split()[:2]) for line in TABLE} | {line.split()[0] for line in TABLE}
    assert FACTS.commands.keys() | FACTS.hidden <= named
    assert {line.removesuffix(" ID") for line in TABLE} >= IS_HOT


@pytest.mark.slow
@pytest.mark.parametrize("line", TABLE)
def test_a_command_imports_what_it_is_about(line: str, starts: dict[str, Start]) -> None:
    assert starts[line].rooms == set(TABLE[line].split())
    assert starts[line].tops & NEVER == set()
    for module, lines in TALKS.items():
        assert (module in starts[line].tops) == (line in lines), module


@pytest.fixture(scope="module")
def known() -> set[str]:
    """What the hot commands stand on, as this Python has it."""
    code = (
        "import bisect, contextlib, enum, errno, fcntl, heapq, importlib, pathlib, re, typing;"
        "import sys; print(*sys.modules)"
    )
    return set(subprocess.check_output([sys.executable, "-c", code], text=True).split())


@pytest.mark.parametrize("line", [line for line in TABLE if line.removesuffix(" ID") in IS_HOT])
def test_a_hot_command_imports_a_known_few(
    line: str, starts: dict[str, Start], known: set[str]
) -> None:
    known = known | {"__future__", "_signal", "_json", "json", "time"}  # the script's own
    if line in MORE:
        known = known | {
            "encodings.utf_8_sig",
            "base64",
            "binascii",
            "datetime",
            "_datetime",
            "struct",
            "_struct",
        }
    found = {name for name in starts[line].modules if name.partition(".")[0] != "aap"}
    assert {name for name in found - known if not name.startswith("json.")} == set()


def test_the_table_was_run_and_worked(starts: dict[str, Start]) -> None:
    """Commands that failed before they began would import little."""
    failed = {line: start.code for line, start in starts.items() if start.code not in FINE}
    assert failed.items() <= {
        ("context rewrite /dev/null", Exit.USAGE),  # an empty file is no cache
        ("workspace add work FOLDER", Exit.BAD_CONFIG),  # below /tmp
        ("reply ID hello", Exit.TRY_AGAIN),  # nobody sends it
    }
