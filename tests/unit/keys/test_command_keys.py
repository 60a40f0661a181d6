"""Keys behind a command of the user: the protocol, and every way in which a command can fail."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys.algorithms import Algorithm, generate
from keys.errors import KeyCommandFailed, KeyNotAccepted, KeyUriMalformed, SignatureNotVerified
from keys.key_info import KeyInfo
from keys.passphrase import EnvironmentPassphrases
from keys.signers import FileSigner
from keys.uris import command_keys
from keys.uris.command_keys import CommandKeys
from tests.support.signing_command import command_for

NOBODY = EnvironmentPassphrases({}, None)
KEYS = CommandKeys()


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_command_signs(algorithm: Algorithm, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    held = generate(algorithm)
    uri = command_for(held, tmp_path)
    found = KEYS.find(uri, NOBODY, "signer")
    assert (found.public, found.uri) == (held.public_key(), uri)
    private = KEYS.open(uri, found.public, NOBODY, "signer")
    info = KeyInfo.of(private, purpose="signer")
    payload = b"x" * 3_000_000  # more than any pipe takes at once
    info.public.verify_signature(FileSigner(private, info).sign(payload), payload)
    assert capfd.readouterr().err == "touch the device\n" * 2


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("status", "it ended with exit status 3"),
        ("status and reason", r"it ended with exit status 3 and says 'no \\x1b device'"),
        ("status and answer", "it ended with exit status 3"),
        ("status and list", "it ended with exit status 3"),
        ("signal", "it ended by signal 9"),
        ("no json", "its answer is not JSON"),
        ("a list", 'its answer does not say "version": 1'),
        ("version", 'its answer does not say "version": 1'),
        ("error", "it says 'touch it'"),
        ("nothing", "its answer has no public"),
        ("no text", "its answer has no public"),
        ("no pem", "the public key that it answered is none in PEM"),
        ("endless", "it answered more than 65536 bytes"),
    ],
)
def test_a_command_that_fails_is_named_with_the_reason(fault: str, reason: str, tmp_path: Path) -> None:
    uri = command_for(generate(), tmp_path, fault)
    with pytest.raises(KeyCommandFailed, match=reason) as caught:
        KEYS.find(uri, NOBODY, "signer")
    assert re.fullmatch(reason, caught.value.reason)
    assert "sign it" in caught.value.command


def test_what_a_command_gives_for_a_signature_is_looked_at(tmp_path: Path) -> None:
    uri = command_for(generate(), tmp_path, "no pem")
    private = KEYS.open(uri, generate().public_key(), NOBODY, "signer")
    assert isinstance(private, EllipticCurvePrivateKey)
    with pytest.raises(KeyCommandFailed, match="the signature that it answered is not in base64"):
        private.sign(b"x", ECDSA(SHA256()))


def test_a_command_that_signs_with_another_key_is_found_out(tmp_path: Path) -> None:
    uri = command_for(generate(), tmp_path, "another key")
    private = KEYS.open(uri, generate().public_key(), NOBODY, "signer")
    with pytest.raises(SignatureNotVerified, match="behind the command"):
        FileSigner(private, KeyInfo.of(private, purpose="signer")).sign(b"x")


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    uri = command_for(generate(), tmp_path)
    with pytest.raises(KeyCommandFailed, match="it did not end within 0 seconds"):
        CommandKeys(seconds=0).find(uri, NOBODY, "signer")


def test_a_command_that_has_answered_and_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    program = tmp_path / "x"
    program.write_text(f"#!/bin/sh\nexec >&-\nread x < '{tmp_path}/pipe'\n")
    program.chmod(0o700)
    times = iter([0.0, 0.0, 1000.0])  # the deadline is set, the end of the output is read, and then it is late
    monkeypatch.setattr(command_keys, "_now", lambda: next(times))
    with pytest.raises(KeyCommandFailed, match="it did not end within 120 seconds"):
        KEYS.find(f"exec:{program}", NOBODY, "signer")


def test_a_command_that_is_not_there_or_no_program(tmp_path: Path) -> None:
    with pytest.raises(KeyCommandFailed, match="it cannot be started: No such file"):
        KEYS.find(f"exec:{tmp_path}/none", NOBODY, "signer")
    with pytest.raises(KeyCommandFailed, match="it cannot be started: Permission denied"):
        KEYS.find(f"exec:{tmp_path}", NOBODY, "signer")


def test_a_command_does_not_get_passphrases_and_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRUST_ROOT_PASSPHRASE", "TRUST_TOKEN_PIN", "TRUST_TOKEN", "OTHER"):
        monkeypatch.setenv(name, "x")
    with pytest.raises(KeyCommandFailed) as caught:
        KEYS.find(command_for(generate(), tmp_path, "secrets"), NOBODY, "signer")
    assert "OTHER" in caught.value.reason
    assert "TRUST_" not in caught.value.reason


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("exec:sign", "an absolute path"),
        ("exec:/x?key=1", "key=1 is no arg=WORD"),
        ("exec:/x?arg", "arg is no arg=WORD"),
        ("exec:/x?arg=a&", "is no arg=WORD"),
    ],
)
def test_uris_that_name_no_command(uri: str, reason: str) -> None:
    with pytest.raises(KeyUriMalformed, match=reason):
        KEYS.check(uri)


def test_words_are_arguments_whatever_is_in_them() -> None:
    KEYS.check("exec:/x?arg=&arg=a%20b%26c=d?e")


def test_a_weak_key_is_not_taken(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    pem = weak.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    answer, program = tmp_path / "answer", tmp_path / "x"
    answer.write_text(json.dumps({"version": 1, "public": pem}))
    program.write_text(f"#!/bin/sh\ncat '{answer}'\n")
    program.chmod(0o700)
    with pytest.raises(KeyNotAccepted, match="1024 bits"):
        KEYS.find(f"exec:{program}", NOBODY, "signer")


def test_what_a_command_is_asked(tmp_path: Path) -> None:
    """One line of JSON each time; with a signature the public key, for commands that hold several keys."""
    program, asked = tmp_path / "x", tmp_path / "asked"
    program.write_text(f"#!/bin/sh\ncat >> '{asked}'\nexit 1\n")
    program.chmod(0o700)
    public = generate(Algorithm.ECDSA_P256).public_key()
    with pytest.raises(KeyCommandFailed):
        KEYS.find(f"exec:{program}", NOBODY, "signer")
    private = KEYS.open(f"exec:{program}", public, NOBODY, "signer")
    assert isinstance(private, EllipticCurvePrivateKey)
    with pytest.raises(KeyCommandFailed):
        private.sign(b"payload", ECDSA(SHA256()))
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    signing = {"operation": "sign", "scheme": "ecdsa-sha256", "payload": "cGF5bG9hZA==", "public": pem}
    lines = [json.loads(line) for line in asked.read_text().splitlines()]
    assert lines == [{"version": 1, "operation": "public"}, {"version": 1, **signing}]


def test_a_command_makes_no_key() -> None:
    with pytest.raises(KeyUriMalformed, match="a command makes no keys") as caught:
        KEYS.make("exec:/x", Algorithm.RSA, "a", NOBODY, "signer")
    assert caught.value.uri == "exec:/x"
