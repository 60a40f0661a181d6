"""Notary v1 documents written, signed and uploaded by hand: states that no client makes. No code of ours has a part."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.notary_client import NotaryUser, digest_of
from tests.support.notary_keys import HandKey, new_ecdsa
from tests.support.trust_servers import Answer, NotaryApi

Document = dict[str, Any]
_WIDTH = 32
_BOUNDARY = "0f" * 30


def canonical(value: object) -> bytes:
    """The form that is signed; the tests' documents hold nothing that it would have to escape."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def key_object(key: HandKey, *, certificate: bool = False) -> Document:
    """A public key as it stands in a document."""
    if certificate:
        public, kind = key.certificate, f"{key.kind}-x509"
    else:
        public, kind = key.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), key.kind
    return {"keytype": kind, "keyval": {"private": None, "public": base64.b64encode(public).decode()}}


def key_id(key: Mapping[str, Any]) -> str:
    """The id of a key object."""
    return hashlib.sha256(canonical(key)).hexdigest()


def signature(key: HandKey, signed: Document, *, certificate: bool = False) -> Document:
    """One signature, by the key or by its certificate."""
    if isinstance(key.private, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.private.sign(canonical(signed), ec.ECDSA(SHA256())))
        method, value = "ecdsa", r.to_bytes(_WIDTH) + s.to_bytes(_WIDTH)
    else:
        pss = padding.PSS(padding.MGF1(SHA256()), _WIDTH)
        method, value = "rsapss", key.private.sign(canonical(signed), pss, SHA256())
    keyid = key_id(key_object(key, certificate=certificate))
    return {"keyid": keyid, "method": method, "sig": base64.b64encode(value).decode()}


def envelope(signed: Document, *signatures: Document) -> bytes:
    """A whole file."""
    # The server hashes a root as Go would write it again: `signed` first, its members sorted.
    return b'{"signed":' + canonical(signed) + b',"signatures":' + canonical(list(signatures)) + b"}"


def file_meta(raw: bytes) -> Document:
    """What a snapshot or a timestamp says of a file."""
    hashes = {name: base64.b64encode(hashlib.new(name, raw).digest()).decode() for name in ("sha256", "sha512")}
    return {"hashes": hashes, "length": len(raw)}


def target(digest: str, *, size: int = 10, **more: object) -> Document:
    """What targets say of a tag; `digest` is bare hex."""
    return {"hashes": {"sha256": base64.b64encode(bytes.fromhex(digest)).decode()}, "length": size, **more}


def upload(server: NotaryApi, gun: str, files: Mapping[str, bytes]) -> Answer:
    """POST of these files, by role."""
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{role}"\r\n'.encode()
        + b"Content-Type: application/octet-stream\r\n\r\n"
        + raw
        + b"\r\n"
        for role, raw in files.items()
    ]
    # An upload of nothing is what `docker push` sends of an unchanged tag.
    body = b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode() if parts else f"\r\n--{_BOUNDARY}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    return server.request(f"/v2/{gun}/_trust/tuf/", method="POST", headers=kind, body=body)


