"""Lists of denied digests that a policy takes from named collections: for every name, before every rule."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.simulator.owner import Owner
from tests.simulator.plain_reader import AWAY, PlainReader
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, NEWER, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from tests.simulator.signed_by import INDEX, PLATFORM, signed_by
from trustcli.config.verifier_settings import AllowedImage
from trustcli.errors import DenyListNotObtained
from trustcli.hooks.deciding.decider import PolicyDecider
from trustcli.hooks.deciding.decision import Decision
from trustcli.hooks.deciding.once import OnceReader
from trustcli.registry.reference import parse_reference
from trustdata.denied import DENIED_MEMBER
from trustdata.errors import DigestDenied, MalformedMetadata, NotSigned
from trustdata.gun import parse_gun
from trustdata.policy import Policy, read_policy
from trustdata.roles import TARGETS
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

SECURITY = parse_gun("registry.example.com/security/denied")
ELSEWHERE = "elsewhere.example.com/x"
VENDOR = "vendor.example.com/app"
OPEN = 'reason = "a test"\nuntil = 2999-01-01\n'
WHY = "a stolen key"


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


def security(wire: WireFormat, *digests: str) -> Scene:
    """The collection whose list is named."""
    server = RepositorySimulator(gun=SECURITY, wire=wire)
    owner = Owner(server)
    pin = owner.initialise()
    if digests:
        owner.deny(*digests, reason=WHY)
    return Scene(server=server, past=server.copy(), pin=pin)


def policy(rules: str, listed: Scene, more: str = "") -> Policy:
    named = f'[[deny_list]]\nname = "{SECURITY}"\npins = ["{listed.pin}"]\n{more}\n'
    return read_policy(tomllib.loads(f"{rules}\n{named}"), source="policy.toml")


def rule(mode: str = "", match: str = APP) -> str:
    return f'[[rule]]\nmatch = "{match}"\n{mode}\n'


def decide(
    scenes: Sequence[Scene],
    policy: Policy,
    image: str,
    digest: str | None = None,
    *,
    age: timedelta | None = None,
    allow: tuple[AllowedImage, ...] = (),
) -> Decision:
    reader = PlainReader(scenes, age=age)
    served = None if digest is None else f"sha256:{digest}"
    return PolicyDecider(policy, allow, reader, at=lambda: scenes[0].server.at).decide(parse_reference(image), served)


def denied_by(decision: Decision) -> DigestDenied:
    assert not decision.allowed
    assert isinstance(decision.refusal, DigestDenied)
    assert WHY in decision.reason
    return decision.refusal


def test_a_named_list_counts_for_every_name(wire: WireFormat) -> None:
    app, listed = good_collection(wire), security(wire, GOOD)
    asked = policy(rule(), listed)
    assert decide([app, listed], asked, f"{APP}:2.0").digest == f"sha256:{OTHER}"
    for image, digest in ((f"{APP}:1.0", None), (f"{APP}:1.0", GOOD), (f"{APP}@sha256:{GOOD}", None)):
        decision = decide([app, listed], asked, image, digest)
        error = denied_by(decision)
        assert (error.denied_by, error.name) == (SECURITY, APP)
        assert decision.by_digest is (digest is not None or "@" in image)


def test_a_denied_platform_stops_the_index_of_another_collection(wire: WireFormat) -> None:
    app, listed = signed_by(wire), security(wire, PLATFORM)
    asked = policy(rule(), listed)
    decision = decide([app, listed], asked, f"{APP}:index")
    assert denied_by(decision).digest == f"sha256:{INDEX}"
    assert not decision.by_digest
    denied_by(decide([app, listed], asked, f"{APP}@sha256:{INDEX}"))
    denied_by(decide([app, listed], asked, f"{APP}:index", PLATFORM))


def test_a_platform_that_only_the_second_collection_tells_of_stops_the_index(wire: WireFormat) -> None:
    """Whose list of platforms is whole is not known: whoever signs in one collection may have left one out."""
    told, silent = good_collection(wire), RepositorySimulator(gun=parse_gun(VENDOR), wire=wire)
    told.owner.sign("both", INDEX, PLATFORM)
    owner = Owner(silent)
    pin = owner.initialise()
    owner.sign("both", INDEX, "c" * 64)
    vendor, listed = Scene(server=silent, past=silent.copy(), pin=pin), security(wire, PLATFORM)
    for first, second in ((APP, VENDOR), (VENDOR, APP)):
        asked = policy(rule(f'second = {{name = "{second}"}}', first), listed)
        denied_by(decide([told, vendor, listed], asked, f"{first}:both"))
        denied_by(decide([told, vendor, listed], asked, f"{first}@sha256:{INDEX}"))
    other = security(wire, EVIL)
    asked = policy(rule(f'second = {{name = "{APP}"}}', VENDOR), other)
    assert decide([told, vendor, other], asked, f"{VENDOR}:both").allowed


@pytest.mark.parametrize("mode", [f'mode = "allow"\n{OPEN}', f'mode = "audit"\n{OPEN}'])
@pytest.mark.parametrize("age", [None, timedelta(days=2)], ids=["there", "away"])
def test_no_exemption_goes_before_it(wire: WireFormat, mode: str, age: timedelta | None) -> None:
    app, listed = good_collection(wire), security(wire, GOOD, NEWER)
    asked = policy(rule(mode) + rule(mode, ELSEWHERE), listed)
    for image in (f"{APP}@sha256:{GOOD}", f"{APP}@sha256:{NEWER}", f"{ELSEWHERE}@sha256:{NEWER}"):
        decision = decide([app, listed], asked, image, age=age)
        denied_by(decision)
        assert decision.by_digest
    allowed = decide([app, listed], asked, f"{ELSEWHERE}@sha256:{EVIL}", age=age)
    assert allowed.allowed
    assert any("are from" in warning for warning in allowed.warnings) is (age is not None and "allow" in mode)


def test_the_own_list_counts_where_a_rule_only_watches(wire: WireFormat) -> None:
    app = good_collection(wire)
    asked = read_policy(tomllib.loads(rule(f'mode = "audit"\n{OPEN}')), source="policy.toml")
    assert decide([app], asked, f"{APP}@sha256:{EVIL}").allowed
    app.owner.deny(EVIL, reason=WHY)
    decision = decide([app], asked, f"{APP}@sha256:{EVIL}")
    assert denied_by(decision).denied_by == APP
    assert decision.mode == "audit"


@pytest.mark.parametrize(
    ("mode", "own"), [("", True), (f'mode = "audit"\n{OPEN}', True), (f'mode = "allow"\n{OPEN}', False), (None, True)]
)
def test_the_digests_that_are_named_are_those_of_the_lists_too(
    wire: WireFormat, mode: str | None, *, own: bool
) -> None:
    app, listed = good_collection(wire), security(wire, EVIL)
    app.owner.deny(GOOD, reason=WHY)
    asked = None if mode is None else policy(rule(mode), listed)
    decider = PolicyDecider(asked, (), PlainReader([app, listed]), at=lambda: app.server.at)
    wanted = {f"sha256:{GOOD}"} if own else set()
    assert decider.named_digests(parse_gun(APP)) == wanted | ({f"sha256:{EVIL}"} if asked else set())


def test_the_allow_list_of_the_machine_does_not_go_before_it(wire: WireFormat) -> None:
    app, listed = good_collection(wire), security(wire, EVIL)
    allow = (AllowedImage(pattern=ELSEWHERE, digest=None),)
    asked = policy(rule(), listed)
    denied_by(decide([app, listed], asked, ELSEWHERE, EVIL, allow=allow))
    assert decide([app, listed], asked, ELSEWHERE, GOOD, allow=allow).allowed
    assert decide([app, listed], asked, ELSEWHERE, allow=allow).digest is None


def test_a_list_that_cannot_be_had_refuses_all_but_the_allow_list(wire: WireFormat) -> None:
    app, listed = good_collection(wire), security(wire, EVIL)
    allow = (AllowedImage(pattern=ELSEWHERE, digest=None),)
    asked = policy(rule(f'mode = "allow"\n{OPEN}', "*") + rule(), listed)
    for image in (f"{APP}:1.0", f"another.example.com/x@sha256:{GOOD}"):
        decision = decide([app], asked, image)
        assert isinstance(decision.refusal, DenyListNotObtained)
        assert (decision.refusal.name, decision.allowed) == (SECURITY, False)
        assert f"the denied digests of {SECURITY} cannot be had" in decision.reason
    started = decide([app], asked, ELSEWHERE, EVIL, allow=allow)
    assert started.allowed
    assert any("cannot be had" in warning for warning in started.warnings)


@pytest.mark.parametrize(
    ("bound", "counts"), [("", True), ('max_staleness = "3d"', True), ('max_staleness = "1d"', False)]
)
def test_while_its_server_is_away_the_last_list_counts_as_long_as_the_policy_says(
    wire: WireFormat,
    bound: str,
    counts: bool,  # noqa: FBT001
) -> None:
    app, listed = good_collection(wire), security(wire, OTHER)
    asked = policy(rule('max_staleness = "9d"'), listed, bound)
    decision = decide([app, listed], asked, f"{APP}:1.0", age=timedelta(days=2))
    assert decision.allowed is counts
    if counts:
        assert any(f"denied digests of {SECURITY} are from" in warning for warning in decision.warnings)
        denied_by(decide([app, listed], asked, f"{APP}:2.0", age=timedelta(days=2)))
    else:
        assert isinstance(decision.refusal, DenyListNotObtained)
        assert str(AWAY) in str(decision.refusal)


def test_a_list_under_another_root_than_the_pinned_one_is_none(wire: WireFormat) -> None:
    app, listed, other = good_collection(wire), security(wire), good_collection(wire)
    decision = decide([app, listed], policy(rule(), other), f"{APP}:1.0")
    assert isinstance(decision.refusal, DenyListNotObtained)


def test_a_tag_that_is_signed_no_more_is_not_said_to_be_denied(wire: WireFormat) -> None:
    app, listed = good_collection(wire), security(wire, GOOD)
    assert isinstance(decide([app, listed], policy(rule(), listed), f"{APP}:9.9").refusal, NotSigned)


def test_a_second_collection_denies_too(wire: WireFormat) -> None:
    app, vendor = good_collection(wire), security(wire)
    vendor.owner.sign("1.0", GOOD)
    second = f'second = {{name = "{SECURITY}"}}'
    asked = read_policy(tomllib.loads(rule(second)), source="policy.toml")
    assert decide([app, vendor], asked, f"{APP}:1.0").allowed
    vendor.owner.deny(GOOD, reason=WHY)
    assert denied_by(decide([app, vendor], asked, f"{APP}:1.0")).denied_by == SECURITY


# --- through a real reader


def test_a_process_that_ends_reads_a_list_once_for_all_images(wire: WireFormat) -> None:
    listed = security(wire, OTHER)
    client = listed.newcomer()
    reader = OnceReader(SimulatedSession(client))
    terms = policy("", listed).denying[0].terms
    first = reader.denied(SECURITY, terms)
    assert first.denied is not None
    assert (first.denied.reasons(), first.stale) == ({f"sha256:{OTHER}": WHY}, False)
    listed.server.files.clear()
    assert reader.denied(SECURITY, terms) is first


def test_a_list_that_is_malformed_is_the_refusal(wire: WireFormat) -> None:
    listed = security(wire, OTHER)
    listed.forger.alter(TARGETS, lambda d: d.update({"version": d["version"] + 1, DENIED_MEMBER: []}))
    read = OnceReader(SimulatedSession(listed.newcomer())).denied(SECURITY, policy("", listed).denying[0].terms)
    assert read.denied is None
    assert isinstance(read.refusal, MalformedMetadata)
