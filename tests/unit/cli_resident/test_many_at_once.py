"""Many questions at one time: one refresh for all of them, and nobody who keeps the others waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.simulator.client import Client
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, good_collection
from tests.simulator.siblings import DEV, pinned, siblings
from tests.support.resident_node import Gate, ResidentNode, rule
from trustcli.errors import RemoteUnreachable, VerdictTooLate, VerifierBusy
from trustcli.hooks.resident.limits import ResidentLimits
from trustdata.errors import TrustError
from trustdata.gun import GUN, parse_gun
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF

Nodes = Callable[..., ResidentNode]


def all_at_once(count: int, ask: Callable[[], object]) -> list[object]:
    """The answer, or the error, of each of `count` threads, which begin together."""
    together = threading.Barrier(count)

    def one(_: int) -> object:
        together.wait(30)
        try:
            return ask()
        except TrustError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def answers(results: Iterable[object]) -> set[str]:
    return {result if isinstance(result, str) else type(result).__name__ for result in results}


def test_a_hundred_cold_questions_are_one_refresh(wire: WireFormat, node_of: Nodes) -> None:
    node = node_of(good_collection(wire).newcomer())
    assert answers(all_at_once(100, node.digest)) == {f"sha256:{GOOD}"}
    assert node.timestamps_asked() == 1
    assert node.counted.refreshes == [None]


def test_a_hundred_questions_about_an_unknown_tag_are_one_more(node_of: Nodes) -> None:
    node = node_of(good_collection().newcomer())
    node.digest()
    node.time.pass_(seconds=1)
    node.timestamps_asked()
    assert answers(all_at_once(100, lambda: node.digest("unknown"))) == {"NotSigned"}
    assert node.timestamps_asked() == 1


def test_a_failure_is_shared_and_remembered_for_a_moment(node_of: Nodes) -> None:
    node = node_of(good_collection().newcomer())
    node.client.server.down = True
    assert answers(all_at_once(50, node.digest)) == {"RemoteUnreachable"}
    assert len(node.counted.refreshes) == 1
    node.client.server.down = False
    with pytest.raises(RemoteUnreachable):
        node.digest()
    node.time.pass_(seconds=node.limits.failure)
    assert node.digest() == f"sha256:{GOOD}"


def test_each_gets_an_error_of_its_own(node_of: Nodes) -> None:
    node = node_of(good_collection().newcomer())
    node.client.server.down = True
    first, second = (node.ask().judgements[0].refusal for _ in range(2))
    assert first is not second
    node.client.server.down = False
    node.time.pass_(seconds=node.limits.failure)
    first, second = (node.ask("unknown").judgements[0].refusal for _ in range(2))
    assert str(first) == str(second)
    assert first is not second


# --- a server that does not answer


def test_who_waits_is_told_in_time(node_of: Nodes) -> None:
    node = node_of(good_collection().newcomer(), limits=ResidentLimits(wait=0.05))
    gate = node.client.server.before_fetch = Gate()
    with pytest.raises(VerdictTooLate):
        node.digest()
    gate.opened.set()


def test_a_server_that_does_not_answer_is_as_good_as_away(node_of: Nodes) -> None:
    bounded = rule(max_staleness="2h")
    node = node_of(good_collection().newcomer(), limits=ResidentLimits(wait_with_older=0.05))
    node.digest(rule=bounded)
    gate = node.client.server.before_fetch = Gate()
    node.time.pass_(seconds=61)
    assert node.ask(rule=bounded).stale
    gate.opened.set()


def test_a_server_that_does_not_answer_delays_only_its_own_collections(node_of: Nodes) -> None:
    """Each worker of its share hangs, as many questions wait as may, and other servers' collections are judged."""
    both = siblings(TUF)
    hanging, good = pinned(both.app, both.key), pinned(both.dev, both.key)
    limits = ResidentLimits(workers=2, per_server=1, background_workers=0)
    node = node_of(hanging, good, limits=limits)
    node.machines.servers = {APP: "https://hangs.example.com", DEV: "https://good.example.com"}
    gate = both.app.before_fetch = Gate()
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(node.ask)
        assert gate.reached.wait(30)
        another = pool.submit(node.ask, rule=rule(max_life="1000d"))
        while node.reader.waiting() == 0:
            threading.Event().wait(0.001)
        assert node.digest(gun=DEV).startswith("sha256:")
        gate.opened.set()
        assert held.result(30).judgements[0].refusal is another.result(30).judgements[0].refusal is None


def test_in_the_background_no_server_gets_all_threads(node_of: Nodes) -> None:
    both = siblings(TUF)
    hanging, good = pinned(both.app, both.key), pinned(both.dev, both.key)
    node = node_of(hanging, good, limits=ResidentLimits(background_workers=0))
    node.machines.servers = {APP: "https://hangs.example.com", DEV: "https://good.example.com"}
    for gun in (APP, DEV):
        node.digest(gun=gun)
    node.time.pass_(seconds=55)
    gate = both.app.before_fetch = Gate()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(node.reader.refresh_due)
        assert gate.reached.wait(30)
        before = len(both.dev.requests)
        node.reader.refresh_due()
        assert len(both.dev.requests) > before
        gate.opened.set()
        assert held.result(30) >= 1


