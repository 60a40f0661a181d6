"""Services that hold keys, as their HTTP interfaces on loopback: they sign, as strictly as the real ones.

`held` is the key. `signing`: with which it signs, another one for a service that mixes keys up. `faults`: raw answers
that are given first, one for each request. `operations`: what was asked.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from keys.kms.asking import Patience
from keys.kms.aws import AwsKeys
from keys.kms.azure import AzureKeys
from keys.kms.gcp import GcpKeys
from keys.kms.service_keys import ServiceKeys
from keys.kms.vault import VaultKeys
from tests.support.hostile_server import HostileServer, Request, Wire, json_reply

ARN: Final = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
GCP_KEY: Final = "projects/p/locations/global/keyRings/r/cryptoKeys/release/cryptoKeyVersions/2"
AZURE_HOST: Final = "company.vault.azure.net"
_PSS: Final = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)


class KeyService(ABC):
    """What the services have in common. `scheme`: of their URIs; `uri`: of the key, as exactly as they know it."""

    scheme: str
    uri: str

    def __init__(self, held: Any, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.held = self.signing = held
        self.faults: list[bytes] = []
        self.operations: list[str] = []
        self.silent = threading.Event()
        """Set: no answers any more."""
        self.server = HostileServer(self._script, tls, at=port)

    @abstractmethod
    def environ(self, folder: Path) -> dict[str, str]:
        """The variables with which its programs find it, and who one is there."""

    @abstractmethod
    def answer(self, request: Request) -> bytes:
        """Answer a request that has no fault."""

    def stop(self) -> None:
        self.server.stop()

    @property
    @abstractmethod
    def names(self) -> dict[str, str]:
        """How errors name it and the key."""

    @property
    def pem(self) -> str:
        return self._public(Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self._public(Encoding.DER)

    def _public(self, encoding: Encoding) -> bytes:
        found: bytes = self.held.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
        return found

    def _script(self, request: Request, wire: Wire) -> None:
        if self.silent.is_set():
            wire.stopping.wait()
        elif self.faults:
            wire.send(self.faults.pop(0))
        else:
            wire.send(self.answer(request))

    def signature(self, method: str, data: bytes) -> bytes:
        """The signature: over a digest, of Ed25519 over the message. ECDSA in DER."""
        how: Mapping[str, Callable[[], bytes]] = {
            "p256": lambda: self.signing.sign(self._sized(data, 32), ec.ECDSA(Prehashed(SHA256()))),
            "p384": lambda: self.signing.sign(self._sized(data, 48), ec.ECDSA(Prehashed(SHA384()))),
            "ed25519": lambda: self.signing.sign(data),
            "pss": lambda: self.signing.sign(self._sized(data, 32), _PSS, Prehashed(SHA256())),
            "pkcs1": lambda: self.signing.sign(self._sized(data, 32), padding.PKCS1v15(), Prehashed(SHA256())),
        }
        return how[method]()

    @property
    def kind(self) -> str:
        if isinstance(self.held, ec.EllipticCurvePrivateKey):
            return {"secp256r1": "p256", "secp384r1": "p384"}.get(self.held.curve.name, self.held.curve.name)
        return "ed25519" if isinstance(self.held, Ed25519PrivateKey) else "rsa"

    @staticmethod
    def _sized(data: bytes, size: int) -> bytes:
        assert len(data) == size, f"a digest of {len(data)} bytes, and {size} are wanted"
        return data


class AwsKms(KeyService):
    """AWS KMS. `usage`, `spec`: what it says of the key."""

    scheme = "awskms"
    uri = f"awskms:{ARN}"
    usage = "SIGN_VERIFY"
    arn = ARN

    def environ(self, folder: Path) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL_KMS": self.server.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        }

    @property
    def names(self) -> dict[str, str]:
        return {"service": "AWS KMS", "key": ARN}

    @property
    def spec(self) -> str:
        names = {
            "p256": "ECC_NIST_P256",
            "p384": "ECC_NIST_P384",
            "ed25519": "ECC_NIST_EDWARDS25519",
            "secp256k1": "ECC_SECG_P256K1",
        }
        return names.get(self.kind, "RSA_3072")

    def answer(self, request: Request) -> bytes:
        assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        operation = request.headers["x-amz-target"].removeprefix("TrentService.")
        self.operations.append(operation)
        content = json.loads(request.body)
        if content["KeyId"] not in {ARN, "alias/release"}:
            return aws_error("NotFoundException", "no such key")
        if operation == "GetPublicKey":
            public = base64.b64encode(self.der).decode()
            return _aws({"KeyId": self.arn, "PublicKey": public, "KeyUsage": self.usage, "KeySpec": self.spec})
        assert content["MessageType"] == "DIGEST"
        asked = content["SigningAlgorithm"]
        fitting = {
            ("p256", "ECDSA_SHA_256"): "p256",
            ("p384", "ECDSA_SHA_384"): "p384",
            ("rsa", "RSASSA_PSS_SHA_256"): "pss",
            ("rsa", "RSASSA_PKCS1_V1_5_SHA_256"): "pkcs1",
        }
        method = fitting.get((self.kind, asked))
        if method is None:
            return aws_error("InvalidKeyUsageException", f"Algorithm {asked} is incompatible with {self.spec}")
        signature = self.signature(method, base64.b64decode(content["Message"]))
        return _aws({"KeyId": ARN, "Signature": base64.b64encode(signature).decode(), "SigningAlgorithm": asked})


def _aws(content: object) -> bytes:
    return json_reply(200, content, {"Content-Type": "application/x-amz-json-1.1"})


def aws_error(code: str, message: str, status: int = 400) -> bytes:
    """A refusal as AWS writes it."""
    return json_reply(status, {"__type": code, "message": message}, {"Content-Type": "application/x-amz-json-1.1"})


class Vault(KeyService):
    """Vault's transit engine. `data`: what it says of the key; `prefix`: before a signature."""

    scheme = "hv"
    uri = "hv:release/3"
    prefix = "vault:v3:"

    def environ(self, folder: Path) -> dict[str, str]:
        return {"VAULT_ADDR": self.server.url, "VAULT_TOKEN": "hvs.token"}

    @property
    def names(self) -> dict[str, str]:
        return {"service": f"Vault at {self.server.netloc}", "key": "transit/release version 3"}

    @property
    def data(self) -> dict[str, Any]:
        raw = self.held.public_key()
        public = base64.b64encode(raw.public_bytes_raw()).decode() if self.kind == "ed25519" else self.pem
        old = {"public_key": self.pem, "name": "P-256"}
        return {
            "type": {"p256": "ecdsa-p256", "p384": "ecdsa-p384"}.get(self.kind, self.kind),
            "latest_version": 3,
            "supports_signing": True,
            "derived": False,
            "keys": {"2": old, "3": {"public_key": public}},
        }

    def answer(self, request: Request) -> bytes:
        assert request.headers["x-vault-token"] == "hvs.token"
        _, v1, mount, operation, name = request.target.split("/")
        self.operations.append(operation)
        assert (v1, mount) == ("v1", "transit")
        if operation == "keys":
            return json_reply(200, {"data": self.data}) if name == "release" else json_reply(404, {"errors": []})
        assert operation == "sign"
        if name != "release":
            return json_reply(400, {"errors": ["signing key not found"]})
        content = json.loads(request.body)
        assert content["key_version"] == 3
        data = base64.b64decode(content["input"])
        method = self.kind
        if self.kind != "ed25519":
            assert content["prehashed"] is True
            assert content["hash_algorithm"] == ("sha2-384" if self.kind == "p384" else "sha2-256")
        if self.kind == "rsa":
            method = {"pss": "pss", "pkcs1v15": "pkcs1"}[content["signature_algorithm"]]
            assert method == "pkcs1" or content["salt_length"] == "hash"
        elif self.kind != "ed25519":
            assert content["marshaling_algorithm"] == "asn1"
        signature = base64.b64encode(self.signature(method, data)).decode()
        return json_reply(200, {"data": {"signature": f"{self.prefix}{signature}"}})


