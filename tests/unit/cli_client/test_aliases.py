"""Aliases: a mirror or a renamed registry, which pins.toml declares (`named`); pins by key at every door."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.simulator.home import Home, without_network
from tests.simulator.keyring import private
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import EVIL, GOOD
from tests.simulator.siblings import Siblings, first_root, siblings
from trustcli.config.verifier_settings import VerifierSettings
from trustcli.console.exit_codes import DONE, NOT_SIGNED, NOT_TRUSTED, REFUSED, USAGE
from trustcli.doctor.examination import examine
from trustcli.doctor.pins import check_pins
from trustcli.errors import SettingsUnusable, UsageError
from trustcli.hooks import docker_plugin
from trustcli.hooks.admission import admit
from trustcli.registry.reference import parse_reference
from trustdata.errors import (
    CertificateOfAnotherName,
    CollectionExists,
    FormatChanged,
    InvalidName,
    PinsDisagree,
    PolicyMalformed,
    RootNotNamed,
    RootOfAnotherName,
)
from trustdata.gun import GUN, parse_gun
from trustdata.verification.trust_pinning import Pin
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS
from trustdata.wire.tuf import TUF

MIRROR = parse_gun("mirror.example.net/team/app")
THIRD = parse_gun("third.example.org/app")


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch, wire: WireFormat) -> Siblings:
    without_network(monkeypatch)
    return siblings(wire)


@pytest.fixture
def old_pair(monkeypatch: pytest.MonkeyPatch, wire: WireFormat) -> Siblings:
    without_network(monkeypatch)
    return siblings(wire, named=False)


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


@pytest.fixture
def home(tmp_path: Path, pair: Siblings) -> Home:
    return Home(tmp_path, pair.app, pair.dev)


# --- an alias is its real name


def test_an_alias_is_the_collection_that_it_names(home: Home, pair: Siblings) -> None:
    assert home.pin(MIRROR, str(pair.fingerprint), "--named", APP) == DONE
    assert home.run("verify", f"{MIRROR}:1.0") == DONE
    assert home.out == f"{MIRROR}@sha256:{GOOD}\n"
    assert set(home.asked) == {APP}, "no other server than that of the real name"
    memory = home.session().memory
    assert memory.load(APP) is not None
    assert memory.load(MIRROR) is None
    assert home.session().cache(MIRROR, pair.app.wire.name).roots() == []


def test_the_root_must_have_the_real_name(home: Home, pair: Siblings) -> None:
    """A declared alias is no way around the name."""
    home.pin(MIRROR, str(first_root(pair.dev)), "--named", APP)
    home.sites[APP] = pair.swapped
    assert home.run("verify", f"{MIRROR}:1.0") == NOT_TRUSTED
    assert EVIL not in home.out


def test_without_the_declaration_the_mirror_is_refused(home: Home, pair: Siblings) -> None:
    home.sites[MIRROR] = pair.app.copy()
    home.sites[MIRROR].gun = MIRROR
    home.pin(MIRROR, str(pair.fingerprint))
    assert home.run("verify", f"{MIRROR}:1.0") == NOT_TRUSTED
    if pair.app.wire is TUF:
        assert f"trust pin {MIRROR} REF --named {APP}" in home.err


def test_the_pins_of_the_real_name_count_too(home: Home, pair: Siblings) -> None:
    home.pin(APP, "sha256:" + "ab" * 32)
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    assert home.run("verify", f"{MIRROR}:1.0", json=True) == NOT_TRUSTED
    assert json.loads(home.out)["images"][0]["error"]["code"] == PinsDisagree.code


def test_memory_is_shared(home: Home, pair: Siblings) -> None:
    """What was seen under the real name protects the alias from an older state."""
    home.pin(APP, str(pair.fingerprint))
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    past = pair.app.copy()
    Owner(pair.app).sign("2.0", GOOD)
    assert home.run("verify", f"{APP}:1.0") == DONE
    home.sites[APP] = past
    assert home.run("verify", f"{MIRROR}:1.0", json=True) == NOT_TRUSTED
    assert json.loads(home.out)["images"][0]["error"]["code"] == "version-rollback"


def test_the_format_is_one(home: Home, pair: Siblings) -> None:
    home.pin(APP, str(pair.fingerprint))
    other = "notary" if pair.app.wire is TUF else "tuf"
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP, "--format", other)
    with pytest.raises(FormatChanged):
        home.session().collection(MIRROR)


@pytest.mark.parametrize("declared_in", ["pins.toml", "policy.toml"])
def test_owners_change_the_real_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wire: WireFormat, declared_in: str
) -> None:
    """Every command that changes one, under the other name; the images are those of the mirror."""
    without_network(monkeypatch)
    site = RepositorySimulator(wire=wire)
    home = Home(tmp_path, site)
    home.environ = {"TRUST_ROOT_PASSPHRASE": "root", "TRUST_REPOSITORY_PASSPHRASE": "repository"}
    key = tmp_path / "alice.pub"
    key.write_bytes(private("alice").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    home.run("init", APP, "--no-recovery-key", "--format", "tuf" if wire is TUF else "notary")
    settings: dict[str, Any] = {}
    if declared_in == "pins.toml":
        home.pin(MIRROR, str(first_root(site)), "--named", APP)
    else:
        settings = {"verifier": VerifierSettings(policy=_with_alias(tmp_path, MIRROR, APP))}
    home.registry_digest = f"sha256:{GOOD}"
    changes = [
        ("sign", f"{MIRROR}:1.0"),
        ("signer", "add", "--key", str(key), "alice", MIRROR),
        ("renew", MIRROR, "--within", "9000d"),
        ("key", "rotate", "targets", MIRROR, APP),
        ("key", "rotate", "root", MIRROR),
        ("signer", "remove", "alice", MIRROR),
        ("revoke", f"{MIRROR}:1.0"),
    ]
    for change in changes:
        files = dict(site.files)
        assert home.run(*change, "--plan", **settings) == DONE
        with pytest.raises(UsageError, match=f"{MIRROR} is an alias of {APP}; name {APP}"):
            home.run(*change, **settings)
        assert site.files == files
        assert home.run(*change, "--yes", **settings) == DONE
        assert f"{MIRROR} is an alias of {APP} ({tmp_path / declared_in})" in home.err
        assert site.files != files
        if change[0] == "sign":
            assert home.run("verify", f"{MIRROR}:1.0", f"{APP}:1.0", **settings) == DONE
            assert home.out == f"{MIRROR}@sha256:{GOOD}\n{APP}@sha256:{GOOD}\n"
            assert home.run("inspect", MIRROR, **settings) == DONE
            assert home.run("signer", "list", MIRROR, **settings) == DONE
            assert home.run("explain", f"{MIRROR}:1.0", json=True, **settings) == DONE
            assert json.loads(home.out)["explanation"]["real_name"] == APP
        if change[:3] == ("key", "rotate", "targets"):
            assert home.out.count("targets has key") == 1, "one collection"
    assert home.run("verify", f"{APP}:1.0") == NOT_SIGNED
    assert home.run("expiring", "--within", "1d", **settings) == DONE
    again = ("init", MIRROR, "--no-recovery-key", "--format", "tuf" if wire is TUF else "notary")
    refusal = CollectionExists if declared_in == "pins.toml" else InvalidName
    assert home.run(*again, json=True, **settings) == (REFUSED if declared_in == "pins.toml" else USAGE)
    assert json.loads(home.out)["error"]["code"] == refusal.code
    assert set(home.asked) == {APP}
    assert home.session().memory.load(MIRROR) is None


def _with_alias(folder: Path, name: str, trust: str) -> Path:
    file = folder / "policy.toml"
    file.write_text(f'[[alias]]\nname = "{name}"\ntrust = "{trust}"\n')
    file.chmod(0o600)
    return file


def test_the_pins_of_an_alias_in_a_policy_are_those_of_the_trust_name(home: Home, pair: Siblings) -> None:
    """What is recorded of the mirror's own name pins nothing, and no pin of the trust name is a refusal."""
    verifier = VerifierSettings(policy=_with_alias(home.folder, MIRROR, APP))
    home.pin(MIRROR, str(pair.fingerprint), "--format", "tuf" if pair.app.wire is TUF else "notary")
    assert home.run("verify", f"{MIRROR}:1.0", verifier=verifier) == NOT_TRUSTED
    assert f"trust pin {APP}" in home.err
    home.pin(APP, str(pair.fingerprint))
    assert home.run("verify", f"{MIRROR}:1.0", verifier=verifier) == DONE
    assert home.session(verifier=verifier).pinned_names() == [APP]


