"""TUF 1.0 metadata files (specification 1.0.34, section 4): read strictly, written in canonical JSON.

The contents are python-tuf's classes. What these classes do not check is checked here first, so that every error names
the wrong member: `strict_json` checks the text, `_TufMembers` the members.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast

from keys.algorithms import EncodedKey, PrivateKey, check_accepted, public_key_of
from trustdata.envelope import Envelope
from trustdata.errors import MalformedMetadata, TooLarge
from trustdata.gun import NAME_MEMBER
from trustdata.lifetimes import TUF_LIFETIMES, TUF_MAX_LIFE
from trustdata.limits import (
    MAX_DELEGATIONS,
    MAX_KEYS,
    MAX_PATHS,
    MAX_PATHS_LENGTH,
    MAX_ROLE_KEYS,
    MAX_SIGNATURES,
    size_limit,
    tuf_limits,
)
from trustdata.model import Content, Key, MetaFile, Root, Signature, Signer, Snapshot, TargetFile, Targets, Timestamp
from trustdata.roles import RoleName, is_delegated, role_to_path
from trustdata.wire import UploadRules, canonical_json, plain_targets, strict_json
from trustdata.wire.format_names import TUF_1_0
from trustdata.wire.member_checks import MemberChecks, Object
from trustdata.wire.plain_targets import PlainPart

_CLASSES: Final[Mapping[str, type[Root | Timestamp | Snapshot | Targets]]] = {
    "root": Root,
    "timestamp": Timestamp,
    "snapshot": Snapshot,
    "targets": Targets,
}
_EXPIRES: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+")
_KEY_ID: Final = re.compile(r"[0-9a-f]{64}")
# Other clients refuse a whole file for a signature that is no hex, also of a key that they do not know. An empty one
# keeps the place of a signature that is still to come (tuf-on-ci, sigstore).
_SIGNATURE: Final = re.compile(r"(?:[0-9a-fA-F]{2})*")
_MAX_SUCCINCT_BITS: Final = 32  # TAP 15


class TufFormat:
    """The `WireFormat` of TUF 1.0 with consistent snapshots."""

    name: Final = TUF_1_0
    lists_versions: Final = True
    snapshot_lists_root: Final = False
    first_root_may_be_later: Final = False
    releases_are_terminating: Final = True
    delegations_nest: Final = False
    certifies_root_keys: Final = False
    every_target: Final = "*"
    keeps_members: Final = True
    lifetimes: Final = TUF_LIFETIMES
    max_life: Final = TUF_MAX_LIFE
    upload_rules: Final = UploadRules(
        may_skip_versions=False,
        may_be_empty=False,
        may_include_snapshot=False,
        may_name_weak_keys=False,
        may_break_roles=False,
        tags_only=True,
    )

    def parse(self, role: RoleName, raw: bytes, *, plain: PlainPart | None = None) -> Envelope:
        """Parse a file strictly. Raises: TooLarge, MalformedMetadata, NotPlain (see WireFormat)."""
        limits = tuf_limits(role)
        if len(raw) > limits.size:
            raise TooLarge(what=f"{role} metadata", limit=limits.size)
        reader = _TufMembers(role)
        kind = "targets" if is_delegated(role) else str(role)
        if kind == "targets":
            parsed, plain = plain_targets.parse(role, raw, plain_targets.TUF_FORM, values=limits.values, known=plain)
        else:
            parsed, plain = strict_json.parse(role, raw, values=limits.values), None
        document = reader.members(parsed.value, "")
        signatures = reader.signatures(document)
        signed = reader.members(document.get("signed"), "signed")
        reader.signed(signed, kind)
        if plain is not None:
            payload = plain.payload(signed)
        else:
            payload = _payload(document, raw) if parsed.canonical else canonical_json.encode(signed)
        try:
            content = _CLASSES[kind].from_dict(signed)
            if plain is not None and isinstance(content, Targets):
                content.targets = cast("dict[str, TargetFile]", plain.targets())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # python-tuf refuses something that the checks above do not name.
            raise MalformedMetadata(role=role, path="signed", reason=str(error)) from error
        return Envelope.of(role=role, raw=raw, payload=payload, content=content, signatures=signatures)

    def payload(self, content: Content) -> bytes:
        """Return the canonical form of `signed`."""
        return canonical_json.encode(content.to_dict())

    def serialize(self, content: Content, signatures: Mapping[str, Signature]) -> bytes:
        """Return the file, in canonical JSON. The signatures are sorted by key id."""
        ordered = [signatures[keyid].to_dict() for keyid in sorted(signatures)]
        return canonical_json.to_json({"signatures": ordered, "signed": content.to_dict()})

    def filename(self, role: RoleName, *, version: int | None = None) -> str:
        """Return `ROLE.json` or `VERSION.ROLE.json` (specification 6.2, consistent snapshots)."""
        encoded = role_to_path(role)
        return f"{encoded}.json" if version is None else f"{version}.{encoded}.json"

    def listed_filename(self, role: RoleName, meta: MetaFile, *, consistent: bool) -> str:
        """Return the name of a listed file: with its version if the root has consistent snapshots."""
        return self.filename(role, version=meta.version if consistent else None)

    def meta(self, envelope: Envelope) -> MetaFile:
        """Return the entry of a file: version, length and SHA-256."""
        return MetaFile(envelope.version, len(envelope.raw), {"sha256": envelope.sha256})

    def size_limit(self, role: RoleName) -> int:
        """Return the maximum size of a file of this role, in bytes, which every TUF client can read."""
        return size_limit(role)

    def encode_key(self, key: Key) -> Key:
        """Return the key itself, or of one in another encoding (a certificate) the bare key. Raises: KeyNotAccepted."""
        check_accepted(key)
        if isinstance(key, EncodedKey):
            from keys.material import tuf_key  # only to change a collection: start-up time

            return tuf_key(public_key_of(key))
        return key

    def signer(self, private: PrivateKey, key: Key | None = None) -> Signer:
        """Return a signer of securesystemslib. `key` is ignored, because TUF has only one encoding of a key."""
        del key
        # Imported here because only signing needs it, and start-up must stay fast.
        from securesystemslib.signer import CryptoSigner

        return CryptoSigner(private)


TUF: Final = TufFormat()


class _TufMembers(MemberChecks):
    """A reader of the members of TUF 1.0 files."""

    # --- envelope

    def signatures(self, document: Object) -> dict[str, Signature]:
        found: dict[str, Signature] = {}
        for index, item in enumerate(self.elements(document.get("signatures"), "signatures", most=MAX_SIGNATURES)):
            path = f"signatures[{index}]"
            entry = self.members(item, path)
            keyid = self.text(entry.get("keyid"), f"{path}.keyid")
            signature = entry.get("sig")
            if not isinstance(signature, str) or not _SIGNATURE.fullmatch(signature):
                raise self.refuse(f"{path}.sig", "must be an even number of hexadecimal digits")
            if keyid in found:
                raise self.refuse(f"{path}.keyid", "signs twice")
            found[keyid] = Signature(keyid, signature)
        return found

    def signed(self, signed: Object, kind: str) -> None:
        """Check the members of `signed`."""
        if signed.get("_type") != kind:
            raise self.refuse("signed._type", f"must be {kind!r}")
        spec = self.text(signed.get("spec_version"), "signed.spec_version")
        if not re.fullmatch(r"1\.[0-9]+(\.[0-9]+)?", spec):
            raise self.refuse("signed.spec_version", "must be 1.x")
        self.integer(signed.get("version"), "signed.version", 1)
        self.expires(signed.get("expires"))
        match kind:
            case "root":
                self.root(signed)
            case "timestamp":
                self.timestamp(signed)
            case "snapshot":
                self.snapshot(signed)
            case _:
                self.targets(signed)

    def expires(self, value: object) -> None:
        if not isinstance(value, str) or not _EXPIRES.fullmatch(value):
            raise self.refuse("signed.expires", "must be YYYY-MM-DDTHH:MM:SSZ")
        try:
            datetime.fromisoformat(value)
        except ValueError as error:
            raise self.refuse("signed.expires", "is no date") from error

    # --- roles and keys

    def root(self, signed: Object) -> None:
        if "consistent_snapshot" in signed:
            self.boolean(signed["consistent_snapshot"], "signed.consistent_snapshot")
        if NAME_MEMBER in signed:
            self.collection_name(signed[NAME_MEMBER], f"signed.{NAME_MEMBER}")
        self.keys(signed.get("keys"), "signed.keys")
        roles = self.members(signed.get("roles"), "signed.roles")
        if set(roles) != set(_CLASSES):
            raise self.refuse("signed.roles", "must be root, timestamp, snapshot and targets")
        for name, role in roles.items():
            self.role(self.members(role, f"signed.roles.{name}"), f"signed.roles.{name}")

    def keys(self, value: object, path: str) -> None:
        keys = self.members(value, path)
        self.few(keys, path, MAX_KEYS)
        for keyid, key in keys.items():
            place = f"{path}.{keyid}"
            entry = self.members(key, place)
            self.text(entry.get("keytype"), f"{place}.keytype")
            self.text(entry.get("scheme"), f"{place}.scheme")
            public = self.members(entry.get("keyval"), f"{place}.keyval").get("public")
            self.text(public, f"{place}.keyval.public")
            # Specification 4.2: clients MUST calculate each key id.
            if keyid != hashlib.sha256(canonical_json.encode(entry)).hexdigest():
                raise self.refuse(place, "the key id is not the SHA-256 of its key")

    def role(self, role: Object, path: str) -> None:
        keyids = self.elements(role.get("keyids"), f"{path}.keyids", most=MAX_ROLE_KEYS)
        for index, keyid in enumerate(keyids):
            if not isinstance(keyid, str) or not _KEY_ID.fullmatch(keyid):
                raise self.refuse(f"{path}.keyids[{index}]", "must be a key id")
        if len(set(map(str, keyids))) != len(keyids):
            raise self.refuse(f"{path}.keyids", "holds a key id twice")
        self.integer(role.get("threshold"), f"{path}.threshold", 1)

    # --- meta

    def meta_file(self, value: object, path: str) -> None:
        entry = self.members(value, path)
        self.integer(entry.get("version"), f"{path}.version", 1)
        if "length" in entry:
            self.integer(entry["length"], f"{path}.length", 0)
        if "hashes" in entry:
            self.hashes(entry["hashes"], f"{path}.hashes")

    def hashes(self, value: object, path: str) -> None:
        hashes = self.members(value, path)
        if not hashes:
            raise self.refuse(path, "must not be empty")
        for algorithm, digest in hashes.items():
            if not isinstance(digest, str) or not _HEX.fullmatch(digest):
                raise self.refuse(f"{path}.{algorithm}", "must be lower-case hex")

    def timestamp(self, signed: Object) -> None:
        meta = self.members(signed.get("meta"), "signed.meta")
        if set(meta) != {"snapshot.json"}:
            raise self.refuse("signed.meta", "must list snapshot.json and nothing else")
        self.meta_file(meta["snapshot.json"], "signed.meta.snapshot.json")

    def snapshot(self, signed: Object) -> None:
        meta = self.members(signed.get("meta"), "signed.meta")
        for name, entry in meta.items():
            if not name.endswith(".json") or name == ".json":
                raise self.refuse(f"signed.meta.{name}", "must end in .json")
            self.role_name(name.removesuffix(".json"), f"signed.meta.{name}")
            self.meta_file(entry, f"signed.meta.{name}")

    # --- targets

    def targets(self, signed: Object) -> None:
        for name, value in self.members(signed.get("targets"), "signed.targets").items():
            self.target(name, value)
        self.denied(signed)
        if "delegations" in signed:
            self.delegations(self.members(signed["delegations"], "signed.delegations"))

    def target(self, name: str, value: object) -> None:
        path = f"signed.targets.{name}"
        self.text(name, "signed.targets")
        target = self.members(value, path)
        self.integer(target.get("length"), f"{path}.length", 0)
        self.hashes(target.get("hashes"), f"{path}.hashes")
        if "custom" in target:
            self.members(target["custom"], f"{path}.custom")

    def delegations(self, delegations: Object) -> None:
        path = "signed.delegations"
        self.keys(delegations.get("keys"), f"{path}.keys")
        if ("roles" in delegations) == ("succinct_roles" in delegations):
            raise self.refuse(path, "must have either roles or succinct_roles")
        if "succinct_roles" in delegations:
            self.succinct_roles(self.members(delegations["succinct_roles"], f"{path}.succinct_roles"))
            return
        names: set[str] = set()
        for index, item in enumerate(self.elements(delegations["roles"], f"{path}.roles", most=MAX_DELEGATIONS)):
            place = f"{path}.roles[{index}]"
            role = self.members(item, place)
            self.delegated_role(role, place)
            name = str(role["name"])
            if name in names:
                raise self.refuse(f"{place}.name", "delegates to one role twice")
            names.add(name)

    def delegated_role(self, role: Object, path: str) -> None:
        name = self.text(role.get("name"), f"{path}.name")
        self.role_name(name, f"{path}.name")
        if not is_delegated(name):
            raise self.refuse(f"{path}.name", "must not be a top-level role")
        self.role(role, path)
        self.boolean(role.get("terminating"), f"{path}.terminating")
        if ("paths" in role) == ("path_hash_prefixes" in role):
            raise self.refuse(path, "must have either paths or path_hash_prefixes")
        member = "paths" if "paths" in role else "path_hash_prefixes"
        length = 0
        for index, pattern in enumerate(self.elements(role[member], f"{path}.{member}", most=MAX_PATHS)):
            if not isinstance(pattern, str):
                raise self.refuse(f"{path}.{member}[{index}]", "must be text")
            length += len(pattern)
        if length > MAX_PATHS_LENGTH:
            raise self.refuse(f"{path}.{member}", f"hold more than {MAX_PATHS_LENGTH} characters")

    def succinct_roles(self, role: Object) -> None:
        path = "signed.delegations.succinct_roles"
        self.role(role, path)
        self.text(role.get("name_prefix"), f"{path}.name_prefix")
        if self.integer(role.get("bit_length"), f"{path}.bit_length", 1) > _MAX_SUCCINCT_BITS:
            raise self.refuse(f"{path}.bit_length", f"must be {_MAX_SUCCINCT_BITS} or less")


def _payload(document: Object, raw: bytes) -> bytes:
    """Return the canonical form of `signed`, cut from `raw`, which must be the canonical form of `document`."""
    if document.keys() != {"signatures", "signed"}:
        return canonical_json.encode(document["signed"])
    opening = b'{"signatures":' + canonical_json.to_json(document["signatures"]) + b',"signed":'
    return canonical_json.from_json(raw[len(opening) : -1])
