"""The decider of a hook that stays: files that change while it runs, what refuses meanwhile, and who decides alike."""

from __future__ import annotations

import gc
import io
import logging
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import APP_IMAGE, GOOD, OTHER, Scene, good_collection
from tests.support.resident_node import SetClocks
from trustcli.errors import FileExposed, NoTrustServer, SettingsUnusable
from trustcli.hooks.deciding.context import context_hash
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.resident.at_once import AtOnceReader, MustWait
from trustcli.hooks.resident.configuration import JournalOutput, Source, load_configuration
from trustcli.hooks.resident.decider import ResidentDecider, resident_decider
from trustcli.hooks.resident.limits import ResidentLimits
from trustcli.hooks.resident.metrics import ResidentMetrics
from trustcli.registry.reference import parse_reference
from trustdata.errors import FileNewer, PolicyMalformed, PolicyRefused, RootNotPinned
from trustdata.gun import GUN
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

ALLOWED = "registry.example.com/infra/*"


class Site:
    """A node's files, its resident decider, and its clocks. `say`: what it has written to its journal."""

    def __init__(self, folder: Path, scene: Scene) -> None:
        self.scene = scene
        self.home = Home(folder, scene.server)
        self.time = SetClocks(scene.server.at)
        self.journal = io.StringIO()
        self.policy = folder / "policy.toml"
        self.settings = folder / "trust.toml"
        self.settings.write_text(f'[verifier]\npolicy = "policy.toml"\nallow = ["{ALLOWED}"]\n')
        self.rule()
        output = JournalOutput(stdout=self.journal, stderr=self.journal, as_json=False)
        self.source = Source(environ={"TRUST_HOME": str(folder)}, output=output, state=folder / "agent")
        self.metrics = ResidentMetrics()
        self.decider = ResidentDecider(
            lambda: load_configuration(self.source),
            clocks=self.time.clocks(),
            limits=ResidentLimits(),
            metrics=self.metrics,
        )

    def rule(self, match: str = str(APP), **members: str) -> None:
        """Write the policy anew, as an editor does: another file in its place."""
        rows = "".join(f"{name} = {value}\n" for name, value in members.items())
        self.write(f'[[rule]]\nmatch = "{match}"\npins = ["{self.scene.pin}"]\n{rows}')

    def write(self, text: str) -> None:
        new = self.policy.with_suffix(".new")
        new.write_text(text)
        new.replace(self.policy)

    def decide(self, image: str = APP_IMAGE, digest: str | None = None) -> Decision:
        return self.decider.decide(parse_reference(image), digest)

    def refusal(self, image: str = APP_IMAGE) -> BaseException | None:
        decision = self.decide(image)
        assert not decision.allowed, decision
        return decision.refusal


@pytest.fixture(params=[TUF, NOTARY], ids=["tuf", "notary"])
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


@pytest.fixture
def site_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Scene], Site]]:
    without_network(monkeypatch)
    made: list[Site] = []

    def make(scene: Scene) -> Site:
        made.append(Site(tmp_path, scene))
        return made[-1]

    yield make
    for site in made:
        site.decider.stop()


@pytest.fixture
def site(site_of: Callable[[Scene], Site]) -> Site:
    return site_of(good_collection())


def test_it_decides_by_policy_pins_and_trust_data(site_of: Callable[[Scene], Site], wire: WireFormat) -> None:
    site = site_of(good_collection(wire))
    decision = site.decide()
    assert (decision.allowed, decision.digest, decision.refreshed) == (True, f"sha256:{GOOD}", site.time.at)
    assert not site.decide(APP_IMAGE, f"sha256:{OTHER}").allowed
    assert isinstance(site.refusal("registry.example.com/other:1"), PolicyRefused)


def test_its_memory_is_its_own(site: Site) -> None:
    assert site.decide().allowed
    assert len(list((site.home.folder / "agent" / "seen").glob("*.json"))) == 1
    assert not (site.home.folder / "seen.json").exists()


def test_a_policy_that_changes_counts_from_the_next_question_on(site: Site) -> None:
    assert site.decide().allowed
    site.rule(action='"deny"')
    assert isinstance(site.refusal(), PolicyRefused)
    site.rule()
    asked = len(site.scene.server.requests)
    assert site.decide().allowed
    assert len(site.scene.server.requests) == asked, "collections are kept"


