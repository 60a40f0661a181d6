"""Who may post reviews: who shows a certificate that counts now; everybody else, and everything else, is as before."""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.admission import answered, pod, review, sent
from tests.support.certificates import Authority, make_authority
from tests.support.served_door import SECONDS, serving
from tests.support.server_owner import NOW
from trustcli.errors import SettingsUnusable
from trustcli.hooks.kubernetes.callers import Callers
from trustcli.hooks.kubernetes.certificates import ServedCertificate
from trustcli.hooks.kubernetes.measures import Measures
from trustcli.hooks.kubernetes.time_limit import LimitedTime
from trustcli.hooks.kubernetes.webhook import AdmissionWebhook
from trustcli.hooks.serving.messages import Body, Request, Response, ShownCertificate
from trustcli.hooks.serving.operator_pages import OperatorPages
from trustcli.hooks.serving.server import Server

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

REVIEW = sent(review(None, operation="DELETE", old=pod("app:1")))
"""One that is allowed without a decision."""


def asked(certificate: ShownCertificate | None) -> Request:
    def source(*, bounded: bool) -> Iterator[bytes]:
        raise AssertionError(bounded)

    return Request(
        method="POST",
        target="/validate",
        headers=(),
        body=Body(source, length=1),
        secured=True,
        certificate=certificate,
    )


def test_a_certificate_counts_while_its_issuer_and_its_time_do() -> None:
    authorities, now = b"a", 100.0
    callers = Callers(lambda: authorities, now=lambda: now)
    shown = ShownCertificate(authorities=b"a", expires=101.0)
    assert callers.refusal(asked(shown)) is None
    now = 101.0
    run_out = callers.refusal(asked(shown))
    now, authorities = 100.0, b"b"
    of_before = callers.refusal(asked(shown))
    for response in (run_out, of_before):
        assert isinstance(response, Response)
        assert (response.status, response.close) == (503, True)
        assert (b"retry-after", b"1") in response.headers
    nothing = callers.refusal(asked(None))
    assert isinstance(nothing, Response)
    assert (nothing.status, nothing.close) == (403, True)


