"""Pins: what the user knows about the root of a collection before the first contact (docs/adr/0032).

A pin is `sha256:HEX`, the hash of a root file of any version, or `key:HEX`, the id of a root key that must have signed
version 1; of a key with a certificate (Notary v1), the id of the certificate or that of the key itself. In a policy it
may be `cert:HEX`, the SHA-256 of such a certificate in DER, as `openssl x509 -fingerprint -sha256` shows it. Pins agree
if one verified root chain matches them all. The TUF specification 1.0, section 5.2, calls this a root that is delivered
out of band.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from keys.algorithms import bare_keyid
from keys.record import record
from trustdata.envelope import Envelope
from trustdata.errors import InvalidName, PinsDisagree, RootNotNamed, RootNotPinned, Unpinned
from trustdata.gun import GUN
from trustdata.model import Key, Root
from trustdata.roles import ROOT

_REFERENCE: Final = re.compile(r"(sha256|key|cert):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin. `kind`: `sha256` of a root file, `key` for a root key id, `cert` for the SHA-256 of its certificate.

    `digest`: 64 lower-case hex digits.
    """

    kind: Literal["sha256", "key", "cert"]
    digest: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.digest}"


@record
class SourcedPin:
    """A pin with its source in words, such as `--pin`, `rollback memory` or the path of a file.

    `recorded`: this machine keeps it (`pins.toml`), so another pin must replace it. `of_pattern`: it is that of every
    name of a pattern, so it does not say that there is a collection of this name.
    """

    pin: Pin
    source: str
    recorded: bool = False
    of_pattern: bool = False


def parse_pin(text: str) -> Pin:
    """Read a pin from text. Raises: InvalidName."""
    pin = _parsed(text)
    if pin is None or pin.kind == "cert":
        forms = "sha256:HEX of a root file or key:HEX of a root key"
        raise InvalidName(
            kind="pin", name=text, reason=f"must be {forms}, each with 64 hexadecimal digits, none a capital"
        )
    return pin


def parse_policy_pin(text: str) -> Pin:
    """Read a pin of a policy from text, which may also be that of a certificate. Raises: InvalidName."""
    pin = _parsed(text)
    if pin is None:
        forms = "sha256:HEX of a root file, key:HEX of a root key or cert:HEX of its certificate"
        raise InvalidName(
            kind="pin", name=text, reason=f"must be {forms}, each with 64 hexadecimal digits, none a capital"
        )
    return pin


def _parsed(text: str) -> Pin | None:
    match = _REFERENCE.fullmatch(text)
    if match is None:
        return None
    kinds: dict[str, Literal["sha256", "key", "cert"]] = {"sha256": "sha256", "key": "key", "cert": "cert"}
    return Pin(kinds[match[1]], match[2])


def fingerprint(root: Envelope) -> Pin:
    """Return the pin of a root file: its SHA-256, as `trust init` and `--tofu` record it."""
    return Pin("sha256", root.sha256)


def chain_holds(pin: Pin, chain: Sequence[Envelope]) -> bool:
    """Return whether a root of the verified chain (ascending, without gaps) matches the pin."""
    if pin.kind == "sha256":
        return any(root.sha256 == pin.digest for root in chain)
    return chain[0].version == 1 and _has_signed(pin, chain[0], chain[0].root)


def _has_signed(pin: Pin, file: Envelope, root: Root) -> bool:
    """Return whether a pinned key has signed a root file, as one of the root keys of `root`: that file's, or another.

    Of a key with a certificate, the id of the certificate or that of the key itself will do.
    """
    named = {keyid for keyid in root.roles[ROOT].keyids if keyid in root.keys and _names(pin, keyid, root.keys[keyid])}
    if not named:
        return False
    return not named.isdisjoint(root.get_verification_result(ROOT, file.payload, dict(file.signatures)).signed)


def _names(pin: Pin, keyid: str, key: Key) -> bool:
    if pin.kind == "cert":
        from keys.certificate import certificate_fingerprint  # Notary v1 only: start-up time

        return certificate_fingerprint(key) == pin.digest
    return pin.digest in {keyid, bare_keyid(key)}


def check_pins(gun: GUN, pins: Sequence[SourcedPin], chain: Sequence[Envelope]) -> None:
    """Check that the verified root chain matches every pin.

    Raises: Unpinned if there are no pins; RootNotPinned if the chain matches none; PinsDisagree if only some match.
    """
    found = fingerprint(chain[0])
    if not pins:
        raise Unpinned(gun=gun, found=str(found))
    matching = [pinned for pinned in pins if chain_holds(pinned.pin, chain)]
    others = [pinned for pinned in pins if pinned not in matching]
    if not others:
        return
    if not matching:
        raise RootNotPinned(gun=gun, pin=str(others[0].pin), pin_source=others[0].source, found=str(found))
    raise PinsDisagree(
        gun=gun,
        pin=str(matching[0].pin),
        pin_source=matching[0].source,
        other=str(others[0].pin),
        other_source=others[0].source,
    )


def check_named(
    gun: GUN, pins: Sequence[SourcedPin], chain: Sequence[Envelope], *, names: Callable[[Envelope], bool]
) -> None:
    """Check that pins which name nothing but keys decide only about a root that names the collection by their word.

    One root key serves many collections of its owner, so a pin of a key holds for all of them; the fingerprint of a
    root holds for one, unless it is pinned for a pattern of names. Where one of these collections has no name, somebody
    else may have become its owner, and would name it as they like: so the pinned key must have signed the first root
    that names the collection, as a root key of it or of the one before.

    `pins`: of the user, all held by the verified chain (ascending). Rollback memory is none of them: what was seen
    under a pin of a key is worth no more than that pin. `names`: whether a root names the collection. Raises:
    RootNotNamed.
    """
    by_key = [pinned for pinned in pins if pinned.pin.kind != "sha256"]
    if not by_key or any(pinned.pin.kind == "sha256" and not pinned.of_pattern for pinned in pins):
        return
    place = next((place for place, root in enumerate(chain) if names(root)), None)
    if place is not None and names(chain[-1]):
        keepers = [chain[place].root, *([chain[place - 1].root] if place else [])]
        if all(any(_has_signed(each.pin, chain[place], root) for root in keepers) for each in by_key):
            return
    pin, found = by_key[0], fingerprint(chain[0])
    raise RootNotNamed(gun=gun, pin=str(pin.pin), pin_source=pin.source, found=str(found), pin_recorded=pin.recorded)