def test_a_broken_policy_refuses_and_says_so_until_it_is_mended(site: Site) -> None:
    assert site.decide().allowed
    site.write("[[rule]]\nmatch = ")
    refusal = site.refusal()
    assert isinstance(refusal, PolicyMalformed)
    assert str(site.policy) in str(refusal)
    assert str(site.policy) in site.decider.why_not_ready()
    assert "trust_configuration_usable 0.0" in site.metrics.text().decode()
    assert site.decide("registry.example.com/infra/pause:3", f"sha256:{OTHER}").allowed, "the allow list counts first"
    site.rule()
    assert site.decide().allowed
    assert site.decider.why_not_ready() == ""
    assert "trust_configuration_usable 1.0" in site.metrics.text().decode()


def test_a_policy_that_is_gone_refuses(site: Site) -> None:
    assert site.decide().allowed
    site.policy.unlink()
    assert isinstance(site.refusal(), PolicyMalformed)


def test_a_policy_that_others_may_change_refuses(site: Site) -> None:
    assert site.decide().allowed
    site.policy.chmod(0o666)
    assert isinstance(site.refusal(), FileExposed)


def test_settings_that_are_broken_refuse_all_and_are_read_again(site: Site) -> None:
    assert site.decide().allowed
    good = site.settings.read_text()
    site.settings.write_text("version = 99\n")
    assert isinstance(site.refusal(), FileNewer)
    site.settings.write_text(good)
    assert isinstance(site.refusal(), FileNewer), "not at each question"
    site.time.pass_(seconds=1)
    assert site.decide().allowed


def test_pins_that_change_count_for_collections_in_memory(site: Site) -> None:
    assert site.decide().allowed
    pin = f"sha256:{'ab' * 32}"
    row = f'pin = "{pin}"\nformat = "tuf-1.0"\nrecorded = 2026-01-01T00:00:00Z\nhow = "pin"\n'
    (site.home.folder / "pins.toml").write_text(f'[pins."{APP}"]\n{row}')
    assert not site.decide().allowed


def test_a_pin_that_is_wrong_from_the_beginning_is_refused(site: Site) -> None:
    site.write(f'[[rule]]\nmatch = "{APP}"\npins = ["sha256:{"ab" * 32}"]\n')
    assert isinstance(site.refusal(), RootNotPinned)


def test_signed_tags_are_those_that_may_run(site: Site) -> None:
    assert site.decider.signed_tags(APP).tags["1.0"] == f"sha256:{GOOD}"
    site.write("no policy")
    assert site.decider.signed_tags(APP).refusal is not None
    assert site.decider.signed_tags(parse_reference("registry.example.com/infra/pause:3").gun).any_content


def test_who_decides_by_the_same_files_gets_an_answer(site: Site) -> None:
    reference, image = parse_reference(APP_IMAGE), parse_reference("registry.example.com/infra/pause:3")
    settings = site.source.settings()
    own = context_hash(settings, policy=site.policy, with_allow_list=True)
    by_policy = context_hash(settings, policy=site.policy, with_allow_list=False)
    by_pins = context_hash(settings, policy=None, with_allow_list=False)

    def verdict(context: str, asked: object = reference) -> bool | None:
        decision = site.decider.decide_as(context, asked, f"sha256:{GOOD}")  # type: ignore[arg-type]
        return None if decision is None else decision.allowed

    assert [verdict(each) for each in (own, by_policy, by_pins)] == [True, True, False], "the pin is the policy's"
    assert [verdict(each, image) for each in (own, by_policy)] == [True, False]
    assert verdict("ab" * 32) is None
    site.rule(signers='["alice"]')
    assert verdict(own) is None, "the files are others now"


