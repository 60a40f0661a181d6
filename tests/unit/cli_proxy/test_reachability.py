"""The index of what names what: bounded, thrown away when it is damaged, and of one repository at a time."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from trustcli.errors import SettingsUnusable
from trustcli.hooks.proxy import reachability
from trustcli.hooks.proxy.manifest_children import MAX_NAMED, Named, named_in
from trustcli.hooks.proxy.reachability import ReachabilityIndex
from trustcli.hooks.proxy.tag_order import newest_first


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


LAYER, IMAGE, INDEX = digest(1), digest(2), digest(3)


def filled(folder: Path, **more: int) -> ReachabilityIndex:
    index = ReachabilityIndex(folder, **more)
    index.add("app", IMAGE, Named(blobs=(LAYER,)))
    index.add("app", INDEX, Named(manifests=(IMAGE,)), tag="1.0")
    return index


def test_what_names_a_digest_the_nearest_first(tmp_path: Path) -> None:
    index = filled(tmp_path)
    assert index.above("app", LAYER, most=9) == [IMAGE, INDEX]
    assert index.above("app", LAYER, most=1) == [IMAGE]
    assert index.above("app", INDEX, most=9) == []
    assert index.manifests_in("app", INDEX) == [IMAGE]
    assert index.manifests_in("app", IMAGE) == []
    assert index.manifests_in("app", digest(4)) is None
    assert index.tags_of("app", INDEX) == ["1.0"]
    assert index.tags_of("app", IMAGE) == []
    index.close()
    again = ReachabilityIndex(tmp_path)
    assert again.above("app", LAYER, most=9) == [IMAGE, INDEX]
    again.close()


def test_other_repositories_hide_nothing(tmp_path: Path) -> None:
    """A base layer stands in the images of many."""
    index = filled(tmp_path)
    for number in range(10, 40):
        index.add("other", digest(number), Named(blobs=(LAYER,)))
    assert index.above("app", LAYER, most=2) == [IMAGE, INDEX]
    assert index.manifests_in("other", IMAGE) is None
    index.close()


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    index = filled(tmp_path, most=20)
    for number in range(10, 40):
        index.add("app", digest(number), Named(blobs=(digest(number + 100),)))
    assert index.above("app", LAYER, most=9) == []
    assert index.manifests_in("app", INDEX) is None
    assert index.above("app", digest(139), most=9) == [digest(39)]
    index.add("app", IMAGE, Named(blobs=(LAYER,)))
    assert index.above("app", LAYER, most=9) == [IMAGE]
    index.close()


def test_what_another_process_has_forgotten_is_stored_again(tmp_path: Path) -> None:
    index = filled(tmp_path)
    with sqlite3.connect(tmp_path / "reachable.db") as other:
        other.execute("DELETE FROM seen")
    other.close()
    assert index.manifests_in("app", IMAGE) is None
    index.add("app", IMAGE, Named(blobs=(LAYER,)))
    assert index.above("app", LAYER, most=9) == [IMAGE]
    index.close()


def test_few_are_known_to_be_stored_without_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability, "_MOST_STORED", 3)
    index = ReachabilityIndex(tmp_path)
    for number in (*range(10, 20), *range(10, 20)):
        index.add("app", digest(number), Named(blobs=(digest(number + 100),)))
    assert len(index._stored) == 3
    assert index.above("app", digest(110), most=9) == [digest(10)]
    index.close()


def test_one_manifest_has_few_tags(tmp_path: Path) -> None:
    index = filled(tmp_path)
    for number in range(40):
        index.add("app", INDEX, Named(manifests=(IMAGE,)), tag=f"2.{number}")
    assert len(index.tags_of("app", INDEX)) == 16
    index.close()


@pytest.mark.parametrize("content", [b"no database at all, but longer than a header is" * 100, b""])
def test_a_damaged_file_is_thrown_away(tmp_path: Path, content: bytes) -> None:
    filled(tmp_path).close()
    for file in tmp_path.iterdir():
        file.unlink()
    (tmp_path / "reachable.db").write_bytes(content)
    index = filled(tmp_path)
    assert index.above("app", LAYER, most=9) == [IMAGE, INDEX]
    index.close()


def test_a_file_of_another_version_is_thrown_away(tmp_path: Path) -> None:
    filled(tmp_path).close()
    database = sqlite3.connect(tmp_path / "reachable.db")
    database.execute("PRAGMA user_version = 7")
    database.close()
    index = ReachabilityIndex(tmp_path)
    assert index.above("app", LAYER, most=9) == []
    index.close()


def test_a_file_that_is_damaged_while_it_is_used(tmp_path: Path) -> None:
    index = filled(tmp_path)
    index._database.execute("DROP TABLE seen")
    assert index.above("app", LAYER, most=9) == []
    index.add("app", IMAGE, Named(blobs=(LAYER,)))
    assert index.above("app", LAYER, most=9) == [IMAGE]
    index.close()


def test_without_a_disk_it_goes_on_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = filled(tmp_path)

    def full(self: Path, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "unlink", full)
    index._database.execute("DROP TABLE seen")
    assert index.above("app", LAYER, most=9) == []
    index.add("app", IMAGE, Named(blobs=(LAYER,)))
    assert index.above("app", LAYER, most=9) == [IMAGE]
    index.close()


def test_what_is_kept_in_memory_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not become full memory."""
    monkeypatch.setattr(reachability, "_MOST_PAGES_IN_MEMORY", 40)
    index = filled(tmp_path)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    index._database.execute("DROP TABLE seen")
    for number in range(10, 40):
        blobs = tuple(digest(number * 1000 + blob) for blob in range(100))
        index.add("app", digest(number), Named(blobs=blobs))
        (pages,) = index._database.execute("PRAGMA page_count").fetchone()
        assert pages <= 40
    index.add("app", IMAGE, Named(blobs=(LAYER,)))
    assert index.above("app", LAYER, most=9) == [IMAGE]
    index.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsUnusable, match="file"):
        ReachabilityIndex(tmp_path / "file" / "below")


def test_what_a_manifest_names() -> None:
    one = f'{{"config": {{"digest": "{LAYER}"}}, "layers": [{{"digest": "{LAYER}"}}, {{"digest": "md5:1"}}, 7]}}'
    assert named_in(one.encode()) == Named(blobs=(LAYER,))
    kind = "application/vnd.oci.image.index.v1+json"
    listed = f'{{"digest": "{INDEX}", "mediaType": "{kind}"}}, {{"digest": "{IMAGE}", "mediaType": "a/b"}}'
    two = f'{{"manifests": [{listed}]}}'
    assert named_in(two.encode()) == Named(manifests=(INDEX, IMAGE), indexes=frozenset({INDEX}))


@pytest.mark.parametrize("raw", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_manifest(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        named_in(raw)


def test_a_manifest_that_names_too_much() -> None:
    entries = ",".join(f'{{"digest": "{digest(number)}"}}' for number in range(MAX_NAMED + 1))
    with pytest.raises(ValueError, match="more than"):
        named_in(f'{{"layers": [{entries}]}}'.encode())


def test_the_newest_tags_come_first() -> None:
    tags = ["1.9", "latest", "1.10", "1.2-alpine", "v2", "1.2"]
    assert newest_first(tags) == ["latest", "v2", "1.10", "1.9", "1.2-alpine", "1.2"]
