"""The real `trust-image-verifier` under containerd's contract: which images may be pulled, and what is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.bindir_runner import Containerd
from tests.support.pulling_node import PATIENT, Node, release
from tests.support.server_process import ServerProcess
from tests.support.stage import OTHER_DIGEST, People, Put
from tests.support.trust_program import TrustUser


def host(gun: str) -> str:
    return gun.partition("/")[0]


@pytest.fixture
def node(tmp_path: Path, gun: str, trust_server: ServerProcess) -> Node:
    """Knows which trust server speaks for the registry, and no pin yet."""
    return Node(tmp_path / "node", {host(gun): trust_server.url}, verifier=PATIENT)


@pytest.fixture
def pinned(node: Node, owner: TrustUser, gun: str, put: Put) -> Node:
    """Tag 1.0 of the collection is signed, and the node knows the collection."""
    release(owner, gun, put)
    node.admin.knows(gun, owner.pin_of(gun))
    return node


# --- what is signed


def test_a_signed_tag_is_allowed_and_the_reason_is_logged(node: Node, owner: TrustUser, gun: str, put: Put) -> None:
    node.containerd.fresh = True
    image = release(owner, gun, put)
    node.admin.knows(gun, owner.pin_of(gun))
    node.refuses(f"{gun}:1.0", OTHER_DIGEST, image.digest, status=4)
    assert f"{gun}:1.0 is signed as {image.digest} by the repository key" in node.allows(f"{gun}:1.0", image.digest)


def test_an_unsigned_tag_is_refused_with_the_command_that_explains(pinned: Node, gun: str, put: Put) -> None:
    image = put("unsigned", text="somebody pushed this")
    said = pinned.refuses(f"{gun}:unsigned", image.digest, f"{gun}:unsigned is not signed", status=3)
    assert f"explain {gun}:unsigned" in said
    assert str(pinned.config) in said


def test_an_index_is_allowed_by_its_own_digest_and_by_each_platform_s(
    node: Node, owner: TrustUser, gun: str, put: Put
) -> None:
    index = release(owner, gun, put, index=True)
    node.admin.knows(gun, owner.pin_of(gun))
    assert len(index.children) == 2
    for digest in (index.digest, *(f"sha256:{child}" for child in index.children)):
        node.allows(f"{gun}:1.0", digest)
        node.allows(f"{gun}@{digest}", digest)
        node.allows(f"{gun}:1.0@{digest}", digest)


def test_a_digest_alone_is_allowed_if_any_tag_has_it(pinned: Node, owner: TrustUser, gun: str, put: Put) -> None:
    other = put("2.0", text="released, too")
    pinned.refuses(f"{gun}@{other.digest}", other.digest, f"{other.digest} is not signed", status=3)
    owner.run("sign", f"{gun}:2.0")
    assert f"{gun}:2.0" in pinned.allows(f"{gun}@{other.digest}", other.digest)


def test_tag_and_digest_must_belong_together(pinned: Node, owner: TrustUser, gun: str, put: Put) -> None:
    two = put("2.0", text="released, too")
    owner.run("sign", f"{gun}:2.0")
    pinned.allows(f"{gun}:2.0@{two.digest}", two.digest)
    pinned.refuses(f"{gun}:1.0@{two.digest}", two.digest, "tag 1.0 is signed as", status=4)


def test_the_name_s_digest_and_the_served_one_must_be_one(pinned: Node, gun: str, put: Put) -> None:
    one = put("1.0").digest
    pinned.refuses(f"{gun}@{one}", OTHER_DIGEST, "the name says", one, status=2)
    pinned.refuses(f"{gun}:1.0@{OTHER_DIGEST}", one, "the name says", OTHER_DIGEST, status=2)


def test_a_name_alone_means_latest(pinned: Node, owner: TrustUser, gun: str, put: Put) -> None:
    one = put("1.0").digest
    pinned.refuses(gun, one, f"{gun}:latest is not signed", status=3)
    latest = put("latest", text="the newest")
    owner.run("sign", f"{gun}:latest")
    pinned.allows(gun, latest.digest)


def test_a_tag_that_nobody_has_is_refused(pinned: Node, gun: str) -> None:
    pinned.refuses(f"{gun}:nothing", OTHER_DIGEST, "is not signed", status=3)


def test_a_moved_tag_says_both_digests(pinned: Node, gun: str, put: Put) -> None:
    signed = put("1.0").digest
    moved = put("1.0", text="moved by somebody").digest
    pinned.allows(f"{gun}:1.0", signed)
    said = f"tag 1.0 is signed as {signed} but the registry served {moved}"
    pinned.refuses(f"{gun}:1.0", moved, said, f"explain {gun}:1.0", status=4)


def test_a_revoked_tag_is_refused(pinned: Node, owner: TrustUser, gun: str, put: Put) -> None:
    digest = put("1.0").digest
    pinned.allows(f"{gun}:1.0", digest)
    owner.run("revoke", f"{gun}:1.0", "--yes")
    pinned.refuses(f"{gun}:1.0", digest, status=3)


def test_a_restored_tag_is_refused_by_what_the_node_remembers(
    tmp_path: Path, own_server: ServerProcess, gun: str, put: Put
) -> None:
    """The server's whole folder goes back to yesterday's, with yesterday's signatures: all good, all older."""
    own_server.start()
    owner = TrustUser(tmp_path / "owner-of-own", own_server.url)
    old = release(owner, gun, put)
    own_server.stop()
    yesterday = shutil.copytree(own_server.data, tmp_path / "yesterday")
    own_server.start()
    owner.environ["TRUST_SERVER"] = own_server.url
    new = put("1.0", text="without the hole")
    owner.run("sign", f"{gun}:1.0")

    node = Node(tmp_path / "node", {host(gun): own_server.url}, verifier=PATIENT)
    node.admin.knows(gun, owner.pin_of(gun))
    node.allows(f"{gun}:1.0", new.digest)
    own_server.stop()
    shutil.rmtree(own_server.data)
    shutil.copytree(yesterday, own_server.data)
    own_server.start()
    node.configure({host(gun): own_server.url})
    for name in (f"{gun}:1.0", f"{gun}@{old.digest}"):
        node.refuses(name, old.digest, "is older than version", status=4)

    stateless = Node(tmp_path / "newcomer", {host(gun): own_server.url}, verifier=PATIENT)
    stateless.admin.knows(gun, owner.pin_of(gun))
    stateless.allows(f"{gun}:1.0", old.digest)  # what only memory can know


