"""Advice about keys that live elsewhere (tokens, services, commands), and about keys that are there already."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from keys.backup.errors import SharesUnsupported
from keys.errors import (
    KeyCommandFailed,
    KeyElsewhere,
    KeyExists,
    KeyNameTaken,
    KeyNotOnToken,
    KeysError,
    KeySupportMissing,
    KeyUnknown,
    SignatureNotVerified,
    TokenAmbiguous,
    TokenGone,
    TokenMissing,
    TokenModuleUnusable,
    TokenPinLastTry,
    TokenPinLocked,
    TokenPinWrong,
)
from keys.extras import how_to_install
from keys.kms.errors import (
    KeyNotInService,
    KeyServiceDenied,
    KeyServiceKeyDisabled,
    KeyServiceKeyUnfit,
    KeyServiceLate,
    KeyServiceNoCredentials,
    KeyServiceThrottled,
    KeyServiceUnreachable,
)
from trustcli.errors import KeyCompromised

ADVICE: Final[Mapping[type[KeysError], str]] = {
    SignatureNotVerified: "nothing was sent; see which key is really there: trust key test KEY",
    KeyUnknown: "check the name: trust key list lists those of the store, trust inspect --pretty NAME those that count",
    KeyElsewhere: "trust key export KEY --public writes the public half",
    TokenModuleUnusable: "check module-path in the key URI, who may read it, and the library's own settings "
    "(SoftHSM2: SOFTHSM2_CONF, and the folder of tokens that it names)",
    TokenMissing: "plug it in, or name another; where the library looks for tokens is said by its own settings "
    "(SoftHSM2: SOFTHSM2_CONF)",
    TokenAmbiguous: "say which by its serial number: serial=... in the key URI",
    TokenGone: "plug it in again, then run the same command again",
    KeyNotOnToken: "see what is on it: p11tool --provider MODULE --login --list-all; then name that",
    TokenPinWrong: "make sure of the PIN before the next try: a few wrong ones lock the token",
    TokenPinLocked: "its security officer sets a new PIN: softhsm2-util, ykman, pkcs11-tool",
    TokenPinLastTry: "type the PIN at the prompt: unset TRUST_TOKEN_PIN, and take pin-source out of the key URI",
    KeyNotInService: "see which keys and versions are there, with the service's own program; then name that one",
    KeyServiceDenied: "have the service allow this caller to read the public key and to sign with it; or log in there",
    KeyServiceKeyDisabled: "enable it at the service, or sign with another key of the role",
    KeyServiceKeyUnfit: "make one that signs here, ECDSA P-256 where in doubt; then: trust key import URI",
    KeyServiceLate: "run it again; if it stays so, ask the operator of the service",
    KeyServiceNoCredentials: "log in at the service, as its own program wants it: docs/guides/hardware-keys.md",
    KeyServiceThrottled: "wait a minute, then run it again; what is done is not done twice",
    KeyServiceUnreachable: "check the network, the proxy variables and the address of the service; then run it again",
    KeyCommandFailed: "run it by hand, as docs/reference/keys.md shows",
}
"""The next step for each class of errors; fields of the error stand in braces."""


def advice_library_missing(error: Exception) -> str:
    """Return how the library is installed that keys of a kind, or shares of a backup, need; "" for other errors."""
    if isinstance(error, KeySupportMissing):
        command = how_to_install(error.extra)
    elif isinstance(error, SharesUnsupported):
        command = error.command
    else:
        return ""
    if getattr(sys, "frozen", False):
        return f"this build for machines without Python has no such library: run it on a machine with Python: {command}"
    return command


def advice_key_uri(form: object) -> str:
    """Return how a URI was perhaps meant; "" if that is not known."""
    return f"write it like this: '{form}'" if form else ""


def advice_key_compromised(error: Exception) -> str:
    """Return what to do about a key that must not return, or must not sign."""
    if isinstance(error, KeyCompromised) and error.rule != KeyCompromised.rule:
        return f"take it out: trust key compromised KEY {error.about or 'NAME'} --remove"
    return "name another key, or none: then one is made"


def advice_key_exists(error: Exception) -> str:
    """Return where a key is found that is there already: in the store, on a token, or under the name of a file."""
    if not isinstance(error, KeyExists):
        return ""
    if isinstance(error, KeyNameTaken):
        return "give the new one another name (key import, key restore: --name NAME, for one key); trust key list"
    if error.place.startswith("token "):
        return "name another object or id in the key URI; to use the key that is there: trust key import URI"
    return "trust key list" if error.place == KeyExists.place else "name another file"
