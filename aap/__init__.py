"""aap: a durable inbox between an OpenAI-style client and a coding agent."""

__version__ = "0.1.0"

SPOOL_FOLDER = ".ai-agent-proxy"  # below a workspace; the name that ai-agent-proxy gave it
