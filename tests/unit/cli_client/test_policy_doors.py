"""What a policy says at the doors of one process: verify, pull, explain, the verifier; older data, exemptions."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.home import Home, without_network
from tests.simulator.owner import Owner
from tests.simulator.repository import APP, RepositorySimulator
from tests.simulator.scene import EVIL, GOOD, Scene, good_collection
from tests.simulator.signed_by import signed_by
from trustcli.config.verifier_settings import AllowedImage, VerifierSettings
from trustcli.console.exit_codes import DONE, NOT_SIGNED, NOT_TRUSTED, POLICY, UNREACHABLE
from trustcli.errors import RemoteUnreachable
from trustcli.hooks.admission import admit
from trustcli.hooks.deciding.once import OnceReader
from trustcli.registry.reference import parse_reference
from trustdata.errors import NotSigned, PolicyMalformed, PolicyRefused
from trustdata.gun import GUN, parse_gun
from trustdata.policy import Rule
from trustdata.wire import WireFormat
from trustdata.wire.formats import FORMATS

VENDOR = parse_gun("vendor.example.com/app")
MIRROR = "mirror.example.net/app"
REASON = 'reason = "trying it out"\nuntil = 2999-01-01\n'


@pytest.fixture(params=FORMATS.values(), ids=list(FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, wire: WireFormat) -> Scene:
    without_network(monkeypatch)
    return good_collection(wire)


@pytest.fixture
def home(tmp_path: Path, scene: Scene) -> Home:
    found = Home(tmp_path / "home", scene.server)
    found.folder.mkdir()
    return found


def policy(home: Home, scene: Scene, body: str = "", more: str = "") -> str:
    file = home.folder / "policy.toml"
    file.write_text(f'[[rule]]\nmatch = "{APP}"\npins = ["{scene.pin}"]\n{body}\n{more}')
    file.chmod(0o600)
    return str(file)


def row(home: Home, *arguments: str) -> tuple[int, Any]:
    status = home.run(*arguments, json=True)
    return status, json.loads(home.out)["images"][0]


# --- older data


def test_older_data_while_the_server_is_away(home: Home, scene: Scene) -> None:
    bounded = policy(home, scene, 'max_staleness = "2h"')
    assert home.run("verify", "--policy", bounded, f"{APP}:1.0") == DONE
    scene.server.down = True
    home.at += timedelta(hours=1)
    assert home.run("verify", "--policy", bounded, f"{APP}:1.0", f"{APP}:9.9") == NOT_SIGNED
    assert home.out == f"{APP}@sha256:{GOOD}\n"
    assert "is judged by trust data of" in home.err
    home.at += timedelta(hours=2)
    assert home.run("verify", "--policy", bounded, f"{APP}:1.0") == UNREACHABLE
    assert "longer ago" not in home.err
    home.at -= timedelta(hours=2)
    assert home.run("verify", "--policy", policy(home, scene), f"{APP}:1.0") == UNREACHABLE
    scene.server.down = False
    assert home.run("verify", "--policy", policy(home, scene), f"{APP}:1.0") == DONE


def test_what_is_refused_is_not_covered_by_older_data(home: Home, scene: Scene) -> None:
    bounded = policy(home, scene, 'max_staleness = "2h"')
    assert home.run("verify", "--policy", bounded, f"{APP}:1.0") == DONE
    home.sites[scene.server.gun] = scene.past  # an older state, well signed
    assert home.run("verify", "--policy", bounded, f"{APP}:1.0") == NOT_TRUSTED


def test_a_machine_that_has_never_asked_has_no_older_data(home: Home, scene: Scene) -> None:
    scene.server.down = True
    assert home.run("verify", "--policy", policy(home, scene, 'max_staleness = "2h"'), f"{APP}:1.0") == UNREACHABLE


# --- exemptions


@pytest.mark.parametrize("mode", ["allow", "audit"])
def test_what_is_not_verified_gets_the_registry_s_digest_and_a_warning(home: Home, scene: Scene, mode: str) -> None:
    exempting = policy(home, scene, f'mode = "{mode}"\n{REASON}')
    home.registry_digest = f"sha256:{EVIL}"
    assert home.run("verify", "--policy", exempting, f"{APP}:9.9") == DONE
    assert home.out == f"{APP}@sha256:{EVIL}\n"
    assert "trying it out" in home.err
    status, found = row(home, "verify", "--policy", exempting, f"{APP}:9.9")
    assert (status, found["mode"], found["digest"]) == (DONE, mode, f"sha256:{EVIL}")
    assert "tags" not in found
    assert ("refusal" in found) == (mode == "audit")


def test_without_the_registry_or_offline_there_is_no_digest_to_print(home: Home, scene: Scene) -> None:
    exempting = policy(home, scene, f'mode = "allow"\n{REASON}')
    assert home.run("verify", "--policy", exempting, f"{APP}:9.9") == UNREACHABLE
    assert home.run("verify", "--policy", exempting, "--offline", f"{APP}:9.9") == POLICY
    assert "name its digest" in home.err
    assert home.run("verify", "--policy", exempting, "--offline", f"{APP}@sha256:{EVIL}") == DONE


def test_the_registry_s_digest_is_judged_too(home: Home, scene: Scene) -> None:
    denied = f'[[rule]]\nmatch = "{APP}"\ndigests = ["sha256:{EVIL}"]\nmode = "deny"'
    exempting = policy(home, scene, f'mode = "allow"\n{REASON}', denied)
    home.registry_digest = f"sha256:{EVIL}"
    assert home.run("verify", "--policy", exempting, f"{APP}:9.9") == POLICY
    home.registry_digest = f"sha256:{GOOD}"
    assert home.run("verify", "--policy", exempting, f"{APP}:9.9") == DONE


def test_explain_tells_the_rule_its_reason_and_its_end(home: Home, scene: Scene) -> None:
    home.registry_digest = f"sha256:{EVIL}"
    watching = policy(home, scene, f'mode = "audit"\n{REASON}')
    assert home.run("explain", "--policy", watching, f"{APP}:9.9") == DONE
    assert f"allowed, and not verified: {APP}@sha256:{EVIL}" in home.out
    assert "until 2999-01-02T00:00:00Z: trying it out" in home.out
    assert "would be refused at the release" in home.out
    assert home.run("explain", "--policy", watching, f"{APP}:1.0") == DONE
    assert f"trusted: {APP}@sha256:{GOOD}" in home.out
    assert "audit, by " in home.out
    allowing = policy(home, scene, f'mode = "allow"\n{REASON}')
    assert home.run("explain", "--policy", allowing, f"{APP}:9.9") == DONE
    assert "allow, by " in home.out
    denying = policy(home, scene, 'mode = "deny"')
    assert home.run("explain", "--policy", denying, f"{APP}:1.0", json=True) == POLICY
    document = json.loads(home.out)["explanation"]
    assert (document["broke_at"], document["policy"]["mode"]) == ("the command line and settings", "deny")


# --- a second collection, an alias, a server


def test_a_second_collection_with_pins_of_its_own(tmp_path: Path, scene: Scene, wire: WireFormat) -> None:
    other = RepositorySimulator(gun=VENDOR, wire=wire)
    pin = Owner(other).initialise()
    Owner(other).sign("1.0", GOOD)
    home = Home(tmp_path / "both", scene.server, other)
    home.folder.mkdir()
    both = policy(home, scene, f'second = {{name = "{VENDOR}", pins = ["{pin}"]}}')
    assert home.run("verify", "--policy", both, f"{APP}:1.0") == DONE
    unpinned = policy(home, scene, f'second = {{name = "{VENDOR}"}}')
    assert (
        Home(home.folder, scene.server, other).run("verify", "--policy", unpinned, f"{APP}:1.0") == DONE
    )  # remembered
    Owner(other).sign("1.0", EVIL)
    assert home.run("explain", "--policy", both, f"{APP}:1.0") == NOT_TRUSTED
    assert f"{VENDOR}:1.0 is signed as sha256:{EVIL}" in home.out


def test_an_alias_runs_under_the_registry_s_name(home: Home, scene: Scene) -> None:
    aliased = policy(home, scene, more=f'[[alias]]\nname = "{MIRROR}"\ntrust = "{APP}"')
    assert home.run("verify", "--policy", aliased, f"{MIRROR}:1.0") == DONE
    assert home.out == f"{MIRROR}@sha256:{GOOD}\n"
    assert set(home.asked) == {APP}
    assert home.run("explain", "--policy", aliased, f"{MIRROR}:1.0") == DONE
    assert f"{APP}, by the policy" in home.out


def test_the_server_of_the_rule(home: Home, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from trustcli.session import Session

    servers: list[str] = []
    link = Session.link

    def watched(session: Session, gun: GUN, server: str = "", observer: Any = None) -> Any:
        servers.append(server)
        return link(session, gun, server, observer)

    monkeypatch.setattr(Session, "link", watched)
    named = policy(home, scene, 'server = "https://trust.example.org"')
    assert home.run("verify", "--policy", named, f"{APP}:1.0", server="https://t", server_source="TRUST_SERVER") == DONE
    assert servers == ["https://trust.example.org"]
    assert home.run("verify", "--policy", named, f"{APP}:1.0", server="https://t", server_source="--server") == DONE
    assert servers[1:] == [""]


# --- containerd's verifier


def test_the_verifier_s_answers(home: Home, scene: Scene) -> None:
    file = Path(
        policy(home, scene, 'signers = ["alice"]', f'[[rule]]\nmatch = "x.example/*"\nmode = "allow"\n{REASON}')
    )
    session = home.session(verifier=VerifierSettings(policy=file))
    good = f"sha256:{GOOD}"
    assert admit(session, parse_reference(f"{APP}:1.0"), good) == f"{APP}:1.0 is signed as {good} by alice"
    assert "trying it out" in admit(session, parse_reference("x.example/pause:1"), good)
    assert "is not verified" in home.stderr.getvalue()
    with pytest.raises(PolicyRefused):
        admit(session, parse_reference("y.example/x:1"), good)
    with pytest.raises(NotSigned):
        admit(session, parse_reference(f"{APP}:9.9"), good)


def test_the_allow_list_counts_while_the_policy_cannot_be_read(home: Home, scene: Scene) -> None:
    file = home.folder / "policy.toml"
    file.write_text("[[rule]]\nmatch = 3\n")
    file.chmod(0o600)
    allow = (AllowedImage(pattern="x.example/pause", digest=None),)
    session = home.session(verifier=VerifierSettings(policy=file, allow=allow))
    assert "[verifier] allow" in admit(session, parse_reference("x.example/pause:1"), f"sha256:{GOOD}")
    with pytest.raises(PolicyMalformed):
        admit(session, parse_reference(f"{APP}:1.0"), f"sha256:{GOOD}")


# --- all tags


def test_all_tags_from_a_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wire: WireFormat) -> None:
    without_network(monkeypatch)
    scene = signed_by(wire)
    home = Home(tmp_path, scene.server)

    def tags(body: str) -> Any:
        from trustcli.client.policy_file import load_policy

        rule: Rule = load_policy(Path(policy(home, scene, body))).rule_for(scene.server.gun, at=home.at)
        found = OnceReader(home.session()).released(scene.server.gun, rule)
        return found.refusal or [target.tag for target in found.targets], found.stale

    assert tags("") == (["big", "index", "signed"], False)
    alone = 'signers = ["alice"]\nreleased = false'
    assert tags(alone) == (["evil", "index", "multi", "signed"], False)
    scene.server.down = True
    assert isinstance(tags("")[0], RemoteUnreachable)
    assert tags('max_staleness = "1h"') == (["big", "index", "signed"], True)
