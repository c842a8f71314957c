"""Feeds one target of fuzz.py, and looks which inputs reach new code.

    guided.py TARGET SECONDS

A program of its own: atheris ends the process, and has to change aap's modules as they
are imported.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["aap"]):
    from torture import fuzz


def main(name: str, seconds: str) -> None:
    """Fuzz; the process ends with 0 if nothing was found."""
    target = fuzz.TARGETS[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            Path(corpus, str(number)).write_bytes(seed)
        limits = [f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=4096"]
        atheris.Setup([sys.argv[0], *limits, corpus], lambda raw: fuzz.check(target, raw))
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
