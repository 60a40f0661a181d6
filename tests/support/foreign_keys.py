"""Files with keys in forms that are not read here, and what is to be said of each."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from keys import sealed_file
from keys.foreign_files import Wanted
from keys.key_info import KeyInfo
from tests.support.certificates import FAR_AWAY, LONG_AGO
from tests.support.cheap_keys import CHEAP

PASSPHRASE: Final = "Fremdes-Geheimnis-5"
KEY: Final = ec.generate_private_key(ec.SECP256R1())
_ED25519: Final = ed25519.Ed25519PrivateKey.generate()
_NAME: Final = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
CERTIFICATE: Final = (
    x509.CertificateBuilder()
    .subject_name(_NAME)
    .issuer_name(_NAME)
    .public_key(KEY.public_key())
    .serial_number(7)
    .not_valid_before(LONG_AGO)
    .not_valid_after(FAR_AWAY)
    .sign(KEY, SHA256())
)
_REQUEST: Final = x509.CertificateSigningRequestBuilder().subject_name(_NAME).sign(KEY, SHA256())
_PGP: Final = b"".join(
    line + b"\n"
    for line in (
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----",
        b"Version: GnuPG v2",
        b"",
        b"lFgEawyPpRYJKwYBBAHaRw8B",
        b"=abcd",
        b"-----END PGP PRIVATE KEY BLOCK-----",
    )
)


def _private(encoding: Encoding, form: PrivateFormat, *, encrypted: bool = False) -> bytes:
    encryption = BestAvailableEncryption(PASSPHRASE.encode()) if encrypted else NoEncryption()
    return KEY.private_bytes(encoding, form, encryption)


def _jwk(*, private: bool) -> bytes:
    numbers = KEY.private_numbers()

    def number(value: int) -> str:
        return base64.urlsafe_b64encode(value.to_bytes(32)).rstrip(b"=").decode()

    public = {"kty": "EC", "crv": "P-256", "x": number(numbers.public_numbers.x), "y": number(numbers.public_numbers.y)}
    return json.dumps(public | ({"d": number(numbers.private_value)} if private else {})).encode()


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """`kind`: what it is called. `commands`: the beginnings of those that convert it, by what is wanted of it.

    `is_private`: whether it is refused as a private key where a public one is wanted.
    """

    data: bytes
    kind: str
    commands: Mapping[Wanted, str] = field(default_factory=dict)
    is_private: bool = False


def _key(command: str, *, plain: str = "") -> Mapping[Wanted, str]:
    return {"private key": command, "unencrypted private key": plain or command}


def _certificate(command: str) -> Mapping[Wanted, str]:
    return {"public key": command, "certificate": command}


_OF_PKCS12: Final = {
    **_key(
        "openssl pkcs12 -in FILE -nocerts -out KEY.pem", plain="openssl pkcs12 -in FILE -nocerts -nodes -out KEY.pem"
    ),
    **_certificate("openssl pkcs12 -in FILE -nokeys -clcerts -out CERT.pem"),
}
_KEYTOOL: Final = (
    "keytool -importkeystore -srckeystore FILE -destkeystore KEY.p12 -deststoretype PKCS12 && openssl pkcs12"
)
_OF_DER_KEY: Final = _key(
    "openssl pkey -inform DER -in FILE -aes256 -out KEY.pem", plain="openssl pkey -inform DER -in FILE -out KEY.pem"
)
_PKCS12: Final = pkcs12.serialize_key_and_certificates(
    b"alice", KEY, CERTIFICATE, None, BestAvailableEncryption(PASSPHRASE.encode())
)
_STEP: Final = "step crypto key format --pem --out KEY.pem FILE"
_KUBECTL: Final = "kubectl get secret NAME -o 'go-template={{index .data \"KEY\"}}' | base64 -d > KEY.pem"

FOREIGN: Final[dict[str, Foreign]] = {
    "PKCS#12": Foreign(data=_PKCS12, kind="a PKCS#12 file", commands=_OF_PKCS12),
    "PKCS#12 in BER": Foreign(data=b"\x30\x80\x02\x01\x03\x30\x80\x06\x09", kind="a PKCS#12 file", commands=_OF_PKCS12),
    "PKCS#8 in DER": Foreign(
        data=_private(Encoding.DER, PrivateFormat.PKCS8),
        kind="a private key in DER",
        commands=_OF_DER_KEY,
        is_private=True,
    ),
    "SEC 1 in DER": Foreign(
        data=_private(Encoding.DER, PrivateFormat.TraditionalOpenSSL),
        kind="a private key in DER",
        commands=_OF_DER_KEY,
        is_private=True,
    ),
    "encrypted PKCS#8 in DER": Foreign(
        data=_private(Encoding.DER, PrivateFormat.PKCS8, encrypted=True),
        kind="an encrypted private key in DER",
        commands=_OF_DER_KEY,
        is_private=True,
    ),
    "public key in DER": Foreign(
        data=KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        kind="a public key in DER",
        commands={"public key": "openssl pkey -pubin -inform DER -in FILE -out KEY.pem"},
    ),
    "certificate in DER": Foreign(
        data=CERTIFICATE.public_bytes(Encoding.DER),
        kind="a certificate in DER",
        commands=_certificate("openssl x509 -inform DER -in FILE -out CERT.pem"),
    ),
    "other DER": Foreign(data=b"\x30\x02\x30\x00", kind="a certificate or key in DER"),
    "PKCS#7 in DER": Foreign(
        data=pkcs7.serialize_certificates([CERTIFICATE], Encoding.DER),
        kind="certificates in PKCS#7 (DER)",
        commands=_certificate("openssl pkcs7 -inform DER -in FILE -print_certs -out CERT.pem"),
    ),
    "PKCS#7": Foreign(
        data=pkcs7.serialize_certificates([CERTIFICATE], Encoding.PEM),
        kind="certificates in PKCS#7",
        commands=_certificate("openssl pkcs7 -in FILE -print_certs -out CERT.pem"),
    ),
    "certificate request": Foreign(
        data=_REQUEST.public_bytes(Encoding.PEM),
        kind="a certificate request",
        commands={"public key": "openssl req -in FILE -noout -pubkey -out KEY.pem"},
    ),
    "OpenSSH": Foreign(
        data=_private(Encoding.PEM, PrivateFormat.OpenSSH),
        kind="a private key of OpenSSH",
        commands=_key(
            "install -m 600 FILE KEY.pem && ssh-keygen -p -m PKCS8 -f KEY.pem",
            plain="install -m 600 FILE KEY.pem && ssh-keygen -p -m PKCS8 -N '' -f KEY.pem",
        ),
        is_private=True,
    ),
    "OpenSSH, Ed25519": Foreign(
        data=_ED25519.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        kind="an Ed25519 key of OpenSSH",
        is_private=True,
    ),
    "OpenSSH, a security key": Foreign(
        data=b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
        + base64.b64encode(b"openssh-key-v1\0sk-ssh-ed25519@openssh.com")
        + b"\n-----END OPENSSH PRIVATE KEY-----\n",
        kind="a key of OpenSSH that a security key holds",
        is_private=True,
    ),
    "SSH, public": Foreign(
        data=KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b" alice@laptop\n",
        kind="a public key of SSH",
        commands={"public key": "ssh-keygen -e -m PKCS8 -f FILE > KEY.pem"},
    ),
    "SSH, public, Ed25519": Foreign(
        data=_ED25519.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        kind="a public key of SSH of Ed25519",
    ),
    "SSH.COM, public": Foreign(
        data=b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n",
        kind="a public key of SSH",
        commands={"public key": "ssh-keygen -e -m PKCS8 -f FILE > KEY.pem"},
    ),
    "SSH.COM": Foreign(
        data=b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nAAAA\n", kind="a private key of SSH.COM", is_private=True
    ),
    "PuTTY": Foreign(
        data=b"PuTTY-User-Key-File-3: ecdsa-sha2-nistp256\r\nEncryption: none\r\n",
        kind="a private key of PuTTY",
        commands=_key(
            "puttygen FILE -O private-openssh -o KEY.pem", plain="puttygen FILE -P -O private-openssh -o KEY.pem"
        ),
        is_private=True,
    ),
    "PuTTY, Ed25519": Foreign(
        data=b"PuTTY-User-Key-File-3: ssh-ed25519\r\n", kind="a private key of PuTTY of Ed25519", is_private=True
    ),
    "PGP": Foreign(data=_PGP, kind="a key of PGP", is_private=True),
    "PGP, public": Foreign(data=_PGP.replace(b"PRIVATE", b"PUBLIC"), kind="a key of PGP"),
    "PGP, binary": Foreign(data=bytes.fromhex("9458046b0c8fa516"), kind="a key of PGP"),
    "PGP, binary, public": Foreign(data=bytes.fromhex("99018d046b0c8fa5"), kind="a key of PGP"),
    "PGP, the key box of GnuPG": Foreign(data=bytes.fromhex("0000002001010002") + b"KBXf", kind="a key of PGP"),
    "JKS": Foreign(
        data=bytes.fromhex("feedfeed00000002"),
        kind="a Java key store (JKS)",
        commands={
            **_key(f"{_KEYTOOL} -in KEY.p12 -nocerts -out KEY.pem", plain=f"{_KEYTOOL} -in KEY.p12 -nocerts -nodes "),
            **_certificate(f"{_KEYTOOL} -in KEY.p12 -nokeys -clcerts -out CERT.pem"),
        },
    ),
    "JCEKS": Foreign(
        data=bytes.fromhex("cececece00000002"),
        kind="a Java key store (JCEKS)",
        commands={
            **_key(f"{_KEYTOOL} -in KEY.p12 -nocerts -out KEY.pem", plain=f"{_KEYTOOL} -in KEY.p12 -nocerts -nodes "),
            **_certificate(f"{_KEYTOOL} -in KEY.p12 -nokeys -clcerts -out CERT.pem"),
        },
    ),
    "JWK": Foreign(data=_jwk(private=True), kind="a private JWK", commands=_key(_STEP), is_private=True),
    "JWK, public": Foreign(data=_jwk(private=False), kind="a JWK", commands={"public key": _STEP}),
    "cosign": Foreign(
        data=b"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\neyJrZGYiOnt9fQ==\n"
        b"-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
        kind="a private key of cosign",
        is_private=True,
    ),
    "a Secret of Kubernetes": Foreign(
        data=b"apiVersion: v1\nkind: Secret\ndata:\n  tls.key: "
        + base64.b64encode(_private(Encoding.PEM, PrivateFormat.PKCS8)),
        kind="text with PEM in base64 within",
        commands={**_key(_KUBECTL), **_certificate(_KUBECTL)},
    ),
    "sealed by trust": Foreign(
        data=sealed_file.seal(KEY, PASSPHRASE, info=KeyInfo.of(KEY, purpose="root"), cost=CHEAP),
        kind="a private key that trust has sealed",
        is_private=True,
    ),
    "JSON": Foreign(data=b'{"keys": []}', kind="JSON"),
    "minisign": Foreign(data=b"untrusted comment: minisign public key\nRWQ", kind="a key of minisign or signify"),
    "backup": Foreign(
        data=b'{\n "format": "content-trust-backup-1",\n "backup": ""}',
        kind="a backup of keys",
        commands=dict.fromkeys(("private key", "unencrypted private key"), "trust key restore FILE"),
        is_private=True,
    ),
    "share": Foreign(data=b"SHARE 1 OF 3 of a backup of", kind="a share, which opens a backup", is_private=True),
    "age": Foreign(data=b"AGE-SECRET-KEY-1QQQ", kind="a key of age", is_private=True),
}
"""By name. What is said of ZIP archives, web pages and damaged PEM: tests/unit/keys/test_pem.py."""
