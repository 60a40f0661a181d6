"""Open the tokens in which server-held keys are made, at the start of a server.

A PIN that nobody types may be tried once: each start after a failed one, by systemd or an orchestrator, would take one
more try, until the token is locked. So a PIN that was refused leaves its trace in the data folder, and is not given to
the token again by any process of this server.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from keys.child_environment import without_passphrases
from keys.durable_file import write_durably
from keys.errors import PassphraseMissing, TokenGone, TokenMissing, TokenPinWrong
from keys.passphrase import EnvironmentPassphrases, PassphraseProvider, secret_in_file
from keys.pkcs11.pkcs11_uri import read_pkcs11_uri
from keys.pkcs11.wrapped_keys import TokenWrapping
from trustdata.counting import counted
from trustserver.errors import StartRefused
from trustserver.settings import SEALED, Settings
from trustserver.storage.opening import open_server_keys
from trustserver.storage.sealed_keys import SealedKeys

REFUSED_PIN: Final = "token-pin.refused"
"""The file in the data folder with the traces of PINs that tokens have refused."""
_MAY_COME_BACK: Final = (TokenGone, TokenMissing)


def take_secrets(environ: MutableMapping[str, str]) -> dict[str, str]:
    """Take the variables with PINs out of the environment, so that no process that is started from here gets them."""
    kept = without_passphrases(environ)
    return {name: environ.pop(name) for name in set(environ) - set(kept)}


def open_tokens(settings: Settings, environ: Mapping[str, str], sealer: SealedKeys) -> list[TokenWrapping]:
    """Return the tokens of the settings, logged in, the one in which new keys are made first.

    One that is not there now is tried again by the rounds of upkeep: what is signed already goes on to be served.
    `environ`: with the PIN, unless the URI says in which file it is.

    Raises: StartRefused (a PIN that was refused before, or keys are stored of a token that is not named), KeysError.
    """
    passphrases = EnvironmentPassphrases(environ, None)
    keys = open_server_keys(settings)
    try:
        places = keys.places()
    finally:
        keys.close()
    tokens = []
    for uri in settings.online_keys:
        if uri == SEALED:
            continue
        token = TokenWrapping(uri, passphrases)
        trace = _trace(uri, passphrases, sealer)
        _prepare(token, settings.data / REFUSED_PIN, trace, may_make=not any(places))
        tokens.append(token)
    known = {token.place for token in tokens}
    missing = {place: count for place, count in places.items() if place and place not in known}
    if missing and all(token.place for token in tokens):
        place, count = next(iter(missing.items()))
        what = "which is none of those that are named" if known else "and no token is named"
        reason = f"{counted(count, 'stored key')} can be used with the key at {place} alone, {what}"
        raise StartRefused(what="--online-keys", reason=f"{reason}: name that one, too, behind what is named")
    return tokens


def _prepare(token: TokenWrapping, traces: Path, trace: str, *, may_make: bool) -> None:
    """Log in with a PIN that was not refused before. `trace`: of the PIN. Raises: StartRefused, KeysError.

    `may_make`: no key was wrapped yet. Later a wrapping key that is missing is an error: another one opens none.
    """
    if trace and trace in _read(traces):
        reason = "this PIN was refused by the token, and is not tried again; give the right one"
        raise StartRefused(what=token.described, reason=f"{reason}. If it is right by now: rm {traces}")
    try:
        token.prepare(may_make=may_make)
    except TokenPinWrong:
        if trace:
            write_durably(traces, "".join(f"{each}\n" for each in {*_read(traces), trace}).encode(), mode=0o600)
        raise
    except _MAY_COME_BACK as error:
        token.failure = error


def _trace(uri: str, passphrases: PassphraseProvider, sealer: SealedKeys) -> str:
    """Return what is noted of a PIN that was refused; empty if none is known here, as on a token with a PIN pad."""
    pin_file = read_pkcs11_uri(uri).pin_file
    with suppress(PassphraseMissing):
        pin = (
            secret_in_file(pin_file, source=f"pin-source ({ascii(pin_file)[1:-1]})", key="the token")
            if pin_file is not None
            else passphrases.passphrase(purpose="token", key="the token of --online-keys")
        )
        return sealer.trace(f"{uri}\n{pin}".encode(errors="surrogateescape"))
    return ""


def _read(traces: Path) -> set[str]:
    try:
        return set(traces.read_text(encoding="ascii").split())
    except FileNotFoundError:
        return set()
    except (OSError, UnicodeDecodeError) as error:
        raise StartRefused(what=str(traces), reason=f"cannot be read: {type(error).__name__}") from error
