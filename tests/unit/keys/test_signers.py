"""From a stored key to a signature that any TUF client verifies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from securesystemslib.signer import SSlibKey

from keys.algorithms import Algorithm, generate
from keys.errors import KeyNotFound, PassphraseWrong, SigningFailed
from keys.key_info import KeyInfo
from keys.passphrase import EnvironmentPassphrases
from keys.signers import FileSigner, keep_open, signer_for
from tests.simulator.memory_keystore import MemoryKeyStore
from tests.support.loaded_modules import modules_loaded_by
from tests.support.prompted_person import Person


def stored(algorithm: Algorithm = Algorithm.ED25519) -> tuple[MemoryKeyStore, KeyInfo]:
    store, private = MemoryKeyStore(), generate(algorithm)
    info = KeyInfo.of(private, purpose="signer", name="alice")
    store.add(private, info, "secret")
    return store, info


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_what_is_signed_verifies_under_the_key_of_the_document(algorithm: Algorithm) -> None:
    store, info = stored(algorithm)
    signer = signer_for(store, "alice", EnvironmentPassphrases({"TRUST_REPOSITORY_PASSPHRASE": "secret"}, None))
    signature = signer.sign(b"payload")
    assert signature.keyid == info.keyid
    assert signer.public_key == info.public
    info.public.verify_signature(signature, b"payload")


def test_it_signs_under_the_id_of_its_description() -> None:
    private = generate(Algorithm.ED25519)
    info = KeyInfo.of(private, purpose="root")
    public = SSlibKey("ab" * 32, info.public.keytype, info.public.scheme, info.public.keyval)
    signer = FileSigner(private, replace(info, public=public))
    assert signer.public_key == public
    assert signer.sign(b"payload").keyid == "ab" * 32


def test_a_key_is_opened_once_for_each_store() -> None:
    store, info = stored()
    person = Person("secret")
    passphrases = EnvironmentPassphrases({}, person)
    assert signer_for(store, info.keyid, passphrases) is signer_for(store, "alice", passphrases)
    assert len(person.asked) == 1


def test_a_key_that_was_just_added_is_open_and_nobody_is_asked() -> None:
    store, private = MemoryKeyStore(), generate()
    info = KeyInfo.of(private, purpose="signer", name="alice")
    store.add(private, info, "secret")
    signer = FileSigner(private, info)
    keep_open(store, info.keyid, signer)
    person = Person("secret")
    assert signer_for(store, "alice", EnvironmentPassphrases({}, person)) is signer
    assert signer.private is private
    assert person.asked == []
    other = MemoryKeyStore()
    other.add(private, info, "secret")
    assert signer_for(other, "alice", EnvironmentPassphrases({}, person)) is not signer


def test_a_removed_key_signs_no_more() -> None:
    store, info = stored()
    passphrases = EnvironmentPassphrases({}, Person("secret"))
    signer_for(store, info.keyid, passphrases)
    store.remove(info.keyid)
    with pytest.raises(KeyNotFound):
        signer_for(store, info.keyid, passphrases)


def test_a_person_is_asked_three_times_and_told_that_it_was_wrong() -> None:
    store, info = stored()
    person = Person("a", "b", "secret")
    signer_for(store, info.keyid, EnvironmentPassphrases({}, person))
    assert [wrong for *_, wrong in person.asked] == [False, True, True]

    store, info = stored()
    person = Person("a", "b", "c", "secret")
    with pytest.raises(PassphraseWrong, match="alice"):
        signer_for(store, info.keyid, EnvironmentPassphrases({}, person))
    assert len(person.asked) == 3


def test_a_wrong_one_from_the_environment_is_tried_once() -> None:
    store, info = stored()
    person = Person("secret")
    with pytest.raises(PassphraseWrong, match="alice"):
        signer_for(store, info.keyid, EnvironmentPassphrases({"TRUST_REPOSITORY_PASSPHRASE": "x"}, person))
    assert person.asked == []


def test_a_failure_to_sign_names_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    private = generate()
    signer = FileSigner(private, KeyInfo.of(private, purpose="root"))
    monkeypatch.setattr("securesystemslib.signer.CryptoSigner.sign", lambda *_: 1 / 0)
    with pytest.raises(SigningFailed) as caught:
        signer.sign(b"payload")
    assert caught.value.key == KeyInfo.of(private, purpose="root").described
    assert caught.value.reason == "ZeroDivisionError"


def test_keys_of_the_store_have_no_uri() -> None:
    _, info = stored()
    with pytest.raises(SigningFailed, match="have no URI") as caught:
        FileSigner.from_priv_key_uri("file2:/x", info.public)
    assert caught.value.key == info.keyid


def test_verifying_a_signature_loads_no_code_for_sealing() -> None:
    key = KeyInfo.of(generate(), purpose="root").public
    loaded = modules_loaded_by(
        "import keys.algorithms, keys.material, keys.durable_file\nfrom securesystemslib.signer import Key\n"
        f"keys.algorithms.check_accepted(Key.from_dict({key.keyid!r}, {key.to_dict()!r}))"
    )
    assert not {m for m in loaded if "scrypt" in m or m in {"keys.sealed_file", "keys.filestore"}}


def test_signers_and_stores_load_nothing_heavy() -> None:
    programs = "import keys.back_ends; keys.back_ends.leave_out_back_ends()\n"
    loaded = modules_loaded_by(f"{programs}import keys.signers, keys.filestore, keys.recovery_file, keys.passphrase")
    heavy = {
        "ssl",
        "socket",
        "asyncio",
        "http.client",
        "tuf",
        "typer",
        "rich",
        "urllib3",
        "fastapi",
        "sqlmodel",
        "pydantic",
    }
    assert not loaded & heavy
    assert not {m for m in loaded if m.startswith(("trustdata", "trustcli", "trustserver"))}
