"""What OpenClaw's file says, with what it includes and refers to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aap.errors import AapError, ConfigError, NotFoundError
from aap.openclaw import config_path, find_gateway, read_document
from aap.openclaw.document import resolve

Write = Callable[[str], Path]


def test_the_file_is_where_openclaw_looks(home: Path) -> None:
    assert config_path() == home / ".openclaw" / "openclaw.json"
    assert config_path({"HOME": "/h", "OPENCLAW_STATE_DIR": "/s"}) == Path("/s/openclaw.json")
    named = {"HOME": "/h", "OPENCLAW_STATE_DIR": "/s", "OPENCLAW_CONFIG_PATH": "/c.json5"}
    assert config_path(named) == Path("/c.json5")


def test_no_file_is_not_found(home: Path) -> None:
    with pytest.raises(NotFoundError, match="no configuration here"):
        read_document()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{a: }", "line 1, column 5"),
        (b"\xff{}", "not UTF-8"),
        (b"[]", "must be an object"),
        (b" " * (2 << 20) + b"{}", "larger than 2 MB"),
        (b'{"$include": "gone.json5"}', "gone.json5, which is not there"),
        (b'{"$include": "openclaw.json"}', "include each other"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(write: Write, raw: bytes, said: str) -> None:
    path = write("")
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=said) as caught:
        read_document()
    assert str(path) in str(caught.value)


def test_included_files_are_merged_and_siblings_win(write: Write) -> None:
    path = write("""{ $include: ["one.json5", "sub/two.json5"], gateway: { port: 3 } }""")
    (path.parent / "sub").mkdir()
    path.with_name("one.json5").write_text("{gateway: {port: 1, bind: 'lan'}, list: [1]}")
    (path.parent / "sub" / "two.json5").write_text(
        "{gateway: {$include: './three.json5'}, list: [2]}"
    )
    (path.parent / "sub" / "three.json5").write_text("{mode: 'local'}")
    document = read_document()
    assert document.values == {
        "gateway": {"port": 3, "bind": "lan", "mode": "local"},
        "list": [1, 2],
    }


def test_an_included_value_need_not_be_an_object(write: Write) -> None:
    path = write("{list: {$include: 'list.json5'}}")
    path.with_name("list.json5").write_text("[1, 2]")
    assert read_document().values == {"list": [1, 2]}


# Secrets


def test_variables_come_from_the_environment_then_the_env_file_then_the_file(write: Write) -> None:
    path = write("{env: {A: 'file', B: 'file', C: 'file', vars: {D: 'vars'}}}")
    path.with_name(".env").write_text("# no\nB=dot\nexport E='quoted'\nA=dot\nF=plain # why\n")
    variables = read_document({**os.environ, "A": "outside"}).variables
    assert [variables[name] for name in "ABCDEF"] == [
        "outside", "dot", "file", "vars", "quoted", "plain",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("${KEY}", "secret"),
        ("$KEY", "secret"),
        ("a-${KEY}-b", "a-secret-b"),
        ("$${KEY}", "${KEY}"),
        ("${lower}", "${lower}"),
        ({"source": "env", "provider": "default", "id": "KEY"}, "secret"),
        (None, ""),
        (7, ""),
    ],
)
def test_references_are_followed(value: object, text: str) -> None:
    assert resolve(value, {"KEY": "secret"}) == text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${KEY}", r"\$KEY, which is not set here"),
        ({"source": "env", "id": "KEY"}, r"\$KEY, which is not set here"),
        ({"source": "exec", "provider": "vault", "id": "x"}, "only it can look"),
        ({"source": "file", "provider": "f", "id": "/x"}, "only it can look"),
    ],
)
def test_what_cannot_be_followed_is_said(value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve(value, {})


def test_nothing_shows_a_secret_by_accident(write: Write) -> None:
    write("{gateway: {auth: {token: 'hush'}}}")
    assert "hush" not in repr(read_document()) + repr(find_gateway())


# The gateway


@pytest.mark.parametrize(
    ("text", "env", "found"),
    [
        ("{gateway: {auth: {token: 't'}}}", {}, ("127.0.0.1", 18789, "t")),
        ("{gateway: {port: 1234, auth: {mode: 'token', token: '${T}'}}}", {"T": "x"},
         ("127.0.0.1", 1234, "x")),
        ("{gateway: {port: 1234, auth: {mode: 'none'}}}", {"OPENCLAW_GATEWAY_PORT": "99"},
         ("127.0.0.1", 99, "")),
        ("{}", {"OPENCLAW_GATEWAY_TOKEN": "e"}, ("127.0.0.1", 18789, "e")),
        ("{gateway: {auth: {password: 'p'}}}", {}, ("127.0.0.1", 18789, "p")),
        ("{gateway: {bind: 'lan', auth: {mode: 'none'}}}", {}, ("127.0.0.1", 18789, "")),
        ("{gateway: {bind: 'custom', customBindHost: '10.0.0.7', auth: {mode: 'none'}}}", {},
         ("10.0.0.7", 18789, "")),
    ],
)  # fmt: skip
def test_the_gateway_is_found(
    write: Write, text: str, env: dict[str, str], found: tuple[str, int, str]
) -> None:
    write(text)
    assert find_gateway({**os.environ, **env}) == found


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "{gateway: {mode: 'remote', remote: {url: 'wss://far'}}}",
        "{gateway: {tls: {enabled: true}, auth: {token: 't'}}}",
        "{gateway: {auth: {mode: 'trusted-proxy'}}}",
        "{gateway: {auth: {token: {source: 'exec', provider: 'x', id: 'y'}}}}",
        "{gateway: {port: 'x', auth: {token: 't'}}}",
    ],
)
def test_a_gateway_that_cannot_be_used_is_an_error_with_a_reason(write: Write, text: str) -> None:
    write(text)
    with pytest.raises(AapError, match=r"OpenClaw|gateway"):
        find_gateway()
