"""What a hook says that had no verdict within its time. Nothing is imported, so that it can be said in any state.

The process may be out of memory or of open files by then, or hang in the middle of an import.
"""

from __future__ import annotations

DEFAULT_TIMEOUT = 8.0
"""Seconds for one verdict: below containerd's per_verifier_timeout (10), which kills the verifier without a message."""
ADVICE = "see that the trust server answers, or raise [verifier] timeout and per_verifier_timeout together"


def late_sentence(seconds: int, doing: str) -> str:
    """Return what happened. `doing`: the slow step, fit to be printed."""
    return f"no verdict within {seconds} s, while {doing}"


def late_line(seconds: int, doing: str) -> str:
    """Return the whole line of the refusal."""
    return f"{late_sentence(seconds, doing)}; next: {ADVICE}"
