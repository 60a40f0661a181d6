"""Say which client certificate is which subject, by what its authority has written into it.

    [[certificate]]
    name = "carol"
    subject = "CN=carol,O=Example"

    [[certificate]]
    name = "builder"
    san = "URI:spiffe://example.com/builder"

Both are compared exactly. Whether a certificate is to be believed at all says auth/client_certificates.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from trustdata.errors import shown
from trustserver.auth.access_tables import Table, tables
from trustserver.errors import ClientCertificateRefused

MAX_CERTIFICATES: Final = 10_000
SAN_KINDS: Final[Mapping[str, type[x509.UniformResourceIdentifier | x509.DNSName | x509.RFC822Name]]] = {
    "URI": x509.UniformResourceIdentifier,
    "DNS": x509.DNSName,
    "EMAIL": x509.RFC822Name,
}
"""The kinds of alternative names that can be asked for."""
_KEYS: Final = frozenset({"name", "subject", "san"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Which certificates are subjects. `named`: what is asked for, by the subject's name; `by_words`: the other way."""

    named: Mapping[str, str] = field(default_factory=dict)
    by_words: Mapping[str, str] = field(default_factory=dict)

    def of(self, certificate: x509.Certificate) -> str:
        """Return the name of the subject whose certificate this is.

        Raises: ClientCertificateRefused if it is nobody's, or that of several; or if it cannot be read.
        """
        subject = subject_of(certificate)
        names = sorted({self.by_words[each] for each in words_of(certificate) if each in self.by_words})
        if len(names) > 1:
            reason = f"of {subject} fits {' and '.join(names)}, and can be that of one alone"
            raise ClientCertificateRefused(reason=reason, known=True)
        if not names:
            raise ClientCertificateRefused(reason=f"of {subject} is no [[certificate]] of this server", known=True)
        return names[0]


def words_of(certificate: x509.Certificate) -> list[str]:
    """Return all that can be asked for in a certificate. Raises: ClientCertificateRefused if it cannot be read."""
    return [f"subject {subject_of(certificate)}", *(f"san {san}" for san in _sans(certificate))]


def asked_words(text: str) -> str:
    """Return what a text asks for: an alternative name with its kind before it, else a subject (RFC 4514).

    Raises: ValueError, which says how to write it.
    """
    kind, _, value = text.partition(":")
    return f"san {_san(kind, value)}" if kind in SAN_KINDS else f"subject {_subject(text)}"


def subject_of(certificate: x509.Certificate) -> str:
    """Return the subject of a certificate as RFC 4514 writes it. Raises: ClientCertificateRefused if it has none."""
    try:
        return certificate.subject.rfc4514_string()
    except ValueError as error:
        raise ClientCertificateRefused(reason="has a subject that cannot be read") from error


def _sans(certificate: x509.Certificate) -> list[str]:
    """Return the alternative names that can be asked for. Of several of one kind none is: which one would be meant?"""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ClientCertificateRefused(reason="has extensions that cannot be read") from error
    found = {kind: names.get_values_for_type(of_kind) for kind, of_kind in SAN_KINDS.items()}
    return [f"{kind}:{values[0]}" for kind, values in found.items() if len(values) == 1]


def read_certificates(document: Mapping[str, Any], *, file: Path) -> Certificates:
    """Read the tables `certificate` of an access file. Raises: StartRefused, which names the table."""
    named: dict[str, str] = {}
    by_words: dict[str, str] = {}
    for place, entries in tables(document, "certificate", MAX_CERTIFICATES, file):
        table = Table(entries, place=place, file=file)
        table.check_keys(_KEYS)
        name, words = table.name(), _words(table)
        if name in named:
            raise table.refusal("has the name of a certificate before it")
        if words in by_words:
            raise table.refusal(f"asks for the same as {by_words[words]}")
        named[name], by_words[words] = words, name
    return Certificates(named=named, by_words=by_words)


def _words(table: Table) -> str:
    subject, san = table.text("subject", required=False), table.text("san", required=False)
    if bool(subject) == bool(san):
        raise table.refusal("needs either subject or san")
    try:
        return f"subject {_subject(subject)}" if subject else f"san {_san(*san.partition(':')[::2])}"
    except ValueError as error:
        raise table.refusal(str(error)) from error


def _subject(text: str) -> str:
    try:
        written = x509.Name.from_rfc4514_string(text).rfc4514_string()
    except ValueError as error:
        message = "needs subject as RFC 4514 writes it, such as CN=carol,O=Example"
        raise ValueError(message) from error
    if written != text:
        message = f"compares subject exactly: write it as {shown(written, 300)}"
        raise ValueError(message)
    return text


def _san(kind: str, value: str) -> str:
    if kind not in SAN_KINDS or not value or not value.isascii() or not value.isprintable() or " " in value:
        message = "needs san: URI:, DNS: or EMAIL: and the name, in printable ASCII"
        raise ValueError(message)
    return f"{kind}:{value}"