@cache
def _account() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class GoogleKms(KeyService):
    """Google Cloud KMS, and beside it the service that gives its tokens. `algorithm`: what it says of the key."""

    scheme = "gcpkms"
    uri = f"gcpkms:{GCP_KEY}"

    def __init__(self, held: Any) -> None:
        super().__init__(held)
        names = {"p256": "EC_SIGN_P256_SHA256", "p384": "EC_SIGN_P384_SHA384", "ed25519": "EC_SIGN_ED25519"}
        self.algorithm = names.get(self.kind, "RSA_SIGN_PSS_3072_SHA256")
        self.token_faults: list[bytes] = []
        self.tokens = HostileServer(self._token)

    def environ(self, folder: Path) -> dict[str, str]:
        pem = _account().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        file = folder / "account.json"
        file.write_text(
            json.dumps(
                {
                    "type": "service_account",
                    "client_email": "ci@p.iam.gserviceaccount.com",
                    "private_key": pem,
                    "private_key_id": "1",
                    "project_id": "p",
                    "token_uri": f"{self.tokens.url}/token",
                }
            )
        )
        return {"GOOGLE_APPLICATION_CREDENTIALS": str(file)}

    @property
    def names(self) -> dict[str, str]:
        return {"service": "Google Cloud KMS", "key": "release version 2"}

    def stop(self) -> None:
        super().stop()
        self.tokens.stop()

    def _token(self, request: Request, wire: Wire) -> None:
        if self.token_faults:
            wire.send(self.token_faults.pop(0))
            return
        assert b"grant_type=" in request.body
        wire.send(json_reply(200, {"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"}))

    def answer(self, request: Request) -> bytes:
        assert request.headers["authorization"] == "Bearer ya29.token"
        path = request.target.removeprefix("/v1/")
        if path == f"{GCP_KEY}/publicKey":
            self.operations.append("publicKey")
            return json_reply(200, {"name": GCP_KEY, "pem": self.pem, "algorithm": self.algorithm})
        if path != f"{GCP_KEY}:asymmetricSign":
            return google_error(404, "NOT_FOUND", "no such version")
        self.operations.append("asymmetricSign")
        content = json.loads(request.body)
        if self.kind == "ed25519":
            signature = self.signature("ed25519", base64.b64decode(content["data"]))
        else:
            ((name, digest),) = content["digest"].items()
            assert name == ("sha384" if self.kind == "p384" else "sha256")
            method = "pss" if self.kind == "rsa" else self.kind
            signature = self.signature(method, base64.b64decode(digest))
        return json_reply(200, {"name": GCP_KEY, "signature": base64.b64encode(signature).decode()})


