"""Yes/no questions that a command asks before it changes something for good."""

from __future__ import annotations

from trustcli.errors import UsageError
from trustcli.session import Session


def confirm(session: Session, question: str) -> bool:
    """Ask the user; return False if nobody can be asked or nobody answers."""
    if session.settings.non_interactive:
        return False
    from trustcli.console.prompt import TerminalPrompt

    return TerminalPrompt().confirm(question)


def confirm_or_stop(session: Session, question: str, *, yes: bool, nothing: str, to: str) -> None:
    """Ask the user, unless `yes` is given already. Raises: UsageError if the answer is not yes.

    `nothing`, `to`: what the error says was not done, and what can be done without being asked, such as "nothing was
    removed" and "remove the key".
    """
    if not yes and not confirm(session, question):
        raise UsageError(f"{nothing}; to {to} without being asked: --yes")
