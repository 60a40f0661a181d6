"""`trust revoke --digest` and `--signer`: what tags stand for says which are revoked, in both formats."""

from __future__ import annotations

import re

import pytest

from tests.simulator.owner import EVERY_KEY, Owner, digest_of, tag_edit
from tests.simulator.repository import APP
from tests.simulator.scene import EVIL, GOOD, NEWER, OLD, OTHER, Scene, good_collection
from tests.simulator.session import SimulatedSession
from trustcli.errors import UsageError
from trustdata.editing import repository_editor as editor
from trustdata.errors import InvalidName
from trustdata.roles import RELEASES, TARGETS, RoleName
from trustdata.wire import WireFormat
from trustdata.wire.notary import NOTARY
from trustdata.wire.tuf import TUF

pytestmark = pytest.mark.parametrize("wire", [TUF, NOTARY], ids=["tuf", "notary"])
ALICE, BOB = RoleName("targets/alice"), RoleName("targets/bob")


def _session(scene: Scene, *keys: str, as_json: bool = False) -> SimulatedSession:
    return SimulatedSession(scene.newcomer(), keys=keys or EVERY_KEY, as_json=as_json)


def _fails(scene: Scene, *arguments: str, status: int, keys: tuple[str, ...] = EVERY_KEY) -> str:
    """Run `revoke --yes`, which must fail and send nothing; what it says."""
    before = scene.server.revision
    session = _session(scene, *keys)
    assert session.ends("revoke", "--yes", *arguments, APP) == status, session.stderr.getvalue()
    assert scene.server.revision == before
    return session.stderr.getvalue()


def _tags(scene: Scene, role: RoleName) -> dict[str, str]:
    return {tag: entry.hashes["sha256"] for tag, entry in scene.owner.read()[role].targets.targets.items()}


@pytest.fixture
def scene(wire: WireFormat) -> Scene:
    """1.0 and latest are alice's GOOD, 2.0 is the owner's OTHER."""
    found = good_collection(wire)
    Owner(found.server, "alice").sign("latest", GOOD)
    return found


def test_every_tag_of_a_digest_goes_in_one_publish(scene: Scene, wire: WireFormat) -> None:
    del wire
    before = scene.server.revision
    session = _session(scene)
    assert session.run("revoke", "--yes", "--digest", f"sha256:{GOOD}", APP) == 0
    assert session.stdout.getvalue() == f"revoked {APP}:1.0\nrevoked {APP}:latest\n"
    assert scene.server.revision == before + 1
    assert GOOD not in _tags(scene, RELEASES).values()
    assert _tags(scene, ALICE) == {}
    client = scene.newcomer()
    assert client.digest("2.0") == f"sha256:{OTHER}"
    assert not client.judge("1.0").allowed  # in Notary v1 an older image lay beneath
    assert not client.judge("latest").allowed
    assert _tags(scene, TARGETS) == {}


def test_a_role_that_no_key_here_signs_is_said_to_list_it_still(scene: Scene, wire: WireFormat) -> None:
    del wire
    session = _session(scene, "targets")
    assert session.run("revoke", "--yes", "--digest", f"sha256:{GOOD}", APP) == 0
    assert _tags(scene, ALICE) == {"1.0": GOOD, "latest": GOOD}
    kept = f"{APP}: targets/alice lists it still, and releases nothing (who can remove it there: alice)"
    assert kept in session.stderr.getvalue()


def test_an_index_goes_with_its_platform(scene: Scene, wire: WireFormat) -> None:
    del wire
    platform = digest_of("a platform")
    Owner(scene.server, "bob").sign("3.0", NEWER, platform)
    session = _session(scene)
    assert session.run("revoke", "--yes", "--digest", f"sha256:{platform}", APP) == 0
    assert session.stdout.getvalue() == f"revoked {APP}:3.0\n"


def test_whoever_cannot_remove_what_lies_beneath_revokes_nothing(scene: Scene, wire: WireFormat) -> None:
    """Alice's key removes 1.0 from the releases; in Notary v1 clients would then find an older image."""
    session = _session(scene, "alice")
    status = session.ends("revoke", "--yes", "--digest", f"sha256:{GOOD}", APP)
    refusal = f"1.0 would still be released, as sha256:{OLD}; who can remove it there: the holder of the repository key"
    assert (status, refusal in session.stderr.getvalue()) == ((0, False) if wire is TUF else (7, True))
    assert (GOOD in _tags(scene, RELEASES).values()) == (wire is NOTARY)


def test_of_a_signer_goes_what_it_has_signed_and_is_released(scene: Scene, wire: WireFormat) -> None:
    del wire
    Owner(scene.server, "bob").sign("latest", NEWER)
    session = _session(scene)
    assert session.run("revoke", "--yes", "--signer", "alice", APP) == 0
    assert session.stdout.getvalue() == f"revoked {APP}:1.0\n"
    assert _tags(scene, ALICE) == {}
    assert scene.newcomer().digest("latest") == f"sha256:{NEWER}"


