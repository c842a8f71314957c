"""The agents: which command runs, what it is told, and how its end is read."""

from aap.agents.agent import Agent, Ended, Outcome, Verdict, find_agent
from aap.agents.prompt import Item, init_prompt, work_prompt

__all__ = [
    "Agent",
    "Ended",
    "Item",
    "Outcome",
    "Verdict",
    "find_agent",
    "init_prompt",
    "work_prompt",
]
