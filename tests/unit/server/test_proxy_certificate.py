"""What a proxy says of its client's certificate: from whom it is believed, and what smuggling gets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.certificates import make_authority
from tests.support.client_certificates import der, issued
from trustserver.errors import StartRefused
from trustserver.process.proxy_certificate import SHORTEST_SECRET, ProxyCertificate, read_secret
from trustserver.process.tls import CERTIFICATE
from trustserver.server.clients import CertificateOfProxy

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


def answered(*headers: tuple[bytes, bytes], secret: bytes | None = SECRET) -> Any:
    """What reaches the application; or what the answer says."""
    reached: list[Any] = []
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", b"x"), *headers], CERTIFICATE: _PROXYS_OWN}
    reader = ProxyCertificate("X-Client-Certificate", secret)
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
