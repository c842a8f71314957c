"""What somebody may plant in a spool: nothing is followed, nothing hangs, the queue goes on."""

from __future__ import annotations

import json

import pytest
from harness.machine import User
from harness.wait import wait_until

pytestmark = pytest.mark.systemd

WORKSPACE = ".openclaw/workspace"
SPOOL = f"{WORKSPACE}/.ai-agent-proxy"
BODY = json.dumps({"messages": [{"role": "user", "content": "hello"}]})

# In inbox/. The device needs root; it is a neighbour's, as the socket may be.
IN_THE_INBOX = """\
ln -s ../../../../secret inbox/link.json
ln -s /nowhere inbox/dangling.json
ln ../shared.json inbox/twin.json
mkfifo inbox/fifo.json
mkdir inbox/folder.json && echo x > inbox/folder.json/x
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("inbox/socket.json")'
chmod 000 inbox/../closed.json && mv closed.json inbox/
"""
IN_THE_SPOOL = """\
rm -rf logs done notes sessions LOCK FORMAT
ln -s ../elsewhere logs
ln -s ../elsewhere done
ln -s ../elsewhere notes
ln -s /etc/passwd LOCK
mkfifo FORMAT OUTAGE RUN sessions
mkdir -p prompts && mkfifo prompts/work.txt
rm -rf context && mkdir context && mkfifo context/usage.jsonl
"""


def settled(user: User, message_id: str) -> None:
    done = user.path(f"{SPOOL}/done/{message_id}.json")
    wait_until(
        lambda: not done.parent.is_symlink() and done.exists(), 30, "a message to be handled"
    )


def plant(user: User, commands: str) -> None:
    user.run(["env", f"--chdir={user.home}/{SPOOL}", "sh", "-ec", commands])


@pytest.fixture
def busy(user: User) -> User:
    """A user whose aap hands messages to `echo`, with something to lose."""
    user.write(".config/aap/aap.conf", "AGENT=echo\nRETRY_MIN=1s\n", 0o600)
    user.write("secret", BODY, 0o600)
    user.write(f"{WORKSPACE}/shared.json", BODY)
    user.write(f"{WORKSPACE}/elsewhere/1999-01-01.log", "kept\n")
    user.aap("install", "--user")
    return user


def test_in_the_inbox(busy: User) -> None:
    user = busy
    user.aap("pause")
    user.write(f"{SPOOL}/closed.json", BODY)
    plant(user, IN_THE_INBOX)
    device = user.path(f"{SPOOL}/inbox/device.json")
    user.machine.run(["mknod", user.home / SPOOL / "inbox/device.json", "c", "1", "5"])
    assert device.exists()
    message_id = user.aap("inbox", "add", "--text", "the last").stdout.strip()
    assert "the last" in user.aap("inbox", "ls", timeout=20).stdout
    user.aap("resume")
    settled(user, message_id)

    log = user.aap("logs", "--today", timeout=20).stdout
    for name in ("link", "dangling", "fifo", "folder", "socket", "device", "closed"):
        assert f"name={name}.json" in log, name
    failed = [path.name.split("+", 1)[-1] for path in user.path(f"{SPOOL}/failed").iterdir()]
    assert len(failed) == 7, failed
    # The hard link is a file like any other; its other name keeps its bytes.
    assert user.path(f"{WORKSPACE}/shared.json").read_text() == BODY
    assert "adopted" in log
    assert user.path("secret").read_text() == BODY
    inbox = user.path(f"{SPOOL}/inbox")
    wait_until(lambda: not [*inbox.iterdir()], 20, "the inbox to be empty")
    shown = json.loads(user.aap("status", "--json", timeout=20).stdout)
    assert shown["armed"] is True
    assert user.show("aap-api.socket", "ActiveState") == {"ActiveState": "active"}


def test_in_the_place_of_what_is_ours(busy: User) -> None:
    user = busy
    settled(user, user.aap("inbox", "add", "--text", "before").stdout.strip())
    plant(user, IN_THE_SPOOL)
    for command in (["status"], ["explain"], ["logs", "--today"], ["inbox", "ls"], ["doctor"]):
        said = user.aap(*command, check=False, timeout=20)
        assert said.returncode != 124, command
        assert "Traceback" not in said.stderr
    message_id = user.aap("send", "after", timeout=20).stdout.strip()
    settled(user, message_id)

    elsewhere = user.path(f"{WORKSPACE}/elsewhere")
    assert [path.name for path in elsewhere.iterdir()] == ["1999-01-01.log"]
    for name in ("logs", "done", "notes"):
        folder = user.path(f"{SPOOL}/{name}")
        assert not folder.is_symlink()
    said = user.journal("--output=cat") + user.aap("logs", "--today").stdout
    for name in ("logs", "done", "notes", "LOCK"):
        assert f"link-removed name={name}" in said
    assert user.machine.path("/etc/passwd").read_text().startswith("root:")
    assert user.aap("context", "stats", check=False, timeout=20).returncode != 124


def test_a_workspace_for_everybody_is_refused(user: User) -> None:
    user.write(".config/aap/aap.conf", "AGENT=echo\n", 0o600)
    for folder in (WORKSPACE, SPOOL):
        user.run(["mkdir", "-p", user.home / folder])
        user.run(["chmod", "777", user.home / folder])
        refused = user.aap("install", "--user", check=False)
        assert refused.returncode != 0
        assert f"everybody may write {user.home / folder}" in refused.stderr
        assert f"chmod o-w {user.home / folder}" in refused.stderr
        user.run(["chmod", "700", user.home / folder])


def test_the_doctor_sees_who_else_has_a_hand_in_it(busy: User) -> None:
    def found() -> dict[str, str]:
        said = busy.aap("doctor", "--json", "--only", "spool.permissions", check=False).stdout
        return {each["message"]: each["fix"] for each in json.loads(said)["findings"]}

    workspace, inbox = busy.home / WORKSPACE, busy.home / SPOOL / "inbox"
    busy.run(["chmod", "777", workspace])
    said = f"everybody may write the workspace {workspace}"
    assert found()[said] == f"chmod o-w {workspace}"
    busy.aap("doctor", "--fix", "--yes", "--only", "spool.permissions")
    assert said not in found()
    # As an older `sudo aap` would have left it, in a shared folder.
    busy.machine.run(["chown", "root", inbox])
    busy.machine.run(["chmod", "777", inbox])
    assert any(f"{inbox} belongs to another user" in message for message in found())


def test_a_workspace_of_somebody_else_is_told(user: User) -> None:
    machine = user.machine
    other = machine.add_user("other", linger=False)
    try:
        ours = f"/srv/{user.name}"
        machine.run(["install", "-d", "-o", "other", "-g", user.name, "-m", "0775", ours])
        words = ("--json", "--workspace", ours)
        printed = json.loads(user.aap("install", "--user", *words).stdout)
        assert any("belongs to another user" in note for note in printed["notes"])
        user.aap("uninstall", "--user")
        machine.run(["install", "-d", "-o", "other", "-m", "0777", f"{ours}/.ai-agent-proxy"])
        machine.run(["chmod", "0775", f"{ours}/.ai-agent-proxy"])
        refused = user.aap("install", "--user", *words, check=False)
        assert refused.returncode != 0
        assert "belongs to another user" in refused.stderr
    finally:
        machine.remove_user(other)
        machine.run(["rm", "-rf", f"/srv/{user.name}"])
