"""The main job of aap, end to end, for the eyes of a person. Run by scripts/demo, as root.

Ends with 0 only if each of three messages was handled.
"""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from demo_watch import Watch
from harness.machine import BootError, Machine, User, booted, running

SPOOL = ".openclaw/workspace/.ai-agent-proxy"
PORT = 7011
MESSAGES = {
    "openclaw": "a chat completion as OpenClaw sends it, streamed",
    "chat": "a plain chat completion",
    "responses": "a request to the Responses API",
}


class DemoError(Exception):
    """The demonstration failed; the text says at what."""


def title(text: str) -> None:
    print(f"\n== {text}\n", flush=True)


def shell(user: User, *words: str) -> str:
    """Run a command as the user and show it as in a terminal."""
    print(f"$ {shlex.join(words)}", flush=True)
    result = user.run(words, check=False)
    print("".join(f"  {line}\n" for line in (result.stdout + result.stderr).splitlines()))
    if result.returncode != 0:
        raise DemoError(f"{shlex.join(words)} ended with {result.returncode}")
    return result.stdout


@contextmanager
def some_machine() -> Iterator[Machine]:
    """The systemd that runs here; where there is none, one of our own."""
    if Path("/run/systemd/system").is_dir():
        with running() as machine:
            yield machine
    else:
        print("PID 1 here is no systemd: booting one in namespaces of its own")
        with booted() as machine:
            yield machine


@contextmanager
def some_user(machine: Machine) -> Iterator[User]:
    """An ordinary user for the time of the demonstration."""
    name = "aapdemo"
    left = machine.run(["id", "-u", name], check=False)  # by a demonstration that was killed
    if left.returncode == 0:
        machine.remove_user(User(machine, name, int(left.stdout)))
    user = machine.add_user(name)
    try:
        yield user
    finally:
        machine.remove_user(user)


@contextmanager
def explained(user: User) -> Iterator[None]:
    """Show what the machine knows about a failure before all is removed."""
    try:
        yield
    except (DemoError, AssertionError):
        for name, text in user.report().items():
            print(f"\n-- {name}\n{text}", file=sys.stderr)
        raise


def free_port(machine: Machine) -> int:
    """Port 7011, or another one if that is taken on this machine."""
    if machine.enter:
        return PORT
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def install(user: User, port: int) -> None:
    title("an ordinary user installs aap")
    shell(user, "aap", "config", "set", "AGENT", "echo")
    # So that one need not wait half a minute to see the API go.
    shell(user, "aap", "config", "set", "IDLE_EXIT", "1s")
    if port != PORT:
        shell(user, "aap", "config", "set", "PORT", str(port))
    shell(user, "aap", "install", "--user")


def send(user: User, port: int, kind: str) -> str:
    """Send one message, tell its way, and return its id once it is handled and all is idle."""
    script = user.machine.checkout / "scripts/demo_client.py"
    words = [
        "timeout",
        "30",
        str(user.machine.python),
        str(script),
        f"http://127.0.0.1:{port}",
        kind,
    ]
    begin = time.monotonic()
    client = user.start(words, stdout=subprocess.PIPE)
    with client, Watch(user, user.path(SPOOL)) as watch:
        watch.follow(client)
        if not watch.tell_until(lambda: client.poll() is not None, 40) or client.returncode:
            raise DemoError("the client got no answer")
        message_id = re.split("[-_]", watch.heard("client", "id is")[-1].what)[-1]
        done = user.path(SPOOL) / "done" / f"{message_id}.json"
        if not watch.tell_until(lambda: done.exists() and not processes(user), 60):
            raise DemoError(f"message {message_id} was not handled")
        if not watch.heard("agent", message_id):
            raise DemoError(f"the agent said nothing about message {message_id}")
    print(f"\n  handled, and no process of aap is left, after {time.monotonic() - begin:.1f} s")
    return message_id


def processes(user: User) -> str:
    """The processes of aap that run now."""
    search = ["pgrep", "-U", str(user.uid), "-f", "-a", "aap[.]"]
    return user.machine.run(search, check=False).stdout


def clear_up(user: User) -> None:
    title("and away with it")
    shell(user, "aap", "uninstall", "--user")
    left = user.systemctl("list-units", "--all", "--plain", "--no-legend", "aap*")
    if left or processes(user):
        raise DemoError("aap uninstall left something behind")


def demonstrate(machine: Machine) -> None:
    version = machine.run(["systemctl", "--version"]).stdout.splitlines()[0]
    print(f"{version} is PID 1; the agent is the built-in echo; three messages will be sent")
    port = free_port(machine)
    with some_user(machine) as user, explained(user):
        install(user, port)
        sent = []
        for number, (kind, what) in enumerate(MESSAGES.items(), 1):
            title(f"message {number}: {what}")
            sent.append(send(user, port, kind))
        title("afterwards")
        shell(user, "aap", "inbox", "ls", "--state", "done")
        shell(user, "aap", "status")
        clear_up(user)
    print(f"all {len(sent)} messages were handled; user {user.name} is gone again")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with some_machine() as machine:
            demonstrate(machine)
    except (BootError, DemoError, AssertionError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