def test_a_policy_that_does_not_exist_yet_has_no_alias(home: Home, pair: Siblings) -> None:
    home.pin(APP, str(pair.fingerprint))
    assert home.run("verify", f"{APP}:1.0", verifier=VerifierSettings(policy=home.folder / "absent.toml")) == DONE


def test_a_policy_that_cannot_be_read_says_of_no_name_what_it_stands_for(home: Home, pair: Siblings) -> None:
    home.pin(APP, str(pair.fingerprint))
    file = _with_alias(home.folder, MIRROR, APP)
    file.write_text("[[alias]]\n")
    assert home.run("verify", f"{APP}:1.0", verifier=VerifierSettings(policy=file), json=True) != DONE
    assert json.loads(home.out)["images"][0]["error"]["code"] == PolicyMalformed.code


@pytest.mark.parametrize("by_option", [False, True])
@pytest.mark.parametrize(
    ("alias", "named", "asked"),
    [
        ((MIRROR, THIRD), (MIRROR, APP), MIRROR),  # two for one name
        ((MIRROR, THIRD), (THIRD, APP), MIRROR),  # the trust name is an alias
        ((APP, THIRD), (MIRROR, APP), MIRROR),  # what pins.toml names is one
        (("mirror.example.net/*", "third.example.org/*"), (THIRD, APP), parse_gun("mirror.example.net/app")),
    ],
)
def test_aliases_of_both_files_make_no_chain_and_no_choice(
    home: Home, pair: Siblings, alias: tuple[str, str], named: tuple[GUN, GUN], asked: GUN, *, by_option: bool
) -> None:
    home.pin(named[0], str(pair.fingerprint), "--named", named[1])
    home.asked.clear()
    file = _with_alias(home.folder, *alias)
    with file.open("a") as text:
        text.write('[[rule]]\nmatch = "*"\n')
    settings = {} if by_option else {"verifier": VerifierSettings(policy=file)}
    options = ["--policy", str(file)] if by_option else []
    try:
        assert home.run("verify", f"{asked}:1.0", *options, **settings) != DONE
        said = home.err
    except SettingsUnusable as refusal:
        said = str(refusal)
    assert "an alias of" in said
    assert home.asked == []


