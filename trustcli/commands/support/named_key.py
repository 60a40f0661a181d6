"""A key that the user names, of which only the public half counts: which collections have it, and in which roles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keys import recovery_file
from keys.algorithms import key_fingerprint
from keys.errors import KeyIsPrivate, KeyNotFound, KeyUnknown
from keys.uris.uri import is_key_uri
from trustcli.commands.support.signer_key import signer_key
from trustcli.session import Session
from trustdata.envelope import Envelope
from trustdata.errors import shown
from trustdata.model import Key
from trustdata.roles import ROOT, TARGETS, RoleName
from trustdata.sought_key import SoughtKey

_DIGITS: Final = re.compile(r"[0-9a-f]{12,64}")
"""Digits of a key id that is not in the store: fewer could be met by chance."""
_ANY_DIGITS: Final = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedKey(SoughtKey):
    """A key that the user has named, and how. `fingerprint`: empty if only digits of its id are known."""

    named: str

    def roles(self, roles: Mapping[RoleName, Envelope]) -> list[RoleName]:
        """Return the roles of a collection that name the key."""
        root = roles[ROOT].root
        found = self.among(root.keys)
        named = [RoleName(name) for name, role in root.roles.items() if found & set(role.keyids)]
        targets = roles[TARGETS].targets if TARGETS in roles else None
        if targets is not None and targets.delegations is not None:
            found = self.among(targets.delegations.keys)
            delegated = targets.delegations.roles or {}
            named += [RoleName(name) for name, role in delegated.items() if found & set(role.keyids)]
        return named


def named_key(session: Session, named: str) -> NamedKey:
    """Return the key that a text names: one of the store, a key URI, a key file, or at least 12 digits of an id.

    Raises: KeysError.
    """
    if is_key_uri(named):
        return NamedKey(named=named, fingerprint=key_fingerprint(signer_key(session, named)))
    try:
        return NamedKey(named=named, fingerprint=key_fingerprint(session.keystore.get(named).public))
    except KeyNotFound as error:
        if Path(named).is_file():
            return NamedKey(named=named, fingerprint=key_fingerprint(_in_file(session, Path(named))))
        if _DIGITS.fullmatch(named):  # a key that is lost is not in the store
            return NamedKey(named=named, digits=named)
        raise KeyUnknown(key=shown(named), named=True) from error


def key_of_few(session: Session, named: str) -> NamedKey:
    """Return the key that a text names where a few can be meant: any digits of an id will do. Raises: KeysError."""
    if _ANY_DIGITS.fullmatch(named) and all(info.name != named for info in session.keystore.list()):
        return NamedKey(named=named, digits=named)
    return named_key(session, named)


def _in_file(session: Session, file: Path) -> Key:
    try:
        return signer_key(session, str(file))
    except KeyIsPrivate:
        platform_secrets = session.settings.platform_secrets
        return recovery_file.read_public_key(file, session.passphrases, platform_secrets=platform_secrets)
