"""Suggest the word that a mistyped one was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable

from trustdata.errors import shown


def one_of(word: str, known: Iterable[str]) -> str:
    """Return `; write one of tuf, notary` for a word that is not one of them, and which of them may have been meant."""
    choices = list(known)
    return f"; write one of {', '.join(choices)}{did_you_mean(word, choices)}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'sign'?` for a word that is like a known one, else nothing."""
    import difflib  # only after a mistake: start-up time

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{shown(found[0])}'?" if found else ""