def test_no_pin_contradicts_the_policy(home: Home, pair: Siblings) -> None:
    verifier = VerifierSettings(policy=_with_alias(home.folder, MIRROR, APP))
    with pytest.raises(InvalidName, match=f"makes it an alias; name {APP}"):
        home.run("pin", MIRROR, str(pair.fingerprint), verifier=verifier)
    for name, other in ((MIRROR, THIRD), (APP, THIRD), (THIRD, MIRROR)):
        with pytest.raises(SettingsUnusable, match="an alias of"):
            home.run("pin", name, str(pair.fingerprint), "--named", other, "--format", "tuf", verifier=verifier)
    assert home.session().pins.load() == {}


def test_the_same_alias_in_both_files_is_no_contradiction(home: Home, pair: Siblings) -> None:
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    verifier = VerifierSettings(policy=_with_alias(home.folder, MIRROR, APP))
    home.pin(APP, str(pair.fingerprint))
    assert home.run("verify", f"{MIRROR}:1.0", verifier=verifier) == DONE
    home.pin(MIRROR, "sha256:" + "ab" * 32, "--named", APP, "--replace")
    assert home.run("verify", f"{MIRROR}:1.0", verifier=verifier) == NOT_TRUSTED, "the alias's own pin counts, too"


# --- declared once, seen everywhere


