"""The file of a backup: what goes in comes out, nothing of it can be altered, and what cannot be read is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.algorithms import Algorithm, generate
from keys.backup import archive
from keys.backup.archive import Backup, Elsewhere, PassphraseSeal, key_from_passphrase, open_archive, read_archive
from keys.backup.errors import (
    BackupAltered,
    BackupMalformed,
    BackupNewer,
    BackupNotProven,
    BackupPassphraseWrong,
    KeyNotInBackup,
)
from keys.backup.opening import prove
from keys.errors import PassphraseMissing, SigningFailed
from keys.key_info import KeyInfo
from keys.material import tuf_key, write_private_der
from keys.scrypt_cost import PRODUCTION_COST
from keys.signers import FileSigner
from tests.support.backups import ALICE, AT, KEYS, PASSPHRASE, sealed
from tests.support.cheap_keys import CHEAP

MADE = sealed(elsewhere=[Elsewhere(info=KeyInfo.of(generate(), purpose="root", name="hsm"), uri="pkcs11:serial=1")])
INFO = KEYS[0][0]


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(MADE.data)
    change(document)
    return json.dumps(document).encode()


def opened_with(backup: Backup, passphrase: str) -> bytes:
    assert isinstance(backup.seal, PassphraseSeal)
    return key_from_passphrase(backup, backup.seal, passphrase)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_every_kind_of_key_comes_back_and_signs(algorithm: Algorithm) -> None:
    private = generate(algorithm)
    info = replace(KeyInfo.of(private, purpose="targets", gun="example.com/a", created=AT), retired=True)
    backup = sealed([*KEYS, (info, private)]).read
    opened = open_archive(backup, opened_with(backup, PASSPHRASE))
    prove(backup, opened)
    assert backup.infos == (INFO, info)
    assert {keyid: tuf_key(key).keyid for keyid, key in opened.items()} == {i.keyid: i.keyid for i in backup.infos}
    assert write_private_der(opened[info.keyid]) == write_private_der(private)


def test_it_says_who_made_it_when_and_what_could_not_be_put_in() -> None:
    hsm = KeyInfo.of(generate(), purpose="root", name="hsm", created=AT)
    made = sealed(elsewhere=[Elsewhere(info=replace(hsm, retired=True), uri="pkcs11:serial=1")])
    backup = made.read
    assert (backup.by, backup.created, backup.place) == ("ann@laptop", AT, "keys.backup")
    (elsewhere,) = backup.elsewhere
    assert (elsewhere.info.name, elsewhere.info.retired, elsewhere.uri) == ("hsm", True, "pkcs11:serial=1")
    assert made.data.decode().splitlines()[:2] == ["{", ' "format": "content-trust-backup-1",'], "for people, too"
    assert b"PRIVATE" not in MADE.data
    assert base64.b64encode(write_private_der(ALICE))[:40] not in MADE.data


def test_names_and_keys_are_new_each_time_and_the_cost_is_that_of_every_key_file() -> None:
    assert archive.new_name() != archive.new_name()
    assert len({archive.new_key() for _ in range(3)}) == 3
    assert archive.seal_key(bytes(32), "a passphrase", name="").cost == PRODUCTION_COST
    with pytest.raises(PassphraseMissing) as caught:
        archive.seal_key(bytes(32), "", name="")
    assert (caught.value.key, caught.value.sources) == ("the backup", ())


def test_the_seal_that_is_read_is_the_one_that_was_made() -> None:
    name, key = archive.new_name(), archive.new_key()
    seal = archive.seal_key(key, PASSPHRASE, name=name, cost=CHEAP)
    data = archive.write_archive(KEYS, key, seal=seal, name=name, created=AT, by="ann")
    assert read_archive(data, place="x").seal == seal


def test_a_wrong_passphrase_is_told_from_altered_content() -> None:
    with pytest.raises(BackupPassphraseWrong, match=r"^the passphrase does not open the backup keys\.backup, or the"):
        opened_with(MADE.read, "guess")
    with pytest.raises(BackupAltered, match="damaged or changed") as caught:
        open_archive(MADE.read, bytes(32))
    assert caught.value.place == "keys.backup"


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(by="mallory"),
        lambda d: d.update(created="2026-01-01T00:00:00Z"),
        lambda d: d["keys"][0].update(retired=True),
        lambda d: d["keys"][0]["info"].update(name="mallory"),
        lambda d: d.update(elsewhere=[]),
        lambda d: d.update(sealed=base64.b64encode(bytes(64)).decode()),
        lambda d: d["cipher"].update(nonce=base64.b64encode(bytes(12)).decode()),
    ],
)
def test_nothing_of_the_header_can_be_altered(change: Callable[[dict[str, Any]], object]) -> None:
    backup = read_archive(altered(change), place="x")
    with pytest.raises(BackupAltered):
        open_archive(backup, opened_with(backup, PASSPHRASE))


def test_what_seals_the_key_belongs_to_this_backup_alone() -> None:
    backup = read_archive(altered(lambda d: d.update(backup="0" * 32)), place="x")
    with pytest.raises(BackupPassphraseWrong):
        opened_with(backup, PASSPHRASE)


MALFORMED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "more": (lambda d: d.update(more=1), "the document does not have"),
    "less": (lambda d: d.pop("by"), "the document does not have"),
    "format": (lambda d: d.update(format="content-trust-key-1"), "not a backup of format content-trust-backup-1"),
    "backup": (lambda d: d.update(backup=7), "backup is no text"),
    "backup-hex": (lambda d: d.update(backup="x" * 32), "32 hex digits"),
    "backup-capitals": (lambda d: d.update(backup="ABCDEFX" + "0" * 25), "32 hex digits"),
    "backup-x": (lambda d: d.update(backup="X" * 32), "32 hex digits"),
    "backup-long": (lambda d: d.update(backup="0" * 33), "backup is no text of at most 32"),
    "backup-short": (lambda d: d.update(backup="ab"), "32 hex digits"),
    "by": (lambda d: d.update(by="x" * 513), "by is no text"),
    "created": (lambda d: d.update(created="yesterday"), "its time of creation cannot be read"),
    "cipher": (lambda d: d["cipher"].update(name="rot13"), "unknown method"),
    "cipher-none": (lambda d: d.update(cipher=None), "cipher does not have"),
    "nonce": (lambda d: d["cipher"].update(nonce="AAAA"), "nonce has 3 bytes where 12"),
    "sealed": (lambda d: d.update(sealed="%"), "sealed is not base64"),
    "sealed-type": (lambda d: d.update(sealed=7), "sealed is not base64"),
    "seal": (lambda d: d.update(seal="passphrase"), "seal does not have"),
    "seal-name": (lambda d: d["seal"].update(name="rot13"), "unknown method"),
    "kdf": (lambda d: d["seal"].update(kdf=7), "kdf does not have"),
    "kdf-name": (lambda d: d["seal"]["kdf"].update(name="pbkdf2"), "unknown method"),
    "kdf-n": (lambda d: d["seal"]["kdf"].update(n=True), "n of scrypt is no whole number"),
    "kdf-cost": (lambda d: d["seal"]["kdf"].update(n=1 << 40), "out of bounds"),
    "seal-nonce": (lambda d: d["seal"].update(nonce="AAAA"), "nonce has 3 bytes where 12"),
    "salt": (lambda d: d["seal"]["kdf"].update(salt="AAAA"), "salt has 3 bytes where 16"),
    "key": (lambda d: d["seal"].update(key="AAAA"), "key has 3 bytes where 48"),
    "keys": (lambda d: d.update(keys={}), "no list of at most 4096 keys"),
    "keys-many": (lambda d: d.update(keys=[{}] * 4097), "no list of at most 4096 keys"),
    "elsewhere-list": (lambda d: d.update(elsewhere={}), "no list of at most 4096 keys"),
    "keys-most": (lambda d: d.update(keys=[{}] * 4096), "a key does not have"),
    "keys-none": (lambda d: d.update(keys=[]), "it holds no key"),
    "keys-twice": (lambda d: d["keys"].append(d["keys"][0]), "names a key twice"),
    "keys-both": (lambda d: d["elsewhere"].append({**d["keys"][0], "uri": ""}), "names a key twice"),
    "key-none": (lambda d: d.update(keys=[7]), "a key does not have"),
    "key-retired": (lambda d: d["keys"][0].update(retired=1), "a key does not have"),
    "key-info": (lambda d: d["keys"][0].update(info=[]), "a key does not have"),
    "key-id": (lambda d: d["keys"][0]["info"].update(keyid="0" * 64), "a key in it is wrong: its key id"),
    "elsewhere": (lambda d: d["elsewhere"][0].update(uri=None), "uri of a key is no text"),
    "elsewhere-less": (lambda d: d["elsewhere"][0].pop("uri"), ": a key elsewhere does not have"),
    "elsewhere-id": (lambda d: d["elsewhere"][0]["info"].update(keyid="0" * 64), "a key in it is wrong: its key id"),
    "share-threshold": (
        lambda d: d.update(seal={"name": "slip-39", "threshold": 1, "count": 3, "set": 7}),
        "numbers of its shares are out of bounds",
    ),
    "share-count": (
        lambda d: d.update(seal={"name": "slip-39", "threshold": 2, "count": 17, "set": 7}),
        "numbers of its shares are out of bounds",
    ),
    "share-set": (
        lambda d: d.update(seal={"name": "slip-39", "threshold": 2, "count": 3, "set": 1 << 15}),
        "numbers of its shares are out of bounds",
    ),
    "share-set-below": (
        lambda d: d.update(seal={"name": "slip-39", "threshold": 2, "count": 3, "set": -1}),
        "numbers of its shares are out of bounds",
    ),
    "share-type": (
        lambda d: d.update(seal={"name": "slip-39", "threshold": 2, "count": 3.0, "set": 7}),
        "count is no whole number",
    ),
    "share-members": (lambda d: d.update(seal={"name": "slip-39"}), "seal does not have"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_backup_is_told_with_the_place_and_the_reason(name: str) -> None:
    change, reason = MALFORMED[name]
    with pytest.raises(BackupMalformed, match=reason) as caught:
        read_archive(altered(change), place="/media/stick/x")
    assert str(caught.value).startswith("/media/stick/x is no backup that can be read: ")


@pytest.mark.parametrize(("threshold", "count", "number"), [(2, 2, 0), (16, 16, (1 << 15) - 1)])
def test_the_least_and_the_most_that_a_set_of_shares_can_say(threshold: int, count: int, number: int) -> None:
    seal = {"name": "slip-39", "threshold": threshold, "count": count, "set": number}
    read = read_archive(altered(lambda d: d.update(seal=seal)), place="x").seal
    assert read == archive.SharedSeal(threshold=threshold, count=count, set_number=number)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not the JSON of a backup"),
        (b"\xff", "not the JSON of a backup"),
        (b"[" * 100_000, "not the JSON of a backup"),
        (MADE.data.replace(b'"by":', b'"by": "mallory", "by":', 1), "not the JSON of a backup"),
        (b"7", "not a backup of format"),
        (b" " * archive.MAX_ARCHIVE, "not the JSON of a backup"),
        (b" " * (archive.MAX_ARCHIVE + 1), "larger than"),
    ],
    ids=["empty", "no text", "deep", "one member twice", "a number", "the largest", "too large"],
)
def test_what_is_no_document_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BackupMalformed, match=reason) as caught:
        read_archive(data, place="x")
    assert caught.value.place == "x"


def test_a_newer_version_is_told_by_name() -> None:
    with pytest.raises(
        BackupNewer, match=r"^x is a backup of keys of version 2, and this program knows versions up to 1"
    ):
        read_archive(b'{"format": "content-trust-backup-2"}', place="x")


def test_what_could_not_be_read_again_is_not_written() -> None:
    with pytest.raises(BackupMalformed, match="holds no key") as caught:
        sealed([])
    assert caught.value.place == "the new backup"
    long = sealed_by("x" * 2000)
    assert len(long.by) == 512


def sealed_by(by: str) -> Backup:
    name, key = archive.new_name(), archive.new_key()
    seal = archive.seal_key(key, PASSPHRASE, name=name, cost=CHEAP)
    return read_archive(archive.write_archive(KEYS, key, seal=seal, name=name, created=AT, by=by), place="x")


def test_what_is_sealed_must_be_exactly_the_keys_that_it_names() -> None:
    backup = MADE.read
    der = base64.b64encode(write_private_der(generate())).decode()
    own = base64.b64encode(write_private_der(ALICE)).decode()
    contents: dict[str, str] = {
        "not json": "no private keys",
        "[]": "no private keys",
        '{"keys": []}': "no private keys",
        json.dumps({"keys": {INFO.keyid: "AAAA"}}): "no private keys",
        json.dumps({"keys": {INFO.keyid: 7}}): "no private keys",
        json.dumps({"keys": {INFO.keyid: der}}): "not the keys that it names",
        json.dumps({"keys": {}}): "not the keys that it names",
        json.dumps({"keys": {INFO.keyid: own, "0" * 64: own}}): "not the keys that it names",
    }
    for content, reason in contents.items():
        again = AESGCM(MADE.key).encrypt(backup.nonce, content.encode(), archive._canonical(backup.header))
        with pytest.raises(BackupMalformed, match=reason) as caught:
            open_archive(replace(backup, sealed=again), MADE.key)
        assert caught.value.place == "keys.backup"


def test_a_key_that_does_not_sign_as_its_public_key_says_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    backup = MADE.read
    opened = open_archive(backup, MADE.key)
    prove(backup, opened)
    sign = FileSigner.sign
    monkeypatch.setattr(FileSigner, "sign", lambda signer, payload: sign(signer, payload + b"!"))
    with pytest.raises(BackupNotProven, match=r"^keys\.backup is no proof against loss: signer key alice") as caught:
        prove(backup, opened)
    assert "sign" in caught.value.reason

    def fail(signer: FileSigner, payload: bytes) -> None:
        raise SigningFailed(key="alice", reason="a fault")

    monkeypatch.setattr(FileSigner, "sign", fail)
    with pytest.raises(BackupNotProven) as caught:
        prove(backup, opened)
    assert (caught.value.key, caught.value.place) == (INFO.described, "keys.backup")
    assert "sign" in caught.value.reason


def test_a_key_that_it_does_not_hold_is_named_with_it() -> None:
    assert str(KeyNotInBackup(place="x", key="'carol'")) == "x holds no key 'carol'"
