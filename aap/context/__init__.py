"""What an agent keeps between runs: the block file of the context cache, and how well it is cached.

stdlib only and quick to import: the worker uses it too.
"""

from aap.context.blocks import Block, Finding, find_faults, parse
from aap.context.cache import Cache
from aap.context.usage import Run, Stats, pointer, read_runs, record, summarize

__all__ = [
    "Block",
    "Cache",
    "Finding",
    "Run",
    "Stats",
    "find_faults",
    "parse",
    "pointer",
    "read_runs",
    "record",
    "summarize",
]
