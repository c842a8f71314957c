"""The tests of a real systemd, once more on that of Debian 13: systemd 257, Python 3.13.

Its root is made by debootstrap below .cache/ the first time (half a minute, 900 MB); then
tests/systemd boots that instead of this machine's, see `harness.machine.booted`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from torture.proof import Proof, UnableError

SUITE = "trixie"
CHECKOUT = Path(__file__).parents[2]
ROOT = CHECKOUT / ".cache/debian13"
LOG = CHECKOUT / ".cache/debian13.log"
TESTS = CHECKOUT / "tests/systemd"
# What needs programs of this machine that Debian 13 is not given: node, for the agents.
NOTHING = 5  # pytest's exit code where no test is chosen
LEFT_OUT = ("test_real_agents.py", "test_demo.py")


def make_root() -> Path:
    """Have the root, as new as the checkout's packages; raises UnableError."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise UnableError("it takes root, and debootstrap")
    command = ["sh", CHECKOUT / "tests/harness/root.sh", SUITE, ROOT, CHECKOUT]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise UnableError(f"its root cannot be made: {made.stderr.strip()[-500:]}")
    return ROOT


def versions(root: Path) -> str:
    """Name what is different there."""
    packages = ["dpkg-query", f"--root={root}", "-W", "-f", "${Package} ${Version}, "]
    wanted = ["systemd", "python3", "libc6", "dbus"]
    return subprocess.check_output([*packages, *wanted], text=True).rstrip(", ")


def _run(_minutes: float) -> bool:
    """Takes the time it takes."""
    root = make_root()
    LOG.unlink(missing_ok=True)
    print(f"   {versions(root)}; all that the tests print is in {LOG}", flush=True)
    chosen = sorted(path for path in TESTS.glob("test_*.py") if path.name not in LEFT_OUT)
    # As scripts/test runs them.
    beside = _run_tests(root, chosen, "-n", "2", "--dist", "loadfile", "--alone", "leave")
    alone = _run_tests(root, chosen, "--alone", "only")
    return beside and alone


def _run_tests(root: Path, chosen: list[Path], *options: str) -> bool:
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *chosen]
    environ = os.environ | {"AAP_TEST_ROOT": str(root), "AAP_REQUIRE_SYSTEMD": "1"}
    done = subprocess.run(
        pytest, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False
    )
    with LOG.open("a") as log:  # why a test failed
        log.write(done.stdout)
    lines = done.stdout.splitlines()
    for line in (each for each in lines if each.startswith(("FAILED", "ERROR", "SKIPPED"))):
        print(f"      {line}")
    print(f"   {len(chosen)} modules: {lines[-1] if lines else done.stderr[-500:]}", flush=True)
    return done.returncode in {0, NOTHING}


PROOF = Proof("all that holds on this machine's systemd holds on that of Debian 13", _run)