def test_aliases_of_the_policy_count_where_no_rule_of_it_does(site: Site) -> None:
    """What decides then are pins and aliases; a rule that changes leaves it as it is."""
    mirror = "mirror.example.net/team/app"
    site.home.pin(str(APP), str(site.scene.pin))
    reference = parse_reference(f"{mirror}:1.0")

    def verdict() -> bool:
        by_pins = context_hash(site.source.settings(), policy=None, with_allow_list=False)
        decision = site.decider.decide_as(by_pins, reference)
        assert decision is not None
        return decision.allowed

    for trust, allowed in ((APP, True), ("third.example.org/app", False), (APP, True)):
        site.write(f'[[alias]]\nname = "{mirror}"\ntrust = "{trust}"\n')
        site.home.sites.setdefault(GUN(trust), RepositorySimulator(gun=GUN(trust)))
        assert verdict() is allowed
    asked = len(site.scene.server.requests)
    site.write(f'[[alias]]\nname = "{mirror}"\ntrust = "{APP}"\n[[rule]]\nmatch = "*"\n')
    assert verdict()
    assert len(site.scene.server.requests) == asked, "collections are kept"
    site.write("no policy")
    assert not verdict()


def test_a_policy_whose_aliases_contradict_the_pins_refuses(site: Site) -> None:
    site.home.pin("mirror.example.net/app", str(site.scene.pin), "--named", str(APP), "--format", "tuf")
    site.write(f'[[rule]]\nmatch = "*"\n[[alias]]\nname = "{APP}"\ntrust = "third.example.org/app"\n')
    assert isinstance(site.refusal(), SettingsUnusable)
    assert "an alias of" in site.decider.why_not_ready()


def test_what_decides_is_in_the_hash(site: Site) -> None:
    def now() -> str:
        return context_hash(site.source.settings(), policy=site.policy, with_allow_list=True)

    seen = {now()}
    for change in (
        lambda: site.rule(signers='["alice"]'),
        lambda: site.settings.write_text('[servers]\n"registry.example.com" = "https://other.example.com"\n'),
        lambda: site.settings.write_text('[verifier]\nallow = ["registry.example.com/other"]\n'),
        lambda: site.settings.write_text('[max_life]\n"*" = "400d"\n'),
        lambda: (site.home.folder / "pins.toml").write_text("[pins]\n"),
    ):
        change()
        seen.add(now())
    assert len(seen) == 6


def test_it_counts_what_it_decides(site: Site) -> None:
    site.decide()
    site.decide(f"{APP}:unknown")
    text = site.metrics.text().decode()
    assert 'trust_decisions_total{mode="enforce",stale="0",verdict="allowed"} 1.0' in text
    assert 'trust_refusals_total{code="not-signed"} 1.0' in text
    assert 'trust_refreshes_total{result="ok"} 1.0' in text
    assert "trust_collections 1.0" in text


def test_two_hooks_do_not_share_a_folder(tmp_path: Path, site: Site) -> None:
    second = resident_decider(site.source, limits=ResidentLimits())
    with (
        resident_decider(site.source, limits=ResidentLimits()),
        pytest.raises(SettingsUnusable, match="another hook uses this folder"),
    ):
        second.__enter__()
    with resident_decider(site.source, limits=ResidentLimits()) as again:
        assert again.why_not_ready() == ""


def test_no_host_is_asked_only_because_an_image_names_it(site_of: Callable[[Scene], Site]) -> None:
    """Whoever may create a Pod could else let the webhook knock at any port of the cluster, and read what it finds."""
    site = site_of(good_collection())
    site.write('[[rule]]\nmatch = "*"\n')
    site.home.asked.clear()
    refused = site.refusal("10.0.0.5:8443/knock/knock:1")
    assert isinstance(refused, NoTrustServer)
    assert "10.0.0.5:8443 is not asked" in str(refused)
    assert site.home.asked == []
    assert isinstance(site.decider.signed_tags(GUN("10.0.0.5:8443/knock/knock")).refusal, NoTrustServer)
    site.write('[[rule]]\nmatch = "*"\n')
    for named in ('[servers]\n"registry.example.com" = "https://trust.example.com"\n', ""):
        site.settings.write_text(f'{named}[verifier]\npolicy = "policy.toml"\n')
        assert isinstance(site.refusal(), NoTrustServer) != bool(named)


class Asker:
    """Something that whoever asks has: a request, with a password in it."""


