"""Targets of Notary v1 that no image can be checked by: named, kept, and in nobody's way."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import GOOD, OTHER, good_collection
from trustdata.errors import MalformedMetadata, TargetUnusable, TrustError
from trustdata.inspection import inspect
from trustdata.judgement import Question
from trustdata.model import UnusableTarget
from trustdata.roles import RELEASES, TARGETS
from trustdata.wire import canonical_json
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

SHA512 = {"sha512": base64.b64encode(bytes(64)).decode()}
SHA256 = {"sha256": base64.b64encode(bytes(32)).decode()}
UNUSABLE = {
    "sha512 alone": ({"hashes": SHA512, "length": 10}, "it has sha512 and no sha256"),
    "2^53": ({"hashes": SHA256, "length": 2**53}, f"its length is {2**53}"),
    "2^60": ({"hashes": SHA256, "length": 2**60}, f"its length is {2**60}"),
    "negative": ({"hashes": SHA256, "length": -1}, "its length is -1"),
    "least": ({"hashes": SHA256, "length": -(2**63)}, f"its length is {-(2**63)}"),
}
REFUSED: dict[str, Any] = {
    "no hash": {"hashes": {}, "length": 1},
    "another hash": {"hashes": {**SHA512, "md5": "AAAA"}, "length": 1},
    "half a hash": {"hashes": {"sha512": base64.b64encode(bytes(32)).decode()}, "length": 1},
    "2^63": {"hashes": SHA256, "length": 2**63},
    "what is 2^63 as a double": {"hashes": SHA256, "length": 2**63 - 1},
    "below 64 bits": {"hashes": SHA256, "length": -(2**63) - 2000},
    "custom": {"hashes": SHA256, "length": 1, "custom": {"size": 2**53}},
}


def document(role: str, target: Any, **more: Any) -> dict[str, Any]:
    """What stands under `signed`."""
    return {
        "_type": "Targets",
        "delegations": {"keys": {}, "roles": []},
        "expires": "2029-11-01T12:00:00Z",
        "targets": {"good": {"hashes": SHA256, "length": 5}, "odd": target},
        "version": 1,
        **more,
    }


def raw(target: Any, **more: Any) -> bytes:
    text = json.dumps({"signed": document(TARGETS, target, **more), "signatures": []}, separators=(",", ":"))
    return text.encode()


@pytest.mark.parametrize("case", UNUSABLE)
def test_it_is_kept_as_it_was_signed(case: str) -> None:
    target, reason = UNUSABLE[case]
    parsed = NOTARY.parse(TARGETS, raw(target))
    odd = parsed.targets.targets["odd"]
    assert isinstance(odd, UnusableTarget)
    assert odd.reason == reason
    assert not isinstance(parsed.targets.targets["good"], UnusableTarget)
    assert parsed.payload == canonical_json.encode(document(TARGETS, target))
    assert NOTARY.payload(parsed.content) == parsed.payload, "its owners can sign the role again"


def test_a_number_is_signed_as_go_reads_it() -> None:
    """As a double: 2^53 + 1 stands in the file, and the signature is over 2^53."""
    parsed = NOTARY.parse(TARGETS, raw({"hashes": SHA256, "length": 2**53 + 1}))
    assert parsed.payload == canonical_json.encode(document(TARGETS, {"hashes": SHA256, "length": 2**53}))


@pytest.mark.parametrize("case", REFUSED)
def test_what_go_does_not_take_is_refused(case: str) -> None:
    with pytest.raises(MalformedMetadata) as caught:
        NOTARY.parse(TARGETS, raw(REFUSED[case]))
    assert caught.value.path.startswith("signed.targets.odd")


@pytest.mark.parametrize("member", ["version", "more"])
def test_other_large_numbers_are_refused(member: str) -> None:
    with pytest.raises(MalformedMetadata) as caught:
        NOTARY.parse(TARGETS, raw({"hashes": SHA256, "length": 1}, **{member: 2**53}))
    assert caught.value.path == f"signed.{member}"


@pytest.mark.parametrize("length", [-1, 2**53])
def test_a_tuf_collection_has_none(length: int) -> None:
    signed = {
        "_type": "targets",
        "expires": "2029-11-01T12:00:00Z",
        "spec_version": "1.0.31",
        "targets": {"odd": {"hashes": {"sha256": "00" * 32}, "length": length}},
        "version": 1,
    }
    with pytest.raises(MalformedMetadata):
        TUF.parse(TARGETS, canonical_json.to_json({"signatures": [], "signed": signed}))


def with_odd(role: str, target: Any, tag: str = "odd") -> RepositorySimulator:
    """A collection of which one role lists an unusable target."""
    scene = good_collection(NOTARY)
    scene.forger.alter(role, lambda d: d["targets"].update({tag: target}))  # type: ignore[arg-type]
    return scene.server


def refusal(client: Client, tag: str) -> TrustError | None:
    return client.judge(tag).refusal


@pytest.mark.parametrize("case", UNUSABLE)
def test_everything_else_is_verified(case: str) -> None:
    target, reason = UNUSABLE[case]
    server = with_odd(RELEASES, target)
    client = Client(server, tofu=True)
    assert client.digest("1.0") == f"sha256:{GOOD}"
    error = refusal(client, "odd")
    assert isinstance(error, TargetUnusable)
    assert (error.role, error.target, error.reason) == (RELEASES, "odd", reason)
    by_digest = client.collection().judge([Question(gun=APP, tag=None, digest=f"sha256:{GOOD}")])[0]
    assert by_digest.allowed


def test_it_hides_what_targets_lists_under_its_name() -> None:
    """A client of docker looks into targets only for what the releases do not list."""
    server = with_odd(RELEASES, UNUSABLE["negative"][0], "2.0")
    error = refusal(Client(server, tofu=True), "2.0")
    assert isinstance(error, TargetUnusable)


def test_in_targets_it_does_not_hide_what_is_released() -> None:
    server = with_odd(TARGETS, UNUSABLE["2^53"][0], "1.0")
    assert Client(server, tofu=True).digest("1.0") == f"sha256:{GOOD}"


def test_its_owner_may_sign_it_anew() -> None:
    """What clients answer for it is no digest, so to an owner it is as if it were not released."""
    roles = Owner(with_odd(RELEASES, UNUSABLE["negative"][0])).read()
    assert roles.find_released("odd") is None
    found = roles.find_released("1.0")
    assert found is not None
    assert found.digest == GOOD


def test_a_signer_who_lists_it_so_has_not_signed_it() -> None:
    server = with_odd("targets/alice", UNUSABLE["sha512 alone"][0], "1.0")
    client = Client(server, tofu=True)
    assert client.digest("1.0") == f"sha256:{GOOD}", "the release says it"
    answer = client.judge("1.0", None, "alice")
    assert "no image can be checked by" in str(answer.refusal)


def test_it_is_named_when_the_collection_is_inspected() -> None:
    server = with_odd(RELEASES, UNUSABLE["negative"][0])
    roles = Client(server, tofu=True).collection().owner_roles()
    found = inspect(roles.sound())
    assert [error.target for error in found.unusable] == ["odd"]
    assert "odd" not in {tag.tag for tag in found.tags}
    assert [error.target for error in inspect(roles.sound(), tag="odd").unusable] == ["odd"]
    assert inspect(roles.sound(), tag="1.0").unusable == ()


def test_its_owner_goes_on_and_takes_its_place() -> None:
    server = with_odd(RELEASES, UNUSABLE["2^60"][0])
    owner = Owner(server, "targets", "alice")
    owner.sign("3.0", OTHER)
    assert isinstance(refusal(Client(server, tofu=True), "odd"), TargetUnusable), "kept"
    owner.sign("odd", GOOD)
    assert Client(server, tofu=True).digest("odd") == f"sha256:{GOOD}"
