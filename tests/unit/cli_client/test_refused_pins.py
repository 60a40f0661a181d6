"""Whose pin of one root certificate still lets them in after a publish."""

from __future__ import annotations

import json

from tests.simulator.certified import CertifiedCollection, key_below, own_key
from tests.simulator.repository import APP
from tests.support.issuers import Issuer
from tests.support.notary_owner import NotaryOwner, bare_signer
from tests.support.server_site import GUN_A
from trustcli.publish.plan import ClientUpdate, Plan
from trustcli.publish.plan_view import lines, row
from trustcli.publish.rehearsal import refused_authorities, refused_pins
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


# --- pins by CA


def root_of(collection: CertifiedCollection) -> dict[RoleName, Envelope]:
    return {ROOT: collection.scene.server.stored[ROOT]}


def test_a_root_that_no_key_of_the_ca_signs_keeps_out_who_pins_it() -> None:
    corp, other = Issuer.root("Corp"), Issuer.root("Other")
    collection = CertifiedCollection(root=key_below(corp.below("Team"), corp), recovery=own_key("recovery"))
    certified = root_of(collection)
    assert refused_authorities({}, certified) == refused_authorities(certified, certified) == ()
    collection.rotate(next=key_below(corp.below("Team"), corp, owner="next"))
    assert refused_authorities(certified, root_of(collection)) == ()
    collection.rotate(root=key_below(other))
    assert refused_authorities(certified, root_of(collection)) == ("CN=Team",)
    collection.rotate(root=own_key())
    assert refused_authorities(certified, root_of(collection)) == ("CN=Team",)
    assert refused_authorities(root_of(collection), certified) == ()


def test_an_id_without_a_key_is_nobody_s() -> None:
    owner = owner_with(roots=2)
    document = json.loads(owner.root())
    gone = owner.root_keys[1].public_key.keyid
    del document["signed"]["keys"][gone]
    root = written(json.dumps(document).encode())
    assert gone in root[ROOT].signatures
    assert refused_authorities(root, root) == ()


def test_the_plan_says_who_is_kept_out() -> None:
    client = ClientUpdate(behind="one", root_from=1, root_to=2, versions={}, tags=0, refusal=None)
    plan = Plan(gun=APP, places={}, clients=(client,), refused_authorities=("CN=Team\x1b",))
    assert row(plan)["refused_authorities"] == ["CN=Team\x1b"]
    (told,) = [line.strip() for line in lines(plan) if "CA" in line]
    assert told == (
        "a client that pins the CA CN=Team\\x1b refuses the collection from then on: it has certified no key that "
        "signs the next root"
    )
