"""What the sentences of errors add only where it is so: a doubt, an owner, a platform, what to set."""

from __future__ import annotations

import pytest

from keys.errors import (
    KeyEncryptionUnknown,
    KeyExists,
    KeyFileExposed,
    KeyIsPrivate,
    KeyNameTaken,
    KeyNotAuthorised,
    KeyNotFound,
    KeyStoreInsecure,
    PassphraseMissing,
    PassphraseWrong,
)


def test_a_doubt_is_told_only_where_there_is_one() -> None:
    assert str(PassphraseWrong(key="the key")).endswith(" the key")
    assert str(PassphraseWrong(key="the key", or_altered=True)).endswith(" the key, or the file was altered")
    assert PassphraseWrong(key="the key").or_altered is False


@pytest.mark.parametrize("kind", [KeyNotFound, KeyNotAuthorised])
def test_a_store_without_any_key_is_told_as_that(kind: type[KeyNotFound]) -> None:
    assert str(kind(key="for root")) == "no private key for root in the key store"
    assert str(kind(key="for root", store_is_empty=True)).endswith(
        "in the key store, which holds no private key at all"
    )
    assert kind(key="for root", store_is_empty=True).details() == {"key": "for root", "named": False}


def test_what_is_there_already_is_told_where_it_is() -> None:
    assert str(KeyExists(key="root key (ab)")) == "root key (ab) is in the key store already"
    assert str(KeyExists(key="the key", place="a.pem")) == "the key exists already: a.pem"
    taken = KeyNameTaken(key="signer key alice (ab)", name="alice")
    assert str(taken) == "the name alice is that of another key in the key store, signer key alice (ab)"


def test_an_encryption_that_is_not_read_is_told_without_further_words() -> None:
    assert str(KeyEncryptionUnknown(key="a.pem")) == "key a.pem is not accepted: its encryption is not supported"


def test_what_can_be_set_is_named_if_there_is_any() -> None:
    assert str(PassphraseMissing(key="the key", sources=())).endswith(" the key is missing")
    assert str(PassphraseMissing(key="the key", sources=("A", "B"))).endswith(" is missing; set one of A, B")


@pytest.mark.parametrize("kind", [KeyFileExposed, KeyStoreInsecure])
def test_a_file_that_lets_others_read_keys_is_named_with_what_puts_it_right(kind: type[KeyFileExposed]) -> None:
    plain = kind(path="a.key", mode="644", wanted="600")
    assert (plain.owner, plain.platform) == (None, "")
    assert str(plain).startswith("a.key has mode 644, ")
    assert str(plain).endswith("; chmod 600 a.key")
    foreign = str(kind(path="a.key", mode="600", wanted="600", owner=7))
    assert foreign.startswith("a.key belongs to user 7, ")
    assert "chmod" not in foreign
    mounted = str(kind(path="a.key", mode="644", wanted="600", owner=0, platform="set defaultMode"))
    assert mounted.startswith("a.key has mode 644, ")
    assert mounted.endswith("; set defaultMode")


def test_a_private_key_that_somebody_hands_over_is_told_by_its_own_name() -> None:
    error = KeyIsPrivate(place="alice.key")
    assert error.details() == {
        "place": "alice.key",
        "reason": "it holds a private key where a public key is wanted",
        "command": "",
    }
    assert str(error).startswith("alice.key holds a private key")
