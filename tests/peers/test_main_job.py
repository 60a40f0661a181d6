"""The main job with real programs: docker-registry, skopeo's images, `trust`, `trust-server`, and python-tuf beside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.images import BuiltImage
from tests.support.server_process import ServerProcess
from tests.support.stage import OTHER_DIGEST, People, Put
from tests.support.trust_program import TrustUser
from tests.support.tuf_client import TufClient

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def tuf(tmp_path: Path, trust_server: ServerProcess, gun: str) -> Callable[[], TufClient]:
    """Makes python-tuf's client for the test's collection, which must exist."""
    return lambda: TufClient(tmp_path / "python-tuf", trust_server.url, gun)


def add_signer(owner: TrustUser, signer: TrustUser, gun: str, name: str) -> None:
    """`name` makes a key at home; the owner adds its public half."""
    signer.run("key", "generate", name)
    owner.run("signer", "add", "--key", str(signer.folder / f"{name}.pub"), name, gun)
    signer.knows(gun, owner.pin_of(gun))


# --- sign, verify, inspect


def test_from_nothing_to_a_verified_image(owner: TrustUser, gun: str, put: Put, tuf: Callable[[], TufClient]) -> None:
    image = put("1.0")
    pin = owner.run("init", gun, "--recovery-key", "recovery.key").stdout.strip()
    assert owner.pin_of(gun) == pin
    assert (owner.folder / "recovery.key").stat().st_mode & 0o777 == 0o600
    signed = owner.run("sign", f"{gun}:1.0").said(f"{gun}:1.0 is {image.digest} (a manifest of {len(image.raw)} bytes)")
    assert signed.stdout == f"{gun}:1.0@{image.digest}\n"
    expected = f"{gun}@{image.digest}\n"
    for asked in (f"{gun}:1.0", f"{gun}@{image.digest}", f"{gun}:1.0@{image.digest}"):
        verified = owner.run("verify", asked)
        assert (verified.stdout, verified.stderr) == (expected, "")
    refused = owner.run("verify", f"{gun}:1.0@{OTHER_DIGEST}", expect=4)
    refused.said(f"{gun}:1.0 is signed as {image.digest}, not as {OTHER_DIGEST}")
    owner.run("verify", f"{gun}@{OTHER_DIGEST}", expect=3)
    assert tuf().digest_of("1.0") == image.digest


def test_inspect_for_machines_and_for_people(owner: TrustUser, gun: str, begun: BuiltImage) -> None:
    (entry,) = owner.run("inspect", gun).document()
    keys = {row["purpose"]: row["keyid"] for row in owner.run("--json", "key", "list").document()["keys"]}
    root, repository = entry["AdministrativeKeys"]
    assert entry["Name"] == gun
    assert entry["SignedTags"] == [
        {"SignedTag": "1.0", "Digest": begun.digest.removeprefix("sha256:"), "Signers": ["Repo Admin"]}
    ]
    assert entry["Signers"] == []
    assert keys["root"] in {key["ID"] for key in root["Keys"]}
    assert repository == {"Name": "Repository", "Keys": [{"ID": keys["targets"]}]}
    pretty = owner.run("inspect", "--pretty", f"{gun}:1.0").stdout
    assert f"Signatures for {gun}:1.0" in pretty
    assert f"1.0          {begun.digest.removeprefix('sha256:')}   (Repo Admin)" in pretty
    assert f"Repository Key:\t{keys['targets']}" in pretty
    other = owner.run("inspect", "--pretty", f"{gun}:2.0").stdout
    assert f"No signatures for {gun}:2.0" in other


def test_every_platform_of_an_index_answers(owner: TrustUser, gun: str, put: Put, tuf: Callable[[], TufClient]) -> None:
    index = put("multi", index=True)
    owner.run("init", gun, "--recovery-key", "recovery.key")
    owner.run("sign", f"{gun}:multi")
    assert owner.run("verify", f"{gun}:multi").stdout == f"{gun}@{index.digest}\n"
    assert tuf().digest_of("multi") == index.digest
    assert len(index.children) == 2
    for child in index.children:
        for asked in (f"{gun}@sha256:{child}", f"{gun}:multi@sha256:{child}"):
            assert owner.run("verify", asked).stdout == f"{gun}@sha256:{child}\n"
    owner.run("verify", f"{gun}@{OTHER_DIGEST}", expect=3)
    owner.run("verify", f"{gun}:multi@{OTHER_DIGEST}", expect=4)


def test_a_moved_tag_stays_what_was_signed_until_it_is_signed_again(
    owner: TrustUser, gun: str, begun: BuiltImage, put: Put, tuf: Callable[[], TufClient]
) -> None:
    moved = put("1.0", text="something else")
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{begun.digest}\n"
    owner.run("verify", f"{gun}:1.0@{moved.digest}", expect=4).said(f"{gun}:1.0 is signed as {begun.digest}")
    client = tuf()
    assert client.digest_of("1.0") == begun.digest
    owner.run("sign", f"{gun}:1.0").said(
        f"warning: {gun}:1.0 was signed as {begun.digest}, and moves to {moved.digest}"
    )
    assert "warning" not in owner.run("sign", f"{gun}:1.0").stderr
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{moved.digest}\n"
    owner.run("verify", f"{gun}@{begun.digest}", expect=3)
    assert client.digest_of("1.0") == moved.digest


def test_signing_a_digest_that_the_tag_does_not_point_at(
    owner: TrustUser, gun: str, begun: BuiltImage, put: Put
) -> None:
    now = put("1.0", text="something else")
    again = owner.run("sign", f"{gun}:1.0@{begun.digest}").said("signed already, nothing to publish")
    assert again.stdout == f"{gun}:1.0@{begun.digest}\n"
    owner.run("sign", f"{gun}:stable@{begun.digest}")
    assert owner.run("verify", f"{gun}:stable", f"{gun}:1.0").stdout == f"{gun}@{begun.digest}\n" * 2
    owner.run("sign", f"{gun}:1.0@{OTHER_DIGEST}", expect=3).said("no such tag or digest")
    owner.run("sign", f"{gun}:1.0@{now.digest}")
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{now.digest}\n"


def test_several_images_in_one_sign_are_one_publish_a_collection(
    owner: TrustUser, gun: str, begun: BuiltImage, put: Put, trust_server: ServerProcess
) -> None:
    second, third = put("2.0", text="two"), put("3.0", text="three")
    other = f"{gun}-other"
    put("1.0", text="elsewhere", repository=other)
    owner.run("sign", f"{gun}:2.0", f"{other}:1.0", f"{gun}:3.0", "--init", "--no-recovery-key").said("no recovery key")
    state = json.loads(trust_server.get(f"/api/v1/collections/{gun}")[1])
    assert state["versions"]["targets"] == 3, "init, sign 1.0, sign both"
    verified = owner.run("verify", f"{gun}:2.0", f"{gun}:3.0", f"{gun}:1.0", f"{other}:1.0").stdout.splitlines()
    assert verified[:3] == [f"{gun}@{image.digest}" for image in (second, third, begun)]
    mixed = owner.run("verify", f"{gun}:2.0", f"{gun}:9.9", expect=3)
    assert mixed.stdout == f"{gun}@{second.digest}\n"
    mixed.said(f"{gun}:9.9 is not signed")


def test_revoked_is_not_signed(owner: TrustUser, gun: str, begun: BuiltImage, tuf: Callable[[], TufClient]) -> None:
    client = tuf()
    owner.run("revoke", f"{gun}:1.0", expect=2).said("nothing was revoked", "--yes")
    assert client.digest_of("1.0") == begun.digest
    assert owner.run("revoke", "--yes", f"{gun}:1.0").stdout == f"revoked {gun}:1.0\n"
    owner.run("verify", f"{gun}:1.0", expect=3).said(f"{gun}:1.0 is not signed")
    assert client.digest_of("1.0") is None
    owner.run("revoke", "--yes", f"{gun}:1.0", expect=3)


# --- signers


def test_a_signer_from_beginning_to_end(
    *, owner: TrustUser, people: People, gun: str, begun: BuiltImage, put: Put, tuf: Callable[[], TufClient]
) -> None:
    alice, client = people("alice"), tuf()
    add_signer(owner, alice, gun, "alice")
    assert client.digest_of("1.0") == begun.digest, "tags stay when the first signer comes"
    second = put("2.0", text="two")
    alice.run("sign", f"{gun}:2.0", "--signer", "alice")
    assert client.digest_of("2.0") == second.digest
    assert client.digest_of("1.0") == begun.digest
    assert client.digest_of("3.0") is None
    assert owner.run("verify", "--signer", "alice", f"{gun}:2.0").stdout == f"{gun}@{second.digest}\n"
    owner.run("verify", "--signer", "alice", f"{gun}:1.0", expect=5).said("alice has not signed 1.0")
    owner.run("verify", "--signer", "bob", f"{gun}:2.0", expect=5).said(f"bob is no signer of {gun}")
    keyid = alice.run("--json", "key", "list").document()["keys"][0]["keyid"]
    assert owner.run("signer", "list", gun).stdout == f"alice\t{keyid}\n"
    (entry,) = owner.run("inspect", gun).document()
    assert entry["Signers"] == [{"Name": "alice", "Keys": [{"ID": keyid}]}]
    assert [(t["SignedTag"], t["Signers"]) for t in entry["SignedTags"]] == [
        ("1.0", ["Repo Admin"]),
        ("2.0", ["alice"]),
    ]

    owner.run("signer", "remove", "alice", gun)
    assert owner.run("verify", f"{gun}:2.0").stdout == f"{gun}@{second.digest}\n", "what is released stays released"
    assert client.digest_of("2.0") == second.digest
    owner.run("verify", "--signer", "alice", f"{gun}:2.0", expect=5)
    put("3.0", text="three")
    alice.run("sign", f"{gun}:3.0", expect=8).said(f"for targets/releases of {gun}", "the repository key")
    assert owner.run("signer", "list", gun).stdout == ""


def test_a_signer_moves_a_released_tag_and_the_former_signature_no_longer_counts(
    *, owner: TrustUser, people: People, gun: str, begun: BuiltImage, put: Put, tuf: Callable[[], TufClient]
) -> None:
    alice = people("alice")
    add_signer(owner, alice, gun, "alice")
    alice.run("sign", f"{gun}:1.0")
    moved = put("1.0", text="something else")
    owner.run("sign", f"{gun}:1.0").said(f"was signed as {begun.digest} by alice, and moves to {moved.digest}")
    assert owner.run("verify", f"{gun}:1.0").stdout == f"{gun}@{moved.digest}\n"
    refused = owner.run("verify", "--signer", "alice", f"{gun}:1.0", expect=5)
    refused.said(f"alice has signed 1.0 as {begun.digest}, not as {moved.digest}")
    assert tuf().digest_of("1.0") == moved.digest


def test_a_signer_alone_revokes_what_he_has_signed(
    owner: TrustUser, people: People, gun: str, begun: BuiltImage, tuf: Callable[[], TufClient]
) -> None:
    alice = people("alice")
    add_signer(owner, alice, gun, "alice")
    alice.run("sign", f"{gun}:1.0")
    alice.run("revoke", "--yes", f"{gun}:1.0")
    owner.run("verify", f"{gun}:1.0", expect=3)
    assert tuf().digest_of("1.0") is None


# --- keys


def test_every_role_is_rotated_and_everybody_follows(
    *, owner: TrustUser, people: People, gun: str, begun: BuiltImage, put: Put, tuf: Callable[[], TufClient]
) -> None:
    alice, watcher, client = people("alice"), people("watcher"), tuf()
    add_signer(owner, alice, gun, "alice")
    alice.run("sign", f"{gun}:1.0")
    watcher.knows(gun, owner.pin_of(gun))
    watcher.run("verify", f"{gun}:1.0")
    assert client.digest_of("1.0") == begun.digest
    before = _keys_of_roles(owner, gun)
    for role in ("root", "targets", "snapshot", "timestamp"):
        rotated = owner.run("--json", "key", "rotate", role, gun).document()["rotated"]
        assert rotated[0]["keys"] != before[role]
        assert _keys_of_roles(owner, gun)[role] == sorted(rotated[0]["keys"])
        assert watcher.run("verify", "--signer", "alice", f"{gun}:1.0").stdout == f"{gun}@{begun.digest}\n"
        assert client.digest_of("1.0") == begun.digest
    second = put("2.0", text="two")
    owner.run("sign", f"{gun}:2.0")
    alice.run("sign", f"{gun}:2.0")
    newcomer = people("newcomer")
    newcomer.knows(gun, owner.pin_of(gun))
    assert newcomer.run("verify", "--signer", "alice", f"{gun}:2.0").stdout == f"{gun}@{second.digest}\n"
    assert client.digest_of("2.0") == second.digest


def _keys_of_roles(user: TrustUser, gun: str) -> dict[str, list[str]]:
    """From the newest root in the user's cache."""
    (folder,) = (user.home / "cache" / "tuf-1.0").glob("*/roots")
    newest = max(folder.glob("*.json"), key=lambda path: int(path.stem))
    roles = json.loads(newest.read_bytes())["signed"]["roles"]
    return {name: sorted(role["keyids"]) for name, role in roles.items()}


