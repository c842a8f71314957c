"""KEY=VALUE files are read as systemd reads them, and every doubtful line is named."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aap.config.envfile import DoubtfulConfigError, decode, parse, show_line

from .corpus import CASES, HARMLESS, Case

by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def environment(text: str) -> dict[str, str]:
    """What systemd hands to a service: the last of each name, identifiers only."""
    pairs = {entry.key: entry.value for entry in parse(text).assignments}
    return {
        key: value for key, value in pairs.items() if re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII)
    }


@by_name
def test_a_value_is_what_systemd_reads(case: Case) -> None:
    assert environment(case.text) == case.env


@by_name
def test_each_doubtful_line_has_its_finding(case: Case) -> None:
    findings = parse(case.text).findings
    assert tuple(finding.code for finding in findings) == case.codes
    assert {finding.code for finding in findings if finding.harmless} <= HARMLESS
    assert all(finding.hint for finding in findings)


@by_name
def test_a_finding_names_a_place_in_the_file(case: Case) -> None:
    lines = re.split(r"\r\n|\n|\r", case.text)
    for finding in parse(case.text, "aap.conf").findings:
        assert 1 <= finding.column <= len(lines[finding.line - 1]) + 1
        assert str(finding).startswith(f"aap.conf:{finding.line}:{finding.column}: ")


def test_a_finding_shows_the_line_with_a_caret_and_the_nearest_key() -> None:
    (finding,) = parse("\n\tPROT=1\n", "aap.conf").findings
    assert finding.hint == "did you mean PORT?"
    assert str(finding).startswith("aap.conf:2:2: PROT is no setting of aap\n")
    (finding,) = parse("\n\tPORT=1 #\tone\n", "aap.conf").findings
    assert str(finding).split("\n")[1:] == ["    \tPORT=1 #\tone", "    \t       ^"]


@pytest.mark.parametrize(
    "line",
    [
        'API_KEY="hush-hush-hush',
        "API_KEY=hush-hush-hush # mine",
        "export A2A_KEY=hush-hush-hush",
        "APIKEY=hush-hush-hush",
        "aap_long_token_hush-hush-hush",
        "long_token_hush_hush_hush==",
        "export long_token_hush_hush_hush==",
        "api key=hush-hush-hush",
        '"API_KEY"="hush-hush-hush"',
    ],
)
def test_no_finding_shows_a_secret(line: str) -> None:
    findings = parse(line + "\n").findings
    assert findings
    assert "hush" not in "".join(map(str, findings))


def test_an_excerpt_cannot_steer_a_terminal() -> None:
    assert show_line("PORT=\x1b[2J\x9b1") == "PORT=\ufffd[2J\ufffd1"


@pytest.mark.parametrize("text", ["PORT=1\0", "REPLY=a\ufffe", "REPLY=\ufdd0", "REPLY=\U0001ffff"])
def test_what_systemd_takes_for_no_text_is_a_finding(text: str) -> None:
    parsed = parse(text)
    assert [finding.code for finding in parsed.findings] == ["not-text"]
    assert parsed.assignments == ()


def test_bytes_that_are_no_utf8_are_named_with_their_place() -> None:
    with pytest.raises(DoubtfulConfigError) as caught:
        decode(b"PORT=1\nREPLY=\xff\n", "aap.conf")
    assert str(caught.value).startswith("aap.conf:2:7: ")


KEYS = ["PORT", "REPLY", "export PORT", "WORKDIR", "PROT", "API_KEY"]
PIECES = st.sampled_from(
    [*KEYS, "=", '"', "'", "\\", "\n", "\r", "#", ";", " ", "\t", "$", "a", "é"]
)


@pytest.mark.slow
@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)))
@example("=")
@example('PORT="\\')
@settings(max_examples=400, deadline=None)
def test_no_text_is_too_strange(text: str) -> None:
    parsed = parse(text, "aap.conf")
    for finding in parsed.findings:
        assert finding.line >= 1 and finding.column >= 1
        assert str(finding)
    for entry in parsed.assignments:
        assert text[entry.start : entry.end].startswith(entry.key)
