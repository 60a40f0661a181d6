"""What every key store promises (`keys.store.KeyStore`), asked of each of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keys.algorithms import Algorithm, PrivateKey, generate
from keys.errors import (
    KeyAmbiguous,
    KeyElsewhere,
    KeyExists,
    KeyFileMalformed,
    KeyNameTaken,
    KeyNotFound,
    PassphraseMissing,
    PassphraseWrong,
)
from keys.filestore import FileKeyStore
from keys.key_info import KeyInfo, Purpose
from keys.material import tuf_key
from keys.notary import notary_key
from keys.store import KeyStore
from tests.simulator.memory_keystore import MemoryKeyStore
from tests.support.cheap_keys import CHEAP

PASSPHRASE = "correct horse"
UNKNOWN = "0" * 64


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> KeyStore:
    if request.param == "files":
        return FileKeyStore(tmp_path / "home" / "private", cost=CHEAP)
    return MemoryKeyStore()


def add(
    store: KeyStore, *, purpose: Purpose = "root", name: str = "", algorithm: Algorithm = Algorithm.ED25519
) -> KeyInfo:
    private = generate(algorithm)
    info = KeyInfo.of(private, purpose=purpose, name=name, created=datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))
    store.add(private, info, PASSPHRASE)
    return info


def same(one: PrivateKey, other: PrivateKey) -> bool:
    return one.public_key() == other.public_key()


def test_an_empty_store_lists_nothing_and_knows_no_key(store: KeyStore) -> None:
    assert store.list() == ()
    for ask in (store.get, store.retire, store.remove):
        with pytest.raises(KeyNotFound):
            ask(UNKNOWN)
    with pytest.raises(KeyNotFound):
        store.private(UNKNOWN, PASSPHRASE)
    with pytest.raises(KeyNotFound):
        store.passwd(UNKNOWN, PASSPHRASE, "new")


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_gives_back_the_key_and_its_description(store: KeyStore, algorithm: Algorithm) -> None:
    private = generate(algorithm)
    info = KeyInfo.of(private, purpose="signer", name="alice", gun="example.com/app")
    store.add(private, info, PASSPHRASE)
    assert store.list() == (info,)
    assert same(store.private(info.keyid, PASSPHRASE), private)
    assert info.algorithm is algorithm
    assert info.keyid == tuf_key(private).keyid


def test_lists_in_order_of_purpose_and_name(store: KeyStore) -> None:
    added = [
        add(store, purpose="targets"),
        add(store, purpose="signer", name="bob"),
        add(store, purpose="signer", name="al"),
    ]
    assert [k.keyid for k in store.list()] == [added[i].keyid for i in (2, 1, 0)]


def test_finds_by_id_by_prefix_and_by_name(store: KeyStore) -> None:
    info = add(store, purpose="signer", name="alice")
    add(store, purpose="signer", name="bob")
    for reference in (info.keyid, info.keyid[:20], "alice"):
        assert store.get(reference) == info


def test_finds_by_the_id_that_docker_and_notary_have(store: KeyStore) -> None:
    info = add(store, purpose="signer", name="alice")
    add(store, purpose="signer", name="bob")
    keyid = notary_key(info.public).keyid
    assert store.get(keyid) == store.get(keyid[:12]) == info
    with pytest.raises(KeyNotFound, match="f" * 64):
        store.get("f" * 64)


def test_finds_nothing_by_less_than_four_digits_or_an_empty_name(store: KeyStore) -> None:
    info = add(store)
    for reference in (info.keyid[:3], "", "*", info.keyid.upper(), f"../{info.keyid}"):
        with pytest.raises(KeyNotFound):
            store.get(reference)


def test_a_name_goes_before_the_digits_of_an_id(store: KeyStore) -> None:
    first = add(store)
    named = add(store, purpose="signer", name=first.keyid[:8])
    assert store.get(first.keyid[:8]) == named
    assert store.get(first.keyid[:16]) == first


def test_digits_that_fit_two_keys_are_ambiguous_and_both_are_named(store: KeyStore) -> None:
    by_start: dict[str, KeyInfo] = {}
    one, other = None, None
    keys = []
    while one is None:  # two ids that begin with the same four digits come after about 300 keys
        private = generate(Algorithm.ED25519)
        info = KeyInfo.of(private, purpose="root")
        keys.append((private, info))
        if info.keyid[:4] in by_start:
            one, other = by_start[info.keyid[:4]], info
        by_start[info.keyid[:4]] = info
    assert other is not None
    for private, info in keys:
        if info.keyid in {one.keyid, other.keyid}:
            store.add(private, info, PASSPHRASE)
    with pytest.raises(KeyAmbiguous) as caught:
        store.get(one.keyid[:4])
    assert set(caught.value.candidates) == {one.described, other.described}
    assert one.described in str(caught.value)


def test_refuses_a_key_twice_and_a_name_twice(store: KeyStore) -> None:
    private = generate(Algorithm.ED25519)
    info = KeyInfo.of(private, purpose="signer", name="alice")
    store.add(private, info, PASSPHRASE)
    with pytest.raises(KeyExists):
        store.add(private, info, "another")
    with pytest.raises(KeyExists):
        add(store, purpose="signer", name="alice")
    assert store.list() == (info,)
    assert same(store.private(info.keyid, PASSPHRASE), private)


def test_a_retired_key_stays_opens_and_leaves_its_name_to_the_next(store: KeyStore) -> None:
    old = add(store, purpose="signer", name="alice")
    store.retire(old.keyid)
    store.retire(old.keyid)
    assert store.get("alice").retired
    new = add(store, purpose="signer", name="alice")
    assert store.get("alice") == new
    assert store.get(old.keyid) == replace(old, retired=True)
    store.private(old.keyid, PASSPHRASE)


def test_a_wrong_passphrase_names_the_key_and_not_itself(store: KeyStore) -> None:
    info = add(store, purpose="signer", name="alice")
    with pytest.raises(PassphraseWrong) as caught:
        store.private(info.keyid, "wrong-guess")
    assert "alice" in str(caught.value)
    assert info.keyid[:12] in str(caught.value)
    assert "wrong-guess" not in f"{caught.value}{caught.value.details()}"


def test_passwd_puts_the_key_under_the_new_passphrase_alone(store: KeyStore) -> None:
    info = add(store)
    store.retire(info.keyid)
    private = store.private(info.keyid, PASSPHRASE)
    store.passwd(info.keyid, PASSPHRASE, "new")
    assert same(store.private(info.keyid, "new"), private)
    with pytest.raises(PassphraseWrong):
        store.private(info.keyid, PASSPHRASE)
    assert store.get(info.keyid).retired


def test_passwd_with_a_wrong_or_empty_passphrase_changes_nothing(store: KeyStore) -> None:
    info = add(store)
    with pytest.raises(PassphraseWrong):
        store.passwd(info.keyid, "wrong", "new")
    with pytest.raises(PassphraseMissing):
        store.passwd(info.keyid, PASSPHRASE, "")
    store.private(info.keyid, PASSPHRASE)


def test_an_empty_passphrase_or_a_description_of_another_key_adds_nothing(store: KeyStore) -> None:
    private = generate()
    with pytest.raises(PassphraseMissing):
        store.add(private, KeyInfo.of(private, purpose="root"), "")
    with pytest.raises(KeyFileMalformed):
        store.add(private, KeyInfo.of(generate(), purpose="root"), PASSPHRASE)
    assert store.list() == ()


def test_a_removed_key_is_gone_and_may_come_again(store: KeyStore) -> None:
    private = generate()
    info = KeyInfo.of(private, purpose="root")
    store.add(private, info, PASSPHRASE)
    store.remove(info.keyid)
    assert store.list() == ()
    with pytest.raises(KeyNotFound):
        store.remove(info.keyid)
    store.add(private, info, PASSPHRASE)
    assert store.get(info.keyid) == info


def elsewhere(name: str = "hsm") -> KeyInfo:
    return KeyInfo.of(generate(), purpose="root", name=name, uri="pkcs11:object=a?module-path=/x.so")


def test_a_key_that_lives_elsewhere_is_listed_found_retired_and_removed_as_others(store: KeyStore) -> None:
    here, info = add(store, purpose="root", name="here"), elsewhere()
    store.add_elsewhere(info)
    assert store.list() == (here, info)
    for reference in (info.keyid, info.keyid[:20], "hsm", notary_key(info.public).keyid):
        assert store.get(reference) == info
    store.retire(info.keyid)
    store.retire(info.keyid)
    assert store.get("hsm") == replace(info, retired=True)
    store.remove(info.keyid)
    assert store.list() == (here,)


def test_a_key_that_lives_elsewhere_is_not_opened(store: KeyStore) -> None:
    info = elsewhere()
    store.add_elsewhere(info)
    with pytest.raises(KeyElsewhere, match="it is at pkcs11:object=a"):
        store.private(info.keyid, PASSPHRASE)
    with pytest.raises(KeyElsewhere):
        store.passwd(info.keyid, PASSPHRASE, "new")
    assert store.list() == (info,)


def test_an_entry_is_refused_twice_without_a_place_and_under_a_name_that_is_taken(store: KeyStore) -> None:
    info = elsewhere()
    store.add_elsewhere(info)
    with pytest.raises(KeyExists):
        store.add_elsewhere(info)
    with pytest.raises(KeyNameTaken):
        store.add_elsewhere(elsewhere())
    with pytest.raises(KeyFileMalformed):
        store.add_elsewhere(replace(elsewhere(name="other"), uri=""))
    private = generate()
    with pytest.raises(KeyNameTaken):
        store.add(private, KeyInfo.of(private, purpose="signer", name="hsm"), PASSPHRASE)
    assert store.list() == (info,)
