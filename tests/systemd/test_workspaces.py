"""Several workspaces on a real systemd: each message lands, and is handled, in its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness.machine import User
from harness.wait import wait_until

from aap.errors import Exit
from aap.systemd import units

pytestmark = pytest.mark.systemd

SPOOL = ".ai-agent-proxy"
AGENT = '#!/bin/sh\necho "$AAP_WORKSPACE" >> "$AAP_WORKSPACE/handled"\n'


def install(user: User, **settings: str) -> None:
    agent = user.write("bin/agent", AGENT, 0o755)
    lines = {"AGENT_CLI": str(agent), "IDLE_EXIT": "30s", "SETTLE": "0"} | settings
    user.write(".config/aap/aap.conf", "".join(f"{k}={v}\n" for k, v in lines.items()), 0o600)
    user.aap("install", "--user")


def post(user: User, model: str, text: str = "hello") -> str:
    """Post as a client does, and return the id; empty if it was refused."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}]})
    words = ["curl", "-sS", "-D", "-", "-o", "/dev/null", "--data-binary", body]
    head = user.run([*words, "http://127.0.0.1:7011/v1/chat/completions"]).stdout
    found = [line.split()[1] for line in head.splitlines() if line.startswith("x-request-id:")]
    return found[0] if found else ""


def models(user: User) -> set[str]:
    got = user.run(["curl", "-sS", "http://127.0.0.1:7011/v1/models"]).stdout
    return {model["id"] for model in json.loads(got)["data"]}


def done(user: User, workspace: str, message_id: str) -> bool:
    return user.path(f"{workspace}/{SPOOL}/done/{message_id}.json").exists()


def handled(user: User, workspace: str) -> list[str]:
    file = user.path(f"{workspace}/handled")
    return file.read_text().splitlines() if file.exists() else []


def listed(user: User) -> dict[str, Any]:
    lines = user.aap("workspace", "ls", "--json").stdout.splitlines()
    return {each["name"]: each for each in map(json.loads, lines)}


MAIN = ".openclaw/workspace"
WORK = "größe 100% $HOME"


@pytest.mark.slow
def test_two_workspaces_are_two_models_and_removing_one_leaves_the_other(user: User) -> None:
    install(user)
    assert post(user, "aap/work") == ""
    added = user.aap("workspace", "add", "work", f"{user.home}/{WORK}")
    assert "aap/work" in added.stderr
    assert models(user) == {"aap", "manager", "aap/main", "aap/work"}
    assert {name: each["state"] for name, each in listed(user).items()} == {
        "main": "watched",
        "work": "watched",
    }
    first, second = post(user, "aap/main"), post(user, "aap/work")
    wait_until(lambda: done(user, MAIN, first), 20, "the first")
    wait_until(lambda: done(user, WORK, second), 20, "the second")
    assert handled(user, MAIN) == [f"{user.home}/{MAIN}"]
    assert handled(user, WORK) == [f"{user.home}/{WORK}"]

    removed = user.aap("workspace", "rm", "work")
    assert f"the messages stay in {user.home}/{WORK}/{SPOOL}".removeprefix("the ") in removed.stderr
    assert "removed 3 files from" in removed.stderr
    assert "wrote 0 files" not in removed.stderr
    assert list(listed(user)) == ["main"]
    assert user.path(f"{WORK}/{SPOOL}/done/{second}.json").exists()
    gone = units.armed({"work": user.home / WORK})[:-1]
    for name in gone:
        shown = user.show(name, "ActiveState", "UnitFileState")
        assert shown["ActiveState"] == "inactive"
        assert shown["UnitFileState"] in {"", "disabled"}
    assert models(user) == {"aap", "manager", "aap/main"}
    assert post(user, "aap/work") == ""
    third = post(user, "aap")
    wait_until(lambda: done(user, MAIN, third), 20, "main goes on")
    assert user.systemctl("--failed", "--plain", "--no-legend") == ""

    cure = f"aap workspace add NAME '{user.home}/{WORK}'"
    for words in (("resume",), ("send", "hi"), ("explain",), ("doctor", "--only", "worker")):
        told = user.aap("-w", f"{user.home}/{WORK}", *words, check=False)
        assert cure in told.stdout + told.stderr, words
    assert user.show(gone[0], "ActiveState")["ActiveState"] == "inactive"


