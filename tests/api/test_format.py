"""A spool that a newer aap has written: 503, and nothing of it is touched."""

from __future__ import annotations

import time
from pathlib import Path

from tests.api.conftest import StartApi


def test_the_api_answers_503_and_takes_no_message(start_api: StartApi) -> None:
    api = start_api()
    mark = api.spool.root / "FORMAT"
    assert api.post().status == 200
    before = api.inbox
    mark.write_text("2\n")  # a newer aap was installed, and this one runs still
    time.sleep(0.15)
    for _ in range(2):
        reply = api.post()
        assert (reply.status, reply.error["code"]) == (503, "newer_spool")
        assert int(reply.headers["retry-after"]) > 0
    assert api.inbox == before
    mark.write_text("1\n")
    assert api.post().status == 200


def test_an_api_that_finds_one_at_its_start_answers_503(
    start_api: StartApi, tmp_path: Path
) -> None:
    root = tmp_path / "ws/.ai-agent-proxy"
    (root / "inbox").mkdir(parents=True)
    (root / "FORMAT").write_text("2\n")
    api = start_api()
    assert api.post().status == 503
    assert sorted(path.name for path in root.rglob("*")) == ["FORMAT", "inbox"]
