"""Deny lists in a hook that stays: refreshed as any collection, before the allow list, and told when one is missing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import APP_IMAGE, EVIL, GOOD, good_collection
from tests.support.resident_node import SetClocks
from trustcli.errors import DenyListNotObtained
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.resident.configuration import JournalOutput, Source, load_configuration
from trustcli.hooks.resident.decider import ResidentDecider
from trustcli.hooks.resident.limits import ResidentLimits
from trustcli.hooks.resident.metrics import ResidentMetrics
from trustcli.registry.reference import parse_reference
from trustdata.errors import DigestDenied
from trustdata.gun import parse_gun
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

SECURITY = parse_gun("registry.example.com/security/denied")
ALLOWED = "registry.example.com/infra"


class Site:
    """A node whose policy names a deny list. `distributed`: its policy has a distributed part, which is nowhere."""

    def __init__(self, folder: Path, wire: WireFormat, *, distributed: bool = False) -> None:
        self.scene = good_collection(wire)
        self.security = RepositorySimulator(gun=SECURITY, wire=wire)
        self.owner = Owner(self.security)
        pin = self.owner.initialise()
        self.owner.deny(EVIL)
        self.home = Home(folder, self.scene.server, self.security)
        self.time = SetClocks(self.scene.server.at)
        policy = folder / "policy.toml"
        lists = f'[[deny_list]]\nname = "{SECURITY}"\npins = ["{pin}"]\n'
        more = f'[distributed]\nname = "{SECURITY}"\ntag = "none"\npins = ["{pin}"]\n' if distributed else ""
        policy.write_text(f'[[rule]]\nmatch = "{APP}"\npins = ["{self.scene.pin}"]\n{lists}{more}')
        (folder / "trust.toml").write_text(f'[verifier]\npolicy = "policy.toml"\nallow = ["{ALLOWED}"]\n')
        output = JournalOutput(stdout=io.StringIO(), stderr=io.StringIO(), as_json=False)
        source = Source(environ={"TRUST_HOME": str(folder)}, output=output, state=folder / "agent")
        self.decider = ResidentDecider(
            lambda: load_configuration(source),
            clocks=self.time.clocks(),
            limits=ResidentLimits(),
            metrics=ResidentMetrics(),
        )

    def decide(self, image: str = APP_IMAGE) -> Decision:
        return self.decider.decide(parse_reference(image))


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    without_network(monkeypatch)
    made = Site(tmp_path, request.param)
    yield made
    made.decider.stop()


def test_a_denial_counts_after_the_next_refresh(site: Site) -> None:
    assert site.decide().allowed
    assert site.decider.why_not_ready() == ""
    site.owner.deny(GOOD)
    site.time.pass_(seconds=61)
    assert isinstance(site.decide().refusal, DigestDenied)
    assert "1.0" not in site.decider.signed_tags(APP).tags
    asked = len(site.security.requests)
    assert isinstance(site.decide().refusal, DigestDenied)
    assert len(site.security.requests) == asked, "it is in memory"
    assert SECURITY in site.decider.remembered(APP)


def test_the_allow_list_does_not_go_before_it_and_runs_without_it(site: Site) -> None:
    assert site.decide(f"{ALLOWED}@sha256:{GOOD}").allowed
    assert isinstance(site.decide(f"{ALLOWED}@sha256:{EVIL}").refusal, DigestDenied)


def test_a_list_that_cannot_be_had_is_why_it_is_not_ready(site: Site) -> None:
    site.security.down = True
    assert isinstance(site.decide().refusal, DenyListNotObtained)
    assert f"the denied digests of {SECURITY} cannot be had" in site.decider.why_not_ready()
    started = site.decide(f"{ALLOWED}@sha256:{EVIL}")
    assert started.allowed
    assert any("cannot be had" in warning for warning in started.warnings)


def test_it_counts_for_the_allow_list_while_the_distributed_part_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_network(monkeypatch)
    site = Site(tmp_path, FORMATS["tuf-1.0"], distributed=True)
    try:
        assert not site.decide().allowed
        assert site.decide(f"{ALLOWED}@sha256:{GOOD}").allowed
        assert isinstance(site.decide(f"{ALLOWED}@sha256:{EVIL}").refusal, DigestDenied)
    finally:
        site.decider.stop()


def test_who_cannot_wait_is_told_nothing_before_every_list_is_young(site: Site) -> None:
    image = parse_reference(APP_IMAGE)
    allowed = site.decide()
    assert allowed.allowed
    assert site.decider.decide_at_once(image) == allowed
    site.owner.deny(GOOD)
    site.time.pass_(seconds=61)
    assert site.decider.decide_at_once(image) is None
    denied = site.decide()
    assert isinstance(denied.refusal, DigestDenied)
    told = site.decider.decide_at_once(image)
    assert told is not None
    assert isinstance(told.refusal, DigestDenied)


@pytest.mark.parametrize("wire", FORMATS.values(), ids=list(FORMATS))
def test_a_policy_with_a_distributed_part_is_never_decided_by_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat
) -> None:
    without_network(monkeypatch)
    site = Site(tmp_path, wire, distributed=True)
    try:
        assert not site.decide().allowed
        assert site.decider.decide_at_once(parse_reference(APP_IMAGE)) is None
    finally:
        site.decider.stop()
