"""`trust policy`: which rule counts and why; the policies of others never become one that allows more."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.simulator.home import Home, without_network
from tests.simulator.keyring import private
from tests.simulator.repository import APP
from tests.simulator.scene import GOOD, good_collection
from tests.support.issuers import Issuer
from trustcli.commands.support.foreign_policy import read_foreign_policy
from trustcli.console.exit_codes import DONE, POLICY
from trustcli.errors import UsageError
from trustdata.errors import PolicyMalformed
from trustdata.policy import read_policy
from trustdata.wire.notary import NOTARY


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    without_network(monkeypatch)
    return Home(tmp_path, good_collection(NOTARY).server)


def written(home: Home, text: str, name: str = "policy.toml") -> str:
    file = home.folder / name
    file.write_text(text)
    file.chmod(0o600)
    return str(file)


RULES = f"""
[[rule]]
match = "{APP}"
signers = ["alice", "bob"]
threshold = 1
pins = ["key:{"b" * 64}"]
server = "https://trust.example.com"
max_staleness = "1d"
max_life = "90d"
second = {{name = "vendor.example.com/app", signers = ["carol"]}}
[[rule]]
match = "{APP}"
tags = ["old-*"]
mode = "audit"
reason = "being replaced"
until = 2999-01-01
[[rule]]
match = "*"
mode = "deny"
[[alias]]
name = "mirror.example.net/app"
trust = "{APP}"
"""


def test_a_policy_without_images(home: Home) -> None:
    file = written(home, RULES)
    assert home.run("policy", "check", file) == DONE
    assert home.out == f"{file}: 3 rules, 1 alias\n"
    assert "only watches" in home.err


def test_which_rule_counts_and_why(home: Home) -> None:
    file = written(home, RULES)
    assert home.run("policy", "check", file, f"{APP}:1.0", "mirror.example.net/app:old-1") == DONE
    for part in (
        "the most specific of 2 that match",
        "1 of alice, bob, released",
        "key:bbb",
        "https://trust.example.com",
        "max_life     90d",
        "vendor.example.com/app: signed by 1 of carol, released",
        f"alias of     {APP}",
        "being replaced",
        "data of at most 1d",
        "refused",
    ):
        assert part in home.out, part


def test_an_image_that_may_not_run(home: Home) -> None:
    file = written(home, RULES)
    assert home.run("policy", "check", file, "x.example/y:1") == POLICY
    assert "the only rule that matches" in home.out
    assert "the rule denies it" in home.err
    assert home.run("policy", "check", written(home, ""), f"{APP}:1.0", "NO NAME", json=True) == POLICY
    rows = json.loads(home.out)["images"]
    assert [row["error"]["code"] for row in rows] == ["policy-refused", "invalid-name"]


def test_where_the_rules_refuse_by_themselves_only_they_can_be_changed(home: Home) -> None:
    two = f'[[rule]]\nmatch = "{APP}"\nserver = "https://a.example"\n[[rule]]\nmatch = "{APP}"\nserver = "https://b.example"'
    for text in ("", '[[rule]]\nmatch = "*"\nmode = "deny"', two):
        assert home.run("policy", "check", written(home, text), f"{APP}:1.0") == POLICY
        assert "next: only a change of the policy lets it run; trust policy check FILE IMAGE" in home.err


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("", "equally specific rules all count"),
        (
            'mode = "allow"\nreason = "r"\nuntil = 2020-01-01',
            "an exemption that has run out, or not begun, hides no rule",
        ),
    ],
)
def test_why_several_rules_count(home: Home, more: str, why: str) -> None:
    second = f'[[rule]]\nmatch = "{APP if not more else "*"}"'
    home.run("policy", "check", written(home, f'[[rule]]\nmatch = "{APP}"\n{more}\n{second}'), f"{APP}:1.0")
    assert f"  why          all of them must hold: {why}\n" in home.out


def test_as_json(home: Home) -> None:
    assert home.run("policy", "check", written(home, RULES), f"{APP}:1.0", f"{APP}:old-1", json=True) == DONE
    plain, watched = json.loads(home.out)["images"]
    assert (plain["mode"], plain["max_staleness"], plain["max_life"]) == ("enforce", 86400, 90 * 86400)
    assert plain["requires"] == [{"signers": ["alice", "bob"], "threshold": 1, "released": True}]
    assert plain["second"][0]["name"] == "vendor.example.com/app"
    assert (watched["mode"], watched["max_staleness"], watched["server"]) == ("audit", None, None)
    assert "being replaced" in watched["exemption"]


def test_a_file_that_is_no_policy(home: Home) -> None:
    with pytest.raises(PolicyMalformed):
        home.run("policy", "check", written(home, "rule = 3"))


# --- the policies of others


def converted(home: Home, form: str, document: Any) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    file = written(home, json.dumps(document), "theirs.json")
    found = read_foreign_policy(Path(file), form)
    return tomllib.loads(found.text).get("rule", []), found.losses


def public_pem(name: str = "root") -> str:
    return private(name).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def connaisseur(*policy: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    roots = [{"name": "default", "key": public_pem() if key is None else key}]
    return {
        "application": {
            "validators": [
                {"name": "allow", "type": "static", "approve": True},
                {"name": "deny", "type": "static", "approve": False},
                {"name": "default", "type": "notaryv1", "host": "notary.example.com", "trustRoots": roots},
                {"name": "cosign", "type": "cosign", "trustRoots": roots},
            ],
            "policy": list(policy),
        }
    }


def test_connaisseur(home: Home) -> None:
    rules, losses = converted(
        home,
        "connaisseur",
        connaisseur(
            {"pattern": "*:*"},
            {"pattern": "registry.example.com/team/*:1.*", "with": {"delegations": ["targets/alice", "bob"]}},
            {"pattern": "k8s.example/*:*", "validator": "allow"},
            {"pattern": "bad.example/x", "validator": "deny"},
            {"pattern": "registry.example.com/cosign/*:*", "validator": "cosign"},
            {"pattern": "registry.example.com/other/*:*", "with": {"trustRoot": "missing"}},
            {"pattern": "registry.example.com/mode/*:*", "with": {"mode": "insecure"}},
            {"pattern": "registry.example.com/upper/*:*", "with": {"delegations": ["NoSigner"]}},
        ),
    )
    root, team, denied, *others = rules
    assert root["match"] == "*"
    assert root["tags"] == ["*"]
    assert root["released"] == "releases"
    assert root["server"] == "https://notary.example.com"
    assert root["pins"][0].startswith("key:")
    assert (team["signers"], team["released"], team["tags"]) == (["alice", "bob"], False, ["1.*"])
    assert (denied["match"], denied["mode"]) == ("bad.example/x", "deny")
    assert [rule["mode"] for rule in others] == ["deny"] * 4
    assert sum("is denied here" in loss for loss in losses) == 4
    assert any(loss.startswith("k8s.example/*:*: accepts anything") for loss in losses)


def test_the_converted_pin_is_that_of_the_root_key(home: Home) -> None:
    theirs = connaisseur({"pattern": f"{APP}:*", "with": {"delegations": ["alice"]}})
    file = written(home, json.dumps(theirs), "theirs.json")
    assert home.run("policy", "convert", "--from", "connaisseur", file) == DONE
    ours = written(home, home.out.replace('server = "https://notary.example.com"\n', ""))
    assert home.run("verify", "--policy", ours, f"{APP}:1.0") == DONE
    assert home.out == f"{APP}@sha256:{GOOD}\n"
    other = connaisseur({"pattern": f"{APP}:*"}, key=public_pem("alice"))
    wrong = read_foreign_policy(Path(written(home, json.dumps(other), "theirs.json")), "connaisseur")
    fresh = Home(home.folder / "fresh", *home.sites.values())
    fresh.folder.mkdir()
    assert fresh.run("verify", "--policy", written(home, wrong.text), f"{APP}:1.0") != DONE


@pytest.mark.parametrize("pattern", ["registry.example.com/te*m:*", "alpine:*", "registry.example.com/x:[ab]", "*/x:1"])
def test_a_pattern_that_is_none_of_ours_stops_the_conversion(home: Home, pattern: str) -> None:
    with pytest.raises(PolicyMalformed) as caught:
        converted(home, "connaisseur", connaisseur({"pattern": "*:*"}, {"pattern": pattern}))
    assert caught.value.path == "policy[1].pattern"
    assert "is no pattern of" in caught.value.reason
    assert "to leave it out could allow more" in caught.value.reason


def test_a_trust_root_that_is_no_key(home: Home) -> None:
    rules, _ = converted(home, "connaisseur", connaisseur({"pattern": "*:*"}, key="-----BEGIN"))
    assert rules == [{"match": "*", "tags": ["*"], "mode": "deny"}]


def image_policy(*repositories: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "ClusterImagePolicy", "spec": {"repositories": list(repositories)}}


def test_portieris(home: Home) -> None:
    trust = {"enabled": True, "trustServer": "https://notary.example.com"}
    rules, losses = converted(
        home,
        "portieris",
        {
            "items": [
                image_policy(
                    {"name": "registry.example.com/team/*", "policy": {"trust": trust}},
                    {"name": "registry.example.com/open/*", "policy": {}},
                    {"name": "*", "policy": {"trust": {"enabled": True, "signerSecrets": [{"name": "alice"}]}}},
                    {"name": "registry.example.com/simple/*", "policy": {"simple": {"requirements": []}}},
                )
            ]
        },
    )
    assert rules == [
        {"match": "registry.example.com/team/*", "server": "https://notary.example.com"},
        {"match": "*", "mode": "deny"},
        {"match": "registry.example.com/simple/*", "mode": "deny"},
    ]
    assert any("registry.example.com/open/*: accepts anything" in loss for loss in losses)
    assert any("signerSecrets" in loss for loss in losses)


def test_a_server_without_scheme_is_one_over_https_and_another_scheme_none(home: Home) -> None:
    def server(url: str) -> Any:
        trust = {"enabled": True, "trustServer": url}
        return converted(home, "portieris", image_policy({"name": "*", "policy": {"trust": trust}}))[0][0]["server"]

    assert server("notary.example.com:4443") == "https://notary.example.com:4443"
    with pytest.raises(PolicyMalformed, match=r"would become a policy that cannot be used, at rule\[0\]\.server: "):
        server("ftp://notary.example.com")


@pytest.mark.parametrize("member", ["trustRoot", "trust_root"])
def test_a_trust_root_of_a_pattern_in_both_spellings(home: Home, member: str) -> None:
    rules, _ = converted(home, "connaisseur", connaisseur({"pattern": "*:*", "with": {member: "default"}}))
    assert "pins" in rules[0]


def test_two_trust_roots_of_a_pattern_that_differ_are_none(home: Home) -> None:
    both = {"trustRoot": "default", "trust_root": "other"}
    rules, losses = converted(home, "connaisseur", connaisseur({"pattern": "*:*", "with": both}))
    assert rules[0]["mode"] == "deny"
    assert "trust root default or other is not one key" in losses[0]


@pytest.mark.parametrize(
    ("form", "document", "said"),
    [
        ("portieris", {"items": []}, "holds no ImagePolicy and no ClusterImagePolicy"),
        ("connaisseur", {"default": []}, "at validators: is missing"),
        ("connaisseur", connaisseur({"pattern": "*:*", "validator": "defualt"}), "; did you mean 'default'?"),
        ("connaisseur", {"validators": [], "policy": [{"pattern": "*"}]}, "'default' is no validator of this file"),
        ("connaisseur", connaisseur({"pattern": "alpine:*"}), "; did you mean docker.io/library/alpine?"),
    ],
)
def test_what_is_wrong_with_theirs_is_told_in_their_words(home: Home, form: str, document: Any, said: str) -> None:
    with pytest.raises(PolicyMalformed) as caught:
        converted(home, form, document)
    assert str(caught.value).endswith(said)


def test_portieris_policies_of_several_scopes_stay_apart(home: Home) -> None:
    with pytest.raises(PolicyMalformed, match="holds 2 image policies"):
        converted(home, "portieris", {"items": [image_policy(), image_policy()]})


def test_containers(home: Home) -> None:
    reject, anything, signed = {"type": "reject"}, {"type": "insecureAcceptAnything"}, {"type": "signedBy"}
    scopes = {
        "": [reject],
        "bad.example": [reject],
        "registry.example.com/team": [reject, signed],
        "registry.example.com/app:1.0": [reject],
        f"registry.example.com/app@sha256:{GOOD}": [reject],
        "*.example.com": [reject],
        "registry.example.com/open": [anything],
        "registry.example.com/signed": [signed],
    }
    rules, losses = converted(
        home, "containers", {"default": [anything], "transports": {"docker": scopes, "docker-daemon": {"": [anything]}}}
    )
    assert [(rule["match"], rule["mode"]) for rule in rules] == [
        ("*", "deny"),
        ("bad.example/*", "deny"),
        ("registry.example.com/team", "deny"),
        ("registry.example.com/team/*", "deny"),
        ("registry.example.com/app", "deny"),
        ("registry.example.com/app", "deny"),
    ]
    assert (rules[4]["tags"], rules[5]["digests"]) == (["1.0"], [f"sha256:{GOOD}"])
    assert len(losses) == 5


@pytest.mark.parametrize(
    ("form", "text", "place"),
    [
        ("containers", "default: []", ""),
        ("containers", "[]", ""),
        ("containers", "{}", "default"),
        ("containers", '{"default": []}', "default"),
        ("containers", '{"default": [{"type": 3}]}', "default.type"),
        ("portieris", "{}", ""),
        ("portieris", '{"kind": "ImagePolicy"}', "spec"),
        ("connaisseur", "{}", "validators"),
        ("connaisseur", '{"validators": [], "policy": [{"pattern": "*"}]}', "policy[0].validator"),
    ],
)
def test_what_is_none_of_their_documents(home: Home, form: str, text: str, place: str) -> None:
    with pytest.raises(PolicyMalformed) as caught:
        read_foreign_policy(Path(written(home, text, "theirs.json")), form)
    assert caught.value.path == place


def test_convert_prints_toml_and_says_what_is_missing(home: Home) -> None:
    file = written(home, '{"default": [{"type": "insecureAcceptAnything"}]}', "theirs.json")
    assert home.run("policy", "convert", "--from", "containers", file) == DONE
    assert read_policy(tomllib.loads(home.out), source="ours").rules == ()
    assert "an exemption needs a reason and an end" in home.err
    assert home.run("policy", "convert", "--from", "containers", file, json=True) == DONE
    with pytest.raises(UsageError, match="unknown"):
        home.run("policy", "convert", "--from", "conaisseur", file)
    with pytest.raises(PolicyMalformed):
        home.run("policy", "convert", "--from", "containers", str(home.folder / "missing"))


# --- what notary's client pins

ID = "5f" * 32
ROOT_CA = Issuer.root("Corp Root")


def notary_settings(home: Home, **pinning: Any) -> dict[str, Any]:
    (home.folder / "corp.pem").write_text(ROOT_CA.pem)
    return {
        "trust_dir": "~/.docker/trust",
        "remote_server": {"url": "https://notary.example.com"},
        "trust_pinning": pinning,
    }


def test_notary(home: Home) -> None:
    settings = notary_settings(
        home,
        certs={"registry.example.com/one": [ID], "registry.example.com/any/*": [ID, ID[::-1]], "docker.io/*": [ID]},
        ca={"registry.example.com/team/": "corp.pem", "vendor.example.com": "corp.pem", "docker.io/library/": "none"},
        disable_tofu=True,
    )
    server = {"server": "https://notary.example.com"}
    rules, losses = converted(home, "notary", settings)
    assert rules == [
        {"match": "registry.example.com/one", "pins": [f"key:{ID}"], **server},
        {"match": "registry.example.com/any/*", "mode": "deny"},
        {"match": "docker.io/*", "pins": [f"key:{ID}"], **server},
        {"match": "registry.example.com/team/*", "pins": ["ca:ca-1"], **server},
        {"match": "vendor.example.com/*", "pins": ["ca:ca-2"], **server},
    ]
    assert [loss.partition(":")[0] for loss in losses[:2]] == ["registry.example.com/any/*", "docker.io/library/"]
    assert [loss.partition(" must ")[0] for loss in losses[2:]] == ["a certificate", "a CA"]
    text = read_foreign_policy(Path(written(home, json.dumps(settings), "theirs.json")), "notary").text
    assert tomllib.loads(text)["ca"] == [{"name": f"ca-{number}", "certificates": ROOT_CA.pem} for number in (1, 2)]
    settings["trust_pinning"].pop("disable_tofu")
    assert any("names without a pin are refused" in loss for loss in converted(home, "notary", settings)[1])


def test_a_beginning_of_notary_that_ends_within_a_word(home: Home) -> None:
    """`team/app` is the beginning of `team/app2`, too, which is refused here, and must not fall under another rule."""
    rules, _ = converted(home, "notary", notary_settings(home, ca={"registry.example.com/team/app": "corp.pem"}))
    assert [rule["match"] for rule in rules] == ["registry.example.com/team/app", "registry.example.com/team/app/*"]
    for wider in ("registry.example.com/team/", "registry.example.com/te", "registry.example.com"):
        ca = {"registry.example.com/team/app": "corp.pem", wider: "corp.pem"}
        with pytest.raises(PolicyMalformed) as caught:
            converted(home, "notary", notary_settings(home, ca=ca))
        assert caught.value.path == "trust_pinning.ca.registry.example.com/team/app"
        assert "is the beginning of other names, too" in caught.value.reason
    deeper = {"registry.example.com/team/": "corp.pem", "registry.example.com/team/app/": "corp.pem"}
    assert len(converted(home, "notary", notary_settings(home, ca=deeper))[0]) == 2


@pytest.mark.parametrize(
    ("pinning", "path", "said"),
    [
        ({"certs": {"registry.example.com/te*": [ID]}}, "certs.registry.example.com/te*", "is no pattern of ours"),
        ({"certs": {"registry.example.com/x": ID}}, "certs.registry.example.com/x", "must be an array"),
        ({"ca": {"alpine": "corp.pem"}}, "ca.alpine", "is no pattern of ours"),
        ({"ca": {"a.example/x": "none.pem"}}, "ca.a.example/x", "none.pem cannot be read: No such file"),
        ({"ca": {"a.example/x": "theirs.json"}}, "ca.a.example/x", "holds CAs that cannot be pinned: the text holds"),
        ({"ca": {"a.example/x": 1}}, "ca.a.example/x", "must be a text"),
    ],
)
def test_what_notary_pins_and_cannot_be_kept_stops_the_conversion(
    home: Home, pinning: dict[str, Any], path: str, said: str
) -> None:
    with pytest.raises(PolicyMalformed) as caught:
        converted(home, "notary", notary_settings(home, **pinning))
    assert caught.value.path == f"trust_pinning.{path}"
    assert said in caught.value.reason


@pytest.mark.parametrize("text", ["abc", "abc\x7f", "abc\x00", 'abc"]'])
def test_an_id_that_is_none_is_not_printed(home: Home, text: str) -> None:
    with pytest.raises(PolicyMalformed, match="would become a policy that cannot be used"):
        converted(home, "notary", notary_settings(home, certs={"registry.example.com/x": [text]}))
