"""What each service says of a key in its own way, and who one is there: credentials, versions, states, addresses."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa, x448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys.algorithms import Algorithm, generate
from keys.errors import KeyNotAccepted, KeysError, SignatureNotVerified
from keys.key_info import KeyInfo
from keys.kms import aws, azure, gcp
from keys.kms.asking import REQUEST_SECONDS
from keys.kms.aws import AwsKeys
from keys.kms.azure import AzureKeys
from keys.kms.errors import (
    KeyNotInService,
    KeyServiceAnswerWrong,
    KeyServiceDeclined,
    KeyServiceKeyDisabled,
    KeyServiceKeyUnfit,
    KeyServiceNoCredentials,
    KeyServiceUnreachable,
    said,
)
from keys.kms.gcp import GcpKeys
from keys.kms.https import MAX_ANSWER
from keys.kms.service_keys import ServiceKeys
from keys.kms.vault import VaultKeys
from keys.passphrase import EnvironmentPassphrases
from keys.signers import FileSigner
from tests.support.hostile_server import HostileServer, answering, json_reply, reply
from tests.support.key_services import (
    AZURE_HOST,
    AwsKms,
    AzureVault,
    GoogleKms,
    KeyService,
    Services,
    Vault,
    Waiting,
)

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NOBODY: Final = EnvironmentPassphrases({}, None)
P256: Final = generate()
ED25519: Final = generate(Algorithm.ED25519)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Any, ServiceKeys]]]:
    with Services(tmp_path, monkeypatch) as services:
        yield lambda kind, held=P256: services.start(kind, held, Waiting().patience)


Start = Callable[..., tuple[Any, ServiceKeys]]


def sign(keys: ServiceKeys, service: KeyService, payload: bytes = b"x") -> None:
    private = keys.open(service.uri, service.held.public_key(), NOBODY, "root")
    FileSigner(private, KeyInfo.of(private, purpose="root")).sign(payload)


def refused(error: type[KeysError], words: str, keys: ServiceKeys, uri: str) -> None:
    with pytest.raises(error, match=words) as caught:
        keys.find(uri, NOBODY, "root")
    assert type(caught.value) is error
    key = keys.key(uri)
    assert caught.value.details() == {**caught.value.details(), "service": key.service, "key": key.name}


def sign_refused(
    error: type[KeysError], words: str, keys: ServiceKeys, service: KeyService, payload: bytes = b"x"
) -> None:
    with pytest.raises(error, match=words) as caught:
        sign(keys, service, payload)
    assert type(caught.value) is error
    assert caught.value.details() == {**caught.value.details(), **service.names}


@pytest.mark.parametrize(
    ("keys", "uri", "service", "key"),
    [
        (AwsKeys, "awskms:alias/release", "AWS KMS", "alias/release"),
        (GcpKeys, GoogleKms.uri, "Google Cloud KMS", "release version 2"),
        (AzureKeys, "azurekms://x.vault.azure.net/keys/a", "Azure Key Vault x.vault.azure.net", "a"),
        (AzureKeys, "azurekms://x.vault.azure.net/keys/a/1", "Azure Key Vault x.vault.azure.net", "a version 1"),
        (VaultKeys, "hv:a", "Vault at v.example:1", "transit/a"),
        (VaultKeys, "hv:a/2?mount=b/c", "Vault at v.example:1", "b/c/a version 2"),
    ],
)
def test_how_a_service_and_its_key_are_named(
    keys: Callable[[], ServiceKeys], uri: str, service: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "https://v.example:1/path/")
    found = keys().key(uri)
    assert (found.service, found.name) == (service, key)


# --- AWS


def test_an_alias_is_recorded_as_the_key_that_it_stands_for(start: Start) -> None:
    service, keys = start(AwsKms)
    assert keys.find("awskms:alias/release", NOBODY, "root").uri == service.uri


def test_the_region_of_an_arn_comes_before_that_of_this_machine(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service, keys = start(AwsKms)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    for uri, region in ((service.uri, "eu-central-1"), ("awskms:alias/release", "us-west-2")):
        keys.find(uri, NOBODY, "root")
        assert f"/{region}/kms/aws4_request" in service.server.requests[-1].headers["authorization"]


def test_what_aws_says_of_a_key_that_does_not_fit(start: Start) -> None:
    service, keys = start(AwsKms)
    service.usage = "ENCRYPT_DECRYPT"
    refused(KeyServiceKeyUnfit, "its use is ENCRYPT_DECRYPT, and not SIGN_VERIFY", keys, service.uri)
    service.usage, service.arn = "SIGN_VERIFY", "1234"
    refused(KeyServiceAnswerWrong, "does not name the key by its ARN", keys, service.uri)
    service.faults.append(json_reply(200, {"KeyId": "1234", "KeyUsage": "SIGN_VERIFY"}))
    refused(KeyServiceAnswerWrong, "the public key in its answer cannot be read", keys, service.uri)


def test_aws_is_asked_once_at_a_time_and_not_for_ever(start: Start) -> None:
    """How often it is asked, and for how long in all, is decided in one place for all services."""
    start(AwsKms)
    assert [aws._client(region).meta.region_name for region in ("us-west-2", None)] == ["us-west-2", "eu-central-1"]
    config = aws._client("us-west-2").meta.config
    assert (config.connect_timeout, config.read_timeout) == (REQUEST_SECONDS, REQUEST_SECONDS)
    assert config.retries == {"mode": "standard", "total_max_attempts": 1}


def test_a_refusal_of_aws_without_anything_in_it() -> None:
    error = aws._AwsKey("release", None)._refusal({})
    assert type(error) is KeyServiceDeclined
    assert error.details() == {"service": "AWS KMS", "key": "release", "reason": "it answered None: None"}


@pytest.mark.parametrize(
    ("name", "value", "uri", "words"),
    [
        ("AWS_ACCESS_KEY_ID", None, AwsKms.uri, "Unable to locate credentials"),
        ("AWS_DEFAULT_REGION", None, "awskms:alias/release", "You must specify a region"),
        ("AWS_ENDPOINT_URL_KMS", "no address", AwsKms.uri, "Invalid endpoint"),
        ("AWS_PROFILE", "nobody", AwsKms.uri, "The config profile .nobody. could not be found"),
    ],
)
def test_who_one_is_at_aws_is_not_known(  # noqa: PLR0917
    name: str, value: str | None, uri: str, words: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, keys = start(AwsKms)
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    refused(KeyServiceNoCredentials, words, keys, uri)
    assert service.operations == []


# --- Google


def test_what_google_says_of_a_key_that_does_not_fit(start: Start) -> None:
    service, keys = start(GoogleKms)
    for algorithm in ("EC_SIGN_SECP256K1_SHA256", "RSA_SIGN_PKCS1_3072_SHA256", "RSA_SIGN_PSS_4096_SHA512", "PQ\x1b"):
        service.algorithm = algorithm
        fitting = "EC_SIGN_P256_SHA256, EC_SIGN_P384_SHA384, EC_SIGN_ED25519 and RSA_SIGN_PSS_..._SHA256"
        reason = f"its algorithm is {said(algorithm)}; here sign {fitting}"
        refused(KeyServiceKeyUnfit, f"{re.escape(reason)}$", keys, service.uri)


def test_google_signs_so_many_bytes_with_ed25519(start: Start) -> None:
    service, keys = start(GoogleKms, ED25519)
    sign(keys, service, b"x" * 65536)
    sign_refused(KeyServiceKeyUnfit, "at most 65536 bytes, and not 65537", keys, service, b"x" * 65537)
    assert service.operations == ["asymmetricSign"]


def test_what_google_says_may_be_no_text_at_all(start: Start) -> None:
    service, keys = start(GoogleKms)
    service.faults.append(json_reply(200, {"algorithm": service.algorithm, "pem": "\ud800"}))
    refused(KeyServiceAnswerWrong, "the public key in its answer cannot be read", keys, service.uri)
    service.faults.append(json_reply(200, {"algorithm": service.algorithm, "pem": f" \n{service.pem}"}))
    assert keys.find(service.uri, NOBODY, "root").public == P256.public_key()
    service.faults.append(json_reply(400, {"error": "odd"}))
    refused(KeyServiceDeclined, "it answered 400$", keys, service.uri)


def test_google_is_asked_once_who_one_is(start: Start) -> None:
    service, keys = start(GoogleKms)
    private = keys.open(service.uri, P256.public_key(), NOBODY, "root")
    signer = FileSigner(private, KeyInfo.of(private, purpose="root"))
    for _ in range(2):
        signer.sign(b"x")
    assert len(service.tokens.requests) == 1
    (claims,) = (claims_of(request.body) for request in service.tokens.requests)
    assert claims["scope"] == "https://www.googleapis.com/auth/cloudkms"


def claims_of(body: bytes) -> dict[str, Any]:
    """What a service account says of itself when it asks for a token."""
    part = parse_qs(body.decode())["assertion"][0].split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


def test_who_says_who_one_is_at_google_may_be_silent_for_so_long(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service, keys = start(GoogleKms)
    monkeypatch.setattr(gcp, "REQUEST_SECONDS", 0.05)
    service.tokens.script = lambda _, wire: wire.stopping.wait() and None
    refused(KeyServiceUnreachable, "it cannot be reached: .*[Tt]imed out", keys, service.uri)


def test_what_google_gives_for_a_signature_is_looked_at(start: Start) -> None:
    service, keys = start(GoogleKms)
    service.faults.append(json_reply(200, {"signature": "%"}))
    sign_refused(KeyServiceAnswerWrong, "not in base64", keys, service)


def test_who_one_is_at_google_is_not_known_or_not_accepted(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service, keys = start(GoogleKms)
    service.token_faults.append(json_reply(400, {"error": "invalid_grant", "error_description": "Invalid JWT"}))
    refused(KeyServiceNoCredentials, "invalid_grant", keys, service.uri)
    service.tokens.stop()
    refused(KeyServiceUnreachable, "it cannot be reached", keys, service.uri)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing"))
    refused(KeyServiceNoCredentials, "nothing was not found", keys, service.uri)
    assert service.operations == []


# --- Azure


def test_a_key_without_a_version_is_recorded_with_the_newest(start: Start) -> None:
    service, keys = start(AzureVault)
    assert keys.find(f"azurekms://{AZURE_HOST}/keys/release", NOBODY, "root").uri == service.uri


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"key_ops": ["verify"]}, KeyServiceKeyUnfit, "it may verify, and not sign"),
        ({"key_ops": ["verify", "encrypt"]}, KeyServiceKeyUnfit, "it may verify, encrypt, and not sign$"),
        ({"key_ops": []}, KeyServiceKeyUnfit, "it may do nothing, and not sign"),
        ({"kid": f"https://{AZURE_HOST}/keys/other/0123abcd"}, KeyServiceAnswerWrong, "names another key"),
        ({"kid": f"https://{AZURE_HOST}/keys/release/ffff"}, KeyServiceAnswerWrong, "names another key"),
        ({"x": "AAAA"}, KeyServiceAnswerWrong, "the public key in its answer cannot be read"),
        ({"x": "%"}, KeyServiceAnswerWrong, "a number in its answer is not in base64"),
        ({"kty": "oct-HSM"}, KeyServiceKeyUnfit, "its type is oct-HSM P-256; here sign P-256, P-384, RSA$"),
        ({"kty": "oct-HSM", "crv": None}, KeyServiceKeyUnfit, "its type is oct-HSM; here sign P-256, P-384, RSA$"),
        ({"crv": "P-521"}, KeyServiceKeyUnfit, "its type is EC-HSM P-521; here sign P-256, P-384, RSA$"),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, KeyServiceAnswerWrong, "cannot be read"),
    ],
)
def test_what_azure_says_of_a_key_that_does_not_fit(
    changes: Mapping[str, object], error: type[KeysError], words: str, start: Start
) -> None:
    service, keys = start(AzureVault)
    service.changes.update(changes)
    refused(error, words, keys, service.uri)


@pytest.mark.parametrize("answer", [{"attributes": None}, {"attributes": []}, {"key_ops": None}, {"key_ops": "x"}])
def test_what_azure_does_not_say_of_a_key_refuses_none(answer: dict[str, object], start: Start) -> None:
    service, keys = start(AzureVault)
    service.changes.update(answer)
    said = {"key": service.key, "attributes": service.attributes} | answer
    service.faults.append(json_reply(200, said))
    kid = f"https://{AZURE_HOST}:443/keys/release/0123abcd"
    service.faults.append(json_reply(200, {"key": {**service.key, "kid": kid}}))
    for _ in range(2):
        assert keys.find(service.uri, NOBODY, "root").uri == service.uri
    service.faults.append(json_reply(400, {"error": "odd"}))
    refused(KeyServiceDeclined, "it answered 400$", keys, service.uri)


def test_azure_is_asked_at_the_host_of_the_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is told the host alone: what is asked there is encrypted."""
    proxy = HostileServer(answering(reply(502)))
    try:
        monkeypatch.setenv("https_proxy", proxy.url)
        keys = AzureKeys(Waiting().patience, tokens=lambda _: "azure-token")
        refused(KeyServiceUnreachable, "it cannot be reached", keys, AzureVault.uri)
        assert {(each.method, each.target) for each in proxy.requests} == {("CONNECT", f"{AZURE_HOST}:443")}
        assert "azure-token" not in str(proxy.requests)
    finally:
        proxy.stop()


