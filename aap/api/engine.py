"""The parts of uvicorn that the API is built on, without uvicorn's command line.

`import uvicorn` brings click in, a tenth of the time to the first answer after a
start. Everything of uvicorn comes through here, so that nobody imports it the long way.
"""

from __future__ import annotations

import sys
from types import ModuleType

_CLI = "uvicorn.main"


def _skip_cli() -> None:
    """Import the package `uvicorn` with a stand-in for the module that holds its command line."""
    stand_in = ModuleType(_CLI)
    stand_in.__dict__.update(Server=None, main=None, run=None)  # what the package asks of it
    sys.modules[_CLI] = stand_in
    try:
        import uvicorn  # noqa: F401
    finally:
        del sys.modules[_CLI]


if "uvicorn" not in sys.modules:
    _skip_cli()

from uvicorn.config import Config  # noqa: E402
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: E402
from uvicorn.server import Server, ServerState  # noqa: E402

__all__ = ["Config", "HttpToolsProtocol", "Server", "ServerState"]
