"""Update, sanity, attack, resisted; and then the client updates again, as the specification wants it."""

from __future__ import annotations

import pytest

from tests.simulator.attacks.catalogue import ATTACKS, Attack
from tests.simulator.client import Client
from tests.simulator.owner import Owner
from tests.simulator.scene import EVIL, NEWER, good_collection
from trustdata.errors import ContentMismatch
from trustdata.roles import ONLINE, ROOT


def _resists(client: Client, attack: Attack, expected: type[Exception] | None) -> None:
    answer = client.judge("1.0")
    assert answer.digest != f"sha256:{EVIL}"
    if expected is None:
        assert answer.allowed
        return
    assert type(answer.refusal) is expected, answer.refusal
    assert not answer.allowed
    assert answer.digest is None
    role = getattr(answer.refusal, "role", "")
    if attack.role and role:
        assert role == attack.role
    assert str(answer.refusal)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_a_client_that_has_seen_the_good_state_resists(attack: Attack) -> None:
    scene = good_collection(attack.wire)
    client = scene.regular()  # update, sanity
    attack.move(scene)
    _resists(client, attack, attack.regular)
    _resists(client, attack, attack.regular)  # the answer does not depend on how often one asks


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_a_newcomer_with_a_pin_resists(attack: Attack) -> None:
    scene = good_collection(attack.wire)
    attack.move(scene)
    _resists(scene.newcomer(), attack, attack.newcomer)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_rollback_memory_alone_resists(attack: Attack) -> None:
    """The cache is lost: what the attacker can no longer be caught at by old files, memory must know."""
    scene = good_collection(attack.wire)
    client = scene.regular()
    client.cache = Client(scene.server).cache
    attack.move(scene)
    _resists(client, attack, attack.regular)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_cache_alone_resists(attack: Attack) -> None:
    """Memory is lost (as in any TUF client, which has none): the cached files are the baseline."""
    scene = good_collection(attack.wire)
    client = scene.regular()
    client.memory.forget(scene.server.gun)
    attack.move(scene)
    _resists(client, attack, attack.without_memory)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_the_client_can_update_afterwards(attack: Attack) -> None:
    """The server is honest again, and further on than the attacker ever was."""
    scene = good_collection(attack.wire)
    honest = scene.server.copy()
    client = scene.regular()
    attack.move(scene)
    client.judge("1.0")

    client.server = honest
    Owner(honest).sign("1.0", NEWER)
    while any(honest.versions()[role] <= version for role, version in scene.server.versions().items() if role != ROOT):
        Owner(honest).renew(*(role for role in honest.stored if role not in (ROOT, *ONLINE)))
    answer = client.judge("1.0")
    if len(client.cache.roots()) > honest.versions()[ROOT]:
        # The attacker got hold of a good root: of the honest files, those count that its keys have signed.
        assert answer.digest in {f"sha256:{NEWER}", None}
        assert answer.allowed or type(answer.refusal) in {attack.regular, ContentMismatch}
    else:
        assert answer.digest == f"sha256:{NEWER}"
