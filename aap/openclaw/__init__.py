"""OpenClaw beside us: what its configuration says, and what it should say."""

from aap.openclaw.document import Document, config_path, read_document
from aap.openclaw.gateway import Gateway, find_gateway

__all__ = ["Document", "Gateway", "config_path", "find_gateway", "read_document"]
