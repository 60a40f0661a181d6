"""What `trust doctor containerd` says of the distributed part of a node's policy; nothing is kept for having looked."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from keys.rfc3339 import to_rfc3339
from tests.simulator.home import Home, without_network
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.support.policy_artifacts import policy_artifact
from trustcli.client.policy_file import load_policy
from trustcli.doctor.containerd.policy import check_policy
from trustcli.doctor.findings import Finding
from trustdata.gun import parse_gun
from trustdata.wire.formats import FORMATS

RULES = parse_gun("registry.example.com/policies/nodes")
PLAIN = f'[[rule]]\nmatch = "{APP}"\n'


class Site:
    """A node whose policy is distributed, with its collection and its registry."""

    def __init__(self, folder: Path, form: str) -> None:
        self.rules = RepositorySimulator(gun=RULES, wire=FORMATS[form])
        self.owner = Owner(self.rules)
        pin = self.owner.initialise()
        self.home = Home(folder, self.rules)
        self.home.contents = {}
        self.file = folder / "policy.toml"
        self.file.write_text(f'{PLAIN}[distributed]\nname = "{RULES}"\ntag = "now"\npins = ["{pin}"]\n')
        self.file.chmod(0o600)

    def publish(self, text: str = PLAIN) -> str:
        pushed = policy_artifact(text)
        assert self.home.contents is not None
        self.home.contents |= pushed.contents
        self.owner.sign("now", pushed.digest.removeprefix("sha256:"))
        return pushed.digest

    def look(self) -> list[Finding]:
        return list(check_policy(self.home.session(), load_policy(self.file)))

    def wrong(self) -> list[tuple[str, str]]:
        return [(each.check, each.text) for each in self.look() if each.severity == "wrong"]

    def pull(self) -> None:
        """What a pull leaves here."""
        assert self.home.run("policy", "check", str(self.file)) == 0

    def left(self) -> dict[str, bytes]:
        """All files of the node."""
        return {str(file): file.read_bytes() for file in self.home.folder.rglob("*") if file.is_file()}


@pytest.fixture(params=list(FORMATS))
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    without_network(monkeypatch)
    return Site(tmp_path, request.param)


def test_one_that_can_be_had(site: Site) -> None:
    digest, before = site.publish(), site.left()
    (found,) = site.look()
    assert (found.check, found.severity, found.place) == ("policy", "ok", str(site.file))
    assert f"{RULES}:now is {digest}, 1 rule, in force until " in found.text
    assert site.left() == before


def test_one_that_cannot(site: Site) -> None:
    ((check, text),) = site.wrong()
    assert check == "policy"
    assert f"{RULES}:now is not signed" in text
    assert "every image is refused but those under [verifier] allow" in text
    site.publish()
    site.home.contents = None
    assert "there is no older copy" in site.wrong()[0][1]


def test_an_older_copy_says_for_how_long_it_counts(site: Site) -> None:
    first = site.publish()
    site.pull()
    before = site.left()
    site.home.contents = None
    site.owner.sign("now", "ab" * 32)
    ((_, text),) = site.wrong()
    assert f"the newest of the distributed policy {RULES}:now cannot be had (" in text
    assert f"): {first}, verified on {to_rfc3339(site.home.at)}, counts until " in text
    assert " hours more; then every image is refused" in text
    site.rules.down = True
    assert f"): {first}, verified on " in site.wrong()[0][1]
    assert site.left() == before
    assert site.home.stderr.getvalue() == "", "the finding says it"


def test_one_that_nobody_renews_is_about_to_expire(site: Site) -> None:
    site.publish()
    site.pull()
    until = site.rules.at + site.rules.wire.lifetimes.timestamp
    site.home.at = until - timedelta(days=1)
    assert "policy" not in {check for check, _ in site.wrong()}
    site.home.at = until - timedelta(hours=5, minutes=30)
    late, renewal = site.wrong()
    assert "is about to expire" in late[1]
    assert "which is in 5 hours; then every image is refused" in late[1]
    assert renewal[0] == "expiry"
    assert "should have been renewed by the server" in renewal[1]


def test_its_owner_s_roles_are_looked_at(site: Site) -> None:
    site.publish()
    lifetime = site.rules.wire.lifetimes.targets
    site.home.at = site.rules.at = site.rules.at + lifetime - timedelta(days=5)
    site.rules.issue()
    findings = [each for each in site.look() if each.check == "expiry"]
    assert {each.place for each in findings} == {RULES}
    assert any("targets version" in each.text and each.severity == "wrong" for each in findings)


def test_what_its_owner_should_know_of_it(site: Site) -> None:
    site.publish(f'[[rule]]\nmatch = "{APP}"\ntags = ["1.0"]\nmode = "deny"\n')
    (note,) = [each for each in site.look() if each.severity == "note"]
    assert "judged without it" in note.text
    assert note.text.startswith(f"{RULES}:now@sha256:")
