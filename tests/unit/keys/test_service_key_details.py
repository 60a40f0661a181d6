"""What each service says of a key in its own way, and who one is there: credentials, versions, states, addresses."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa, x448
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from keys.algorithms import Algorithm, generate
from keys.errors import KeysError, SignatureNotVerified
from keys.key_info import KeyInfo
from keys.kms import azure
from keys.kms.azure import AzureKeys
from keys.kms.errors import (
    KeyNotInService,
    KeyServiceAnswerWrong,
    KeyServiceKeyDisabled,
    KeyServiceKeyUnfit,
    KeyServiceNoCredentials,
    KeyServiceUnreachable,
)
from keys.kms.https import MAX_ANSWER, ask, safe_address
from keys.kms.service_keys import ServiceKeys
from keys.kms.vault import VaultKeys
from keys.passphrase import EnvironmentPassphrases
from keys.signers import FileSigner
from tests.support.certificates import make_authority
from tests.support.hostile_server import json_reply, reply
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
DEFINITE: Final = Waiting().patience


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


# --- AWS


def test_an_alias_is_recorded_as_the_key_that_it_stands_for(start: Start) -> None:
    service, keys = start(AwsKms)
    assert keys.find("awskms:alias/release", NOBODY, "root").uri == service.uri


def test_what_aws_says_of_a_key_that_does_not_fit(start: Start) -> None:
    service, keys = start(AwsKms)
    service.usage = "ENCRYPT_DECRYPT"
    refused(KeyServiceKeyUnfit, "its use is ENCRYPT_DECRYPT, and not SIGN_VERIFY", keys, service.uri)
    service.usage, service.arn = "SIGN_VERIFY", "1234"
    refused(KeyServiceAnswerWrong, "does not name the key by its ARN", keys, service.uri)


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
        refused(KeyServiceKeyUnfit, "its algorithm is", keys, service.uri)


def test_google_signs_so_many_bytes_with_ed25519(start: Start) -> None:
    service, keys = start(GoogleKms, ED25519)
    sign(keys, service, b"x" * 65536)
    with pytest.raises(KeyServiceKeyUnfit, match="at most 65536 bytes, and not 65537"):
        sign(keys, service, b"x" * 65537)
    assert service.operations == ["asymmetricSign"]


def test_what_google_gives_for_a_signature_is_looked_at(start: Start) -> None:
    service, keys = start(GoogleKms)
    service.faults.append(json_reply(200, {"signature": "%"}))
    with pytest.raises(KeyServiceAnswerWrong, match="not in base64"):
        sign(keys, service)


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
        ({"key_ops": []}, KeyServiceKeyUnfit, "it may do nothing, and not sign"),
        ({"kid": f"https://{AZURE_HOST}/keys/other/0123abcd"}, KeyServiceAnswerWrong, "names another key"),
        ({"kid": f"https://{AZURE_HOST}/keys/release/ffff"}, KeyServiceAnswerWrong, "names another key"),
        ({"x": "AAAA"}, KeyServiceAnswerWrong, "the public key in its answer cannot be read"),
        ({"x": "%"}, KeyServiceAnswerWrong, "a number in its answer is not in base64"),
        ({"kty": "oct-HSM", "crv": None}, KeyServiceKeyUnfit, "its type is oct-HSM; here sign"),
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, KeyServiceAnswerWrong, "cannot be read"),
    ],
)
def test_what_azure_says_of_a_key_that_does_not_fit(
    changes: Mapping[str, object], error: type[KeysError], words: str, start: Start
) -> None:
    service, keys = start(AzureVault)
    service.changes.update(changes)
    with pytest.raises(error, match=words):
        keys.find(service.uri, NOBODY, "root")


def test_a_weak_rsa_key_in_azure_is_refused(start: Start) -> None:
    service, keys = start(AzureVault, rsa.generate_private_key(65537, 1024))
    refused(KeyServiceKeyUnfit, "RSA with 1024 bits", keys, service.uri)


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
        refused(error, str(outcome).strip(), keys(outcome), service.uri)
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


@pytest.mark.parametrize("signature", ["vault:v3:%", "vault:v3:A", "AAAA", None, 3])
def test_what_vault_gives_for_a_signature_is_looked_at(signature: object, start: Start) -> None:
    service, keys = start(Vault)
    service.faults.append(json_reply(200, {"data": {"signature": signature}}))
    with pytest.raises(KeyServiceAnswerWrong, match="signature"):
        sign(keys, service)


def test_an_answer_without_end_is_not_read(start: Start) -> None:
    service, keys = start(Vault)
    service.faults.append(reply(200, b'"' + b"x" * MAX_ANSWER + b'"'))
    refused(KeyServiceAnswerWrong, f"more than {MAX_ANSWER} bytes", keys, service.uri)


@pytest.mark.parametrize(
    "address",
    [
        "http://vault.example:8200",
        "vault.example",
        "https://user:opensesame@vault.example",
        "https://[",
        "ftp://127.0.0.1",
        "https://x/?a=1",
    ],
)
def test_a_token_goes_nowhere_without_https(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", address)
    monkeypatch.setenv("VAULT_TOKEN", "x")
    with pytest.raises(KeyServiceNoCredentials, match="VAULT_ADDR is no address with https") as caught:
        VaultKeys(DEFINITE).find("hv:release", NOBODY, "root")
    assert "opensesame" not in str(caught.value)


def test_addresses_to_which_credentials_may_go() -> None:
    for address in ("https://vault.example:8200", "http://127.0.0.1:8200", "http://localhost", "http://[::1]:1"):
        assert safe_address(address)


def test_the_token_of_vault_login_is_found_and_the_namespace_sent(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, keys = start(Vault)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", "")
    monkeypatch.setenv("VAULT_NAMESPACE", "team a")
    refused(KeyServiceNoCredentials, "there is no token", keys, service.uri)
    file = tmp_path / ".vault-token"
    for bad in (b"", b"\xff", b"a\nb"):
        file.write_bytes(bad)
        refused(KeyServiceNoCredentials, "there is no token", keys, service.uri)
    file.write_text("hvs.token\n")
    assert keys.find(service.uri, NOBODY, "root").uri == service.uri
    assert service.server.requests[-1].headers["x-vault-namespace"] == "team%20a"


def test_vault_is_known_by_its_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(tmp_path)
    service = Vault(P256, authority.server_context(tmp_path))
    try:
        for name, value in service.environ(tmp_path).items():
            monkeypatch.setenv(name, value)
        keys = VaultKeys(Waiting().patience)
        monkeypatch.setenv("VAULT_CACERT", str(authority.file))
        assert keys.find(service.uri, NOBODY, "root").uri == service.uri
        certificate, key = authority.client_certificate(tmp_path)
        monkeypatch.setenv("VAULT_CLIENT_CERT", str(certificate))
        monkeypatch.setenv("VAULT_CLIENT_KEY", str(key))
        assert keys.find(service.uri, NOBODY, "root").uri == service.uri
        monkeypatch.setenv("VAULT_CLIENT_CERT", str(tmp_path / "none"))
        refused(KeyServiceNoCredentials, "VAULT_CLIENT_KEY cannot be used", keys, service.uri)
        monkeypatch.delenv("VAULT_CLIENT_CERT")
        monkeypatch.delenv("VAULT_CACERT")
        refused(KeyServiceUnreachable, "certificate verify failed", keys, service.uri)
        monkeypatch.delenv("VAULT_CLIENT_KEY")
        refused(KeyServiceUnreachable, "certificate verify failed", keys, service.uri)
    finally:
        service.stop()


def test_no_service_is_asked_that_no_authority_of_this_machine_vouches_for(tmp_path: Path) -> None:
    service = Vault(P256, make_authority(tmp_path).server_context(tmp_path))
    try:
        with pytest.raises(KeyServiceUnreachable, match="certificate verify failed"):
            ask(VaultKeys().key("hv:release"), service.server.url, headers={})
    finally:
        service.stop()


def test_the_address_of_vault_is_its_own_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    assert VaultKeys().key("hv:release").service == "Vault at 127.0.0.1:8200"


def test_base64_of_azure_has_no_padding() -> None:
    assert azure._base64url(b"\xff\xfe") == base64.urlsafe_b64encode(b"\xff\xfe").decode().rstrip("=")
