"""What a proxy says of its client's certificate: from whom it is believed, and what smuggling gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.certificates import make_authority
from tests.support.client_certificates import der, issued
from tests.support.server_owner import NOW
from trustserver.auth.client_certificates import ClientCertificates
from trustserver.auth.opening import proxy_check
from trustserver.errors import StartRefused
from trustserver.process.proxy_certificate import SHORTEST_SECRET, ProxyCertificate, read_secret
from trustserver.process.tls import CERTIFICATE
from trustserver.server.clients import CertificateOfProxy
from trustserver.settings import Settings

NAME = b"x-client-certificate"
SECRET = b"s" * SHORTEST_SECRET
GOOD = (b"x-trust-proxy-secret", SECRET)
_PROXYS_OWN = b"the certificate of the proxy itself"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return issued(make_authority(tmp_path_factory.mktemp("ca")))


@pytest.fixture
def shown(certificate: Any) -> tuple[bytes, bytes]:
    return NAME, quote(certificate.public_bytes(Encoding.PEM)).encode()


def answered(
    *headers: tuple[bytes, bytes],
    secret: bytes | None = SECRET,
    shows: Callable[[bytes], bool] | None = None,
    own: bytes | None = _PROXYS_OWN,
) -> Any:
    """What reaches the application; or what the answer says."""
    reached: list[Any] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "headers": [(b"host", b"x"), *headers]}
    if own is not None:
        scope[CERTIFICATE] = own
    reader = ProxyCertificate("X-Client-Certificate", secret, shows=shows)
    asyncio.run(CertificateOfProxy(app, reader)(scope, None, send))
    if reached:
        assert reached[0]["headers"] == [(b"host", b"x")]  # no secret goes on to logs
        return reached[0].get(CERTIFICATE)
    assert sent[0]["status"] == 400
    return json.loads(sent[1]["body"])["detail"]


def test_the_proxy_is_who_has_the_secret_or_the_socket(certificate: Any, shown: tuple[bytes, bytes]) -> None:
    assert answered(shown, GOOD) == der(certificate)
    assert answered(shown, secret=None) == der(certificate)
    for none in ((GOOD,), ((NAME, b""), GOOD)):
        assert answered(*none) is None  # the proxy's own certificate is not its client's
    assert answered() == _PROXYS_OWN  # not from the proxy: whoever connects is the client


def test_what_a_client_writes_is_refused(shown: tuple[bytes, bytes]) -> None:
    name, value = shown
    by_client = "is for the proxy to write"
    twice = "is there twice or with _"
    for headers, said in (
        ((shown,), by_client),
        (((name, b""),), by_client),
        ((shown, (GOOD[0], b"guess")), by_client),
        ((shown, (GOOD[0], SECRET[:-1])), by_client),
        (((GOOD[0], b"\xff"),), by_client),
        ((shown, shown, GOOD), twice),
        ((shown, GOOD, GOOD), twice),
        (((name, b""), shown, GOOD), twice),
        (((b"X_Client-Certificate", value), GOOD), twice),
        (((b"x_client_certificate", value), shown, GOOD), twice),
        ((shown, GOOD, (b"x_trust_proxy_secret", SECRET)), twice),
    ):
        assert said in answered(*headers), headers


@pytest.mark.parametrize(
    "value",
    [
        b"x",
        b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\n\x80\n-----END CERTIFICATE-----",
        b"A" * 40_000,
    ],
)
def test_what_is_no_certificate_is_refused(value: bytes) -> None:
    assert answered((NAME, value), GOOD).startswith("X-Client-Certificate: ")


def test_the_proxy_may_be_who_shows_its_certificate(certificate: Any, shown: tuple[bytes, bytes]) -> None:
    def of_proxy(found: bytes) -> bool:
        return found == _PROXYS_OWN

    def nobody(_: bytes) -> bool:
        return False

    assert answered(shown, secret=None, shows=of_proxy) == der(certificate)
    assert answered(secret=None, shows=of_proxy) is None  # of a client that has shown none
    assert answered(secret=None, shows=nobody) == _PROXYS_OWN
    said = "is for the proxy to write, which shows its own certificate"
    assert said in answered(shown, secret=None, shows=nobody)
    assert said in answered(shown, secret=None, shows=of_proxy, own=None)
    assert answered(shown, GOOD, shows=of_proxy) == der(certificate)
    for headers, shows in (((shown, GOOD), nobody), ((shown,), of_proxy)):
        assert "beside its secret" in answered(*headers, shows=shows), "both must be right"


def test_the_certificate_of_the_proxy_is_asked_for_exactly(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    (tmp_path / "ca.crt").write_bytes(authority.file.read_bytes())
    (tmp_path / "ca.crt").chmod(0o600)
    judge = ClientCertificates(tmp_path / "ca.crt", clock=lambda: NOW)
    edge = der(issued(authority, "CN=edge", x509.DNSName("edge.example.com")))
    others = [
        der(issued(authority, "CN=edge2", x509.DNSName("EDGE.example.com"))),
        der(issued(authority, "CN=edge,O=Other", x509.DNSName("edge.example.com"), x509.DNSName("b.example.com"))),
        der(issued(authority, "CN=edge", x509.DNSName("edge.example.com"), until=NOW - timedelta(days=1))),
        b"junk",
    ]
    for words in ("CN=edge", "DNS:edge.example.com"):
        check = proxy_check(Settings(proxy_certificate=words), judge)
        assert check is not None
        assert [check(each) for each in (edge, *others)] == [True, False, False, False, False]
    assert proxy_check(Settings(), judge) is None
    for odd in ("edge", "DNS:", "DNS:a b", "URI:\xe9"):
        with pytest.raises(StartRefused, match=r"--proxy-certificate.*; or DNS:NAME, URI:NAME or EMAIL:NAME"):
            proxy_check(Settings(proxy_certificate=odd), judge)


def test_two_certificates_are_none(shown: tuple[bytes, bytes]) -> None:
    assert "must be one certificate" in answered((NAME, shown[1] * 2), GOOD)


def test_the_secret_is_long_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_bytes(SECRET + b"\n")
    assert read_secret(file) == SECRET
    for odd in (b"", SECRET[:-1], SECRET + b" x", SECRET * 40, b"\xff" * 40):
        file.write_bytes(odd)
        with pytest.raises(StartRefused, match="must be one word of 32"):
            read_secret(file)
    file.chmod(0o644)
    with pytest.raises(StartRefused, match="may be read"):
        read_secret(file)
    with pytest.raises(StartRefused, match="cannot be read"):
        read_secret(tmp_path / "absent")
