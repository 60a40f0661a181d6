"""The search of signed images: what is known of them is walked through once, and not for every digest that is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast

import pytest

from trustcli.hooks.proxy.manifest_children import Named
from trustcli.hooks.proxy.reachability import ReachabilityIndex
from trustcli.hooks.proxy.signed_search import SignedSearch
from trustcli.hooks.proxy.upstream import Caller, FetchedManifest, Upstream, UpstreamSays


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


LAYER, IMAGE, INDEX, OTHER = (digest(number) for number in range(1, 5))
NOWHERE = digest(99)
TAGS = {"1.0": INDEX, "2.0": OTHER}
NAMED = {IMAGE: Named(blobs=(LAYER,)), INDEX: Named(manifests=(IMAGE,)), OTHER: Named(blobs=(LAYER,))}


class CountedIndex(ReachabilityIndex):
    """Counts how often it is asked what a manifest names."""

    asked = 0

    def manifests_in(self, repository: str, digest: str, *, indexes_only: bool = False) -> list[str] | None:
        self.asked += 1
        return super().manifests_in(repository, digest, indexes_only=indexes_only)


class Registry:
    """Has these manifests, for everybody but `hidden_from`."""

    def __init__(self, *, hidden_from: str = "nobody") -> None:
        self.hidden_from = hidden_from
        self.fetched: list[str] = []

    def manifest(self, _repository: str, reference: str, caller: Caller, **_: Any) -> FetchedManifest:
        self.fetched.append(reference)
        if caller.authorization == self.hidden_from:
            raise UpstreamSays(404, [], b"")
        return FetchedManifest(digest=reference, raw=b"", media_type="", named=NAMED[reference])


Opening = Callable[[], CountedIndex]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opening]:
    """Opens one index as often as it is called, each time as another process would, and closes all."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(CountedIndex(tmp_path, most=10)))


def filled(index: CountedIndex) -> CountedIndex:
    for each, named in NAMED.items():
        index.add("app", each, named)
    return index


def searching(index: ReachabilityIndex, registry: Registry | None = None) -> SignedSearch:
    return SignedSearch(index, cast("Upstream", registry or Registry()))


@pytest.mark.parametrize("is_blob", [True, False])
def test_what_is_known_is_walked_through_once(opened: Opening, *, is_blob: bool) -> None:
    index, registry = filled(opened()), Registry()
    search = searching(index, registry)
    assert search.finds("app", NOWHERE, TAGS, Caller(), is_blob=is_blob) is None
    assert index.asked == (3 if is_blob else 2)
    for number in range(5):
        assert search.finds("app", digest(100 + number), TAGS, Caller(), is_blob=is_blob) is None
    assert index.asked == (3 if is_blob else 2)
    assert registry.fetched == []
    new = {**TAGS, "3.0": IMAGE}
    assert search.finds("app", NOWHERE, new, Caller(), is_blob=is_blob) is None
    assert index.asked == (4 if is_blob else 3)


def test_for_a_manifest_less_is_looked_at_than_for_a_blob(opened: Opening) -> None:
    """Platforms are not fetched to find a manifest: that nothing is left for one says nothing about the other."""
    index, registry = opened(), Registry()
    index.add("app", INDEX, NAMED[INDEX])
    search = searching(index, registry)
    only = {"1.0": INDEX}
    assert search.finds("app", NOWHERE, only, Caller(), is_blob=False) is None
    assert search.finds("app", LAYER, only, Caller(), is_blob=True) == INDEX
    assert registry.fetched == [IMAGE]


def test_what_one_caller_does_not_see_is_searched_for_another(opened: Opening) -> None:
    index, registry = opened(), Registry(hidden_from="stranger")
    index.add("app", INDEX, NAMED[INDEX])
    search, only = searching(index, registry), {"1.0": INDEX}
    for _ in range(2):
        assert search.finds("app", LAYER, only, Caller(authorization="stranger"), is_blob=True) is None
    assert search.finds("app", LAYER, only, Caller(authorization="friend"), is_blob=True) == INDEX


def test_what_was_closed_is_searched_when_it_is_open(opened: Opening) -> None:
    index, registry = opened(), Registry()
    index.add("app", INDEX, NAMED[INDEX])
    search, only = searching(index, registry), {"1.0": INDEX}
    for _ in range(2):
        closed = search.finds("app", LAYER, only, Caller(), is_blob=True, is_closed=lambda each: each == IMAGE)
        assert closed is None
    assert search.finds("app", LAYER, only, Caller(), is_blob=True) == INDEX


@pytest.mark.parametrize("by", ["this process", "another process", "damage"])
def test_what_was_forgotten_is_searched_again(opened: Opening, by: str) -> None:
    index, registry = filled(opened()), Registry()
    search = searching(index, registry)
    assert search.finds("app", NOWHERE, TAGS, Caller(), is_blob=True) is None
    if by == "damage":
        index._database.execute("DROP TABLE seen")
        assert index.above("app", LAYER, most=9) == []
    else:
        adding = index if by == "this process" else opened()
        for number in range(1000, 1030):
            adding.add("other", digest(number), Named())
    assert search.finds("app", LAYER, TAGS, Caller(), is_blob=True) is not None
    assert registry.fetched
