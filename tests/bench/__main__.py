"""`scripts/bench`: measures aap and its peers, and prints which goals are met.

Exits 0 when everything was measured, whatever the figures say.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys

from .disk import open_disk
from .figures import MeasureError, Report
from .parts import PARTS, Bench


def main() -> int:
    """Measure the parts that the command line names."""
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no folder of a million")
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are: {' '.join(PARTS)}")
    # The clean-up is in the finally clauses.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return _measure(options.parts or list(PARTS), quick=options.quick)


def _measure(parts: list[str], *, quick: bool) -> int:
    report, code = Report(), 0
    with open_disk() as disk:
        print(f"{os.cpu_count()} processors, Linux {platform.release()}, Python "
              f"{platform.python_version()}; on {disk.kind}")  # fmt: skip
        print("median (least–most); ratios are taken round by round")
        for name in parts:
            folder = disk.folder / name
            folder.mkdir()
            try:
                PARTS[name](Bench(folder, report, quick))
            except MeasureError as error:
                print(f"  could not be measured: {error}", flush=True)
                code = 1
    report.end()
    return code


if __name__ == "__main__":
    sys.exit(main())
