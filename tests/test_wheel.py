"""The wheel: built as pip builds it, installed as a user does, with all that belongs to it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from harness.command import CHECKOUT, environment

from aap import __version__, shared, skillset

pytestmark = pytest.mark.slow


def run(*words: str | Path, **env: str) -> str:
    done = subprocess.run(
        words, cwd="/", env=environment(PYTHONPATH="", **env), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, for a build leaves its traces; hatchling is of the development extras."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns(".*", "__pycache__", "tests")
    shutil.copytree(CHECKOUT, folder / "source", ignore=ignore)
    pip = (sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, folder / "source")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with aap in it; what aap needs is lent by that of the tests."""
    folder = tmp_path_factory.mktemp("prefix") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", folder / "bin/python", "install")
    run(*pip, "--no-index", "--no-deps", wheel)
    site = run(
        folder / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
    )
    Path(site.strip(), "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_it_puts_everything_in_the_standard_places(wheel: Path) -> None:
    data = f"aap-{__version__}.data/data/share/"
    with zipfile.ZipFile(wheel) as archive:
        names = [name.removeprefix(data) for name in archive.namelist() if name.startswith(data)]
        assert {name: archive.read(data + name) for name in names} == shared.wanted()
        others = {name for name in archive.namelist() if name.startswith(("tests", "scripts"))}
    assert others == set()


def test_a_user_has_the_command(prefix: Path) -> None:
    assert run(prefix / "bin/aap", "--version") == f"aap {__version__}\n"
    assert "Set up:" in run(prefix / "bin/aap", "--help")


def test_it_brings_along_what_install_puts_in_place(prefix: Path) -> None:
    code = (
        "from aap import shared, skillset; print(shared.source('man'), skillset.source(),"
        " *shared.wanted(), *(skill.name for skill in skillset.skills()), sep='\\n')"
    )
    found = run(prefix / "bin/python", "-c", code).splitlines()
    assert all(path.startswith(f"{prefix}/lib/") for path in found[:2])
    assert found[2:] == [*shared.wanted(), *(skill.name for skill in skillset.skills())]
    (templates,) = prefix.glob("lib/python*/site-packages/aap/systemd/templates")
    shipped = {path.name for path in (CHECKOUT / "packaging/systemd").iterdir()}
    assert {path.name for path in templates.iterdir()} == shipped


@pytest.mark.parametrize("page", ["aap", "aap-inbox", "aap-resume", "5 aap.conf", "7 aap"])
def test_man_finds_the_pages_beside_the_command(prefix: Path, page: str) -> None:
    if shutil.which("manpath") is None:
        pytest.skip("no man-db here")
    shown = run("/usr/bin/man", *page.split(), PATH=f"{prefix}/bin:/usr/bin:/bin")
    assert "NAME" in shown
    assert "aap" in shown
