"""The texts of the units, held against the real systemd-escape and systemd-analyze."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aap.errors import ConfigError
from aap.systemd import units
from aap.systemd.units import SYSTEM, USER, Plan

needs_systemd_tools = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)
WORKSPACE = Path("/home/ann/my w$ör%ks \"'\\-.d")
PLAN = Plan(
    python=sys.executable,
    listen="127.0.0.1:7011",
    workspaces={"main": WORKSPACE},
    secrets=Path("/home/ann/.config/a%b c/aap/secrets"),
    environ={"PATH": "/opt/a b/bin:/usr/bin", "AAP_CONFIG": '/x/100%/"q"/back\\slash'},
)
VARIANTS = [
    pytest.param(replace(PLAN, mode=mode, mounts=mounts), id=f"{mode}-{name}")
    for mode in (USER, SYSTEM)
    for mounts, name in ((True, "full"), (False, "seccomp"))
]


def analyze(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    return subprocess.run(
        ["systemd-analyze", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime), "HOME": str(folder)},
    )


def write(plan: Plan, folder: Path) -> list[Path]:
    """Write the units with templates instantiated, as systemd-analyze wants to see them."""
    plan = replace(plan, systemd=running_version())
    escaped = units.instance(WORKSPACE)
    for name, text in units.render(plan).items():
        if name.startswith("/"):  # of systemd-sysusers and systemd-tmpfiles
            continue
        path = folder / name.replace("@", f"@{escaped}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return sorted(path for path in folder.iterdir() if path.is_file())


def running_version() -> int:
    printed = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True)
    return int(printed.stdout.split()[1])


@needs_systemd_tools
@pytest.mark.parametrize("plan", VARIANTS)
def test_systemd_finds_nothing_wrong_in_any_unit(plan: Plan, tmp_path: Path) -> None:
    paths = write(plan, tmp_path)
    assert len(paths) == len(units.TEMPLATES)
    verified = analyze("verify", "--man=no", f"--{plan.mode}", *paths, folder=tmp_path)
    assert verified.stderr == ""
    assert verified.returncode == 0


@needs_systemd_tools
@pytest.mark.parametrize("mode", [USER, SYSTEM])
def test_little_is_exposed(mode: str, tmp_path: Path) -> None:
    write(replace(PLAN, mode=mode), tmp_path)
    limits = {"aap-api": 1.0, "aap-worker": 2.0, "aap-sweep": 2.0}
    for path in tmp_path.glob("*.service"):
        rated = analyze("security", "--offline=yes", f"--{mode}", path, folder=tmp_path)
        match = re.search(r"Overall exposure level for .*: ([\d.]+)", rated.stdout)
        assert match, rated.stderr
        assert float(match[1]) <= limits[path.name.split("@")[0].removesuffix(".service")]


NAME_MAX = 255  # bytes; of a longer name systemd-escape says that it is no path


@needs_systemd_tools
@given(path=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1)))
@settings(max_examples=60, deadline=None)
def test_an_instance_is_what_systemd_escape_says(path: list[str]) -> None:
    path = [part for part in path if part != ".." and len(part.encode()) <= NAME_MAX]
    whole = "/" + "/".join(path)
    said = subprocess.run(
        ["systemd-escape", "--path", "--", whole], capture_output=True, text=True, check=True
    )
    assert units.instance(Path(whole)) == said.stdout.removesuffix("\n")


def test_a_path_that_systemd_cannot_name_is_refused() -> None:
    for path in ("relative/path", "/a/../b"):
        with pytest.raises(ConfigError):
            units.instance(Path(path))


def test_a_path_is_refused_from_the_first_character_that_is_too_much() -> None:
    room = units.NAME_MAX - len("aap-worker@.service")
    units.check_name(Path("/" + "x" * room))
    with pytest.raises(ConfigError, match="200 characters") as caught:
        units.check_name(Path("/" + "x" * (room + 1)))
    assert "ln -s" in caught.value.hint


def test_a_control_character_never_reaches_a_unit_file() -> None:
    with pytest.raises(ConfigError):
        units.render(replace(PLAN, environ={"PATH": "/bin\nExecStart=/bin/sh"}))


def test_directives_follow_the_version_of_systemd() -> None:
    old = units.render(replace(PLAN, systemd=252))["aap-worker@.service"]
    new = units.render(replace(PLAN, systemd=254))["aap-worker@.service"]
    assert "RestartSteps=" not in old
    assert "RestartSteps=" in new


@pytest.mark.parametrize("plan", VARIANTS)
def test_nothing_of_the_template_language_is_left(plan: Plan) -> None:
    for text in units.render(plan).values():
        assert not re.search(r"@[A-Z_]+@|^\?", text, re.MULTILINE)
        filled = re.sub("^(CapabilityBoundingSet|BindPaths)=$", "", text, flags=re.MULTILINE)
        assert not re.search(r"=\s*$", filled, re.MULTILINE)


def test_a_workspace_with_a_quote_in_its_path_is_not_bound() -> None:
    folders = {"main": Path("/home/ann/work"), "other": Path("/home/ann/it's mine")}
    texts = units.render(replace(PLAN, workspaces=folders))
    assert "BindPaths" not in texts[units.others_drop_in(folders["main"])]
    assert "\nBindPaths=\nReadWritePaths=%f\n" in texts[units.others_drop_in(folders["other"])]


@pytest.mark.parametrize("mode", [USER, SYSTEM])
def test_without_namespaces_no_unit_asks_for_one(mode: str) -> None:
    # With any of these, a unit of the user manager fails to start (217, 218, 226) or
    # the option is left out in silence.
    needs = r"^(PrivateUsers|Protect\w+|Private(Tmp|Devices|Network|IPC)|ReadWritePaths|"
    needs += r"InaccessiblePaths|CapabilityBoundingSet|ProcSubset)="
    for text in units.render(replace(PLAN, mode=mode, mounts=False)).values():
        assert not re.search(needs, text, re.MULTILINE)


def test_the_worker_hides_the_secrets_and_the_way_to_the_manager() -> None:
    text = units.render(PLAN)["aap-worker@.service"]
    hidden = " ".join(re.findall(r"^InaccessiblePaths=(.*)$", text, re.MULTILINE))
    for path in ("%h/.ssh", "%h/.gnupg", "-%t", "a%%b c/aap/secrets", "/run/docker.sock"):
        assert path in hidden


def test_only_the_workspaces_inbox_is_opened_for_the_api() -> None:
    texts = units.render(PLAN)
    assert "ReadWritePaths=" not in texts["aap-api.service"]
    of_api = [name for name in texts if name.startswith(f"{units.API}.d/")]
    own = [line for name in of_api for line in texts[name].splitlines()]
    paths = [line for line in own if line.startswith("ReadWritePaths=")]
    assert paths == ['ReadWritePaths="-/home/ann/my w$ör%%ks \\"\'\\\\-.d/.ai-agent-proxy/inbox"']
