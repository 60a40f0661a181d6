"""Yes/no questions that a command asks before it changes something for good."""

from __future__ import annotations

from trustcli.session import Session


def confirm(session: Session, question: str) -> bool:
    """Ask the user; return False if nobody can be asked or nobody answers."""
    if session.settings.non_interactive:
        return False
    from trustcli.console.prompt import TerminalPrompt

    return TerminalPrompt().confirm(question)
