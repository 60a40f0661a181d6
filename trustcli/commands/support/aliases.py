"""Change a collection only under its own name, or when the user has agreed that an alias means it."""

from __future__ import annotations

from collections.abc import Iterable

from trustcli.client.policy_file import load_policy
from trustcli.commands.support.confirmation import confirm
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.errors import InvalidName
from trustdata.gun import GUN


def agree_to_aliases(session: Session, guns: Iterable[GUN], *, yes: bool) -> None:
    """Name the collection that each alias means, and ask whether it is to be changed. `yes`: it is; nobody is asked.

    An alias of the machine's policy (`[verifier] policy`) is refused: images are judged by it, and nothing else.

    Raises: UsageError (nobody agreed), InvalidName, SettingsUnusable (`pins.toml` cannot be read), PolicyMalformed,
    FileNewer, FileExposed.
    """
    file = session.settings.verifier.policy
    policy = load_policy(file) if file is not None else None
    for gun in dict.fromkeys(guns):
        if policy is not None and (trust_name := policy.trust_name(gun)) != gun:
            raise InvalidName(kind="collection name", name=gun, reason=f"{file} makes it an alias; name {trust_name}")
        real = session.real_name(gun)
        if real == gun:
            continue
        session.output.notice(f"{gun} is an alias of {real}, whose collection is changed")
        if not yes and not confirm(session, f"Change {real}?"):
            raise UsageError(f"{gun} is an alias of {real}; name {real}, or agree to its change with --yes")
