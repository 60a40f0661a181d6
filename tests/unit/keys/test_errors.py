"""What the sentences of errors add only where it is so: a doubt, an owner, a platform, what to set."""

from __future__ import annotations

import pytest

from keys.errors import KeyFileExposed, KeyIsPrivate, KeyStoreInsecure, PassphraseMissing, PassphraseWrong


def test_a_doubt_is_told_only_where_there_is_one() -> None:
    assert str(PassphraseWrong(key="the key")).endswith(" the key")
    assert str(PassphraseWrong(key="the key", or_altered=True)).endswith(" the key, or the file was altered")
    assert PassphraseWrong(key="the key").or_altered is False


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
