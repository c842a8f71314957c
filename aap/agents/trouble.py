"""Telling an agent's own outage from a failed run, by what it says of an error.

Only texts that an agent marks as errors come here, never what a model wrote: a
model that talks about rate limits is not rate-limited.
"""

from __future__ import annotations

import re

from aap.agents.agent import Ended, Outcome, Verdict

_OUTAGES = (
    ("not logged in", r"not logged in|please (?:run|log ?in)|/login|log ?in required|sign in"),
    ("not authorised", r"\b40[13]\b|unauthori[sz]ed|authentication|invalid.{0,20}api.?key|"
                       r"api.?key.{0,10}(?:in|not )valid|"
                       r"incorrect api key|missing.{0,30}(?:api.?key|environment variable)|"
                       r"credentials|forbidden"),
    ("rate limit or quota", r"\b429\b|rate.?limit|too many requests|usage limit|quota|"
                            r"insufficient.{0,10}(?:funds|credit|balance)|credit balance|billing"),
    ("service out of order", r"\b5\d\d\b|overloaded|internal server error|bad gateway|"
                             r"service unavailable|at capacity|high demand"),
    ("no network", r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|"
                   r"connection (?:refused|reset|error|closed)|could not resolve|dns error|"
                   r"error sending request|network (?:error|is unreachable)|"
                   r"stream (?:disconnected|error)|fetch failed|timed? ?out|"
                   r"waiting for network"),
)  # fmt: skip


def find_outage(text: str) -> str:
    """Name the outage that an error text speaks of; empty if it speaks of none."""
    piece = text[-4000:]
    for name, pattern in _OUTAGES:
        if re.search(pattern, piece, re.IGNORECASE):
            return name
    return ""


def judge_error(text: str) -> Outcome:
    """Turn an agent's error text into an outcome."""
    line = " ".join(text.split())[:300]
    outage = find_outage(text)
    if outage:
        return Outcome(Verdict.OUTAGE, f"{outage}: {line}")
    return Outcome(Verdict.FAILED, line)


def judge_process(ended: Ended) -> Outcome:
    """Read how the process ended, where what it printed says nothing.

    126 and 127 are the shell's "cannot run" and "not found"; 75 is EX_TEMPFAIL of
    sysexits(3), by which a command of the user's own can say "not now".
    """
    if ended.error:
        return Outcome(Verdict.OUTAGE, ended.error)
    if ended.timed_out:
        return Outcome(Verdict.FAILED, "the run took longer than RUN_TIMEOUT and was ended")
    if ended.code == 0:
        return Outcome(Verdict.OK)
    if ended.code in {75, 126, 127}:
        why = "says that it cannot now" if ended.code == 75 else "cannot be run"
        return Outcome(Verdict.OUTAGE, f"the agent's command {why} (exit code {ended.code})")
    how = f"signal {-ended.code}" if ended.code < 0 else f"exit code {ended.code}"
    return Outcome(Verdict.FAILED, f"the agent ended with {how}")
