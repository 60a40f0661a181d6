"""Uploads with denied digests: taken from the repository key alone, bounded, and told in the record of changes."""

from __future__ import annotations

import json
from typing import Any, cast

import httpx
import pytest

from tests.support.notary_owner import NotaryOwner
from tests.support.notary_site import GUN_N, NotarySite
from tests.support.server_owner import DIGEST, Owner
from tests.support.server_site import GUN_A
from trustdata.denied import DENIED_MEMBER, MAX_DENIED, deny_list
from trustdata.roles import TARGETS, RoleName
from trustdata.wire.formats import FORMATS

D, E = "sha256:" + "d" * 64, "sha256:" + "e" * 64
BOTH = pytest.mark.parametrize("gun", [GUN_A, GUN_N], ids=["tuf", "notary"])


class Ground:
    """A collection of a format, and its owner."""

    def __init__(self, gun: str) -> None:
        self.gun = gun
        self.site = NotarySite()
        self.owner: Owner | NotaryOwner = self.site.begin() if gun == GUN_A else self.site.begin_notary()

    def send(self, files: dict[RoleName, bytes]) -> httpx.Response:
        return self.site.publish(files) if self.gun == GUN_A else self.site.upload(files)

    def deny(self, *digests: str, reason: str = "") -> httpx.Response:
        entries = {digest: {"reason": reason} for digest in digests}
        return self.send({TARGETS: self.owner.targets(unrecognized_fields={DENIED_MEMBER: entries} if digests else {})})

    def stored(self) -> dict[str, str]:
        file = self.site.store.load(cast("Any", self.gun)).files[TARGETS]
        wire = FORMATS["tuf-1.0" if self.gun == GUN_A else "notary-v1"]
        return deny_list(self.gun, wire.parse(TARGETS, file.raw).targets).reasons()

    def newest(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(list(self.site.store.events(None, after=0, limit=1000))[-1].body)
        return event


@BOTH
def test_a_list_is_stored_as_it_was_signed_and_told_in_the_record(gun: str) -> None:
    ground = Ground(gun)
    assert ground.deny(D, E, reason="a stolen key").status_code == 200
    assert ground.stored() == {D: "a stolen key", E: "a stolen key"}
    assert ground.newest()["denied"] == {
        "total": 2,
        "listed": [{"digest": D, "change": "added"}, {"digest": E, "change": "added"}],
        "cut": False,
    }
    assert ground.deny(E, reason="another").status_code == 200
    assert ground.newest()["denied"]["listed"] == [
        {"digest": D, "change": "removed"},
        {"digest": E, "change": "changed"},
    ]
    ground.owner.tags = {"1.0": DIGEST}
    assert ground.deny(E, reason="another").status_code == 200
    assert "denied" not in ground.newest()


def with_list(raw: bytes, value: object) -> bytes:
    """A file with another list; that it is malformed is said before its signatures are looked at."""
    document = json.loads(raw)
    document["signed"][DENIED_MEMBER] = value
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


@BOTH
@pytest.mark.parametrize(
    "value", [[], {"latest": {}}, {D: {"reason": "x" * 201}}, {f"sha256:{n:064x}": {} for n in range(MAX_DENIED + 1)}]
)
def test_a_list_in_another_form_is_refused(gun: str, value: object) -> None:
    ground = Ground(gun)
    answer = ground.send({TARGETS: with_list(ground.owner.targets(), value)})
    assert answer.status_code in {400, 422}
    assert DENIED_MEMBER in answer.text
    assert ground.stored() == {}


@BOTH
def test_no_signer_denies_anything(gun: str) -> None:
    ground = Ground(gun)
    if isinstance(ground.owner, NotaryOwner):
        role = ground.owner.add_delegation("targets/alice")
        raw = ground.owner.targets(role)
    else:
        role = ground.owner.add_signer("alice")
        raw = ground.owner.delegation(role, {})
    answer = ground.send({TARGETS: ground.owner.targets(), role: with_list(raw, {D: {}})})
    assert answer.status_code in {400, 422}
    assert "belongs to targets" in answer.text
