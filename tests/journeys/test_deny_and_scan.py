"""The day after: what runs is scanned, a digest is denied, and everything but other programs stops at it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.server_process import ServerProcess
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser
from tests.support.tuf_client import TufClient

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def scanned(user: TrustUser, *images: str, expect: int) -> list[dict[str, Any]]:
    states = [{"name": "app", "image": each, "imageID": each, "state": {"running": {}}} for each in images]
    (user.folder / "pods.json").write_text(json.dumps({"kind": "Pod", "status": {"containerStatuses": states}}))
    found: list[dict[str, Any]] = user.run("--json", "scan", "--pods", "pods.json", expect=expect).document()[
        "containers"
    ]
    return found


@pytest.mark.parametrize("form", ["tuf", "notary"])
def test_what_was_revoked_is_told_from_what_was_never_signed(people: People, gun: str, put: Put, form: str) -> None:
    owner, reader = people("owner"), people("reader")
    image, never = put("1.0"), put("2.0", text="never")
    owner.run("init", gun, "--no-recovery-key", "--format", form)
    owner.run("sign", f"{gun}:1.0")
    reader.run("pin", gun, owner.pin_of(gun), "--format", form)
    names = f"{gun}@{image.digest}", f"{gun}@{never.digest}"
    assert [row["state"] for row in scanned(reader, *names, expect=3)] == ["signed", "unsigned"]
    owner.run("revoke", f"{gun}:1.0", "--yes")
    revoked, unsigned = scanned(reader, *names, expect=3)
    assert (revoked["state"], unsigned["state"]) == ("revoked", "unsigned")
    assert "it was signed as 1.0 in targets" in revoked["revoked"]


def test_deny_stops_our_doors_offline_too_and_other_tuf_clients_find_it_still(
    people: People, trust_server: ServerProcess, gun: str, put: Put
) -> None:
    owner, reader = people("owner"), people("reader")
    image = put("1.0")
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    other = TufClient(reader.folder / "python-tuf", trust_server.url, gun)
    reader.run("pin", gun, owner.pin_of(gun))
    reader.run("verify", f"{gun}:1.0")
    owner.run("deny", f"{gun}@{image.digest}", "--reason", "a stolen key", "--yes")
    reader.run("verify", f"{gun}:1.0", expect=4).said("is denied by", "a stolen key")
    reader.run("verify", "--offline", f"{gun}:1.0", expect=4).said("is denied by")
    owner.run("sign", f"{gun}:again@{image.digest}", expect=4).said("is denied by")
    (row,) = scanned(reader, f"{gun}@{image.digest}", expect=4)
    assert row["state"] == "denied"
    owner.run("key", "generate", "alice")
    owner.run("signer", "add", "alice", gun, "--key", "alice.pub")
    owner.run("key", "rotate", "targets", gun)
    reader.run("verify", f"{gun}:1.0", expect=4).said("a stolen key")
    assert other.digest_of("1.0") == image.digest
    owner.run("deny", "--remove", f"{gun}@{image.digest}", "--yes")
    reader.run("verify", f"{gun}:1.0")
