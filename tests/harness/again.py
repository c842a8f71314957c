"""Runs commands of `aap` in turn, each in a process of its own, for so long.

    again.py SECONDS < COMMANDS      a JSON list of lists of words

Python and the modules are loaded once, so that the time goes into what commands do with
files. Prints {"runs": ..., "codes": {exit code: how often}, "said": all that was printed}.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter

import aap.cli.app
import aap.cli.main
import aap.inbox


def run(words: list[str], out: io.BufferedRandom) -> int:
    """Run one command; 124 if it had to be ended."""
    child = os.fork()
    if child == 0:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        signal.alarm(10)
        sys.argv = ["aap", *words]
        aap.cli.main.main()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return 124 if code == -signal.SIGALRM else code


def main(seconds: float) -> None:
    """Run all commands again and again."""
    commands = json.load(sys.stdin)
    end = time.monotonic() + seconds
    codes: Counter[int] = Counter()
    with tempfile.TemporaryFile() as out:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for words in itertools.cycle(commands):
            codes[run(words, out)] += 1
            if time.monotonic() > end:
                break
        out.seek(0)
        said = out.read().decode("utf-8", "replace")
    json.dump({"runs": codes.total(), "codes": codes, "said": said}, sys.stdout)


if __name__ == "__main__":
    main(float(sys.argv[1]))
