"""Client certificates: whose they are, when they are believed, and what a request with one may do."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from keys.rfc3339 import to_rfc3339
from tests.support.certificates import FAR_AWAY, Authority, make_authority
from tests.support.client_certificates import TABLES, der, issued, revoking
from tests.support.server_owner import NOW
from tests.support.server_site import GUN_A, Site
from tests.unit.server.access_site import RuledSite, rules_text
from tests.unit.server.guarded_site import bearer
from trustdata.errors import TrustError
from trustserver.auth.authorizer import Action, Sender, Subject, SubjectKind
from trustserver.auth.client_certificates import ClientCertificates
from trustserver.errors import ClientCertificateRefused, StartRefused

STATE = f"/api/v1/collections/{GUN_A}"
CAROL = rules_text(("certificate:carol", "*", "allow", "pull")) + TABLES
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return make_authority(folder)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another authority with the same name."""
    return make_authority(tmp_path_factory.mktemp("stranger"))


class Clock:
    at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trusted(tmp_path: Path, authority: Authority) -> Path:
    file = tmp_path / "clients-ca.crt"
    file.write_bytes(authority.file.read_bytes())
    file.chmod(0o600)
    return file


# --- whether it is believed


class Unknown(x509.UnrecognizedExtension):
    def __init__(self) -> None:
        super().__init__(ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")


def usage(**others: bool) -> x509.KeyUsage:
    all_of = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    more = ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: others.get(name, False) for name in (*all_of, *more)})


IS_AUTHORITY = (x509.BasicConstraints(ca=True, path_length=None), True)
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"until": NOW - timedelta(seconds=1)}, "has expired on"),
    "not yet": ({"since": NOW + timedelta(seconds=1)}, "counts from"),
    "authority": (
        {"extensions": [IS_AUTHORITY]},
        "belongs to an authority",
    ),
    "server": ({"extensions": [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)]}, "not for clients"),
    "encrypts": ({"extensions": [(usage(key_encipherment=True), True)]}, "not for signatures"),
    "short hash": ({"hashed_with": hashes.SHA224()}, "is signed with sha224, which is not accepted"),
    "demanding": ({"extensions": [(Unknown(), True)]}, "demands what is not understood here (1.3.6.1.4.1.99999.1)"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_one_is_refused_with_the_reason(trusted: Path, authority: Authority, clock: Clock, case: str) -> None:
    how, said = BAD[case]
    with pytest.raises(ClientCertificateRefused, match=re.escape(said)) as refused:
        ClientCertificates(trusted, clock=clock).check(der(issued(authority, **how)))
    assert not refused.value.known


def test_good_ones_count_until_they_expire_and_those_of_others_never(
    trusted: Path, authority: Authority, stranger: Authority, clock: Clock
) -> None:
    judge = ClientCertificates(trusted, clock=clock)
    harmless = [
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), True),
        (usage(digital_signature=True), True),
        (Unknown(), False),
    ]
    good = der(issued(authority, until=NOW + DAY, extensions=harmless))
    assert judge.check(good) is judge.check(bytes(good))
    clock.at += DAY + timedelta(seconds=1)
    with pytest.raises(ClientCertificateRefused, match="has expired"):
        judge.check(good)
    for odd in (der(issued(stranger)), der(stranger.certificate)):
        with pytest.raises(ClientCertificateRefused, match="of no authority that is known here"):
            judge.check(odd)


def test_none_counts_longer_than_its_authority(trusted: Path, authority: Authority, clock: Clock) -> None:
    good = der(issued(authority, until=FAR_AWAY + 2 * DAY))
    judge = ClientCertificates(trusted, clock=clock)
    judge.check(good)
    clock.at = FAR_AWAY + DAY
    with pytest.raises(ClientCertificateRefused, match="authority whose own certificate does not count now"):
        judge.check(good)


def test_an_authority_may_renew_its_certificate_and_its_lists_go_on(
    trusted: Path, revoked: Path, authority: Authority, clock: Clock
) -> None:
    """Of one name with one key, the certificate that counts now is enough, in whichever order they stand."""
    name = authority.certificate.subject.rfc4514_string()
    old = issued(authority, name, extensions=[IS_AUTHORITY], until=NOW - DAY, key=authority.key)
    new = authority.certificate
    one, other = issued(authority), issued(authority)
    revoked.write_bytes(revoking(authority, other, since=NOW - DAY, until=NOW + DAY))
    for order in ((old, new), (new, old)):
        trusted.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in order))
        judge = ClientCertificates(trusted, revoked, clock=clock)
        assert judge.failures() == []
        judge.check(der(one))
        with pytest.raises(ClientCertificateRefused, match="was revoked"):
            judge.check(der(other))
    trusted.write_bytes(old.public_bytes(Encoding.PEM))
    with pytest.raises(ClientCertificateRefused, match="authority whose own certificate does not count now"):
        ClientCertificates(trusted, clock=clock).check(der(one))


