"""Entries for keys that live elsewhere: what they say, what is refused, and that they hold no key."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keys import recovery_file
from keys.algorithms import generate
from keys.errors import KeyElsewhere, KeyFileMalformed, KeyFileNewer
from keys.key_info import KeyInfo
from keys.passphrase import EnvironmentPassphrases
from keys.sealed_file import is_sealed, read_info, retire, unseal
from keys.signers import ask_and_open
from keys.store_entry import MAX_URI, write_entry
from tests.simulator.memory_keystore import MemoryKeyStore
from tests.support.prompted_person import Person

URI = "pkcs11:token=T;id=%02?module-path=/lib/x.so"
INFO = KeyInfo.of(
    generate(), purpose="root", name="hsm", gun="example.com/a", created=datetime(2026, 1, 2, tzinfo=UTC), uri=URI
)
ENTRY = write_entry(INFO)
PLACE = "/home/alice/key"


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(ENTRY)
    change(document)
    return json.dumps(document).encode()


def test_what_is_written_is_read() -> None:
    assert read_info(ENTRY, place=PLACE) == INFO
    assert json.loads(ENTRY)["format"] == "content-trust-key-2"
    assert is_sealed(ENTRY)


def test_people_can_read_it_line_by_line() -> None:
    entry = write_entry(INFO)
    assert entry.decode().splitlines()[:3] == ["{", ' "format": "content-trust-key-2",', ' "info": {']
    assert entry.endswith(b"}\n")


def test_it_is_retired_like_another_key() -> None:
    assert read_info(retire(ENTRY, place=PLACE), place=PLACE) == replace(INFO, retired=True)


def test_it_holds_no_key_and_says_where_that_is() -> None:
    with pytest.raises(KeyElsewhere, match="is not in the key store: it is at pkcs11:token=T") as caught:
        unseal(ENTRY, "secret", place=PLACE)
    assert (caught.value.key, caught.value.uri) == (INFO.described, URI)


def test_nobody_is_asked_for_a_passphrase_that_opens_nothing() -> None:
    store, person = MemoryKeyStore(), Person("secret")
    store.add_elsewhere(INFO)
    with pytest.raises(KeyElsewhere) as caught:
        ask_and_open(store, INFO, EnvironmentPassphrases({}, person))
    assert (caught.value.key, caught.value.uri) == (INFO.described, URI)
    assert person.asked == []


@pytest.mark.parametrize("read", [recovery_file.read, recovery_file.read_public_key])
def test_it_is_no_recovery_file(read: Callable[..., object], tmp_path: Path) -> None:
    file = tmp_path / "recovery.key"
    file.write_bytes(ENTRY)
    file.chmod(0o600)
    person = Person("secret")
    with pytest.raises(KeyFileMalformed, match="an entry of a key store, whose key lives elsewhere") as caught:
        read(file, EnvironmentPassphrases({}, person))
    assert caught.value.place == str(file)
    assert person.asked == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.pop("uri"), "does not have the members"),
        (lambda d: d.update(more=1), "does not have the members"),
        (lambda d: d.update(info=[]), "does not have the members"),
        (lambda d: d["info"].pop("gun"), "does not have the members"),
        (lambda d: d.update(retired=0), "retired is neither true nor false"),
        (lambda d: d.update(uri=7), "names no place"),
        (lambda d: d.update(uri=""), "names no place"),
        (lambda d: d.update(uri="/a/file"), "names no place"),
        (lambda d: d.update(uri="exec:/x\n"), "names no place"),
        (lambda d: d.update(uri="exec:/" + "x" * MAX_URI), "names no place"),
    ],
)
def test_an_entry_that_is_no_entry_is_refused(change: Callable[[dict[str, Any]], object], reason: str) -> None:
    with pytest.raises(KeyFileMalformed, match=reason) as caught:
        read_info(altered(change), place=PLACE)
    assert caught.value.place == PLACE


def test_a_place_may_be_as_long_as_a_path() -> None:
    longest = "exec:/" + "x" * (MAX_URI - 6)
    assert read_info(altered(lambda d: d.update(uri=longest)), place=PLACE).uri == longest
    with pytest.raises(KeyFileMalformed, match="names no place"):
        read_info(altered(lambda d: d.update(uri=f"{longest}x")), place=PLACE)


def test_a_key_without_a_place_gets_no_entry() -> None:
    with pytest.raises(KeyFileMalformed, match="names no place") as caught:
        write_entry(replace(INFO, uri=""))
    assert caught.value.place == INFO.described


def test_an_entry_is_no_sealed_key_of_version_2_and_of_version_3_it_is_newer() -> None:
    with pytest.raises(
        KeyFileNewer, match=r"^/home/alice/key is a sealed key of version 3, and this program knows versions up to 2"
    ):
        read_info(altered(lambda d: d.update(format="content-trust-key-3")), place=PLACE)
    with pytest.raises(KeyFileMalformed, match="does not have the members"):
        read_info(altered(lambda d: d.update(format="content-trust-key-1")), place=PLACE)
