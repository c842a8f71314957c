"""The JSON5 reader against a library, and the editor against the reader."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import json5 as library
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aap.openclaw import json5
from aap.openclaw.edit import set_value, updated, write

GOOD = [
    "null", "true", "-0.5e3", "+1", ".5", "5.", "0x1F", "-0x1f", "Infinity", "-Infinity", '""',
    "''", "'it\\'s'", '"a\\\nb"', "'\\x41\\u00e9'", "'\\0\\v\\q'", "[]", "[1,]",
    "{}", "{a:1,}", "{'a b': 1, \"c\": [2, {d: null}]}", "{$_x9: 1, ünï: 2}",
    "// c\n{/* d */a/**/:/* e\n */1// f\n,}// g", "\ufeff {\u00a0a\u2028: 1}", "{a: 1, a: 2}",
    "{\\u0061b: 1}", "{true: 1, null: 2, Infinity: 3}", "'\u2028'", "/**//***/1",
]  # fmt: skip
BAD = [
    "", "{", "[1", "[,]", "{,}", "{a}", "{a:}", "{a 1}", "{1: 2}", "tru", "01", "1 2", "'a",
    '"a\nb"',
    "/* ", "{a: 1} x", "0x", "1e", "'\\1'", "'\\x4'", "'\\u12'", "- 1", "{a: 1;}", "#", "nul",
    "[1 2]", "1_0", "'\\01'",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_reads_what_the_library_reads(text: str) -> None:
    assert json5.loads(text) == library.loads(text)


@pytest.mark.parametrize("text", BAD)
def test_refuses_what_the_library_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        library.loads(text)
    with pytest.raises(json5.Json5Error, match=r"^line \d+, column \d+: "):
        json5.loads(text)


def test_not_a_number_is_read() -> None:
    assert math.isnan(json5.loads("NaN"))


def test_two_escapes_make_one_character_as_in_json() -> None:
    assert json5.loads(r"'\ud83d\uDE00'") == "\U0001f600"


def test_errors_name_the_place() -> None:
    with pytest.raises(json5.Json5Error, match=r'^line 3, column 5: expected "," or "}"$'):
        json5.loads("{\n  a: 1\n    b: 2\n}")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a:" * 100_000, "[" * 150 + "]" * 150])
def test_depth_ends_in_an_error_and_not_in_a_crash(text: str) -> None:
    if len(text) > 1000:
        with pytest.raises(json5.Json5Error, match="nested too deep"):
            json5.loads(text)
    else:
        assert json5.loads(text)


KEYS = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["a", "b", "c-d", "$x"])
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8)
VALUES: Any = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


@pytest.mark.slow
@given(VALUES)
def test_reads_json(value: Any) -> None:
    assert json5.loads(json.dumps(value)) == value
    assert json5.loads(json.dumps(value, ensure_ascii=False, indent=2)) == value


@given(VALUES, st.booleans())
def test_reads_what_it_writes(value: Any, quoted: bool) -> None:
    assert json5.loads(write(value, quoted=quoted)) == value
    if quoted:
        assert json.loads(write(value, quoted=True)) == value


@given(st.text(max_size=40))
@settings(max_examples=300)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = json5.loads(text)
    except json5.Json5Error:
        return
    assert isinstance(value, (dict, list, str, int, float, bool, type(None)))


# Editing


def dumped(value: Any, style: str) -> str:
    """A document in one of the styles that people and programs write."""
    if style == "compact":
        return json.dumps(value)
    if style == "json":
        return json.dumps(value, indent=4)
    return f"// head\n{write(value)}\n// tail\n"


@pytest.mark.slow
@given(OBJECTS, st.lists(KEYS, min_size=1, max_size=3), VALUES, st.sampled_from(
    ["compact", "json", "json5"]
))  # fmt: skip
@settings(max_examples=300)
def test_an_edit_comes_to_the_wanted_value(
    document: dict[str, Any], names: list[str], value: Any, style: str
) -> None:
    path = tuple(names)
    text = set_value(dumped(document, style), path, value)
    assert json5.loads(text) == updated(document, path, value)
    assert set_value(text, path, value) == text


WRITTEN = """{
  // where it listens
  gateway: { port: 18789 }, // keep
  "channels": {
    telegram: {
      enabled: true /* yes */, // a comment, with a comma
      // the last line
    },
    empty: {},
    noted: {
      // nothing yet
    },
  },
  list: [
    { id: "a" }, // first
    { id: "b" } // second
  ],
  last: 'x' // no comma, then a comment
}
"""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("gateway", "port"), 1),
        (("gateway", "auth", "mode"), "none"),
        (("channels", "telegram", "historyLimit"), 0),
        (("channels", "empty", "enabled"), False),
        (("channels", "noted", "enabled"), False),
        (("channels", "noted", "a", "b"), [1, {"c": 2}]),
        (("list", 1, "name"), "B"),
        (("list", 2), {"id": "c"}),
        (("list", 0), "replaced"),
        (("last", "deeper"), True),
        (("new-one",), {"a": 1}),
    ],
)
def test_comments_and_everything_else_stay(path: tuple[str | int, ...], value: Any) -> None:
    text = set_value(WRITTEN, path, value)
    assert json5.loads(text) == updated(json5.loads(WRITTEN), path, value)
    assert re.findall(r"//[^\n]*|/\*.*?\*/", text) == re.findall(r"//[^\n]*|/\*.*?\*/", WRITTEN)
    gone = [line for line in WRITTEN.splitlines() if line not in text.splitlines()]
    assert len(gone) <= 1  # the changed line, or the one that got a comma


def test_what_is_added_looks_like_its_neighbours() -> None:
    assert set_value('{\n\t"a": {\n\t\t"b": 1\n\t}\n}\n', ("a", "c"), {"d": 2}) == (
        '{\n\t"a": {\n\t\t"b": 1,\n\t\t"c": {\n\t\t\t"d": 2\n\t\t}\n\t}\n}\n'
    )
    assert set_value("{a:1}", ("b",), True) == "{a:1, b: true}"
    assert set_value("{}", ("b",), 1) == '{\n  "b": 1\n}'