@dataclass
class HandCollection:
    """A collection whose owner holds all keys but the timestamp's. Versions and contents are the test's to set.

    `gives_snapshot`: as docker makes it, the server holds the snapshot's key, too.
    """

    server: NotaryApi
    gun: str
    roots: list[HandKey] = field(default_factory=list)
    targets: dict[str, Document] = field(default_factory=dict)
    lifetime: Mapping[str, timedelta] = field(default_factory=dict)
    version: int = 1
    gives_snapshot: bool = False

    def __post_init__(self) -> None:
        self.roots = self.roots or [new_ecdsa(self.gun)]
        self.targets_key, self.snapshot_key = new_ecdsa("targets"), new_ecdsa("snapshot")
        self.timestamp = json.loads(self.server.file(self.gun, "timestamp.key").body)
        self.snapshot = key_object(self.snapshot_key)
        if self.gives_snapshot:
            self.snapshot = json.loads(self.server.file(self.gun, "snapshot.key").body)

    def expires(self, role: str) -> str:
        """Ten years from now, of a snapshot three, unless `lifetime` says otherwise."""
        usual = timedelta(days=1095 if role == "snapshot" else 3650)
        until = datetime.now(UTC) + self.lifetime.get(role, usual)
        return until.strftime("%Y-%m-%dT%H:%M:%SZ")  # Go would write a fraction without its last zeros again

    def root(self, *, version: int = 1, signers: Sequence[HandKey] | None = None) -> bytes:
        """Threshold 1; signed by all its keys, or by `signers`."""
        keys = [key_object(root, certificate=True) for root in self.roots]
        held = {"targets": key_object(self.targets_key), "snapshot": self.snapshot, "timestamp": self.timestamp}
        roles = {role: {"keyids": [key_id(key)], "threshold": 1} for role, key in held.items()}
        roles["root"] = {"keyids": [key_id(key) for key in keys], "threshold": 1}
        signed = {
            "_type": "Root",
            "consistent_snapshot": False,
            "expires": self.expires("root"),
            "keys": {key_id(key): key for key in [*keys, *held.values()]},
            "roles": roles,
            "version": version,
        }
        signing = self.roots if signers is None else signers
        return envelope(signed, *(signature(root, signed, certificate=True) for root in signing))

    def signed_targets(self, **more: object) -> Document:
        """The payload of targets."""
        return {
            "_type": "Targets",
            "delegations": {"keys": {}, "roles": []},
            "expires": self.expires("targets"),
            "targets": self.targets,
            "version": self.version,
            **more,
        }

    def with_snapshot(self, files: Mapping[str, bytes]) -> dict[str, bytes]:
        """These files and the snapshot that lists them."""
        signed = {
            "_type": "Snapshot",
            "expires": self.expires("snapshot"),
            "meta": {role: file_meta(raw) for role, raw in files.items()},
            "version": self.version,
        }
        return {**files, "snapshot": envelope(signed, signature(self.snapshot_key, signed))}

    def targets_file(self) -> bytes:
        """Targets as the test has set them."""
        signed = self.signed_targets()
        return envelope(signed, signature(self.targets_key, signed))

    def files(self, *, signers: Sequence[HandKey] | None = None) -> dict[str, bytes]:
        """Root and targets of the first version, and the snapshot if it is the owner's."""
        files = {"root": self.root(signers=signers), "targets": self.targets_file()}
        return files if self.gives_snapshot else self.with_snapshot(files)

    def publish(self, files: Mapping[str, bytes] | None = None) -> None:
        """Upload; must be taken."""
        answer = upload(self.server, self.gun, self.files() if files is None else files)
        assert answer.status == 200, answer.body

    def give_keys_to(self, user: NotaryUser, *, root: int = 0) -> None:
        """The keys of targets and snapshot, and one of the root keys."""
        for role, key, gun in (
            ("root", self.roots[root], ""),
            ("targets", self.targets_key, self.gun),
            ("snapshot", self.snapshot_key, self.gun),
        ):
            files = key.write(user.folder, f"{role}-{root}")
            user.run("key", "import", files.private, "--role", role, *(["--gun", gun] if gun else []))


@pytest.fixture
def hand(peer_server: NotaryApi, collection: str) -> HandCollection:
    """A collection with one tag, not published yet; its owner signs snapshots."""
    return HandCollection(peer_server, collection, targets={"1.0": target(digest_of("1.0"))})


@pytest.fixture
def published(hand: HandCollection) -> dict[str, bytes]:
    """The files of that collection, published."""
    files = hand.files()
    hand.publish(files)
    return files


def without_root(files: dict[str, bytes]) -> dict[str, bytes]:
    return {role: raw for role, raw in files.items() if role != "root"}


def hand_snapshot(hand: HandCollection, published: dict[str, bytes]) -> dict[str, bytes]:
    """New targets, and a snapshot that lists the root that is there."""
    signed = hand.signed_targets()
    targets = envelope(signed, signature(hand.targets_key, signed))
    return without_root(hand.with_snapshot({"root": published["root"], "targets": targets}))
