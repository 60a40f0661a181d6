"""Whose a client certificate is, by what stands in it."""

from __future__ import annotations

import re

import pytest
from cryptography import x509

from tests.support.certificates import Authority, make_authority
from tests.support.client_certificates import TABLES, issued
from tests.unit.server.access_site import rules_text
from trustserver.auth.certificates import Certificates
from trustserver.auth.rules import parse_rules
from trustserver.errors import ClientCertificateRefused, StartRefused


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


def certificates(tables: str = TABLES) -> Certificates:
    return parse_rules("version = 1\n" + tables, path="access.toml").certificates


URI = x509.UniformResourceIdentifier
FITTING = [
    ("CN=carol,O=Example", [], "carol"),
    ("CN=x", [URI("spiffe://example.com/builder")], "builder"),
    ("CN=x", [x509.DNSName("host.example.com"), URI("spiffe://example.com/other")], "host"),
    ("CN=x", [x509.RFC822Name("carol@example.com")], "mail"),
]


@pytest.mark.parametrize(("subject", "names", "whose"), FITTING)
def test_what_stands_in_it_says_whose_it_is(
    authority: Authority, subject: str, names: list[x509.GeneralName], whose: str
) -> None:
    assert certificates().of(issued(authority, subject, *names)) == whose


NOBODYS: dict[str, tuple[str, list[x509.GeneralName]]] = {
    "other order": ("O=Example,CN=carol", []),
    "more": ("CN=carol,OU=x,O=Example", []),
    "other case": ("CN=Carol,O=Example", []),
    "blank": ("CN=carol\\ ,O=Example", []),
    "part": ("CN=carol", []),
    "another uri": ("CN=x", [URI("spiffe://example.com/builder/x")]),
    "several uris": ("CN=x", [URI("spiffe://example.com/builder"), URI("spiffe://example.com/other")]),
    "nul": ("CN=x", [x509.DNSName("host.example.com\0.evil.example.com")]),
    "case of a host": ("CN=x", [x509.DNSName("HOST.example.com")]),
    "of another kind": ("CN=x", [x509.DNSName("spiffe://example.com/builder"), x509.RFC822Name("host.example.com")]),
    "wildcard": ("CN=x", [x509.DNSName("*.example.com")]),
    "name in the subject": ("CN=host.example.com", []),
    "empty": ("", [x509.DNSName("")]),
}


@pytest.mark.parametrize("case", NOBODYS)
def test_what_is_not_the_same_is_nobody_s(authority: Authority, case: str) -> None:
    subject, names = NOBODYS[case]
    with pytest.raises(ClientCertificateRefused, match=r"is no \[\[certificate\]\] of this server") as refused:
        certificates().of(issued(authority, subject, *names))
    assert refused.value.known


def test_one_that_fits_two_is_neither_s(authority: Authority) -> None:
    both = issued(authority, "CN=carol,O=Example", x509.DNSName("host.example.com"))
    with pytest.raises(ClientCertificateRefused, match="fits carol and host, and can be that of one alone"):
        certificates().of(both)


MISTAKES = {
    "": "needs name, a text",
    'name = "a"': "needs either subject or san",
    'name = "a"\nsubject = "CN=a"\nsan = "DNS:a"': "needs either subject or san",
    'name = "a"\nsubject = 1': "needs subject, a text",
    'name = "a"\nsubject = "/CN=a"': "needs subject as RFC 4514 writes it",
    'name = "a"\nsubject = "CN=a, O=b"': "needs subject as RFC 4514 writes it",
    'name = "a"\nsubject = "CN=a\\\\2Cb"': r"write it as CN=a\,b",
    'name = "a"\nsan = "IP:127.0.0.1"': "needs san: URI:, DNS: or EMAIL:",
    'name = "a"\nsan = "DNS:"': "needs san: URI:, DNS: or EMAIL:",
    'name = "a"\nsan = "DNS:a b"': "needs san: URI:, DNS: or EMAIL:",
    'name = "a"\nsan = "DNS:\\u0000"': "needs san: URI:, DNS: or EMAIL:",
    'name = "a b"\nsubject = "CN=a"': "needs a name",
    'name = "a"\nsubject = "CN=a"\nnames = "x"': "settings that do not exist: names",
    'name = "a"\nsubject = "CN=a"\n[[certificate]]\nname = "a"\nsubject = "CN=b"': "has the name of a certificate",
    'name = "a"\nsubject = "CN=a"\n[[certificate]]\nname = "b"\nsubject = "CN=a"': "asks for the same as a",
}


@pytest.mark.parametrize("table", MISTAKES)
def test_the_tables_are_read_strictly(table: str) -> None:
    with pytest.raises(StartRefused, match=re.escape(MISTAKES[table])):
        certificates(f"[[certificate]]\n{table}")


def test_a_rule_about_a_certificate_that_no_table_has_is_odd() -> None:
    text = rules_text(("certificate:carol certificate:karol certificate:*", "*", "allow", "pull")) + TABLES
    assert parse_rules(text, path="").warnings == ("no [[certificate]] is certificate:karol",)