def test_settings_that_cannot_be_used_hold_nobody_who_has_asked(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """What refuses is remembered until it is mended, and with a raised error all that its callers had."""
    site.settings.write_text("[verifier")

    def ask() -> weakref.ref[Asker]:
        asker = Asker()
        assert isinstance(site.refusal(), SettingsUnusable)
        return weakref.ref(asker)

    caplog.set_level(logging.CRITICAL)  # pytest keeps what is logged
    gone = ask()
    gc.collect()
    assert gone() is None


# --- who cannot wait


def at_once(site: Site, image: str = APP_IMAGE, digest: str | None = None) -> Decision | None:
    """The decision that needs no server, for which none was asked."""
    asked = len(site.scene.server.requests)
    decision = site.decider.decide_at_once(parse_reference(image), digest)
    assert len(site.scene.server.requests) == asked
    return decision


def test_what_is_in_memory_and_young_is_decided_at_once_as_always(
    site_of: Callable[[Scene], Site], wire: WireFormat
) -> None:
    site = site_of(good_collection(wire))
    assert at_once(site) is None, "nothing was read yet"
    decision = site.decide()
    assert decision.allowed
    assert at_once(site) == decision
    by_digest = (f"{APP}@sha256:{GOOD}", f"sha256:{GOOD}")
    assert at_once(site, *by_digest) == site.decide(*by_digest)
    site.time.pass_(seconds=60)
    assert at_once(site) == site.decide()
    site.time.pass_(seconds=1)
    assert at_once(site) is None, "it is too old"
    assert site.decide().allowed
    assert at_once(site) is not None
    site.time.set_wall(hours=-1)
    assert at_once(site) is None, "the clock has gone back"


def test_what_a_refresh_may_change_is_not_decided_at_once(site: Site) -> None:
    assert site.decide().allowed
    for image, digest in ((f"{APP}:unknown", None), (APP_IMAGE, f"sha256:{OTHER}"), (f"{APP}@sha256:{'0' * 64}", None)):
        assert at_once(site, image, digest) is None
        assert not site.decide(image, digest).allowed
        assert at_once(site, image, digest) is None


def test_what_a_rule_wants_read_besides_is_not_decided_at_once_before_it_was(site: Site) -> None:
    assert site.decide().allowed
    site.rule(signers='["alice"]')
    assert at_once(site) is None
    assert site.decide().allowed
    assert at_once(site) == site.decide()
    site.rule(signers='["alice", "bob"]', threshold="1")
    assert at_once(site) is None, "bob's role was not looked for yet"
    assert site.decide().allowed
    assert at_once(site) == site.decide()
    site.rule(signers='["alice", "bob"]')
    assert at_once(site) is None, "bob has signed nothing yet, which a refresh may change"
    assert isinstance(site.refusal(), PolicyRefused)


def test_rules_and_the_allow_list_are_decided_at_once(site: Site) -> None:
    assert site.decide().allowed
    allowed = at_once(site, "registry.example.com/infra/pause:1")
    assert allowed is not None
    assert allowed.by_allow_list
    site.rule(action='"deny"')
    denied = at_once(site)
    assert denied is not None
    assert isinstance(denied.refusal, PolicyRefused)
    assert str(denied.refusal) == str(site.refusal())


def test_files_that_cannot_be_used_are_told_by_the_other_way(site: Site) -> None:
    assert site.decide().allowed
    site.write("no TOML")
    assert at_once(site) is None
    assert isinstance(site.refusal(), PolicyMalformed)
    site.settings.write_text("no TOML")
    assert at_once(site) is None
    assert isinstance(site.refusal(), SettingsUnusable)


def test_what_is_decided_at_once_is_counted_once(site: Site) -> None:
    assert site.decide().allowed
    assert at_once(site) is not None
    site.time.pass_(minutes=9)
    assert at_once(site) is None
    assert b'trust_decisions_total{mode="enforce",stale="0",verdict="allowed"} 2.0' in site.metrics.text()


def test_lists_of_tags_are_not_read_at_once(site: Site) -> None:
    reader = AtOnceReader(site.decider._reader)
    assert site.decide().allowed
    with pytest.raises(MustWait):
        reader.released(APP, None)
