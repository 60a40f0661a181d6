"""Change a collection only under its own name, or when the user has agreed that an alias means it."""

from __future__ import annotations

from collections.abc import Iterable

from trustcli.commands.support.confirmation import confirm
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.errors import InvalidName
from trustdata.gun import GUN


def agree_to_aliases(session: Session, guns: Iterable[GUN], *, yes: bool, agreement: str = "--yes") -> None:
    """Name the collection that each alias means, and ask whether it is to be changed. `yes`: it is; nobody is asked.

    `agreement`: how whoever calls can agree beforehand.

    Raises: UsageError (nobody agreed); as `CollectionNames.named`.
    """
    for gun in dict.fromkeys(guns):
        named = session.names.named(gun)
        if not named.is_alias:
            continue
        real = named.real
        session.output.notice(f"{gun} is an alias of {real} ({named.declared_in}), whose collection is changed")
        if not yes and not confirm(session, f"Change {real}?"):
            raise UsageError(f"{gun} is an alias of {real}; name {real}, or agree to its change with {agreement}")


def refuse_alias(session: Session, gun: GUN) -> None:
    """Refuse an alias where only the collection's own name will do. Raises: InvalidName; as `CollectionNames.named`."""
    named = session.names.named(gun)
    if named.is_alias:
        reason = f"{named.declared_in} makes it an alias; name {named.real}"
        raise InvalidName(kind="collection name", name=gun, reason=reason)
