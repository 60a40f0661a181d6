"""Notary v1 documents that are refused, each with its place: what Go reads in two ways, or kills its clients."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keys.algorithms import generate
from keys.certificate import root_certificate
from keys.errors import KeyNotAccepted
from keys.material import tuf_key
from trustdata.errors import MalformedMetadata, TooLarge
from trustdata.limits import MAX_NOTARY_TIMESTAMP
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.delegations import may_list
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

FOLDER = Path(__file__).parents[2] / "golden" / "notary_v1" / "deleg"


def document(role: RoleName) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((FOLDER / f"{role}.json").read_bytes())
    return parsed


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def change(role: RoleName, *path: object, to: object) -> bytes:
    """The file with one member set, or with `to` None removed."""
    whole = document(role)
    place: Any = whole
    for name in path[:-1]:
        place = place[name]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return compact(whole)


TARGET = ("signed", "targets", "h")


@pytest.mark.parametrize(
    ("role", "path", "to", "place"),
    [
        (TARGETS, ("signed", "_type"), "targets", "signed._type"),
        (TARGETS, ("signed", "_type"), None, "signed._type"),
        (TARGETS, ("signed", "Version"), 7, "signed.Version"),
        (TARGETS, ("signed", "TARGETS"), {}, "signed.TARGETS"),
        (TARGETS, ("Signed",), {}, "Signed"),
        (TARGETS, ("signed", "version"), 0, "signed.version"),
        (TARGETS, ("signed", "version"), True, "signed.version"),
        (TARGETS, ("signed", "version"), "1", "signed.version"),
        (TARGETS, ("signed", "version"), None, "signed.version"),
        (TARGETS, ("signed", "expires"), "2030-01-01", "signed.expires"),
        (TARGETS, ("signed", "expires"), "2030-02-30T00:00:00Z", "signed.expires"),
        (TARGETS, ("signed", "expires"), "2030-01-01T00:00:00.1234567890Z", "signed.expires"),
        (TARGETS, ("signed", "expires"), "2030-01-01T00:00:00", "signed.expires"),
        (TARGETS, ("signed", "expires"), "0001-01-01T00:00:00+23:59", "signed.expires"),
        (TARGETS, ("signed", "targets"), None, "signed.targets"),
        (TARGETS, ("signed", "targets"), [], "signed.targets"),
        (TARGETS, ("signed", "targets", ""), {}, "signed.targets"),
        (TARGETS, TARGET, [], "signed.targets.h"),
        (TARGETS, (*TARGET, "length"), None, "signed.targets.h.length"),
        (TARGETS, (*TARGET, "Length"), 1, "signed.targets.h.Length"),
        (TARGETS, (*TARGET, "hashes"), {}, "signed.targets.h.hashes"),
        (TARGETS, (*TARGET, "hashes"), {"sha512": "00"}, "signed.targets.h.hashes.sha512"),
        (TARGETS, (*TARGET, "hashes"), {"md5": "AAAA"}, "signed.targets.h.hashes.md5"),
        (TARGETS, (*TARGET, "hashes", "sha256"), "ab" * 32, "signed.targets.h.hashes.sha256"),
        (TARGETS, (*TARGET, "hashes", "sha256"), "*", "signed.targets.h.hashes.sha256"),
        (TARGETS, (*TARGET, "custom"), {"b": 1, "a": 2}, "signed.targets.h.custom"),
        (TARGETS, (*TARGET, "custom"), {"a": "<"}, "signed.targets.h.custom"),
        (TARGETS, (*TARGET, "custom"), "&", "signed.targets.h.custom"),
        (TARGETS, (*TARGET, "custom"), {"a": "\u2028"}, "signed.targets.h.custom"),
        (TARGETS, (*TARGET, "custom"), {"a": 1.5}, "signed.targets.h.custom.a"),
        (TARGETS, (*TARGET, "custom"), {"a": 2**53}, "signed.targets.h.custom.a"),
        (TARGETS, ("signed", "delegations"), [], "signed.delegations"),
        (TARGETS, ("signed", "delegations", "roles", 0, "name"), "releases", "signed.delegations.roles[0].name"),
        (TARGETS, ("signed", "delegations", "roles", 0, "name"), "targets/A", "signed.delegations.roles[0].name"),
        (TARGETS, ("signed", "delegations", "roles", 0, "name"), "targets/../x", "signed.delegations.roles[0].name"),
        (TARGETS, ("signed", "delegations", "roles", 0, "name"), "targets//x", "signed.delegations.roles[0].name"),
        (TARGETS, ("signed", "delegations", "roles", 0, "name"), "targets/x/", "signed.delegations.roles[0].name"),
        (TARGETS, ("signed", "delegations", "roles", 0, "name"), f"targets/{'x' * 248}", "roles[0].name"),
        (TARGETS, ("signed", "delegations", "roles", 0, "name"), "targets/qa", "signed.delegations.roles[1].name"),
        (TARGETS, ("signed", "delegations", "roles", 0, "paths"), [1], "signed.delegations.roles[0].paths"),
        (TARGETS, ("signed", "delegations", "roles", 0, "keyids"), ["x"], "signed.delegations.roles[0].keyids[0]"),
        (TARGETS, ("signed", "delegations", "roles", 0, "threshold"), 0, "signed.delegations.roles[0].threshold"),
        (TARGETS, ("signatures",), None, "signatures"),
        (TARGETS, ("signatures", 0, "keyid"), "AB" * 32, "signatures[0].keyid"),
        (TARGETS, ("signatures", 0, "sig"), "*", "signatures[0].sig"),
        (TARGETS, ("signatures", 0, "sig"), None, "signatures[0].sig"),
        (TARGETS, ("signatures", 0, "method"), None, "signatures[0].method"),
        (TARGETS, ("signatures", 0, "KeyID"), "x", "signatures[0].KeyID"),
        (ROOT, ("signed", "roles", "timestamp"), None, "signed.roles"),
        (ROOT, ("signed", "roles", "mirrors"), {"keyids": [], "threshold": 1}, "signed.roles"),
        (ROOT, ("signed", "roles", "root", "threshold"), True, "signed.roles.root.threshold"),
        (ROOT, ("signed", "consistent_snapshot"), None, "signed.consistent_snapshot"),
        (ROOT, ("signed", "keys", "ab" * 32), {}, f"signed.keys.{'ab' * 32}.keytype"),
        (TIMESTAMP, ("signed", "meta"), {}, "signed.meta"),
        (TIMESTAMP, ("signed", "meta", "snapshot", "hashes", "sha256"), None, "signed.meta.snapshot.hashes"),
        (SNAPSHOT, ("signed", "meta", "root"), None, "signed.meta"),
        (SNAPSHOT, ("signed", "meta", "targets"), None, "signed.meta"),
        (SNAPSHOT, ("signed", "meta", "targets", "length"), "5", "signed.meta.targets.length"),
    ],
)
def test_refused_with_its_place(role: RoleName, path: tuple[object, ...], to: object, place: str) -> None:
    with pytest.raises(MalformedMetadata) as caught:
        NOTARY.parse(role, change(role, *path, to=to))
    assert caught.value.role == role
    assert caught.value.path.endswith(place)


def test_one_key_signs_once() -> None:
    whole = document(TARGETS)
    whole["signatures"] *= 2
    with pytest.raises(MalformedMetadata, match="signs twice"):
        NOTARY.parse(TARGETS, compact(whole))


@pytest.mark.parametrize("change_", ["public", "private", "keytype", "extra"])
def test_a_key_id_is_the_hash_of_its_key(change_: str) -> None:
    whole = document(ROOT)
    keyid, key = next(iter(whole["signed"]["keys"].items()))
    match change_:
        case "public":
            key["keyval"]["public"] = next(k for i, k in whole["signed"]["keys"].items() if i != keyid)["keyval"][
                "public"
            ]
        case "private":
            key["keyval"]["private"] = "AAAA"
        case "keytype":
            key["keytype"] = "rsa-x509"
        case _:
            key["keyval"]["extra"] = None
    with pytest.raises(MalformedMetadata) as caught:
        NOTARY.parse(ROOT, compact(whole))
    assert keyid in caught.value.path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"custom":{"a":"b"}', b'"custom":{"a":"\\u0062"}'),
        (b'"custom":{"a":"b"}', b'"custom":{ "a":"b"}'),
        (b'"custom":{"a":"b"}', b'"custom":{"a":"b","a":"b"}'),
        (b'"custom":{"a":"b"}', b'"custom":null'),
    ],
)
def test_custom_must_stand_as_go_would_write_it(old: bytes, new: bytes) -> None:
    good = change(TARGETS, *TARGET, "custom", to={"a": "b"})
    assert NOTARY.parse(TARGETS, good).targets.targets["h"].custom == {"a": "b"}
    assert old in good
    with pytest.raises(MalformedMetadata) as caught:
        NOTARY.parse(TARGETS, good.replace(old, new))
    assert "custom" in caught.value.path


@pytest.mark.parametrize("empty", [b"null", b'{"keys":{},"roles":[]}', b'{"keys":null,"roles":null}', None])
def test_no_delegations_may_be_written_in_four_ways(empty: bytes | None) -> None:
    if empty is None:
        raw = change(TARGETS, "signed", "delegations", to=None)
    else:
        raw = change(TARGETS, "signed", "delegations", to="X").replace(b'"X"', empty)
    delegations = NOTARY.parse(TARGETS, raw).targets.delegations
    assert delegations is not None
    assert delegations.roles == {}


@pytest.mark.parametrize("expires", ["2030-01-01T00:00:00Z", "2029-12-31T16:00:00.000000001-08:00"])
def test_times_of_any_zone_are_compared_as_instants_and_kept_as_written(expires: str) -> None:
    envelope = NOTARY.parse(TARGETS, change(TARGETS, "signed", "expires", to=expires))
    assert envelope.expires.isoformat() == "2030-01-01T00:00:00+00:00"
    assert expires.encode() in NOTARY.payload(envelope.content)


def test_targets_that_are_null_end_go_s_client_so_they_are_refused() -> None:
    raw = change(TARGETS, "signed", "targets", to="X").replace(b'"X"', b"null")
    with pytest.raises(MalformedMetadata, match=r"signed\.targets"):
        NOTARY.parse(TARGETS, raw)


def test_unknown_members_are_accepted_and_written_again() -> None:
    raw = change(TARGETS, "signed", "x-foreign", to={"a": [1, None]})
    envelope = NOTARY.parse(TARGETS, raw)
    assert b'"x-foreign":{"a":[1,null]}' in envelope.payload
    assert NOTARY.payload(envelope.content) == envelope.payload


def test_go_s_html_escapes_are_not_what_was_signed() -> None:
    raw = change(TARGETS, "signed", "x", to="<&>").replace(b"<&>", b"\\u003c\\u0026\\u003e")
    assert b'"x":"<&>"' in NOTARY.parse(TARGETS, raw).payload


def test_the_limits_are_this_format_s() -> None:
    raw = (FOLDER / "timestamp.json").read_bytes()
    NOTARY.parse(TIMESTAMP, raw + b" " * (MAX_NOTARY_TIMESTAMP - len(raw)))
    with pytest.raises(TooLarge):
        NOTARY.parse(TIMESTAMP, raw + b" " * (MAX_NOTARY_TIMESTAMP - len(raw) + 1))


def test_a_custom_is_not_taken_for_one_before_it() -> None:
    """Go has to write it again as it stands here, not as it stands elsewhere in the file."""
    raw = change(TARGETS, *TARGET, "custom", to={"b": 1, "a": 2})
    before = raw.replace(
        b'"targets":{',
        b'"targets":{"g":{"custom":{"a":2,"b":1},"hashes":{"sha256":"' + b"A" * 43 + b'="},"length":1},',
        1,
    )
    assert before != raw
    with pytest.raises(MalformedMetadata) as caught:
        NOTARY.parse(TARGETS, before)
    assert caught.value.path == "signed.targets.h.custom"
    NOTARY.parse(TARGETS, before.replace(b'{"b":1,"a":2}', b'{"a":2,"b":1}'))


def test_file_names() -> None:
    assert NOTARY.filename(RoleName("targets/qa")) == "targets/qa.json"
    assert NOTARY.filename(RoleName("targets/qa"), version=3) == "3.targets/qa.json"


def test_a_key_type_that_nobody_knows() -> None:
    whole = document(ROOT)
    keyid, key = next(iter(whole["signed"]["keys"].items()))
    key["keytype"] = "dsa"
    with pytest.raises(MalformedMetadata, match="must be one of ecdsa, rsa, ed25519, ecdsa-x509, rsa-x509") as caught:
        NOTARY.parse(ROOT, compact(whole))
    assert caught.value.path == f"signed.keys.{keyid}.keytype"


def test_what_python_tuf_s_classes_refuse_is_malformed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that our reading lets through is known to be refused by them; a later version may think otherwise."""

    def refuses(*_: object) -> None:
        raise ValueError("they say no")

    monkeypatch.setattr("trustdata.wire.notary.NotaryTargets", refuses)
    with pytest.raises(MalformedMetadata, match="they say no"):
        NOTARY.parse(TARGETS, (FOLDER / "targets.json").read_bytes())