def test_what_is_no_certificate_is_refused_and_nothing_worse(trusted: Path, authority: Authority, clock: Clock) -> None:
    judge = ClientCertificates(trusted, clock=clock)
    good = der(issued(authority, "CN=carol,O=Example", x509.DNSName("host.example.com")))
    for at in range(len(good)):  # each byte: parsers meet lengths, tags, dates and names that are none
        with pytest.raises(ClientCertificateRefused):
            judge.check(good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :])
    for odd in (b"", b"\x30\x80", good[:-1], good + b"\0"):
        with pytest.raises(ClientCertificateRefused):
            judge.check(odd)


# --- revoked ones


@pytest.fixture
def revoked(tmp_path: Path, authority: Authority) -> Path:
    file = tmp_path / "clients.crl"
    file.write_bytes(revoking(authority, since=NOW - DAY, until=NOW + DAY))
    return file


def test_a_revoked_one_is_refused_as_soon_as_the_list_says_so(
    trusted: Path, revoked: Path, authority: Authority, clock: Clock
) -> None:
    judge = ClientCertificates(trusted, revoked, clock=clock)
    one, other = issued(authority), issued(authority)
    judge.check(der(one))
    revoked.write_bytes(revoking(authority, one, since=NOW, until=NOW + 2 * DAY))
    judge.refresh()
    with pytest.raises(ClientCertificateRefused, match="was revoked"):
        judge.check(der(one))
    judge.check(der(other))
    assert judge.failures() == []


