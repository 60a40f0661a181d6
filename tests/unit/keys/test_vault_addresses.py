"""Where Vault is, and who one is there: its own variables, the file of `vault login`, and the certificates for TLS."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keys.algorithms import generate
from keys.errors import KeysError
from keys.kms import vault
from keys.kms.errors import (
    KeyServiceAnswerWrong,
    KeyServiceDeclined,
    KeyServiceNoCredentials,
    KeyServiceUnreachable,
)
from keys.kms.vault import VaultKeys
from keys.passphrase import EnvironmentPassphrases
from tests.support.certificates import Authority, make_authority
from tests.support.hostile_server import json_reply
from tests.support.key_services import Vault, Waiting

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

NOBODY = EnvironmentPassphrases({}, None)
P256 = generate()
Start = Callable[..., Vault]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start Vault, and let its variables say so; with an authority, over TLS."""
    started: list[Vault] = []
    for name in ("NAMESPACE", "CACERT", "CAPATH", "CLIENT_CERT", "CLIENT_KEY"):
        monkeypatch.delenv(f"VAULT_{name}", raising=False)

    def begin(authority: Authority | None = None) -> Vault:
        service = Vault(P256, authority.server_context(tmp_path) if authority else None)
        started.append(service)
        for name, value in service.environ(tmp_path).items():
            monkeypatch.setenv(name, value)
        return service

    yield begin
    for service in started:
        service.stop()


def found() -> str:
    return VaultKeys(Waiting().patience).find(Vault.uri, NOBODY, "root").uri


def refused(kind: type[KeysError], words: str) -> KeysError:
    with pytest.raises(kind, match=words) as caught:
        found()
    assert type(caught.value) is kind
    key = VaultKeys().key(Vault.uri)
    assert caught.value.details() == {**caught.value.details(), "service": key.service, "key": key.name}
    return caught.value


# --- where it is


