"""The demonstration works, because it is the first thing that a stranger tries."""

from __future__ import annotations

import subprocess
import sys

import pytest
from harness.machine import CHECKOUT

pytestmark = [pytest.mark.systemd, pytest.mark.slow, pytest.mark.usefixtures("machine")]


def test_the_demonstration_shows_three_messages_on_their_whole_way() -> None:
    shown = subprocess.run(
        [sys.executable, "-B", CHECKOUT / "scripts/demo.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for step in (" spool   inbox/", " spool   active/", " spool   done/", " agent   echo "):
        assert shown.stdout.count(step) == 3, step
    assert shown.stdout.count("aap-api.socket: a connection came in; starts aap-api.service") == 3
    assert shown.stdout.count("aap-worker@….path: the inbox is not empty; starts") == 3
