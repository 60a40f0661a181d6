"""The sealed envelope: what goes in comes out, nothing of it can be altered, and no file is a bomb."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from securesystemslib.signer._utils import compute_default_keyid

from keys import sealed_file
from keys.algorithms import Algorithm, generate
from keys.errors import KeyFileMalformed, KeyNotAccepted, PassphraseMissing, PassphraseWrong
from keys.key_info import KeyInfo
from keys.material import tuf_key, write_private_der
from keys.pem import MAX_KEY_FILE
from keys.scrypt_cost import PRODUCTION_COST, ScryptCost
from keys.sealed_file import is_sealed, read_info, retire, seal, unseal
from tests.support.cheap_keys import CHEAP

PRIVATE = generate()
INFO = KeyInfo.of(
    PRIVATE, purpose="signer", name="alice", gun="example.com/a", created=datetime(2026, 1, 2, tzinfo=UTC)
)
SEALED = seal(PRIVATE, "secret", info=INFO, cost=CHEAP)
PLACE = "/home/alice/key"


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(SEALED)
    change(document)
    return json.dumps(document).encode()


@settings(deadline=None)
@given(st.sampled_from([Algorithm.ECDSA_P256, Algorithm.ECDSA_P384, Algorithm.ED25519]), st.text(min_size=1))
def test_what_is_sealed_is_unsealed_by_its_passphrase_alone(algorithm: Algorithm, passphrase: str) -> None:
    private = generate(algorithm)
    info = KeyInfo.of(private, purpose="root")
    sealed = seal(private, passphrase, info=info, cost=CHEAP)
    assert tuf_key(unseal(sealed, passphrase, place=PLACE)) == info.public
    assert read_info(sealed, place=PLACE) == info
    with pytest.raises(PassphraseWrong):
        unseal(sealed, passphrase + "x", place=PLACE)


def test_a_passphrase_that_is_not_utf8_works() -> None:
    sealed = seal(PRIVATE, "\udcff", info=INFO, cost=CHEAP)
    assert tuf_key(unseal(sealed, "\udcff", place=PLACE)) == INFO.public


def test_production_seals_with_scrypt_and_aes_gcm_at_the_promised_cost() -> None:
    document = json.loads(seal(PRIVATE, "secret", info=INFO))
    assert (document["kdf"]["name"], document["kdf"]["n"], document["kdf"]["r"], document["kdf"]["p"]) == (
        "scrypt",
        32768,
        8,
        1,
    )
    assert document["cipher"]["name"] == "aes-256-gcm"
    assert PRODUCTION_COST.acceptable


SEED = bytes(range(32))
PASSED_ON = rb"""{
 "format": "content-trust-key-1",
 "kdf": {
  "name": "scrypt",
  "n": 2,
  "r": 1,
  "p": 1,
  "salt": "27Mmn5oitq9+le4CqODn5g=="
 },
 "cipher": {
  "name": "aes-256-gcm",
  "nonce": "I23GoJ9uOr75L01n"
 },
 "info": {
  "keyid": "63d00ee3cf4f5c61ad94efa696c68f13b608fe56ecea13fb144a6fd18e9235b9",
  "algorithm": "ed25519",
  "purpose": "signer",
  "name": "alice \u00e9",
  "gun": "example.com/a",
  "created": "2026-01-02T00:00:00Z",
  "public": {
   "keytype": "ed25519",
   "scheme": "ed25519",
   "keyval": {
    "public": "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
   }
  }
 },
 "retired": false,
 "sealed": "aWOaMjanPUvQS/8bf4f+8NXzVsEot/plwh/xPn35KQHXWF5y1IJ4oxFebGtWH3BcGJDjJbW0zbd1if8Z9YO7Iw=="
}
"""
"""A file as it lies on disks: what is written tomorrow must be this, and this must open."""


def test_a_file_from_the_past_opens_and_is_written_again_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    private = unseal(PASSED_ON, "s\xe9cret \udcff", place=PLACE)
    assert isinstance(private, Ed25519PrivateKey)
    assert private.private_bytes_raw() == SEED
    document = json.loads(PASSED_ON)
    drawn = [base64.b64decode(document["kdf"]["salt"]), base64.b64decode(document["cipher"]["nonce"])]
    assert [len(part) for part in drawn] == [16, 12]
    monkeypatch.setattr("os.urandom", lambda length: _only(drawn.pop(0), length))
    assert seal(private, "s\xe9cret \udcff", info=read_info(PASSED_ON, place=PLACE), cost=CHEAP) == PASSED_ON
    assert retire(PASSED_ON, place=PLACE) == PASSED_ON.replace(b'"retired": false', b'"retired": true')


def _only(part: bytes, length: int) -> bytes:
    assert len(part) == length
    return part


def test_salt_and_nonce_are_new_each_time() -> None:
    first, second = json.loads(SEALED), json.loads(seal(PRIVATE, "secret", info=INFO, cost=CHEAP))
    for path in (("kdf", "salt"), ("cipher", "nonce")):
        assert first[path[0]][path[1]] != second[path[0]][path[1]]
    assert first["sealed"] != second["sealed"]


def test_nothing_of_the_key_is_in_the_clear() -> None:
    der = write_private_der(PRIVATE)
    assert base64.b64encode(der)[:40] not in SEALED
    assert b"secret" not in SEALED


def test_a_wrong_passphrase_names_the_key_and_the_file() -> None:
    with pytest.raises(PassphraseWrong) as caught:
        unseal(SEALED, "guess", place=PLACE)
    assert caught.value.key == f"signer key alice ({INFO.keyid[:12]}) in {PLACE}"


def test_an_empty_passphrase_seals_nothing() -> None:
    with pytest.raises(PassphraseMissing) as caught:
        seal(PRIVATE, "", info=INFO, cost=CHEAP)
    assert (caught.value.key, caught.value.sources) == (INFO.described, ())


def test_a_description_of_another_key_seals_nothing() -> None:
    with pytest.raises(KeyFileMalformed, match="the description is of another key") as caught:
        seal(generate(), "secret", info=INFO, cost=CHEAP)
    assert caught.value.place == INFO.described


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["info"].update(name="mallory"),
        lambda d: d["info"].update(purpose="root"),
        lambda d: d["info"].update(gun=""),
        lambda d: d["info"].update(created=None),
        lambda d: d["kdf"].update(n=4),
        lambda d: d["kdf"].update(p=2),
        lambda d: d["kdf"].update(salt=base64.b64encode(bytes(16)).decode()),
        lambda d: d["cipher"].update(nonce=base64.b64encode(bytes(12)).decode()),
        lambda d: d.update(sealed=base64.b64encode(base64.b64decode(d["sealed"])[:-1]).decode()),
        lambda d: d.update(sealed=""),
    ],
)
def test_every_part_is_authenticated(change: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(PassphraseWrong):
        unseal(altered(change), "secret", place=PLACE)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["kdf"].update(n=1 << 30),
        lambda d: d["kdf"].update(n=32768, r=1024),
        lambda d: d["kdf"].update(p=1 << 24),
        lambda d: d["kdf"].update(n=3),
        lambda d: d["kdf"].update(n=1),
        lambda d: d["kdf"].update(n=0),
        lambda d: d["kdf"].update(n=-2),
        lambda d: d["kdf"].update(r=0),
        lambda d: d["kdf"].update(p=0),
        lambda d: d["kdf"].update(n=2.0),
        lambda d: d["kdf"].update(p=True),
        lambda d: d["kdf"].update(name="pbkdf2"),
        lambda d: d["kdf"].update(more=1),
        lambda d: d["kdf"].update(salt=base64.b64encode(bytes(15)).decode()),
        lambda d: d["kdf"].update(salt=""),
        lambda d: d["kdf"].update(salt=7),
        lambda d: d["kdf"].update(salt="not base64"),
        lambda d: d["kdf"].update(salt="ü"),
        lambda d: d["cipher"].update(nonce=base64.b64encode(bytes(13)).decode()),
        lambda d: d["cipher"].update(nonce=""),
        lambda d: d["cipher"].update(name="aes-128-gcm"),
        lambda d: d.update(cipher=[]),
        lambda d: d.update(kdf=None),
        lambda d: d.update(info=[]),
        lambda d: d.update(format="content-trust-key-0"),
        lambda d: d.update(retired=0),
        lambda d: d.update(more=1),
        lambda d: d.pop("retired"),
        lambda d: d["info"].update(keyid="0" * 64),
        lambda d: d["info"].update(purpose="other"),
        lambda d: d["info"].update(name="x" * 600),
        lambda d: d["info"].update(name=5),
        lambda d: d["info"].update(algorithm="rsa"),
        lambda d: d["info"].update(algorithm="dsa"),
        lambda d: d["info"].update(created="yesterday"),
        lambda d: d["info"].update(more=1),
        lambda d: d["info"].pop("gun"),
        lambda d: d["info"].update(public=[]),
        lambda d: d["info"]["public"].update(more=1),
        lambda d: d["info"]["public"].update(keyval=None),
        lambda d: d["info"]["public"].update(keyval={"public": "x", "private": "y"}),
        lambda d: d["info"]["public"].update(keytype=None),
        lambda d: d["info"]["public"].update(scheme=2.5),
    ],
)
def test_what_is_out_of_bounds_is_refused_before_any_work_and_names_the_file(
    change: Callable[[dict[str, Any]], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def must_not_run(*_: object, **__: object) -> None:
        raise AssertionError("scrypt was started")

    monkeypatch.setattr(sealed_file, "Scrypt", must_not_run)
    for read in (
        lambda: unseal(altered(change), "secret", place=PLACE),
        lambda: read_info(altered(change), place=PLACE),
    ):
        with pytest.raises(KeyFileMalformed) as caught:
            read()
        assert caught.value.place == PLACE


def test_a_weak_public_key_is_not_accepted_and_the_file_is_named() -> None:
    weak = rsa.generate_private_key(65537, 1024).public_key()
    text = weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    public = {"keytype": "rsa", "scheme": "rsassa-pss-sha256", "keyval": {"public": text}}
    keyid = compute_default_keyid("rsa", "rsassa-pss-sha256", {"public": text})
    with pytest.raises(KeyNotAccepted, match=PLACE):
        read_info(altered(lambda d: d["info"].update(keyid=keyid, public=public, algorithm="rsa")), place=PLACE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 60_000,
        SEALED[:-40],
        b'{"format": "content-trust-key-1", ' + SEALED.lstrip()[1:],
    ],
)
def test_other_documents_are_refused(data: bytes) -> None:
    with pytest.raises(KeyFileMalformed, match=r"not the JSON of a sealed key|not a sealed key of format") as caught:
        read_info(data, place=PLACE)
    assert caught.value.place == PLACE


def test_a_file_is_as_long_as_a_key_file_may_be() -> None:
    assert read_info(SEALED.ljust(MAX_KEY_FILE), place=PLACE) == INFO
    with pytest.raises(KeyFileMalformed, match=f"larger than {MAX_KEY_FILE} bytes") as caught:
        read_info(SEALED.ljust(MAX_KEY_FILE + 1), place=PLACE)
    assert caught.value.place == PLACE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.update(format="x"), "not a sealed key of format content-trust-key-1"),
        (lambda d: d.update(more=1), "the document does not have the members that it should"),
        (lambda d: d["kdf"].pop("p"), "kdf does not have the members that it should"),
        (lambda d: d.update(cipher=["name", "nonce"]), "cipher does not have the members that it should"),
        (lambda d: d["kdf"].update(name="pbkdf2"), "sealed by an unknown method"),
        (lambda d: d["cipher"].update(name="aes-128-gcm"), "sealed by an unknown method"),
        (lambda d: d["kdf"].update(r="8"), "the scrypt parameters are not whole numbers"),
        (lambda d: d["kdf"].update(n=3), "the scrypt parameters are out of bounds"),
        (lambda d: d.update(retired=None), "retired is neither true nor false"),
        (lambda d: d.update(info=None), "it has no description"),
        (lambda d: d["kdf"].update(salt=None), "salt is not base64"),
        (lambda d: d["kdf"].update(salt="AAAA*AAA="), "salt is not base64"),
        (lambda d: d["kdf"].update(salt="AAAA"), "salt has 3 bytes where 16 are wanted"),
        (lambda d: d["cipher"].update(nonce="AAAA"), "nonce has 3 bytes where 12 are wanted"),
        (lambda d: d["cipher"].update(nonce=7), "nonce is not base64"),
        (lambda d: d.update(sealed=[]), "sealed is not base64"),
    ],
)
def test_what_is_wrong_is_said(change: Callable[[dict[str, Any]], object], reason: str) -> None:
    with pytest.raises(KeyFileMalformed) as caught:
        read_info(altered(change), place=PLACE)
    assert (caught.value.place, caught.value.reason) == (PLACE, reason)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_foreign_bytes_raise_nothing_but_key_errors(data: bytes) -> None:
    with pytest.raises(KeyFileMalformed) as caught:
        unseal(data, "secret", place=PLACE)
    assert caught.value.place == PLACE


def forged(content: bytes) -> bytes:
    """The file with another content. Only who knows the passphrase can make it."""
    document = json.loads(SEALED)
    header = {m: document[m] for m in ("format", "kdf", "cipher", "info")}
    key = sealed_file._derive("secret", base64.b64decode(document["kdf"]["salt"]), CHEAP)
    nonce = base64.b64decode(document["cipher"]["nonce"])
    sealed = AESGCM(key).encrypt(nonce, content, sealed_file._authenticated(header))
    return altered(lambda d: d.update(sealed=base64.b64encode(sealed).decode()))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(write_private_der(generate()), "not that of its public key"), (b"no key", "no private key in it")],
)
def test_what_is_sealed_but_not_the_key_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(KeyFileMalformed, match=reason) as caught:
        unseal(forged(content), "secret", place=PLACE)
    assert caught.value.place == PLACE


def test_retiring_needs_no_passphrase_and_keeps_the_rest() -> None:
    retired = retire(SEALED, place=PLACE)
    assert read_info(retired, place=PLACE) == replace(INFO, retired=True)
    assert tuf_key(unseal(retired, "secret", place=PLACE)) == INFO.public
    assert not read_info(SEALED, place=PLACE).retired


def test_a_cost_is_acceptable_up_to_its_bounds() -> None:
    for n, r, p in ((2, 1, 1), (1 << 15, 1, 1), (1 << 18, 8, 1), (1 << 18, 8, 2), (1 << 20, 2, 2)):
        assert ScryptCost(n=n, r=r, p=p).acceptable, (n, r, p)
        assert ScryptCost(n=n, r=r, p=p).valid, (n, r, p)
    for n, r, p in ((1 << 19, 8, 1), (1 << 18, 9, 1), (1 << 21, 2, 1), (1 << 18, 8, 3), (1 << 20, 2, 3)):
        assert not ScryptCost(n=n, r=r, p=p).acceptable, (n, r, p)
        assert ScryptCost(n=n, r=r, p=p).valid, (n, r, p)


@pytest.mark.parametrize(
    ("n", "r", "p"),
    [
        (1, 8, 1),
        (0, 8, 1),
        (-2, 8, 1),
        (-2, -8, 1),
        (3, 8, 1),
        (6, 8, 1),
        (1 << 16, 1, 1),
        (2, 0, 1),
        (2, 1, 0),
        (2, 1, -1),
    ],
)
def test_a_cost_that_scrypt_does_not_have_is_said_to_be_none(n: int, r: int, p: int) -> None:
    """And not tried: of it the library says that memory is short."""
    cost = ScryptCost(n=n, r=r, p=p)
    assert not cost.valid
    assert not cost.acceptable
    data = altered(lambda document: document["kdf"].update(n=n, r=r, p=p))
    with pytest.raises(KeyFileMalformed, match="the scrypt parameters are out of bounds"):
        unseal(data, "secret", place=PLACE)


def test_tells_sealed_files_from_pem() -> None:
    assert is_sealed(SEALED)
    assert is_sealed(b"\n " + SEALED)
    assert not is_sealed(b"\n {")
    assert not is_sealed(b"x{")
    assert not is_sealed(b"")
    assert not is_sealed(b"-----BEGIN PRIVATE KEY-----")


def test_control_characters_in_a_name_do_not_reach_messages() -> None:
    info = KeyInfo.of(PRIVATE, purpose="signer", name="a\x1b[31m\n")
    assert "\x1b" not in info.described
    assert "\n" not in info.described
