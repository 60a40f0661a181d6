from __future__ import annotations

import ssl
from contextlib import nullcontext
from pathlib import Path

import pytest

from keys.errors import KeyFileExposed
from tests.support.certificates import Authority, make_authority
from tests.support.hostile_server import answering, reply
from tests.support.network_users import DIGEST, FILE
from tests.unit.cli_net.conftest import Serve, Users
from trustcli.config.tls_settings import HostTls
from trustcli.errors import ClientCertificateWanted, RemoteUnreachable, SettingsUnusable
from trustcli.http.messages import Origin, parse_url
from trustcli.http.tls import CertificateAuthorities, speaks_no_tls

ORIGIN = Origin(scheme="https", host="r.example", port=443)
PORT = Origin(scheme="https", host="r.example", port=5000)


def subjects(context: ssl.SSLContext) -> set[str]:
    return {str(dict(rdn[0] for rdn in c["subject"])["commonName"]) for c in context.get_ca_certs()}  # type: ignore[misc]


def test_the_context_checks_certificate_and_name() -> None:
    context = CertificateAuthorities({}).context_for(ORIGIN)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_ca_that_was_named_counts_alone(authority: Authority, tmp_path: Path) -> None:
    other = make_authority(tmp_path, "Other CA")
    environ = {"SSL_CERT_FILE": str(other.file)}
    authorities = CertificateAuthorities(environ, cacert=authority.file, cacert_source="TRUST_CACERT")
    assert subjects(authorities.context_for(ORIGIN)) == {"Test CA"}
    assert authorities.places(ORIGIN) == (f"TRUST_CACERT {authority.file}",)


def test_what_docker_believes_for_one_host_is_believed_beside_the_store(tmp_path: Path) -> None:
    notary, docker, store = (make_authority(tmp_path, f"{name} CA") for name in ("Notary", "Docker", "Store"))
    for folder, made in (
        (tmp_path / "docker/tls/r.example:5000", notary),
        (tmp_path / "certs.d/r.example:5000", docker),
    ):
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(made.file.read_bytes())
    environ = {"DOCKER_CONFIG": str(tmp_path / "docker"), "SSL_CERT_FILE": str(store.file)}
    authorities = CertificateAuthorities(environ, docker_certs=tmp_path / "certs.d")
    assert subjects(authorities.context_for(PORT)) == {"Notary CA", "Docker CA", "Store CA"}
    assert subjects(authorities.context_for(ORIGIN)) == {"Store CA"}
    assert len(authorities.places(PORT)) == 3
    assert len(authorities.places(ORIGIN)) == 5  # with and without :443


def test_the_folder_without_port_is_that_of_443(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "certs.d" / "r.example"
    folder.mkdir(parents=True)
    (folder / "any-name.crt").write_bytes(authority.file.read_bytes())
    environ = {"SSL_CERT_FILE": str(authority.file)}
    authorities = CertificateAuthorities(environ, docker_certs=tmp_path / "certs.d")
    assert any("r.example/*.crt" in place for place in authorities.places(ORIGIN))
    assert subjects(authorities.context_for(ORIGIN)) == {"Test CA"}


@pytest.mark.parametrize("base", ["docker/tls", "certs.d"])
@pytest.mark.parametrize("name", ["r.example", "r.example:443"])
def test_each_folder_of_a_host_has_cas_and_client_certificates(
    tmp_path: Path, authority: Authority, base: str, name: str
) -> None:
    folder = tmp_path / base / name
    folder.mkdir(parents=True)
    (folder / "any-name.crt").write_bytes(authority.file.read_bytes())
    authority.client_certificate(folder)
    environ = {"DOCKER_CONFIG": str(tmp_path / "docker"), "SSL_CERT_FILE": str(authority.file)}
    authorities = CertificateAuthorities(environ, docker_certs=tmp_path / "certs.d")
    assert subjects(authorities.context_for(ORIGIN)) == {"Test CA"}
    assert authorities.client_certificates(ORIGIN) == (str(folder / "client.cert"),)
    assert authorities.client_certificates(PORT) == ()


def test_what_the_settings_name_for_a_host_counts_before_folders_and_the_general_ca(
    tmp_path: Path, authority: Authority
) -> None:
    other = make_authority(tmp_path, "Other CA")
    folder = tmp_path / "certs.d" / "r.example"
    folder.mkdir(parents=True)
    authority.client_certificate(folder)
    cert, key = authority.client_certificate(tmp_path)
    by_host = {"r.example": HostTls(cacert=authority.file, cert=cert, key=key)}
    authorities = CertificateAuthorities(
        {}, cacert=other.file, by_host=by_host, docker_certs=tmp_path / "certs.d", cacert_source="cacert of trust.toml:"
    )
    assert subjects(authorities.context_for(ORIGIN)) == {"Test CA"}
    assert authorities.client_certificates(ORIGIN) == (str(cert),)
    assert subjects(authorities.context_for(PORT)) == {"Other CA"}
    assert authorities.places(PORT) == (f"cacert of trust.toml: {other.file}",)


def test_certificate_and_key_may_be_one_file(tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.client_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    both.chmod(0o600)
    CertificateAuthorities({}, by_host={"r.example": HostTls(cert=both)}).context_for(ORIGIN)
    both.chmod(0o644)
    with pytest.raises(KeyFileExposed, match=r"chmod 600 .*both\.pem"):
        CertificateAuthorities({}, by_host={"r.example": HostTls(cert=both)}).context_for(ORIGIN)


@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o640, False), (0o644, True), (0o620, True)])
def test_the_key_of_a_client_certificate_is_private(
    tmp_path: Path,
    authority: Authority,
    mode: int,
    refused: bool,  # noqa: FBT001
) -> None:
    folder = tmp_path / "r.example:5000"
    folder.mkdir()
    _, key = authority.client_certificate(folder)
    key.chmod(mode)
    authorities = CertificateAuthorities({}, docker_certs=tmp_path)
    with pytest.raises(KeyFileExposed) if refused else nullcontext():
        assert authorities.context_for(PORT).verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_is_none_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.crt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsUnusable, match=r"^TRUST_CACERT \S+ca\.crt cannot be used"):
        CertificateAuthorities({}, cacert=file, cacert_source="TRUST_CACERT").context_for(ORIGIN)


