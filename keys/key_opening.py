"""The table of key URIs: which code opens which kind. Each is imported when a key of the kind is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keys.algorithms import Algorithm, PrivateKey, PublicKey
from keys.errors import SignatureNotVerified
from keys.key_info import Purpose
from keys.passphrase import PassphraseProvider
from keys.uris.kinds import FoundKey, KeyKind
from keys.uris.proof import proven
from keys.uris.uri import AWS, AZURE, EXEC, FILE, GCP, PKCS11, VAULT, split_uri


def _file() -> KeyKind:
    from keys.uris.file_keys import FileKeys

    return FileKeys()


def _exec() -> KeyKind:
    from keys.uris.command_keys import CommandKeys

    return CommandKeys()


def _pkcs11() -> KeyKind:
    from keys.pkcs11.token_keys import TokenKeys

    return TokenKeys()


def _aws() -> KeyKind:
    from keys.kms.aws import AwsKeys

    return AwsKeys()


def _gcp() -> KeyKind:
    from keys.kms.gcp import GcpKeys

    return GcpKeys()


def _azure() -> KeyKind:
    from keys.kms.azure import AzureKeys

    return AzureKeys()


def _vault() -> KeyKind:
    from keys.kms.vault import VaultKeys

    return VaultKeys()


_KINDS: Final[Mapping[str, Callable[[], KeyKind]]] = {
    FILE: _file,
    EXEC: _exec,
    PKCS11: _pkcs11,
    AWS: _aws,
    GCP: _gcp,
    AZURE: _azure,
    VAULT: _vault,
}


def check_key_uri(uri: str) -> None:
    """Check that a URI can be read, and names a key; nothing is opened. Raises: KeyUriMalformed, KeySchemeUnknown."""
    _kind(uri).check(uri)


def find_key(uri: str, passphrases: PassphraseProvider, purpose: Purpose) -> FoundKey:
    """Return the public half of the key at a URI, and the URI by which exactly it is found again. Raises: KeysError."""
    return _kind(uri).find(uri, passphrases, purpose)


def open_key(uri: str, public: PublicKey, passphrases: PassphraseProvider, purpose: Purpose) -> PrivateKey:
    """Return the private key at a URI, which signs where it is. `public`: its public half. Raises: KeysError."""
    return _kind(uri).open(uri, public, passphrases, purpose)


def make_key(uri: str, algorithm: Algorithm, name: str, passphrases: PassphraseProvider, purpose: Purpose) -> FoundKey:
    """Make a new key where the URI says, and prove it by a signature. `name`: what it is called there.

    Raises: KeysError; nothing takes back what was made.
    """
    found = _kind(uri).make(uri, algorithm, name, passphrases, purpose)
    prove_key(found, passphrases, purpose)
    return found


def prove_key(found: FoundKey, passphrases: PassphraseProvider, purpose: Purpose) -> None:
    """Check by a signature that the private key is where the URI says. Raises: SignatureNotVerified, KeysError."""
    private = open_key(found.uri, found.public, passphrases, purpose)
    if not proven(private, found.public):
        raise SignatureNotVerified(key=found.uri)


def _kind(uri: str) -> KeyKind:
    return _KINDS[split_uri(uri)[0]]()
