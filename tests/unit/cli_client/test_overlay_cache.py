"""A cache over another: it sees everything, and leaves what is below as it was."""

from __future__ import annotations

from trustcli.client.memory_cache import MemoryCache
from trustcli.client.overlay_cache import OverlayCache
from trustdata.roles import TARGETS, TIMESTAMP


def filled() -> MemoryCache:
    cache = MemoryCache()
    for version in (1, 2):
        cache.store_root(version, b"root %d" % version)
    cache.store(TARGETS, b"targets")
    return cache


def test_reads_what_is_below() -> None:
    overlay = OverlayCache(filled())
    assert overlay.roots() == [b"root 1", b"root 2"]
    assert (overlay.load(TARGETS), overlay.load(TIMESTAMP)) == (b"targets", None)


def test_keeps_what_is_new_to_itself() -> None:
    below = filled()
    overlay = OverlayCache(below)
    overlay.store_root(3, b"root 3")
    overlay.store(TARGETS, b"newer")
    overlay.store(TIMESTAMP, b"timestamp")
    assert overlay.roots() == [b"root 1", b"root 2", b"root 3"]
    assert (overlay.load(TARGETS), overlay.load(TIMESTAMP)) == (b"newer", b"timestamp")
    overlay.drop(TARGETS)
    overlay.drop_roots()
    assert (overlay.load(TARGETS), overlay.roots()) == (None, [])
    overlay.store_root(1, b"another chain")
    assert overlay.roots() == [b"another chain"]
    assert (below.roots(), below.load(TARGETS), below.load(TIMESTAMP)) == ([b"root 1", b"root 2"], b"targets", None)


def test_what_is_left_out_stays_out() -> None:
    """Roots after a gap do not count."""
    overlay = OverlayCache(filled())
    overlay.store_root(4, b"root 4")
    assert overlay.roots() == [b"root 1", b"root 2"]
