"""Publishing that loses no race, overwrites nothing and never says "old version" (ADR 0033)."""

from __future__ import annotations

import pytest

from keys.errors import KeyNotFound
from tests.simulator.client import Client
from tests.simulator.keyring import key, keyid
from tests.simulator.owner import Owner, digest_of
from tests.simulator.repository import RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, NEWER, good_collection
from trustcli.errors import (
    RemoteBusy,
    RemoteUnreachable,
    TagChanged,
)
from trustcli.publish.preparation import Roles
from trustcli.publish.publisher import RETRY_SECONDS
from trustdata.editing import repository_editor as editor
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents
from trustdata.errors import (
    MetadataExpired,
    PublishRefused,
    ServerKeyNotUsed,
    VersionConflict,
    WouldBreakRole,
)
from trustdata.gun import parse_tag
from trustdata.model import Root
from trustdata.roles import RELEASES, ROOT, SNAPSHOT, TARGETS, RoleName
from trustdata.verification.target_lookup import find_released

PUBLISHERS = 20


class Careful:
    """An edit of one tag that carries what its author saw first, as `trust sign` does."""

    def __init__(self, owner: Owner, tag: str, digest: str) -> None:
        self.owner, self.tag, self.digest = owner, tag, digest
        self.seen: str | None = None

    def __call__(self, roles: Roles) -> Contents:
        target = find_released(self.tag, roles)
        now = target.digest if target else "nothing"
        if now == self.digest:
            return {}
        if self.seen is None:
            self.seen = now
        if now != self.seen:
            raise TagChanged(gun=self.owner.server.gun, tag=self.tag, ours=self.digest, theirs=now)
        edit = editor.TagEdit(tag=parse_tag(self.tag), digest=self.digest, length=1)
        return self.owner.signing(roles, edit)


def _meanwhile(server: RepositorySimulator, *acts: object) -> None:
    """As the next uploads arrive, others were faster: one act for each upload."""
    left = list(acts)

    def before() -> None:
        server.before_publish = None
        if left:
            act = left.pop(0)
            assert callable(act)
            act()
        server.before_publish = before if left else None

    server.before_publish = before


def test_one_upload_when_nobody_is_in_the_way() -> None:
    scene = good_collection()
    outcome = scene.owner.publish(Careful(scene.owner, "3.0", NEWER))
    assert outcome.attempts == 1
    assert outcome.published is not None
    assert outcome.published.versions[RELEASES] == 4
    assert set(outcome.uploads) == {RoleName("targets/alice"), RoleName("targets/bob"), RELEASES}


def test_nothing_to_do_sends_nothing() -> None:
    scene = good_collection()
    revision = scene.server.revision
    outcome = scene.owner.publish(Careful(scene.owner, "1.0", GOOD))
    assert (outcome.published, outcome.attempts, dict(outcome.uploads)) == (None, 0, {})
    assert scene.server.revision == revision


def test_edits_that_all_meet_lose_nothing() -> None:
    """Each of these publishers arrives with what was read before any of the others was stored."""
    scene = good_collection()
    waiting = [Owner(scene.server) for _ in range(PUBLISHERS)]
    attempts: list[int] = []

    def next_one() -> None:
        scene.server.before_publish = next_one if len(waiting) > 1 else None
        if waiting:
            owner = waiting.pop()
            outcome = owner.publish(Careful(owner, f"v{len(waiting)}", digest_of(f"image {len(waiting)}")))
            attempts.append(outcome.attempts)

    next_one()
    client = scene.newcomer()
    assert [client.digest(f"v{i}") for i in range(PUBLISHERS)] == [
        f"sha256:{digest_of(f'image {i}')}" for i in range(PUBLISHERS)
    ]
    assert client.digest("1.0") == f"sha256:{GOOD}"
    assert len(attempts) == PUBLISHERS
    assert max(attempts) > 1


def test_a_conflict_is_rebased_on_what_the_others_published() -> None:
    scene = good_collection()
    _meanwhile(scene.server, lambda: Owner(scene.server).sign("9.9", NEWER))
    outcome = scene.owner.publish(Careful(scene.owner, "3.0", NEWER))
    assert outcome.attempts == 2
    assert scene.newcomer().digest("9.9") == scene.newcomer().digest("3.0") == f"sha256:{NEWER}"


