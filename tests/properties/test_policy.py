"""What a policy allows: a further requirement never more, whatever the order of rules; without a rule nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.simulator.certified import CertifiedCollection, key_below
from tests.simulator.owner import Owner
from tests.simulator.plain_reader import PlainReader
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, Scene
from tests.simulator.signed_by import INDEX, PLATFORM, signed_by
from tests.support.issuers import Issuer
from trustcli.config.verifier_settings import AllowedImage
from trustcli.hooks.deciding.decider import PolicyDecider
from trustcli.hooks.deciding.decision import Decision
from trustcli.registry.reference import parse_reference
from trustdata.errors import PolicyRefused
from trustdata.gun import parse_gun
from trustdata.policy import Policy, read_distributed, read_policy
from trustdata.verification.trust_pinning import Pin
from trustdata.wire.notary import NOTARY

SCENE = signed_by()
APP = str(SCENE.server.gun)
AT = SCENE.server.at
ABOVE = APP.rpartition("/")[0] + "/*"
OTHER_PIN = "sha256:" + "a" * 64
CORP, STRANGER = Issuer.root("Corp"), Issuer.root("Stranger")
AUTHORITIES = [{"name": each.name.lower(), "certificates": each.pem} for each in (CORP, STRANGER)]
CERTIFIED = CertifiedCollection(signed_by(NOTARY), root=key_below(CORP)).scene
"""The same collection in Notary v1, with a root that an authority vouches for."""
DIGESTS = [f"sha256:{digest}" for digest in (GOOD, EVIL, INDEX, PLATFORM)]
Table = dict[str, Any]


def _exempting(mode: str, days: int) -> Table:
    return {"mode": mode, "reason": "a test", "until": (AT + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")}


modes = st.one_of(
    st.sampled_from([{"mode": "enforce"}, {"action": "verify"}, {"mode": "deny"}, {}]),
    st.builds(_exempting, st.sampled_from(["allow", "audit"]), st.sampled_from([-1, 1])),
)
signers = st.lists(st.sampled_from(["alice", "bob", "carol"]), unique=True, min_size=1, max_size=3)


@st.composite
def demands(draw: st.DrawFn) -> Table:
    """What a rule requires: signers, a threshold, the release."""
    names = draw(st.one_of(st.just([]), signers))
    if not names:
        return {}
    released = draw(st.booleans())
    least = 1 if released else len(names) // 2 + 1
    return {"signers": names, "threshold": draw(st.integers(least, len(names))), "released": released}


selectors = st.fixed_dictionaries(
    {"match": st.sampled_from([APP, ABOVE, "*", "elsewhere.example.com/*"])},
    optional={
        "tags": st.lists(st.sampled_from(["signed", "multi", "*i*", "????", "x"]), unique=True, min_size=1),
        "digests": st.lists(st.sampled_from(DIGESTS), unique=True, min_size=1),
    },
)
terms = st.fixed_dictionaries(
    {},
    optional={
        "max_staleness": st.sampled_from(["1h", "1d", "9d"]),
        "pins": st.sampled_from(
            [
                [],
                [str(SCENE.pin)],
                [OTHER_PIN],
                [str(CERTIFIED.pin)],
                ["ca:corp"],
                ["ca:stranger"],
                ["ca:corp", OTHER_PIN],
            ]
        ),
    },
)
rules = st.builds(lambda *parts: {k: v for part in parts for k, v in part.items()}, selectors, modes, demands(), terms)
policies = st.lists(rules, max_size=5)
some_rules = st.lists(rules, min_size=1, max_size=5)
images = st.sampled_from(["signed", "multi", "big", "evil", "index", "absent", *(f"@{digest}" for digest in DIGESTS)])
served = st.one_of(st.none(), st.sampled_from(DIGESTS))
ages = st.sampled_from([None, timedelta(hours=2), timedelta(days=2)])
Asked = tuple[str, str | None, timedelta | None]
asked = st.tuples(images, served, ages)
"""An image, what the registry serves (None: that is not known), and how long the server has been away."""


@cache
def _reader(age: timedelta | None) -> PlainReader:
    return PlainReader([SCENE], age=age)


@cache
def _certified_reader(age: timedelta | None) -> PlainReader:
    return PlainReader([CERTIFIED], age=age)


def policy(tables: list[Table]) -> Policy:
    return read_policy({"rule": tables, "ca": AUTHORITIES}, source="policy.toml")


def decided(tables: list[Table], asked: Asked, *, certified: bool = False) -> Decision:
    image, digest, age = asked
    name = f"{APP}{image}" if image.startswith("@") else f"{APP}:{image}"
    reader = (_certified_reader if certified else _reader)(age)
    return PolicyDecider(policy(tables), (), reader, at=lambda: AT).decide(parse_reference(name), digest)


def allows_no_more(strict: Decision, lenient: Decision) -> bool:
    """Whether everything that the first lets run, the second does, too: the same content, or any.

    A rule that only watches lets any content run, whatever it says that is signed.
    """
    any_content = lenient.digest is None or lenient.mode == "audit"
    return not strict.allowed or (lenient.allowed and (any_content or lenient.digest == strict.digest))


@given(policies, asked, st.data())
def test_the_order_of_rules_decides_nothing(tables: list[Table], asked: Asked, data: st.DataObject) -> None:
    moved = data.draw(st.permutations(tables))
    one, other = decided(tables, asked), decided(moved, asked)
    assert (one.allowed, one.digest, one.mode) == (other.allowed, other.digest, other.mode)
    assert type(one.refusal) is type(other.refusal)


@given(some_rules, asked, st.data())
def test_one_more_equally_specific_rule_never_allows_more(
    tables: list[Table], asked: Asked, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(tables) - 1))
    about = {key: value for key, value in tables[place].items() if key in {"match", "tags", "digests"}}
    more = {**about, **data.draw(modes), **data.draw(demands()), **data.draw(terms)}
    assert allows_no_more(decided([*tables, more], asked), decided(tables, asked))


def _one_more_signer(rule: Table) -> Table:
    """One more must have signed, of one more: whoever was enough before is needed still."""
    names = rule.get("signers", [])
    more = [name for name in ("alice", "bob", "carol") if name not in names][:1]
    return {**rule, "signers": [*names, *more], "threshold": rule.get("threshold", len(names)) + len(more)}


def _enforced(rule: Table) -> Table:
    if rule.get("mode") not in {"allow", "audit"} or rule["until"] < AT.strftime("%Y-%m-%d"):
        return rule  # what has run out hides no other rule, which a rule that verifies would
    return {k: v for k, v in rule.items() if k not in {"mode", "reason", "until"}}


STRICTER: list[Callable[[Table], Table]] = [
    _one_more_signer,
    _enforced,
    lambda rule: {k: v for k, v in rule.items() if k != "threshold"},
    lambda rule: {**rule, "released": True},
    lambda rule: {**{k: v for k, v in rule.items() if k not in {"action", "reason", "until"}}, "mode": "deny"},
    lambda rule: {**rule, "pins": [*rule.get("pins", []), "sha256:" + "b" * 64]},
    lambda rule: {k: v for k, v in rule.items() if k != "max_staleness"},
]


@given(some_rules, asked, st.data(), st.sampled_from(STRICTER))
def test_a_stricter_rule_never_allows_more(
    tables: list[Table], asked: Asked, data: st.DataObject, stricter: Callable[[Table], Table]
) -> None:
    place = data.draw(st.integers(0, len(tables) - 1))
    changed = [*tables[:place], stricter(tables[place]), *tables[place + 1 :]]
    assert allows_no_more(decided(changed, asked), decided(tables, asked))


@given(some_rules, asked, st.data())
@example([{"match": APP}], ("signed", None, None), None)
def test_a_pin_by_ca_never_allows_more(tables: list[Table], asked: Asked, data: st.DataObject | None) -> None:
    """In both formats; and an authority that vouches for nothing allows nothing that is verified."""
    place = data.draw(st.integers(0, len(tables) - 1)) if data is not None else 0
    for certified in (False, True):
        without = decided(tables, asked, certified=certified)
        for name in ("ca:corp", "ca:stranger"):
            rule = tables[place]
            pinned = {**rule, "pins": [*(pin for pin in rule.get("pins", []) if pin != name), name]}
            with_pin = decided([*tables[:place], pinned, *tables[place + 1 :]], asked, certified=certified)
            assert allows_no_more(with_pin, without)
            if len(tables) == 1 and with_pin.allowed and with_pin.mode == "enforce":
                assert (certified, name) == (True, "ca:corp")


further = st.lists(
    st.builds(
        lambda *parts: {k: v for part in parts for k, v in part.items()},
        selectors,
        st.sampled_from([{"mode": "enforce"}, {"action": "verify"}, {"mode": "deny"}, {}]),
        demands(),
        st.sampled_from([{}, {"max_staleness": "1h"}, {"max_staleness": "9d"}]),
    ),
    max_size=5,
)
"""What a distributed policy may hold."""


@given(policies, further, asked)
@example([{"match": APP, **_exempting("allow", 1)}], [{"match": "*"}], ("big", None, None))
@example([{"match": APP}], [{"match": "*", "max_staleness": "9d"}], ("signed", None, timedelta(hours=2)))
def test_what_is_distributed_never_allows_more(tables: list[Table], distributed: list[Table], asked: Asked) -> None:
    image, digest, age = asked
    name = f"{APP}{image}" if image.startswith("@") else f"{APP}:{image}"
    tightened = policy(tables).tightened(read_distributed({"rule": distributed}, source="distributed"))
    both = PolicyDecider(tightened, (), _reader(age), at=lambda: AT).decide(parse_reference(name), digest)
    local = decided(tables, asked)
    assert allows_no_more(both, local)
    if not distributed:
        assert (both.allowed, both.digest, both.mode) == (local.allowed, local.digest, local.mode)


@cache
def _denying_reader(denied: tuple[str, ...], named: tuple[str, ...], age: timedelta | None) -> tuple[PlainReader, Pin]:
    """Of the collection, which denies digests itself, and of one whose list a policy may name."""
    own = Scene(server=SCENE.server.copy(), past=SCENE.past, pin=SCENE.pin)
    if denied:
        own.owner.deny(*denied)
    server = RepositorySimulator(gun=SECURITY)
    owner = Owner(server)
    pin = owner.initialise()
    if named:
        owner.deny(*named)
    return PlainReader([own, Scene(server=server, past=server, pin=pin)], age=age), pin


SECURITY = parse_gun("registry.example.com/security/denied")
CONTENT = (GOOD, EVIL, INDEX, PLATFORM)
some = st.lists(st.sampled_from(CONTENT), unique=True).map(lambda found: tuple(sorted(found)))


@given(policies, asked, some, some, st.booleans())
@example([{"match": APP, **_exempting("allow", 1)}], (f"@sha256:{GOOD}", None, None), (), (GOOD,), False)
@example([{"match": APP, **_exempting("audit", 1)}], ("signed", None, None), (GOOD,), (), False)
@example([{"match": APP}], ("index", None, None), (), (PLATFORM,), False)
@example([{"match": APP}], ("signed", None, None), (), (GOOD,), True)
def test_one_more_denied_digest_never_allows_more_and_never_runs(
    tables: list[Table],
    asked: Asked,
    own: tuple[str, ...],
    named: tuple[str, ...],
    listed: bool,  # noqa: FBT001
) -> None:
    """`listed`: the settings of the machine name the image, too, which only a list of the policy stops."""
    image, digest, age = asked
    name = f"{APP}{image}" if image.startswith("@") else f"{APP}:{image}"
    reader, pin = _denying_reader(own, named, age)
    allow = (AllowedImage(pattern=APP, digest=None),) if listed else ()
    deny_list = {"name": SECURITY, "pins": [str(pin)], "max_staleness": "9d"}
    denying = read_policy({"rule": tables, "deny_list": [deny_list], "ca": AUTHORITIES}, source="policy.toml")
    decision = PolicyDecider(denying, allow, reader, at=lambda: AT).decide(parse_reference(name), digest)
    before = PolicyDecider(policy(tables), allow, _reader(age), at=lambda: AT)
    assert allows_no_more(decision, before.decide(parse_reference(name), digest))
    if decision.allowed and decision.digest is not None:
        stopped = {f"sha256:{each}" for each in (named if decision.mode in {"allow", "audit"} else (*named, *own))}
        assert decision.digest not in stopped
        if decision.verified and decision.digest == f"sha256:{INDEX}":
            assert f"sha256:{PLATFORM}" not in stopped


@given(policies, asked)
def test_no_rule_is_a_refusal(tables: list[Table], asked: Asked) -> None:
    elsewhere = [{**table, "match": "elsewhere.example.com/*"} for table in tables]
    image, digest, _ = asked
    answer = decided(elsewhere, asked)
    assert not answer.allowed
    if digest is None or not image.startswith("@") or image == f"@{digest}":
        assert isinstance(answer.refusal, PolicyRefused)


@example(
    [{"match": APP, "signers": ["alice"]}],
    ("big", DIGESTS[0], None),
    ({"match": APP, "digests": DIGESTS[:1]}, {}, "allow"),
)
@given(policies, asked, st.tuples(selectors, demands(), st.sampled_from(["allow", "audit"])))
def test_an_exemption_that_has_run_out_never_allows(
    tables: list[Table], asked: Asked, over: tuple[Table, Table, str]
) -> None:
    """Where other rules decide, it allows no more than they do; alone, no more than a rule that verifies."""
    about, demand, mode = over
    strict = decided([*tables, {**about, **_exempting(mode, -1), **demand}], asked)
    without = decided(tables, asked)
    if isinstance(without.refusal, PolicyRefused) and "no rule matches" in str(without.refusal):
        verifying = {**about, **demand}
        without = decided([*tables, verifying], asked)
    assert allows_no_more(strict, without)
    if not any("reason" in table for table in tables):
        assert strict.mode in {"enforce", "deny"}


@given(policies, asked)
@example([{"match": APP, "mode": "deny", "digests": [f"sha256:{GOOD}"]}, {"match": APP}], ("signed", None, None))
def test_who_knows_the_digest_is_allowed_no_more(tables: list[Table], asked: Asked) -> None:
    """What a tag is verified as is judged again by the rules for this digest, as a hook does that is told it."""
    image, _, age = asked
    answer = decided(tables, (image, None, age))
    if answer.allowed and answer.digest is not None:
        told = decided(tables, (image, answer.digest, age))
        assert (told.allowed, told.digest) == (True, answer.digest)