def test_names_that_nobody_knows_delay_only_each_other(node_of: Nodes) -> None:
    both = siblings(TUF)
    known, unknown = pinned(both.app, both.key), Client(both.dev)
    node = node_of(known, unknown, limits=ResidentLimits(workers=1, stranger_workers=1))
    gate = both.dev.before_fetch = Gate()
    hanging = threading.Thread(target=lambda: node.ask(gun=DEV))
    hanging.start()
    assert gate.reached.wait(30)
    assert node.digest() == f"sha256:{GOOD}"
    gate.opened.set()
    hanging.join(30)


def test_what_waits_is_bounded(node_of: Nodes) -> None:
    names = [parse_gun(f"registry.example.com/strange/{number}") for number in range(3)]
    servers = [RepositorySimulator(gun=name) for name in names]
    limits = ResidentLimits(stranger_workers=1, waiting=1, wait=0.05)
    node = node_of(*map(Client, servers), limits=limits)
    gate = servers[0].before_fetch = Gate()
    told: list[type] = []
    for name in names:
        told.append(type(node.ask(gun=name).judgements[0].refusal))
        assert gate.reached.wait(30)
    assert told == [VerdictTooLate, VerdictTooLate, VerifierBusy]
    gate.opened.set()


def test_a_fault_of_ours_reaches_who_waits_and_keeps_nobody_waiting(
    node_of: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = node_of(good_collection().newcomer())

    def broken(gun: GUN, rule: object) -> object:
        raise RuntimeError("a fault")

    with monkeypatch.context() as patch:
        patch.setattr(node.machines, "collection", broken)
        with pytest.raises(RuntimeError, match="a fault"):
            node.digest()
    assert node.digest() == f"sha256:{GOOD}"


def test_who_waits_when_the_end_comes_is_told(node_of: Nodes) -> None:
    node = node_of(good_collection().newcomer())
    gate = node.client.server.before_fetch = Gate()
    told: list[TrustError | None] = []
    waiting = threading.Thread(target=lambda: told.append(node.ask().judgements[0].refusal))
    waiting.start()
    assert gate.reached.wait(30)
    node.reader.stop()
    waiting.join(30)
    gate.opened.set()
    assert [type(refusal) for refusal in told] == [VerifierBusy]
    assert "stopping" in str(told[0])


# --- what is kept


def test_what_was_not_used_for_longest_is_forgotten(node_of: Nodes) -> None:
    both = siblings(TUF)
    node = node_of(pinned(both.app, both.key), pinned(both.dev, both.key), limits=ResidentLimits(collections=1))
    node.digest()
    assert node.digest(gun=DEV) == f"sha256:{EVIL}"
    assert node.reader.holdings().collections == 1
    node.timestamps_asked()
    node.digest(gun=APP)
    assert node.timestamps_asked() == 1


def test_bytes_are_bounded_as_well(node_of: Nodes) -> None:
    both = siblings(TUF)
    node = node_of(pinned(both.app, both.key), pinned(both.dev, both.key), limits=ResidentLimits(file_bytes=1))
    node.digest()
    node.digest(gun=DEV)
    held = node.reader.holdings()
    assert held.collections == 1, "the one that was asked for last, whatever its size"
    assert held.file_bytes > 1


def test_names_of_which_nothing_was_verified_take_no_room(node_of: Nodes) -> None:
    names = [parse_gun(f"registry.example.com/strange/{number}") for number in range(5)]
    node = node_of(*(Client(RepositorySimulator(gun=name)) for name in names), limits=ResidentLimits(strangers=2))
    for name in names:
        assert node.ask(gun=name).judgements[0].refusal is not None
    assert len(node.reader._strangers) == 2
    assert node.reader.holdings().collections == 0


def test_other_pins_make_it_another_collection(node_of: Nodes) -> None:
    node = node_of(good_collection().newcomer())
    node.digest()
    node.timestamps_asked()
    node.ask(rule=rule(pins=[f"sha256:{'ab' * 32}"]))
    assert node.timestamps_asked() == 1


def test_verdicts_that_are_remembered_are_bounded(node_of: Nodes) -> None:
    node = node_of(good_collection().newcomer(), limits=ResidentLimits(verdicts=3))
    for number in range(10):
        node.ask(f"unknown-{number}")
    (kept,) = node.reader._kept.values()
    assert len(kept._verdicts) == 3


def test_verdicts_of_all_collections_together_are_bounded(node_of: Nodes) -> None:
    """Whoever may ask about many names, and about tags that are not there, does not fill the memory."""
    node = node_of(good_collection().newcomer(), limits=ResidentLimits(verdicts=10, verdicts_in_all=5))
    for number in range(12):
        node.ask(f"unknown-{number}")
    (kept,) = node.reader._kept.values()
    assert kept.verdicts == 10
    node.time.pass_(seconds=61)
    assert node.digest() == f"sha256:{GOOD}"
    assert kept.verdicts == 1, "those of before were forgotten with the refresh"


def test_a_refusal_that_is_remembered_holds_no_calls(node_of: Nodes) -> None:
    """A raised error has a traceback, whose frames have each variable of the calls that it came through."""
    node = node_of(good_collection().newcomer())
    for is_down in (False, True):
        node.client.server.down = is_down
        assert node.ask("unknown").judgements[0].refusal is not None
        node.time.pass_(seconds=61)
    (kept,) = node.reader._kept.values()
    remembered = [verdict.refusal for verdict in kept._verdicts.values()]
    failed = kept.state()[1]
    assert failed is not None
    for refusal in (*remembered, failed.error):
        assert refusal is not None
        assert refusal.__traceback__ is None
