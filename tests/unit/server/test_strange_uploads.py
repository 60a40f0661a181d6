"""Uploads that nobody foresaw: whatever parser or verifier raise, the answer is a refusal with a name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from securesystemslib.signer._utils import compute_default_keyid

from keys.errors import KeyNotAccepted
from tests.support.server_site import Site
from trustdata.roles import ROOT, TARGETS, TIMESTAMP, RoleName
from trustdata.wire import canonical_json
from trustserver.repository import judging

_STRANGE_KEYS: dict[str, dict[str, Any]] = {
    "GPG RSA": {"keytype": "rsa", "scheme": "pgp+rsa-pkcsv1.5", "keyval": {"public": {"e": "01", "n": "02"}}},
    "GPG Ed25519": {"keytype": "eddsa", "scheme": "pgp+eddsa-ed25519", "keyval": {"public": {"q": "00"}}},
    "GPG label on text": {"keytype": "rsa", "scheme": "pgp+rsa-pkcsv1.5", "keyval": {"public": "00" * 32}},
    "GPG without a value": {"keytype": "dsa", "scheme": "pgp+dsa-fips-180-2", "keyval": {}},
    "Sigstore": {"keytype": "sigstore-oidc", "scheme": "Fulcio", "keyval": {"identity": "a", "issuer": "b"}},
    "SPHINCS": {"keytype": "sphincs", "scheme": "sphincs-shake-128s", "keyval": {"public": "00"}},
    "no such type": {"keytype": "x", "scheme": "y", "keyval": {"public": "z"}},
}


@pytest.mark.parametrize("where", [ROOT, TARGETS, TIMESTAMP])
@pytest.mark.parametrize("name", _STRANGE_KEYS)
def test_a_root_with_keys_of_another_kind_is_refused_by_name(name: str, where: RoleName) -> None:
    site = Site()
    owner = site.begin()
    key = _STRANGE_KEYS[name]
    keyid = compute_default_keyid(key["keytype"], key["scheme"], key["keyval"])
    document = json.loads(owner.root())
    document["signed"]["keys"][keyid] = key
    document["signed"]["roles"][where]["keyids"].append(keyid)
    (signer,) = owner.root_keys
    signature = signer.sign(canonical_json.encode(document["signed"])).to_dict()
    document["signatures"] = [signature, {"keyid": keyid, "sig": "00"}]
    answer = site.publish({ROOT: json.dumps(document).encode()})
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed-metadata")


@pytest.mark.parametrize("failure", [KeyNotAccepted(key="k", reason="odd"), RecursionError(), KeyError("secret")])
@pytest.mark.parametrize("place", ["judge_upload", "check_second_opinion"])
def test_whatever_an_upload_makes_us_raise_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, place: str, failure: Exception
) -> None:
    site = Site()
    owner = site.begin()

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(judging, place, fail)
    answer = site.publish({TARGETS: owner.targets()})
    assert (answer.status_code, answer.json()["code"]) == (422, "publish-refused")
    assert "secret" not in answer.text