def test_the_recovery_key_alone_replaces_the_root(
    *, owner: TrustUser, people: People, gun: str, begun: BuiltImage, put: Put, tuf: Callable[[], TufClient]
) -> None:
    watcher, client = people("watcher"), tuf()
    watcher.knows(gun, owner.pin_of(gun))
    watcher.run("verify", f"{gun}:1.0")
    root = next(row for row in owner.run("--json", "key", "list").document()["keys"] if row["purpose"] == "root")
    owner.run("key", "remove", "--yes", root["keyid"])
    owner.run("key", "rotate", "root", gun, expect=8).said("--recovery-key FILE")
    rotated = owner.run("--json", "key", "rotate", "root", gun, "--recovery-key", "recovery.key").document()["rotated"]
    assert root["keyid"] not in rotated[0]["keys"]
    assert len(rotated[0]["keys"]) == 2
    second = put("2.0", text="two")
    owner.run("sign", f"{gun}:2.0")
    assert watcher.run("verify", f"{gun}:2.0", f"{gun}:1.0").stdout == f"{gun}@{second.digest}\n{gun}@{begun.digest}\n"
    assert client.digest_of("2.0") == second.digest
    owner.run("key", "rotate", "root", gun)  # and the new root key works alone
    watcher.run("verify", f"{gun}:2.0")


def test_a_client_that_slept_through_ten_root_rotations_catches_up(
    owner: TrustUser, people: People, gun: str, begun: BuiltImage, tuf: Callable[[], TufClient]
) -> None:
    sleeper, client = people("sleeper"), tuf()
    sleeper.knows(gun, owner.pin_of(gun))
    sleeper.run("verify", f"{gun}:1.0")
    assert client.digest_of("1.0") == begun.digest
    for _ in range(10):
        owner.run("key", "rotate", "root", gun)
    answer = sleeper.run("--json", "verify", f"{gun}:1.0").document()["images"][0]
    assert (answer["digest"], answer["versions"]["root"]) == (begun.digest, 11)
    assert client.digest_of("1.0") == begun.digest
    newcomer = people("newcomer")
    newcomer.knows(gun, owner.pin_of(gun))
    newcomer.run("verify", f"{gun}:1.0")
