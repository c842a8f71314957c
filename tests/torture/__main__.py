"""`scripts/torture`: runs the proofs that are named, and says which promises held."""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module

from torture.proof import Proof, UnableError

# Modules of this package; each has a Proof named PROOF.
NAMES: tuple[str, ...] = (
    "crash",
    "machine",
    "power",
    "peers",
    "chaos",
    "hostile",
    "faults",
    "installs",
    "fuzz",
    "debian13",
    "soak",
)


def load(name: str) -> Proof:
    """Import one proof."""
    found: Proof = import_module(f"torture.{name}").PROOF
    return found


def run(name: str, minutes: float | None) -> bool:
    """Run one proof for so long, or its own time; print what it says, and how it ended."""
    proof = load(name)
    print(f"\n== {name}: {proof.promise}", flush=True)
    start = time.monotonic()
    try:
        held = proof.run(minutes or proof.minutes)
    except UnableError as error:
        print(f"   not tried: {error}")
        return False
    took = time.monotonic() - start
    print(f"   {'held' if held else 'BROKEN'}, after {took:.0f} s", flush=True)
    return held


def main() -> int:
    """Run what the command line names, or list what there is."""
    parser = argparse.ArgumentParser(prog="scripts/torture")
    parser.add_argument("--minutes", type=float, help="about, in all; else each takes its own")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, or some of them")
    options = parser.parse_args()
    if not options.names:
        for name in NAMES:
            print(f"{name:<10} {load(name).promise} ({load(name).minutes:g} minutes)")
        return 0
    names = NAMES if options.names == ["all"] else tuple(options.names)
    if unknown := set(names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {' '.join(NAMES)}")
    each = options.minutes / len(names) if options.minutes else None
    results = [run(name, each) for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
