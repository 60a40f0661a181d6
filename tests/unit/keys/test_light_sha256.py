"""The light SHA-256 is SHA-256, whichever module has it."""

from __future__ import annotations

import hashlib

import pytest

from keys import light_sha256


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 1000])
def test_it_is_that_of_hashlib(content: bytes) -> None:
    assert light_sha256.sha256_hex(content) == hashlib.sha256(content).hexdigest()


def test_a_python_without_its_own_has_that_of_hashlib() -> None:
    found = light_sha256.first_of(("keys.no_such_module", "keys.record", "hashlib"))
    assert found is hashlib.sha256


def test_the_first_that_is_there_is_taken() -> None:
    assert light_sha256.first_of(("hashlib", "keys.no_such_module")) is hashlib.sha256


def test_the_last_that_there_could_be_is_not_passed_over_in_silence() -> None:
    with pytest.raises(ImportError, match="no_other_module"):
        light_sha256.first_of(("keys.no_such_module", "keys.no_other_module"))


def test_one_that_is_missing_does_not_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    own = object()
    monkeypatch.setattr("keys.record.sha256", own, raising=False)
    assert light_sha256.first_of(("keys.no_such_module", "keys.record", "hashlib")) is own
