"""No test touches a real home, a real user manager, or the settings of whoever runs it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# What systemd hands to a service would be taken for a hand-over to the tests.
FOREIGN = ("AAP_", "XDG_", "LISTEN_", "NOTIFY_SOCKET", "DBUS_", "WATCHDOG_", "CREDENTIALS_")


def shelter(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Make `home` the only place that defaults can point to."""
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        patch.delenv(name)
    patch.setenv("HOME", str(home))
    for kind in ("CONFIG", "DATA", "STATE", "CACHE"):
        patch.setenv(f"XDG_{kind}_HOME", str(home / f"xdg-{kind.lower()}"))
    patch.setenv("XDG_RUNTIME_DIR", str(home / "xdg-runtime"))
    patch.setenv("XDG_CONFIG_DIRS", str(home / "xdg-etc"))


# A shell without job control has its background jobs ignore Ctrl-C, and all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _sheltered_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # For the fixtures that live longer than a test.
    with pytest.MonkeyPatch.context() as patch:
        shelter(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty home folder of this one test."""
    folder = tmp_path_factory.mktemp("home")
    shelter(monkeypatch, folder)
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let scripts/test run what measures after what may run beside other tests."""
    text = "leave out the tests marked alone, or run only them"
    parser.addoption("--alone", choices=("leave", "only"), help=text)


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Do what --alone says: a second -m would take the place of the first."""
    for each in items:
        if each.get_closest_marker("systemd") or each.get_closest_marker("alone"):
            each.add_marker(pytest.mark.slow)
    asked = config.getoption("--alone")
    if asked is None:
        return
    alone = [each for each in items if each.get_closest_marker("alone")]
    rest = [each for each in items if each not in alone]
    items[:], dropped = (alone, rest) if asked == "only" else (rest, alone)
    config.hook.pytest_deselected(items=dropped)
