"""What manifests say, read once for the same bytes: facts, of few of them, and never what upstream says of them."""

from __future__ import annotations

import json

import pytest

from tests.support.fake_registry import INDEX, MANIFEST, FakeRegistry, digest_of
from trustcli.hooks.proxy import manifest_reading
from trustcli.hooks.proxy.manifest_children import MAX_NAMED
from trustcli.hooks.proxy.manifest_reading import ImageNotServed, ManifestReader, Reading


def read(reader: ManifestReader, raw: bytes, *, told: str = MANIFEST) -> Reading:
    return reader.read(raw, digest=digest_of(raw), told=told, name="app:1.0")


def test_the_same_bytes_are_read_once() -> None:
    reader, image = ManifestReader(), FakeRegistry().image("one")
    first = read(reader, image.raw)
    assert first.media_type == MANIFEST
    assert first.named.blobs == (image.config, image.layer)
    assert read(reader, image.raw) is first


def test_what_upstream_says_of_them_is_judged_each_time() -> None:
    reader, image = ManifestReader(), FakeRegistry().image("one")
    read(reader, image.raw)
    for _ in range(2):
        with pytest.raises(ImageNotServed, match=r"app:1\.0 is not handed out: the registry calls it"):
            read(reader, image.raw, told=INDEX)


def test_a_manifest_that_names_too_much_is_not_handed_out() -> None:
    layers = [{"digest": f"sha256:{number:064x}"} for number in range(MAX_NAMED + 1)]
    raw = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {}, "layers": layers}).encode()
    with pytest.raises(ImageNotServed, match=f"app:1.0 is not handed out: it names more than {MAX_NAMED} digests"):
        read(ManifestReader(), raw)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, registry = ManifestReader(), FakeRegistry()
    monkeypatch.setattr(manifest_reading, "_MOST", 2)
    raws = [registry.image(text).raw for text in "abc"]
    kept = [read(reader, raw) for raw in raws]
    assert [read(reader, raw) is known for raw, known in zip(raws[1:], kept[1:], strict=True)] == [True, True]
    assert read(reader, raws[0]) is not kept[0]
    monkeypatch.setattr(manifest_reading, "_MOST_BYTES", len(raws[0]) - 1)
    large = registry.image("larger than the others").raw
    assert read(reader, large) is not read(reader, large)
    monkeypatch.setattr(manifest_reading, "_MOST_BYTES", len(large))
    told = f"{MANIFEST}; {'x' * 100}"
    assert read(reader, large, told=told) is not read(reader, large, told=told)
