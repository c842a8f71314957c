"""Values are read by kind, and a wrong one is refused with what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from aap.config import SETTINGS, Settings, is_loopback
from aap.config.table import NAMES, nearest_key


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("PORT", "7011", 7011),
        ("PORT", "65535", 65535),
        ("HOST", "0.0.0.0", "0.0.0.0"),
        ("HOST", "localhost", "127.0.0.1"),
        ("HOST", "::1", "::1"),
        ("HOST", "[::]", "::"),
        ("MAX_BODY", "12M", 12 * 1024 * 1024),
        ("MAX_BODY", "1.5K", 1536),
        ("MAX_BODY", "2gib", 2 * 1024**3),
        ("MAX_BODY", "4096", 4096),
        ("RUN_TIMEOUT", "1h", 3600.0),
        ("RUN_TIMEOUT", "1h30m", 5400.0),
        ("RUN_TIMEOUT", "90", 90.0),
        ("IDLE_EXIT", "0.2s", 0.2),
        ("IDLE_EXIT", "200ms", 0.2),
        ("DONE_MAX_AGE", "7d", 604800.0),
        ("INTERNAL", "heartbeat, cron", ("heartbeat", "cron")),
        ("INTERNAL", "", ()),
        ("AGENT", "codex", "codex"),
        ("AGENT_CLI", "sh -c 'a b'", "sh -c 'a b'"),
        ("REPLY", "Grüße, ich melde mich.", "Grüße, ich melde mich."),
    ],
)
def test_a_value_is_read_by_its_kind(key: str, text: str, value: object) -> None:
    read = SETTINGS[key].parse(text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("PORT", "0", "from 1 to 65535"),
        ("PORT", "65536", "from 1 to 65535"),
        ("PORT", "９", "from 1 to 65535"),
        ("PORT", "9" * 5000, "no port"),
        ("HOST", "example.org", "no IP address"),
        ("HOST", "127.0.0.256", "no IP address"),
        ("HOST", "::zz", "no IP address"),
        ("HOST", "", "no IP address"),
        ("MAX_BODY", "12 apples", "no size"),
        ("MAX_BODY", "1", "too small"),
        ("RUN_TIMEOUT", "1 week", "no duration"),
        ("RUN_TIMEOUT", "1h30", "no duration"),
        ("RUN_TIMEOUT", "inf", "no duration"),
        ("RUN_TIMEOUT", "1" * 60 + "x", "no duration"),
        ("RUN_TIMEOUT", "0", "too short"),
        ("MAX_ATTEMPTS", "-1", "no whole number"),
        ("MAX_ATTEMPTS", "0", "too small"),
        ("INTERNAL", "enqueue", "none of: heartbeat, cron"),
        ("AGENT", "Codex CLI", "no name"),
        ("AGENT_CLI", "sh -c 'a", "no closing quotation"),
        ("WORKSPACE", "", "is empty"),
        ("WORKSPACE", "~nobody-of-this-name/x", "not known here"),
        ("REPLY", "a\x1bb", "control character"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_right(key: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SETTINGS[key].parse(text)


def test_a_path_starts_at_the_home_or_at_its_file(home: Path) -> None:
    row = SETTINGS["WORKSPACE"]
    assert row.parse("~/ws") == home / "ws"
    assert row.parse("ws/../x", "/etc/aap") == Path("/etc/aap/x")
    assert row.parse("ws") == Path.cwd() / "ws"
    assert Settings().workspace == home / ".openclaw" / "workspace"


def test_the_table_is_whole() -> None:
    assert [row.attribute for row in SETTINGS.values()] == list(Settings.__annotations__)
    for row in SETTINGS.values():
        assert row.parse(row.default) == getattr(Settings(), row.attribute)
        assert row.help.endswith(".")
        assert row.restart in {"none", "api", "socket", "install"}
    assert NAMES["WORKDIR"] == "WORKSPACE"


def test_settings_never_show_a_secret() -> None:
    shown = repr(Settings(api_key="hush", a2a_key="hush"))
    assert "hush" not in shown
    assert "7011" in shown


def test_a_mistyped_key_finds_its_neighbour() -> None:
    assert nearest_key("workspce") == "WORKSPACE"
    assert nearest_key("XYZZY") == ""


def test_loopback_is_told_from_the_network() -> None:
    assert is_loopback("127.0.0.1") and is_loopback("127.9.9.9") and is_loopback("::1")
    assert not is_loopback("0.0.0.0") and not is_loopback("::") and not is_loopback("10.0.0.1")
