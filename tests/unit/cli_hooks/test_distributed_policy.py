"""A policy that is distributed: got by verified digest, the last good one while it counts, and then a refusal."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keys.rfc3339 import from_rfc3339, to_rfc3339
from tests.simulator.certified import CertifiedCollection
from tests.simulator.home import Home, without_network
from tests.simulator.keyring import private
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import APP_IMAGE, GOOD, Scene, good_collection
from tests.support.issuers import Issuer, notary_key_of
from tests.support.policy_artifacts import policy_artifact
from trustcli.config.verifier_settings import AllowedImage, VerifierSettings
from trustcli.console.exit_codes import DONE, POLICY
from trustcli.errors import PolicyNotObtained
from trustcli.hooks.admission import admit
from trustcli.registry.reference import parse_reference
from trustdata.errors import PolicyRefused
from trustdata.gun import parse_gun
from trustdata.verification.trust_pinning import Pin
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS
from trustdata.wire.notary import NOTARY

RULES = parse_gun("registry.example.com/policies/nodes")
HARMLESS = '[[rule]]\nmatch = "*"\n'
DENIES = f'[[rule]]\nmatch = "{APP}"\nmode = "deny"\n'
WARNING = f"of the distributed policy {RULES}:now"


class Site:
    """A machine, the collection of an image, and one that signs policies. `run` verifies the image by the policy."""

    def __init__(self, folder: Path, wire: WireFormat) -> None:
        self.scene: Scene = good_collection(wire)
        self.rules = RepositorySimulator(gun=RULES, wire=wire)
        self.owner = Owner(self.rules)
        self.pin: Pin = self.owner.initialise()
        self.home = Home(folder, self.scene.server, self.rules)
        self.home.contents = {}
        self.home.pin(APP, str(self.scene.pin))
        self.file = folder / "policy.toml"
        self.write()

    def write(self, rules: str = HARMLESS, *, pin: str = "", more: str = "") -> None:
        table = f'[distributed]\nname = "{RULES}"\ntag = "now"\npins = ["{pin or self.pin}"]\n{more}'
        self.file.write_text(rules + table)
        self.file.chmod(0o600)

    def publish(self, text: str, **artifact: Any) -> str:
        """Push and sign a policy."""
        pushed = policy_artifact(text, **artifact)
        if self.home.contents is not None:
            self.home.contents |= pushed.contents
        self.owner.sign("now", pushed.digest.removeprefix("sha256:"))
        return pushed.digest

    @property
    def until(self) -> datetime:
        """When the trust data expires by which the kept policy was verified."""
        return from_rfc3339(json.loads(self.kept.read_text())["fresh_until"])

    @property
    def kept(self) -> Path:
        (found,) = (self.home.folder / "policies").glob("*.json")
        return found

    def be(self, at: datetime) -> None:
        """It is this time, and the server of the image is as fresh as ever."""
        self.home.at = self.scene.server.at = at
        self.scene.server.issue()

    def run(self, *options: str) -> int:
        return self.home.run("verify", "--policy", str(self.file), *options, APP_IMAGE)

    def not_obtained(self, *options: str) -> str:
        with pytest.raises(PolicyNotObtained) as refusal:
            self.run(*options)
        return str(refusal.value)


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    without_network(monkeypatch)
    return Site(tmp_path, request.param)


def test_it_tightens_what_the_file_allows(site: Site) -> None:
    site.publish(HARMLESS)
    assert site.run() == DONE
    site.publish(DENIES)
    assert site.run() == POLICY
    assert f"{RULES}:now@sha256:" in site.home.err, "the rule says where it comes from"
    site.publish(f'[[rule]]\nmatch = "{APP}"\nsigners = ["carol"]\n')
    assert site.run() == POLICY
    site.publish('[[rule]]\nmatch = "elsewhere.example.com/*"\nmode = "deny"\n')
    assert site.run() == DONE


def test_it_is_fetched_once_for_each_digest(site: Site) -> None:
    site.publish(HARMLESS)
    assert site.run() == DONE
    assert len(site.home.fetched) == 2
    assert site.run() == DONE
    assert len(site.home.fetched) == 2


def test_without_it_nothing_is_allowed(site: Site) -> None:
    assert "there is no older copy" not in site.not_obtained(), "it is not signed, whoever is away"
    site.publish(HARMLESS)
    site.home.contents = None
    assert "there is no older copy" in site.not_obtained()
    site.home.contents = {}
    site.rules.down = True
    assert "there is no older copy" in site.not_obtained()


def test_the_last_good_one_counts_while_its_trust_server_is_away(site: Site) -> None:
    digest = site.publish(DENIES)
    assert site.run() == POLICY
    assert WARNING not in site.home.err
    site.rules.down = True
    until = site.until
    assert site.run() == POLICY
    assert f"{WARNING}, the older copy {digest} counts, until {to_rfc3339(until)} at most, since " in site.home.err
    assert site.home.run("policy", "check", str(site.file), APP_IMAGE, json=True) == POLICY
    shown = json.loads(site.home.out)["distributed"]
    assert (shown["digest"], shown["error"]["code"]) == (digest, "remote-unreachable")
    site.be(until - timedelta(seconds=1))
    assert site.run() == POLICY
    site.be(until)
    site.not_obtained()
    site.kept.unlink()
    site.be(until - timedelta(seconds=1))
    assert site.run() == POLICY, "by the cache of its collection it is fetched again"


def test_the_last_good_one_counts_while_the_registry_is_away(site: Site) -> None:
    first = site.publish(DENIES)
    assert site.run() == POLICY
    site.home.contents = None
    site.publish(HARMLESS)
    assert site.run() == POLICY
    assert f"{WARNING}, the older copy {first} counts, until " in site.home.err
    until = site.until
    site.rules.at = until - timedelta(seconds=1)
    site.rules.issue()
    site.be(until - timedelta(seconds=1))
    assert site.run() == POLICY
    site.be(until)
    assert f"counted until {to_rfc3339(until)}" in site.not_obtained()


def test_a_new_one_that_is_no_policy_leaves_the_last_good_one(site: Site) -> None:
    first = site.publish(DENIES)
    assert site.run() == POLICY
    exempts = '[[rule]]\nmatch = "*"\nmode = "allow"\nreason = "x"\nuntil = 2999-01-01\n'
    for text, artifact in ((exempts, {}), (HARMLESS, {"kind": "a/b"}), (HARMLESS, {"layers": 2}), ("\x00", {})):
        site.publish(text, **artifact)
        assert site.run() == POLICY
        assert f"{WARNING}, the older copy {first} counts, until " in site.home.err
    site.publish(HARMLESS)
    assert site.run() == DONE
    assert WARNING not in site.home.err


def test_it_denies_a_digest_under_every_tag(site: Site) -> None:
    """Nothing in the file is about digests."""
    site.publish(f'[[rule]]\nmatch = "{APP}"\ndigests = ["sha256:{GOOD}"]\nmode = "deny"\n')
    assert site.run() == POLICY
    site.publish(f'[[rule]]\nmatch = "{APP}"\ndigests = ["sha256:{"0" * 64}"]\nmode = "deny"\n')
    assert site.run() == DONE


def test_a_revoked_one_is_a_refusal_at_once(site: Site) -> None:
    site.publish(HARMLESS)
    assert site.run() == DONE
    site.owner.revoke("now")
    assert f"{RULES}:now is not signed" in site.not_obtained()


def test_the_signers_and_pins_of_the_file_decide_about_it(site: Site) -> None:
    site.publish(HARMLESS)
    assert site.run() == DONE
    site.write(more='signers = ["secops"]\n')
    assert "secops is no signer" in site.not_obtained()
    site.rules.down = True
    site.not_obtained()
    site.write(pin="sha256:" + "a" * 64)
    site.not_obtained()
    site.write()
    assert site.run() == DONE


def test_a_copy_that_other_authorities_have_let_in_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the same name in the policy, too."""
    without_network(monkeypatch)
    one, other = Issuer.root("One"), Issuer.root("Other")
    site = Site(tmp_path, NOTARY)
    site.publish(HARMLESS)
    key = notary_key_of(one.issue(RULES, private("root")))
    CertifiedCollection(Scene(server=site.rules, past=site.rules, pin=site.pin), root=key)
    for issuer, runs in ((one, True), (other, False), (one, True)):
        ca = f'[[ca]]\nname = "corp"\ncertificates = """\n{issuer.pem}"""\n'
        site.write(HARMLESS + ca, pin="ca:corp")
        if runs:
            assert site.run() == DONE
            site.rules.down = True
            for file in (site.home.folder / "cache").rglob(f"*{RULES.rpartition('/')[2]}*"):
                shutil.rmtree(file)
        else:
            site.not_obtained()
    assert site.run() == DONE


