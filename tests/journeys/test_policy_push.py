"""`trust policy push` with Debian's docker-registry and a real trust server: from a file to a node that obeys it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.support.containerd_configs import DEFAULT_3
from tests.support.programs import PASSWORD, USER, RunningProgram
from tests.support.pulling_node import Node
from tests.support.server_process import ServerProcess
from tests.support.stage import People, Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def rule(gun: str, *members: str) -> str:
    return "\n".join(["[[rule]]", f'match = "{gun}"', *members, ""])


def write(user: TrustUser, name: str, text: str) -> str:
    (user.folder / name).write_text(text)
    return name


@pytest.mark.parametrize("form", ["tuf", "notary"])
def test_from_a_file_to_a_node(people: People, gun: str, put: Put, form: str) -> None:
    owner, node = people("owner"), people("node")
    for tag in ("1.0", "1.1"):
        put(tag, text=tag)
    policies = f"{gun}/policies"
    owner.run("init", gun, "--format", form, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0", f"{gun}:1.1")
    owner.run("init", policies, "--format", form, "--no-recovery-key")
    dangerous = owner.run("verify", f"{gun}:1.0").stdout.strip().partition("@")[2]

    write(owner, "nodes.toml", rule(gun, f'digests = ["{dangerous}"]', 'mode = "deny"'))
    planned = owner.run("policy", "push", "nodes.toml", f"{policies}:now", "--plan")
    assert planned.stdout.startswith(f"would be pushed: {policies}:now@sha256:")
    done = owner.run("policy", "push", "nodes.toml", f"{policies}:now")
    pushed = done.stdout.strip()
    assert pushed == planned.stdout.split()[3]
    assert done.stderr.endswith(f"nodes take it once it is signed: trust sign {pushed}\n")

    distributed = f'[distributed]\nname = "{policies}"\ntag = "now"\npins = ["{owner.pin_of(policies)}"]\n'
    write(node, "policy.toml", rule(gun) + distributed)
    node.run("pin", gun, owner.pin_of(gun), "--format", form)
    node.run("verify", "--policy", "policy.toml", f"{gun}:1.1", expect=5)  # it is not signed yet
    owner.run(*done.stderr.splitlines()[-1].partition("trust ")[2].split())
    node.run("verify", "--policy", "policy.toml", f"{gun}:1.1")
    node.run("verify", "--policy", "policy.toml", f"{gun}:1.0", expect=5)
    node.run("verify", "--policy", "policy.toml", f"{gun}@{dangerous}", expect=5)

    again = owner.run("policy", "push", "nodes.toml", f"{policies}:now", "--json").document()
    assert (again["state"], f"{again['name']}@{again['digest']}") == ("nothing to do", pushed)
    write(owner, "nodes.toml", "")
    other = owner.run("policy", "push", "nodes.toml", f"{policies}:now", "--json").document()
    assert (other["state"], other["rules"], f"{policies}:now@{other['replaces']}") == ("done", 0, pushed)
    node.run("verify", "--policy", "policy.toml", f"{gun}:1.0", expect=5)
    owner.run(*other["sign"].split()[1:])
    node.run("verify", "--policy", "policy.toml", f"{gun}:1.0")


def test_what_is_no_policy_is_neither_pushed_nor_replaced(owner: TrustUser, gun: str, put: Put) -> None:
    image = put("1.0")
    write(owner, "nodes.toml", rule(gun, 'tags = ["1.0"]', 'mode = "deny"'))
    write(owner, "local.toml", rule(gun, 'pins = ["key:' + "a" * 64 + '"]'))
    for file in ("local.toml", "missing.toml"):
        assert owner.run("policy", "push", file, f"{gun}:now", "--json", expect=5).document()["error"]["code"] == (
            "policy-malformed"
        )
    write(owner, "large.toml", "#" * (1024 * 1024 + 1))
    assert "1048576 bytes" in owner.run("policy", "push", "large.toml", f"{gun}:now", expect=5).stderr
    for name in (gun, f"{gun}@{image.digest}", f"{gun}:1.0@{image.digest}"):
        owner.run("policy", "push", "nodes.toml", name, expect=2)
    refused = owner.run("policy", "push", "nodes.toml", f"{gun}:1.0", expect=2)
    assert f"{gun}:1.0 is {image.digest} in the registry, which is no policy" in refused.stderr
    assert "judged without it" in refused.stderr
    planned = owner.run("policy", "push", "nodes.toml", f"{gun}:1.0", "--plan", "--json").document()["plans"][0]
    assert (planned["replaces"], planned["change"], planned["notes"][0]["kind"]) == (image.digest, True, "by-digest")
    owner.run("policy", "push", "nodes.toml", f"{gun}:1.0", "--yes")
    assert "nothing to do" in owner.run("policy", "push", "nodes.toml", f"{gun}:1.0", "--plan").stdout


def test_a_registry_that_asks_for_a_password(owner: TrustUser, password_registry: RunningProgram) -> None:
    name = f"{password_registry.netloc}/policies/nodes:now"
    write(owner, "nodes.toml", rule("*"))
    refused = owner.run("policy", "push", "nodes.toml", name, expect=7)
    assert f"docker login {password_registry.netloc}" in refused.stderr
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    docker = owner.folder / "docker"
    docker.mkdir()
    (docker / "config.json").write_text(json.dumps({"auths": {password_registry.netloc: {"auth": auth}}}))
    owner.run("policy", "push", "nodes.toml", name, DOCKER_CONFIG=str(docker))


def test_a_file_that_is_to_be_distributed_is_looked_over(owner: TrustUser, gun: str) -> None:
    write(owner, "nodes.toml", rule(gun, 'tags = ["1.0"]', 'mode = "deny"'))
    checked = owner.run("policy", "check", "--distributed", "nodes.toml")
    assert checked.stdout == "nodes.toml: 1 rule, to be distributed\n"
    assert "judged without it" in checked.stderr
    owner.run("policy", "check", "--distributed", "nodes.toml", f"{gun}:1.0", expect=2)
    write(owner, "nodes.toml", rule(gun, 'mode = "allow"'))
    assert "rule[0].mode" in owner.run("policy", "check", "--distributed", "nodes.toml", expect=5).stderr


def test_the_doctor_of_a_node_looks_at_it(
    owner: TrustUser, gun: str, tmp_path: Path, trust_server: ServerProcess
) -> None:
    policies = f"{gun}/policies"
    owner.run("init", policies, "--no-recovery-key")
    write(owner, "nodes.toml", rule(gun, 'tags = ["1.0"]', 'mode = "deny"'))
    pushed = owner.run("policy", "push", "nodes.toml", f"{policies}:now").stdout.strip()
    owner.run("sign", pushed)
    node = Node(tmp_path / "node", {gun.partition("/")[0]: trust_server.url}, verifier='policy = "policy.toml"')
    pin = owner.pin_of(policies)
    distributed = f'[distributed]\nname = "{policies}"\ntag = "now"\npins = ["{pin}"]\n'
    (node.etc / "policy.toml").write_text(rule(gun, f'pins = ["{pin}"]') + distributed)
    config = tmp_path / "config.toml"
    config.write_text(DEFAULT_3.replace("/opt/containerd/image-verifier/bin", str(node.containerd.bin_dir)))

    def told() -> list[tuple[str, str]]:
        _, findings = node.doctor(config)
        return [(found["severity"], found["text"]) for found in findings if found["check"] == "policy"]

    (fine, note) = told()
    assert fine[0] == "ok"
    assert pushed.partition("@")[2] in fine[1]
    assert note[0] == "note"
    assert "judged without it" in note[1]
    assert not (node.state / "policies").exists()
    owner.run("revoke", "--yes", f"{policies}:now")
    ((severity, text),) = told()
    assert severity == "wrong"
    assert "is not signed" in text