def test_others_in_other_roles_are_no_conflict() -> None:
    """The server judges the same upload again on the new state."""
    scene = good_collection()
    _meanwhile(scene.server, scene.server.issue, lambda: scene.owner.renew(ROOT))
    assert scene.owner.publish(Careful(scene.owner, "3.0", NEWER)).attempts == 1


def test_the_same_digest_by_another_is_success() -> None:
    scene = good_collection()
    _meanwhile(scene.server, lambda: Owner(scene.server).sign("3.0", NEWER))
    outcome = scene.owner.publish(Careful(scene.owner, "3.0", NEWER))
    assert outcome.published is None
    assert outcome.attempts == 1


def test_another_digest_by_another_names_both() -> None:
    scene = good_collection()
    _meanwhile(scene.server, lambda: Owner(scene.server).sign("3.0", EVIL))
    with pytest.raises(TagChanged) as caught:
        scene.owner.publish(Careful(scene.owner, "3.0", NEWER))
    assert (caught.value.ours, caught.value.theirs) == (NEWER, EVIL)
    assert NEWER in str(caught.value)
    assert EVIL in str(caught.value)
    assert scene.newcomer().digest("3.0") == f"sha256:{EVIL}"


def test_a_tag_revoked_meanwhile_is_not_put_back() -> None:
    scene = good_collection()
    _meanwhile(scene.server, lambda: Owner(scene.server).revoke("1.0"))
    with pytest.raises(TagChanged) as caught:
        scene.owner.publish(Careful(scene.owner, "1.0", NEWER))
    assert caught.value.theirs == "nothing"
    assert not scene.newcomer().judge("1.0").allowed


def test_a_signer_removed_meanwhile_is_told_who_can() -> None:
    scene = good_collection()
    alice = Owner(scene.server, "alice")
    _meanwhile(scene.server, lambda: Owner(scene.server).remove_signer("alice"))
    with pytest.raises(KeyNotFound, match="bob"):
        alice.publish(Careful(alice, "3.0", NEWER))


def test_a_lost_reply_of_a_stored_upload_is_success() -> None:
    scene = good_collection()
    scene.server.lose_replies = 1
    outcome = scene.owner.publish(Careful(scene.owner, "3.0", NEWER))
    assert (outcome.published, outcome.attempts) == (None, 1)
    assert scene.newcomer().digest("3.0") == f"sha256:{NEWER}"


def test_an_upload_that_never_arrived_is_an_outage() -> None:
    scene = good_collection()
    revision = scene.server.revision

    def cut() -> None:
        scene.server.before_publish = None
        raise RemoteUnreachable(remote="r", reason="reset by peer")

    scene.server.before_publish = cut
    with pytest.raises(RemoteUnreachable, match="reset by peer"):
        scene.owner.publish(Careful(scene.owner, "3.0", NEWER))
    assert scene.server.revision == revision


def test_an_outage_while_looking_again_is_an_outage() -> None:
    scene = good_collection()

    def cut() -> None:
        scene.server.down = True
        raise RemoteUnreachable(remote="r", reason="reset by peer")

    scene.server.before_publish = cut
    with pytest.raises(RemoteUnreachable):
        scene.owner.publish(Careful(scene.owner, "3.0", NEWER))


def test_patience_ends() -> None:
    scene = good_collection()

    def conflict() -> None:
        raise VersionConflict(role=RELEASES, offered=4, stored=4)

    scene.server.before_publish = conflict
    owner = scene.owner
    with pytest.raises(VersionConflict):
        owner.publish(Careful(owner, "3.0", NEWER))
    assert RETRY_SECONDS < owner.backoff.seconds < RETRY_SECONDS + 5
    assert owner.backoff.pauses[:4] == [0.05, 0.1, 0.2, 0.4]
    assert max(owner.backoff.pauses) == 2.0


def test_a_server_that_is_busy_is_asked_again_when_it_says() -> None:
    scene = good_collection()
    refusals = [RemoteBusy(remote="r", reason="too many uploads", status=503, seconds=n) for n in (1, 7)]

    def busy() -> None:
        if refusals:
            raise refusals.pop(0)

    scene.server.before_publish = busy
    owner = scene.owner
    assert owner.publish(Careful(owner, "3.0", NEWER)).attempts == 3
    assert owner.backoff.leasts == [1, 7]


