"""Keys at `azurekms:` URIs: in Azure Key Vault, or in its Managed HSM.

    azurekms://NAME.vault.azure.net/keys/KEY/VERSION

The identity there is set as for Microsoft's programs (DefaultAzureCredential), and found by their library.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Callable
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, SECP384R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from keys.algorithms import PublicKey
from keys.errors import KeySupportMissing, KeyUriMalformed
from keys.kms.asking import Patience
from keys.kms.errors import (
    KeyServiceKeyDisabled,
    KeyServiceNoCredentials,
    KeyServiceUnreachable,
    said,
)
from keys.kms.https import ask, refusal
from keys.kms.service_keys import ServiceKey, ServiceKeys, ToSign
from keys.uris.kinds import FoundKey
from keys.uris.uri import AZURE, decoded, shown_uri, split_uri

_API: Final = "7.4"
_FORM: Final = re.compile(
    r"//(?P<host>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.(?P<service>(?:vault|managedhsm)\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)))"
    r"/keys/(?P<key>[A-Za-z0-9-]+)(?:/(?P<version>[0-9A-Za-z]+))?/?"
)
"""Tokens go to these hosts alone, whatever a URI says."""
_CURVES: Final = {"P-256": SECP256R1, "P-384": SECP384R1}
_ALGORITHMS: Final = {"rsa-pss-sha256": "PS256", "rsa-pkcs1v15-sha256": "RS256"}

Tokens = Callable[[str], str]
"""From a scope to a bearer token."""


class AzureKeys(ServiceKeys):
    """The kind `azurekms` of key URIs. Only tests set `endpoint` (from a host to an address) and `tokens`."""

    made_with = "az keyvault key create --kty EC --curve P-256 --ops sign verify"

    def __init__(
        self,
        patience: Patience | None = None,
        endpoint: Callable[[str], str] = "https://{}".format,
        tokens: Tokens | None = None,
    ) -> None:
        super().__init__(patience)
        self._endpoint = endpoint
        self._tokens = tokens

    def key(self, uri: str) -> ServiceKey:
        """Return the key that a URI names. Raises: KeyUriMalformed."""
        form = _FORM.fullmatch(decoded(split_uri(uri)[1], uri=uri))
        if form is None:
            reason = "it is written azurekms://NAME.vault.azure.net/keys/KEY/VERSION"
            raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)
        return _AzureKey(form, self._endpoint(form["host"]), self._tokens)


class _AzureKey(ServiceKey):
    def __init__(self, form: re.Match[str], address: str, tokens: Tokens | None) -> None:
        self._host, self._key, self._version = form["host"], form["key"], form["version"]
        self._scope = f"https://{form['service']}/.default"
        self._address, self._tokens = address, tokens
        self.service = f"Azure Key Vault {self._host}"
        self.name = self._key if self._version is None else f"{self._key} version {self._version}"

    def find(self) -> FoundKey:
        """Return the public half of the version, or of the newest one. Raises: KeySupportMissing, KeyServiceError."""
        answer = self._asked("", None)
        key, attributes = answer.get("key"), answer.get("attributes")
        if not isinstance(key, dict):
            raise self.wrong("its answer has no key")
        if isinstance(attributes, dict) and attributes.get("enabled") is False:
            raise self._disabled("it is disabled")
        operations = key.get("key_ops")
        if isinstance(operations, list) and "sign" not in operations:
            raise self.unfit(f"it may {said(', '.join(map(str, operations)) or 'do nothing')}, and not sign")
        kid = re.fullmatch(
            rf"https://{re.escape(self._host)}(:443)?/keys/{self._key}/([0-9A-Za-z]+)", str(key.get("kid"))
        )
        if kid is None or self._version not in {None, kid[2]}:
            raise self.wrong("its answer names another key")
        return FoundKey(public=self._public(key), uri=f"{AZURE}://{self._host}/keys/{self._key}/{kid[2]}")

    def sign(self, what: ToSign) -> bytes:
        """Return the signature. Raises: KeySupportMissing, KeyServiceError, KeyNotInService."""
        if what.kind == "ed25519":
            raise self.unfit("Azure Key Vault has no Ed25519")
        algorithm = _ALGORITHMS.get(what.method) or ("ES384" if what.kind == "p384" else "ES256")
        answer = self._asked("/sign", {"alg": algorithm, "value": _base64url(what.digest)})
        signature = self._bytes(answer.get("value"))
        if what.kind == "rsa":
            return signature
        half = len(signature) // 2
        return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))

    def _public(self, key: dict[str, Any]) -> PublicKey:
        kind, curve = str(key.get("kty")), str(key.get("crv"))
        try:
            if kind.startswith("RSA"):
                numbers = [int.from_bytes(self._bytes(key.get(name))) for name in "en"]
                return self.accepted(RSAPublicNumbers(*numbers).public_key())
            if kind.startswith("EC") and curve in _CURVES:
                x, y = (int.from_bytes(self._bytes(key.get(name))) for name in "xy")
                return self.accepted(EllipticCurvePublicNumbers(x, y, _CURVES[curve]()).public_key())
        except ValueError as error:
            raise self.wrong("the public key in its answer cannot be read") from error
        raise self.unfit(
            f"its type is {said(kind)}{f' {said(curve)}' if key.get('crv') else ''}; here sign P-256, P-384, RSA"
        )

    def _bytes(self, text: object) -> bytes:
        try:
            padded = str(text) + "=" * (-len(str(text)) % 4)
            return base64.b64decode(padded, altchars=b"-_", validate=True)
        except ValueError as error:
            raise self.wrong("a number in its answer is not in base64") from error

    def _asked(self, what: str, content: dict[str, object] | None) -> dict[str, Any]:
        version = "" if self._version is None else f"/{self._version}"
        url = f"{self._address}/keys/{self._key}{version}{what}?api-version={_API}"
        status, answer = ask(self, url, headers={"Authorization": f"Bearer {self._token()}"}, content=content)
        if status == 200:
            return answer
        told = answer.get("error")
        told = told if isinstance(told, dict) else {}
        inner = told.get("innererror")
        code = inner.get("code") if isinstance(inner, dict) else ""
        if code in {"KeyDisabled", "KeyExpired", "KeyNotYetValid"} or "disabled key" in str(told.get("message")):
            raise self._disabled(f"it is not to be used: {said(told.get('message'))}")
        raise refusal(self, status, told.get("message"))

    def _disabled(self, reason: str) -> KeyServiceKeyDisabled:
        return KeyServiceKeyDisabled(service=self.service, key=self.name, reason=reason)

    def _token(self) -> str:
        """Return a bearer token. Raises: KeySupportMissing, KeyServiceNoCredentials, KeyServiceUnreachable."""
        try:
            from azure.core import exceptions
        except ImportError as error:
            raise KeySupportMissing(scheme=AZURE, library="azure-identity", extra="content-trust[azurekms]") from error
        try:
            if self._tokens is None:
                self._tokens = _default_tokens()
            return self._tokens(self._scope)
        except (exceptions.ServiceRequestError, exceptions.ServiceResponseError) as error:
            reason = f"who one is there cannot be asked: {said(error)}"
            raise KeyServiceUnreachable(service=self.service, key=self.name, reason=reason) from error
        except (exceptions.AzureError, ValueError) as error:  # nothing to use, or nothing that Microsoft accepts
            raise KeyServiceNoCredentials(service=self.service, key=self.name, reason=said(error)) from error


def _default_tokens() -> Tokens:
    from azure.identity import DefaultAzureCredential

    # It tells of each way that it tries in the log; ours is the error, which has them all.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    credential = DefaultAzureCredential()
    return lambda scope: credential.get_token(scope).token


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