def test_an_alias_is_shown_wherever_pins_are(home: Home, pair: Siblings) -> None:
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    assert f"an alias of {APP}" in home.out
    home.run("pins")
    assert home.out.strip().endswith(f"\talias of {APP}")
    home.run("pins", json=True)
    assert json.loads(home.out)["pins"][0]["named"] == APP
    home.run("explain", f"{MIRROR}:1.0")
    assert "alias of" in home.out
    assert f"{APP}, whose pins, memory and server count" in home.out
    home.run("explain", f"{MIRROR}:1.0", json=True)
    explained = json.loads(home.out)["explanation"]
    assert (explained["name"], explained["real_name"]) == (MIRROR, APP)


def test_the_doctor_knows_aliases(home: Home, pair: Siblings) -> None:
    """The pin of the alias is compared with the memory of the real name."""
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    home.run("verify", f"{MIRROR}:1.0")
    (finding,) = check_pins(home.session(), MIRROR)
    assert (finding.severity, finding.text.rpartition(", ")[2]) == ("ok", f"as an alias of {APP}")
    (brief,) = [found for found in examine(home.session(), None) if found.check == "collection"]
    assert (brief.severity, brief.place) == ("ok", MIRROR)
    home.pin(MIRROR, "sha256:" + "ab" * 32, "--named", APP, "--replace")
    wrong = next(found for found in check_pins(home.session(), MIRROR) if found.severity == "wrong")
    assert f"trust pin {MIRROR} REF --named {APP} --replace" in str(wrong.remedy)


def test_a_migration_takes_real_names(home: Home, pair: Siblings) -> None:
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    assert home.run("migrate", "from-notary", "https://notary.example.com", MIRROR) == USAGE
    assert f"pins.toml makes it an alias; name {APP}" in home.err


def test_two_names_of_one_collection_are_one_duty(home: Home, pair: Siblings) -> None:
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    home.pin(THIRD, str(pair.fingerprint), "--named", APP)
    assert len(home.session().pinned_names()) == 1
    home.pin(APP, str(pair.fingerprint))
    assert home.session().pinned_names() == [APP]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((MIRROR, "--named", MIRROR), "the name itself"),
        ((THIRD, "--named", MIRROR), f"--named {APP}"),
        ((APP, "--named", THIRD), f"{APP} has an alias, {MIRROR}"),
    ],
)
def test_an_alias_of_an_alias_is_refused(home: Home, pair: Siblings, arguments: Sequence[str], named: str) -> None:
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    name, *options = arguments
    with pytest.raises(UsageError, match=named):
        home.pin(name, str(pair.fingerprint), *options)


def test_a_pin_becomes_no_alias_unasked(home: Home, pair: Siblings) -> None:
    home.pin(MIRROR, str(pair.fingerprint), "--format", "tuf")
    with pytest.raises(PinsDisagree, match=f"named {APP}"):
        home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    assert home.pin(MIRROR, str(pair.fingerprint), "--named", APP, "--replace") == DONE
    assert home.session().real_name(MIRROR) == APP


# --- the lock file


def test_the_real_name_is_locked(home: Home, pair: Siblings) -> None:
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    lock = home.folder / "trust.lock"
    assert home.run("lock", f"{MIRROR}:1.0", lock=lock) == DONE
    assert f'[collections."{APP}"]' in lock.read_text()
    assert MIRROR not in lock.read_text()
    assert home.run("verify", f"{MIRROR}:1.0") == DONE


