"""Manual pages are well formed. That they are true is for test_agreement.py to say."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from harness.command import CHECKOUT

from aap.cli import manual

PAGES = sorted(path for path in (CHECKOUT / "man").iterdir() if path.suffix[1:].isdigit())
TEXTS = {page.name: page.read_text("utf-8") for page in PAGES}
WRITTEN = [page for page in PAGES if not TEXTS[page.name].startswith(".so ")]
OTHER_NAMES = [page for page in PAGES if TEXTS[page.name].startswith(".so ")]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    env = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=env)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_mandoc_finds_nothing_to_say(page: Path) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("no mandoc here")
    done = subprocess.run(
        ["mandoc", "-Tlint", str(page)], capture_output=True, text=True, check=False
    )
    # Our own pages are not installed where this runs.
    said = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
    assert said == []


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_groff_shows_it_without_a_warning(page: Path) -> None:
    done = run("man", "--warnings=all", "-E", "UTF-8", "-l", page)
    assert done.stderr == ""
    assert f"{page.stem}" in done.stdout


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_a_page_has_the_parts_that_readers_look_for(page: Path) -> None:
    text = TEXTS[page.name]
    assert f"\n.Dt {page.stem.upper()} {page.suffix[1:]}\n" in text
    titles = [line[4:] for line in text.splitlines() if line.startswith(".Sh ")]
    assert titles[0] == "NAME"
    assert titles[-1] == "SEE ALSO"
    assert {"DESCRIPTION", "EXAMPLES"} <= set(titles)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_references_among_our_own_pages_lead_somewhere(page: Path) -> None:
    for line in TEXTS[page.name].splitlines():
        words = line.split()
        if words[:1] == [".Xr"] and words[1].startswith("aap"):
            assert f"{words[1]}.{words[2]}" in TEXTS, line


@pytest.mark.parametrize("page", OTHER_NAMES, ids=lambda page: page.name)
def test_another_name_leads_to_the_page_that_has_the_command(page: Path) -> None:
    folder, name = TEXTS[page.name].split()[1].split("/")
    assert folder == f"man{page.suffix[1:]}"
    assert f"\n.Cm {page.stem.removeprefix('aap-')}\n" in TEXTS[name]


@pytest.mark.parametrize("name", manual.PARTS)
def test_what_is_in_a_table_is_written_from_it(name: str) -> None:
    assert manual.renew(name, TEXTS[name]) == TEXTS[name], "python -m aap.cli.manual man"
