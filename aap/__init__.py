"""aap: a durable inbox between an OpenAI-style client and a coding agent."""

__version__ = "0.1.0"

# Below a workspace, by the names that ai-agent-proxy gave them: its messages, its settings.
SPOOL_FOLDER = ".ai-agent-proxy"
WORKSPACE_FILE = ".ai-agent-proxy.conf"