@pytest.mark.parametrize("key", [None, "x", []])
def test_an_answer_of_azure_without_a_key(key: object, start: Start) -> None:
    service, keys = start(AzureVault)
    service.faults.append(json_reply(200, {"key": key}))
    refused(KeyServiceAnswerWrong, "its answer has no key", keys, service.uri)


def test_a_weak_rsa_key_in_azure_is_refused(start: Start) -> None:
    service, keys = start(AzureVault, rsa.generate_private_key(65537, 1024))
    refused(KeyServiceKeyUnfit, "RSA with 1024 bits", keys, service.uri)


def test_a_weak_key_that_was_recorded_is_not_opened(start: Start) -> None:
    service, keys = start(Vault)
    weak = rsa.generate_private_key(65537, 1024).public_key()
    with pytest.raises(KeyNotAccepted, match="RSA with 1024 bits") as caught:
        keys.open(service.uri, weak, NOBODY, "root")
    assert caught.value.key == service.names["key"]


def test_a_key_that_is_disabled_in_azure(start: Start) -> None:
    service, keys = start(AzureVault)
    service.attributes["enabled"] = False
    with pytest.raises(KeyServiceKeyDisabled, match="it is disabled") as caught:
        keys.find(service.uri, NOBODY, "root")
    key = keys.key(service.uri)
    assert (caught.value.service, caught.value.key) == (key.service, key.name)


