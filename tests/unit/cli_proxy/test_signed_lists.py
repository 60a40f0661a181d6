"""Lists of signed tags are kept for a moment, the longer the dearer they are; what they lead to is decided anew."""

from __future__ import annotations

import pytest

from tests.support.fake_registry import Stored
from tests.support.proxy_stage import ProxyStage
from tests.support.set_decider import SetDecider
from trustcli.errors import RemoteUnreachable
from trustcli.hooks.deciding.decision import SignedTags
from trustcli.hooks.proxy import signed_lists
from trustcli.hooks.proxy.signed_lists import SignedLists
from trustdata.gun import GUN, parse_gun

APP, OTHER = parse_gun("registry.example.com/app"), parse_gun("registry.example.com/other")


class Costly(SetDecider):
    """Each list takes `seconds` of a processor. `now`, `used`: the clocks."""

    now, used, seconds = 100.0, 0.0, 0.2

    def signed_tags(self, gun: GUN) -> SignedTags:
        self.used += self.seconds
        return super().signed_tags(gun)

    def lists(self) -> SignedLists:
        return SignedLists(self, clock=lambda: self.now, cost=lambda: self.used)


@pytest.mark.parametrize(("seconds", "kept"), [(0.2, 2.0), (60.0, 5.0)])
def test_a_list_counts_ten_times_as_long_as_it_took(seconds: float, kept: float) -> None:
    decider = Costly(signed={"1.0": "sha256:1"})
    decider.seconds = seconds
    lists = decider.lists()
    for _ in range(3):
        assert lists.of(APP).tags == {"1.0": "sha256:1"}
    assert decider.asked == [f"tags of {APP}"]
    decider.now += kept
    lists.of(APP)
    lists.of(OTHER)
    assert len(decider.asked) == 3


def test_what_costs_little_is_made_anew() -> None:
    decider = Costly(signed={"1.0": "sha256:1"})
    decider.seconds = 0.001
    lists = decider.lists()
    lists.of(APP)
    lists.of(APP)
    assert len(decider.asked) == 2


def test_a_refusal_is_not_kept() -> None:
    decider = Costly(refusal=RemoteUnreachable(remote="https://trust.example", reason="no answer in time"))
    lists = decider.lists()
    assert lists.of(APP).refusal is not None
    decider.refusal = None
    assert lists.of(APP).refusal is None


@pytest.mark.parametrize("bound", ["_MOST", "_MOST_TAGS"])
def test_few_are_kept(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    monkeypatch.setattr(signed_lists, bound, 1)
    decider = Costly(signed={"1.0": "sha256:1"})
    lists = decider.lists()
    for name in (APP, OTHER, OTHER, APP):
        lists.of(name)
    assert decider.asked == [f"tags of {name}" for name in (APP, OTHER, APP)]


@pytest.mark.allow_hosts(["127.0.0.1"])
@pytest.mark.parametrize("is_known", [False, True])
def test_what_was_revoked_a_moment_ago_is_refused(
    stage: ProxyStage, monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    monkeypatch.setattr(signed_lists, "_TIMES", 1e9)
    monkeypatch.setattr(signed_lists, "_DEAR", 0.0)
    images: list[Stored] = [stage.registry.image(text) for text in ("one", "two")]
    stage.decider.signed.update({"1": images[0].digest, "2": images[1].digest})
    with stage.running():
        assert stage.get("/v2/app/tags/list").json["tags"] == ["1", "2"]
        if is_known:
            assert stage.get("/v2/app/manifests/1").status == 200
        del stage.decider.signed["1"]
        assert stage.get(f"/v2/app/blobs/{images[0].layer}").status == 403
        assert stage.get(f"/v2/app/blobs/{images[1].layer}").status == 200
        assert stage.decider.asked.count("tags of registry.example:5000/app") == 1
