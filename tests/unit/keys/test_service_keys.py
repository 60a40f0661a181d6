"""Keys in AWS KMS, Google Cloud KMS, Azure Key Vault and Vault: what signs, and each way in which it does not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keys.algorithms import Algorithm, PrivateKey, generate
from keys.certificate import certificate_fault, root_certificate
from keys.errors import KeyNotFound, KeysError, KeySupportMissing, KeyUriMalformed, SignatureNotVerified
from keys.key_info import KeyInfo
from keys.key_opening import check_key_uri
from keys.kms import asking
from keys.kms.asking import Patience
from keys.kms.aws import AwsKeys
from keys.kms.azure import AzureKeys
from keys.kms.errors import (
    KeyNotInService,
    KeyServiceAnswerWrong,
    KeyServiceDeclined,
    KeyServiceDenied,
    KeyServiceKeyDisabled,
    KeyServiceKeyUnfit,
    KeyServiceLate,
    KeyServiceThrottled,
    KeyServiceUnreachable,
)
from keys.kms.gcp import GcpKeys
from keys.kms.service_keys import ServiceKeys
from keys.kms.vault import VaultKeys
from keys.notary_signer import NotarySigner
from keys.passphrase import EnvironmentPassphrases
from keys.signers import FileSigner
from keys.uris.proof import proven
from keys.uris.uri import is_key_uri, shown_uri
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
    aws_error,
    azure_error,
    google_error,
)

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

AT = datetime(2026, 11, 30, tzinfo=UTC)
NOBODY: Final = EnvironmentPassphrases({}, None)
P256: Final = generate()
HELD: Final[dict[Algorithm, PrivateKey]] = {each: generate(each) for each in Algorithm}
KINDS: Final[list[type[KeyService]]] = [AwsKms, GoogleKms, AzureVault, Vault]
WITHOUT_ED25519: Final[list[type[KeyService]]] = [AwsKms, AzureVault]


Start = Callable[..., tuple[Any, ServiceKeys]]


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: Waiting) -> Iterator[Start]:
    """A service with a key, and the keys of its kind as they are opened."""
    with Services(tmp_path, monkeypatch) as services:
        yield lambda kind, held=P256, patience=waiting.patience: services.start(kind, held, patience)


def signer(keys: ServiceKeys, service: KeyService) -> FileSigner:
    private = keys.open(service.uri, service.held.public_key(), NOBODY, "root")
    return FileSigner(private, KeyInfo.of(private, purpose="root"))


def named(error: KeysError, service: KeyService) -> bool:
    """Whether an error names the service and the key."""
    return {**error.details(), **service.names} == error.details()


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [(k, a) for k in KINDS for a in Algorithm if a is not Algorithm.ED25519 or k not in WITHOUT_ED25519],
)
def test_a_key_signs_in_both_formats(kind: type[KeyService], algorithm: Algorithm, start: Start) -> None:
    service, keys = start(kind, HELD[algorithm])
    found = keys.find(service.uri, NOBODY, "root")
    assert (found.public, found.uri) == (service.held.public_key(), service.uri)
    private = keys.open(found.uri, found.public, NOBODY, "root")
    info = KeyInfo.of(private, purpose="root")
    payload = b'{"a": 1}' * 6000
    info.public.verify_signature(FileSigner(private, info).sign(payload), payload)
    NotarySigner(private).public_key.verify_signature(NotarySigner(private).sign(payload), payload)
    assert proven(private, found.public)
    assert len(service.operations) == 4, "found once, signed three times"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", [Algorithm.ECDSA_P256, Algorithm.ECDSA_P384, Algorithm.RSA])
def test_it_certifies_itself_for_notary(kind: type[KeyService], algorithm: Algorithm, start: Start) -> None:
    service, keys = start(kind, HELD[algorithm])
    private = keys.open(service.uri, service.held.public_key(), NOBODY, "root")
    if (kind, algorithm) == (GoogleKms, Algorithm.RSA):
        with pytest.raises(KeyServiceKeyUnfit, match="it signs by PSS alone"):
            root_certificate(private, gun="example.com/app", at=AT)
    else:
        certificate = root_certificate(private, gun="example.com/app", at=AT)
        assert certificate_fault(certificate, gun="example.com/app", at=AT) is None


@pytest.mark.parametrize("kind", WITHOUT_ED25519)
def test_a_service_without_usable_ed25519_keys_refuses_them(kind: type[KeyService], start: Start) -> None:
    service, keys = start(kind, HELD[Algorithm.ED25519])
    for ask in (lambda: keys.find(service.uri, NOBODY, "root"), lambda: signer(keys, service).sign(b"x")):
        with pytest.raises(KeyServiceKeyUnfit, match=r"Ed25519|OKP") as caught:
            ask()
        assert named(caught.value, service)
    assert "sign" not in "".join(service.operations).lower()


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_another_key_is_not_used(kind: type[KeyService], start: Start) -> None:
    service, keys = start(kind)
    service.signing = generate()
    with pytest.raises(SignatureNotVerified, match=re.escape("{key} in {service}".format(**service.names))):
        signer(keys, service).sign(b"x")


@pytest.mark.parametrize("kind", KINDS)
def test_a_curve_that_nobody_uses_is_refused_by_name(kind: type[KeyService], start: Start) -> None:
    service, keys = start(kind, ec.generate_private_key(ec.SECP256K1()))
    if isinstance(service, GoogleKms):
        service.algorithm = "EC_SIGN_P256_SHA256"  # it may say what it likes
    with pytest.raises(KeyServiceKeyUnfit, match=r"secp256k1|P-256K") as caught:
        keys.find(service.uri, NOBODY, "root")
    assert named(caught.value, service)


REFUSALS: Final[list[tuple[type[KeyService], bytes, type[KeysError], str]]] = [
    (AwsKms, aws_error("AccessDeniedException", "no\x1b[2J"), KeyServiceDenied, r"AccessDeniedException: no\\x1b"),
    (AwsKms, aws_error("UnrecognizedClientException", "who?"), KeyServiceDenied, "who"),
    (AwsKms, aws_error("NotFoundException", "none"), KeyNotInService, "AWS KMS has no key"),
    (AwsKms, aws_error("DisabledException", "it is disabled."), KeyServiceKeyDisabled, "it is disabled"),
    (AwsKms, aws_error("KMSInvalidStateException", "pending deletion."), KeyServiceKeyDisabled, "pending deletion"),
    (AwsKms, aws_error("InvalidKeyUsageException", "x" * 500), KeyServiceKeyUnfit, "x{300}[.]{3}"),
    (AwsKms, aws_error("ValidationException", "odd"), KeyServiceDeclined, "ValidationException: odd"),
    (GoogleKms, google_error(403, "PERMISSION_DENIED", "no"), KeyServiceDenied, "it answered 403: no"),
    (GoogleKms, google_error(404, "NOT_FOUND", "none"), KeyNotInService, "Google Cloud KMS has no key"),
    (
        GoogleKms,
        google_error(400, "FAILED_PRECONDITION", "it is gone"),
        KeyServiceKeyDisabled,
        "it is not enabled: it is gone",
    ),
    (GoogleKms, google_error(400, "INVALID_ARGUMENT", "odd"), KeyServiceDeclined, "it answered 400: odd"),
    (AzureVault, azure_error(401, "Unauthorized", "who?"), KeyServiceDenied, "it answered 401: who"),
    (AzureVault, azure_error(403, "Forbidden", "no", "ForbiddenByPolicy"), KeyServiceDenied, "it answered 403: no"),
    (AzureVault, azure_error(403, "Forbidden", "x", "KeyDisabled"), KeyServiceKeyDisabled, "it is not to be used: x"),
    (AzureVault, azure_error(403, "Forbidden", "x", "KeyExpired"), KeyServiceKeyDisabled, "it is not to be used: x"),
    (
        AzureVault,
        azure_error(403, "Forbidden", "x", "KeyNotYetValid"),
        KeyServiceKeyDisabled,
        "it is not to be used: x",
    ),
    (AzureVault, azure_error(403, "Forbidden", "on a disabled key"), KeyServiceKeyDisabled, "a disabled key"),
    (AzureVault, azure_error(404, "KeyNotFound", "none"), KeyNotInService, "has no key release version 0123abcd"),
    (AzureVault, azure_error(400, "BadParameter", "odd"), KeyServiceDeclined, "it answered 400: odd"),
    (Vault, json_reply(403, {"errors": ["permission denied"]}), KeyServiceDenied, "it answered 403: permission denied"),
    (Vault, json_reply(404, {"errors": []}), KeyNotInService, "has no key transit/release version 3"),
    (Vault, json_reply(400, {"errors": ["signing key not found"]}), KeyNotInService, "has no key"),
    (Vault, json_reply(400, {"errors": ["too old"]}), KeyServiceDeclined, "it answered 400: too old"),
    (Vault, json_reply(418, {}), KeyServiceDeclined, "it answered 418$"),
    (Vault, json_reply(307, {}, {"Location": "http://x.example/"}), KeyServiceDeclined, "name that address itself"),
]


@pytest.mark.parametrize(("kind", "answer", "error", "words"), REFUSALS)
def test_a_refusal_is_told_by_its_name_and_not_asked_again(  # noqa: PLR0917
    kind: type[KeyService], answer: bytes, error: type[KeysError], words: str, start: Start, waiting: Waiting
) -> None:
    service, keys = start(kind)
    for ask in (lambda: keys.find(service.uri, NOBODY, "root"), lambda: signer(keys, service).sign(b"x")):
        service.faults.append(answer)
        with pytest.raises(error, match=words) as caught:
            ask()
        assert type(caught.value) is error
        assert named(caught.value, service)
        assert not service.faults
    assert waiting.paused == []
    assert service.operations == []


BUSY: Final[list[tuple[type[KeyService], bytes, type[KeysError]]]] = [
    (AwsKms, aws_error("ThrottlingException", "slow down"), KeyServiceThrottled),
    (AwsKms, aws_error("KMSInternalException", "ouch", 500), KeyServiceUnreachable),
    (AwsKms, aws_error("Whatever", "ouch", 500), KeyServiceUnreachable),
    (AwsKms, aws_error("Whatever", "ouch", 503), KeyServiceUnreachable),
    (GoogleKms, google_error(429, "RESOURCE_EXHAUSTED", "slow down"), KeyServiceThrottled),
    (GoogleKms, google_error(503, "UNAVAILABLE", "ouch"), KeyServiceUnreachable),
    (AzureVault, azure_error(429, "Throttled", "slow down"), KeyServiceThrottled),
    (AzureVault, reply(502, b"<html>"), KeyServiceUnreachable),
    (Vault, json_reply(429, {"errors": ["slow down"]}), KeyServiceThrottled),
    (Vault, json_reply(503, {"errors": ["Vault is sealed"]}), KeyServiceUnreachable),
]


@pytest.mark.parametrize(("kind", "answer", "error"), BUSY)
def test_a_service_that_is_busy_is_asked_again_a_few_times(
    kind: type[KeyService], answer: bytes, error: type[KeysError], start: Start, waiting: Waiting
) -> None:
    service, keys = start(kind)
    service.faults += [answer] * 3
    found = keys.find(service.uri, NOBODY, "root")
    assert found.public == service.held.public_key()
    assert waiting.paused == [0.5, 1.0, 2.0]
    service.faults += [answer] * 9
    with pytest.raises(error) as caught:
        signer(keys, service).sign(b"x")
    assert type(caught.value) is error
    assert named(caught.value, service)
    assert len(service.faults) == 5, "four tries"


def test_it_is_not_asked_again_when_the_time_is_over(start: Start) -> None:
    waiting = Waiting(seconds=1.2)
    service, keys = start(Vault, patience=waiting.patience)
    service.faults += [json_reply(429, {})] * 9
    with pytest.raises(KeyServiceThrottled):
        keys.find(service.uri, NOBODY, "root")
    assert waiting.paused == [0.5]


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_does_not_answer_is_not_waited_for_for_ever(kind: type[KeyService], start: Start) -> None:
    service, keys = start(kind, patience=Patience(seconds=0.2))
    service.silent.set()
    for ask in (lambda: keys.find(service.uri, NOBODY, "root"), lambda: signer(keys, service).sign(b"x")):
        with pytest.raises(KeyServiceLate, match=r"it did not answer within 0\.2 seconds") as caught:
            ask()
        assert named(caught.value, service)


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_is_not_there(kind: type[KeyService], start: Start, waiting: Waiting) -> None:
    service, keys = start(kind)
    service.server.stop()
    with pytest.raises(KeyServiceUnreachable, match=r"it cannot be reached: (?!None)[A-Z\[]") as caught:
        keys.find(service.uri, NOBODY, "root")
    assert named(caught.value, service)
    assert len(waiting.paused) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", [json_reply(200, {}), json_reply(200, []), reply(200, b"<html>"), reply(200, b"")])
def test_an_answer_that_is_none(kind: type[KeyService], answer: bytes, start: Start) -> None:
    service, keys = start(kind)
    service.faults.append(answer)
    with pytest.raises((KeyServiceAnswerWrong, KeyServiceKeyUnfit)) as caught:
        keys.find(service.uri, NOBODY, "root")
    assert named(caught.value, service)
    service.faults.append(answer)
    with pytest.raises((KeyServiceAnswerWrong, SignatureNotVerified)):
        signer(keys, service).sign(b"x")


GOOGLE_FORM: Final = (
    "it is written gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N; the version is part of "
    "it, since each has a key of its own$"
)


def test_what_was_not_foreseen_is_raised_as_it_is(waiting: Waiting) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asking.asked(broken, waiting.patience, service="s", key="k")


@pytest.mark.parametrize(
    ("uri", "form"),
    [
        ("awskms:", "awskms:ARN"),
        ("awskms:a/b", "awskms:ARN"),
        ("awskms:%ff", "is not UTF-8"),
        ("gcpkms:%ff", "is not UTF-8"),
        ("azurekms://%ff", "is not UTF-8"),
        ("awskms://host/alias/x", "awskms:ARN"),
        ("awskms:arn:aws:s3:eu-central-1:111122223333:key/x", "awskms:ARN"),
        ("gcpkms:projects/p/locations/l/keyRings/r/cryptoKeys/k", GOOGLE_FORM),
        ("gcpkms:projects/p/locations/l/keyRings/../cryptoKeys/k/cryptoKeyVersions/1", "the version is part of it"),
        ("azurekms:company/keys/k", "azurekms://NAME.vault.azure.net"),
        ("azurekms://evil.example/keys/k", "azurekms://NAME.vault.azure.net"),
        ("azurekms://evil.example%2F.vault.azure.net/keys/k", "azurekms://NAME.vault.azure.net"),
        ("azurekms://x.vault.azure.net/secrets/k", "azurekms://NAME.vault.azure.net"),
        ("hv:", "hv:NAME/VERSION"),
        ("hv:a/b", "hv:NAME/VERSION"),
        ("hv:a/0", "hv:NAME/VERSION"),
        ("hv:../sys", "hv:NAME/VERSION"),
        ("hv:a?mount=../x", "hv:NAME/VERSION"),
        ("hv:a?token=1", "hv:NAME/VERSION"),
    ],
)
def test_a_uri_that_names_no_key_is_refused(uri: str, form: str) -> None:
    with pytest.raises(KeyUriMalformed, match=form) as caught:
        check_key_uri(uri)
    assert caught.value.uri == shown_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        AwsKms.uri,
        "awskms:///alias/release",
        "awskms:mrk-1234",
        "awskms:arn:aws-cn:kms:cn-north-1:111122223333:alias/a/b",
        GoogleKms.uri,
        GoogleKms.uri.replace(":", "://", 1),
        AzureVault.uri,
        f"azurekms://{AZURE_HOST}/keys/release",
        "azurekms://hsm1.managedhsm.usgovcloudapi.net/keys/release/1",
        "hv:release",
        "hv:release/12?mount=team/transit",
    ],
)
def test_a_uri_that_names_a_key(uri: str) -> None:
    check_key_uri(uri)
    assert is_key_uri(uri)


@pytest.mark.parametrize("keys", [AwsKeys(), GcpKeys(), AzureKeys(), VaultKeys()])
def test_keys_are_made_with_the_tools_of_the_service(keys: ServiceKeys) -> None:
    uri = {AwsKeys: AwsKms.uri, GcpKeys: GoogleKms.uri, AzureKeys: AzureVault.uri, VaultKeys: Vault.uri}[type(keys)]
    with pytest.raises(KeyUriMalformed, match=f"with {keys.made_with}, which says who may use them") as caught:
        keys.make(uri, Algorithm.ECDSA_P256, "a", NOBODY, "root")
    assert caught.value.uri == uri


@pytest.mark.parametrize(
    ("scheme", "library", "named"),
    [
        ("awskms", "botocore", "botocore"),
        ("gcpkms", "google", "google-auth"),
        ("azurekms", "azure", "azure-identity"),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    scheme: str, library: str, named: str, monkeypatch: pytest.MonkeyPatch, waiting: Waiting
) -> None:
    kind = next(each for each in KINDS if each.scheme == scheme)
    for name in [each for each in sys.modules if each.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    for name in (library, f"{library}.auth", f"{library}.core", f"{library}.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    keys: ServiceKeys = {AwsKms: AwsKeys, GoogleKms: GcpKeys, AzureVault: AzureKeys}[kind](waiting.patience)
    with pytest.raises(KeySupportMissing) as caught:
        keys.find(kind.uri, NOBODY, "root")
    assert caught.value.details() == {"scheme": scheme, "library": named, "extra": f"content-trust[{scheme}]"}
    private = keys.open(kind.uri, P256.public_key(), NOBODY, "root")
    with pytest.raises(KeySupportMissing):
        FileSigner(private, KeyInfo.of(private, purpose="root")).sign(b"x")


def test_nobody_pays_for_a_service_that_he_does_not_use() -> None:
    lean = "import keys.back_ends; keys.back_ends.leave_out_back_ends()"
    code = f"{lean}; import keys.signers, keys.filestore, keys.key_opening, sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.split())
    assert not {name for name in loaded if name.split(".")[0] in {"botocore", "google", "azure", "msal", "requests"}}
    assert not {name for name in loaded if name.startswith("keys.kms")}


def test_a_key_that_is_not_there_is_one_that_was_not_found() -> None:
    assert issubclass(KeyNotInService, KeyNotFound)
