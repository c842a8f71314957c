"""aap: a durable inbox between an OpenAI-style client and a coding agent."""

__version__ = "0.1.0"