def test_what_no_signer_lists_any_more_is_left_and_told(scene: Scene, wire: WireFormat) -> None:
    """Alice takes latest out of her role and leaves it released, where what the owner has released stands, too."""
    if wire is NOTARY:  # what stands in targets alone is the owner's
        owner, edit = Owner(scene.server), tag_edit("5.0", OTHER)
        owner.publish(lambda roles: editor.set_tags(roles, [edit], into=[TARGETS], terms=owner.terms))
    alice = Owner(scene.server, "alice")
    alice.publish(lambda roles: editor.remove_tags(roles, {"latest"}, from_roles=[ALICE], terms=alice.terms))
    Owner(scene.server, "bob").sign("3.0", NEWER)
    told = f"warning: {APP}: no signer lists 2 released tags, so nothing says who has released what stands there"
    for words in (("--plan",), ("--yes",)):
        session = _session(scene)
        assert session.run("revoke", *words, "--signer", "alice", APP) == 0
        said = session.stderr.getvalue()
        assert f"{told}: 2.0, latest; revoke by name what must not stay" in said
        assert said.count("warning: ") == 1
    assert scene.newcomer().digest("latest") == f"sha256:{GOOD}"
    assert not scene.newcomer().judge("1.0").allowed
    session = _session(scene)
    assert session.ends("revoke", "--yes", "--signer", "alice", APP) == 3, "nothing that she lists"
    assert f"{told}: 2.0, latest" in session.stderr.getvalue()
    session = _session(scene)
    assert session.run("revoke", "--yes", f"{APP}:latest", f"{APP}:2.0") == 0
    session = _session(scene)
    assert session.run("revoke", "--yes", "--signer", "bob", APP) == 0
    assert "no signer lists" not in session.stderr.getvalue()


def test_of_many_that_no_signer_lists_some_are_named(scene: Scene, wire: WireFormat) -> None:
    del wire
    owner = Owner(scene.server)
    edits = [tag_edit(f"many-{number:02}", OTHER) for number in range(20)]
    owner.publish(lambda roles: editor.set_tags(roles, edits, into=[RELEASES], terms=owner.terms))
    session = _session(scene)
    assert session.run("revoke", "--yes", "--signer", "alice", APP) == 0
    assert "no signer lists 21 released tags" in session.stderr.getvalue()
    assert ": 2.0, many-00, many-01, " in session.stderr.getvalue()
    assert "many-08, ...; revoke" in session.stderr.getvalue()


def test_without_a_key_for_it_nothing_goes_and_the_holders_are_named(scene: Scene, wire: WireFormat) -> None:
    del wire
    assert "that can remove 1.0 from" in _fails(scene, "--digest", f"sha256:{GOOD}", status=8, keys=("mallory",))


def test_what_is_nowhere_is_told_as_that(scene: Scene, wire: WireFormat) -> None:
    del wire
    assert f"{APP}@sha256:{EVIL} is not signed" in _fails(scene, "--digest", f"sha256:{EVIL}", status=3)
    said = f"alcie is no signer of {APP} (signers: alice, bob); did you mean 'alice'?"
    assert said in _fails(scene, "--signer", "alcie", status=7)
    assert "has no signed tag" in _fails(scene, "--signer", "bob", status=3)


def test_the_tags_are_shown_before_anybody_is_asked(scene: Scene, wire: WireFormat) -> None:
    del wire
    before = scene.server.revision
    session = _session(scene)
    with pytest.raises(UsageError, match=re.escape(f"to revoke what alice has signed in {APP} without being asked")):
        session.run("revoke", "--signer", "alice", APP)
    assert f"{APP}:1.0 is sha256:{GOOD}\n{APP}:latest is sha256:{GOOD}\n" in session.stderr.getvalue()
    assert scene.server.revision == before


def test_a_plan_shows_what_would_go_and_sends_nothing(scene: Scene, wire: WireFormat) -> None:
    del wire
    before = scene.server.revision
    session = _session(scene, as_json=True)
    assert session.run("revoke", "--plan", "--digest", f"sha256:{GOOD}", APP) == 0
    (plan,) = session.document()["plans"]
    assert {row["tag"] for row in plan["tags"] if row["role"] == RELEASES} == {"1.0", "latest"}
    assert scene.server.revision == before


def test_releases_that_nobody_vouches_for_are_not_passed_over_as_clean(scene: Scene, wire: WireFormat) -> None:
    """The server lists releases of a stranger with EVIL: clients refuse them today, and would not tomorrow."""
    del wire
    stranger = scene.forger.signers(RELEASES, "mallory")
    scene.forger.alter(RELEASES, lambda d: d.update(version=d["version"] + 1), signers=stranger)
    for digest in (GOOD, EVIL):
        assert "must not be signed again" in _fails(scene, "--digest", f"sha256:{digest}", status=4)
    assert "must not be signed again" in _fails(scene, "--signer", "bob", status=4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--digest", f"sha256:{GOOD}", "--signer", "alice", APP), "--digest and --signer are two questions"),
        ((f"{APP}:1.0@sha256:{GOOD}",), f"every tag that stands for this digest: trust revoke {APP} --digest sha256:"),
        (("--all",), "go with --digest or --signer"),
        (("--glob", "registry.example.com/*"), "go with --digest or --signer"),
        (("--names", "x", APP), "go with --digest or --signer"),
        (("--signer", "alice"), "name the collections: NAME..."),
        (("--signer", "alice", "--all", APP), "--all is for all collections: name none beside it"),
        (("--signer", "alice", "--images", "x"), "collections are named: --names FILE"),
        (("--signer", "alice", f"{APP}:1.0"), "a collection is named without tag or digest"),
        (("--signer", "alice", "--glob", "registry.example.com"), "is no pattern"),
        (("--signer", "alice", "--glob", "registry.example.com/none/*"), "matches no collection that is known here"),
    ],
)
def test_what_does_not_go_together_is_refused(scene: Scene, wire: WireFormat, options: list[str], said: str) -> None:
    del wire
    with pytest.raises(UsageError, match=re.escape(said)):
        _session(scene).run("revoke", "--yes", *options)


@pytest.mark.parametrize("digest", ["sha256:abc", GOOD, f"sha512:{GOOD}", f"sha256:{GOOD.upper()}"])
def test_a_digest_must_be_whole(scene: Scene, wire: WireFormat, digest: str) -> None:
    del wire
    with pytest.raises(InvalidName, match="must be sha256: and 64"):
        _session(scene).run("revoke", "--yes", "--digest", digest, APP)
