"""An agent that writes down what it is given, and is as unreliable as real ones are.

    python moody.py LEDGER OUTAGES PROMPT

A line of LEDGER is `SECONDS WORD ID TEXT`, durable before the agent goes on: SECONDS on
the monotonic clock, WORD `given` for what it was shown and `done` for what it settled
itself. OUTAGES is the share of runs, from 0 to 1, in which it says that it cannot now.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from aap.agents.prompt import read_messages

AAP = (sys.executable, "-m", "aap.cli.main")
HOOK = (sys.executable, "-I", "-m", "aap.worker.hook", os.environ["AAP_WORKSPACE"])


class Ledger:
    """What was given and what was done, in order."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, word: str, messages: list[tuple[str, str]]) -> None:
        lines = [f"{time.monotonic():.6f} {word} {ident} {text}\n" for ident, text in messages]
        os.write(self._fd, "".join(lines).encode())
        os.fsync(self._fd)


def read(prompt: str) -> list[tuple[str, str]]:
    return [(ident, text.splitlines()[0]) for ident, text in read_messages(prompt)]


def ask_hook(event: str) -> str:
    """What a CLI would show its model at this event."""
    asked = json.dumps({"hook_event_name": event})
    done = subprocess.run(HOOK, input=asked, stdout=-1, text=True, check=False)
    if not done.stdout:
        return ""
    answer = json.loads(done.stdout)
    return answer.get("reason") or answer["hookSpecificOutput"]["additionalContext"]


def work_with_hooks(ledger: Ledger) -> None:
    """Do what codex and claude do: a tool call or two, then the end, put off if need be."""
    event = "PostToolUse"
    while True:
        time.sleep(random.uniform(0.1, 0.8))  # a tool at work, and people who write meanwhile
        told = ask_hook(event)
        if told and random.random() < 0.3:
            return  # the answer came too late for this CLI: the model never saw it
        ledger.add("given", read(told))
        if event == "Stop" and not told:
            return
        event = "Stop"


def settle_some(ledger: Ledger, given: list[tuple[str, str]]) -> None:
    for message in random.sample(given, min(2, len(given))):
        if subprocess.run([*AAP, "inbox", "done", message[0]], check=False).returncode == 0:
            ledger.add("done", [message])


def moods(outages: float) -> Iterator[tuple[float, str]]:
    yield outages, "outage"
    yield 0.04, "fail"
    yield 0.03, "refused"
    yield 0.05, "slow"
    yield 0.05, "talkative"
    yield 0.12, "settle"
    yield 0.12, "hooks"


def choose(outages: float) -> str:
    point = random.random()
    for share, mood in moods(outages):
        point -= share
        if point < 0:
            return mood
    return "well"


def main(path: str, outages: str, prompt: str) -> int:
    given = read(prompt)
    ledger = Ledger(path)
    ledger.add("given", given)
    Path(os.environ["AAP_WORKSPACE"], "scratch").write_text(prompt)  # fails on a bad disk
    time.sleep(random.uniform(0.02, 0.2))
    mood = choose(float(outages))
    if mood == "slow":
        time.sleep(random.uniform(0.3, 1.5))
    elif mood == "talkative":
        print("words, words, words\n" * 10_000)
    elif mood == "refused":
        print("Error: 429 Too Many Requests", file=sys.stderr)
    elif mood == "settle":
        settle_some(ledger, given)
    elif mood == "hooks":
        work_with_hooks(ledger)
    return {"outage": 75, "fail": 1, "refused": 1}.get(mood, 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
