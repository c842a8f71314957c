"""What an agent keeps between runs (`cache`, `blocks`), and how well its input is cached (`usage`).

stdlib only. The worker needs `usage` alone, so nothing else is imported here.
"""

from aap.context.usage import Run, Stats, pointer, read_runs, record, summarize

__all__ = ["Run", "Stats", "pointer", "read_runs", "record", "summarize"]