def test_an_older_list_brings_nobody_back(
    trusted: Path, revoked: Path, authority: Authority, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    judge = ClientCertificates(trusted, revoked, clock=clock)
    stolen, good = issued(authority), issued(authority)
    before = revoked.read_bytes()
    revoked.write_bytes(revoking(authority, stolen, since=NOW, until=NOW + 2 * DAY))
    judge.refresh()
    for between in (None, b"not a list"):
        if between is not None:
            revoked.write_bytes(between)
            judge.refresh()
        revoked.write_bytes(before)
        judge.refresh()
        assert judge.failures() == ["an older list of revoked client certificates does not count"]
        with pytest.raises(ClientCertificateRefused, match="was revoked"):
            judge.check(der(stolen))
        judge.check(der(good))
    reasons = [vars(record)["reason"] for record in caplog.records]
    assert f"{revoked} has an older list of CN=Test CA than the one that counts" in " ".join(reasons)
    revoked.write_bytes(revoking(authority, since=NOW + DAY, until=NOW + 3 * DAY))
    judge.refresh()
    assert judge.failures() == []
    judge.check(der(stolen))


def test_without_a_list_of_now_nobody_is_believed_and_the_operator_is_told(
    trusted: Path, revoked: Path, authority: Authority, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    judge, good = ClientCertificates(trusted, revoked, clock=clock), der(issued(authority))
    clock.at += DAY
    judge.refresh()
    judge.refresh()
    assert judge.failures() == ["client certificates are not believed: an authority has no list of now"]
    [logged] = caplog.records  # once, and not each second
    assert f"{revoked} has no list of now of CN=Test CA" in vars(logged)["reason"]
    with pytest.raises(ClientCertificateRefused, match="there is no present list"):
        judge.check(good)
    revoked.write_bytes(revoking(authority, since=clock.at, until=clock.at + DAY))
    judge.refresh()
    judge.check(good)
    for broken in (b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----"):
        revoked.write_bytes(broken)
        judge.refresh()
        assert judge.failures() == ["no client certificate is believed: the revoked ones cannot be read"]
        with pytest.raises(ClientCertificateRefused, match="the revoked ones cannot be read"):
            judge.check(good)
    revoked.unlink()
    judge.refresh()
    assert "is not there" in vars(caplog.records[-1])["reason"]


def test_of_two_authorities_with_one_name_each_needs_a_list(
    trusted: Path, revoked: Path, authority: Authority, stranger: Authority, clock: Clock
) -> None:
    trusted.write_bytes(stranger.file.read_bytes() + authority.file.read_bytes())
    judge = ClientCertificates(trusted, revoked, clock=clock)
    assert judge.failures() == ["client certificates are not believed: an authority has no list of now"]
    judge.check(der(issued(authority)))
    with pytest.raises(ClientCertificateRefused, match="there is no present list"):
        judge.check(der(issued(stranger)))


def test_lists_are_read_strictly(
    trusted: Path, revoked: Path, authority: Authority, stranger: Authority, clock: Clock
) -> None:
    span: dict[str, Any] = {"since": NOW - DAY, "until": NOW + DAY}
    for content, said in (
        (revoking(stranger, **span), "no authority of --tls-client-ca has signed"),
        (revoking(authority, **span) * 2, "has two lists of CN=Test CA"),
        (revoking(authority, **span, extensions=[(x509.DeltaCRLIndicator(1), True)]), "only some of the revoked"),
        (b"x", "has no list of revoked certificates in PEM"),
    ):
        revoked.write_bytes(content)
        with pytest.raises(StartRefused, match=said):
            ClientCertificates(trusted, revoked, clock=clock)


# --- who issues them


def test_authorities_are_read_again_and_broken_ones_change_nothing(
    trusted: Path, authority: Authority, stranger: Authority, clock: Clock
) -> None:
    judge, good = ClientCertificates(trusted, clock=clock), der(issued(authority))
    told: list[str] = []
    judge.on_change(told.append)
    judge.check(good)
    trusted.write_text("nothing")
    judge.refresh()
    judge.check(good)
    assert judge.failures() == ["who issues client certificates is older than its file"]
    trusted.write_bytes(stranger.file.read_bytes())
    judge.refresh()
    judge.refresh(unchanged_too=True)
    assert judge.failures() == []
    with pytest.raises(ClientCertificateRefused, match="of no authority"):
        judge.check(good)
    judge.check(der(issued(stranger)))
    assert told == [authority.file.read_text(), stranger.file.read_text()]


def test_authorities_are_read_strictly(trusted: Path, authority: Authority, clock: Clock) -> None:
    constrained = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example.com")], excluded_subtrees=None)
    for content, said in (
        (b"", "has no certificates in PEM"),
        (issued(authority).public_bytes(Encoding.PEM), "that does not belong to an authority"),
        (
            issued(authority, extensions=[(x509.BasicConstraints(ca=False, path_length=None), True)]).public_bytes(
                Encoding.PEM
            ),
            "is no certificate of an authority",
        ),
        (
            issued(authority, extensions=[IS_AUTHORITY, (constrained, True)]).public_bytes(Encoding.PEM),
            "name constraints",
        ),
    ):
        trusted.write_bytes(content)
        with pytest.raises(StartRefused, match=said):
            ClientCertificates(trusted, clock=clock)
    trusted.write_bytes(authority.file.read_bytes())
    trusted.chmod(0o666)
    with pytest.raises(StartRefused):
        ClientCertificates(trusted, clock=clock)


# --- requests


class CertifiedSite(RuledSite):
    """A site whose clients connect with the certificate that is `shown`."""

    def __init__(self, file: Path, text: str, judge: ClientCertificates, **others: Any) -> None:
        begun = Site()
        begun.begin()
        super().__init__(file, text, begun.store, certificates=judge, **others)


@pytest.fixture
def site(tmp_path: Path, trusted: Path, clock: Clock) -> CertifiedSite:
    judge = ClientCertificates(trusted, clock=clock)
    return CertifiedSite(tmp_path / "access.toml", CAROL, judge, registry=True)


def test_who_has_a_certificate_is_that_subject_in_both_formats(site: CertifiedSite, authority: Authority) -> None:
    assert site.get(STATE).status_code == 401
    site.shown = der(issued(authority, until=NOW + DAY))
    for _ in range(2):
        assert site.get(f"/tuf/{GUN_A}/metadata/timestamp.json").status_code == 200
    assert (site.get(STATE).status_code, site.get("/v2/").status_code) == (200, 200)
    refused = site.request("DELETE", STATE)
    assert (refused.status_code, refused.json()["subject"], refused.json()["right"]) == (
        403,
        "certificate:carol",
        "delete",
    )
    told = site.get("/api/v1/access/whoami").json()
    assert (told["subject"], told["authenticated"]) == ("certificate:carol", "certificate")
    assert told["expires"] == to_rfc3339(NOW + DAY)
    assert site.get("/api/v1/token").status_code == 404  # registry tokens come from elsewhere


def test_one_of_nobody_is_refused_by_its_subject_and_a_bad_one_by_its_fault(
    site: CertifiedSite, authority: Authority, stranger: Authority
) -> None:
    site.rule(rules_text(("*", "*", "allow", "pull"), ("user:mallory", "*", "deny", "pull")) + TABLES)
    assert site.get(STATE).status_code == 200
    site.shown = der(issued(authority, "CN=mallory"))
    refused = site.get(STATE)
    assert (refused.status_code, "www-authenticate" in refused.headers) == (403, False)
    assert "the client certificate of CN=mallory is no [[certificate]] of this server" in refused.json()["detail"]
    for bad in (der(issued(stranger)), der(issued(authority, until=NOW - DAY)), b"junk"):
        site.shown = bad
        for path in (STATE, f"/tuf/{GUN_A}/metadata/timestamp.json", "/v2/"):
            assert site.get(path).status_code == 401  # and not as if none had been shown


def test_a_header_counts_before_a_certificate(site: CertifiedSite, authority: Authority) -> None:
    site.shown = der(issued(authority))
    told = site.get("/api/v1/access/whoami", headers=bearer("pull", sub="bob")).json()
    assert told["subject"] == "registry-token:bob"
    assert site.get("/api/v1/access/whoami", headers={"Authorization": "Bearer x"}).status_code == 401


def test_it_is_judged_at_each_request_of_a_long_connection(
    site: CertifiedSite, authority: Authority, clock: Clock
) -> None:
    site.shown = der(issued(authority, until=NOW + DAY))
    assert site.get(STATE).status_code == 200
    site.rule(CAROL.replace('name = "carol"', 'name = "caroline"'))
    assert site.get(STATE).status_code == 403
    site.rule(CAROL)
    clock.at += 2 * DAY
    refused = site.get(STATE)
    assert refused.status_code == 401
    assert "the client certificate has expired on" in refused.json()["detail"]


def test_a_certificate_is_exchanged_for_no_session(
    tmp_path: Path, trusted: Path, clock: Clock, authority: Authority
) -> None:
    site = CertifiedSite(tmp_path / "access.toml", CAROL, ClientCertificates(trusted, clock=clock))
    site.shown = der(issued(authority))
    assert site.get(STATE).status_code == 200
    refused = site.get("/api/v1/token")
    assert refused.status_code == 401
    assert "certificate:carol has no session" in refused.json()["detail"]


def test_an_upload_of_somebody_who_is_nobody_by_now_is_not_stored(site: CertifiedSite, authority: Authority) -> None:
    carol = Subject(name="carol", kind=SubjectKind.CERTIFICATE, certificate=der(issued(authority)))
    site.rule(CAROL.replace("'pull'", "'pull', 'push'"))
    site.app.authorizer.check_change(carol, Action.PUBLISH, GUN_A)
    site.rule(CAROL.replace("'pull'", "'pull', 'push'").replace('name = "carol"', 'name = "other"'))
    with pytest.raises(TrustError, match="certificate:carol is nobody on this server any more"):
        site.app.authorizer.check_change(carol, Action.PUBLISH, GUN_A)


def test_a_list_that_arrives_in_the_middle_of_an_upload_counts_for_it(
    tmp_path: Path, trusted: Path, revoked: Path, authority: Authority, clock: Clock
) -> None:
    judge = ClientCertificates(trusted, revoked, clock=clock)
    site = CertifiedSite(tmp_path / "access.toml", CAROL.replace("'pull'", "'pull', 'push'"), judge, registry=True)
    one = issued(authority, until=NOW + 10 * DAY)
    sender = Sender(certificate=der(one))
    carol = asyncio.run(site.app.authorizer.authorize(sender, Action.PUBLISH, GUN_A))
    site.app.authorizer.check_change(carol, Action.PUBLISH, GUN_A)
    revoked.write_bytes(revoking(authority, one, since=NOW, until=NOW + 2 * DAY))
    judge.refresh()
    with pytest.raises(TrustError, match="the client certificate was revoked"):
        site.app.authorizer.check_change(carol, Action.PUBLISH, GUN_A)
    revoked.write_bytes(revoking(authority, since=NOW, until=NOW + 20 * DAY))
    judge.refresh()
    site.app.authorizer.check_change(carol, Action.PUBLISH, GUN_A)
    clock.at += 11 * DAY
    with pytest.raises(TrustError, match="the client certificate has expired"):
        site.app.authorizer.check_change(carol, Action.PUBLISH, GUN_A)


def test_files_that_could_not_be_looked_at_are_read_again(
    trusted: Path, authority: Authority, stranger: Authority, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = ClientCertificates(trusted, clock=clock)

    def broken(_: Path) -> list[x509.Certificate]:
        raise MemoryError

    trusted.write_bytes(stranger.file.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr("trustserver.auth.client_certificates._read_authorities", broken)
        for _ in range(2):
            with pytest.raises(MemoryError):
                judge.refresh()
    judge.refresh()
    with pytest.raises(ClientCertificateRefused, match="of no authority"):
        judge.check(der(issued(authority)))