class Site:
    """A webhook behind TLS that asks for certificates of `authority`; `other` issues some, too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = make_authority(folder, "Clients")
        self.other = make_authority(folder, "Others")
        self.ca = folder / "client-ca.crt"
        self.believe(self.authority)
        server = make_authority(folder, "Server")
        self.server_ca = server.file
        server.server_context(folder)
        (pem,) = folder.glob("server-*.pem")
        self.tls = ServedCertificate(pem, pem, at=lambda: NOW, client_ca=self.ca)
        self.measures = Measures()
        self.now = 0.0
        pages = OperatorPages(why_not_ready=lambda: "", metrics=self.measures.text)
        callers = Callers(self.tls.authorities, now=lambda: self.now)
        self.deciding = LimitedTime({})
        self.webhook = AdmissionWebhook(self.deciding, pages=pages, measures=self.measures, callers=callers)

    def believe(self, *authorities: Authority) -> None:
        written = self.folder / "new.crt"
        written.write_bytes(b"".join(each.file.read_bytes() for each in authorities))
        written.replace(self.ca)

    def context(self, by: Authority | None) -> ssl.SSLContext:
        """What a client believes and shows."""
        context = ssl.create_default_context(cafile=str(self.server_ca))
        if by is not None:
            context.load_cert_chain(*by.client_certificate(self.folder, f"client {by.file.stem}"))
        return context

    def connection(self, server: Server, by: Authority | None) -> http.client.HTTPSConnection:
        host, port = server.address
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=self.context(by))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.deciding.close()


def ask(connection: http.client.HTTPSConnection, path: str = "/validate") -> tuple[int, bytes]:
    connection.request("POST" if path in {"/validate", "/mutate"} else "GET", path, body=REVIEW)
    answer = connection.getresponse()
    return answer.status, answer.read()


def once(site: Site, server: Server, by: Authority | None, path: str = "/validate") -> tuple[int, bytes]:
    with contextlib.closing(site.connection(server, by)) as connection:
        return ask(connection, path)


def test_without_one_there_are_only_the_pages_of_the_operator(site: Site) -> None:
    with serving(site.webhook, tls=site.tls) as server:
        for path in ("/validate", "/mutate"):
            status, said = once(site, server, None, path)
            assert (status, b"show a certificate" in said) == (403, True)
            assert answered(once(site, server, site.authority, path)[1])["allowed"] is True
        for path in ("/healthz", "/readyz", "/metrics"):
            assert once(site, server, None, path)[0] == 200
    assert b"trust_admission_strangers_total 2.0" in site.measures.text()


def test_one_of_another_authority_is_refused_in_the_handshake(site: Site) -> None:
    with serving(site.webhook, tls=site.tls) as server:
        for path in ("/validate", "/healthz"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                once(site, server, site.other, path)
        assert once(site, server, site.authority)[0] == 200


def test_whose_issuer_is_taken_away_connects_anew_and_is_refused(site: Site) -> None:
    with serving(site.webhook, tls=site.tls) as server:
        with contextlib.closing(site.connection(server, site.authority)) as connection:
            assert ask(connection)[0] == 200
            site.believe(site.other)
            assert ask(connection)[0] == 503
        with pytest.raises((ssl.SSLError, ConnectionError)):
            once(site, server, site.authority)
        assert once(site, server, site.other)[0] == 200
        site.believe(site.authority, site.other)
        assert {once(site, server, by)[0] for by in (site.authority, site.other)} == {200}


def test_one_that_runs_out_does_not_live_as_long_as_its_connection(site: Site) -> None:
    with (
        serving(site.webhook, tls=site.tls) as server,
        contextlib.closing(site.connection(server, site.authority)) as connection,
    ):
        assert ask(connection)[0] == 200
        site.now = 1e12
        assert ask(connection)[0] == 503


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_that_is_resumed_counts_for_as_long_as_its_issuer(site: Site, version: ssl.TLSVersion) -> None:
    with serving(site.webhook, tls=site.tls) as server:
        context = site.context(site.authority)
        context.minimum_version = context.maximum_version = version
        host, port = server.address

        def asked_in(session: ssl.SSLSession | None) -> tuple[int, ssl.SSLSession | None]:
            with contextlib.closing(http.client.HTTPConnection(host, port, timeout=SECONDS)) as connection:
                connection.connect()
                wrapped = context.wrap_socket(connection.sock, server_hostname=host, session=session)
                connection.sock = wrapped
                connection.request("POST", "/validate", body=REVIEW)
                return connection.getresponse().status, wrapped.session

        status, session = asked_in(None)
        assert (status, asked_in(session)[0]) == (200, 200)
        site.believe(site.other)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            asked_in(session)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"", "no certificates"), (b"text", "no certificates"), (b"x" * 1_048_577, "larger")],
)
def test_a_file_that_holds_no_authorities_ends_the_start(site: Site, content: bytes | None, said: str) -> None:
    if content is None:
        site.ca.unlink()
    else:
        site.ca.write_bytes(content)
    (pem,) = site.folder.glob("server-*.pem")
    with pytest.raises(SettingsUnusable, match=said) as refused:
        ServedCertificate(pem, pem, at=lambda: NOW, client_ca=site.ca)
    assert refused.value.place == str(site.ca)


def test_a_file_that_is_broken_later_changes_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    before = site.tls.authorities()
    assert before
    site.ca.write_bytes(b"")
    assert site.tls.authorities() == before
    assert "the certificate of before serves on" in caplog.text


def test_without_the_option_nobody_is_asked(site: Site) -> None:
    (pem,) = site.folder.glob("server-*.pem")
    shown: list[Any] = []

    def handler(request: Request) -> Response:
        shown.append(request.certificate)
        return Response(status=200)

    plain: Callable[[], ssl.SSLContext] = ServedCertificate(pem, pem, at=lambda: NOW)
    with serving(handler, tls=plain) as server:
        for by in (None, site.other):
            assert once(site, server, by)[0] == 200
    assert shown == [None, None]