def test_who_one_is_at_azure(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service, _ = start(AzureVault)
    from azure.core import exceptions
    from azure.identity import CredentialUnavailableError

    asked: list[str] = []

    def keys(outcome: Exception | None) -> AzureKeys:
        def token(scope: str) -> str:
            asked.append(scope)
            if outcome is not None:
                raise outcome
            return "azure-token"

        return AzureKeys(Waiting().patience, endpoint=lambda _: service.server.url, tokens=token)

    assert keys(None).find(service.uri, NOBODY, "root").uri == service.uri
    assert asked == ["https://vault.azure.net/.default"]
    for outcome, error in (
        (CredentialUnavailableError("none\n"), KeyServiceNoCredentials),
        (exceptions.ClientAuthenticationError("wrong secret"), KeyServiceNoCredentials),
        (exceptions.ServiceRequestError("no route"), KeyServiceUnreachable),
        (exceptions.ServiceResponseError("cut"), KeyServiceUnreachable),
        (ValueError("no tenant"), KeyServiceNoCredentials),
    ):
        before = "who one is there cannot be asked: " if error is KeyServiceUnreachable else ""
        refused(error, f"version 0123abcd: {before}{str(outcome).strip()}$", keys(outcome), service.uri)
    assert service.operations == ["get"]


def test_the_credentials_of_azure_are_those_of_its_library(
    start: Start, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    service, _ = start(AzureVault)
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    keys = AzureKeys(Waiting().patience, endpoint=lambda _: service.server.url)
    refused(KeyServiceNoCredentials, "EnvironmentCredential authentication unavailable", keys, service.uri)
    assert capfd.readouterr().err == ""

    class Known:
        def get_token(self, scope: str) -> Any:
            return type("Token", (), {"token": f"for {scope}"})

    monkeypatch.setattr("azure.identity.DefaultAzureCredential", Known)
    assert azure._default_tokens()("x") == "for x"
    assert any(isinstance(each, logging.NullHandler) for each in logging.getLogger("azure").handlers)


# --- Vault


def test_a_key_without_a_version_is_the_newest_one_of_vault(start: Start) -> None:
    service, keys = start(Vault)
    assert keys.find("hv:release", NOBODY, "root").uri == "hv:release/3"
    service.faults.append(json_reply(200, {"data": service.data}))
    assert keys.find("hv:release/3?mount=team/transit", NOBODY, "root").uri == "hv:release/3?mount=team/transit"
    assert service.server.requests[-1].target == "/v1/team/transit/keys/release"
    refused(KeyNotInService, "has no key transit/release version 9", keys, "hv:release/9")
    private = keys.open("hv:release", P256.public_key(), NOBODY, "root")
    info = KeyInfo.of(private, purpose="root")
    service.faults.append(json_reply(200, {"data": {"signature": "vault:v3:AAAA"}}))
    with pytest.raises(SignatureNotVerified):
        FileSigner(private, info).sign(b"x")
    assert b"key_version" not in service.server.requests[-1].body


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"supports_signing": False, "type": "aes256-gcm96"}, KeyServiceKeyUnfit, "of type aes256-gcm96 does not sign"),
        ({"derived": True}, KeyServiceKeyUnfit, "does not sign, or is derived"),
        ({"keys": []}, KeyServiceAnswerWrong, "names no versions"),
        ({"keys": {"3": 1700000000}, "type": "hmac"}, KeyServiceKeyUnfit, "a key of type hmac has no public half"),
        ({"keys": {"3": {"public_key": ""}}}, KeyServiceKeyUnfit, "has no public half"),
        ({"keys": {"3": {"public_key": "%"}}}, KeyServiceAnswerWrong, "cannot be read"),
        ({"keys": {"3": {"public_key": "AAAA"}}}, KeyServiceAnswerWrong, "cannot be read"),
        ({"keys": {"3": {"public_key": "-----BEGIN X-----"}}}, KeyServiceAnswerWrong, "cannot be read"),
    ],
)
def test_what_vault_says_of_a_key_that_does_not_fit(
    changes: Mapping[str, object], error: type[KeysError], words: str, start: Start
) -> None:
    service, keys = start(Vault)
    service.faults.append(json_reply(200, {"data": service.data | changes}))
    refused(error, words, keys, service.uri)


