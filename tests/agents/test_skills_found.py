"""Installed skills, as the real codex and the real claude find them in a workspace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness.agents import Agent
from harness.model import Model

from aap import skillset

pytestmark = pytest.mark.slow


def test_the_model_is_told_of_every_installed_skill(agent: Agent, model: Model) -> None:
    agent.run(agent.fresh(), "hello")
    before = json.dumps(model.requests[-1].body)
    skillset.install(Path(agent.cwd))
    agent.run(agent.fresh(), "hello")
    after = json.dumps(model.requests[-1].body)
    for skill in skillset.skills():
        assert skill.description[:80] not in before
        assert skill.description[:80] in after, skill.name
