"""Comparing OpenClaw's configuration with what a model that only takes in needs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from aap.errors import ConfigError
from aap.openclaw.document import Document, look_up, resolve
from aap.openclaw.edit import Path
from aap.openclaw.wishes import FAIL, NOTE, OK, WARN, WISHES, Wish, at_least, channel_wishes

PROVIDER, MODEL = "aap", "manager"
CONTEXT_WINDOW = 2_000_000
KEY_REFERENCE = "${AAP_API_KEY}"
NO_KEY = "none-needed"

_HERE = frozenset(("localhost", "127.0.0.1", "::1", "0.0.0.0", "::"))  # noqa: S104 - not bound
_SHOWN = 80  # characters of a value
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Aap(NamedTuple):
    """What OpenClaw must know of us."""

    host: str
    port: int
    accepts: Callable[[str], bool] | None = None  # is it one of our keys? None: none is needed

    @property
    def url(self) -> str:
        """The address that OpenClaw should be given."""
        host = "127.0.0.1" if self.host in _HERE else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"


class Finding(NamedTuple):
    """What one setting is and should be, and why. No text here holds a secret.

    `change` is the path and the value to set; None where nothing can be done for the user.
    """

    severity: str  # ok, note, warn, FAIL
    setting: str  # its dotted path
    current: str  # as JSON; "not set"
    wanted: str
    why: str
    change: tuple[Path, Any] | None = None

    @property
    def is_bad(self) -> bool:
        """Whether somebody should do something."""
        return self.severity in {WARN, FAIL}


def findings(document: Document, aap: Aap) -> list[Finding]:
    """Look at every setting that matters; the ones that are right are `ok`."""
    provider = _provider(document, aap)
    return [
        *_look_at_provider(document, aap, provider),
        *_look_at_model(document, provider),
        *(_look_at(document, wish) for wish in WISHES),
        *_look_at_channels(document),
    ]


def _look_at(document: Document, wish: Wish) -> Finding:
    current = document.get(*wish.path)
    met = wish.is_met(current)
    return Finding(
        OK if met else wish.severity,
        dotted(wish.path),
        _shown(current),
        _shown(wish.value),
        wish.why,
        None if met else (wish.path, wish.value),
    )


def dotted(path: Path) -> str:
    """Return a path as OpenClaw writes it: `agents.defaults.model`, `models[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_NAME.fullmatch(step):
            text += f".{step}"
        else:
            text += f"[{json.dumps(step)}]"
    return text.removeprefix(".")


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


# The provider that is us


def _provider(document: Document, aap: Aap) -> str:
    """Return the name of the provider that points here, or the one that shall."""
    providers = document.get("models", "providers")
    named = providers if isinstance(providers, dict) else {}
    ours = [name for name in named if _is_here(document, look_up(named, (name, "baseUrl")), aap)]
    current = _primary(document)[1].partition("/")[0]
    return next((name for name in (current, PROVIDER) if name in ours), (ours or [PROVIDER])[0])


def _is_here(document: Document, url: Any, aap: Aap) -> bool:
    try:
        parts = urlsplit(resolve(url, document.variables))
        port = parts.port or 80
    except (ConfigError, ValueError):
        return False
    mine = "127.0.0.1" if aap.host in _HERE else aap.host
    theirs = "127.0.0.1" if parts.hostname in _HERE else parts.hostname
    reachable = theirs == mine or aap.host in {"0.0.0.0", "::"}  # noqa: S104 - not bound
    return parts.scheme == "http" and reachable and port == aap.port


def _look_at_provider(document: Document, aap: Aap, name: str) -> Iterator[Finding]:
    base: Path = ("models", "providers", name)
    url = document.get(*base, "baseUrl")
    # An address may hold a password; only the place is shown.
    yield _judge(
        (*base, "baseUrl"),
        _is_here(document, url, aap) and urlsplit(str(url)).path.rstrip("/") in {"", "/v1"},
        _without_login(url),
        aap.url,
        "where aap listens; else no message arrives",
    )
    api = document.get(*base, "api")
    yield _judge(
        (*base, "api"),
        api in {"openai-completions", "openai-responses"},
        _shown(api),
        "openai-completions",
        "the interface that aap speaks",
    )
    yield _look_at_key(document, aap, (*base, "apiKey"))


def _judge(path: Path, met: bool, current: str, value: Any, why: str) -> Finding:
    change = None if met else (path, value)
    return Finding(OK if met else FAIL, dotted(path), current, _shown(value), why, change)


def _without_login(url: Any) -> str:
    if not isinstance(url, str):
        return _shown(None)
    return _shown(re.sub(r"//[^/@]*@", "//…@", url))


def _look_at_key(document: Document, aap: Aap, path: Path) -> Finding:
    value = document.get(*path)
    current = "not set" if value is None else "set"
    wanted = NO_KEY if aap.accepts is None else KEY_REFERENCE
    why = "OpenClaw wants one; aap takes any" if aap.accepts is None else "one of aap's keys"
    try:
        key = resolve(value, document.variables)
    except ConfigError as error:
        # Where OpenClaw alone can look, it may well be right.
        severity = FAIL if "is not set here" in str(error) else NOTE
        why += f"; {error}" + (f": {error.hint}" if severity == FAIL else "")
        return Finding(severity, dotted(path), current, _shown(wanted), why)
    met = bool(key) and (aap.accepts is None or aap.accepts(key))
    if not met and key:
        why += "; this one is none of them, so each message is refused"
    return _judge(path, met, current, wanted, why)


def _primary(document: Document) -> tuple[Path, str]:
    """Where the model is named, and its name: "provider/model"."""
    path: Path = ("agents", "defaults", "model")
    value = document.get(*path)
    if isinstance(value, str):
        return path, value
    primary = document.get(*path, "primary")
    return (*path, "primary"), primary if isinstance(primary, str) else ""


def _look_at_model(document: Document, provider: str) -> Iterator[Finding]:
    path, current = _primary(document)
    wanted = current if current.startswith(f"{provider}/") else f"{provider}/{MODEL}"
    yield _judge(path, current == wanted, _shown(current or None), wanted, "messages go to aap")
    yield _look_at_entry(document, provider, wanted.partition("/")[2])
    fallbacks = document.get("agents", "defaults", "model", "fallbacks")
    if fallbacks:
        yield _look_at(
            document,
            Wish(
                ("agents", "defaults", "model", "fallbacks"),
                [],
                WARN,
                "else another model answers when aap asks OpenClaw to try again later",
            ),
        )


def _look_at_entry(document: Document, provider: str, model: str) -> Finding:
    """The model must be listed, with a window so large that OpenClaw never fills it."""
    path: Path = ("models", "providers", provider, "models")
    listed = document.get(*path)
    models = listed if isinstance(listed, list) else []
    place = next((i for i, each in enumerate(models) if look_up(each, ("id",)) == model), None)
    why = "else OpenClaw takes its history for too long and drops messages"
    raw = look_up(document.node.value, path)
    if place is None:
        entry = {
            "id": model,
            "name": "aap",
            "input": ["text"],
            "contextWindow": CONTEXT_WINDOW,
            "maxTokens": 8192,
        }
        there = (*path, len(raw) if isinstance(raw, list) else 0)
        return _judge(there, False, "not set", entry, "the model must be listed")
    there = (*path, place, "contextWindow")
    wish = Wish(there, CONTEXT_WINDOW, WARN, why, at_least(1_000_000))
    found = _look_at(document, wish)
    # In an included file we would change nothing, but add a half of an entry here.
    is_here = look_up(raw, (place, "id")) == model
    return found if is_here else found._replace(change=None)


# Channels


def _look_at_channels(document: Document) -> Iterator[Finding]:
    channels = document.get("channels")
    for name, settings in (channels if isinstance(channels, dict) else {}).items():
        if isinstance(settings, dict) and settings.get("enabled") is not False:
            for wish in channel_wishes(name):
                yield _look_at(document, wish._replace(path=("channels", name, *wish.path)))
                yield from _look_at_accounts(document, name, wish)


def _look_at_accounts(document: Document, channel: str, wish: Wish) -> Iterator[Finding]:
    """An account may say otherwise than its channel; one that says nothing follows it."""
    accounts = document.get("channels", channel, "accounts")
    for account in accounts if isinstance(accounts, dict) else {}:
        path: Path = ("channels", channel, "accounts", account, *wish.path)
        if document.get(*path) is not None:
            yield _look_at(document, wish._replace(path=path))
