"""The drill: keys are backed up, the machine is lost, shares bring the keys back, and they publish; in both formats."""

from __future__ import annotations

import shutil

import pytest

from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def restored_elsewhere(people: People, owner: TrustUser, gun: str, form: str, *options: str) -> TrustUser:
    """Somebody with an empty machine, the backup, and passphrases of their own; the fingerprint is known to all."""
    heir = people("heir")
    heir.environ |= {"TRUST_ROOT_PASSPHRASE": "Erbe-Geheimnis-71", "TRUST_REPOSITORY_PASSPHRASE": "Erbe-Geheimnis-72"}
    pin = owner.pin_of(gun)
    shutil.copytree(owner.folder / "stick", heir.folder / "stick")
    shutil.rmtree(owner.home)
    heir.run("pin", gun, pin, "--format", form)
    heir.run("key", "restore", "stick/keys.backup", *options)
    return heir


@pytest.mark.parametrize("form", ["tuf", "notary"])
@pytest.mark.parametrize("shared", [True, False], ids=["shares", "passphrase"])
def test_a_lost_machine(people: People, gun: str, put: Put, *, form: str, shared: bool) -> None:
    owner, reader = people("owner"), people("reader")
    put("1.0")
    owner.run("init", gun, "--no-recovery-key", "--format", form)
    owner.run("key", "generate", "alice")
    owner.run("signer", "add", "alice", gun, "--key", "alice.pub")
    owner.run("sign", f"{gun}:1.0")
    reader.knows(gun, owner.pin_of(gun))
    reader.run("verify", f"{gun}:1.0")
    (owner.folder / "stick").mkdir()
    split: tuple[str, ...] = ()
    handed_in: tuple[str, ...] = ()
    if shared:
        pytest.importorskip("shamir_mnemonic", reason="shamir-mnemonic is not installed")
        split = ("--shares", "3/5", "--shares-dir", "stick/shares")
        handed_in = tuple(
            word for n in (5, 2, 4) for word in ("--share", f"stick/shares/keys.backup.share-{n}-of-5.txt")
        )
    owner.run("key", "backup", "stick/keys.backup", "--all", *split)
    owner.run("key", "backup-verify", "stick/keys.backup", *handed_in)
    heir = restored_elsewhere(people, owner, gun, form, *handed_in)
    digest = put("2.0", text="two").digest
    heir.run("sign", f"{gun}:2.0@{digest}", "--signer", "alice")
    heir.run("key", "rotate", "root", gun)
    heir.run("key", "rotate", "targets", gun)
    assert reader.run("verify", f"{gun}:2.0").stdout == f"{gun}@{digest}\n"
    heir.run("key", "restore", "stick/keys.backup", *handed_in).said("is in the key store already: left as it is")
