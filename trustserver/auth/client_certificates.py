"""Say whether a client certificate is to be believed now: by the authorities that the operator names, and their lists.

TLS has proved that the client has the private key. Everything else is judged at each request, since a connection may
last longer than a certificate counts. An authority issues directly: there are no chains here (ADR 0084).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from keys.rfc3339 import to_rfc3339
from trustserver.auth.certificates import words_of
from trustserver.errors import ClientCertificateRefused, StartRefused
from trustserver.guarded_files import mark_of, read_guarded

MAX_FILE: Final = 16 * 1024 * 1024
"""The largest file of authorities or of revoked certificates, in bytes: some hundred thousand of these."""
MAX_KEPT: Final = 4096
"""How many certificates are remembered with what is wrong with them, if anything."""
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNDERSTOOD: Final = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
"""The extensions that may be critical (RFC 5280, 4.2): what is critical and not understood is refused."""
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.InvalidVersion,
)

_PEM_LIST: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Revoked:
    """The serial numbers that an authority has revoked. `until`: when there is a newer list; None: it does not say.

    `since`: when the list was made.
    """

    serials: frozenset[int]
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A certificate whose signature was checked, and who has issued it: several if an authority was renewed."""

    certificate: x509.Certificate
    issuers: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """What is not as it should be: as everybody is told, and why, for the log."""

    told: str
    reason: str


_Authority: TypeAlias = tuple[x509.Name, bytes]
_Known: TypeAlias = tuple[tuple[x509.Certificate, ...], dict[bytes, _Judged]]
"""Those who issue certificates, and the certificates of theirs that were judged: one value, for two threads."""


