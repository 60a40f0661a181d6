"""Signing with a key that is not stored: a machine that lives for one run, in both formats."""

from __future__ import annotations

import json

import pytest

from tests.support.stage import People, Put
from tests.support.trust_program import SECRETS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TAGS = ("1.0", "1.0.1", "1", "latest", "stable", "edge")


@pytest.mark.parametrize("wire", ["tuf", "notary"])
def test_one_command_signs_six_tags_on_an_empty_machine(wire: str, people: People, gun: str, put: Put) -> None:
    image = put("1.0")
    owner = people("owner")
    owner.run("key", "generate", "ci")
    owner.run("init", gun, "--no-recovery-key", "--format", wire, "--signer", "ci=ci.pub")
    owner.run("key", "export", "ci", "--output", "ci.key")
    ci = people("ci")
    (ci.folder / "ci.key").write_bytes((owner.folder / "ci.key").read_bytes())
    (ci.folder / "ci.key").chmod(0o600)
    (ci.folder / "images.txt").write_text("".join(f"{gun}:{tag}@{image.digest}\n" for tag in TAGS))
    once = ["sign", "--key", "ci.key", "--pin", owner.pin_of(gun), "--images", "images.txt"]
    (plan,) = ci.run("--json", *once, "--plan").document()["plans"]
    assert {signature["met"] for signature in plan["signatures"]} == {True}
    assert "key-file" in json.dumps(plan)
    assert "in the key file that is named" in ci.run(*once, "--plan").stdout
    assert not (ci.home / "private").exists()
    signed = ci.run(*once).stdout.splitlines()
    assert signed == [f"{gun}:{tag}@{image.digest}" for tag in TAGS]
    assert not (ci.home / "private").exists(), "nothing of the key is stored"
    reader = people("reader")
    reader.knows(gun, owner.pin_of(gun))
    reader.run("verify", *(f"{gun}:{tag}" for tag in TAGS), "--signer", "ci")


def test_a_key_that_is_no_signer_s_says_who_can(people: People, gun: str, put: Put) -> None:
    put("1.0")
    owner, ci = people("owner"), people("ci")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("key", "generate", "other")
    owner.run("key", "export", "other", "--output", "other.key")
    (ci.folder / "other.key").write_bytes((owner.folder / "other.key").read_bytes())
    (ci.folder / "other.key").chmod(0o600)
    pin = ["--pin", owner.pin_of(gun)]
    refused = ci.run("sign", f"{gun}:1.0", "--key", "other.key", *pin, expect=None)
    assert refused.status not in {0, 1}
    refused.said("repository key")


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("exposed.key", "lets others read private keys"),
        ("no.key", "no.key"),
        ("sealed.key", "a file of a key store"),
        ("public.pem", "public"),
        ("nonsense.key", "nonsense.key"),
    ],
)
def test_which_files_are_refused(file: str, said: str, people: People, gun: str) -> None:
    owner = people("owner")
    owner.run("key", "generate", "ci")
    owner.run("key", "export", "ci", "--plain", "--output", "exposed.key")
    (owner.folder / "exposed.key").chmod(0o644)
    (owner.folder / "sealed.key").write_bytes(next(iter(owner.key_files().values())))
    (owner.folder / "public.pem").write_bytes((owner.folder / "ci.pub").read_bytes())
    (owner.folder / "nonsense.key").write_text("nonsense")
    for path in owner.folder.glob("*.key"):
        path.chmod(0o644 if path.name == "exposed.key" else 0o600)
    refused = owner.run("sign", f"{gun}:1.0", "--key", file, expect=None)
    assert refused.status not in {0, 1}
    refused.said(said)


def test_a_wrong_passphrase_is_told_as_one(people: People, gun: str) -> None:
    owner = people("owner")
    owner.run("key", "generate", "ci")
    owner.run("key", "export", "ci", "--output", "ci.key")
    wrong = {"TRUST_REPOSITORY_PASSPHRASE": "not " + SECRETS["TRUST_REPOSITORY_PASSPHRASE"][:3]}
    refused = owner.run("sign", f"{gun}:1.0", "--key", "ci.key", expect=None, **wrong)
    assert refused.status not in {0, 1}
    refused.said("passphrase", "ci.key")