def test_an_answer_of_vault_that_names_no_version(start: Start) -> None:
    service, keys = start(Vault)
    service.faults.append(json_reply(200, {"data": service.data | {"latest_version": True}}))
    refused(KeyServiceAnswerWrong, "names no versions", keys, "hv:release")


def test_a_kind_of_key_that_nobody_knows(start: Start) -> None:
    service, keys = start(Vault)
    point = x448.X448PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    unknown = point.replace(b"\x2b\x65\x6f", b"\x2b\x65\x7f")  # an object identifier of no algorithm
    pem = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(unknown).decode()}\n-----END PUBLIC KEY-----\n"
    service.faults.append(json_reply(200, {"data": service.data | {"keys": {"3": {"public_key": pem}}}}))
    refused(KeyServiceKeyUnfit, "of a kind that is not known here", keys, service.uri)


@pytest.mark.parametrize("signature", ["vault:v3:%", "vault:v3:A", "vault:v3:AA==AAAA", "AAAA", None, 3])
def test_what_vault_gives_for_a_signature_is_looked_at(signature: object, start: Start) -> None:
    service, keys = start(Vault)
    service.faults.append(json_reply(200, {"data": {"signature": signature}}))
    sign_refused(KeyServiceAnswerWrong, "signature", keys, service)


def test_an_answer_without_end_is_not_read(start: Start) -> None:
    service, keys = start(Vault)
    service.faults.append(reply(200, b'"' + b"x" * MAX_ANSWER + b'"'))
    refused(KeyServiceAnswerWrong, f"more than {MAX_ANSWER} bytes", keys, service.uri)


def test_base64_of_azure_has_no_padding() -> None:
    assert azure._base64url(b"\0\0\x17") == "AAAX"
    assert azure._base64url(b"\xff\xfe") == base64.urlsafe_b64encode(b"\xff\xfe").decode().rstrip("=")