@pytest.mark.slow
def test_the_default_workspace_is_what_clients_and_commands_mean(user: User) -> None:
    install(user)
    user.aap("workspace", "add", "work", f"{user.home}/work")
    post(user, "aap/main")  # the API runs on what it read at its start
    user.aap("workspace", "use", "work")
    message = post(user, "manager")
    wait_until(lambda: done(user, "work", message), 20, "the message")
    assert message in user.aap("inbox", "ls", "--all").stdout
    assert message not in user.aap("-w", "main", "inbox", "ls", "--all").stdout
    sent = user.aap("send", "hi").stdout.strip()
    wait_until(lambda: done(user, "work", sent), 20, "what was sent")
    sent = user.aap("-w", "main", "send", "hi").stdout.strip()
    wait_until(lambda: done(user, MAIN, sent), 20, "what was sent to main")
    user.aap("workspace", "rm", "work")
    message = post(user, "manager")
    wait_until(lambda: done(user, MAIN, message), 20, "main is the default again")


def test_each_workspace_has_its_own_pause_and_its_own_settings(user: User) -> None:
    install(user)
    user.aap("workspace", "add", "work", f"{user.home}/work")
    agent = user.write("bin/other", AGENT.replace("handled", "by-other"), 0o755)
    user.aap("-w", "work", "config", "set", "AGENT_CLI", str(agent))
    user.aap("-w", "work", "pause")
    waiting = post(user, "aap/work")
    message = post(user, "aap/main")
    wait_until(lambda: done(user, MAIN, message), 20, "main is not paused")
    assert listed(user)["work"]["state"] == "paused"
    assert user.path(f"work/{SPOOL}/inbox/{waiting}.json").exists()
    user.aap("resume", env={"AAP_WORKSPACE": "work"})
    wait_until(lambda: done(user, "work", waiting), 20, "the message")
    assert user.path("work/by-other").exists()
    assert handled(user, "work") == []


def test_a_link_to_a_long_path_works_and_the_path_itself_is_refused(user: User) -> None:
    install(user)
    below = "/".join(["a" * 40] * 5)
    long = f"{user.home}/{below}"
    refused = user.aap("workspace", "add", "deep", long, check=False)
    assert refused.returncode == Exit.BAD_CONFIG
    assert "at most 199" in refused.stderr
    assert f"ln -s {long} ~/ws" in refused.stderr
    assert list(listed(user)) == ["main"]
    user.run(["mkdir", "-p", long])
    user.run(["ln", "-s", long, f"{user.home}/deep"])
    user.aap("workspace", "add", "deep", f"{user.home}/deep")
    message = post(user, "aap/deep")
    wait_until(lambda: done(user, below, message), 20, "the message")
    assert handled(user, below) == [f"{user.home}/deep"]


def test_the_longest_path_that_fits_works(user: User) -> None:
    install(user)
    room = units.NAME_MAX - len(units.worker_service(user.home / "x")) + 1
    path = user.home / ("b" * room)
    assert len(units.worker_service(path)) == units.NAME_MAX
    user.aap("workspace", "add", "long", str(path))
    message = post(user, "aap/long")
    wait_until(lambda: done(user, path.name, message), 20, "the message")
    refused = user.aap("workspace", "add", "longer", f"{path}b", check=False)
    assert refused.returncode == Exit.BAD_CONFIG


def test_what_fails_in_mid_way_leaves_everything_as_it_was(user: User) -> None:
    install(user)
    user.write("work/.ai-agent-proxy.conf", "MAX_ATEMPTS=3\n")
    before = tree(user.path())
    refused = user.aap("workspace", "add", "work", f"{user.home}/work", check=False)
    assert refused.returncode == Exit.BAD_CONFIG
    assert "did you mean MAX_ATTEMPTS?" in refused.stderr
    # A file in the place of a folder stops systemd's part, which is the last one.
    user.run(["sh", "-c", "rm work/.ai-agent-proxy.conf; touch work/.ai-agent-proxy"])
    refused = user.aap("workspace", "add", "work", f"{user.home}/work", check=False)
    assert refused.returncode != 0
    user.run(["sh", "-c", "rm work/.ai-agent-proxy"])
    user.write("work/.ai-agent-proxy.conf", "MAX_ATEMPTS=3\n")
    assert tree(user.path()) == before
    assert models(user) == {"aap", "manager", "aap/main"}


