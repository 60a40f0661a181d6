"""Keys at `hv:` URIs: in the transit engine of HashiCorp Vault or OpenBao.

    hv:release/3?mount=transit

Where Vault is, and who one is there, is said by its own variables: VAULT_ADDR, VAULT_TOKEN (or the file that
`vault login` writes), VAULT_NAMESPACE, VAULT_CACERT, VAULT_CLIENT_CERT and VAULT_CLIENT_KEY.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.algorithms import PublicKey
from keys.errors import KeyUriMalformed
from keys.kms.errors import KeyNotInService, KeyServiceNoCredentials, said
from keys.kms.https import ask, refusal, safe_address
from keys.kms.service_keys import ServiceKey, ServiceKeys, ToSign
from keys.uris.kinds import FoundKey
from keys.uris.uri import VAULT, shown_uri, split_uri

_DEFAULT_ADDRESS: Final = "https://127.0.0.1:8200"
_DEFAULT_MOUNT: Final = "transit"
_FORM: Final = re.compile(
    r"(?P<name>\w[\w.-]*)(/(?P<version>[1-9][0-9]{0,8}))?(\?mount=(?P<mount>\w[\w.-]*(/\w[\w.-]*)*))?", re.ASCII
)
_MAX_TOKEN: Final = 64 * 1024
_SIGNATURE: Final = re.compile(r"vault:v(?P<version>[1-9][0-9]*):(?P<signature>[A-Za-z0-9+/=]+)")
_OF_METHOD: Final = {
    "ecdsa-sha256": {"marshaling_algorithm": "asn1"},
    "ecdsa-sha384": {"marshaling_algorithm": "asn1"},
    "ed25519": {},
    "rsa-pss-sha256": {"signature_algorithm": "pss", "salt_length": "hash"},
    "rsa-pkcs1v15-sha256": {"signature_algorithm": "pkcs1v15"},
}


class VaultKeys(ServiceKeys):
    """The kind `hv` of key URIs."""

    made_with = "vault write -f transit/keys/NAME type=ecdsa-p256"

    def key(self, uri: str) -> ServiceKey:
        """Return the key that a URI names. Raises: KeyUriMalformed."""
        form = _FORM.fullmatch(split_uri(uri)[1])
        if form is None:
            reason = "it is written hv:NAME/VERSION, with ?mount=PATH if the engine is not at transit"
            raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)
        version = form["version"]
        return _VaultKey(form["name"], None if version is None else int(version), form["mount"] or _DEFAULT_MOUNT)


class _VaultKey(ServiceKey):
    def __init__(self, name: str, version: int | None, mount: str) -> None:
        self._address = os.environ.get("VAULT_ADDR", "").strip().rstrip("/") or _DEFAULT_ADDRESS
        self._key, self._version, self._mount = name, version, mount
        host = self._address.rpartition("://")[2].rpartition("@")[2].partition("/")[0]
        self.service = f"Vault at {said(host)}"
        self.name = f"{mount}/{name}" if version is None else f"{mount}/{name} version {version}"

    def find(self) -> FoundKey:
        """Return the public half of the version, or of the newest one. Raises: KeySupportMissing, KeyServiceError."""
        data = self._asked("keys", None)
        versions = data.get("keys")
        version = data.get("latest_version") if self._version is None else self._version
        if data.get("supports_signing") is False or data.get("derived") is True:
            raise self.unfit(f"a key of type {said(data.get('type'))} does not sign, or is derived")
        if not isinstance(versions, dict) or type(version) is not int:
            raise self.wrong("its answer names no versions of the key")
        if str(version) not in versions:
            raise KeyNotInService(service=self.service, key=self.name)
        entry = versions[str(version)]
        public = entry.get("public_key") if isinstance(entry, dict) else None
        if not isinstance(public, str) or not public:
            raise self.unfit(f"a key of type {said(data.get('type'))} has no public half")
        mount = "" if self._mount == _DEFAULT_MOUNT else f"?mount={self._mount}"
        return FoundKey(public=self._read(public), uri=f"{VAULT}:{self._key}/{version}{mount}")

    def sign(self, what: ToSign) -> bytes:
        """Return the signature of the version. Raises: KeyServiceError, KeyNotInService."""
        content: dict[str, object] = {"input": base64.b64encode(what.payload).decode(), **_OF_METHOD[what.method]}
        if what.kind != "ed25519":
            content["input"] = base64.b64encode(what.digest).decode()
            content |= {"prehashed": True, "hash_algorithm": "sha2-384" if what.kind == "p384" else "sha2-256"}
        if self._version is not None:
            content["key_version"] = self._version
        signature = _SIGNATURE.fullmatch(str(self._asked("sign", content).get("signature")))
        if signature is None:
            raise self.wrong("its answer has no signature")
        try:
            return base64.b64decode(signature["signature"], validate=True)
        except ValueError as error:
            raise self.wrong("the signature in its answer is not in base64") from error

    def _read(self, public: str) -> PublicKey:
        """Read a public key: PEM, or for Ed25519 its 32 bytes in base64. Raises: KeyServiceKeyUnfit, ...AnswerWrong."""
        if "-----" in public:
            return self.public_in(public.encode(errors="replace"))
        try:
            return self.accepted(Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True)))
        except ValueError as error:
            raise self.wrong("the public key in its answer cannot be read") from error

    def _asked(self, what: str, content: dict[str, object] | None) -> dict[str, Any]:
        """Return the data of an answer. Raises: KeyServiceError, KeyNotInService."""
        if not safe_address(self._address):
            reason = "VAULT_ADDR is no address with https, which alone keeps the token secret"
            raise KeyServiceNoCredentials(service=self.service, key=self.name, reason=reason)
        headers = {"X-Vault-Token": self._token(), "X-Vault-Request": "true"}
        if namespace := os.environ.get("VAULT_NAMESPACE", "").strip():
            headers["X-Vault-Namespace"] = quote(namespace)
        url = f"{self._address}/v1/{self._mount}/{what}/{self._key}"
        status, answer = ask(self, url, headers=headers, content=content, tls=self._tls())
        if status != 200:
            errors = answer.get("errors")
            words = "; ".join(str(each) for each in errors) if isinstance(errors, list) else ""
            if "key not found" in words:
                raise KeyNotInService(service=self.service, key=self.name)
            raise refusal(self, status, words)
        data = answer.get("data")
        if not isinstance(data, dict):
            raise self.wrong("its answer has no data")
        return data

    def _token(self) -> str:
        found = os.environ.get("VAULT_TOKEN", "")
        if not found:
            try:
                with Path("~/.vault-token").expanduser().open(encoding="ascii") as file:
                    found = file.read(_MAX_TOKEN)
            except (OSError, ValueError, RuntimeError):
                found = ""
        token = found.strip()
        if not token or not token.isascii() or not token.isprintable():
            reason = "there is no token, neither in VAULT_TOKEN nor in the file that vault login writes"
            raise KeyServiceNoCredentials(service=self.service, key=self.name, reason=reason)
        return token

    def _tls(self) -> ssl.SSLContext | None:
        names = ("VAULT_CACERT", "VAULT_CAPATH", "VAULT_CLIENT_CERT", "VAULT_CLIENT_KEY")
        cafile, capath, certificate, key = (os.environ.get(name) or None for name in names)
        if not self._address.startswith("https:"):
            return None
        try:
            context = ssl.create_default_context(cafile=cafile, capath=capath)
            if certificate is not None:
                context.load_cert_chain(certificate, key)
        except OSError as error:  # of files, and of what is in them
            reason = f"VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT or VAULT_CLIENT_KEY cannot be used: {said(error)}"
            raise KeyServiceNoCredentials(service=self.service, key=self.name, reason=reason) from error
        return context