@pytest.mark.parametrize(("seconds", "sent"), [(25, 3), (61, 1)])
def test_nobody_waits_for_a_busy_server_beyond_the_limit(seconds: int, sent: int) -> None:
    scene = good_collection()
    attempts = 0

    def busy() -> None:
        nonlocal attempts
        attempts += 1
        raise RemoteBusy(remote="r", reason="too many publishes", status=503, seconds=seconds)

    scene.server.before_publish = busy
    with pytest.raises(RemoteBusy):
        scene.owner.publish(Careful(scene.owner, "3.0", NEWER))
    assert attempts == sent
    assert scene.owner.backoff.seconds <= RETRY_SECONDS


def test_an_edit_that_breaks_a_role_on_a_state_that_stands_still_is_refused_at_once() -> None:
    scene = good_collection()

    def broken() -> None:
        raise WouldBreakRole(role=RELEASES, reason="would break")

    scene.server.before_publish = broken
    owner = scene.owner
    with pytest.raises(WouldBreakRole):
        owner.publish(Careful(owner, "3.0", NEWER))
    assert owner.backoff.pauses == [0.05], "one look whether somebody else had moved something"


def test_an_edit_that_breaks_a_role_on_a_state_that_moved_is_made_again() -> None:
    scene = good_collection()
    other = scene.owner.prepare(lambda roles: editor.renew(roles, [TARGETS], terms=scene.owner.terms))

    def moved() -> None:
        scene.server.before_publish = None
        scene.server.publish(scene.server.gun, {role: envelope.raw for role, envelope in other.items()})
        raise WouldBreakRole(role=RELEASES, reason="would break")

    scene.server.before_publish = moved
    assert scene.owner.publish(Careful(scene.owner, "3.0", NEWER)).attempts == 2


def test_a_check_may_stop_before_anything_is_sent() -> None:
    scene = good_collection()
    revision = scene.server.revision

    def stop(before: OwnerRoles, after: OwnerRoles) -> None:
        assert before[RELEASES].version + 1 == after[RELEASES].version
        raise PublishRefused(role=RELEASES, reason="a dry run")

    with pytest.raises(PublishRefused, match="a dry run"):
        scene.owner.publisher().publish(Careful(scene.owner, "3.0", NEWER), stop)
    assert scene.server.revision == revision


def test_our_own_upload_is_judged_before_it_leaves() -> None:
    scene = good_collection()
    late = Owner(scene.server, at=scene.server.at)

    def expired(roles: Roles) -> Contents:
        contents = Careful(late, "3.0", NEWER)(roles)
        for content in contents.values():
            content.expires = scene.server.at
        return contents

    scene.server.before_publish = lambda: pytest.fail("it was sent")
    with pytest.raises(MetadataExpired):
        late.publish(expired)


def test_a_missing_key_names_role_and_keys() -> None:
    scene = good_collection()
    with pytest.raises(KeyNotFound, match=r"for root of .* \(1 of: "):
        Owner(scene.server, "alice").renew(ROOT)


def test_a_root_is_signed_by_all_open_keys_others_by_the_fewest() -> None:
    scene = good_collection()
    assert len(scene.owner.renew(ROOT).uploads[ROOT].signatures) == 2
    assert len(Owner(scene.server, "root").renew(ROOT).uploads[ROOT].signatures) == 1
    assert len(scene.owner.renew(RELEASES).uploads[RELEASES].signatures) == 1


def test_a_root_that_replaces_keys_is_signed_by_the_old_and_the_new() -> None:
    scene = good_collection()
    owner = Owner(scene.server, "root", "root 2", "targets")
    outcome = owner.publish(
        lambda roles: editor.replace_root_keys(roles, remove=[keyid("root")], add=[key("root 2")], terms=owner.terms)
    )
    assert set(outcome.uploads[ROOT].signatures) == {keyid("root"), keyid("root 2")}
    assert Client(scene.server, pins=[scene.pin]).judge("1.0").allowed


def test_an_online_key_that_the_server_does_not_hold() -> None:
    scene = good_collection()
    with pytest.raises(ServerKeyNotUsed):
        scene.owner.publish(
            lambda roles: editor.replace_online_keys(roles, {SNAPSHOT: key("mallory")}, terms=scene.owner.terms)
        )
    assert isinstance(scene.server.stored[ROOT].content, Root)
    assert scene.server.stored[TARGETS].version == 4