def test_a_kept_copy_that_is_damaged_is_fetched_again(site: Site) -> None:
    site.publish(HARMLESS)
    assert site.run() == DONE
    one = '{"format": "content-trust-kept-policy-1"'
    for damage in ("{", "{}", "[]", one + "}", one + ', "digest": 1, "text": ""}'):
        site.kept.write_text(damage)
        assert site.run() == DONE
        assert "does not count" in site.home.err
        assert site.run() == DONE
        assert "does not count" not in site.home.err
    newer = '{"format": "content-trust-kept-policy-2"}'
    site.kept.write_text(newer)
    assert site.run() == DONE
    assert "version 2" in site.home.err
    assert site.kept.read_text() == newer
    site.kept.chmod(0o666)
    assert site.run() == DONE
    assert "does not count" in site.home.err


def test_it_is_judged_offline_by_what_is_kept(site: Site) -> None:
    site.publish(DENIES)
    assert site.run() == POLICY
    site.rules.down = site.scene.server.down = True
    site.home.contents = None
    assert site.run("--offline") == POLICY
    assert "denies" in site.home.err
    site.kept.unlink()
    assert "--offline" in site.not_obtained("--offline")


def test_a_hook_refuses_without_it_all_but_its_allow_list(site: Site) -> None:
    verifier = VerifierSettings(
        policy=site.file, allow=(AllowedImage(pattern="registry.example.com/infra", digest=None),)
    )
    session = site.home.session(verifier=verifier)
    image = parse_reference(APP_IMAGE)
    with pytest.raises(PolicyNotObtained):
        admit(session, image, f"sha256:{GOOD}")
    assert "allow" in admit(session, parse_reference("registry.example.com/infra:1"), f"sha256:{GOOD}")
    site.publish(HARMLESS)
    admit(session, image, f"sha256:{GOOD}")
    site.publish(DENIES)
    with pytest.raises(PolicyRefused):
        admit(session, image, f"sha256:{GOOD}")


def test_check_shows_it(site: Site) -> None:
    digest = site.publish(DENIES)
    assert site.home.run("policy", "check", str(site.file), APP_IMAGE) == POLICY
    assert f"distributed {RULES}:now: {digest}, 1 rule, in force until " in site.home.out
    assert "all of them must hold: distributed rules count beside the file's\n" in site.home.out
    assert site.home.run("policy", "check", str(site.file), json=True) == DONE
    found = json.loads(site.home.out)["distributed"]
    assert (found["name"], found["digest"], found["rules"], found.get("error")) == (f"{RULES}:now", digest, 1, None)
    site.home.contents = None
    site.publish(HARMLESS)
    assert site.home.run("policy", "check", str(site.file), json=True) == DONE
    found = json.loads(site.home.out)["distributed"]
    assert (found["digest"], found["error"]["code"]) == (digest, "remote-unreachable")
    site.kept.unlink()
    assert site.home.run("policy", "check", str(site.file), json=True) == POLICY
    found = json.loads(site.home.out)["distributed"]
    assert (found.get("digest"), found["error"]["code"]) == (None, PolicyNotObtained.code)
