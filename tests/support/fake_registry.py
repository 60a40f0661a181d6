"""A registry in memory behind `hostile_server`: who may read what, what it holds, and answers that a test puts in."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.hostile_server import Request, Script, Wire, json_reply, reply
from tests.support.images import image_parts

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CHALLENGE = 'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:x:pull"'


def digest_of(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An image: its manifest, and the digests of what that names. `children`: of an index.

    `architecture`: of one that an engine can unpack.
    """

    raw: bytes
    kind: str = MANIFEST
    config: str = ""
    layer: str = ""
    architecture: str = ""
    children: tuple[Stored, ...] = ()

    @property
    def digest(self) -> str:
        return digest_of(self.raw)


@dataclass(kw_only=True)
class FakeRegistry:
    """`readers`: repositories by value of Authorization; "" is everybody. `answers`: by `METHOD path`, instead of ours.

    `absent_for_strangers`: 404 in place of 401, as registries say that hide what they have.
    """

    readers: dict[str, set[str]] = field(default_factory=lambda: {"": {"app"}})
    manifests: dict[str, Stored] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    absent_for_strangers: bool = False
    answers: dict[str, Script] = field(default_factory=dict)

    def artifact(self, text: str, subject: Stored) -> Stored:
        """Store what somebody says of an image, with one layer and a config that says nothing."""
        return self.image(text, subject=subject, config=b"{}")

    def image(self, text: str, *, subject: Stored | None = None, config: bytes = b"") -> Stored:
        """Store an image with one layer."""
        config, layer = config or json.dumps({"config": text}).encode(), f"layer of {text}".encode()
        for blob in (config, layer):
            self.blobs[digest_of(blob)] = blob
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": "a/b", "digest": digest_of(config), "size": len(config)},
            "layers": [{"mediaType": "a/b", "digest": digest_of(layer), "size": len(layer)}],
        }
        if subject is not None:
            document["subject"] = {"mediaType": MANIFEST, "digest": subject.digest, "size": len(subject.raw)}
        return self._put(Stored(raw=json.dumps(document).encode(), config=digest_of(config), layer=digest_of(layer)))

    def runnable(self, text: str, *, architecture: str = "amd64") -> Stored:
        """Store an image that an engine can unpack."""
        parts = image_parts(text, architecture)
        config, layer = digest_of(parts.config), digest_of(parts.layer)
        self.blobs |= {config: parts.config, layer: parts.layer}
        return self._put(Stored(raw=parts.raw, config=config, layer=layer, architecture=architecture))

    def index(self, *children: Stored) -> Stored:
        """Store an index over images."""
        listed = [
            {
                "mediaType": child.kind,
                "digest": child.digest,
                "size": len(child.raw),
                **({"platform": {"architecture": child.architecture, "os": "linux"}} if child.architecture else {}),
            }
            for child in children
        ]
        raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
        return self._put(Stored(raw=raw, kind=INDEX, children=children))

    def _put(self, stored: Stored) -> Stored:
        self.manifests[stored.digest] = stored
        return stored

    def __call__(self, request: Request, wire: Wire) -> None:
        path = urlsplit(request.target).path
        if script := self.answers.get(f"{request.method} {path}"):
            script(request, wire)
            return
        who = request.headers.get("authorization", "")
        repository = path.removeprefix("/v2/").rsplit("/", 2)[0]
        if path != "/v2/" and repository not in self.readers.get(who, set()):
            self._send(wire, request, self._refusal())
        else:
            self._send(wire, request, self._answer(path, request))

    def _refusal(self) -> bytes:
        if self.absent_for_strangers:
            return json_reply(404, {"errors": [{"code": "NAME_UNKNOWN", "message": "unknown"}]})
        body = {"errors": [{"code": "UNAUTHORIZED", "message": "who are you?"}]}
        return json_reply(401, body, {"WWW-Authenticate": CHALLENGE})

    def _answer(self, path: str, request: Request) -> bytes:
        kind, name = path.split("/")[-2:]
        if path == "/v2/":
            return json_reply(200, {})
        if kind == "manifests":
            found = self.manifests.get(self.tags.get(name, name))
            if found is not None:
                return reply(200, found.raw, {"Content-Type": found.kind})
            return json_reply(404, {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "no such manifest"}]})
        if kind == "tags":
            return json_reply(200, {"name": "app", "tags": sorted(self.tags)})
        if kind == "blobs" and name in self.blobs:
            return self._blob(self.blobs[name], request.headers.get("range", ""))
        return json_reply(404, {"errors": [{"code": "BLOB_UNKNOWN", "message": "no such blob"}]})

    def _blob(self, blob: bytes, wanted: str) -> bytes:
        if not wanted:
            return reply(200, blob, {"Accept-Ranges": "bytes"})
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        part = blob[int(first) : int(last) + 1 if last else None]
        told = f"bytes {first}-{int(first) + len(part) - 1}/{len(blob)}"
        return reply(206, part, {"Content-Range": told})

    def _send(self, wire: Wire, request: Request, answer: bytes) -> None:
        wire.send(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if request.method == "HEAD" else answer)