class ClientCertificates:
    """Judges client certificates. `refresh` is for one thread; the rest is for the event loop."""

    def __init__(self, authorities: Path, revoked: Path | None = None, *, clock: Callable[[], datetime]) -> None:
        """Read the files. `revoked`: lists of revoked certificates, one of each authority. Raises: StartRefused."""
        self._authorities_file = authorities
        self._revoked_file = revoked
        self._clock = clock
        self._changed: list[Callable[[str], None]] = []
        self._failed: dict[str, _Failure] = {}
        self._marks = self._look()
        self._known: _Known = (_read_authorities(authorities), {})
        self._newest: dict[_Authority, _Revoked] = {}
        """The newest list of each authority that was ever read here."""
        self._revoked: Mapping[_Authority, _Revoked] | None = {}
        if revoked is not None:
            self._revoked = self._newer(_read_revoked(revoked, self._known[0]))
        self._look_at_lists()

    def on_change(self, call: Callable[[str], None]) -> None:
        """Have a function called with the authorities (PEM), now and after each change of them."""
        self._changed.append(call)
        call(_as_pem(self._known[0]))

    def failures(self) -> list[str]:
        """Return whether certificates are not judged by the newest files, or not believed; nothing if all is well.

        Anybody may read this at /readyz, so the reasons, which name files, stand in the log alone.
        """
        return [failure.told for failure in self._failed.values()]

    def refresh(self, *, unchanged_too: bool = False) -> None:
        """Read the files if they have changed. `unchanged_too`: read what looks as before, too.

        Authorities that cannot be read stay as they were. While lists cannot be, no certificate is believed.
        """
        marks = self._look()
        if marks != self._marks or unchanged_too:
            self._read_again()
            self._marks = marks  # not after a failure that nobody foresaw: the files are then read again
        self._look_at_lists()

    def check(self, der: bytes) -> x509.Certificate:
        """Return a certificate that is to be believed now. Raises: ClientCertificateRefused."""
        at = self._clock()
        authorities, kept = self._known
        judged = kept.get(der)
        if judged is None:
            judged = _judge(der, authorities)
            if len(kept) >= MAX_KEPT:
                kept.clear()
            kept[der] = judged
        certificate = judged.certificate
        if at < certificate.not_valid_before_utc:
            raise ClientCertificateRefused(reason=f"counts from {to_rfc3339(certificate.not_valid_before_utc)} on")
        if at > certificate.not_valid_after_utc:
            raise ClientCertificateRefused(reason=f"has expired on {to_rfc3339(certificate.not_valid_after_utc)}")
        if not any(each.not_valid_before_utc <= at <= each.not_valid_after_utc for each in judged.issuers):
            raise ClientCertificateRefused(reason="is of an authority whose own certificate does not count now")
        if self._revoked_file is not None:
            self._check_revoked(certificate, _authority(judged.issuers[0]), at)
        return certificate

    def is_of(self, der: bytes, words: str) -> bool:
        """Return whether a certificate is to be believed now and has what is asked for (auth/certificates.py)."""
        try:
            return words in words_of(self.check(der))
        except ClientCertificateRefused as error:
            _log.info("client certificate refused", extra={"reason": error.reason})
            return False

    def _look(self) -> tuple[object, object]:
        revoked = None if self._revoked_file is None else mark_of(self._revoked_file)
        return mark_of(self._authorities_file), revoked

    def _check_revoked(self, certificate: x509.Certificate, issuer: _Authority, at: datetime) -> None:
        """Check that a certificate is not revoked. Raises: ClientCertificateRefused if it is, or nobody can tell."""
        revoked = self._revoked  # read once: another thread replaces it
        if revoked is None:
            raise ClientCertificateRefused(reason="is not believed, since the revoked ones cannot be read")
        of_issuer = revoked.get(issuer)
        if of_issuer is None or of_issuer.until is None or at >= of_issuer.until:
            raise ClientCertificateRefused(reason="is not believed, since there is no present list of the revoked ones")
        if certificate.serial_number in of_issuer.serials:
            raise ClientCertificateRefused(reason="was revoked")

    def _read_again(self) -> None:
        try:
            authorities = _read_authorities(self._authorities_file)
        except StartRefused as error:
            self._fail("authorities", "who issues client certificates is older than its file", str(error))
        else:
            self._failed.pop("authorities", None)
            if authorities != self._known[0]:
                self._known = (authorities, {})
                for call in self._changed:
                    call(_as_pem(authorities))
        if self._revoked_file is not None:
            try:
                self._revoked = self._newer(_read_revoked(self._revoked_file, self._known[0]))
                self._failed.pop("revoked", None)
            except StartRefused as error:
                self._revoked = None
                self._fail("revoked", "no client certificate is believed: the revoked ones cannot be read", str(error))

    def _newer(self, found: Mapping[_Authority, _Revoked]) -> Mapping[_Authority, _Revoked]:
        """Return lists, each in the place of an older one of its authority.

        Others may write them, and bring them from elsewhere: they could put one back that lacks what was revoked since.
        """
        older = [
            each for each, listed in found.items() if each in self._newest and listed.since < self._newest[each].since
        ]
        self._newest |= {each: listed for each, listed in found.items() if each not in older}
        if older:
            names = " and ".join(name.rfc4514_string() for name, _ in older)
            said = f"{self._revoked_file} has an older list of {names} than the one that counts"
            self._fail("older", "an older list of revoked client certificates does not count", said)
        else:
            self._failed.pop("older", None)
        return {each: self._newest[each] for each in found}

    def _look_at_lists(self) -> None:
        """Tell the operator of authorities that have no list of now."""
        if self._revoked_file is None or self._revoked is None:
            return
        at = self._clock()
        # By key: two authorities may have one name, and the certificates of either need a list.
        lists = {each: self._revoked.get(each) for each in map(_authority, self._known[0])}
        missing = [each for each, found in lists.items() if found is None or found.until is None or at >= found.until]
        if missing:
            names = sorted({name.rfc4514_string() for name, _ in missing})
            said = f"{self._revoked_file} has no list of now of {' and '.join(names)}"
            self._fail("lists", "client certificates are not believed: an authority has no list of now", said)
        else:
            self._failed.pop("lists", None)

    def _fail(self, what: str, told: str, reason: str) -> None:
        failure = _Failure(told=told, reason=reason)
        if self._failed.get(what) != failure:
            _log.error("client certificates are not judged as they should be", extra={"reason": f"{told}: {reason}"})
        self._failed[what] = failure


