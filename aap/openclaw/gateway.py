"""Where OpenClaw's gateway listens for HTTP, and what opens it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from aap.errors import ConfigError, NotFoundError
from aap.openclaw.document import Document, read_document, resolve

PORT = 18789
_SECRETS = {
    "token": ("token", "OPENCLAW_GATEWAY_TOKEN"),
    "password": ("password", "OPENCLAW_GATEWAY_PASSWORD"),
}


class Gateway(NamedTuple):
    """A gateway that speaks plain HTTP; `secret` is empty where it wants none."""

    host: str
    port: int
    secret: str

    def __repr__(self) -> str:
        return f"Gateway({self.host!r}, {self.port})"


def find_gateway(environ: Mapping[str, str] = os.environ) -> Gateway:
    """Return the gateway that this machine's OpenClaw names.

    Raises NotFoundError where there is no configuration, ConfigError where the
    gateway cannot be used from here; whether it runs is not asked.
    """
    return _gateway(read_document(environ), environ)


def _gateway(document: Document, environ: Mapping[str, str]) -> Gateway:
    if document.get("gateway", "mode") == "remote":
        raise ConfigError("OpenClaw's gateway is on another machine (gateway.mode is remote)")
    if document.get("gateway", "tls", "enabled") is True:
        raise ConfigError("OpenClaw's gateway speaks TLS only (gateway.tls.enabled)")
    return Gateway(_host(document), _port(document, environ), _secret(document))


def _host(document: Document) -> str:
    # Whatever else it binds to, OpenClaw's gateway is on loopback too, but for these.
    if document.get("gateway", "bind") == "custom":
        host = document.get("gateway", "customBindHost")
        if isinstance(host, str) and host not in {"", "0.0.0.0", "::"}:  # noqa: S104 - not bound
            return host
    return "127.0.0.1"


def _port(document: Document, environ: Mapping[str, str]) -> int:
    given = environ.get("OPENCLAW_GATEWAY_PORT", "").strip()
    value: Any = int(given) if given.isdecimal() else document.get("gateway", "port")
    if value is None:
        return PORT
    if not isinstance(value, int) or not 0 < value < 65536:
        raise ConfigError("gateway.port in OpenClaw's configuration is no port")
    return value


def _secret(document: Document) -> str:
    """The shared secret. Raises ConfigError if there must be one and it is not here."""
    auth = document.get("gateway", "auth") or {}
    mode = auth.get("mode") or ("password" if auth.get("password") else "token")
    if mode == "none":
        return ""
    if mode not in _SECRETS:
        raise ConfigError(f"OpenClaw's gateway takes no key (gateway.auth.mode is {mode})")
    name, variable = _SECRETS[mode]
    secret = resolve(auth.get(name), document.variables) or document.variables.get(variable, "")
    if not secret:
        raise NotFoundError(f"OpenClaw's configuration has no gateway.auth.{name}")
    return secret
