"""Container images built from nothing, as OCI layouts that skopeo copies into a registry."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """`raw` is the manifest or index itself, `digest` (`sha256:HEX`) its hash, `children` bare hex."""

    layout: Path
    digest: str
    raw: bytes
    children: tuple[str, ...]

    @property
    def source(self) -> str:
        """How skopeo is told of it."""
        return f"oci:{self.layout}"


@dataclass(frozen=True, kw_only=True)
class ImageParts:
    """An image of one platform and one layer that is stored nowhere yet. `raw`: its manifest."""

    raw: bytes
    config: bytes
    layer: bytes


def image_parts(text: str, architecture: str) -> ImageParts:
    """What an engine can run, or at least unpack; other `text` gives another digest."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        member = tarfile.TarInfo("hello.txt")
        member.size = len(text.encode())
        archive.addfile(member, io.BytesIO(text.encode()))
    layer = gzip.compress(tar.getvalue(), mtime=0)
    config = _json(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar.getvalue())]},
        }
    )
    named = {"config": _described(config, CONFIG), "layers": [_described(layer, LAYER)]}
    raw = _json({"schemaVersion": 2, "mediaType": MANIFEST, **named})
    return ImageParts(raw=raw, config=config, layer=layer)


def build_image(layout: Path, *, text: str = "hello", architecture: str = "amd64") -> BuiltImage:
    """One platform; other `text` gives another digest."""
    _start(layout)
    descriptor, raw = _manifest(layout, text, architecture)
    _finish(layout, descriptor)
    return BuiltImage(layout=layout, digest=str(descriptor["digest"]), raw=raw, children=())


def build_index(
    layout: Path, *, text: str = "hello", architectures: tuple[str, ...] = ("amd64", "arm64")
) -> BuiltImage:
    """One index over several platforms."""
    _start(layout)
    built = [_manifest(layout, text, architecture)[0] for architecture in architectures]
    raw = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": built})
    descriptor = _blob(layout, raw, INDEX)
    _finish(layout, descriptor)
    children = tuple(str(child["digest"]).removeprefix("sha256:") for child in built)
    return BuiltImage(layout=layout, digest=str(descriptor["digest"]), raw=raw, children=children)


def build_artifact(layout: Path, subject: BuiltImage, *, runnable: bool) -> BuiltImage:
    """What somebody attaches to an image. `runnable`: its config is an image's, and two members say of which type."""
    _start(layout)
    _, raw = _manifest(layout, "attached", "amd64")
    document = json.loads(raw)
    if not runnable:
        document["config"] = _blob(layout, b"{}", CONFIG)
    document["config"] |= {"mediaType": "application/vnd.example.sbom", **({"MediaType": CONFIG} if runnable else {})}
    document["subject"] = {"mediaType": INDEX, "digest": subject.digest, "size": len(subject.raw)}
    raw = _json(document)
    descriptor = _blob(layout, raw, MANIFEST)
    _finish(layout, descriptor)
    return BuiltImage(layout=layout, digest=str(descriptor["digest"]), raw=raw, children=())


def _start(layout: Path) -> None:
    (layout / "blobs" / "sha256").mkdir(parents=True)
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def _finish(layout: Path, descriptor: Mapping[str, object]) -> None:
    (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor]}))


def _manifest(layout: Path, text: str, architecture: str) -> tuple[dict[str, object], bytes]:
    parts = image_parts(text, architecture)
    for blob in (parts.layer, parts.config):
        _blob(layout, blob, "")
    descriptor = _blob(layout, parts.raw, MANIFEST)
    return {**descriptor, "platform": {"architecture": architecture, "os": "linux"}}, parts.raw


def _blob(layout: Path, data: bytes, media_type: str) -> dict[str, object]:
    descriptor = _described(data, media_type)
    (layout / "blobs" / "sha256" / _digest(data).removeprefix("sha256:")).write_bytes(data)
    return descriptor


def _described(data: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(data), "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