def google_error(code: int, status: str, message: str) -> bytes:
    """A refusal as Google writes it."""
    return json_reply(code, {"error": {"code": code, "status": status, "message": message}})


class AzureVault(KeyService):
    """Azure Key Vault. `key`: what it says of the key; `attributes`: of its state."""

    scheme = "azurekms"
    uri = f"azurekms://{AZURE_HOST}/keys/release/0123abcd"

    def __init__(self, held: Any) -> None:
        self.attributes: dict[str, object] = {"enabled": True}
        self.changes: dict[str, object] = {}
        super().__init__(held)

    def environ(self, folder: Path) -> dict[str, str]:
        return {}

    @property
    def names(self) -> dict[str, str]:
        return {"service": f"Azure Key Vault {AZURE_HOST}", "key": "release version 0123abcd"}

    @property
    def key(self) -> dict[str, object]:
        kid = f"https://{AZURE_HOST}/keys/release/0123abcd"
        key: dict[str, object] = {"kid": kid, "key_ops": ["sign", "verify"]}
        numbers: Any = None if self.kind == "ed25519" else self.held.public_key().public_numbers()
        if self.kind == "ed25519":
            key |= {"kty": "OKP", "crv": "Ed25519"}
        elif self.kind == "rsa":
            key |= {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
        else:
            curve = {"p256": "P-256", "p384": "P-384"}.get(self.kind, "P-256K")
            key |= {"kty": "EC-HSM", "crv": curve, "x": _number(numbers.x), "y": _number(numbers.y)}
        return key | self.changes

    def answer(self, request: Request) -> bytes:
        assert request.headers["authorization"] == "Bearer azure-token"
        path, _, query = request.target.partition("?")
        assert query == "api-version=7.4"
        if path in {"/keys/release", "/keys/release/0123abcd"}:
            self.operations.append("get")
            return json_reply(200, {"key": self.key, "attributes": self.attributes})
        if path != "/keys/release/0123abcd/sign":
            return azure_error(404, "KeyNotFound", "no such key")
        self.operations.append("sign")
        content = json.loads(request.body)
        method = {"ES256": "p256", "ES384": "p384", "PS256": "pss", "RS256": "pkcs1"}[content["alg"]]
        value = content["value"]
        signature = self.signature(method, base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        if method in {"p256", "p384"}:
            half = 32 if method == "p256" else 48
            r, s = decode_dss_signature(signature)
            signature = r.to_bytes(half) + s.to_bytes(half)
        return json_reply(200, {"kid": "x", "value": base64.urlsafe_b64encode(signature).rstrip(b"=").decode()})


def azure_error(status: int, code: str, message: str, inner: str = "") -> bytes:
    """A refusal as Azure writes it."""
    error: dict[str, object] = {"code": code, "message": message}
    return json_reply(status, {"error": error | ({"innererror": {"code": inner}} if inner else {})})


def _number(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()


LIBRARIES: Final = {"awskms": "botocore", "gcpkms": "google.auth", "azurekms": "azure.identity"}


class Waiting:
    """A clock that stands still but for the pauses, which take no time."""

    def __init__(self, seconds: float = 60.0) -> None:
        self.now = 0.0
        self.paused: list[float] = []
        self.patience = Patience(seconds=seconds, clock=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.now += seconds


class Services:
    """Services that are started for a test, with the variables of their programs, and stopped after it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        self._started: list[KeyService] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for service in self._started:
            service.stop()

    def start(self, kind: type[KeyService], held: Any, patience: Patience) -> tuple[Any, ServiceKeys]:
        """A service that holds a key, and the keys of its kind as the programs open them."""
        if kind.scheme in LIBRARIES:
            pytest.importorskip(LIBRARIES[kind.scheme], reason=f"{LIBRARIES[kind.scheme]} is not installed")
        service = kind(held)
        self._started.append(service)
        for name in ("HTTP_PROXY", "http_proxy", "VAULT_NAMESPACE", "VAULT_CACERT"):
            self._monkeypatch.delenv(name, raising=False)
        for name, value in service.environ(self._folder).items():
            self._monkeypatch.setenv(name, value)
        return service, opened(service, patience)


def opened(service: KeyService, patience: Patience) -> ServiceKeys:
    """The keys of the kind of a service."""
    if isinstance(service, AwsKms):
        return AwsKeys(patience)
    if isinstance(service, GoogleKms):
        return GcpKeys(patience, endpoint=service.server.url)
    if isinstance(service, AzureVault):
        return AzureKeys(patience, endpoint=lambda _: service.server.url, tokens=lambda _: "azure-token")
    return VaultKeys(patience)
