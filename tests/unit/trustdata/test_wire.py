"""What only a crafted document reaches: the rest of the strict reading."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

from tests.simulator import keyring
from tests.simulator.forgery import file_of, text_of
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import good_collection
from trustdata.envelope import Envelope
from trustdata.errors import ContentMismatch, MalformedMetadata, PublishRefused, ThresholdNotMet, TooLarge
from trustdata.model import TargetFile, Targets
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification import checks
from trustdata.verification.delegations import may_list
from trustdata.verification.second_opinion import check_second_opinion
from trustdata.verification.target_lookup import read_target
from trustdata.wire import strict_json
from trustdata.wire.tuf import TUF


def _parse(role: RoleName, document: dict[str, Any]) -> Envelope:
    return TUF.parse(role, file_of(text_of(document), []))


def _refused(role: RoleName, document: dict[str, Any], path: str) -> None:
    with pytest.raises(MalformedMetadata) as caught:
        _parse(role, document)
    assert caught.value.path == path


def test_key_ids_are_key_ids() -> None:
    document = good_collection().forger.document(ROOT)
    document["roles"]["root"]["keyids"] = ["abc"]
    _refused(ROOT, document, "signed.roles.root.keyids[0]")


def test_paths_are_texts() -> None:
    document = good_collection().forger.document(TARGETS)
    document["delegations"]["roles"][0]["paths"] = ["*", 1]
    _refused(TARGETS, document, "signed.delegations.roles[0].paths[1]")


@pytest.mark.parametrize("length", [0, 1])
def test_consistent_snapshot_may_be_absent(length: int) -> None:
    document = good_collection().forger.document(ROOT)
    del document["consistent_snapshot"]
    assert _parse(ROOT, document).root.consistent_snapshot is None


def test_what_python_tuf_refuses_beyond_our_checks() -> None:
    document = good_collection().forger.document(TARGETS)
    document["delegations"] = {
        "keys": {},
        "roles": [{"name": "a", "keyids": [], "threshold": 1, "terminating": False, "path_hash_prefixes": [""]}],
    }
    document["targets"] = {"a": {"length": 1, "hashes": {"sha256": "ab"}, "custom": {"x": 1}}}
    assert _parse(TARGETS, document).targets.targets["a"].custom == {"x": 1}
    document["delegations"] = {"keys": {}, "succinct_roles": {"keyids": [], "threshold": 1, "bit_length": 0}}
    _refused(TARGETS, document, "signed.delegations.succinct_roles.name_prefix")
    document = good_collection().forger.document(ROOT)
    unknown = {"keytype": "dsa", "scheme": "dsa", "keyval": {"public": "x"}}
    document["keys"][hashlib.sha256(str(encode_canonical(unknown)).encode()).hexdigest()] = unknown
    _refused(ROOT, document, "signed")


@pytest.mark.parametrize(
    "target", [1, [], "x", {}, {"length": 1}, {"length": 1, "hashes": 1}, {"length": 1, "hashes": []}]
)
def test_targets_of_every_wrong_shape(target: object) -> None:
    document = good_collection().forger.document(RELEASES)
    document["targets"] = {"good": {"length": 1, "hashes": {"sha256": "ab" * 32}}, "v1": target}
    with pytest.raises(MalformedMetadata) as caught:
        _parse(RELEASES, document)
    assert caught.value.path.startswith("signed.targets.v1")


@pytest.mark.parametrize(
    ("role", "limit"), [(ROOT, 512_000), (TIMESTAMP, 16_384), (SNAPSHOT, 1_048_576), (TARGETS, 5_000_000)]
)
def test_limits_to_the_byte(role: RoleName, limit: int) -> None:
    raw = good_collection().server.stored[role].raw
    TUF.parse(role, raw + b" " * (limit - len(raw)))
    with pytest.raises(TooLarge) as caught:
        TUF.parse(role, raw + b" " * (limit - len(raw) + 1))
    assert caught.value.limit == limit


@pytest.mark.parametrize("depth", [33, 254, 255, 1024, 1025, 50_000])
def test_deep_nesting_is_refused_at_every_limit_of_the_parser_below(depth: int) -> None:
    for raw in (b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth):
        with pytest.raises(MalformedMetadata, match="nested deeper than 32"):
            strict_json.parse(ROOT, raw)


def test_depth_is_counted_from_the_top() -> None:
    with pytest.raises(MalformedMetadata, match="nested deeper than 32"):
        strict_json.parse(ROOT, b" " + b"[" * 33 + b"]" * 33)
    assert strict_json.parse(ROOT, b" " + b"[" * 32 + b"]" * 32).value


def test_a_tag_without_sha256_stands_for_nothing() -> None:
    with pytest.raises(ContentMismatch, match="hash of v1"):
        read_target(RELEASES, "v1", TargetFile(1, {"sha512": "ab"}, "v1"))
    with pytest.raises(ContentMismatch, match="hash of v1"):
        read_target(RELEASES, "v1", TargetFile(1, {"sha256": "ab"}, "v1"))
    odd = TargetFile(1, {"sha256": "ab" * 32}, "v1", {"custom": {"oci": {"manifests": ["short"]}}})
    assert read_target(RELEASES, "v1", odd).children == ()
    many = TargetFile(1, {"sha256": "ab" * 32}, "v1", {"custom": {"oci": {"manifests": ["ab" * 32] * 257}}})
    assert read_target(RELEASES, "v1", many).children == ()


def test_nobody_may_list_without_a_delegation() -> None:
    assert not may_list(Targets(1), RELEASES, "v1")


def test_a_key_that_is_not_accepted_counts_for_nothing_towards_two() -> None:
    weak = CryptoSigner.generate_rsa(size=2048, scheme="rsa-pkcs1v15-sha256")
    document = good_collection().forger.document(ROOT)
    document["keys"][weak.public_key.keyid] = weak.public_key.to_dict()
    document["roles"]["root"] = {"keyids": [weak.public_key.keyid, keyring.keyid("root")], "threshold": 2}
    envelope = TUF.parse(ROOT, file_of(text_of(document), [weak, keyring.signer("root")]))
    with pytest.raises(ThresholdNotMet) as caught:
        checks.check_signatures(envelope.root, ROOT, envelope)
    assert caught.value.signed == (keyring.keyid("root"),)


def test_only_root_and_targets_delegate() -> None:
    stored = dict(good_collection().server.stored)
    stored[ROOT] = stored[SNAPSHOT]
    with pytest.raises(PublishRefused, match="cannot delegate"):
        check_second_opinion(stored, [TARGETS])


def test_names_of_files() -> None:
    assert TUF.filename(TIMESTAMP) == "timestamp.json"
    assert TUF.filename(RELEASES, version=3) == "3.targets%2Freleases.json"
    assert RepositorySimulator().wire.name == "tuf-1.0"


@pytest.mark.parametrize("custom", [{}, {"custom": {"oci": {"manifests": []}}}], ids=["plain", "with custom data"])
def test_the_content_is_what_python_tuf_reads(custom: dict[str, object]) -> None:
    """Plain targets take a shorter way into python-tuf's classes; the result is the same, in the same order."""
    content = Targets(3, expires=datetime(2030, 1, 1, tzinfo=UTC))
    for tag in ("v2", "v1", "v10"):
        content.targets[tag] = TargetFile(7, {"sha256": "ab" * 32}, tag, dict(custom))
    raw = TUF.serialize(content, {})
    parsed = TUF.parse(TARGETS, raw).targets
    theirs: Metadata[Targets] = Metadata.from_bytes(raw)
    assert parsed == theirs.signed == content
    assert list(parsed.targets) == list(theirs.signed.targets)
