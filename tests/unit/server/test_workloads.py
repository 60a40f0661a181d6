"""Who a CI job or a service account is: what an access file may say of it, and what a token must say."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from joserfc.jwk import ECKey, OctKey

from tests.simulator.token_issuer import p256
from tests.simulator.workload_issuers import (
    AUDIENCE,
    FILE,
    GITHUB,
    GITLAB,
    KEY,
    KID,
    RULES,
    Documents,
    cluster,
    discovery,
    documents,
    github,
    gitlab,
    jwk,
    jwks,
    shown,
)
from tests.support.server_owner import NOW
from trustserver.auth.issuer_keys import FRESH, KEPT, MAX_KEYS, RETRY, IssuerKeys
from trustserver.auth.workload_tokens import LEEWAY, WorkloadVerifier
from trustserver.auth.workloads import Issuer, Platform, Workloads, read_workloads
from trustserver.errors import StartRefused, TokenRefused
from trustserver.process.outgoing import Unfetched


def workloads(text: str = RULES) -> Workloads:
    return read_workloads(tomllib.loads(text), file=FILE)


def verifier(asked: Documents | None = None, text: str = RULES) -> WorkloadVerifier:
    rules = workloads(text)
    asked = asked or documents()
    return WorkloadVerifier(rules, {name: IssuerKeys(issuer, get=asked) for name, issuer in rules.issuers.items()})


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        (github(), "app"),
        (github(environment="release"), "app-release"),  # which asks for all that app asks for, and more
        (github(environment="test"), "app"),
        (github(aud=[AUDIENCE]), "app"),
        (github(jti=None), "app"),
        (gitlab(), "project"),
        (cluster(), "deployer"),
        (cluster(aud=AUDIENCE), "deployer"),
    ],
)
def test_who_is_who(claims: dict[str, Any], name: str) -> None:
    assert verifier().verify(shown(claims), NOW).name == name


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        (github(repository_id="124"), "fit no workload"),
        (github(repository_id=123), "no claim repository_id"),
        (github(repository_id=None), "no claim repository_id"),
        (gitlab() | {"ref_protected": True}, "fit no workload"),
        (gitlab() | {"project_id": "8"}, "fit no workload"),
        (github(project_id="7", repository_id="9"), "fit no workload"),
        (gitlab(repository_id=None) | {"iss": GITHUB}, "no claim repository_id"),
        (cluster(uid=None), "no claim kubernetes.io/serviceaccount/uid"),
        (cluster(uid="0d1f"), "fit no workload"),
        (cluster() | {"kubernetes.io": "prod"}, "no claim kubernetes.io/serviceaccount/uid"),
        (cluster(aud=[AUDIENCE, "https://kubernetes.default.svc"]), "audience"),
        (github(event_name="pull_request_target"), "pull_request_target"),
        (github(aud="https://another.example.com"), "audience"),
        (github(aud=[AUDIENCE, "https://another.example.com"]), "audience"),
        (github(aud=[AUDIENCE, AUDIENCE]), "audience"),
        (github(aud=[]), "aud"),
        (github(aud=None), "claim aud"),
        (github(iss="https://evil.example.com"), "issuer"),
        (github(iss=GITHUB + "/"), "issuer"),
        (github(iss=[GITHUB]), "issuer"),
        (github(iss="kubernetes/serviceaccount", aud=None, exp=None), "issuer"),
        (github(exp=None), "claim exp"),
        (github(iat=None), "claim iat"),
        (github(exp=str(int(NOW.timestamp()) + 300)), "claim exp"),
        (github(exp=int(NOW.timestamp()) - LEEWAY - 1), "expired"),
        (github(nbf=int(NOW.timestamp()) + LEEWAY + 1), "claim nbf is 31 s ahead of the clock"),
        (github(iat=int(NOW.timestamp()) + LEEWAY + 1), "claim iat is 31 s ahead of the clock"),
    ],
)
def test_who_is_nobody(claims: dict[str, Any], said: str) -> None:
    with pytest.raises(TokenRefused, match=said):
        verifier().verify(shown(claims), NOW)


def test_claims_that_are_wrong_cost_no_question_to_an_issuer() -> None:
    asked = documents()
    for claims in (github(exp=1), github(aud="x"), github(iss="x"), github(event_name="pull_request_target")):
        with pytest.raises(TokenRefused):
            verifier(asked).verify(shown(claims), NOW)
    assert asked.asked == []


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: shown(github(), p256()), "signature"),
        (lambda: shown(github(), alg="none"), "algorithm"),
        (lambda: shown(github(), alg="HS256"), "algorithm"),
        (lambda: shown(github(), alg="PS256"), "algorithm"),
        (lambda: shown(github(), ed25519.Ed25519PrivateKey.generate()), "algorithm"),
        (lambda: shown(github(), alg="RS256"), "key and its algorithm"),
        (lambda: shown(github(), kid="another"), "does not have"),
        (lambda: shown(github(), kid=7), "names no key"),
        (lambda: shown(github(), crit=["x"]), "crit"),
        (lambda: b"x" * 40_000, "bytes"),
        (lambda: b"no.token", "not a JSON Web Token"),
    ],
)
def test_forged_tokens(make: Callable[[], bytes], said: str) -> None:
    with pytest.raises(TokenRefused, match=said):
        verifier().verify(make(), NOW)


def test_an_issuer_vouches_for_its_own_jobs_only() -> None:
    asked = documents()
    theirs = p256()
    asked.found[f"{GITLAB}/keys"] = jwks(jwk(theirs, "gitlab's"))
    checked = verifier(asked)
    with pytest.raises(TokenRefused, match="does not have"):
        checked.verify(shown(github(), theirs, kid="gitlab's"), NOW)
    with pytest.raises(TokenRefused, match="does not have"):
        checked.verify(shown(gitlab()), NOW)


def test_which_workload_it_is_must_be_clear() -> None:
    text = RULES + '\n[[workload]]\nname = "app-main"\nissuer = "github"\n'
    text += 'claims = { repository_id = "123", ref = "refs/heads/main" }\n'
    both = github(environment="release", ref="refs/heads/main")
    with pytest.raises(TokenRefused, match="app, app-release, app-main, and none of them asks for most"):
        verifier(text=text).verify(shown(both), NOW)
    assert verifier(text=text).verify(shown(github(ref="refs/heads/main")), NOW).name == "app-main"


def test_what_tells_one_token_from_another() -> None:
    """A token that is shown twice has one id, however its signature is written."""
    first = shown(github(jti=None))
    again = verifier().verify(first, NOW).token_id
    r_s = shown(github(jti=None))  # ECDSA signs anew each time
    assert r_s != first
    assert verifier().verify(r_s, NOW).token_id == again
    assert verifier().verify(shown(github(jti=None, run_id="2")), NOW).token_id != again
    one, two = (verifier().verify(shown(github(jti=each)), NOW).token_id for each in ("1", "2"))
    assert len({again, one, two}) == 3
    assert verifier().verify(shown(github(jti="1", run_id="2")), NOW).token_id == one
    assert verifier().verify(shown(gitlab(jti="1")), NOW).token_id != one


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ('platform = "github"', 'platform = "jenkins"'),
            r"\[\[issuer\]\] 1 needs platform: github, gitlab, kubernetes",
        ),
        ((f'url = "{GITHUB}"', 'url = "http://token.example.com"'), r"\[\[issuer\]\] 1 needs url"),
        ((f'url = "{GITHUB}"', 'url = "https://user:word@token.example.com"'), r"\[\[issuer\]\] 1 needs url"),
        ((f'url = "{GITHUB}"', f'url = "{GITLAB}"'), r"\[\[issuer\]\] 2 has the name or url of an issuer before it"),
        (('name = "gitlab"', 'name = "github"'), r"\[\[issuer\]\] 2 has the name or url of an issuer before it"),
        ((f'audience = "{AUDIENCE}"', ""), r"\[\[issuer\]\] 1 needs audience"),
        ((f'audience = "{AUDIENCE}"', f'audience = ["{AUDIENCE}"]'), r"\[\[issuer\]\] 1 needs audience"),
        (('name = "github"', 'name = "github"\nkeys = "x"'), r"\[\[issuer\]\] 1 has settings that do not exist: keys"),
        (
            ('name = "github"', f'name = "github"\njwks_url = "{GITHUB}/k"\njwks_file = "k"'),
            r"\[\[issuer\]\] 1 has jwks_url and jwks_file",
        ),
        (
            ('issuer = "github"', 'issuer = "git"'),
            r"\[\[workload\]\] 1 names an issuer that does not exist; there are: gi",
        ),
        (('name = "app"', 'name = "a b"'), r"\[\[workload\]\] 1 needs a name of at most"),
        (('name = "app"', ""), r"\[\[workload\]\] 1 needs name, a text"),
        (('name = "app-release"', 'name = "app"'), r"\[\[workload\]\] 2 has the name of a workload before it"),
        (('{ repository_id = "123" }', "{}"), r"\[\[workload\]\] 1 needs claims"),
        (('{ repository_id = "123" }', '{ repository = "octo/app" }'), r"1 needs the claim repository_id: the other"),
        (('{ project_id = "7",', "{"), r"\[\[workload\]\] 3 needs the claim project_id"),
        (
            ('"kubernetes.io/serviceaccount/uid" = "0d1e"', 'a = "b"'),
            r"4 needs the claim kubernetes.io/serviceaccount/uid",
        ),
        (
            ('repository_id = "123" }', "repository_id = 123 }"),
            r"1 compares the claim repository_id with something that",
        ),
        (
            ('repository_id = "123" }', 'repository_id = "" }'),
            r"1 compares the claim repository_id with something that",
        ),
        ((', environment = "release"', ""), r"\[\[workload\]\] 2 asks for the same claims as app"),
    ],
)
def test_files_that_are_wrong(change: tuple[str, str], said: str) -> None:
    text = RULES.replace(*change, 1)
    assert text != RULES
    with pytest.raises(StartRefused, match=said):
        workloads(text)


@pytest.mark.parametrize("text", ["issuer = 7", "[issuer]", "issuer = [7]", "workload = 7", "workload = [[]]"])
def test_tables_that_are_none(text: str) -> None:
    with pytest.raises(StartRefused, match=r"must be written as \[\["):
        workloads(text)


def test_paths_are_those_of_the_file(tmp_path: Path) -> None:
    text = RULES.replace('name = "github"', 'name = "github"\njwks_file = "keys.json"\nca = "/etc/ca.pem"', 1)
    issuer = read_workloads(tomllib.loads(text), file=tmp_path / "access.toml").issuers["github"]
    assert (issuer.jwks_file, issuer.ca) == (tmp_path / "keys.json", Path("/etc/ca.pem"))


# The keys of an issuer.


def keys_of(asked: Documents, **more: Any) -> IssuerKeys:
    usual = {"name": "github", "platform": Platform.GITHUB, "url": GITHUB, "audience": AUDIENCE}
    return IssuerKeys(Issuer(**{**usual, **more}), get=asked)


def test_keys_are_asked_for_once_and_again_when_they_are_old() -> None:
    asked = documents()
    keys = keys_of(asked)
    for seconds in (0, 1, FRESH.total_seconds() - 1):
        keys.find(KID, NOW + timedelta(seconds=seconds))
    assert len(asked.asked) == 2  # the discovery document and the keys
    asked.found[f"{GITHUB}/keys"] = jwks(jwk(p256(), "new"))
    with pytest.raises(TokenRefused, match="does not have"):  # which it has withdrawn
        keys.find(KID, NOW + FRESH)
    assert len(asked.asked) == 4


def test_a_new_key_is_found_and_invented_ones_cause_no_traffic() -> None:
    asked = documents()
    keys = keys_of(asked)
    keys.find(KID, NOW)
    asked.found[f"{GITHUB}/keys"] = jwks(jwk(KEY), jwk(p256(), "new"))
    for number in range(50):
        with pytest.raises(TokenRefused, match="does not have"):
            keys.find(f"invented {number}", NOW + timedelta(seconds=1))
    assert len(asked.asked) == 2
    keys.find("new", NOW + RETRY)
    assert len(asked.asked) == 4


@pytest.mark.parametrize(
    "answer",
    [
        Unfetched("it answers with status 500"),
        b"",
        b"<html>",
        b"[]",
        b'{"keys": []}',
        b'{"keys": 7}',
        jwks(7, {"kty": "RSA"}, {"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "kid": KID}),
        jwks(*[jwk(KEY)] * (MAX_KEYS + 1)),
        jwks(jwk(KEY)) + b" " * 70_000,
    ],
)
def test_keys_are_kept_if_the_issuer_fails(answer: bytes | Unfetched) -> None:
    asked = documents()
    keys = keys_of(asked)
    keys.find(KID, NOW)
    asked.found[f"{GITHUB}/keys"] = answer
    keys.find(KID, NOW + FRESH)
    keys.find(KID, NOW + KEPT - timedelta(seconds=1))
    with pytest.raises(TokenRefused, match="not known"):
        keys.find(KID, NOW + KEPT)
    asked.found[f"{GITHUB}/keys"] = jwks(jwk(KEY))
    keys.find(KID, NOW + KEPT + RETRY)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (discovery(GITLAB), "another issuer"),
        (discovery(GITHUB, "https://evil.example.com/keys"), "another place"),
        (discovery(GITHUB, "http://token.actions.githubusercontent.com/keys"), "another place"),
        (discovery(GITHUB, f"{GITHUB}:444/keys"), "another place"),
        (discovery(GITHUB, "http://169.254.169.254/latest"), "another place"),
        (discovery(GITHUB, "file:///etc/passwd"), "another place"),
        (json.dumps({"issuer": GITHUB}).encode(), "another place"),
        (b"<html>", "not JSON"),
    ],
)
def test_discovery_documents_that_lead_elsewhere(document: bytes, said: str) -> None:
    asked = documents()
    asked.found[f"{GITHUB}/.well-known/openid-configuration"] = document
    with pytest.raises(TokenRefused, match=said):
        keys_of(asked).find(KID, NOW)
    assert len(asked.asked) == 1


@pytest.mark.parametrize(
    "entry",
    [
        jwk(KEY, use="enc"),
        jwk(KEY, None),
        dict(OctKey.import_key(b"secret" * 8).as_dict(private=True), kid=KID),
        dict(ECKey.import_key(KEY).as_dict(private=True), kid=KID),
    ],
    ids=["for encryption", "without an id", "a shared secret", "private"],
)
def test_keys_that_are_passed_over(entry: dict[str, Any]) -> None:
    asked = documents()
    asked.found[f"{GITHUB}/keys"] = jwks(entry, jwk(p256(), "other"))
    with pytest.raises(TokenRefused, match="does not have"):
        keys_of(asked).find(KID, NOW)


def test_keys_that_others_may_put_there_do_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(jwks(jwk(KEY)))
    file.chmod(0o666)
    with pytest.raises(TokenRefused, match="not known: the file with them cannot be used"):
        keys_of(documents(), jwks_file=file).find(KID, NOW)
    assert f"{file}: has mode 666, so it may be changed by others" in vars(caplog.records[0])["reason"]
    file.chmod(0o644)
    keys_of(documents(), jwks_file=file).find(KID, NOW)


def test_keys_from_a_file_and_from_a_place_that_the_operator_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys.json"
    asked = Documents({"https://keys.example.com/set": jwks(jwk(KEY))})
    keys_of(asked, jwks_url="https://keys.example.com/set").find(KID, NOW)
    keys = keys_of(asked, jwks_file=file)
    with pytest.raises(TokenRefused, match="not known: the file with them cannot be used"):
        keys.find(KID, NOW)
    assert f"{file}: cannot be read: No such file" in vars(caplog.records[0])["reason"], "for the operator alone"
    file.write_bytes(jwks(jwk(KEY)))
    keys.find(KID, NOW + RETRY)
    assert asked.asked == ["https://keys.example.com/set"]
