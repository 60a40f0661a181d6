"""Notary v1 metadata files, as `docker` (up to version 28) and `notary` write and read them.

Signatures cover the canonical form of the parsed `signed` and not a part of the file, because Go escapes `<`, `>` and
`&` in files. Refused is what its clients read in different ways, or fail on: `_NotaryMembers` has the rules. The
format: docs/reference/notary-format.md.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from keys.algorithms import PrivateKey
from keys.notary import KEYTYPES, METHOD, SCHEME, NotaryKey, notary_key
from keys.rfc3339 import to_rfc3339
from trustdata.denied import DENIED_MEMBER
from trustdata.envelope import Envelope
from trustdata.errors import MalformedMetadata, TooLarge
from trustdata.lifetimes import NOTARY_LIFETIMES, NOTARY_MAX_LIFE
from trustdata.limits import (
    MAX_DELEGATIONS,
    MAX_KEYS,
    MAX_PATHS,
    MAX_ROLE_KEYS,
    MAX_SIGNATURES,
    notary_limits,
    notary_size_limit,
)
from trustdata.model import (
    Content,
    Delegations,
    Key,
    MetaFile,
    NotaryContent,
    NotaryRoot,
    NotarySnapshot,
    NotaryTargets,
    NotaryTimestamp,
    PrefixRole,
    Role,
    Root,
    Signature,
    Signer,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
    UnusableTarget,
    UnversionedMeta,
)
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, TOP_LEVEL, RoleName, is_delegated
from trustdata.wire import UploadRules, canonical_json, plain_targets, strict_json
from trustdata.wire.format_names import NOTARY_V1
from trustdata.wire.member_checks import MemberChecks, Object
from trustdata.wire.plain_targets import PlainPart

_TYPES: Final = {ROOT: "Root", TIMESTAMP: "Timestamp", SNAPSHOT: "Snapshot", TARGETS: "Targets"}
_EXPIRES: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_KEY_ID: Final = re.compile(r"[0-9a-f]{64}")
_DELEGATION: Final = re.compile(r"targets(?:/[-a-z0-9_]+)+")
_MAX_DELEGATION: Final = 255
_HASH_BYTES: Final = {"sha256": 32, "sha512": 64}
_MAX_LENGTH: Final = 2**53 - 1
"""The longest file that every JSON parser reads the length of."""
_GO_ESCAPES: Final = re.compile("[<>&\u2028\u2029]")
_COMMON: Final = ("_type", "version", "expires")


class NotaryFormat:
    """The `WireFormat` of Notary v1."""

    name: Final = NOTARY_V1
    lists_versions: Final = False
    snapshot_lists_root: Final = True
    first_root_may_be_later: Final = True
    releases_are_terminating: Final = False
    delegations_nest: Final = True
    certifies_root_keys: Final = True
    every_target: Final = ""
    keeps_members: Final = False
    lifetimes: Final = NOTARY_LIFETIMES
    max_life: Final = NOTARY_MAX_LIFE
    upload_rules: Final = UploadRules(
        may_skip_versions=True,
        may_be_empty=True,
        may_include_snapshot=True,
        may_name_weak_keys=True,
        may_break_roles=True,
        tags_only=False,
    )

    def parse(self, role: RoleName, raw: bytes, *, plain: PlainPart | None = None) -> Envelope:
        """Parse a file strictly. Raises: TooLarge, MalformedMetadata, NotPlain (see WireFormat)."""
        limits = notary_limits(role)
        if len(raw) > limits.size:
            raise TooLarge(what=f"{role} metadata", limit=limits.size)
        reader = _NotaryMembers(role, raw)
        parsed, plain = plain_targets.parse(
            role, raw, plain_targets.NOTARY_FORM, values=limits.values, known=plain, wide=_go_length
        )
        document = reader.known_members(parsed.value, "", ("signed", "signatures"))
        signatures = reader.signatures(document.get("signatures"))
        signed = reader.members(document.get("signed"), "signed")
        payload = canonical_json.encode(signed) if plain is None else plain.payload(signed)
        try:
            content = reader.content(signed)
            if plain is not None and isinstance(content, NotaryTargets):
                content.targets = cast("dict[str, TargetFile]", plain.targets())
        except (ValueError, TypeError) as error:  # python-tuf's classes refuse it
            raise MalformedMetadata(role=role, path="signed", reason=str(error)) from error
        return Envelope.of(role=role, raw=raw, payload=payload, content=content, signatures=signatures)

    def payload(self, content: Content) -> bytes:
        """Return the canonical form of `signed`."""
        return canonical_json.encode(_signed(content))

    def serialize(self, content: Content, signatures: Mapping[str, Signature]) -> bytes:
        """Return the file, in canonical JSON, with `signed` before `signatures`.

        The Go server computes the hash of a root in this order. The signatures stay in the given order.
        """
        written = b",".join(_signature(signature) for signature in signatures.values())
        return b'{"signed":' + canonical_json.to_json(_signed(content)) + b',"signatures":[' + written + b"]}"

    def filename(self, role: RoleName, *, version: int | None = None) -> str:
        """Return `ROLE.json` or `VERSION.ROLE.json`. The role is not percent-encoded and keeps its slashes."""
        return f"{role}.json" if version is None else f"{version}.{role}.json"

    def listed_filename(self, role: RoleName, meta: MetaFile, *, consistent: bool) -> str:
        """Return the name of a listed file: with its SHA-256, which the reader requires."""
        del consistent
        return f"{role}.{(meta.hashes or {})['sha256']}.json"

    def meta(self, envelope: Envelope) -> MetaFile:
        """Return the entry of a file: length, SHA-256 and SHA-512."""
        sha512 = hashlib.sha512(envelope.raw).hexdigest()
        return UnversionedMeta(length=len(envelope.raw), hashes={"sha256": envelope.sha256, "sha512": sha512})

    def size_limit(self, role: RoleName) -> int:
        """Return the maximum size of a file of this role, in bytes, which the Go clients can read."""
        return notary_size_limit(role)

    def encode_key(self, key: Key) -> Key:
        """Return the key itself if it is in the encoding of Notary v1, else encode it. Raises: KeyNotAccepted."""
        return key if key.scheme == SCHEME else notary_key(key)

    def signer(self, private: PrivateKey, key: Key | None = None) -> Signer:
        """Return a signer for Notary v1.

        Its signatures have the key id of `key`, which may be a certificate, or by default that of the bare key.

        Raises: KeyNotAccepted; ValueError if `key` is another key.
        """
        # Imported here because only signing needs it, and start-up must stay fast.
        from keys.notary_signer import NotarySigner

        return NotarySigner(private, None if key is None else NotaryKey.of(key.keytype, key.keyval["public"]))


NOTARY: Final = NotaryFormat()


class _NotaryMembers(MemberChecks):
    """A reader of the members of Notary v1 files. Every method raises MalformedMetadata.

    Go ignores the case of member names, so a name is refused that differs only in case from a known one.
    """

    def __init__(self, role: RoleName, raw: bytes) -> None:
        super().__init__(role)
        self._raw = raw
        self._after_custom = 0

    def known_members(self, value: object, path: str, known: Iterable[str]) -> Object:
        """Return an object. Refuse members whose names differ only in case from a known name."""
        found = self.members(value, path)
        names = {name.lower(): name for name in known}
        for name in found:
            if names.get(name.lower(), name) != name:
                raise self.refuse(f"{path}.{name}".lstrip("."), f"would be read as {names[name.lower()]}")
        return found

    def signatures(self, value: object) -> dict[str, Signature]:
        found: dict[str, Signature] = {}
        for index, item in enumerate(self.elements(value, "signatures", most=MAX_SIGNATURES)):
            path = f"signatures[{index}]"
            entry = self.known_members(item, path, ("keyid", METHOD, "sig"))
            keyid = self.key_id(entry.get("keyid"), f"{path}.keyid")
            self.base64(entry.get("sig"), f"{path}.sig")
            if keyid in found:
                raise self.refuse(f"{path}.keyid", "signs twice")
            method = self.text(entry.get(METHOD), f"{path}.{METHOD}")
            found[keyid] = Signature(keyid, str(entry["sig"]), {METHOD: method})
        return found

    def content(self, signed: Object) -> NotaryContent:
        """Convert `signed` to the classes of python-tuf. Raises also: ValueError, TypeError."""
        kind = TARGETS if is_delegated(self._role) else self._role
        if signed.get("_type") != _TYPES[kind]:
            raise self.refuse("signed._type", f"must be {_TYPES[kind]!r}")
        known = {
            ROOT: ("consistent_snapshot", "keys", "roles"),
            TARGETS: ("targets", "delegations"),
        }.get(kind, ("meta",))
        self.known_members(signed, "signed", (*_COMMON, *known, DENIED_MEMBER))
        version = self.integer(signed.get("version"), "signed.version", 1)
        written = self.text(signed.get("expires"), "signed.expires")
        expires = self.expires(written)
        foreign = {name: value for name, value in signed.items() if name not in {*_COMMON, *known}}
        content: NotaryContent
        match kind:
            case "root":
                self.boolean(signed.get("consistent_snapshot"), "signed.consistent_snapshot")
                consistent = bool(signed["consistent_snapshot"])
                keys, roles = self.keys(signed.get("keys"), "signed.keys"), self.root_roles(signed.get("roles"))
                content = NotaryRoot(version, None, expires, keys, roles, consistent, foreign)
            case "timestamp":
                content = NotaryTimestamp(
                    version, None, expires, self.meta(signed, [SNAPSHOT])["snapshot.json"], foreign
                )
            case "snapshot":
                content = NotarySnapshot(version, None, expires, self.meta(signed, [ROOT, TARGETS]), foreign)
            case _:
                self.denied(signed)
                delegations = self.delegations(signed.get("delegations"))
                content = NotaryTargets(
                    version, None, expires, self.targets(signed.get("targets")), delegations, foreign
                )
        content.written = written
        return content

    def expires(self, written: str) -> datetime:
        parts = _EXPIRES.fullmatch(written)
        if parts is None:
            raise self.refuse("signed.expires", "must be a time of RFC 3339 with at most nine digits of a second")
        try:
            return datetime.fromisoformat(parts[1] + parts[3]).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise self.refuse("signed.expires", "is no date") from error

    # --- keys and roles

    def key_id(self, value: object, path: str) -> str:
        if not isinstance(value, str) or not _KEY_ID.fullmatch(value):
            raise self.refuse(path, "must be a key id")
        return value

    def base64(self, value: object, path: str) -> bytes:
        try:
            return base64.b64decode(self.text(value, path), validate=True)
        except ValueError as error:
            raise self.refuse(path, "must be base64") from error

    def keys(self, value: object, path: str) -> dict[str, Key]:
        found: dict[str, Key] = {}
        keys = self.members(value, path)
        self.few(keys, path, MAX_KEYS)
        for keyid, item in keys.items():
            place = f"{path}.{keyid}"
            entry = self.known_members(item, place, ("keytype", "keyval"))
            keytype = self.text(entry.get("keytype"), f"{place}.keytype")
            if keytype not in KEYTYPES:
                raise self.refuse(f"{place}.keytype", f"must be one of {', '.join(KEYTYPES)}")
            keyval = self.known_members(entry.get("keyval"), f"{place}.keyval", ("private", "public"))
            if keyval.get("private") is not None:
                raise self.refuse(f"{place}.keyval.private", "must be null")
            self.base64(keyval.get("public"), f"{place}.keyval.public")
            key = NotaryKey.of(keytype, str(keyval["public"]))
            if key.keyid != keyid or set(entry) | set(keyval) != {"keytype", "keyval", "private", "public"}:
                raise self.refuse(place, "the key id is not the SHA-256 of its key")
            found[keyid] = key
        return found

    def role(self, role: Object, path: str) -> tuple[list[str], int]:
        keyids = [
            self.key_id(keyid, f"{path}.keyids[{index}]")
            for index, keyid in enumerate(self.elements(role.get("keyids"), f"{path}.keyids", most=MAX_ROLE_KEYS))
        ]
        if len(set(keyids)) != len(keyids):
            raise self.refuse(f"{path}.keyids", "holds a key id twice")
        return keyids, self.integer(role.get("threshold"), f"{path}.threshold", 1)

    def root_roles(self, value: object) -> dict[str, Role]:
        roles = self.known_members(value, "signed.roles", TOP_LEVEL)
        if set(roles) != set(TOP_LEVEL):
            raise self.refuse("signed.roles", "must be root, timestamp, snapshot and targets")
        found = {}
        for name, item in roles.items():
            path = f"signed.roles.{name}"
            found[name] = Role(*self.role(self.known_members(item, path, ("keyids", "threshold")), path))
        return found

    def delegations(self, value: object) -> Delegations:
        path = "signed.delegations"
        if value is None:
            return Delegations({}, {})
        delegations = self.known_members(value, path, ("keys", "roles"))
        keys = self.keys(delegations.get("keys") or {}, f"{path}.keys")
        roles: dict[str, PrefixRole] = {}
        named = self.elements(delegations.get("roles") or [], f"{path}.roles", most=MAX_DELEGATIONS)
        for index, item in enumerate(named):
            place = f"{path}.roles[{index}]"
            role = self.known_members(item, place, ("name", "keyids", "threshold", "paths"))
            name = self.text(role.get("name"), f"{place}.name")
            if not _DELEGATION.fullmatch(name) or len(name) > _MAX_DELEGATION:
                raise self.refuse(f"{place}.name", "must be targets/ and names of a-z 0-9 _ -, at most 255 characters")
            if name.rpartition("/")[0] != self._role:
                raise self.refuse(
                    f"{place}.name", f"must be {self._role}/ and one name: the path of a role is its place"
                )
            if name in roles:
                raise self.refuse(f"{place}.name", "delegates to one role twice")
            paths = self.elements(role.get("paths") or [], f"{place}.paths", most=MAX_PATHS)
            if not all(isinstance(prefix, str) for prefix in paths):
                raise self.refuse(f"{place}.paths", "must be texts")
            # `notary delegation purge` writes null after it has removed the last key.
            keyids, threshold = self.role({**role, "keyids": role.get("keyids") or []}, place)
            roles[name] = PrefixRole(name, keyids, threshold, terminating=False, paths=[str(p) for p in paths])
        return Delegations(keys, dict(roles))

    # --- files and targets

    def meta(self, signed: Object, needed: Iterable[RoleName]) -> dict[str, MetaFile]:
        found: dict[str, MetaFile] = {}
        for name, item in self.members(signed.get("meta"), "signed.meta").items():
            path = f"signed.meta.{name}"
            self.role_name(name, path)
            entry = self.known_members(item, path, ("length", "hashes"))
            length, hashes = self.content_of(entry, path)
            if "sha256" not in hashes:
                raise self.refuse(f"{path}.hashes", "must have sha256")
            self.integer(length, f"{path}.length", 0)
            found[f"{name}.json"] = UnversionedMeta(length=length, hashes=hashes)
        for role in needed:
            if f"{role}.json" not in found:
                raise self.refuse("signed.meta", f"must list {role}")
        return found

    def content_of(self, entry: Object, path: str) -> tuple[int, dict[str, str]]:
        """Return the length and the hashes (in hex) of an entry, whatever they are worth."""
        hashes = {}
        for algorithm, digest in self.members(entry.get("hashes"), f"{path}.hashes").items():
            place = f"{path}.hashes.{algorithm}"
            if algorithm not in _HASH_BYTES:
                raise self.refuse(place, f"must be one of {', '.join(_HASH_BYTES)}")
            raw = self.base64(digest, place)
            if len(raw) != _HASH_BYTES[algorithm]:
                raise self.refuse(place, f"must have {_HASH_BYTES[algorithm]} bytes")
            hashes[algorithm] = raw.hex()
        if not hashes:
            raise self.refuse(f"{path}.hashes", "must have sha256 or sha512")
        return self.integer(entry.get("length"), f"{path}.length", -(2**63)), hashes

    def targets(self, value: object) -> dict[str, TargetFile]:
        targets = self.members(value, "signed.targets")
        found = {}
        for name, item in targets.items():
            path = f"signed.targets.{name}"
            self.text(name, "signed.targets")
            target = self.known_members(item, path, ("length", "hashes", "custom"))
            if "custom" in target:
                self.custom(target["custom"], f"{path}.custom")
            length, hashes = self.content_of(target, path)
            foreign: dict[str, Any] = {n: v for n, v in target.items() if n not in {"length", "hashes"}}
            fault = _fault(length, hashes)
            if fault is None:
                found[name] = TargetFile(length, hashes, name, foreign)
            else:
                found[name] = UnusableTarget(name, length=length, hashes=hashes, foreign=foreign, reason=fault)
        return found

    def custom(self, value: object, path: str) -> None:
        """Refuse a `custom` that is not written exactly as Go writes it.

        Go signs it unchanged, and could not sign the role again if it had another form.
        """
        canonical = canonical_json.to_json(value)
        # They stand in the file in the order in which they are read: the file is searched once, not for each of them.
        place = self._raw.find(canonical, self._after_custom)
        self._after_custom = place + len(canonical)
        if value is None or place < 0 or _GO_ESCAPES.search(canonical.decode()):
            raise self.refuse(
                path, "must be canonical JSON without < > & U+2028 U+2029, or no old client can sign again"
            )


def _fault(length: int, hashes: Mapping[str, str]) -> str | None:
    """Return why nothing can be checked by a length and hashes, or None if a file can be."""
    if "sha256" not in hashes:
        return f"it has {' and '.join(sorted(hashes))} and no sha256"
    return None if 0 <= length <= _MAX_LENGTH else f"its length is {length}"


def _go_length(path: strict_json.Path, number: int) -> int | None:
    """Return the length of a target as Go signs it, if the number has 64 bits; None elsewhere, which is refused.

    Go reads every number of what is signed as a double before it writes the canonical form.
    """
    if path[:2] != ("signed", "targets") or path[3:] != ("length",) or not -(2**63) <= number < 2**63:
        return None
    rounded = int(float(number))
    return rounded if rounded < 2**63 else None


# --- writing


def _signed(content: Content) -> dict[str, Any]:
    signed: dict[str, Any] = {"version": content.version, "expires": _expires(content), **content.unrecognized_fields}
    if isinstance(content, Root):
        roles = {name: {"keyids": role.keyids, "threshold": role.threshold} for name, role in content.roles.items()}
        keys = {keyid: key.to_dict() for keyid, key in content.keys.items()}
        consistent = bool(content.consistent_snapshot)
        return {"_type": "Root", **signed, "consistent_snapshot": consistent, "keys": keys, "roles": roles}
    if isinstance(content, Timestamp):
        return {"_type": "Timestamp", **signed, "meta": {"snapshot": _file(content.snapshot_meta)}}
    if isinstance(content, Snapshot):
        meta = {name.removesuffix(".json"): _file(entry) for name, entry in content.meta.items()}
        return {"_type": "Snapshot", **signed, "meta": meta}
    targets = {name: {**target.unrecognized_fields, **_file(target)} for name, target in content.targets.items()}
    return {"_type": "Targets", **signed, "targets": targets, "delegations": _delegations(content)}


def _expires(content: Content) -> str:
    """Return the expiry as text: as it was written, unless it has been changed since."""
    written = getattr(content, "written", "")
    parts = _EXPIRES.fullmatch(written)
    if parts and datetime.fromisoformat(parts[1] + parts[3]).astimezone(UTC) == content.expires:
        return str(written)
    return to_rfc3339(content.expires)


def _file(file: MetaFile | TargetFile) -> dict[str, Any]:
    hashes = {name: base64.b64encode(bytes.fromhex(digest)).decode() for name, digest in (file.hashes or {}).items()}
    return {"hashes": hashes, "length": file.length}


def _delegations(content: Targets) -> dict[str, Any]:
    """Return the delegations as Go writes them.

    Without delegations there is an empty object and an empty list; a role without paths has no member `paths`.
    """
    delegations = content.delegations or Delegations({}, {})
    roles = []
    for name, role in (delegations.roles or {}).items():
        paths = {"paths": role.paths} if role.paths else {}
        roles.append({"name": name, "keyids": role.keyids, "threshold": role.threshold, **paths})
    return {"keys": {keyid: key.to_dict() for keyid, key in delegations.keys.items()}, "roles": roles}


def _signature(signature: Signature) -> bytes:
    method = str(signature.unrecognized_fields.get(METHOD, ""))
    return canonical_json.to_json({"keyid": signature.keyid, METHOD: method, "sig": signature.signature})
