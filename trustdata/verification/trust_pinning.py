"""Pins: what the user knows about the root of a collection before the first contact (docs/adr/0032).

A pin is `sha256:HEX`, the hash of a root file of any version, or `key:HEX`, the id of a root key that must have signed
version 1; of a key with a certificate (Notary v1), the id of the certificate or that of the key itself. In a policy it
may be `cert:HEX`, the SHA-256 of such a certificate in DER, as `openssl x509 -fingerprint -sha256` shows it, or
`ca:NAME`, certification authorities that the policy holds, of which one must vouch for the newest root
(docs/adr/0114). Pins agree if one verified root chain matches them all. The TUF specification 1.0, section 5.2, calls
this a root that is delivered out of band.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Self

from keys.algorithms import bare_keyid
from keys.record import record
from trustdata.envelope import Envelope
from trustdata.errors import (
    InvalidName,
    NotTrusted,
    PinsDisagree,
    RootNotCertified,
    RootNotNamed,
    RootNotPinned,
    Unpinned,
)
from trustdata.gun import GUN
from trustdata.model import Key, Root
from trustdata.roles import ROOT

_REFERENCE: Final = re.compile(r"(sha256|key|cert):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """A pin. `kind`: `sha256` of a root file, `key` for a root key id, `cert` for the SHA-256 of its certificate.

    `ca`: an `AuthorityPin`. `digest`: 64 lower-case hex digits.
    """

    kind: Literal["sha256", "key", "cert", "ca"]
    digest: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.digest}"

    @property
    def identity(self) -> str:
        """A text that is another one for every other pin."""
        return str(self)


@dataclass(frozen=True, slots=True)
class AuthorityPin(Pin):
    """A pin of certification authorities, of which any may vouch. `name`: theirs in the policy that holds them.

    `certificates`: in DER, as `keys.authorities` reads them. `digest`: SHA-256 over all of them.
    """

    name: str
    certificates: tuple[bytes, ...]

    @classmethod
    def of(cls, name: str, certificates: Sequence[bytes]) -> Self:
        """Return the pin of these authorities."""
        every = sorted(hashlib.sha256(each).digest() for each in certificates)
        return cls("ca", hashlib.sha256(b"".join(every)).hexdigest(), name, tuple(certificates))

    def __str__(self) -> str:
        return f"ca:{self.name}"

    @property
    def identity(self) -> str:
        """A text that is another one for every other pin: also where other authorities have the same name."""
        return f"ca:{self.name}:{self.digest}"


@record
class Lapse:
    """When a pin is held no more, and the refusal from then on: certificates by which it is held have ended."""

    after: datetime
    refusal: NotTrusted


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
        only = "; a CA is pinned in a policy alone" if text.startswith("ca:") else ""
        raise InvalidName(
            kind="pin", name=text, reason=f"must be {forms}, each with 64 hexadecimal digits, none a capital{only}"
        )
    return pin


def parse_policy_pin(text: str) -> Pin:
    """Read a pin of a policy from text, which may also be that of a certificate. Raises: InvalidName.

    That of a CA is no text alone: `trustdata.policy.reading` has its certificates.
    """
    pin = _parsed(text)
    if pin is None:
        forms = "sha256:HEX of a root file, key:HEX of a root key, cert:HEX of its certificate (ca:NAME of a [[ca]])"
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


def chain_holds(pin: Pin, chain: Sequence[Envelope], at: datetime | None = None) -> bool:
    """Return whether a root of the verified chain (ascending, without gaps) matches the pin.

    `at`: when, for a pin by CA: without it, none is held. It is held by the newest root, whoever has vouched for
    those before: that one alone says which keys count.
    """
    if pin.kind == "sha256":
        return any(root.sha256 == pin.digest for root in chain)
    if isinstance(pin, AuthorityPin):
        return at is not None and isinstance(_certified(pin, chain, at), datetime)
    return chain[0].version == 1 and _has_signed(pin, chain[0], chain[0].root)


def _certified(pin: AuthorityPin, chain: Sequence[Envelope], at: datetime) -> datetime | str:
    """Return until when one of the pinned authorities vouches for the newest root, or why none does."""
    # Reading certificates costs start-up time, and few pins are of this kind.
    from keys.authorities import NotCertified
    from trustdata.verification.certified_roots import root_certified_until

    try:
        return root_certified_until(chain[-1], pin.certificates, at)
    except NotCertified as refusal:
        return str(refusal)


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


def check_pins(gun: GUN, pins: Sequence[SourcedPin], chain: Sequence[Envelope], *, at: datetime) -> Lapse | None:
    """Check that the verified root chain matches every pin, and return when the first is matched no more, if one is.

    Raises: Unpinned if there are no pins; RootNotPinned if the chain matches none that name a root or a key,
    PinsDisagree if it matches some of these; RootNotCertified if it matches all of them, but not one by CA.
    """
    found = fingerprint(chain[0])
    if not pins:
        raise Unpinned(gun=gun, found=str(found))
    plain = [pinned for pinned in pins if pinned.pin.kind != "ca"]
    matching = [pinned for pinned in plain if chain_holds(pinned.pin, chain)]
    others = [pinned for pinned in plain if pinned not in matching]
    if others and not matching:
        raise RootNotPinned(gun=gun, pin=str(others[0].pin), pin_source=others[0].source, found=str(found))
    if others:
        raise PinsDisagree(
            gun=gun,
            pin=str(matching[0].pin),
            pin_source=matching[0].source,
            other=str(others[0].pin),
            other_source=others[0].source,
        )
    return _first_lapse(gun, pins, chain, at)


def _first_lapse(gun: GUN, pins: Sequence[SourcedPin], chain: Sequence[Envelope], at: datetime) -> Lapse | None:
    """Return when the first of the pins by CA is held no more. Raises: RootNotCertified if one is not held now."""
    lapses: list[Lapse] = []
    for pinned in pins:
        if isinstance(pinned.pin, AuthorityPin):
            until = _certified(pinned.pin, chain, at)
            if isinstance(until, str):
                raise _not_certified(gun, pinned, chain, until)
            reason = f"a certificate by which it vouched has ended, at {until:%Y-%m-%d %H:%M} UTC"
            lapses.append(Lapse(after=until, refusal=_not_certified(gun, pinned, chain, reason)))
    return min(lapses, key=lambda lapse: lapse.after, default=None)


def _not_certified(gun: GUN, pinned: SourcedPin, chain: Sequence[Envelope], reason: str) -> RootNotCertified:
    version = chain[-1].version
    return RootNotCertified(gun=gun, pin=str(pinned.pin), pin_source=pinned.source, version=version, reason=reason)


def check_named(
    gun: GUN, pins: Sequence[SourcedPin], chain: Sequence[Envelope], *, names: Callable[[Envelope], bool]
) -> None:
    """Check that pins which are not of this collection alone decide only about a root that names it by their word.

    One root key serves many collections of its owner, so a pin of a key holds for all of them; the fingerprint of a
    root holds for one, unless it is pinned for a pattern of names: then its name alone says whose it is. Where one of
    the collections of a key has no name, somebody else may have become its owner, and would name it as they like: so
    the pinned key must have signed the first root that names the collection, as a root key of it or of the one before.
    A CA has certified the name with the key, so that the newest root is enough; a certificate for a pattern of names is
    none for this one.

    `pins`: of the user, all held by the verified chain (ascending). Rollback memory is none of them: what was seen
    under a pin of a key is worth no more than that pin. `names`: whether a root names the collection. Raises:
    RootNotNamed, RootNotCertified.
    """
    if not pins or any(pinned.pin.kind == "sha256" and not pinned.of_pattern for pinned in pins):
        return
    by_key = [pinned for pinned in pins if pinned.pin.kind != "sha256"]
    authority = next((pinned for pinned in by_key if pinned.pin.kind == "ca"), None)
    if authority is not None and not names(chain[-1]):
        reason = "a certificate is for a pattern of names, and whatever else it fits would pass for this collection"
        raise _not_certified(gun, authority, chain, reason)
    by_key = [pinned for pinned in by_key if pinned.pin.kind != "ca"]
    place = next((place for place, root in enumerate(chain) if names(root)), None)
    if place is not None and names(chain[-1]):
        keepers = [chain[place].root, *([chain[place - 1].root] if place else [])]
        if all(any(_has_signed(each.pin, chain[place], root) for root in keepers) for each in by_key):
            return
    pin, found = (by_key or pins)[0], fingerprint(chain[0])
    raise RootNotNamed(gun=gun, pin=str(pin.pin), pin_source=pin.source, found=str(found), pin_recorded=pin.recorded)
