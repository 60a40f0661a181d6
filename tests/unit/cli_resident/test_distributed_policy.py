"""A distributed policy in a hook that stays: refreshed as any collection, fetched once, and told when it cannot be."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import APP_IMAGE, good_collection
from tests.support.policy_artifacts import policy_artifact
from tests.support.resident_node import SetClocks
from trustcli.errors import PolicyNotObtained
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.deciding.distributed import DistributedPolicy
from trustcli.hooks.resident.configuration import JournalOutput, Source, load_configuration
from trustcli.hooks.resident.decider import ResidentDecider
from trustcli.hooks.resident.limits import ResidentLimits
from trustcli.hooks.resident.metrics import ResidentMetrics
from trustcli.registry.reference import parse_reference
from trustcli.session import Session
from trustcli.state.kept_policy import KeptPolicyFile
from trustdata.errors import PolicyRefused
from trustdata.gun import parse_gun
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

RULES = parse_gun("registry.example.com/policies/nodes")
HARMLESS = '[[rule]]\nmatch = "*"\n'
DENIES = f'[[rule]]\nmatch = "{APP}"\nmode = "deny"\n'
ALLOWED = "registry.example.com/infra"


class Site:
    """A node whose policy names a distributed one. `fetched`: what the registry was asked for."""

    def __init__(self, folder: Path, wire: WireFormat) -> None:
        self.scene = good_collection(wire)
        self.rules = RepositorySimulator(gun=RULES, wire=wire)
        self.owner = Owner(self.rules)
        pin = self.owner.initialise()
        self.home = Home(folder, self.scene.server, self.rules)
        self.home.contents = {}
        self.fetched = self.home.fetched
        self.time = SetClocks(self.scene.server.at)
        self.journal = io.StringIO()
        policy = folder / "policy.toml"
        table = f'[distributed]\nname = "{RULES}"\ntag = "now"\npins = ["{pin}"]\n'
        policy.write_text(f'[[rule]]\nmatch = "*"\npins = ["{self.scene.pin}"]\n{table}')
        (folder / "trust.toml").write_text(f'[verifier]\npolicy = "policy.toml"\nallow = ["{ALLOWED}"]\n')
        output = JournalOutput(stdout=self.journal, stderr=self.journal, as_json=False)
        self.source = Source(environ={"TRUST_HOME": str(folder)}, output=output, state=folder / "agent")
        self.decider = self.started()

    def started(self) -> ResidentDecider:
        return ResidentDecider(
            lambda: load_configuration(self.source),
            clocks=self.time.clocks(),
            limits=ResidentLimits(),
            metrics=ResidentMetrics(),
        )

    def publish(self, text: str) -> None:
        pushed = policy_artifact(text)
        if self.home.contents is not None:
            self.home.contents |= pushed.contents
        self.owner.sign("now", pushed.digest.removeprefix("sha256:"))

    def decide(self, image: str = APP_IMAGE) -> Decision:
        return self.decider.decide(parse_reference(image))

    @property
    def refusal(self) -> BaseException | None:
        return self.decide().refusal


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    without_network(monkeypatch)
    made = Site(tmp_path, request.param)
    monkeypatch.setattr(Session, "registry", lambda session: made.home.registry())
    yield made
    made.decider.stop()


def test_a_new_one_counts_after_the_next_refresh(site: Site) -> None:
    site.publish(HARMLESS)
    assert site.decide().allowed
    fetched = len(site.fetched)
    site.publish(DENIES)
    assert site.decide().allowed
    site.time.pass_(seconds=61)
    assert isinstance(site.refusal, PolicyRefused)
    assert len(site.fetched) == fetched + 2
    asked = len(site.rules.requests)
    for _ in range(3):
        assert isinstance(site.refusal, PolicyRefused)
    assert (len(site.fetched), len(site.rules.requests)) == (fetched + 2, asked), "it is in memory"


def test_without_it_only_the_allow_list_runs(site: Site) -> None:
    assert isinstance(site.refusal, PolicyNotObtained)
    assert str(RULES) in site.decider.why_not_ready()
    assert isinstance(site.decider.signed_tags(APP).refusal, PolicyNotObtained)
    assert site.decide(f"{ALLOWED}:1").allowed
    assert site.decider.signed_tags(parse_gun(ALLOWED)).any_content
    site.publish(HARMLESS)
    site.time.pass_(seconds=61)
    assert site.decide().allowed
    assert site.decider.why_not_ready() == ""
    assert set(site.decider.signed_tags(APP).tags) == {"1.0", "2.0"}


def test_metrics_say_until_when_it_counts(site: Site) -> None:
    def told() -> tuple[float, float]:
        page = site.decider.metrics.text().decode()
        found = [line.split() for line in page.splitlines() if line.startswith("trust_distributed_policy_")]
        values = {name: float(value) for name, value in found}
        return (
            values["trust_distributed_policy_expiry_timestamp_seconds"],
            values["trust_distributed_policy_newest"],
        )

    assert told() == (0.0, 0.0)
    site.publish(HARMLESS)
    site.time.pass_(seconds=61)
    until = (site.rules.at + site.rules.wire.lifetimes.timestamp).timestamp()
    assert told() == (until, 1.0)
    site.home.contents = None
    site.publish(DENIES)
    site.time.pass_(seconds=61)
    assert told() == (until, 0.0)
    (site.home.folder / "policy.toml").write_text("[[rule]]\nmatch = 7\n")
    assert "trust_distributed_policy" not in site.decider.metrics.text().decode()
    (site.home.folder / "trust.toml").write_text("nonsense")
    assert "trust_distributed_policy" not in site.decider.metrics.text().decode()


def test_a_trust_server_that_is_away_is_told(site: Site) -> None:
    site.publish(DENIES)
    assert isinstance(site.refusal, PolicyRefused)
    site.rules.down = True
    site.time.pass_(seconds=61)
    for _ in range(3):
        assert isinstance(site.refusal, PolicyRefused)
    assert site.journal.getvalue().count(" at most, since ") == 1
    assert "trust_distributed_policy_newest 0.0" in site.decider.metrics.text().decode()


def test_tags_that_alone_may_run_are_listed(site: Site) -> None:
    site.publish(f'[[rule]]\nmatch = "{APP}"\nmode = "deny"\n[[rule]]\nmatch = "{APP}"\ntags = ["1.*"]\n')
    assert set(site.decider.signed_tags(APP).tags) == {"1.0"}
    site.publish(DENIES)
    site.time.pass_(seconds=61)
    assert isinstance(site.decider.signed_tags(APP).refusal, PolicyRefused)


def test_a_registry_that_is_away_is_asked_again_later(site: Site) -> None:
    site.publish(DENIES)
    assert isinstance(site.refusal, PolicyRefused)
    site.home.contents = None
    site.publish(HARMLESS)
    site.time.pass_(seconds=61)
    before = len(site.fetched)
    for _ in range(5):
        assert isinstance(site.refusal, PolicyRefused)
    assert len(site.fetched) == before + 1
    assert site.journal.getvalue().count("until") == 1, "it is told once"
    site.time.pass_(seconds=11)
    assert isinstance(site.refusal, PolicyRefused)
    assert len(site.fetched) == before + 2


def test_after_a_restart_the_last_good_one_counts(site: Site) -> None:
    site.publish(DENIES)
    assert isinstance(site.refusal, PolicyRefused)
    site.decider.stop()
    site.rules.down, site.home.contents = True, None
    site.decider = site.started()
    assert isinstance(site.refusal, PolicyRefused)
    site.time.pass_(days=4000)
    assert isinstance(site.refusal, PolicyNotObtained)


def test_a_policy_without_a_distributed_part_asks_for_none(site: Site) -> None:
    site.source.settings()
    (site.home.folder / "policy.toml").write_text(f'[[rule]]\nmatch = "*"\npins = ["{site.scene.pin}"]\n')
    assert site.decide().allowed
    assert site.rules.requests == []


def test_one_fetches_for_all_who_wait(site: Site) -> None:
    """Who has an older copy that counts does not wait; who has none waits, and fetches nothing."""
    site.publish(HARMLESS)
    configuration = load_configuration(site.source)
    policy = configuration.policy
    assert policy is not None
    assert not isinstance(policy, BaseException)
    assert policy.distributed is not None
    arrived, go_on = threading.Event(), threading.Event()
    fetched: list[str] = []

    def fetch(digest: str) -> bytes:
        fetched.append(digest)
        arrived.set()
        assert go_on.wait(30)
        return HARMLESS.encode()

    file = KeptPolicyFile(site.home.folder / "kept.json")
    shared = DistributedPolicy(
        policy.distributed, site.decider._reader, fetch, file, at=lambda: site.time.at, warn=lambda _: None
    )
    found: list[str] = []
    waiting = [threading.Thread(target=lambda: found.append(shared.current().kept.digest)) for _ in range(3)]
    waiting[0].start()
    assert arrived.wait(30)
    for thread in waiting[1:]:
        thread.start()
    go_on.set()
    for thread in waiting:
        thread.join(30)
    assert found == fetched * 3
    site.publish(DENIES)
    site.time.pass_(seconds=61)
    arrived.clear()
    go_on.clear()
    first = threading.Thread(target=shared.current)
    first.start()
    assert arrived.wait(30)
    assert shared.current().kept.digest == found[0]
    go_on.set()
    first.join(30)
    assert shared.current().kept.digest == fetched[1]
    configuration.session.close()


def test_a_full_disk_takes_nothing_but_the_copy(site: Site) -> None:
    site.publish(HARMLESS)
    (site.home.folder / "agent").mkdir(exist_ok=True)
    (site.home.folder / "agent" / "policies").write_text("no folder")
    assert site.decide().allowed
    assert "is lost when this process ends" in site.journal.getvalue()


@pytest.mark.parametrize("is_away", ["server", "registry"])
def test_a_decision_by_a_policy_that_may_not_be_the_newest_says_so(site: Site, is_away: str) -> None:
    """Who takes no old answers of an agent does not want one by an old policy either."""
    site.publish(HARMLESS)
    fresh, since = site.decide(), site.time.at
    assert (fresh.allowed, fresh.stale, fresh.warnings) == (True, False, ())
    if is_away == "server":
        site.rules.down = True
    else:
        site.home.contents = None
        site.publish(f"{HARMLESS}# other bytes\n")
    site.time.pass_(seconds=61)
    older = site.decide()
    assert (older.allowed, older.stale, older.refreshed) == (True, True, since)
    (warning,) = older.warnings
    assert "the distributed policy is from" in warning
    assert site.decide(f"{ALLOWED}:1").warnings == (), "the list counts before it"


def test_the_memory_of_the_policy_is_told_to_who_asks(site: Site) -> None:
    """Who takes an agent's word has no other memory, and must not be shown an older policy by somebody else."""
    site.publish(HARMLESS)
    assert site.decide().allowed
    told = site.decider.remembered(APP)
    assert set(told) == {APP, RULES}
    assert told[RULES].roles
