"""No room, or no way to write: 429 or 503 with Retry-After, nothing torn, nothing lost."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aap.message import State
from tests.api.conftest import CHAT, HELLO, Api, StartApi
from tests.harness.wait import wait_until

PRIVATE = ("unshare", "--map-root-user", "--mount", "--propagation", "private", "sh", "-c")


def _can_unshare() -> bool:
    return subprocess.run([*PRIVATE, "true"], check=False, capture_output=True).returncode == 0


def in_own_mounts(script: str) -> tuple[str, ...]:
    """Wrap a command: first `script` in a mount namespace of its own, then the command there."""
    return (*PRIVATE, f'set -e; {script}; exec "$@"', "sh")


needs_mounts = pytest.mark.skipif(not _can_unshare(), reason="needs user namespaces")


def assert_nothing_arrived(api: Api) -> None:
    folder = Path(f"/proc/{api.process.pid}/root{api.spool.folder(State.INBOX)}")
    assert [path.name for path in folder.iterdir()] == []


def test_a_full_inbox_is_a_429(start_api: StartApi) -> None:
    api = start_api(INBOX_MAX="3")
    replies = [api.post() for _ in range(5)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
    assert replies[3].headers["retry-after"] == "10"
    assert replies[3].error["type"] == "rate_limit_error"
    assert len(api.inbox) == 3


def test_an_inbox_full_of_bytes_is_a_429(start_api: StartApi) -> None:
    api = start_api(INBOX_MAX_BYTES="1K")
    assert api.post(b'{"a":"' + b"x" * 900 + b'"}').status == 200
    assert api.post(b'{"a":"' + b"x" * 200 + b'"}').status == 429
    wait_until(lambda: api.post(b"{}").status == 200)


def test_what_others_put_into_the_inbox_counts(start_api: StartApi) -> None:
    api = start_api(INBOX_MAX="3")
    for number in range(3):
        (api.spool.folder(State.INBOX) / f"foreign{number}.json").write_text("{}")
    api.post()  # the first count is taken meanwhile
    wait_until(lambda: api.post().status == 429)


def test_an_api_that_is_started_again_and_again_does_not_overfill_the_inbox(
    start_api: StartApi, tmp_path: Path
) -> None:
    statuses = []
    for _ in range(3):  # each ends before its first whole count is due
        api = start_api(workspace=tmp_path, INBOX_MAX="2")
        statuses.append(api.post().status)
        api.process.kill()
    assert statuses == [200, 200, 429]


def test_many_at_once_do_not_overfill_the_inbox(start_api: StartApi) -> None:
    api = start_api(INBOX_MAX="20")
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: api.post().status, range(100)))
    assert statuses.count(200) == len(api.inbox) <= 20
    assert statuses.count(429) == 100 - len(api.inbox)
    wait_until(lambda: api.post().status == 429 and len(api.inbox) == 20)


def test_a_disk_that_is_nearly_full_is_a_503(start_api: StartApi) -> None:
    api = start_api(MIN_FREE="1000T")
    reply = api.post()
    assert (reply.status, reply.error["code"]) == (503, "disk_full")
    assert int(reply.headers["retry-after"]) > 0
    assert api.inbox == []


def test_a_disk_that_is_short_of_inodes_is_a_503(start_api: StartApi) -> None:
    api = start_api(MIN_FREE_INODES="100000000000000")
    if not os.statvfs(api.workspace).f_files:
        pytest.skip("this file system does not count inodes")
    assert api.post().status == 503
    assert api.inbox == []


@needs_mounts
def test_a_full_disk_is_a_503_and_leaves_nothing_behind(
    start_api: StartApi, tmp_path: Path
) -> None:
    (tmp_path / "ws").mkdir()
    mounts = in_own_mounts(f"mount -t tmpfs -o size=1m tmpfs {tmp_path}/ws")
    api = start_api(*mounts, MIN_FREE="0", MIN_FREE_INODES="0")
    large = b'{"a":"' + b"x" * 2_000_000 + b'"}'
    for _ in range(3):
        reply = api.post(large)
        assert (reply.status, reply.error["code"]) == (503, "disk_full")
    assert_nothing_arrived(api)
    assert api.post().status == 200


@needs_mounts
def test_a_disk_without_inodes_is_a_503(start_api: StartApi, tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    mounts = in_own_mounts(f"mount -t tmpfs -o nr_inodes=14 tmpfs {tmp_path}/ws")
    api = start_api(*mounts, MIN_FREE="0", MIN_FREE_INODES="0")
    statuses = [api.post().status for _ in range(12)]
    assert statuses[0] == 200
    assert statuses[-1] == 503


@needs_mounts
def test_a_read_only_disk_is_a_503_and_the_api_stays(start_api: StartApi, tmp_path: Path) -> None:
    inbox = tmp_path / "ws/.ai-agent-proxy/inbox"
    inbox.mkdir(parents=True)
    read_only = f"mount --bind {inbox} {inbox}; mount -o remount,bind,ro {inbox}"
    api = start_api(*in_own_mounts(read_only), MIN_FREE="0")
    for _ in range(2):
        reply = api.post()
        assert (reply.status, reply.error["code"]) == (503, "not_writable")
        assert int(reply.headers["retry-after"]) > 0
    assert api.process.poll() is None


@needs_mounts
def test_an_inbox_made_anew_outside_the_sandbox_ends_the_api(
    start_api: StartApi, tmp_path: Path
) -> None:
    spool = tmp_path / "ws/.ai-agent-proxy"
    inbox = spool / "inbox"
    inbox.mkdir(parents=True)
    # As ProtectSystem=strict with ReadWritePaths= of the inbox does it.
    sandbox = (
        f"mount --bind {spool} {spool}; mount --bind {inbox} {inbox}; "
        f"mount -o remount,bind,ro {spool}"
    )
    api = start_api(*in_own_mounts(sandbox), MIN_FREE="0")
    assert api.post().status == 200
    for path in inbox.iterdir():
        path.unlink()
    inbox.rmdir()
    inbox.mkdir()
    assert api.post().status == 503
    assert api.process.wait(10) == 1
    assert "stale" in api.log


def test_a_spool_that_was_deleted_is_made_again(start_api: StartApi) -> None:
    api = start_api()
    api.post()
    subprocess.run(["rm", "-r", api.workspace], check=True)
    assert api.post().status == 200
    assert len(api.inbox) == 1


def test_a_workspace_that_cannot_be_is_a_503(start_api: StartApi, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    api = start_api(workspace=tmp_path / "file" / "ws")
    assert api.post(HELLO, CHAT).status == 503
