"""Refused for a while: real SDK clients get through when it clears, by their own retries."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from torture import soak

from aap.message import State
from tests.api.conftest import Api, StartApi, api_starter
from tests.api.test_fullness import in_own_mounts, needs_mounts
from tests.harness.wait import wait_until


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartApi]:
    """Start APIs that live as long as this module, since the SDK waits for ten seconds."""
    with api_starter(tmp_path_factory.mktemp("pressure")) as starter:
        yield starter


def send(api: Api, **options: Any) -> Any:
    """Send one message by the SDK and return the raw answer, which knows of its retries."""
    with api.client(**{"max_retries": openai.DEFAULT_MAX_RETRIES, "timeout": 40, **options}) as sdk:
        return sdk.chat.completions.with_raw_response.create(
            model="aap", messages=[{"role": "user", "content": "hello"}]
        )


def full_inbox(start: StartApi, folder: Path) -> tuple[Api, Any]:
    """An inbox that is full by count, until its messages are settled."""
    api = start(workspace=folder / "count", INBOX_MAX="2")
    ids = [api.post().id for _ in range(2)]
    assert api.post().status == 429
    return api, lambda: [api.spool.settle(message) for message in ids]


def full_of_bytes(start: StartApi, folder: Path) -> tuple[Api, Any]:
    """An inbox that is full by size, until its message is settled."""
    api = start(workspace=folder / "bytes", INBOX_MAX_BYTES="1M")
    large = api.post(b'{"a":"' + b"x" * ((1 << 20) - 10) + b'"}').id
    assert api.post().status == 429
    return api, lambda: api.spool.settle(large)


def full_disk(start: StartApi, folder: Path) -> tuple[Api, Any]:
    """A disk at its floor, until what fills it goes."""
    workspace = folder / "disk"
    workspace.mkdir()
    mounts = in_own_mounts(f"mount -t tmpfs -o size=2m tmpfs {workspace}")
    api = start(*mounts, workspace=workspace, MIN_FREE="1M", MIN_FREE_INODES="0")
    seen = Path(f"/proc/{api.process.pid}/root{workspace}")
    (seen / "filler").write_bytes(bytes(1_500_000))
    wait_until(lambda: api.post().status == 503)
    return api, (seen / "filler").unlink


def few_inodes(start: StartApi, folder: Path) -> tuple[Api, Any]:
    """A disk with few inodes left, until some are."""
    workspace = folder / "inodes"
    workspace.mkdir()
    mounts = in_own_mounts(f"mount -t tmpfs -o nr_inodes=40 tmpfs {workspace}")
    api = start(*mounts, workspace=workspace, MIN_FREE="0", MIN_FREE_INODES="20")
    seen = Path(f"/proc/{api.process.pid}/root{workspace}")
    fillers = [seen / f"filler{number}" for number in range(15)]
    for filler in fillers:
        filler.touch()
    wait_until(lambda: api.post().status == 503)
    return api, lambda: [filler.unlink() for filler in fillers]


@pytest.mark.slow
@needs_mounts
def test_sdk_clients_get_through_when_what_was_full_is_not(start: StartApi, tmp_path: Path) -> None:
    # Side by side: each client waits for the ten seconds that Retry-After says.
    cases = [make(start, tmp_path) for make in (full_inbox, full_of_bytes, full_disk, few_inodes)]
    with ThreadPoolExecutor(len(cases)) as pool:
        waiting = [pool.submit(send, api) for api, _ in cases]
        time.sleep(1)
        assert not any(each.done() for each in waiting)
        for _, clear in cases:
            clear()
        answers = [each.result(30) for each in waiting]
    for (api, _), answer in zip(cases, answers, strict=True):
        assert answer.retries_taken > 0
        inbox = Path(f"/proc/{api.process.pid}/root{api.spool.folder(State.INBOX)}")
        names = [path.name for path in inbox.iterdir()]
        assert names.count(f"{answer.headers['x-request-id']}.json") == 1


@pytest.mark.slow
def test_sdk_clients_get_through_where_there_are_too_many(start_api: StartApi) -> None:
    api = start_api(MAX_CONNECTIONS="4")
    with ThreadPoolExecutor(32) as pool:
        sent = [pool.submit(send, api, max_retries=5) for _ in range(64)]
        answers = [each.result(60) for each in sent]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(api.inbox)


@pytest.mark.slow
@pytest.mark.alone
def test_memory_and_descriptors_after_some_seconds_at_full_speed(start_api: StartApi) -> None:
    api = start_api(INBOX_MAX="1000000", MIN_FREE="0")
    found = soak.soak(api, seconds=4)
    soak.tell(found)
    assert soak.faults_of(found) == []
    assert " fault " not in api.log
