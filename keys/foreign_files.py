"""Tell what kind of file it is if no key is read from it here, and name the command that makes a PEM file of it.

Other forms than PEM are not read (docs/adr/0060). Whoever brings one has a program that writes PEM; its command is
named, so that nobody has to look for it. A private key stays encrypted, unless one is wanted that is not.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final, Literal

from keys.der import behind, is_one_sequence, within
from keys.record import record

Wanted = Literal["private key", "unencrypted private key", "public key", "certificate"]
"""What a reader looks for in a file. Each is taken out of a foreign file by another command."""

SEALED: Final = "content-trust-key-"
"""How the format of a sealed key file begins (`keys.sealed_file`)."""
BACKUP: Final = "content-trust-backup-"
"""How the format of a backup of keys begins (`keys.backup.archive`)."""
_HEAD: Final = 2_000
"""How many characters of a text are looked at to tell what it is: a pattern may not run through a whole file."""
_PKCS7_OID: Final = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07"
_BASE64_OF_PEM: Final = "LS0tLS1CRUdJTi"
_NONE: Final[Mapping[Wanted, str]] = {}


@record
class ForeignFile:
    """What a file is, with its article. `commands`: those that make PEM of it, in which FILE stands for its path.

    `is_private`: whether there is a private key in it, and nothing else that anybody could want.
    """

    kind: str
    commands: Mapping[Wanted, str] = _NONE
    is_private: bool = False

    def command(self, wanted: Wanted, file: str) -> str:
        """Return the command that makes PEM with what is wanted of this file; "" if there is none."""
        return self.commands.get(wanted, "").replace("FILE", shlex.quote(file))


def foreign_file(data: bytes, text: str) -> ForeignFile | None:
    """Return what a file without PEM blocks is; None if that cannot be seen. `text`: the same, as text."""
    return _binary_file(data) or _text_file(text) or _der_file(data)


def sealed_key(text: str) -> ForeignFile | None:
    """Return what a sealed key file is, which holds a PEM block, too: that of its public key; None if it is none."""
    return _SEALED if text.lstrip().startswith("{") and SEALED in text else None


def foreign_block(label: str, content: bytes) -> ForeignFile | None:
    """Return what a PEM block holds that is not read here; None if its label says all that there is to say."""
    if label == "OPENSSH PRIVATE KEY":
        return _ssh_private_key(content)
    return _PGP if label.startswith("PGP ") else _BLOCKS.get(label)


def _binary_file(data: bytes) -> ForeignFile | None:
    if data[8:12] == b"KBXf" or _PGP_PACKETS.match(data):
        return _PGP
    return next((kind for begin, kind in _BINARY_KINDS if data.startswith(begin)), None)


def _text_file(text: str) -> ForeignFile | None:
    head = text.lstrip()[:_HEAD]
    if head.startswith("{") and f'"{BACKUP}' in head:
        return _BACKUP
    if head.startswith(("{", "[")):
        return (_JWK_PRIVATE if '"d"' in head else _JWK) if '"kty"' in head else ForeignFile(kind="JSON")
    found = next((kind for pattern, kind in _TEXT_KINDS if re.match(pattern, head, re.IGNORECASE)), None)
    return found or (_MANIFEST if _BASE64_OF_PEM in text else None)


def _der_file(der: bytes) -> ForeignFile | None:
    inner = within(der)
    if der[:2] == b"\x30\x80" and inner.startswith(b"\x02\x01\x03"):
        return _PKCS12  # in BER of unknown length, as Java and Windows write it
    if not is_one_sequence(der):
        return None
    if inner.startswith(b"\x02\x01"):
        return _PKCS12 if inner.startswith(b"\x02\x01\x03") else _DER_PRIVATE_KEY
    if inner.startswith(_PKCS7_OID):
        return _DER_PKCS7
    first, second = within(inner)[:4], behind(inner)[:1]
    if first == b"\xa0\x03\x02\x01":
        return _DER_CERTIFICATE
    return {b"\x03": _DER_PUBLIC_KEY, b"\x04": _DER_ENCRYPTED_KEY}.get(second if first[:1] == b"\x06" else b"", _DER)


def _ssh_private_key(content: bytes) -> ForeignFile:
    if b"sk-ssh-" in content or b"sk-ecdsa-" in content:
        return ForeignFile(kind="a key of OpenSSH that a security key holds", is_private=True)
    if b"ssh-ed25519" in content:
        kind = "an Ed25519 key of OpenSSH, which ssh-keygen writes in no other form"
        return ForeignFile(kind=kind, is_private=True)
    return _SSH_PRIVATE_KEY


def _private(command: str, *, encrypted: str = "", plain: str = "") -> dict[Wanted, str]:
    """Return the commands that take a private key out; `OPTION` in them says whether it is to be encrypted."""
    return {
        "private key": command.replace("OPTION ", encrypted),
        "unencrypted private key": command.replace("OPTION ", plain),
    }


def _public(command: str) -> dict[Wanted, str]:
    return {"public key": command}


def _certificate(command: str) -> dict[Wanted, str]:
    """Return the command that takes a certificate out, which counts as a public key, too."""
    return {"public key": command, "certificate": command}


_PKCS12: Final = ForeignFile(
    kind="a PKCS#12 file",
    commands=_private("openssl pkcs12 -in FILE -nocerts OPTION -out KEY.pem", plain="-nodes ")
    | _certificate("openssl pkcs12 -in FILE -nokeys -clcerts -out CERT.pem"),
)
_TO_PKCS12: Final = "keytool -importkeystore -srckeystore FILE -destkeystore KEY.p12 -deststoretype PKCS12 && "
_JAVA: Final = {
    name: ForeignFile(
        kind=f"a Java key store ({name})",
        commands={
            wanted: _TO_PKCS12 + command.replace("FILE", "KEY.p12") for wanted, command in _PKCS12.commands.items()
        },
    )
    for name in ("JKS", "JCEKS")
}
_DER: Final = ForeignFile(kind="a certificate or key in DER")
_DER_KEY_COMMANDS: Final = _private("openssl pkey -inform DER -in FILE OPTION -out KEY.pem", encrypted="-aes256 ")
_DER_PRIVATE_KEY: Final = ForeignFile(kind="a private key in DER", commands=_DER_KEY_COMMANDS, is_private=True)
_DER_ENCRYPTED_KEY: Final = ForeignFile(
    kind="an encrypted private key in DER", commands=_DER_KEY_COMMANDS, is_private=True
)
_DER_PUBLIC_KEY: Final = ForeignFile(
    kind="a public key in DER", commands=_public("openssl pkey -pubin -inform DER -in FILE -out KEY.pem")
)
_DER_CERTIFICATE: Final = ForeignFile(
    kind="a certificate in DER", commands=_certificate("openssl x509 -inform DER -in FILE -out CERT.pem")
)
_DER_PKCS7: Final = ForeignFile(
    kind="certificates in PKCS#7 (DER)",
    commands=_certificate("openssl pkcs7 -inform DER -in FILE -print_certs -out CERT.pem"),
)
_PKCS7: Final = ForeignFile(
    kind="certificates in PKCS#7", commands=_certificate("openssl pkcs7 -in FILE -print_certs -out CERT.pem")
)
_REQUEST: Final = ForeignFile(
    kind="a certificate request", commands=_public("openssl req -in FILE -noout -pubkey -out KEY.pem")
)
_SSH_PRIVATE_KEY: Final = ForeignFile(
    kind="a private key of OpenSSH",
    commands=_private("install -m 600 FILE KEY.pem && ssh-keygen -p -m PKCS8 OPTION -f KEY.pem", plain="-N '' "),
    is_private=True,
)
_SSH_PUBLIC_KEY: Final = ForeignFile(
    kind="a public key of SSH", commands=_public("ssh-keygen -e -m PKCS8 -f FILE > KEY.pem")
)
_PUTTY: Final = ForeignFile(
    kind="a private key of PuTTY",
    commands=_private("puttygen FILE OPTION -O private-openssh -o KEY.pem", plain="-P "),
    is_private=True,
)
_PGP: Final = ForeignFile(kind="a key of PGP, whose signatures TUF does not know")
_PGP_PACKETS: Final = re.compile(rb"[\x94\x98].[\x03\x04]|[\x95\x99]..[\x03\x04]", re.DOTALL)
"""A private or public key of version 3 or 4, with a length of one byte or of two (RFC 4880, 4.2.1 and 5.5)."""
_SEALED: Final = ForeignFile(kind="a private key that trust has sealed, as in its key store", is_private=True)
_RESTORE: Final = "trust key restore FILE"
_BACKUP: Final = ForeignFile(
    kind="a backup of keys, which restoring brings into the key store",
    commands={"private key": _RESTORE, "unencrypted private key": _RESTORE},
    is_private=True,
)
_SHARE: Final = ForeignFile(kind="a share, which opens a backup of keys together with others", is_private=True)
_COSIGN: Final = ForeignFile(kind="a private key of cosign, which cosign alone opens", is_private=True)
_JWK_COMMAND: Final = "step crypto key format --pem --out KEY.pem FILE"
_JWK: Final = ForeignFile(kind="a JWK", commands=_public(_JWK_COMMAND))
_JWK_PRIVATE: Final = ForeignFile(kind="a private JWK", commands=_private(_JWK_COMMAND), is_private=True)
_MANIFEST_COMMAND: Final = "kubectl get secret NAME -o 'go-template={{index .data \"KEY\"}}' | base64 -d > KEY.pem"
_MANIFEST: Final = ForeignFile(
    kind="text with PEM in base64 within, as a Secret of Kubernetes",
    commands=_private(_MANIFEST_COMMAND) | _certificate(_MANIFEST_COMMAND),
)
_BLOCKS: Final = {
    "CERTIFICATE REQUEST": _REQUEST,
    "NEW CERTIFICATE REQUEST": _REQUEST,
    "PKCS7": _PKCS7,
    "CMS": _PKCS7,
    "ENCRYPTED COSIGN PRIVATE KEY": _COSIGN,
    "ENCRYPTED SIGSTORE PRIVATE KEY": _COSIGN,
}
_BINARY_KINDS: Final = (
    (b"\xfe\xed\xfe\xed", _JAVA["JKS"]),
    (b"\xce\xce\xce\xce", _JAVA["JCEKS"]),
    (b"PK\x03\x04", ForeignFile(kind="a ZIP archive")),
    (b"\x1f\x8b", ForeignFile(kind="compressed (gzip)")),
)
_OF_ED25519: Final = "of Ed25519 or of a security key, which is written in no other form"
_TEXT_KINDS: Final = (
    (r"<!doctype|<html|<\?xml", ForeignFile(kind="a web page or XML")),
    (r"ssh-ed25519 AAAA|sk-\S+ AAAA", ForeignFile(kind=f"a public key of SSH {_OF_ED25519}")),
    (r"ssh-\S+ AAAA|ecdsa-sha2-\S+ AAAA|---- BEGIN SSH2 PUBLIC", _SSH_PUBLIC_KEY),
    (r"---- BEGIN SSH2", ForeignFile(kind="a private key of SSH.COM", is_private=True)),
    (r"putty-user-key-file-\d: ssh-ed", ForeignFile(kind=f"a private key of PuTTY {_OF_ED25519}", is_private=True)),
    (r"putty-user-key-file", _PUTTY),
    (r"untrusted comment:", ForeignFile(kind="a key of minisign or signify")),
    (r"share \d+ of \d+ of a backup", _SHARE),
    (r"age-secret-key-", ForeignFile(kind="a key of age", is_private=True)),
)
