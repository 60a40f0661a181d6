"""containerd's verifier: what stands under `[verifier] allow` and on a deny list of the policy does not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, good_collection
from trustcli.config.verifier_settings import AllowedImage, VerifierSettings
from trustcli.hooks.admission import admit
from trustcli.registry.reference import parse_reference
from trustdata.errors import DigestDenied
from trustdata.gun import parse_gun
from trustdata.wire.formats import FORMATS

SECURITY = parse_gun("registry.example.com/security/denied")
INFRA = "registry.example.com/infra"
LIST = '[[deny_list]]\nname = "{name}"\npins = ["{pin}"]\n'
RULE = f'[[rule]]\nmatch = "{APP}"\n'


class Node:
    def __init__(self, folder: Path, form: str) -> None:
        self.security = RepositorySimulator(gun=SECURITY, wire=FORMATS[form])
        owner = Owner(self.security)
        self.pin = owner.initialise()
        owner.deny(EVIL, reason="a stolen key")
        self.home = Home(folder, good_collection(FORMATS[form]).server, self.security)
        self.policy = folder / "policy.toml"

    def write(self, text: str) -> None:
        self.policy.write_text(text)
        self.policy.chmod(0o600)

    def admit(self, digest: str) -> str:
        verifier = VerifierSettings(allow=(AllowedImage(pattern=INFRA, digest=None),), policy=self.policy)
        return admit(self.home.session(verifier=verifier), parse_reference(f"{INFRA}:1"), f"sha256:{digest}")


@pytest.fixture(params=list(FORMATS))
def node(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    without_network(monkeypatch)
    return Node(tmp_path, request.param)


def test_a_deny_list_goes_before_the_allow_list(node: Node) -> None:
    node.write(RULE + LIST.format(name=SECURITY, pin=node.pin))
    assert "stands under [verifier] allow" in node.admit(GOOD)
    with pytest.raises(DigestDenied, match="a stolen key"):
        node.admit(EVIL)


def test_a_list_that_cannot_be_had_lets_start_what_stands_there(node: Node) -> None:
    node.write(RULE + LIST.format(name=SECURITY, pin=node.pin))
    node.security.down = True
    assert "stands under [verifier] allow" in node.admit(EVIL)
    assert f"the denied digests of {SECURITY} cannot be had" in node.home.stderr.getvalue()


@pytest.mark.parametrize("text", [RULE, "no TOML ["])
def test_a_policy_without_lists_or_that_cannot_be_read_changes_nothing(node: Node, text: str) -> None:
    node.write(text)
    assert "stands under [verifier] allow" in node.admit(EVIL)
    assert node.home.asked == []
