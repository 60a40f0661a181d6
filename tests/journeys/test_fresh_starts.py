"""Every command as the start of a program, in both formats: elsewhere most are forked from one that is loaded."""

from __future__ import annotations

import json

import pytest

from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser
from trustcli.commands.table import COMMANDS

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

FRESH = True
ELSEWHERE = {
    "agent": "test_agent",
    "completion": "test_completion",
    "demo": "test_demo",
    "hook": "test_image_verifier",
    "login": "test_trust_login",
    "logout": "test_trust_login",
    "migrate": "test_migration",
    "plugin": "test_docker_plugin",
    "whoami": "test_server_logins",
}
"""Commands that other tests start as programs."""


@pytest.mark.parametrize("form", ["tuf", pytest.param("notary", marks=pytest.mark.long)])
def test_a_short_life(owner: TrustUser, people: People, gun: str, put: Put, form: str) -> None:
    digest = put("1.0").digest
    started = set()

    def run(*command: str, user: TrustUser = owner, expect: int = 0) -> str:
        started.add(command[0])
        return user.run(*command, expect=expect).stdout

    run("init", gun, "--format", form, "--recovery-key", "recovery.key")
    assert run("sign", f"{gun}:1.0") == f"{gun}:1.0@{digest}\n"
    run("key", "generate", "alice")
    run("signer", "add", "alice", gun, "--key", "alice.pub")
    run("signer", "rotate", "alice", gun, "--new-key", "alice.pub")
    run("sign", f"{gun}:2.0@{digest}")
    run("key", "rotate", "root", gun)
    run("lock", gun)
    assert gun in run("pins")
    reader = people("reader")
    run("pin", gun, owner.pin_of(gun), "--format", form, user=reader)
    for tag in ("1.0", "2.0"):
        assert run("verify", f"{gun}:{tag}", user=reader) == f"{gun}@{digest}\n"
    assert "trusted: " in run("explain", f"{gun}:2.0", user=reader)
    (reader.folder / "policy.toml").write_text(f'[[rule]]\nmatch = "{gun}"\nsigners = ["alice"]\n')
    assert "1 of alice" in run("policy", "check", "policy.toml", f"{gun}:2.0", user=reader)
    assert run("verify", "--policy", "policy.toml", f"{gun}:2.0", user=reader) == f"{gun}@{digest}\n"
    assert digest.removeprefix("sha256:") in run("inspect", gun, user=reader)
    run("pull", f"{gun}:1.0", user=reader, expect=6)  # there is no engine
    assert "nothing is wrong" in run("doctor", gun)
    run("expiring", gun)
    assert "targets" in run("renew", gun, "--all")
    state = {"name": "app", "image": f"{gun}:2.0", "imageID": f"{gun}@{digest}", "state": {"running": {}}}
    (reader.folder / "pods.json").write_text(json.dumps({"kind": "Pod", "status": {"containerStatuses": [state]}}))
    assert run("scan", "--pods", "pods.json", user=reader).split() == ["signed", "/app", f"{gun}@{digest}"]
    if form == "tuf":
        assert run("deny", "--yes", f"{gun}@{digest}") == f"denied {gun}@{digest}\n"
        run("verify", f"{gun}:2.0", user=reader, expect=4)
        assert run("deny", "--yes", "--remove", f"{gun}@{digest}") == f"denied no longer {gun}@{digest}\n"
    else:  # docker and notary would drop the list
        assert run("deny", "--yes", f"{gun}@{digest}", expect=7) == ""
    assert run("revoke", "--yes", f"{gun}:2.0") == f"revoked {gun}:2.0\n"
    run("verify", f"{gun}:2.0", user=reader, expect=3)
    assert "alice" in run("audit", gun, user=reader)
    assert gun in run("collections")
    run("prune", gun, "--plan")
    run("delete", gun, "--yes")
    assert started | set(ELSEWHERE) == set(COMMANDS)
