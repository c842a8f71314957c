"""What the journal gets: native datagrams with fields, and none where it is not our stderr."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import HELLO, StartApi, UnixConnection, ask, environment
from tests.api.test_fullness import in_own_mounts, needs_mounts
from tests.harness.wait import wait_until


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    """The receiving end of the journal's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "journal.sock"))
        receiver.settimeout(10)
        yield receiver


def read(journald: socket.socket, event: str) -> dict[str, str]:
    while True:
        text = journald.recv(65536).decode()
        assert text.endswith("\n")
        fields = dict(line.split("=", 1) for line in text.splitlines())
        if fields["AAP_EVENT"] == event:
            return fields


@needs_mounts
def test_each_message_is_a_journal_entry_with_its_fields(
    journald: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stderr = tmp_path / "stderr"
    stderr.touch()
    facts = stderr.stat()
    monkeypatch.setenv("JOURNAL_STREAM", f"{facts.st_dev}:{facts.st_ino}")
    mounts = in_own_mounts(
        "mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/journal; "
        f"ln -s {tmp_path}/journal.sock /run/systemd/journal/socket"
    )
    unix = tmp_path / "api.sock"
    command = [sys.executable, "-m", "aap.api", "--workspace", f"{tmp_path}/ws"]
    with stderr.open("ab") as file:
        process = subprocess.Popen(
            [*mounts, *command, "--bind", f"unix:{unix}"], stderr=file, env=environment({})
        )
    try:
        assert read(journald, "listening")["MESSAGE"] == f"listening at=unix:{unix}"
        wait_until(unix.exists)
        connection = UnixConnection(unix)
        reply = ask(connection, body=HELLO)
        connection.close()
        entry = read(journald, "enqueued")
        assert entry["AAP_MESSAGE_ID"] == reply.id
        assert entry["AAP_WORKSPACE"] == "main"
        assert entry["PRIORITY"] == "6"
        assert entry["SYSLOG_IDENTIFIER"] == "aap-api"
        assert entry["MESSAGE"] == f"enqueued id={reply.id} workspace=main size=68 key=local"
        assert stderr.read_bytes() == b""
    finally:
        process.kill()
        process.wait()


def test_a_redirected_stderr_is_no_journal(
    start_api: StartApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    api = start_api()
    message_id = api.post().id
    assert f"info api enqueued id={message_id} workspace=main size=68 key=none" in api.log
