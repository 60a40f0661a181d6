"""Refuse keys that were removed as compromised, before a command proposes one or puts one in place."""

from __future__ import annotations

from keys.algorithms import accepted_fingerprints
from keys.keyid import short_keyid
from trustcli.client.ports import PublishRemote
from trustcli.errors import KeyCompromised, RemoteMisbehaved
from trustcli.publish import key_record
from trustcli.session import Session
from trustcli.state.compromised import CompromisedKeys
from trustdata.model import Key
from trustdata.roles import RoleName


def compromised_list(session: Session) -> CompromisedKeys:
    """Return the list of this user, to which a key is added when it is removed as compromised."""
    return key_record.compromised_list(session.settings.home)


def compromised_keys(session: Session) -> frozenset[str]:
    """Return the fingerprints of the keys that must not return. Raises: SettingsUnusable, FileNewer, FileExposed."""
    return frozenset(key_record.compromised_keys(session.settings.home))


def refuse_compromised(session: Session, key: Key) -> None:
    """Refuse a key that was removed as compromised, before anything is done with it.

    Raises: KeyCompromised, SettingsUnusable, FileNewer, FileExposed.
    """
    known = key_record.compromised_keys(session.settings.home)
    for fingerprint in accepted_fingerprints([key]) & known.keys():
        name = f"the key {short_keyid(key.keyid)}"
        raise KeyCompromised(key=name, since=known[fingerprint])


def uncompromised_online_key(session: Session, server: PublishRemote, role: RoleName, key: Key) -> Key:
    """Return the key that a server offers for a role, unless it was removed as compromised: some bring back old ones.

    Raises: RemoteMisbehaved, SettingsUnusable, FileNewer, FileExposed.
    """
    try:
        refuse_compromised(session, key)
    except KeyCompromised as refusal:
        raise RemoteMisbehaved(remote=server.name, reason=f"its key for {role}: {refusal}") from refusal
    return key
