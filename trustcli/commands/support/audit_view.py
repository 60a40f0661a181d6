"""The views of `trust audit` for people and as JSON; `audit_csv` is the third."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Final

from keys.key_info import KeyInfo
from trustcli.console.output import failure_document
from trustcli.publish.plan_view import as_time
from trustdata.audit import Audit, AuditedKey, AuditedRole, AuditedTag, Right
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN

_DIGITS: Final = 12
_TIMES_ARE_CLAIMS: Final = "computed from the expiry, which the signer chose: metadata has no signing times"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyKeeping:
    """Where keys are kept, as far as this machine knows.

    `stored`: the keys of its key store, by fingerprint. `recovery`: the fingerprint of the key in a recovery file.
    """

    stored: Mapping[str, KeyInfo] = field(default_factory=dict)
    recovery: str | None = None

    def place(self, key: AuditedKey) -> str:
        """Return where a key is kept: `store`, `recovery file`, `server`, or `not here`."""
        if key.fingerprint is not None and key.fingerprint in self.stored:
            return "store"
        if key.fingerprint is not None and key.fingerprint == self.recovery:
            return "recovery file"
        return "server" if key.holders == ("server",) else "not here"

    def is_recovery(self, key: AuditedKey) -> str:
        """Return whether a key is the recovery key: `yes`, `perhaps` (a spare root key that is not here), or `no`.

        Metadata does not say which of the root keys is kept for recovery.
        """
        info = self.stored.get(key.fingerprint or "")
        if self.recovery is not None:
            return "yes" if key.fingerprint == self.recovery else "no"
        if info is not None:
            return "yes" if info.purpose == "recovery" else "no"
        return "perhaps" if key.spare else "no"

    def name(self, key: AuditedKey) -> str:
        """Return what a key is called in the key store; "" if it is not there, or has no name."""
        info = self.stored.get(key.fingerprint or "")
        return shown(info.name) if info else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedCollection:
    """One collection of an audit: what was found, or why it could not be read. `holders`: all who have keys there."""

    gun: GUN
    format: str = ""
    audit: Audit | None = None
    keeping: KeyKeeping = field(default_factory=KeyKeeping)
    failure: TrustError | None = None
    holders: tuple[str, ...] = ()


def document(each: AuditedCollection) -> dict[str, object]:
    """Return what JSON output says of one collection."""
    if each.audit is None or each.failure is not None:
        error = failure_document(each.failure) if each.failure is not None else None
        return {"gun": each.gun, "state": "failed", "error": error}
    found = each.audit
    return {
        "gun": each.gun,
        "state": "done",
        "format": each.format,
        "root": {"version": found.root_version, "sha256": found.root_sha256},
        "tags": [_tag_row(tag, found) for tag in found.tags],
        "unreleased": [
            {
                "tag": tag.tag,
                "digest": f"sha256:{tag.digest}",
                "signer": tag.signer,
                "released": f"sha256:{tag.released}" if tag.released else None,
            }
            for tag in found.unreleased
        ],
        "keys": [_key_row(key, each.keeping) for key in found.keys],
        "roles": [_role_row(role) for role in found.roles],
        "signed_about": _TIMES_ARE_CLAIMS,
        "odd": [{"code": odd.code, "about": odd.about, "text": odd.text} for odd in found.odd],
    }


def _tag_row(tag: AuditedTag, found: Audit) -> dict[str, object]:
    release = release_of(tag, found)
    return {
        "tag": tag.tag,
        "digest": f"sha256:{tag.digest}",
        "size": tag.length,
        "platforms": [f"sha256:{digest}" for digest in tag.platforms],
        "signers": list(tag.signers),
        "released_by": tag.released_by,
        "release_keys": list(release.signed) if release else [],
        "release_version": release.version if release else None,
        "release_signed_about": as_time(release.signed_about) if release else None,
    }


def _key_row(key: AuditedKey, keeping: KeyKeeping) -> dict[str, object]:
    return {
        "keyid": key.keyid,
        "keyids": list(key.keyids),
        "kind": key.kind,
        "counts": not key.refusal,
        "refusal": key.refusal or None,
        "holders": list(key.holders),
        "kept": keeping.place(key),
        "name": keeping.name(key),
        "recovery": keeping.is_recovery(key),
        "rights": [
            {
                "role": right.role,
                "threshold": right.threshold,
                "keys": right.keys,
                "paths": list(right.paths),
                "signed": right.signed,
                "expires": as_time(right.expires),
            }
            for right in key.rights
        ],
    }


def _role_row(role: AuditedRole) -> dict[str, object]:
    return {
        "role": role.role,
        "delegator": role.delegator,
        "version": role.version,
        "sha256": role.sha256,
        "expires": as_time(role.expires),
        "signed_about": as_time(role.signed_about),
        "threshold": role.threshold,
        "keys": list(role.keys),
        "signed": list(role.signed),
        "paths": list(role.paths),
        "tags": role.tags,
        "fault": failure_document(role.fault) if role.fault is not None else None,
    }


def release_of(tag: AuditedTag, found: Audit) -> AuditedRole | None:
    """Return the role that releases a tag; None if the audit was narrowed and left it out."""
    return next((role for role in found.roles if role.role == tag.released_by), None)


def lines(audited: Sequence[AuditedCollection]) -> Iterator[str]:
    """Return the lines for people. Failures are shown elsewhere."""
    for number, each in enumerate(each for each in audited if each.audit is not None):
        if number:
            yield ""
        yield from _collection_lines(each)


def _collection_lines(each: AuditedCollection) -> Iterator[str]:
    found = each.audit
    if found is None:
        return
    yield f"{each.gun}  {each.format}, root {found.root_version} sha256:{found.root_sha256}"
    yield ""
    yield from _table(
        ("TAG", "DIGEST", "MANIFEST", "PLATFORMS", "SIGNED BY", "RELEASED BY", "SIGNED ABOUT"),
        [_tag_cells(tag, found) for tag in found.tags],
        otherwise="no tag" if found.keys else "no tag of that signer or key",
    )
    yield ""
    yield from _table(
        ("KEY", "HOLDER", "MAY SIGN", "THRESHOLD", "KEPT", "EXPIRES", "KIND"),
        [cells for key in found.keys for cells in _key_cells(key, each.keeping)],
        otherwise="no key of that signer or id",
    )
    if any(role.signed_about for role in found.roles):
        yield f"signed about: {_TIMES_ARE_CLAIMS}"
    if any(each.keeping.is_recovery(key) == "perhaps" for key in found.keys):
        yield "recovery key?: a spare root key that is not in this store; --recovery-key FILE says which it is"
    yield ""
    yield "odd" if found.odd else "nothing is odd"
    yield from (f"  {odd.code}: {odd.text}" for odd in found.odd)


def _tag_cells(tag: AuditedTag, found: Audit) -> tuple[str, ...]:
    release = release_of(tag, found)
    return (
        tag.tag,
        f"sha256:{tag.digest}",
        str(tag.length),
        str(len(tag.platforms) or "-"),
        ", ".join(tag.signers) or "-",
        f"{tag.released_by} {release.version}: {_short(release.signed)}" if release else tag.released_by,
        f"{release.signed_about:%Y-%m-%d}" if release and release.signed_about else "-",
    )


def _key_cells(key: AuditedKey, keeping: KeyKeeping) -> Iterator[tuple[str, ...]]:
    mark = {"yes": " (recovery key)", "perhaps": " (recovery key?)", "no": ""}[keeping.is_recovery(key)]
    kind = f"{key.kind}, counts for nothing: {key.refusal}" if key.refusal else key.kind
    name = keeping.name(key)
    place = keeping.place(key) + (f": {name}" if name else "")
    first = (key.keyid, ", ".join(key.holders) + mark)
    for before, right in zip_longest([first], key.rights, fillvalue=None):
        if isinstance(right, Right):
            shown_key = before or ("", "")
            yield (*shown_key, _right(right), f"{right.threshold} of {right.keys}", place, _day(right.expires), kind)


def _right(right: Right) -> str:
    paths = f" [{' '.join(right.paths)}]" if right.paths and right.paths not in {("*",), ("",)} else ""
    return f"{right.role}{paths}{', has signed' if right.signed else ''}"


def _day(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d}"


def _short(keyids: Iterable[str]) -> str:
    return ", ".join(keyid[:_DIGITS] for keyid in keyids) or "no key"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, otherwise: str) -> Iterator[str]:
    """Return rows in columns as wide as their widest cell, or `otherwise` if there is no row."""
    if not rows:
        yield otherwise
        return
    widths = [max(len(row[index]) for row in (header, *rows)) for index in range(len(header))]
    for row in (header, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