# --- who is believed


def test_without_a_pin_nothing_is_allowed_whatever_the_environment_says(
    tmp_path: Path, node: Node, owner: TrustUser, gun: str, put: Put
) -> None:
    """No trust on first use in a hook, and no lock file of the folder where containerd runs."""
    image = release(owner, gun, put)
    owner.run("lock", f"{gun}:1.0", expect=None)
    lock = owner.folder / "trust.lock"
    if lock.exists():
        shutil.copy(lock, node.containerd.cwd / "trust.lock")
    node.containerd.environ = {**node.containerd.environ, "TRUST_TOFU": "1", "TRUST_PIN": owner.pin_of(gun)}
    said = node.refuses(f"{gun}:1.0", image.digest, "is not pinned here", owner.pin_of(gun), status=4)
    assert f"pin {gun} {owner.pin_of(gun)}" in said
    assert "--tofu" not in said
    assert not (node.etc / "pins.toml").exists()


def test_the_command_in_a_refusal_is_the_one_that_helps(node: Node, owner: TrustUser, gun: str, put: Put) -> None:
    image = release(owner, gun, put)
    said = node.refuses(f"{gun}:1.0", image.digest)
    command = said.partition(", then: trust ")[2]
    assert command.startswith("--home '")
    node.admin.run("--home", str(node.etc), *command.rpartition("' ")[2].split())
    node.allows(f"{gun}:1.0", image.digest)


def test_another_root_than_the_pinned_is_refused(node: Node, owner: TrustUser, gun: str, put: Put) -> None:
    image = release(owner, gun, put)
    node.admin.knows(gun, OTHER_DIGEST)
    node.refuses(f"{gun}:1.0", image.digest, "is pinned to", "only if the publisher confirms", status=4)


def test_a_name_without_trust_data_is_refused(node: Node, gun: str) -> None:
    node.refuses(f"{gun}/nobody:1", OTHER_DIGEST, "has no trust data", "[verifier] allow", status=3)


