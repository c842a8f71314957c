"""The real agents, one after the other, each with a model of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.agents import Agent, claude_at, codex_at, programs_or_skip
from harness.model import Model


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder with the real codex and the real claude."""
    return programs_or_skip()


@pytest.fixture
def model() -> Iterator[Model]:
    """A model without a script: it says "Done." to everything until the test adds steps."""
    with Model() as model:
        yield model


@pytest.fixture(params=[codex_at, claude_at], ids=["codex", "claude"])
def agent(request: pytest.FixtureRequest, programs: Path, model: Model, tmp_path: Path) -> Agent:
    """A real agent whose model is `model`."""
    agent: Agent = request.param(tmp_path / "agent", model.url, programs)
    return agent