def tree(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if "logs" not in path.parts}


@pytest.mark.slow
def test_removing_a_busy_workspace_ends_its_agent_and_keeps_its_message(user: User) -> None:
    install(user)
    user.aap("workspace", "add", "work", f"{user.home}/work")
    agent = user.write("bin/slow", '#!/bin/sh\ntouch "$AAP_WORKSPACE/busy"\nsleep 60\n', 0o755)
    user.aap("-w", "work", "config", "set", "AGENT_CLI", str(agent))
    message = post(user, "aap/work")
    wait_until(user.path("work/busy").exists, 20, "the agent")
    removed = user.aap("workspace", "rm", "work")
    assert "1 of them are not handled" in removed.stderr
    assert user.path(f"work/{SPOOL}/inbox/{message}.json").exists()
    left = user.machine.run(["pgrep", "-u", user.name, "-fa", "slow"], check=False)
    assert left.stdout == ""
    # What came back is handled when the workspace does.
    user.write("bin/slow", AGENT, 0o755)
    user.aap("workspace", "add", "work", f"{user.home}/work")
    wait_until(lambda: done(user, "work", message), 20, "the message")


def test_a_change_is_put_in_force_without_the_installing_shell(user: User) -> None:
    user.write("tools/tool", "#!/bin/sh\n", 0o755)
    path = f"{user.home}/tools:/usr/bin:/bin"
    agent = user.write("bin/agent", "#!/bin/sh\ntool && " + AGENT.splitlines()[1] + "\n", 0o755)
    user.write(".config/aap/aap.conf", f"AGENT_CLI={agent}\nSETTLE=0\n", 0o600)
    user.aap("install", "--user", env={"PATH": path})
    changed = user.aap("config", "set", "PORT", "7012", "--apply")
    assert "restarted aap-api.socket" in changed.stderr
    assert "127.0.0.1:7012" in user.systemctl("show", "aap-api.socket", "--property=Listen")
    message = user.aap("send", "hi").stdout.strip()
    wait_until(lambda: done(user, MAIN, message), 20, "the agent still finds its tool")
    changed = user.aap("config", "set", "REPLY", "got it", "--apply")
    assert "restarted aap-api.service" in changed.stderr
    answer = json.loads(user.aap("send", "hi", "--json").stdout)
    assert answer["answer"] == "got it"
    # A worker setting needs nothing to be started again.
    changed = user.aap("config", "set", "MAX_ATTEMPTS", "2", "--apply")
    assert "restarted" not in changed.stderr


def test_a_change_in_a_file_that_is_not_read_is_not_said_to_be_in_force(user: User) -> None:
    install(user)
    words = ("--config", f"{user.home}/other.conf", "config", "set", "PORT", "7012", "--apply")
    refused = user.aap(*words, check=False)
    assert refused.returncode == Exit.USAGE
    assert "does not read" in refused.stderr


def test_keys_count_and_are_revoked_while_the_api_runs(user: User) -> None:
    install(user)
    assert post(user, "aap") != ""
    key = user.aap("key", "new", "phone").stdout.strip()
    pid = user.show("aap-api.service", "MainPID")
    wait_until(lambda: post(user, "aap") == "", 3, "a key to be asked for")

    def status() -> str:
        words = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"]
        words += ["-H", f"Authorization: Bearer {key}", "http://127.0.0.1:7011/v1/models"]
        return user.run(words).stdout

    assert status() == "200"
    user.aap("key", "revoke", "phone")
    wait_until(lambda: status() == "401", 3, "the key to count no longer")
    assert user.show("aap-api.service", "MainPID") == pid
    assert user.aap("send", "by the socket").returncode == 0
