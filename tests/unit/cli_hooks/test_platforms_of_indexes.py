"""A platform that stands in several signed indexes runs by any of them that may run."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

import pytest

from tests.simulator.owner import Owner, digest_of
from tests.simulator.plain_reader import PlainReader
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import Scene
from tests.simulator.signed_by import INDEX, PLATFORM
from trustcli.hooks.deciding.decider import PolicyDecider
from trustcli.hooks.deciding.decision import Decision
from trustcli.registry.reference import parse_reference
from trustdata.gun import parse_gun
from trustdata.policy import Policy, read_policy
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

VENDOR = parse_gun("vendor.example.com/app")
MIRROR = "mirror.example.net/app"
SECOND = f'second = {{name = "{VENDOR}"}}\n'
MORE = digest_of("another index")


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


def policy(text: str) -> Policy:
    return read_policy(tomllib.loads(text), source="policy.toml")


class Scenery:
    """A decider over one simulated server; `asked` names what was read."""

    def __init__(self, rules: Policy | None, *scenes: Scene) -> None:
        self._reader = PlainReader(scenes) if scenes else PlainReader([two_indexes(FORMATS["tuf-1.0"])])
        at = scenes[0].server.at if scenes else two_indexes(FORMATS["tuf-1.0"]).server.at
        self.decider = PolicyDecider(rules, (), self._reader, at=lambda: at)

    @property
    def asked(self) -> Sequence[object]:
        return self._reader.asked

    def decide(self, image: str, digest: str | None = None) -> Decision:
        return self.decider.decide(parse_reference(image), None if digest is None else f"sha256:{digest}")


def two_indexes(wire: WireFormat, *, second_signers: tuple[str, ...] = ("alice",)) -> Scene:
    """A platform in two signed indexes; by its tag, `index` comes before `more`."""
    server = RepositorySimulator(gun=APP, wire=wire)
    owner = Owner(server)
    pin = owner.initialise()
    for name in ("alice", "bob"):
        owner.add_signer(name)
    Owner(server, "alice").sign("index", INDEX, PLATFORM)
    for name in second_signers:
        Owner(server, name).sign("more", MORE, PLATFORM)
    return Scene(server=server, past=server.copy(), pin=pin)


@pytest.mark.parametrize("terms", ["", 'signers = ["alice"]\nreleased = false\n'])
@pytest.mark.parametrize("mode", ['mode = "deny"', 'signers = ["carol"]', SECOND])
def test_what_a_rule_refuses_as_part_of_one_index_may_be_part_of_another(
    wire: WireFormat, mode: str, terms: str
) -> None:
    base, by_platform = f'[[rule]]\nmatch = "{APP}"\n', f"{APP}@sha256:{PLATFORM}"
    of_first = f'{base}{terms}{base}digests = ["sha256:{INDEX}"]\n{mode}\n'
    scene = two_indexes(wire)
    decision = Scenery(policy(of_first), scene).decide(by_platform)
    assert (decision.digest, decision.verified) == (f"sha256:{PLATFORM}", True)
    assert decision.evidence is not None
    assert decision.evidence.signed_as == f"sha256:{MORE}"
    assert not Scenery(policy(of_first), scene).decide(f"{APP}:index", PLATFORM).allowed, "the tag is that of the first"
    of_both = of_first.replace("digests = [", f'digests = ["sha256:{MORE}", ')
    assert not Scenery(policy(of_both), scene).decide(by_platform).allowed


def test_what_the_rule_for_an_index_wants_is_not_found_at_another_one_that_is_denied(wire: WireFormat) -> None:
    base = f'[[rule]]\nmatch = "{APP}"\n'
    rules = f'{base}{base}digests = ["sha256:{INDEX}"]\nsigners = ["bob"]\n'
    denied = f'{rules}{base}digests = ["sha256:{MORE}"]\nmode = "deny"\n'
    scene = two_indexes(wire, second_signers=("bob",))
    by_platform = f"{APP}@sha256:{PLATFORM}"
    assert not Scenery(policy(denied), scene).decide(by_platform).allowed
    assert Scenery(policy(rules), scene).decide(by_platform).allowed


def test_the_digests_that_rules_are_about_are_those_of_what_is_distributed_too() -> None:
    base = f'[[rule]]\nmatch = "{APP}"\n'
    own = policy(
        f'{base}{base}digests = ["sha256:{INDEX}"]\nmode = "deny"\n[[alias]]\nname = "{MIRROR}"\ntrust = "{APP}"'
    )
    both = own.tightened(policy(f'{base}digests = ["sha256:{MORE}"]\nmode = "deny"'))
    assert own.named_digests(APP) == {f"sha256:{INDEX}"}
    assert both.named_digests(APP) == {f"sha256:{INDEX}", f"sha256:{MORE}"}
    assert own.named_digests(VENDOR) == frozenset()
    assert Scenery(both).decider.named_digests(parse_gun(MIRROR)) == both.named_digests(APP)
    assert Scenery(None).decider.named_digests(APP) == frozenset()


@pytest.mark.parametrize("count", [7, 8, 9, 12])
def test_however_many_indexes_are_denied_the_one_that_is_not_counts(wire: WireFormat, count: int) -> None:
    server = RepositorySimulator(gun=APP, wire=wire)
    owner = Owner(server)
    pin = owner.initialise()
    digests = [digest_of(f"index {number}") for number in range(count + 1)]
    for number, digest in enumerate(digests):
        owner.sign(f"v{number:02}", digest, PLATFORM)
    scene = Scene(server=server, past=server.copy(), pin=pin)
    base, by_platform = f'[[rule]]\nmatch = "{APP}"\n', f"{APP}@sha256:{PLATFORM}"
    for denied, allowed in ((digests[:-1], True), (digests, False)):
        named = ", ".join(f'"sha256:{digest}"' for digest in denied)
        rules = policy(f'{base}{base}digests = [{named}]\nmode = "deny"')
        scenery = Scenery(rules, scene)
        assert scenery.decide(by_platform).allowed is allowed
        assert len(scenery.asked) <= 11
