"""The real agents, one after the other, each with a model of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.agents import Agent, AgentsError, claude_at, codex_at, install_agents
from harness.model import Model

REQUIRED = os.environ.get("AAP_REQUIRE_AGENTS") == "1"


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder with the real codex and the real claude."""
    try:
        return install_agents()
    except AgentsError as error:
        if REQUIRED:
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


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
