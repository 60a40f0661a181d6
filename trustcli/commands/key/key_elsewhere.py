"""Keys that live elsewhere: made or recorded at a URI, and proven by a signature."""

from __future__ import annotations

from keys.algorithms import Algorithm, public_key_of
from keys.errors import KeysError, SignatureNotVerified
from keys.key_info import KeyInfo, Purpose
from keys.key_opening import find_key, make_key, prove_key
from keys.signers import FileSigner, signer_for
from keys.store import check_name, check_new
from keys.uris.kinds import FoundKey
from keys.uris.proof import proven
from keys.uris.uri import is_key_uri, shown_uri
from trustcli.commands.key.key_import import ImportedKey, ImportOptions
from trustcli.session import Session

_DEFAULT: Purpose = "signer"


def make_at(session: Session, uri: str, *, name: str, purpose: Purpose, gun: str, algorithm: Algorithm) -> KeyInfo:
    """Make a key where a URI says, prove it, and record it in the store.

    Raises: KeysError. What was made stays, and the error is told with the command that records it.
    """
    check_name(session.keystore.list(), name)  # before anything is made that cannot be taken back
    found = make_key(uri, algorithm, name, session.passphrases, purpose)
    info = KeyInfo.of(found.public, purpose=purpose, name=name, gun=gun, created=session.at, uri=found.uri)
    try:
        session.keystore.add_elsewhere(info)
    except KeysError:
        session.output.notice(f"the key was made all the same; it is recorded by: trust key import '{found.uri}'")
        raise
    return info


def record(session: Session, uri: str, options: ImportOptions) -> ImportedKey:
    """Record a key that is at a URI, after it has proven itself by a signature. Raises: KeysError."""
    purpose = options.purpose or _DEFAULT
    found = find_key(uri, session.passphrases, purpose)
    info = KeyInfo.of(
        found.public, purpose=purpose, name=options.name, gun=options.gun, created=session.at, uri=found.uri
    )
    stored = session.keystore.list()
    known = next((each for each in stored if each.keyid == info.keyid), None)
    if known is not None:
        return ImportedKey(place=shown_uri(uri), info=known, known=True)
    check_new(stored, info)
    prove_key(found, session.passphrases, purpose)
    session.keystore.add_elsewhere(info)
    return ImportedKey(place=shown_uri(found.uri), info=info)


def proven_key(session: Session, reference: str) -> KeyInfo:
    """Prove a key of the store, or one at a URI, by a signature; return what it is.

    Raises: SignatureNotVerified, KeysError.
    """
    if is_key_uri(reference):
        found = find_key(reference, session.passphrases, _DEFAULT)
        prove_key(found, session.passphrases, _DEFAULT)
        return KeyInfo.of(found.public, purpose=_DEFAULT, uri=found.uri)
    info = session.keystore.get(reference)
    signer = signer_for(session.keystore, info.keyid, session.passphrases)
    public = public_key_of(info.public)
    if not (isinstance(signer, FileSigner) and proven(signer.private, public)):
        raise SignatureNotVerified(key=info.described)
    return info


def found_at(session: Session, uri: str) -> FoundKey:
    """Return the public half of the key at a URI. Raises: KeysError."""
    return find_key(uri, session.passphrases, _DEFAULT)
