"""A workspace for each test of the worker, and bodies to put into it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.workbench import Bench

from aap.inbox import Spool


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    workspace = tmp_path / "work space"
    spool = Spool(workspace / ".ai-agent-proxy")
    spool.create()
    return Bench(workspace, spool)


@pytest.fixture
def message() -> Callable[..., bytes]:
    """Makes a plain body, of a conversation if one is named."""

    def make(text: str, conversation: str = "") -> bytes:
        body: dict[str, object] = {"messages": [{"role": "user", "content": text}]}
        if conversation:
            body |= {"channel": "telegram", "target": conversation}
        return json.dumps(body).encode()

    return make
