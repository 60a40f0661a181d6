"""Bring your own key: a key of the store, one at a URI, or one in a file, as the new key of a role."""

from __future__ import annotations

from pathlib import Path

from keys.errors import KeyAmbiguous, KeyNotFound
from keys.key_info import Purpose
from keys.uris.uri import is_key_uri
from trustcli.commands.key.key_elsewhere import record
from trustcli.commands.key.key_import import ImportOptions, import_file
from trustcli.commands.key.key_show import keys_of
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.errors import shown


def brought(session: Session, named: str, *, role: str, plan: bool) -> str:
    """Return the id of a new key in the store; one of a URI or a file is brought there first, unless it is a plan.

    `role`: what it is for. `plan`: nothing is written; then only a key that the store has can be named.

    What is none of them comes back as it is: that is an error of each collection. Raises: KeysError, UsageError.
    """
    uri = is_key_uri(named)
    if not uri:
        try:
            return session.keystore.get(named).keyid
        except (KeyNotFound, KeyAmbiguous):
            if not Path(named).is_file():
                return named
    if plan:
        return _known(session, named)
    options = ImportOptions(purpose=_purpose(role))
    keys = [record(session, named, options)] if uri else import_file(session, Path(named), options)
    found = [key.info for key in keys if key.info is not None]
    if len(found) != 1 or len(keys) != 1:
        raise UsageError(f"--key {shown(named, 300)}: the file holds {len(keys)} keys; import the one that is meant")
    if not keys[0].known:
        session.output.notice(f"brought {found[0].described} into the key store")
    return found[0].keyid


def _known(session: Session, named: str) -> str:
    """Return the id of a key of a URI or file that the store has already. Raises: KeysError, UsageError."""
    for key in keys_of(session, named, decrypt=False):
        stored = key.public is not None and key.public.keyid in {info.keyid for info in session.keystore.list()}
        if key.public is not None and stored:
            return key.public.keyid
    reason = "a plan asks for no passphrase and writes nothing: trust key import brings it there, and then name its id"
    raise UsageError(f"--key {shown(named, 300)}: {reason}")


def _purpose(role: str) -> Purpose:
    return "root" if role == "root" else "targets"
