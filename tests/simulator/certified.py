"""A collection of Notary v1 whose root keys certification authorities have certified, from its third root on."""

from __future__ import annotations

from collections.abc import Mapping

from securesystemslib.signer import Signer

from keys.notary import NotaryKey
from tests.simulator.forgery import Document
from tests.simulator.keyring import certificate, private
from tests.simulator.repository import APP
from tests.simulator.scene import Scene, good_collection
from tests.support.issuers import LEAF, Form, Issuer, notary_key_of
from trustdata.roles import ROOT
from trustdata.verification.trust_pinning import AuthorityPin
from trustdata.wire.notary import NOTARY

AGAIN = " again"


def pin_of(*issuers: Issuer, name: str = "corp") -> AuthorityPin:
    """The pin of these authorities."""
    return AuthorityPin.of(name, [each.der for each in issuers])


def key_below(*issuers: Issuer, owner: str = "root", name: str = APP, form: Form = LEAF) -> NotaryKey:
    """The owner's key, certified by the first of these, with the certificates of all but the last beside it."""
    leaf = issuers[0].issue(name, private(owner), form)
    return notary_key_of(leaf, *(each.certificate for each in issuers[:-1]))


def own_key(owner: str = "root") -> NotaryKey:
    """The owner's key in a certificate that signs itself, as programs make it."""
    return certificate(owner, APP, number=2)


class CertifiedCollection:
    """`scene`: the good collection, or the one given, with a root more for each rotation."""

    def __init__(self, scene: Scene | None = None, /, **keys: NotaryKey) -> None:
        self.scene: Scene = scene or good_collection(NOTARY)
        self._signers: list[Signer] = self.scene.forger.signers(ROOT, "root", "recovery")
        self.rotate(**keys)

    def rotate(self, **keys: NotaryKey) -> None:
        """Publish the next root, in which these keys are root's, by the names of their owners; all of them sign it."""
        self.rotate_to(keys)

    def rotate_to(self, keys: Mapping[str, NotaryKey], *, threshold: int = 1, silent: tuple[str, ...] = ()) -> None:
        """Publish the next root, which all of these keys sign but those that are `silent`.

        `keys`: by owner; one with AGAIN behind the name is another certificate of the owner's key.
        """

        def change(document: Document) -> None:
            document["version"] += 1
            document["keys"] |= {key.keyid: key.to_dict() for key in keys.values()}
            document["roles"]["root"] = {"keyids": [key.keyid for key in keys.values()], "threshold": threshold}

        new: list[Signer] = [
            NOTARY.signer(private(owner.removesuffix(AGAIN)), key) for owner, key in keys.items() if owner not in silent
        ]
        both = {signer.public_key.keyid: signer for signer in (*self._signers, *new)}
        self.scene.forger.alter(ROOT, change, signers=list(both.values()))
        self._signers = new
