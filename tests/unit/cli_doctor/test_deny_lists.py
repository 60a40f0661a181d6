"""A machine whose policy names a deny list: what check, doctor and verify say of it, with its server and without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import GOOD, OTHER, good_collection
from trustcli.client.policy_file import load_policy
from trustcli.doctor.containerd.policy import check_policy
from trustcli.doctor.findings import Finding
from trustdata.gun import parse_gun
from trustdata.wire.formats import FORMATS

SECURITY = parse_gun("registry.example.com/security/denied")
PLAIN = f'[[rule]]\nmatch = "{APP}"\n'


class Machine:
    """A home with a policy that names the list of SECURITY, which denies GOOD."""

    def __init__(self, folder: Path, form: str) -> None:
        scene = good_collection(FORMATS[form])
        self.app = scene.server
        self.security = RepositorySimulator(gun=SECURITY, wire=FORMATS[form])
        owner = Owner(self.security)
        pin = owner.initialise()
        owner.deny(GOOD, reason="a stolen key")
        self.home = Home(folder, self.app, self.security)
        assert self.home.pin(APP, str(scene.pin)) == 0
        self.file = folder / "policy.toml"
        self.write(str(pin))

    def write(self, pin: str) -> None:
        self.file.write_text(f'{PLAIN}[[deny_list]]\nname = "{SECURITY}"\npins = ["{pin}"]\n')
        self.file.chmod(0o600)

    def look(self) -> list[Finding]:
        return list(check_policy(self.home.session(), load_policy(self.file)))

    def verify(self, *words: str) -> tuple[int, str]:
        status = self.home.run("verify", "--policy", str(self.file), *words, json=True)
        (row,) = json.loads(self.home.out)["images"]
        return status, str(row.get("error", {}).get("code", "")) if row.get("error") else ""

    def check(self, *images: str) -> tuple[int, Any]:
        return self.home.run("policy", "check", str(self.file), *images, json=True), json.loads(self.home.out)


@pytest.fixture(params=list(FORMATS))
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    without_network(monkeypatch)
    return Machine(tmp_path, request.param)


def test_check_says_how_long_a_list_is_and_refuses_what_is_on_it(machine: Machine) -> None:
    status, found = machine.check(f"{APP}:1.0", f"{APP}@sha256:{GOOD}", f"{APP}@sha256:{OTHER}", "NO NAME")
    assert found["deny_lists"] == [{"name": SECURITY, "denied": 1}]
    codes = [(row.get("error") or {}).get("code") for row in found["images"]]
    assert codes == [None, "digest-denied", None, "invalid-name"]
    assert status == 4
    assert machine.home.run("policy", "check", str(machine.file)) == 0
    assert f"deny list of {SECURITY}: 1 digest, for every name\n" in machine.home.out


def test_check_says_of_a_list_that_cannot_be_had_why(machine: Machine) -> None:
    machine.security.down = True
    status, found = machine.check()
    assert status == 5
    assert found["deny_lists"][0]["error"]["code"] == "deny-list-not-obtained"
    machine.home.run("policy", "check", str(machine.file))
    assert f"the denied digests of {SECURITY} cannot be had" in machine.home.err


def test_a_list_of_which_only_the_last_is_known_is_told_as_that(machine: Machine) -> None:
    assert machine.check()[0] == 0
    machine.security.down = True
    assert machine.home.run("policy", "check", str(machine.file)) == 0
    assert f"the denied digests of {SECURITY} are from" in machine.home.err
    assert [each.severity for each in machine.look()] == ["ok", "wrong"]


def test_doctor_says_whether_it_can_be_had(machine: Machine) -> None:
    (found,) = machine.look()
    assert (found.severity, found.text) == ("ok", f"{SECURITY} denies 1 digest, for every name")
    machine.security.down = True
    texts = [each.text for each in machine.look() if each.severity == "wrong"]
    assert any("every image is refused but those under [verifier] allow" in text for text in texts)


def test_verify_asks_it_and_knows_it_offline(machine: Machine) -> None:
    assert machine.verify(f"{APP}:1.0", "--offline")[1] == "deny-list-not-obtained"
    assert machine.verify(f"{APP}:1.0") == (4, "digest-denied")
    assert machine.verify(f"{APP}:2.0") == (0, "")
    machine.security.down = machine.app.down = True
    assert machine.verify(f"{APP}:1.0", "--offline") == (4, "digest-denied")
    assert machine.verify(f"{APP}:2.0", "--offline") == (0, "")


def test_a_list_under_another_root_than_the_policy_pins_is_none(machine: Machine) -> None:
    machine.write("sha256:" + "0" * 64)
    assert machine.verify(f"{APP}:2.0") == (5, "deny-list-not-obtained")
