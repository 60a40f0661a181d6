"""Whose pin of one root certificate still lets them in after a publish."""

from __future__ import annotations

from tests.support.notary_owner import NotaryOwner, bare_signer
from tests.support.server_site import GUN_A
from trustcli.publish.rehearsal import refused_pins
from trustdata.envelope import Envelope
from trustdata.roles import ONLINE, ROOT, RoleName
from trustdata.wire.notary import NOTARY


def owner_with(*, roots: int) -> NotaryOwner:
    owner = NotaryOwner(GUN_A)
    owner.online = {role: bare_signer().public_key for role in ONLINE}
    owner.root_keys = [owner.root_signer() for _ in range(roots)]
    return owner


def written(raw: bytes) -> dict[RoleName, Envelope]:
    return {ROOT: NOTARY.parse(ROOT, raw)}


def test_only_a_certificate_whose_key_has_signed_the_root_that_names_it_lets_anybody_in() -> None:
    owner = owner_with(roots=2)
    old, recovery = owner.root_keys
    both = written(owner.root())
    assert refused_pins({}, both) == refused_pins(both, both) == ()
    new = owner.root_signer()
    owner.root_keys = [new, recovery]
    rotated = written(owner.root(signers=[old, new]))
    # The old key has signed, but is no root key any more; the recovery key still is one, and has not signed.
    assert refused_pins(both, rotated) == (old.public_key.keyid, recovery.public_key.keyid)
    by_recovery = written(owner.root(signers=[recovery]))
    assert refused_pins(rotated, by_recovery) == (new.public_key.keyid,)
    assert refused_pins(by_recovery, rotated) == (recovery.public_key.keyid,)
