"""What `trust migrate` says at the end: a plan tells what would come from what is here, and counts nothing as done."""

from __future__ import annotations

import pytest

from tests.simulator.scene import good_collection
from tests.simulator.session import SimulatedSession
from trustcli.commands.migrate.command import _summary
from trustcli.commands.support.many import carry_out
from trustcli.publish.bulk.work import Done
from trustdata.gun import GUN


@pytest.mark.parametrize(
    ("done", "of", "plan", "words"),
    [
        (["would be taken over", "would be taken over"], 3, True, "2 of 3 collections can be taken over"),
        (["would be taken over", "here"], 2, True, "1 of 2 collections can be taken over; 1 is here already"),
        (["here", "goes on here"], 2, True, "0 of 2 collections can be taken over; 2 are here already"),
        (["taken over"], 1, False, "1 of 1 collection is here"),
        (["taken over", "here"], 3, False, "2 of 3 collections are here"),
    ],
)
def test_the_summary_tells_what_would_come_from_what_is_here(
    *, done: list[str], of: int, plan: bool, words: str
) -> None:
    assert _summary(done, of=of, plan=plan) == words


@pytest.mark.parametrize("counts", [True, False])
def test_a_plan_counts_no_states(*, counts: bool) -> None:
    session = SimulatedSession(good_collection().newcomer())
    guns = [GUN("a.example.com/b"), GUN("a.example.com/c")]
    outcomes = carry_out(session, guns, check=lambda *_: (), do=lambda _: Done(changed=False), counts=counts)
    assert outcomes.report() == 0
    assert ("2 collections: 2 nothing to do" in session.stderr.getvalue()) is counts
