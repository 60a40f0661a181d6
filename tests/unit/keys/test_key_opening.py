"""From an entry of the key store to a signature, whatever kind of place the key lives in."""

from __future__ import annotations

from pathlib import Path

import pytest

from keys import key_opening
from keys.algorithms import Algorithm, generate
from keys.errors import KeySchemeUnknown, KeyUriMalformed, SignatureNotVerified
from keys.key_info import KeyInfo
from keys.key_opening import check_key_uri, find_key, make_key, prove_key
from keys.material import write_private_pem
from keys.passphrase import EnvironmentPassphrases
from keys.signers import signer_for
from keys.uris.kinds import FoundKey
from keys.uris.uri import SCHEMES
from tests.simulator.memory_keystore import MemoryKeyStore
from tests.support.loaded_modules import modules_loaded_by
from tests.support.signing_command import command_for

NOBODY = EnvironmentPassphrases({}, None)


def test_every_kind_that_is_known_can_be_opened() -> None:
    assert set(key_opening._KINDS) == set(SCHEMES)
    for uri in ("file:/x", "exec:/x", "pkcs11:object=a?module-path=/x", "awskms:alias/x", "hv:x"):
        check_key_uri(uri)
    with pytest.raises(KeyUriMalformed, match="it names no key on the token") as caught:
        check_key_uri("pkcs11:token=a?module-path=/x")
    assert caught.value.uri == "pkcs11:token=a?module-path=/x"
    with pytest.raises(KeySchemeUnknown):
        check_key_uri("hsm:2")


def test_a_key_of_the_store_signs_where_it_lives(tmp_path: Path) -> None:
    uri = command_for(generate(), tmp_path)
    found = find_key(uri, NOBODY, "signer")
    prove_key(found, NOBODY, "signer")
    store = MemoryKeyStore()
    info = KeyInfo.of(found.public, purpose="signer", name="ci", uri=found.uri)
    store.add_elsewhere(info)
    signer = signer_for(store, "ci", NOBODY)
    assert signer is signer_for(store, info.keyid, NOBODY)
    signature = signer.sign(b"payload")
    assert signature.keyid == info.keyid
    info.public.verify_signature(signature, b"payload")


def test_a_key_in_a_file_proves_itself(tmp_path: Path) -> None:
    held = generate()
    file = tmp_path / "key"
    file.write_bytes(write_private_pem(held, None))
    file.chmod(0o600)
    found = find_key(f"file:{file}", NOBODY, "signer")
    prove_key(found, NOBODY, "signer")
    assert found.public == held.public_key()


def test_a_made_key_that_does_not_prove_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    found = FoundKey(public=generate().public_key(), uri="exec:/x")

    class Forgetful:
        def make(self, *how: object) -> FoundKey:
            asked.append(how)
            return found

        def open(self, *how: object) -> object:
            asked.append(how)
            return generate()

    monkeypatch.setitem(key_opening._KINDS, "exec", Forgetful)
    with pytest.raises(SignatureNotVerified, match="exec:/x could not sign"):
        make_key("exec:/y", Algorithm.ECDSA_P256, "a", NOBODY, "signer")
    assert asked == [
        ("exec:/y", Algorithm.ECDSA_P256, "a", NOBODY, "signer"),
        ("exec:/x", found.public, NOBODY, "signer"),
    ]


def test_where_a_key_lives_it_is_known_who_asks_and_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token asks for its PIN by these passphrases, under the name of this purpose."""
    asked: list[tuple[object, ...]] = []
    held = generate()
    found = FoundKey(public=held.public_key(), uri="exec:/x")

    class Elsewhere:
        def find(self, *how: object) -> FoundKey:
            asked.append(how)
            return found

        def open(self, *how: object) -> object:
            asked.append(how)
            return held

    monkeypatch.setitem(key_opening._KINDS, "exec", Elsewhere)
    assert find_key("exec:/y", NOBODY, "recovery") is found
    store = MemoryKeyStore()
    store.add_elsewhere(KeyInfo.of(found.public, purpose="targets", name="ci", uri=found.uri))
    signer_for(store, "ci", NOBODY)
    assert asked == [("exec:/y", NOBODY, "recovery"), ("exec:/x", found.public, NOBODY, "targets")]


def test_what_is_not_used_is_not_loaded() -> None:
    lean = "import keys.back_ends; keys.back_ends.leave_out_back_ends()"
    loaded = modules_loaded_by(f"{lean}; import keys.signers, keys.filestore, keys.key_opening")
    assert not {"pkcs11", "keys.pkcs11.token_keys", "keys.uris.command_keys", "asn1crypto"} & loaded