def _judge(der: bytes, authorities: Sequence[x509.Certificate]) -> _Judged:
    """Check all of a certificate that time does not change. Raises: ClientCertificateRefused."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions = list(certificate.extensions)
        hashed_with = certificate.signature_hash_algorithm
        issuers = tuple(each for each in authorities if _has_issued(each, certificate))
    except (*_UNREADABLE, UnsupportedAlgorithm) as error:
        raise ClientCertificateRefused(reason="cannot be read") from error
    if not issuers:
        raise ClientCertificateRefused(reason="is of no authority that is known here")
    if hashed_with is not None and not isinstance(hashed_with, _HASHES):
        raise ClientCertificateRefused(reason=f"is signed with {hashed_with.name}, which is not accepted")
    for extension in extensions:
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            raise ClientCertificateRefused(
                reason=f"demands what is not understood here ({extension.oid.dotted_string})"
            )
        if isinstance(extension.value, x509.BasicConstraints) and extension.value.ca:
            raise ClientCertificateRefused(reason="belongs to an authority, and not to a client")
        if (
            isinstance(extension.value, x509.ExtendedKeyUsage)
            and ExtendedKeyUsageOID.CLIENT_AUTH not in extension.value
        ):
            raise ClientCertificateRefused(reason="is not for clients (extended key usage)")
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.digital_signature:
            raise ClientCertificateRefused(reason="is not for signatures (key usage)")
    return _Judged(certificate=certificate, issuers=issuers)


def _has_issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    if certificate.issuer != authority.subject:
        return False
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _read_authorities(path: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates of those who issue certificates of clients. Raises: StartRefused."""
    _demand_file(path)
    try:
        found = tuple(x509.load_pem_x509_certificates(read_guarded(path, limit=MAX_FILE).encode()))
        for each in found:
            constraints = each.extensions.get_extension_for_class(x509.BasicConstraints).value
            if not constraints.ca:
                name = each.subject.rfc4514_string()
                raise StartRefused(what=str(path), reason=f"has {name}, which is no certificate of an authority")
            if any(isinstance(extension.value, x509.NameConstraints) for extension in each.extensions):
                name = each.subject.rfc4514_string()
                raise StartRefused(what=str(path), reason=f"has {name}, whose name constraints are not understood here")
    except x509.ExtensionNotFound as error:
        raise StartRefused(what=str(path), reason="has a certificate that does not belong to an authority") from error
    except _UNREADABLE as error:
        raise StartRefused(what=str(path), reason="has no certificates in PEM, or some that cannot be read") from error
    return found


def _read_revoked(path: Path, authorities: Sequence[x509.Certificate]) -> dict[_Authority, _Revoked]:
    """Read lists of revoked certificates, each signed by its authority. Raises: StartRefused."""
    blocks = _PEM_LIST.findall(_read_signed(path))
    if not blocks:
        raise StartRefused(what=str(path), reason="has no list of revoked certificates in PEM (X509 CRL)")
    found: dict[_Authority, _Revoked] = {}
    for block in blocks:
        try:
            revoked = x509.load_pem_x509_crl(block)
            odd = [extension for extension in revoked.extensions if extension.critical]
            issuer = next((each for each in authorities if _has_signed(each, revoked)), None)
            listed = _Revoked(
                serials=frozenset(entry.serial_number for entry in revoked),
                since=revoked.last_update_utc,
                until=revoked.next_update_utc,
            )
        except (*_UNREADABLE, UnsupportedAlgorithm) as error:
            raise StartRefused(what=str(path), reason="has a list that cannot be read") from error
        if issuer is None:
            raise StartRefused(what=str(path), reason="has a list that no authority of --tls-client-ca has signed")
        if odd:
            raise StartRefused(what=str(path), reason="has a list of only some of the revoked certificates")
        if _authority(issuer) in found:
            raise StartRefused(what=str(path), reason=f"has two lists of {issuer.subject.rfc4514_string()}")
        found[_authority(issuer)] = listed
    return found


def _authority(certificate: x509.Certificate) -> _Authority:
    """Return what stays of an authority when its certificate is renewed: its name and its key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return certificate.subject, certificate.public_key().public_bytes(serialization.Encoding.DER, form)


def _demand_file(path: Path) -> None:
    if not path.is_file():  # a pipe would keep the server waiting for whoever writes into it
        raise StartRefused(what=str(path), reason="is no plain file" if path.exists() else "is not there")


def _read_signed(path: Path) -> bytes:
    """Return the content of a file that others may change, since what is in it is signed. Raises: StartRefused."""
    _demand_file(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise StartRefused(what=str(path), reason=f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE:
        raise StartRefused(what=str(path), reason=f"has more than {MAX_FILE} bytes")
    return content


def _has_signed(authority: x509.Certificate, revoked: x509.CertificateRevocationList) -> bool:
    key = authority.public_key()
    return revoked.issuer == authority.subject and revoked.is_signature_valid(key)  # type: ignore[arg-type]


def _as_pem(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates)
