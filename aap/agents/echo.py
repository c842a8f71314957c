"""The built-in agent that answers every message with its own text.

It needs no account and no network, so it shows that the way of a message works.
Run as `python -m aap.agents.echo` with the prompt on standard input.
"""

from __future__ import annotations

import sys

from aap.agents.prompt import read_messages


def main() -> int:
    """Print one reply for each message of the prompt."""
    prompt = sys.stdin.buffer.read().decode("utf-8", "replace")
    for message_id, text in read_messages(prompt):
        reply = " ".join(text.split())
        sys.stdout.buffer.write(f"echo {message_id}: {reply}\n".encode("utf-8", "replace"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
