"""Collections in memory: how old an answer may be, what earns a refresh, and what older data never covers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from keys.record import replace
from tests.simulator.attacks.moves import replay_all
from tests.simulator.owner import Owner
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, NEWER, good_collection
from tests.support.resident_node import Gate, ResidentNode, rule
from trustcli.errors import MemoryUnwritable, RemoteMisbehaved, RemoteUnreachable, VerdictTooLate, VerifierBusy
from trustcli.hooks.deciding.once import is_away
from trustcli.hooks.resident.limits import ResidentLimits
from trustdata.envelope import Envelope
from trustdata.errors import (
    MetadataExpired,
    NotSigned,
    NotTrusted,
    PolicyRefused,
    TagMismatch,
    TrustError,
    VersionRollback,
)
from trustdata.judgement import Judgement, Question, judge
from trustdata.roles import TARGETS, TIMESTAMP, RoleName
from trustdata.wire import WireFormat

Nodes = Callable[..., ResidentNode]


@pytest.fixture
def node(wire: WireFormat, node_of: Nodes) -> ResidentNode:
    scene = good_collection(wire)
    return node_of(scene.newcomer())


# --- how old an answer may be


def test_warm_answers_ask_nobody(node: ResidentNode) -> None:
    assert node.digest() == f"sha256:{GOOD}"
    assert node.timestamps_asked() == 1
    for _ in range(5):
        node.time.pass_(seconds=12)
        assert node.digest() == f"sha256:{GOOD}"
    assert node.client.server.requests == []


def test_older_answers_are_asked_anew(node: ResidentNode) -> None:
    node.digest()
    node.timestamps_asked()
    node.time.pass_(seconds=61)
    reading = node.ask()
    assert node.timestamps_asked() == 1
    assert (reading.refreshed, reading.stale) == (node.time.at, False)


def test_after_the_clock_was_set_back_the_server_is_asked(node: ResidentNode) -> None:
    node.digest()
    node.timestamps_asked()
    node.time.pass_(seconds=1)
    node.time.set_wall(minutes=-2)
    node.digest()
    assert node.timestamps_asked() == 1


def test_every_answer_says_when_the_server_confirmed_it(node: ResidentNode) -> None:
    began = node.time.at
    node.digest()
    node.time.pass_(seconds=30)
    assert node.ask().refreshed == began


def test_the_age_is_told_by_the_clock_that_says_more(node: ResidentNode) -> None:
    node.digest()
    node.time.pass_(seconds=50)
    node.time.set_wall(seconds=-30)
    refreshed = node.ask().refreshed
    assert refreshed is not None
    assert (node.time.at - refreshed).total_seconds() == 50


def test_a_verdict_is_judged_once(node: ResidentNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node.digest()
    judged: list[Question] = []

    def counted(
        question: Question, roles: Mapping[RoleName, Envelope], faults: Mapping[RoleName, TrustError]
    ) -> Judgement:
        judged.append(question)
        return judge(question, roles, faults)

    monkeypatch.setattr("trustcli.client.verified_roles.judge", counted)
    node.digest()
    assert judged == []
    node.time.pass_(seconds=61)
    node.digest()
    assert judged == [], "the same files were confirmed"
    node.renew(seconds=61)
    node.digest()
    assert len(judged) == 1


# --- what earns a refresh


def test_a_tag_that_was_signed_a_moment_ago_is_found(node: ResidentNode) -> None:
    node.digest()
    node.time.pass_(seconds=1)
    Owner(node.client.server, "targets").sign("3.0", NEWER)
    assert node.digest("3.0") == f"sha256:{NEWER}"


def test_a_digest_that_was_signed_a_moment_ago_is_found(node: ResidentNode) -> None:
    node.digest()
    node.time.pass_(seconds=1)
    Owner(node.client.server, "targets").sign("1.0", NEWER)
    (answer,) = node.ask("1.0", f"sha256:{NEWER}").judgements
    assert answer.allowed, answer.refusal


def test_unknown_tags_earn_one_refresh_in_some_seconds(node: ResidentNode) -> None:
    node.digest()
    node.time.pass_(seconds=1)
    node.timestamps_asked()
    for number in range(20):
        node.time.pass_(seconds=0.01)
        with pytest.raises(NotSigned):
            node.digest(f"unknown-{number}")
    assert node.timestamps_asked() == 1
    node.time.pass_(seconds=node.limits.unknown)
    with pytest.raises(NotSigned):
        node.digest("unknown")
    assert node.timestamps_asked() == 1


def test_an_unknown_tag_at_first_contact_is_not_asked_for_twice(node: ResidentNode) -> None:
    with pytest.raises(NotSigned):
        node.digest("unknown")
    assert node.timestamps_asked() == 1
    node.time.pass_(seconds=1)
    Owner(node.client.server, "targets").sign("unknown", NEWER)
    assert node.digest("unknown") == f"sha256:{NEWER}", "its refresh was not spent"


def test_all_collections_together_earn_so_many(wire: WireFormat, node_of: Nodes) -> None:
    node = node_of(good_collection(wire).newcomer(), limits=ResidentLimits(unknown=0.0, unknown_rate=0.2))
    node.digest()
    node.timestamps_asked()
    for number in range(10):
        node.time.pass_(seconds=0.01)
        with pytest.raises(NotSigned):
            node.digest(f"unknown-{number}")
    assert node.timestamps_asked() == 2, "ten seconds' worth"


def test_who_asks_in_vain_leaves_the_refreshes_of_others(wire: WireFormat, node_of: Nodes) -> None:
    """Collections with unknown tags, asked for again and again, against one with a tag of a moment ago."""
    node = node_of(good_collection(wire).newcomer(), limits=ResidentLimits(unknown=1.0, unknown_rate=1.0))
    vain = [rule(max_life=f"{400 + number}d") for number in range(9)]
    for each in (None, *vain):
        node.digest(rule=each)
    for second in range(30):
        node.time.pass_(seconds=1.01)
        for each in vain:
            with pytest.raises(NotSigned):
                node.digest(f"unknown-{second}", rule=each)
    Owner(node.client.server, "targets").sign("new", NEWER)
    assert node.digest("new") == f"sha256:{NEWER}"
    with pytest.raises(NotSigned):
        node.digest("unknown", rule=vain[0])
    node.time.pass_(seconds=30.0)
    Owner(node.client.server, "targets").sign("newer", NEWER)
    assert node.digest("newer", rule=vain[0]) == f"sha256:{NEWER}", "they are not forgotten"


def test_a_refusal_that_a_refresh_cannot_change_now_stands(node: ResidentNode) -> None:
    node.digest()
    node.time.pass_(seconds=1)
    node.client.server.down = True
    (answer,) = node.ask("1.0", f"sha256:{NEWER}").judgements
    assert isinstance(answer.refusal, TagMismatch), "what is in memory is young enough to say so"


# --- the server is away


def test_without_a_bound_no_older_data_is_used(node: ResidentNode) -> None:
    node.digest()
    node.client.server.down = True
    node.time.pass_(seconds=61)
    with pytest.raises(RemoteUnreachable):
        node.digest()


def test_within_the_bound_older_data_is_used_and_says_so(node: ResidentNode) -> None:
    began = node.time.at
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    node.client.server.down = True
    node.time.pass_(hours=2)
    reading = node.ask(rule=bounded)
    assert reading.judgements[0].allowed, reading.judgements[0].refusal
    assert (reading.refreshed, reading.stale) == (began, True)
    node.time.pass_(seconds=1)
    with pytest.raises(RemoteUnreachable):
        node.digest(rule=bounded)
    node.client.server.down = False
    node.time.pass_(seconds=node.limits.failure)
    assert not node.ask(rule=bounded).stale


def test_a_server_that_is_known_to_be_away_is_tried_now_and_then(node: ResidentNode) -> None:
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    node.client.server.down = True
    node.time.pass_(seconds=61)
    for _ in range(5):
        assert node.ask(rule=bounded).stale
    assert len(node.counted.refreshes) == 2


def test_nobody_waits_for_a_server_that_is_known_to_be_away(wire: WireFormat, node_of: Nodes) -> None:
    node = node_of(good_collection(wire).newcomer(), limits=ResidentLimits(wait_with_older=1000.0, wait=1000.0))
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    node.client.server.down = True
    node.time.pass_(seconds=61)
    assert node.ask(rule=bounded).stale
    gate = node.client.server.before_fetch = Gate()
    node.time.pass_(seconds=node.limits.failure)
    assert node.ask(rule=bounded).stale
    assert gate.reached.wait(30), "it is tried all the same"
    gate.opened.set()


def test_a_verifier_that_is_busy_is_no_server_that_is_away(node: ResidentNode) -> None:
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    node.time.pass_(seconds=61)
    node.reader.stop()
    with pytest.raises(VerifierBusy):
        node.digest(rule=bounded)


def test_never_beyond_the_expiry_of_the_data(node: ResidentNode) -> None:
    bounded = rule(max_staleness="9999d")
    node.digest(rule=bounded)
    node.client.server.down = True
    ends = node.client.server.stored[TIMESTAMP].expires
    node.time.pass_(seconds=(ends - node.time.at).total_seconds() - 1)
    assert node.ask(rule=bounded).stale
    node.time.pass_(seconds=1)
    with pytest.raises(MetadataExpired):
        node.digest(rule=bounded)


def test_never_after_the_clock_was_set_back(node: ResidentNode) -> None:
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    node.client.server.down = True
    node.time.pass_(minutes=30)
    node.time.set_wall(minutes=-2)
    with pytest.raises(RemoteUnreachable):
        node.digest(rule=bounded)


def test_a_clock_that_is_set_forward_makes_data_older(node: ResidentNode) -> None:
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    node.client.server.down = True
    node.time.set_wall(hours=1)
    assert node.ask(rule=bounded).stale
    node.time.set_wall(hours=2)
    with pytest.raises(RemoteUnreachable):
        node.digest(rule=bounded)


def test_a_restart_without_the_server_goes_on_from_the_cache(node: ResidentNode) -> None:
    began = node.time.at
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    node.close()
    node.client.server.down = True
    node.time.pass_(hours=1)
    node.restarted()
    reading = node.ask(rule=bounded)
    assert reading.judgements[0].allowed, reading.judgements[0].refusal
    assert (reading.refreshed, reading.stale) == (began, True)
    with pytest.raises(RemoteUnreachable):
        node.digest()
    node.time.pass_(hours=2)
    with pytest.raises(RemoteUnreachable):
        node.digest(rule=bounded)


def test_a_restart_while_the_server_hangs_goes_on_from_the_cache(wire: WireFormat, node_of: Nodes) -> None:
    """Whoever asks does not wait for the whole time of a request to learn what the cache has."""
    limits = ResidentLimits(wait_with_older=0.05, wait=30.0)
    node = node_of(good_collection(wire).newcomer(), limits=limits)
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    node.close()
    node.time.pass_(hours=1)
    gate = node.client.server.before_fetch = Gate()
    node.restarted()
    reading = node.ask(rule=bounded)
    assert (reading.stale, reading.judgements[0].digest) == (True, f"sha256:{GOOD}")
    node.limits = replace(limits, wait=0.1)
    node.restarted()
    node.time.pass_(hours=2)
    with pytest.raises(VerdictTooLate):
        node.digest(rule=bounded)
    gate.opened.set()


def test_a_restart_before_a_server_that_refuses_uses_no_cache(node: ResidentNode) -> None:
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    node.close()
    node.time.pass_(seconds=61)
    node.client.server.files.clear()
    node.restarted()
    with pytest.raises(TrustError) as refusal:
        node.digest(rule=bounded)
    assert not is_away(refusal.value)
    node.client.server.down = True
    node.time.pass_(seconds=61)
    with pytest.raises(RemoteUnreachable):
        node.digest(rule=bounded)


# --- what older data never covers


def test_a_rollback_is_refused_at_once_and_stays_refused(wire: WireFormat, node_of: Nodes) -> None:
    scene = good_collection(wire)
    node = node_of(scene.newcomer())
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)
    replay_all(scene)
    node.time.pass_(seconds=55)
    assert node.reader.refresh_due() == 1, "in the background"
    with pytest.raises(NotTrusted) as refusal:
        node.digest(rule=bounded)
    assert isinstance(refusal.value, VersionRollback)
    scene.server.down = True
    node.time.pass_(seconds=61)
    with pytest.raises(RemoteUnreachable):
        node.digest(rule=bounded)


def test_a_server_that_answers_nonsense_is_not_away(node: ResidentNode) -> None:
    bounded = rule(max_staleness="2h")
    node.digest(rule=bounded)

    def nonsense(filename: str) -> None:
        raise RemoteMisbehaved(remote="https://trust.example.com", reason="redirect loop")

    node.client.server.before_fetch = nonsense
    node.time.pass_(seconds=61)
    with pytest.raises(RemoteMisbehaved):
        node.digest(rule=bounded)


def test_what_cannot_be_remembered_does_not_count(node: ResidentNode) -> None:
    node.client.memory.broken = True
    with pytest.raises(MemoryUnwritable):
        node.digest()
    node.client.memory.broken = False
    node.time.pass_(seconds=node.limits.failure)
    assert node.digest() == f"sha256:{GOOD}"


def test_expiry_is_judged_at_each_answer(node: ResidentNode) -> None:
    ends = node.client.server.stored[TIMESTAMP].expires
    node.time.pass_(seconds=(ends - node.time.at).total_seconds() - 30)
    assert node.digest() == f"sha256:{GOOD}"
    node.timestamps_asked()
    node.time.pass_(seconds=30)
    with pytest.raises(MetadataExpired):
        node.digest()
    assert node.timestamps_asked() == 0


def test_a_clock_that_was_set_back_makes_nothing_valid_again(node: ResidentNode) -> None:
    ends = node.client.server.stored[TIMESTAMP].expires
    node.time.pass_(seconds=(ends - node.time.at).total_seconds() - 30)
    node.digest()
    node.time.pass_(seconds=40)
    node.time.set_wall(seconds=-59)
    with pytest.raises(MetadataExpired):
        node.digest()


# --- signers


def test_the_roles_of_required_signers_are_read_once(node: ResidentNode) -> None:
    node.digest()
    node.timestamps_asked()
    alice = rule(signers=["alice"])
    for _ in range(3):
        assert node.digest(rule=alice) == f"sha256:{GOOD}"
    assert node.timestamps_asked() == 1
    with pytest.raises(PolicyRefused):
        node.digest(rule=rule(signers=["alice", "bob"]))


def test_the_expired_role_of_one_of_two_signers_decides_nothing(node: ResidentNode) -> None:
    either = rule(signers=["alice", "bob"], threshold=1)
    assert node.digest(rule=either) == f"sha256:{GOOD}"
    verified, _ = next(iter(node.reader._kept.values())).state()
    assert verified is not None
    roles = verified.roles
    later = roles.roles[TARGETS].expires - timedelta(days=1)
    assert roles.judge(node.ask(rule=either).judgements[0].question, later).refusal is not None


def test_released_tags_are_those_of_the_collection(node: ResidentNode) -> None:
    found = node.reader.released(APP, None)
    assert {target.tag: target.digest for target in found.targets}["1.0"] == GOOD
    assert found.refusal is None
    node.client.server.down = True
    node.time.pass_(seconds=61)
    assert isinstance(node.reader.released(APP, None).refusal, RemoteUnreachable)


# --- in the background


def test_what_is_in_use_is_refreshed_before_anybody_asks(node: ResidentNode) -> None:
    node.digest()
    node.timestamps_asked()
    node.time.pass_(seconds=49)
    assert node.reader.refresh_due() == 0
    node.time.pass_(seconds=2)
    assert node.reader.refresh_due() == 1
    node.time.pass_(seconds=20)
    node.digest()
    assert node.timestamps_asked() == 1


def test_what_nobody_has_asked_for_in_an_hour_is_left_alone(node: ResidentNode) -> None:
    node.digest()
    node.time.pass_(minutes=59)
    assert node.reader.refresh_due() == 1
    node.time.pass_(minutes=2)
    assert node.reader.refresh_due() == 0


def test_a_server_that_is_away_is_tried_at_the_same_pace(node: ResidentNode) -> None:
    node.digest()
    node.client.server.down = True
    node.time.pass_(seconds=51)
    assert node.reader.refresh_due() == 1
    assert node.reader.refresh_due() == 0
    node.time.pass_(seconds=5)
    assert node.digest() == f"sha256:{GOOD}", "it is still young"