def test_a_locked_alias_is_refused_with_the_way_out(home: Home, pair: Siblings) -> None:
    """Its minimum versions must not be passed over in silence."""
    home.pin(APP, str(pair.fingerprint))
    lock = home.folder / "trust.lock"
    home.run("lock", APP, lock=lock)
    lock.write_text(lock.read_text().replace(APP, MIRROR))
    home.pin(MIRROR, str(pair.fingerprint), "--named", APP)
    with pytest.raises(SettingsUnusable, match=f"trust lock --remove {MIRROR}, then trust lock {APP}"):
        home.session().collection(MIRROR)
    assert home.run("lock", lock=lock) == USAGE
    assert home.run("lock", "--remove", MIRROR, lock=lock) == DONE
    assert home.run("verify", f"{MIRROR}:1.0") == DONE


# --- every door: a pin of a key alone


PATTERN = "registry.example.com/team/*"


def _policy(folder: Path, pin: Pin, match: str) -> Path:
    file = folder / "policy.toml"
    file.write_text(f'[[rule]]\nmatch = "{match}"\npins = ["{pin}"]\n')
    return file


@pytest.mark.parametrize("door", ["pins.toml", "TRUST_PIN", "policy", "containerd", "docker"])
def test_a_pin_of_the_owner_s_key_at_every_door(tmp_path: Path, pair: Siblings, door: str) -> None:
    """The key of both collections; the server swaps them."""
    home = Home(tmp_path, pair.app, pair.dev)
    assert _through(door, home, pair.key) == DONE
    swapped = Home(tmp_path / "other", pair.swapped)
    assert _through(door, swapped, pair.key) == NOT_TRUSTED
    assert EVIL not in swapped.out


@pytest.mark.parametrize("door", ["pins.toml", "TRUST_PIN", "policy", "containerd", "docker"])
def test_a_pin_of_a_key_about_a_root_without_a_name_at_every_door(
    tmp_path: Path, old_pair: Siblings, door: str
) -> None:
    home = Home(tmp_path, old_pair.app)
    assert _through(door, home, old_pair.key) == NOT_TRUSTED
    assert "pinned by a key alone" in home.err
    assert _through(door, Home(tmp_path / "other", old_pair.app), old_pair.fingerprint, match=str(APP)) == DONE


@pytest.mark.parametrize("door", ["policy", "containerd"])
def test_a_fingerprint_for_a_pattern_of_names_says_of_no_root_whose_it_is(
    tmp_path: Path, pair: Siblings, old_pair: Siblings, door: str
) -> None:
    home = Home(tmp_path, old_pair.app)
    assert _through(door, home, old_pair.fingerprint) == NOT_TRUSTED
    assert "pinned only by a root for a pattern of names" in home.err
    assert _through(door, Home(tmp_path / "named", pair.app), pair.fingerprint) == DONE


def _through(door: str, home: Home, pin: Pin, *, match: str = PATTERN) -> int:
    """Ask for 1.0 of APP through one of the doors, with this pin; return the exit status."""
    image = f"{APP}:1.0"
    home.folder.mkdir(exist_ok=True)
    if door == "TRUST_PIN":
        return home.run("verify", image, pin=str(pin))
    if door == "policy":
        return home.run("verify", "--policy", str(_policy(home.folder, pin, match)), image)
    if door == "containerd":
        session = home.session(verifier=VerifierSettings(policy=_policy(home.folder, pin, match)))
        try:
            admit(session, parse_reference(image), f"sha256:{GOOD}")
        except (RootNotNamed, RootOfAnotherName, CertificateOfAnotherName) as refusal:
            home.err = str(refusal)
            return NOT_TRUSTED
        return DONE
    if door == "docker":
        call = docker_plugin.read(["trust", "inspect", image])
        assert not isinstance(call, str)
        return _worst(home, home.run(*call.argv, pin=str(pin)))
    home.pin(APP, str(pin))
    return home.run("verify", image)


def _worst(home: Home, status: int) -> int:
    """Docker's inspect says less than `trust` does; what it must not say is the digest."""
    return NOT_TRUSTED if status != DONE or GOOD not in home.out else DONE
