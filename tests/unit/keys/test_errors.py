"""What the sentences of errors add only where it is so: a doubt, an owner, a platform, what to set."""

from __future__ import annotations

import pytest

from keys.errors import (
    ANY_TOKEN,
    KeyEncryptionUnknown,
    KeyExists,
    KeyFileExposed,
    KeyIsPrivate,
    KeyNameTaken,
    KeyNotAuthorised,
    KeyNotFound,
    KeyStoreInsecure,
    KeyUnknown,
    PassphraseMissing,
    PassphraseUnreadable,
    PassphraseWrong,
    TokenAmbiguous,
    TokenMissing,
    TokenPinWrong,
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
    assert str(taken) == "another key in the key store has the name alice, signer key alice (ab)"


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


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (None, "how many tries are left is not known"),
        (0, "no try is left"),
        (1, "one try is left"),
        (2, "2 tries are left"),
        (7, "7 tries are left"),
    ],
)
def test_a_wrong_pin_is_told_with_the_tries_that_are_left(left: int | None, said: str) -> None:
    """Who trusts a wrong number locks the token."""
    error = TokenPinWrong(token="token T", source="of the environment", left=left)
    assert str(error) == f"the PIN of the environment is not that of token T; it was tried once, and {said}"


def test_tokens_are_told_with_those_that_are_there() -> None:
    assert str(TokenMissing(token="T", present=("A", "B"))) == "there is no token T; there are: A, B"
    assert str(TokenMissing(token="T")) == "there is no token T; there is none at all"
    assert str(TokenAmbiguous(token="T", candidates=("A", "B"))) == "T fits several tokens: A, B"


def test_a_uri_that_names_no_token_is_told_as_such() -> None:
    several = TokenAmbiguous(token=ANY_TOKEN, candidates=("A", "B"))
    assert str(several) == "the key URI names no token, and there are several: A, B"
    assert str(TokenMissing(token=ANY_TOKEN)) == "there is no token at all"
    assert str(TokenMissing(token=ANY_TOKEN, present=("A",))) == "there is no token any; there are: A"


def test_a_pin_is_called_one() -> None:
    missing = PassphraseMissing(key="token T", sources=("TRUST_TOKEN_PIN", "TRUST_TOKEN_PIN_FILE"))
    assert str(missing).startswith("the PIN of token T is missing; set one of TRUST_TOKEN_PIN, ")
    unreadable = PassphraseUnreadable(key="token T", source="TRUST_TOKEN_PIN_FILE (pin)", reason="it is empty")
    assert str(unreadable) == "the PIN of token T cannot be read from TRUST_TOKEN_PIN_FILE (pin): it is empty"
    for source in ("pin-source (/p)", "TRUST_TOKEN_PIN_FD (3)"):
        assert (
            str(PassphraseUnreadable(key="k", source=source, reason="r"))
            == f"the PIN of k cannot be read from {source}: r"
        )
    assert str(PassphraseUnreadable(key="k", source="A", reason="r")) == "the passphrase of k cannot be read from A: r"
    assert str(PassphraseMissing(key="the key", sources=("A",))).startswith("the passphrase of the key ")


def test_a_text_that_names_no_key_is_told_with_what_would_do() -> None:
    places = "no key of the store and no file is called bob"
    assert str(KeyUnknown(key="bob")) == f"{places}, and it is not 12 or more digits of a key id"
    assert str(KeyUnknown(key="bob", digits=False)) == places
