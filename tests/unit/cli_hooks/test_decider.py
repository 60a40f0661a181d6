"""The decision that every door asks for: allow list, policy, pins, trust data, second collection, audit."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from typing import Any

import pytest

from tests.simulator.owner import Owner
from tests.simulator.plain_reader import PlainReader
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, NEWER, OTHER, Scene, good_collection
from tests.simulator.signed_by import INDEX, PLATFORM, signed_by
from trustcli.config.verifier_settings import AllowedImage
from trustcli.errors import HookRequestMalformed, RemoteUnreachable
from trustcli.hooks.deciding.decider import PolicyDecider
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.deciding.ports import Decider, TrustDataReader
from trustcli.registry.reference import parse_reference
from trustdata.errors import (
    NoTrustData,
    NotSigned,
    NotTrusted,
    PinsDisagree,
    PolicyRefused,
    TagMismatch,
)
from trustdata.gun import parse_gun
from trustdata.judgement import Judgement
from trustdata.policy import Policy, read_policy
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

VENDOR = parse_gun("vendor.example.com/app")
SECOND = f'second = {{name = "{VENDOR}"}}\n'
MIRROR = "mirror.example.net/app"
REASON = 'reason = "a test"\nuntil = 2999-01-01\n'


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


def policy(text: str) -> Policy:
    return read_policy(tomllib.loads(text), source="policy.toml")


def of_app(body: str) -> Policy:
    return policy(f'[[rule]]\nmatch = "{APP}"\n{body}')


def vendor(wire: WireFormat, digest: str) -> Scene:
    """Another collection, in which 1.0 is this digest."""
    server = RepositorySimulator(gun=VENDOR, wire=wire)
    owner = Owner(server)
    pin = owner.initialise()
    owner.sign("1.0", digest)
    return Scene(server=server, past=server.copy(), pin=pin)


class Scenery:
    """A decider over simulated servers; `asked` names what was read."""

    def __init__(self, rules: Policy | None, *scenes: Scene, age: timedelta | None = None, **terms: Any) -> None:
        self._scenes = scenes or (good_collection(),)
        self.reader = PlainReader(self._scenes, age=age)
        self.decider = PolicyDecider(
            rules,
            terms.pop("allow", ()),
            self.reader,
            at=lambda: self._scenes[0].server.at,
            **terms,
        )

    @property
    def asked(self) -> list[str]:
        return [str(gun) for gun in self.reader.asked]

    def decide(self, image: str, digest: str | None = None) -> Decision:
        return self.decider.decide(parse_reference(image), None if digest is None else f"sha256:{digest}")


def test_it_is_what_the_doors_ask_for() -> None:
    scenery = Scenery(None)
    decider: Decider = scenery.decider
    reader: TrustDataReader = scenery.reader
    assert (decider, reader) == (scenery.decider, scenery.reader)


# --- without a policy


def test_without_a_policy_trust_data_decides(wire: WireFormat) -> None:
    scenery = Scenery(None, good_collection(wire))
    allowed = scenery.decide(f"{APP}:1.0", GOOD)
    assert (allowed.allowed, allowed.digest, allowed.mode, allowed.rule) == (True, f"sha256:{GOOD}", "enforce", "")
    assert allowed.verified
    assert allowed.refreshed is not None
    moved = scenery.decide(f"{APP}:1.0", EVIL)
    assert (moved.allowed, moved.digest) == (False, None)
    assert isinstance(moved.refusal, TagMismatch)
    assert isinstance(scenery.decide(f"{APP}").refusal, NotSigned)
    assert isinstance(scenery.decide("elsewhere.example.com/x").refusal, NoTrustData)


def test_a_served_digest_that_is_not_the_named_one_is_refused() -> None:
    scenery = Scenery(None)
    refused = scenery.decide(f"{APP}@sha256:{GOOD}", EVIL)
    assert isinstance(refused.refusal, HookRequestMalformed)
    assert scenery.asked == []


def test_signers_that_are_asked_for_besides() -> None:
    assert Scenery(None, signers=("alice",)).decide(f"{APP}:1.0").allowed
    assert isinstance(Scenery(of_app(""), signers=("bob",)).decide(f"{APP}:1.0").refusal, PolicyRefused)


class LyingReader(PlainReader):
    """Says yes to another digest than was asked for, or without evidence."""

    def judge(self, gun: Any, rule: Any, questions: Any) -> Any:
        reading = super().judge(gun, rule, questions)
        told = [
            Judgement(question=each.question, digest=f"sha256:{EVIL}", evidence=each.evidence)
            for each in reading.judgements
        ]
        return type(reading)(judgements=tuple(told), refreshed=reading.refreshed)


@pytest.mark.parametrize("digest", [None, GOOD])
def test_a_yes_to_something_else_is_none(digest: str | None) -> None:
    scene = good_collection()
    decider = PolicyDecider(None, (), LyingReader([scene]), at=lambda: scene.server.at)
    image = f"{APP}:1.0" if digest else f"{APP}:9.9"
    answer = decider.decide(parse_reference(image), None if digest is None else f"sha256:{digest}")
    assert not answer.allowed
    assert isinstance(answer.refusal, NotTrusted)


# --- the allow list


@pytest.mark.parametrize(
    ("pattern", "digest", "served", "allowed"),
    [
        (str(APP), None, EVIL, True),
        (str(APP), None, None, True),
        (str(APP), f"sha256:{EVIL}", EVIL, True),
        (str(APP), f"sha256:{EVIL}", NEWER, False),
        (str(APP), f"sha256:{EVIL}", None, False),
        ("registry.example.com/*", None, EVIL, True),
        ("other.example.com/*", None, EVIL, False),
    ],
)
def test_the_allow_list_counts_before_a_policy_that_denies(
    pattern: str, digest: str | None, served: str | None, *, allowed: bool
) -> None:
    scenery = Scenery(of_app('mode = "deny"'), allow=(AllowedImage(pattern=pattern, digest=digest),))
    answer = scenery.decide(f"{APP}:9.9", served)
    assert answer.allowed == allowed
    assert scenery.asked == []
    assert answer.mode == ("allow" if allowed else "deny")
    assert answer.digest == (f"sha256:{served}" if allowed and served else None)
    if allowed:
        assert "[verifier] allow" in answer.reason
    assert not answer.verified


# --- modes


def test_no_rule_and_deny_read_nothing() -> None:
    for rules in (policy(""), of_app('mode = "deny"')):
        scenery = Scenery(rules)
        refused = scenery.decide(f"{APP}:1.0", GOOD)
        assert isinstance(refused.refusal, PolicyRefused)
        assert (refused.mode, refused.reason) == ("deny", str(refused.refusal))
        assert refused.rule == refused.refusal.rule
        assert scenery.asked == []


def test_allow_verifies_nothing_and_says_so() -> None:
    scenery = Scenery(of_app(f'mode = "allow"\n{REASON}'))
    answer = scenery.decide(f"{APP}:9.9")
    assert (answer.allowed, answer.digest, answer.mode, answer.verified) == (True, None, "allow", False)
    assert answer.exemption == "until 2999-01-02T00:00:00Z: a test"
    assert answer.warnings == (f"{APP}:9.9 is not verified: policy.toml, rule {APP} exempts it ({answer.exemption})",)
    assert scenery.decide(f"{APP}:9.9", EVIL).digest == f"sha256:{EVIL}"
    assert scenery.asked == []


@pytest.mark.parametrize(("served", "digest"), [(None, None), (EVIL, f"sha256:{EVIL}")])
def test_audit_lets_run_and_tells_the_refusal(served: str | None, digest: str | None) -> None:
    answer = Scenery(of_app(f'mode = "audit"\n{REASON}')).decide(f"{APP}:9.9", served)
    assert (answer.allowed, answer.digest, answer.mode, answer.verified) == (True, digest, "audit", False)
    assert isinstance(answer.refusal, NotSigned)
    (warning,) = answer.warnings
    assert "would be refused, but policy.toml" in warning
    assert "a test" in warning
    assert str(answer.refusal) in warning


def test_audit_of_a_trusted_image_has_nothing_to_tell() -> None:
    answer = Scenery(of_app(f'mode = "audit"\n{REASON}')).decide(f"{APP}:1.0")
    assert (answer.allowed, answer.digest, answer.refusal, answer.warnings) == (True, f"sha256:{GOOD}", None, ())
    assert answer.verified
    assert "a test" in answer.exemption


def test_an_exemption_that_has_run_out_verifies() -> None:
    rules = of_app('mode = "allow"\nreason = "a test"\nuntil = 2000-01-01')
    assert Scenery(rules).decide(f"{APP}:1.0").verified
    refused = Scenery(rules).decide(f"{APP}:9.9")
    assert isinstance(refused.refusal, NotSigned)
    assert (refused.mode, refused.exemption) == ("enforce", "")


# --- rules about digests


def test_what_a_tag_is_verified_as_is_judged_by_the_rules_for_this_digest(wire: WireFormat) -> None:
    of_digest = f'[[rule]]\nmatch = "{APP}"\ndigests = ["sha256:{GOOD}"]\n'
    base = f'[[rule]]\nmatch = "{APP}"\n'
    denied = Scenery(policy(f'{base}{of_digest}mode = "deny"'), good_collection(wire))
    assert isinstance(denied.decide(f"{APP}:1.0").refusal, PolicyRefused)
    assert denied.decide(f"{APP}:2.0").digest == f"sha256:{OTHER}"
    stricter = Scenery(policy(f'{base}{of_digest}signers = ["bob"]'), good_collection(wire))
    assert isinstance(stricter.decide(f"{APP}:1.0").refusal, PolicyRefused)
    other_way = Scenery(policy(f'{base}signers = ["alice"]\n{of_digest}signers = ["alice"]'), good_collection(wire))
    assert other_way.decide(f"{APP}:1.0").digest == f"sha256:{GOOD}"


def test_a_platform_is_judged_by_the_rules_for_its_index_too(wire: WireFormat) -> None:
    """Who denies an index need not know the digests of its platforms."""
    scene = signed_by(wire)
    of_index = f'[[rule]]\nmatch = "{APP}"\n[[rule]]\nmatch = "{APP}"\ndigests = ["sha256:{INDEX}"]\n'
    by_platform = f"{APP}@sha256:{PLATFORM}"
    for image, served in ((by_platform, None), (f"{APP}:index", PLATFORM)):
        assert Scenery(policy(of_index), scene).decide(image, served).digest == f"sha256:{PLATFORM}"
        denied = Scenery(policy(f'{of_index}mode = "deny"'), scene).decide(image, served)
        assert (denied.allowed, denied.mode) == (False, "deny")
        asked = Scenery(policy(f'{of_index}signers = ["carol"]'), scene).decide(image, served)
        assert isinstance(asked.refusal, PolicyRefused)
        assert "carol is no signer" in asked.reason
        assert Scenery(policy(f'{of_index}signers = ["alice"]'), scene).decide(image, served).allowed
        assert Scenery(policy(f'{of_index}mode = "audit"\n{REASON}'), scene).decide(image, served).verified
        only = f'[[rule]]\nmatch = "{APP}"\nmode = "deny"\n[[rule]]\nmatch = "{APP}"\ndigests = ["sha256:{PLATFORM}"]'
        assert Scenery(policy(only), scene).decide(image, served).allowed


def test_a_platform_needs_what_the_rule_for_its_index_wants_of_a_second_collection(wire: WireFormat) -> None:
    """Who wants a counter-signature of an index wants it of what its platforms run."""
    scene = signed_by(wire)
    rules = policy(f'[[rule]]\nmatch = "{APP}"\n[[rule]]\nmatch = "{APP}"\ndigests = ["sha256:{INDEX}"]\n{SECOND}')
    by_platform, by_tag = (f"{APP}@sha256:{PLATFORM}", None), (f"{APP}:index", PLATFORM)
    for image, served in (by_platform, by_tag):
        for other in ((), (vendor(wire, EVIL),)):
            refused = Scenery(rules, scene, *other).decide(image, served)
            assert not refused.allowed
            assert str(VENDOR) in refused.reason
    agrees = RepositorySimulator(gun=VENDOR, wire=wire)
    owner = Owner(agrees)
    pin = owner.initialise()
    owner.sign("index", INDEX, PLATFORM)
    both = Scenery(rules, scene, Scene(server=agrees, past=agrees.copy(), pin=pin))
    for image, served in (by_platform, by_tag):
        assert both.decide(image, served).digest == f"sha256:{PLATFORM}"
        assert both.asked.count(str(VENDOR)) == 1
        both.reader.asked.clear()


@pytest.mark.parametrize("mode", ["allow", "audit"])
def test_an_exempted_tag_exempts_no_digest_that_anybody_may_write_behind_it(wire: WireFormat, mode: str) -> None:
    """Engines pull the digest of such a name: the tag need not even be there."""
    of_tags = f'[[rule]]\nmatch = "{APP}"\ntags = ["dev-*"]\nmode = "{mode}"\n{REASON}'
    scenery = Scenery(policy(f'[[rule]]\nmatch = "{APP}"\n{of_tags}'), good_collection(wire))
    assert scenery.decide(f"{APP}:dev-1").allowed
    assert scenery.decide(f"{APP}:dev-1", EVIL).digest == f"sha256:{EVIL}", "the registry says so"
    refused = scenery.decide(f"{APP}:dev-1@sha256:{EVIL}")
    assert (refused.allowed, refused.mode) == (False, "enforce")
    assert isinstance(refused.refusal, NotSigned)
    assert scenery.decide(f"{APP}:dev-1@sha256:{GOOD}").allowed, "it is signed, whatever stands before it"
    named = policy(f'[[rule]]\nmatch = "{APP}"\n{of_tags}digests = ["sha256:{EVIL}"]')
    assert Scenery(named, good_collection(wire)).decide(f"{APP}:dev-1@sha256:{EVIL}").allowed
    whole = of_app(f'mode = "{mode}"\n{REASON}')
    assert Scenery(whole, good_collection(wire)).decide(f"{APP}:dev-1@sha256:{EVIL}").allowed


def test_a_verified_tag_beside_a_digest_counts(wire: WireFormat) -> None:
    """Where the tag is signed as this digest it is no mere claim, and what its rule asks for is enough."""
    rules = (
        f'[[rule]]\nmatch = "{APP}"\nsigners = ["carol"]\n[[rule]]\nmatch = "{APP}"\ntags = ["1.*"]\nmode = "audit"\n'
    )
    scenery = Scenery(policy(rules + REASON), good_collection(wire))
    assert scenery.decide(f"{APP}:1.0@sha256:{GOOD}").verified
    refused = scenery.decide(f"{APP}:1.0@sha256:{OTHER}")
    assert (refused.allowed, refused.mode) == (False, "enforce")


def test_a_refusal_says_whether_a_rule_names_the_digest(wire: WireFormat) -> None:
    """The proxy hands out what a signed index lists; not where somebody has written a rule about this platform."""
    scene = signed_by(wire)
    general, of_platform = f'[[rule]]\nmatch = "{APP}"\n', f'digests = ["sha256:{PLATFORM}"]\n'
    by_platform = f"{APP}@sha256:{PLATFORM}"
    for terms in ('mode = "deny"', 'signers = ["carol"]'):
        named = Scenery(policy(f"{general}{general}{of_platform}{terms}"), scene)
        for image, served in ((by_platform, None), (f"{APP}:index", PLATFORM)):
            refused = named.decide(image, served)
            assert (refused.allowed, refused.by_digest) == (False, True)
        other = named.decide(f"{APP}@sha256:{'9' * 64}")
        assert (other.allowed, other.by_digest) == (False, False)
        by_name = Scenery(policy(f"{general}{terms}"), scene).decide(by_platform)
        assert (by_name.allowed, by_name.by_digest) == (False, False)


# --- pins and age


def test_pins_of_the_rule_must_hold() -> None:
    answer = Scenery(of_app(f'pins = ["sha256:{"a" * 64}"]')).decide(f"{APP}:1.0")
    assert isinstance(answer.refusal, PinsDisagree)


@pytest.mark.parametrize(("bound", "hours", "allowed"), [(None, 1, False), ("2h", 1, True), ("2h", 3, False)])
def test_older_data_counts_within_the_bound_of_the_rule(bound: str | None, hours: int, *, allowed: bool) -> None:
    rules = of_app(f'max_staleness = "{bound}"' if bound else "")
    answer = Scenery(rules, age=timedelta(hours=hours)).decide(f"{APP}:1.0")
    assert answer.allowed == allowed
    assert answer.stale == allowed
    if allowed:
        assert "the trust server is away" in answer.warnings[0]
    else:
        assert isinstance(answer.refusal, RemoteUnreachable)


# --- a second collection


def test_both_collections_must_have_the_digest(wire: WireFormat) -> None:
    agree = Scenery(of_app(SECOND), good_collection(wire), vendor(wire, GOOD))
    assert agree.decide(f"{APP}:1.0").digest == f"sha256:{GOOD}"
    assert agree.asked == [str(APP), str(VENDOR)]
    assert agree.decide(f"{APP}@sha256:{GOOD}").digest == f"sha256:{GOOD}"
    differ = Scenery(of_app(SECOND), good_collection(wire), vendor(wire, EVIL))
    refused = differ.decide(f"{APP}:1.0")
    assert isinstance(refused.refusal, TagMismatch)
    assert str(VENDOR) in refused.reason
    assert not refused.verified
    missing = Scenery(of_app(SECOND), good_collection(wire))
    assert isinstance(missing.decide(f"{APP}:1.0", GOOD).refusal, NoTrustData)
    assert missing.decide(f"{APP}:9.9").reason == f"{APP}:9.9 is not signed"


def test_what_the_second_collection_requires() -> None:
    demanding = of_app(f'second = {{name = "{VENDOR}", signers = ["carol"]}}')
    answer = Scenery(demanding, good_collection(), vendor(good_collection().server.wire, GOOD)).decide(f"{APP}:1.0")
    assert isinstance(answer.refusal, PolicyRefused)


def test_audit_tells_that_the_second_does_not_agree(wire: WireFormat) -> None:
    watched = of_app(f'{SECOND}mode = "audit"\n{REASON}')
    answer = Scenery(watched, good_collection(wire), vendor(wire, EVIL)).decide(f"{APP}:1.0")
    assert (answer.allowed, answer.verified, answer.digest) == (True, False, None)
    assert isinstance(answer.refusal, TagMismatch)


# --- aliases


def test_an_alias_is_judged_by_the_rules_and_data_of_its_trust_name(wire: WireFormat) -> None:
    aliased = f'[[alias]]\nname = "{MIRROR}"\ntrust = "{APP}"\n'
    rules = policy(f'{aliased}[[rule]]\nmatch = "{APP}"\nsigners = ["alice"]\n[[rule]]\nmatch = "*"\nmode = "deny"')
    scenery = Scenery(rules, good_collection(wire))
    answer = scenery.decide(f"{MIRROR}:1.0")
    assert (answer.image, answer.trust_name, answer.digest) == (f"{MIRROR}:1.0", APP, f"sha256:{GOOD}")
    assert scenery.asked == [str(APP)]
    assert isinstance(scenery.decide("mirror.example.net/app2:1.0").refusal, PolicyRefused)


# --- many at once


def test_images_of_one_collection_and_rule_are_read_together() -> None:
    scenery = Scenery(policy(f'[[rule]]\nmatch = "{APP}"\n'))
    images = [f"{APP}:1.0", f"{APP}:2.0", f"{APP}:9.9", "elsewhere.example.com/x:1"]
    answers = scenery.decider.decide_each((parse_reference(image), None) for image in images)
    assert [answer.image for answer in answers] == images
    assert [answer.digest for answer in answers] == [f"sha256:{GOOD}", f"sha256:{OTHER}", None, None]
    assert scenery.asked == [str(APP)]


# --- the tags that may run


def test_signed_tags(wire: WireFormat) -> None:
    scene = signed_by(wire)
    app = scene.server.gun
    found = Scenery(None, scene).decider.signed_tags(app)
    assert set(found.tags) == {"signed", "big", "index"}
    assert found.tags["big"] == f"sha256:{GOOD}"
    assert found.refreshed is not None
    by_alice = Scenery(of_app('signers = ["alice"]'), scene).decider.signed_tags(app)
    assert set(by_alice.tags) == {"signed", "index"}
    alone = Scenery(of_app('signers = ["alice", "bob"]\nreleased = false'), scene).decider.signed_tags(app)
    assert set(alone.tags) == {"signed", "index"}
    denied = f'[[rule]]\nmatch = "{app}"\nmode = "deny"\n[[rule]]\nmatch = "{app}"\ntags = ["s*"]\n'
    assert set(Scenery(policy(denied), scene).decider.signed_tags(app).tags) == {"signed"}


def test_there_are_no_signed_tags() -> None:
    assert isinstance(Scenery(policy("")).decider.signed_tags(APP).refusal, PolicyRefused)
    assert isinstance(Scenery(of_app('mode = "deny"')).decider.signed_tags(APP).refusal, PolicyRefused)
    away = Scenery(of_app(""), age=timedelta(hours=1)).decider.signed_tags(APP)
    assert isinstance(away.refusal, RemoteUnreachable)
    assert not away.any_content


def test_where_any_content_may_run() -> None:
    for scenery in (
        Scenery(of_app(f'mode = "allow"\n{REASON}')),
        Scenery(of_app(""), allow=(AllowedImage(pattern=str(APP), digest=None),)),
    ):
        found = scenery.decider.signed_tags(APP)
        assert (found.any_content, found.tags, scenery.asked) == (True, {}, [])
    watched = of_app(f'mode = "audit"\n{REASON}')
    found = Scenery(watched).decider.signed_tags(APP)
    assert (found.any_content, set(found.tags)) == (True, {"1.0", "2.0"})
    away = Scenery(watched, age=timedelta(hours=1)).decider.signed_tags(APP)
    assert (away.any_content, away.refusal) == (True, None)


def test_signed_tags_of_an_alias() -> None:
    rules = policy(f'[[alias]]\nname = "{MIRROR}"\ntrust = "{APP}"\n[[rule]]\nmatch = "{APP}"\n')
    found = Scenery(rules).decider.signed_tags(parse_gun(MIRROR))
    assert (found.trust_name, set(found.tags)) == (APP, {"1.0", "2.0"})
