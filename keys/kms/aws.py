"""Keys at `awskms:` URIs: in AWS KMS.

    awskms:arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
    awskms:alias/release

Where an ARN names no region, and who one is there, is said as for all of Amazon's programs: variables, profiles, roles.
"""

from __future__ import annotations

import re
from typing import Any, Final

from keys.errors import KeysError, KeySupportMissing, KeyUriMalformed
from keys.kms.asking import REQUEST_SECONDS
from keys.kms.errors import (
    KeyNotInService,
    KeyServiceDeclined,
    KeyServiceDenied,
    KeyServiceError,
    KeyServiceKeyDisabled,
    KeyServiceKeyUnfit,
    KeyServiceNoCredentials,
    KeyServiceThrottled,
    KeyServiceUnreachable,
    said,
)
from keys.kms.service_keys import ServiceKey, ServiceKeys, ToSign
from keys.uris.kinds import FoundKey
from keys.uris.uri import AWS, decoded, shown_uri, split_uri

_ARN: Final = re.compile(r"arn:[a-z0-9-]+:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+")
_NAME: Final = re.compile(r"alias/[A-Za-z0-9/_-]+|[A-Za-z0-9-]+")
_ALGORITHMS: Final = {
    "rsa-pss-sha256": "RSASSA_PSS_SHA_256",
    "rsa-pkcs1v15-sha256": "RSASSA_PKCS1_V1_5_SHA_256",
}
_CODES: Final[dict[type[KeyServiceError], frozenset[str]]] = {
    KeyServiceKeyUnfit: frozenset({"InvalidKeyUsageException", "UnsupportedOperationException"}),
    KeyServiceKeyDisabled: frozenset({"DisabledException", "KMSInvalidStateException"}),
    KeyServiceDenied: frozenset(
        {
            "AccessDenied",
            "AccessDeniedException",
            "ExpiredTokenException",
            "IncompleteSignature",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "NotAuthorized",
            "OptInRequired",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        }
    ),
    KeyServiceThrottled: frozenset(
        {"LimitExceededException", "RequestLimitExceeded", "Throttling", "ThrottlingException"}
    ),
    KeyServiceUnreachable: frozenset({"DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException"}),
}
_ED25519: Final = "AWS KMS signs at most 4096 bytes with Ed25519, and metadata grows beyond; use ECC_NIST_P256"


class AwsKeys(ServiceKeys):
    """The kind `awskms` of key URIs."""

    made_with = "aws kms create-key --key-spec ECC_NIST_P256 --key-usage SIGN_VERIFY"

    def key(self, uri: str) -> ServiceKey:
        """Return the key that a URI names. Raises: KeyUriMalformed."""
        name = decoded(split_uri(uri)[1].removeprefix("///"), uri=uri)
        arn = _ARN.fullmatch(name)
        if arn is None and not _NAME.fullmatch(name):
            reason = "it is written awskms:ARN, awskms:ID or awskms:alias/NAME"
            raise KeyUriMalformed(uri=shown_uri(uri), reason=reason)
        return _AwsKey(name, None if arn is None else arn["region"])


class _AwsKey(ServiceKey):
    service = "AWS KMS"

    def __init__(self, name: str, region: str | None) -> None:
        self.name = name
        self._region = region
        self._client: Any = None

    def find(self) -> FoundKey:
        """Return the public half, and the URI with the ARN of the key. Raises: KeySupportMissing, KeyServiceError."""
        answer = self._asked("get_public_key")
        if answer.get("KeyUsage") != "SIGN_VERIFY":
            raise self.unfit(f"its use is {said(answer.get('KeyUsage'))}, and not SIGN_VERIFY")
        public = self.public_in(bytes(answer.get("PublicKey") or b""))
        if answer.get("KeySpec") == "ECC_NIST_EDWARDS25519":
            raise self.unfit(_ED25519)
        arn = _ARN.fullmatch(str(answer.get("KeyId")))
        if arn is None:
            raise self.wrong("its answer does not name the key by its ARN")
        return FoundKey(public=public, uri=f"{AWS}:{arn[0]}")

    def sign(self, what: ToSign) -> bytes:
        """Return the signature. Raises: KeySupportMissing, KeyServiceError, KeyNotInService."""
        if what.kind == "ed25519":
            raise self.unfit(_ED25519)
        algorithm = _ALGORITHMS.get(what.method) or ("ECDSA_SHA_384" if what.kind == "p384" else "ECDSA_SHA_256")
        asked = {"Message": what.digest, "MessageType": "DIGEST", "SigningAlgorithm": algorithm}
        return bytes(self._asked("sign", **asked).get("Signature") or b"")

    def _asked(self, operation: str, **values: object) -> dict[str, Any]:
        try:
            from botocore import exceptions
            from botocore.parsers import ResponseParserError
        except ImportError as error:
            raise KeySupportMissing(scheme=AWS, library="botocore", extra="content-trust[awskms]") from error
        try:
            if self._client is None:
                self._client = _client(self._region)
        except (exceptions.BotoCoreError, ValueError) as error:  # no region, a profile that is not there
            raise self._error(KeyServiceNoCredentials, said(error)) from error
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(KeyId=self.name, **values)
        except exceptions.ClientError as error:
            raise self._refusal(error.response) from error
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
            raise self._error(KeyServiceUnreachable, f"it cannot be reached: {said(error)}") from error
        except exceptions.BotoCoreError as error:  # no credentials, or some that are of no use
            raise self._error(KeyServiceNoCredentials, said(error)) from error
        except (ResponseParserError, AttributeError, TypeError, ValueError) as error:  # its reader trusts the service
            raise self.wrong("its answer cannot be read") from error
        return answer

    def _refusal(self, response: Any) -> KeysError:
        told, status = response.get("Error", {}), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(told.get("Code"))
        if code == "NotFoundException":
            return KeyNotInService(service=self.service, key=self.name)
        kinds = [kind for kind, codes in _CODES.items() if code in codes]
        by_status = KeyServiceUnreachable if status >= 500 else KeyServiceDeclined
        return self._error((*kinds, by_status)[0], f"it answered {said(code)}: {said(told.get('Message'))}")

    def _error(self, kind: type[KeyServiceError], reason: str) -> KeyServiceError:
        return kind(service=self.service, key=self.name, reason=reason)


def _client(region: str | None) -> Any:
    """Return a client that asks once: how often and for how long is decided in `keys.kms.asking`."""
    from botocore.config import Config
    from botocore.session import get_session

    config = Config(
        connect_timeout=REQUEST_SECONDS,
        read_timeout=REQUEST_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    return get_session().create_client("kms", region_name=region, config=config)
