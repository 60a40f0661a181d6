"""Clients with certificates at a running server: on old connections, with resumed sessions, and while files change."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from cryptography import x509

from tests.support.certificates import FAR_AWAY, LONG_AGO, Authority, make_authority
from tests.support.client_certificates import revoking
from tests.support.programs import RunningProgram
from tests.support.proxies import nginx_of_the_docs, start_nginx
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

FILE = "/tuf/registry.example.com/team/app/metadata/timestamp.json"
RULES = """
version = 1

[[certificate]]
name = "carol"
subject = "CN=carol"

[[rule]]
subjects = ["certificate:carol"]
names = ["*"]
allow = ["pull"]
"""
MAY_READ = 404
"""There is nothing to be read."""
ENOUGH = 50_000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def revoked(tmp_path: Path, authority: Authority) -> Path:
    file = tmp_path / "clients.crl"
    file.write_bytes(revoking(authority, since=LONG_AGO, until=FAR_AWAY))
    return file


@pytest.fixture
def server(tmp_path: Path, authority: Authority, revoked: Path) -> Iterator[ServerProcess]:
    rules = tmp_path / "access.toml"
    rules.write_text(RULES)
    rules.chmod(0o600)
    trusted = tmp_path / "clients-ca.crt"
    trusted.write_bytes(authority.file.read_bytes())
    trusted.chmod(0o600)
    made = ServerProcess(tmp_path / "data")
    files = ("--tls-client-ca", str(trusted), "--tls-client-crl", str(revoked))
    try:
        made.start("--self-signed", "--access", str(rules), *files)
        yield made
    finally:
        made.kill()


class Connection:
    """A connection over TLS, which lasts. `session`: is resumed."""

    def __init__(self, server: ServerProcess, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> None:
        place = urlsplit(server.url)
        assert place.hostname is not None
        self._http = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
        self._http.connect()
        self._tls = context.wrap_socket(self._http.sock, server_hostname=place.hostname, session=session)
        self._http.sock = self._tls

    @property
    def session(self) -> ssl.SSLSession | None:
        return self._tls.session

    @property
    def was_resumed(self) -> bool:
        return bool(self._tls.session_reused)

    def status(self) -> int:
        self._http.request("GET", FILE)
        with self._http.getresponse() as answer:
            answer.read()
            return answer.status

    def close(self) -> None:
        self._http.close()


def context_with(
    server: ServerProcess, shown: tuple[Path, Path] | None, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.ca)
    context.minimum_version = context.maximum_version = version
    if shown is not None:
        context.load_cert_chain(*shown)
    return context


def until(found: Callable[[], bool]) -> bool:
    """Whether something becomes so while it is asked again and again, which takes longer than the server needs."""
    return any(found() for _ in range(ENOUGH))


def test_who_shows_which_certificate_is_let_in_or_told_why_not(
    server: ServerProcess, authority: Authority, tmp_path: Path
) -> None:
    with contextlib.closing(
        Connection(server, context_with(server, authority.client_certificate(tmp_path, "carol")))
    ) as carol:
        assert [carol.status(), carol.status()] == [MAY_READ, MAY_READ]
    for shown, status in ((authority.client_certificate(tmp_path, "mallory"), 403), (None, 401)):
        with contextlib.closing(Connection(server, context_with(server, shown))) as client:
            assert client.status() == status
    stranger = make_authority(tmp_path, "Other CA").client_certificate(tmp_path, "carol")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        told = pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca")  # with TLS 1.3 a client is told later
        with told, contextlib.closing(Connection(server, context_with(server, stranger, version))) as client:
            client.status()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_revoked_one_is_refused_on_its_connection_and_on_a_resumed_session(
    server: ServerProcess, authority: Authority, revoked: Path, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    shown = authority.client_certificate(tmp_path, "carol")
    context = context_with(server, shown, version)
    first = Connection(server, context)
    assert first.status() == MAY_READ
    session = first.session
    with contextlib.closing(Connection(server, context, session)) as resumed:
        assert (resumed.status(), resumed.was_resumed) == (MAY_READ, True)
    carol = x509.load_pem_x509_certificate(shown[0].read_bytes())
    revoked.write_bytes(revoking(authority, carol, since=LONG_AGO, until=FAR_AWAY))
    server.signal(signal.SIGHUP)
    assert until(lambda: first.status() == 401)
    with contextlib.closing(Connection(server, context, session)) as resumed:
        assert resumed.status() == 401
    first.close()
    revoked.write_bytes(b"nothing")
    server.signal(signal.SIGHUP)
    assert until(lambda: b"no client certificate is believed" in server.get("/readyz")[1])


# --- behind a proxy that ends TLS

SECRET = "0123456789abcdef" * 4


@pytest.fixture(params=["secret", "certificate"])
def proxied(
    request: pytest.FixtureRequest, tmp_path: Path, authority: Authority
) -> Iterator[tuple[ServerProcess, RunningProgram]]:
    """A server that takes the word of nginx, as in nginx-client-certificates.conf, and that nginx.

    nginx shows that it is the proxy by the secret, or over TLS by a certificate of its own.
    """
    files = {"access.toml": RULES.encode(), "clients-ca.crt": authority.file.read_bytes(), "secret": SECRET.encode()}
    for name, content in files.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(content)
    server = ServerProcess(tmp_path / "data")
    options = {
        "--access": tmp_path / "access.toml",
        "--tls-client-ca": tmp_path / "clients-ca.crt",
        "--certificate-header": "X-Client-Certificate",
        "--trusted-proxy": "127.0.0.1",
    }
    by_certificate = request.param == "certificate"
    if by_certificate:
        options |= {"--proxy-certificate": "CN=edge"}
    else:
        options |= {"--proxy-secret": tmp_path / "secret"}
    try:
        tls = ["--self-signed"] if by_certificate else []
        server.start(*(str(word) for option in options.items() for word in option), *tls)
        authority.server_context(tmp_path)
        text = nginx_of_the_docs(
            "nginx-client-certificates.conf",
            upstream=urlsplit(server.url).netloc,
            certificate=next(tmp_path.glob("server-*.pem")),
            folder=tmp_path / "nginx",
            clients=authority.file,
        )
        text = text.replace("replace-this-by-the-secret-of-the-server", SECRET)
        if by_certificate:
            certificate, key = authority.client_certificate(tmp_path, "edge")
            shows = f"proxy_ssl_certificate {certificate}; proxy_ssl_certificate_key {key};"
            asks = f"proxy_ssl_verify on; proxy_ssl_name localhost; proxy_ssl_trusted_certificate {server.ca};"
            text = text.replace("proxy_pass http://trust-server;", f"{shows} {asks} proxy_pass https://trust-server;")
            text = re.sub("proxy_set_header X-Trust-Proxy-Secret .*", "", text)
        with start_nginx(tmp_path / "nginx" / "run", text) as nginx:
            yield server, nginx
    finally:
        server.kill()


def test_nginx_says_who_its_client_is_and_the_client_cannot(
    proxied: tuple[ServerProcess, RunningProgram], authority: Authority, tmp_path: Path
) -> None:
    server, nginx = proxied
    other = quote(authority.client_certificate(tmp_path, "mallory")[0].read_text())
    carol = ssl.create_default_context(cafile=str(authority.file))
    carol.load_cert_chain(*authority.client_certificate(tmp_path, "carol"))

    def subject(headers: Sequence[tuple[str, str]]) -> str:
        with contextlib.closing(http.client.HTTPSConnection(nginx.netloc, timeout=60, context=carol)) as client:
            client.putrequest("GET", "/api/v1/access/whoami")
            for name, value in headers:
                client.putheader(name, value)
            client.endheaders()
            with client.getresponse() as answer:
                return str(json.loads(answer.read())["subject"])

    for smuggled in (
        [],
        [("X-Client-Certificate", other)],
        [("X-Client-Certificate", other), ("X-Client-Certificate", "")],
        [("x-client-certificate", "")],
        [("X_Client_Certificate", other), ("X_Trust_Proxy_Secret", SECRET)],
        [("X-Trust-Proxy-Secret", "guess")],
    ):
        assert subject(smuggled) == "certificate:carol", smuggled
    around = urllib.request.Request(f"{server.url}/api/v1/access/whoami", headers={"X-Client-Certificate": other})
    direct = ssl.create_default_context(cafile=server.ca) if server.ca else None
    if direct is not None:
        direct.load_cert_chain(*authority.client_certificate(tmp_path, "mallory"))  # good, and not the proxy's
    with pytest.raises(urllib.error.HTTPError, match="400") as refused:
        urllib.request.urlopen(around, timeout=60, context=direct)
    refused.value.close()