def test_a_client_certificate_without_its_key_is_named(tmp_path: Path, authority: Authority) -> None:
    folder = tmp_path / "r.example:5000"
    folder.mkdir()
    (folder / "client.cert").write_bytes(authority.file.read_bytes())
    with pytest.raises(SettingsUnusable, match=r"client\.cert.*client\.key"):
        CertificateAuthorities({}, docker_certs=tmp_path).context_for(PORT)


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_client_certificate_is_not_said_to_speak_no_tls(
    tmp_path: Path, authority: Authority, serve: Serve, user_of: Users, version: ssl.TLSVersion
) -> None:
    """In TLS 1.3 it says so after the handshake, and the connection may end before that has come."""
    context = authority.server_context(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    context.maximum_version = version
    server = serve(answering(reply(200, FILE)), tls=context)
    believing = CertificateAuthorities({}, cacert=authority.file)
    with pytest.raises(RemoteUnreachable, match=r"wants? a client certificate|asks for a client certificate") as caught:
        user_of(server, authorities=believing).get()
    assert (type(caught.value) is ClientCertificateWanted) is (version is ssl.TLSVersion.TLSv1_3)
    cert, key = authority.client_certificate(tmp_path)
    ours = {server.netloc: HostTls(cacert=authority.file, cert=cert, key=key)}
    assert user_of(server, authorities=CertificateAuthorities({}, by_host=ours)).get() == DIGEST


def test_which_failures_mean_no_tls() -> None:
    refused = ssl.SSLCertVerificationError()
    assert not speaks_no_tls(refused)
    assert speaks_no_tls(ssl.SSLEOFError())
    assert not speaks_no_tls(ssl.SSLError())


@pytest.mark.parametrize(
    ("address", "source", "told"),
    [
        ("http://r.example:5000", "--cacert", '--cacert ca.pem and [tls."r.example:5000"] of trust.toml cannot count'),
        ("http://r.example", "--cacert", "--cacert ca.pem cannot count for http://r.example: it is spoken to without"),
        ("http://r.example", "TRUST_CACERT", None),
        ("https://r.example:5000", "--cacert", None),
    ],
)
def test_settings_of_tls_that_cannot_count_are_told(address: str, source: str, told: str | None) -> None:
    """A variable or the general CA of trust.toml may be meant for other servers; an option is meant for this one."""
    authorities = CertificateAuthorities(
        {}, cacert=Path("ca.pem"), cacert_source=source, by_host={"r.example:5000": HostTls(cert=Path("c.pem"))}
    )
    origin, _ = parse_url(address, kind="trust server")
    idle = authorities.idle_for(origin)
    assert idle.startswith(told) if told else idle == ""