@pytest.mark.parametrize("path", ["", "/", "/X", "/team/X//"])
def test_the_address_may_have_a_path_and_space_around_it(
    path: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()
    monkeypatch.setenv("VAULT_ADDR", f" {service.server.url}{path}\n")
    service.faults.append(json_reply(200, {"data": service.data}))
    assert found() == Vault.uri
    (asked,) = service.server.requests
    assert asked.target == f"{path.rstrip('/')}/v1/transit/keys/release"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://v.example:1/a/b", "v.example:1"),
        ("https://a:opensesame@v.example/a", "v.example"),
        ("https://a:open@sesame@v.example", "v.example"),
        ("https://v.example\x1b", r"v.example\x1b"),
        ("v.example", "v.example"),
        ("", "127.0.0.1:8200"),
        (" ", "127.0.0.1:8200"),
    ],
)
def test_errors_name_the_host_alone(address: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", address)
    assert VaultKeys().key("hv:release").service == f"Vault at {host}"


@pytest.mark.parametrize(
    "address",
    [
        "http://vault.example:8200",
        "vault.example",
        "https://user:opensesame@vault.example",
        "https://:opensesame@vault.example",
        "https://[",
        "ftp://127.0.0.1",
        "https://x/?a=1",
    ],
)
def test_a_token_goes_nowhere_without_https(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", address)
    monkeypatch.setenv("VAULT_TOKEN", "x")
    error = refused(KeyServiceNoCredentials, "VAULT_ADDR is no address with https, which alone keeps the token secret")
    assert "opensesame" not in str(error)


def test_without_an_address_it_is_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    assert VaultKeys().key("hv:release").service == "Vault at 127.0.0.1:8200"


def test_vault_is_told_that_a_program_asks_and_in_which_namespace(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()
    assert found() == Vault.uri
    assert "x-vault-namespace" not in service.server.requests[-1].headers
    for namespace, sent in (("", None), (" ", None), (" team/a\n", "team/a"), ("é", "%C3%A9")):
        monkeypatch.setenv("VAULT_NAMESPACE", namespace)
        assert found() == Vault.uri
        headers = service.server.requests[-1].headers
        assert (headers["x-vault-request"], headers.get("x-vault-namespace")) == ("true", sent)


# --- who one is there


@pytest.mark.parametrize("token", ["hvs.t\xf6ken", "hvs\ttoken", "hvs\x7ftoken", " "])
def test_what_cannot_stand_in_a_header_is_no_token(token: str, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service = start()
    monkeypatch.setenv("VAULT_TOKEN", token)
    monkeypatch.setenv("HOME", "/nowhere")
    refused(
        KeyServiceNoCredentials, "there is no token, neither in VAULT_TOKEN nor in the file that vault login writes"
    )
    assert service.server.requests == []


def test_the_token_of_vault_login_is_found(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", "")
    refused(KeyServiceNoCredentials, "there is no token")
    file = tmp_path / ".vault-token"
    for bad in (b"", b"\xff", b"a\nb"):
        file.write_bytes(bad)
        refused(KeyServiceNoCredentials, "there is no token")
    file.write_text("hvs.token\n")
    assert found() == Vault.uri


def test_a_token_may_have_space_around_it(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start()
    monkeypatch.setenv("VAULT_TOKEN", " hvs.token\n")
    assert found() == Vault.uri


def test_the_file_of_a_token_is_not_read_for_ever(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start()
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(vault, "_MAX_TOKEN", len("hvs.token"))
    (tmp_path / ".vault-token").write_text("hvs.token" + "x" * 100)
    assert found() == Vault.uri


# --- by which certificate it is known


def test_vault_is_known_by_its_certificate(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(tmp_path)
    start(authority)
    refused(KeyServiceUnreachable, "certificate verify failed")
    monkeypatch.setenv("VAULT_CACERT", str(authority.file))
    assert found() == Vault.uri
    monkeypatch.setenv("VAULT_CLIENT_CERT", str(tmp_path / "none"))
    refused(KeyServiceNoCredentials, "VAULT_CLIENT_KEY cannot be used: .*No such file")


def test_an_authority_may_lie_in_a_folder(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As OpenSSL looks for it there: by the hash of its name."""
    authority = make_authority(tmp_path)
    start(authority)
    folder = tmp_path / "authorities"
    folder.mkdir()
    command = ["openssl", "x509", "-noout", "-hash", "-in", str(authority.file)]
    name = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    (folder / f"{name}.0").write_bytes(authority.file.read_bytes())
    monkeypatch.setenv("VAULT_CAPATH", str(folder))
    assert found() == Vault.uri


def test_a_certificate_and_its_key_may_lie_in_one_file(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    start(authority)
    monkeypatch.setenv("VAULT_CACERT", str(authority.file))
    certificate, key = authority.client_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    monkeypatch.setenv("VAULT_CLIENT_CERT", str(both))
    monkeypatch.setenv("VAULT_CLIENT_KEY", "")
    assert found() == Vault.uri
    monkeypatch.setenv("VAULT_CLIENT_CERT", str(certificate))
    reason = "VAULT_CACERT, VAULT_CAPATH, VAULT_CLIENT_CERT or VAULT_CLIENT_KEY cannot be used: .*[A-Z]"
    refused(KeyServiceNoCredentials, reason)
    monkeypatch.setenv("VAULT_CLIENT_KEY", str(key))
    assert found() == Vault.uri


def test_over_http_certificates_are_not_looked_at(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start()
    monkeypatch.setenv("VAULT_CACERT", "/nowhere")
    assert found() == Vault.uri


# --- what it answers


@pytest.mark.parametrize("public", ["-----\ud800", "\ud800", "AA==AAAA", "!" + "A" * 43 + "="])
def test_a_public_key_may_be_no_text_at_all(public: str, start: Start) -> None:
    service = start()
    service.faults.append(json_reply(200, {"data": service.data | {"keys": {"3": {"public_key": public}}}}))
    refused(KeyServiceAnswerWrong, "the public key in its answer cannot be read")


@pytest.mark.parametrize("answer", [{}, {"data": []}, {"data": None}, []])
def test_an_answer_without_data(answer: object, start: Start) -> None:
    service = start()
    service.faults.append(json_reply(200, answer))
    refused(KeyServiceAnswerWrong, "its answer has no data")


@pytest.mark.parametrize(
    ("errors", "reason"),
    [(["a", 2], "it answered 400: a; 2$"), ([], "it answered 400$"), ("odd", "it answered 400$")],
)
def test_all_that_vault_says_of_a_refusal(errors: object, reason: str, start: Start) -> None:
    service = start()
    service.faults.append(json_reply(400, {"errors": errors}))
    refused(KeyServiceDeclined, reason)