def test_policy_is_judged(pinned: Node, people: People, owner: TrustUser, gun: str, put: Put) -> None:
    digest = put("1.0").digest
    servers = {host(gun): owner.environ["TRUST_SERVER"]}
    pinned.configure(servers, verifier='policy = "policy.toml"')
    pinned.refuses(f"{gun}:1.0", digest, "policy.toml cannot be used", status=5)
    policy = pinned.etc / "policy.toml"
    policy.write_text(f'[[rule]]\nmatch = "{gun}"\nsigners = ["alice"]\n')
    pinned.refuses(f"{gun}:1.0", digest, "alice is no signer", status=5)
    policy.write_text('[[rule]]\nmatch = "registry.example.com/*"\n')
    pinned.refuses(f"{gun}:1.0", digest, "no rule matches", status=5)
    policy.write_text(f'[[rule]]\nmatch = "{host(gun)}/*"\npins = ["{OTHER_DIGEST}"]\n')
    pinned.refuses(f"{gun}:1.0", digest, OTHER_DIGEST, status=4)
    policy.write_text(f'[[rule]]\nmatch = "{host(gun)}/*"\npins = ["{owner.pin_of(gun)}"]\n')
    pinned.allows(f"{gun}:1.0", digest)
    policy.write_text('[[rule]]\nmatch = "*"\naction = "deny"\n')
    pinned.refuses(f"{gun}:1.0", digest, "the rule denies it", status=5)


def test_the_allow_list_needs_no_server_and_no_pin(tmp_path: Path) -> None:
    pause = f"registry.k8s.io/pause@{OTHER_DIGEST}"
    node = Node(tmp_path, {}, verifier=f'allow = ["{pause}", "127.0.0.1:1/cni/*"]')
    another = OTHER_DIGEST.replace("0", "1")
    node.allows("registry.k8s.io/pause:3.10", OTHER_DIGEST)
    node.allows(pause, OTHER_DIGEST)
    node.allows("127.0.0.1:1/cni/a/b:1", another)
    node.configure({"registry.k8s.io": "http://127.0.0.1:1"}, verifier=f'allow = ["{pause}"]')
    node.refuses("registry.k8s.io/pause:3.10", another, "cannot be reached", status=6)
    node.refuses("registry.k8s.io/pause/x:1", OTHER_DIGEST, status=6)
    node.refuses("127.0.0.1:1/cni:1", another, status=6)


# --- how containerd calls


def test_every_entry_is_asked_and_the_first_refusal_counts(pinned: Node, gun: str, put: Put) -> None:
    digest = put("1.0").digest
    for name, status in (("aa-other", 0), ("zz-other", 1)):
        script = pinned.containerd.bin_dir / name
        script.write_text(f"#!/bin/sh\necho {name} says so\nexit {status}\n")
        script.chmod(0o755)
    pinned.refuses(f"{gun}:1.0", digest, "zz-other rejected image (exit code 1): zz-other says so")
    (pinned.containerd.bin_dir / "zz-other").unlink()
    reason = pinned.allows(f"{gun}:1.0", digest)
    assert reason.startswith("aa-other => aa-other says so, trust-image-verifier => ")


def test_what_lies_beyond_max_verifiers_is_not_asked(pinned: Node, gun: str) -> None:
    """The bypass that `trust doctor containerd` names."""
    first = pinned.containerd.bin_dir / "aa-other"
    first.write_text("#!/bin/sh\nexit 0\n")
    first.chmod(0o755)
    pinned.refuses(f"{gun}:1.0", OTHER_DIGEST)
    pinned.containerd.max_verifiers = 1
    pinned.allows(f"{gun}:1.0", OTHER_DIGEST)


@pytest.mark.parametrize("name", ["README", "folder"])
def test_a_stray_entry_blocks_every_pull_and_installing_names_it(pinned: Node, gun: str, put: Put, name: str) -> None:
    stray = pinned.containerd.bin_dir / name
    if name == "folder":
        stray.mkdir()
    else:
        stray.write_text("read me")
    pinned.refuses(f"{gun}:1.0", put("1.0").digest, f"failed to call verifier {name}")
    install = ("hook", "containerd", "--bin-dir", str(pinned.containerd.bin_dir))
    pinned.admin.run(*install, expect=1).said(name, "take it away")


def test_a_missing_folder_lets_everything_pass(tmp_path: Path) -> None:
    """Why there is a doctor."""
    assert Containerd(bin_dir=tmp_path / "nothing").verify("alpine", OTHER_DIGEST).ok
