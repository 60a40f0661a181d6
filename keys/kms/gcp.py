"""Keys at `gcpkms:` URIs: in Google Cloud KMS.

    gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1

Who one is there, is said as for all of Google's programs (application default credentials), and found by their library.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final

from keys.errors import KeySupportMissing, KeyUriMalformed
from keys.kms.asking import REQUEST_SECONDS, Patience
from keys.kms.errors import (
    KeyServiceKeyDisabled,
    KeyServiceNoCredentials,
    KeyServiceUnreachable,
    said,
)
from keys.kms.https import ask, refusal
from keys.kms.service_keys import ServiceKey, ServiceKeys, ToSign
from keys.uris.kinds import FoundKey
from keys.uris.uri import GCP, decoded, shown_uri, split_uri

_ENDPOINT: Final = "https://cloudkms.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/cloudkms"
_PART: Final = r"[A-Za-z0-9_.:-]+"
_FORM: Final = re.compile(
    rf"projects/{_PART}/locations/{_PART}/keyRings/{_PART}/cryptoKeys/(?P<key>{_PART})"
    r"/cryptoKeyVersions/(?P<version>[1-9][0-9]*)"
)
_FITTING: Final = re.compile(r"EC_SIGN_P256_SHA256|EC_SIGN_P384_SHA384|EC_SIGN_ED25519|RSA_SIGN_PSS_[0-9]+_SHA256")
_MAX_PAYLOAD: Final = 64 * 1024
"""What Cloud KMS takes with keys that hash by themselves."""


class GcpKeys(ServiceKeys):
    """The kind `gcpkms` of key URIs. Only tests set `endpoint`."""

    made_with = "gcloud kms keys create --purpose asymmetric-signing --default-algorithm ec-sign-p256-sha256"

    def __init__(self, patience: Patience | None = None, endpoint: str = _ENDPOINT) -> None:
        super().__init__(patience)
        self._endpoint = endpoint

    def key(self, uri: str) -> ServiceKey:
        """Return the key that a URI names. Raises: KeyUriMalformed."""
        name = decoded(split_uri(uri)[1].removeprefix("//"), uri=uri)
        form = _FORM.fullmatch(name)
        if form is None or ".." in name:
            reason = (
                "it is written gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N; the version "
                "is part of it, since each has a key of its own"
            )
            raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)
        return _GcpKey(name, f"{form['key']} version {form['version']}", self._endpoint)


class _GcpKey(ServiceKey):
    service = "Google Cloud KMS"

    def __init__(self, path: str, name: str, endpoint: str) -> None:
        self.name = name
        self._path = path
        self._url = f"{endpoint}/v1/{path}"
        self._credentials: Any = None

    def find(self) -> FoundKey:
        """Return the public half. Raises: KeySupportMissing, KeyServiceError, KeyNotInService."""
        answer = self._asked("/publicKey", None)
        algorithm = str(answer.get("algorithm"))
        if not _FITTING.fullmatch(algorithm):
            reason = (
                f"its algorithm is {said(algorithm)}; here sign EC_SIGN_P256_SHA256, EC_SIGN_P384_SHA384, "
                "EC_SIGN_ED25519 and RSA_SIGN_PSS_..._SHA256"
            )
            raise self.unfit(reason)
        public = self.public_in(str(answer.get("pem")).encode(errors="replace"))
        return FoundKey(public=public, uri=f"{GCP}:{self._path}")

    def sign(self, what: ToSign) -> bytes:
        """Return the signature. Raises: KeySupportMissing, KeyServiceError, KeyNotInService."""
        if what.method == "rsa-pkcs1v15-sha256":
            raise self.unfit("it signs by PSS alone, and a certificate is signed by PKCS#1 v1.5; use an EC key")
        content: dict[str, object]
        if what.kind == "ed25519":
            if len(what.payload) > _MAX_PAYLOAD:
                reason = (
                    f"with Ed25519 it signs at most {_MAX_PAYLOAD} bytes, and not {len(what.payload)}; use an EC key"
                )
                raise self.unfit(reason)
            content = {"data": base64.b64encode(what.payload).decode()}
        else:
            named = "sha384" if what.kind == "p384" else "sha256"
            content = {"digest": {named: base64.b64encode(what.digest).decode()}}
        signature = self._asked(":asymmetricSign", content).get("signature")
        try:
            return base64.b64decode(str(signature), validate=True)
        except ValueError as error:
            raise self.wrong("the signature in its answer is not in base64") from error

    def _asked(self, what: str, content: dict[str, object] | None) -> dict[str, Any]:
        status, answer = ask(self, f"{self._url}{what}", headers=self._headers(), content=content)
        if status == 200:
            return answer
        told = answer.get("error")
        told = told if isinstance(told, dict) else {}
        if told.get("status") == "FAILED_PRECONDITION":
            reason = f"it is not enabled: {said(told.get('message'))}"
            raise KeyServiceKeyDisabled(service=self.service, key=self.name, reason=reason)
        raise refusal(self, status, told.get("message"))

    def _headers(self) -> dict[str, str]:
        """Return who one is there. Raises: KeySupportMissing, KeyServiceNoCredentials, KeyServiceUnreachable."""
        try:
            import google.auth
            from google.auth import exceptions
            from google.auth.transport.requests import Request
        except ImportError as error:
            raise KeySupportMissing(scheme=GCP, library="google-auth", extra="content-trust[gcpkms]") from error
        headers: dict[str, str] = {}
        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[_SCOPE])
            if not self._credentials.valid:
                transport = Request()
                self._credentials.refresh(lambda *a, **k: transport(*a, **{**k, "timeout": REQUEST_SECONDS}))
            self._credentials.apply(headers)
        except exceptions.TransportError as error:
            reason = f"it cannot be reached: {said(error)}"
            raise KeyServiceUnreachable(service=self.service, key=self.name, reason=reason) from error
        except exceptions.GoogleAuthError as error:  # nothing to use, or nothing that Google accepts
            raise KeyServiceNoCredentials(service=self.service, key=self.name, reason=said(error)) from error
        return headers
