"""`aap inbox show --attachment`: files out of a message, for nobody else to read."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.command import AAP, Run, environment

from aap.inbox import Spool


@pytest.fixture
def picture(spool: Spool) -> tuple[str, bytes]:
    """The id of a message with a picture and a link, and the picture."""
    content = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": "https://x.example/b.png"}},
    ]
    body = {"messages": [{"role": "user", "content": parts}]}
    return spool.deliver(json.dumps(body).encode()), content


def test_an_attachment_is_written_to_a_file_of_its_owner(
    aap: Run, picture: tuple[str, bytes], tmp_path: Path
) -> None:
    ident, content = picture
    file = tmp_path / "a.png"
    words = ("inbox", "show", ident, "--attachment", "1", "--output", str(file))
    assert (done := aap(*words)).returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert file.read_bytes() == content
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("mine")
    done = aap(*words)
    assert (done.returncode, file.read_text()) == (2, "mine")
    assert "--force" in done.stderr
    assert aap(*words, "--force").returncode == 0
    assert file.read_bytes() == content


def test_an_attachment_never_follows_a_link(
    aap: Run, picture: tuple[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    words = ("inbox", "show", picture[0], "--attachment", "1", "--output", str(tmp_path / "link"))
    assert aap(*words).returncode == 2
    assert aap(*words, "--force").returncode == 0
    assert not (tmp_path / "elsewhere").exists()


def test_an_attachment_goes_to_stdout(picture: tuple[str, bytes]) -> None:
    words = (*AAP, "inbox", "show", picture[0], "--attachment=1", "--output=-")
    done = subprocess.run(words, capture_output=True, env=environment(), check=True)
    assert done.stdout == picture[1]


def test_attachments_are_listed_for_programs(
    documents: Callable[..., list[dict[str, Any]]], picture: tuple[str, bytes], aap: Run
) -> None:
    ident, content = picture
    (shown,) = documents("inbox", "show", ident)
    assert shown["attachments"] == [
        {"index": 1, "type": "image/png", "size": len(content), "name": None, "url": None},
        {"index": 2, "type": "image", "size": None, "name": None, "url": "https://x.example/b.png"},
    ]
    assert (
        "1: image/png 77 kB, 2: image https://x.example/b.png" in aap("inbox", "show", ident).stdout
    )


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--attachment", "3", "--output", "-"), 5),
        (("--attachment", "0", "--output", "-"), 5),
        (("--attachment", "2", "--output", "-"), 5),  # only a link
        (("--attachment", "1"), 2),
        (("--output", "-"), 2),
        (("--force",), 2),
        (("--attachment", "1", "--output", "-", "--raw"), 2),
        (("--attachment", "1", "--output", "-", "--json"), 2),
        (("--attachment", "x", "--output", "-"), 2),
        (("--attachment", "1", "--output", "/nowhere/at/all"), 5),
    ],
)
def test_attachments_that_cannot_be_had(
    aap: Run, picture: tuple[str, bytes], words: tuple[str, ...], code: int
) -> None:
    done = aap("inbox", "show", picture[0], *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("aap: ")