def test_keys_and_signers_as_each_format_writes_them() -> None:
    private = generate()
    stored = tuf_key(private)
    bare = NOTARY.encode_key(stored)
    assert TUF.encode_key(stored) is stored
    assert (bare.keytype, bare.scheme) == ("ecdsa", "notary-v1")
    assert NOTARY.encode_key(bare) is bare
    assert TUF.signer(private).public_key == TUF.signer(private, stored).public_key == stored
    assert NOTARY.signer(private).public_key.keyid == NOTARY.signer(private, bare).public_key.keyid == bare.keyid
    certificate = root_certificate(private, gun="example.com/a", at=datetime(2026, 1, 1, tzinfo=UTC))
    assert NOTARY.encode_key(certificate) is certificate
    assert TUF.encode_key(certificate) == TUF.encode_key(bare) == stored
    assert NOTARY.signer(private, certificate).sign(b"x").keyid == certificate.keyid
    stored.keyval["public"] = "no key"
    for wire in (TUF, NOTARY):
        with pytest.raises(KeyNotAccepted):
            wire.encode_key(stored)


def test_how_large_a_file_may_be() -> None:
    assert [NOTARY.size_limit(role) for role in (TIMESTAMP, ROOT, TARGETS)] == [2**16, 2**20, 12 * 2**20]
    assert TUF.size_limit(TIMESTAMP) == 16_384


def test_a_file_is_asked_for_by_its_sha256_whatever_the_root_promises() -> None:
    envelope = NOTARY.parse(TARGETS, (FOLDER / "targets.json").read_bytes())
    for consistent in (True, False):
        name = NOTARY.listed_filename(TARGETS, NOTARY.meta(envelope), consistent=consistent)
        assert name == f"targets.{envelope.sha256}.json"


def test_a_delegation_that_is_not_there_may_list_nothing() -> None:
    targets = NOTARY.parse(TARGETS, (FOLDER / "targets.json").read_bytes()).targets
    assert may_list(targets, RoleName("targets/releases"), "x")
    assert not may_list(targets, RoleName("targets/nobody"), "x")
