"""The agents: which command runs, what it is told, and how its end is read."""

from aap.agents.agent import Agent, Ended, Outcome, Reader, Report, Usage, Verdict
from aap.agents.presets import find_agent
from aap.agents.prompt import Item, init_prompt, work_prompt

__all__ = [
    "Agent",
    "Ended",
    "Item",
    "Outcome",
    "Reader",
    "Report",
    "Usage",
    "Verdict",
    "find_agent",
    "init_prompt",
    "work_prompt",
]
