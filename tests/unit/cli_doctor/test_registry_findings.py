"""What doctor says of registries, and what it does not do to find it out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import make_authority
from tests.support.hostile_server import json_reply, reply
from tests.support.token_registries import REPOSITORY, token
from tests.unit.cli_doctor.situations import (
    BASIC,
    IMAGE,
    World,
    dead_token_server,
    guarded_by,
    registry,
    through_proxy,
    tokens,
    tunnel,
)
from trustcli.doctor.findings import Finding
from trustcli.doctor.registry import check_registry
from trustcli.registry.reference import parse_reference

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, make_authority(tmp_path))
    yield made
    for server in made.started:
        server.stop()


def findings(world: World) -> list[Finding]:
    """What is found about the registry of this world."""
    return list(check_registry(world.session(), parse_reference(f"{world.host}/{REPOSITORY}")))


def of(found: list[Finding], check: str) -> list[Finding]:
    return [finding for finding in found if finding.check == check]


def test_a_host_without_images_is_not_called_a_registry_without_the_repository(world: World) -> None:
    world.registry(lambda _, wire: wire.send(reply(404)))
    found = findings(world)
    (no_registry,) = [finding for finding in found if finding.severity == "wrong"]
    assert no_registry.text.endswith("answers 404 to /v2/: it is no registry, or does not say so")
    assert no_registry.remedy == f"correct the host in {world.host}/{REPOSITORY}"
    assert of(found, "access") == []


def test_a_registry_without_the_repository_is_told_from_one_without_the_tag(world: World) -> None:
    world.registry(registry(only="nothing", tags=reply(404)))
    (access,) = of(findings(world), "access")
    assert (access.severity, access.text) == ("note", f"{world.host} has no repository {REPOSITORY}")
    world.registry(registry(only="nothing", tags=json_reply(200, {"name": REPOSITORY, "tags": None})))
    (access,) = of(findings(world), "access")
    assert (access.severity, access.text) == ("ok", f"{world.host}/{REPOSITORY} can be read")
    world.registry(registry(only="nothing", tags=reply(405)))
    (access,) = of(findings(world), "access")
    assert access.severity == "note"
    assert f"has no such tag in {REPOSITORY}, and answers 405 to a list of its tags" in access.text


def test_a_listed_tag_without_a_manifest_is_named(world: World) -> None:
    """As deleting leaves it in some registries."""
    world.registry(registry(only="nothing", tags=json_reply(200, {"tags": ["1.0"]})))
    (access,) = of(findings(world), "access")
    told = f"{world.host} lists the tag 1.0 in {REPOSITORY}, and has no manifest for it"
    assert (access.severity, access.text) == ("note", told)


def test_a_registry_that_is_busy_is_not_called_no_registry(world: World) -> None:
    world.registry(lambda _, wire: wire.send(json_reply(429, {"errors": [{"message": "pull rate limit"}]})))
    wrong = [finding for finding in findings(world) if finding.severity == "wrong"]
    assert {finding.text for finding in wrong} == {f"{world.started[-1].url} is busy (429): pull rate limit"}
    assert f"correct the host in {world.host}/{REPOSITORY}" not in {finding.remedy for finding in wrong}


def test_where_the_usual_tag_is_not_there_a_listed_one_is_asked_for(world: World) -> None:
    """Its manifest may be elsewhere, where `sign` would fail."""
    elsewhere = reply(307, headers={"Location": f"http://{world.dead()}/x"})
    server = world.registry(registry(only="1.0", image=elsewhere))
    (access,) = of(findings(world), "access")
    assert (access.severity, "Connection refused" in access.text) == ("wrong", True)
    assert [r.target.rpartition("/")[2] for r in server.requests] == ["latest", "list?n=1", "1.0", ""]


@pytest.mark.parametrize("text", ["no tag/at all", "x" * 200, 5, None])
def test_a_listed_tag_that_is_none_is_not_asked_for(world: World, text: object) -> None:
    world.registry(registry(only="1.0", tags=json_reply(200, {"tags": [text]})))
    (access,) = of(findings(world), "access")
    assert access.severity == "ok"


def test_who_is_not_let_in_does_not_knock_again(world: World) -> None:
    """Token servers lock accounts after a few wrong passwords."""
    guarded_by(world, tokens(wants="Basic other"))
    token_server, server = world.started[-2:]
    world.log_in()
    found = findings(world)
    assert len(token_server.requests) == 1
    assert [request.target for request in server.requests] == [f"/v2/{REPOSITORY}/manifests/latest"]
    assert of(found, "scopes") == []
    (access,) = of(found, "access")
    assert access.remedy == f"docker login {world.host}"


def test_without_a_token_nothing_is_said_of_scopes(world: World) -> None:
    dead_token_server(world)
    assert of(findings(world), "scopes") == []


def test_a_token_that_claims_less_than_the_registry_allows_is_no_fault(world: World) -> None:
    """What a token says of itself is not what decides."""
    claims = token({"other/app": ["pull"]})
    tokens_of = world.serve(lambda _, wire: wire.send(json_reply(200, {"token": claims})))
    world.registry(registry(challenge=f'Bearer realm="{tokens_of.url}/t"', wanted=f"Bearer {claims}"))
    (scopes,) = of(findings(world), "scopes")
    assert scopes.severity == "note"
    assert "granted: nothing; the token is for other/app. Missing: pull, push" in scopes.text


def test_the_scope_that_is_reported_is_the_one_that_was_asked_for(world: World) -> None:
    """Some registries name the rights themselves; of the same repository, ours count, as with docker."""
    claims = token({REPOSITORY: ["pull"]})
    tokens_of = world.serve(lambda _, wire: wire.send(json_reply(200, {"token": claims})))
    named = f'Bearer realm="{tokens_of.url}/t",scope="repository:{REPOSITORY}:pull"'
    world.registry(registry(challenge=named, wanted=f"Bearer {claims}"))
    (scopes,) = of(findings(world), "scopes")
    asked = f"asked for repository:{REPOSITORY}:pull,push; granted: pull. Missing: push"
    assert (scopes.severity, scopes.text) == ("note", asked)


def test_plain_http_far_away_says_what_to_allow(world: World) -> None:
    through_proxy(world, then=registry())
    (refused,) = findings(world)
    assert refused.text.startswith(f"{world.host} speaks no https, and is neither on this machine")
    assert refused.remedy == f"give it a certificate; or --insecure-registry {world.host}, without credentials then"


def test_an_answer_without_use_has_the_remedy_of_its_error(world: World) -> None:
    world.registry(registry(image=reply(200, b"x" * 5_000_000)))
    (refused,) = findings(world)
    assert "is larger than 4194304 bytes" in refused.text
    assert "start it" not in str(refused.remedy)
    world.host = world.dead()
    (nobody,) = findings(world)
    assert str(nobody.remedy).startswith("start it, or check the host in")


def test_a_password_is_tried_at_v2_to_tell_a_wrong_one_from_a_right_one_without_the_right(world: World) -> None:
    for opens, said in ((True, "alice ({}) is logged in, but may not read"), (False, "the credentials of alice ({})")):
        given = IMAGE if opens else reply(401)
        world.registry(
            lambda request, wire, given=given: wire.send(  # type: ignore[misc]
                given
                if request.target == "/v2/" and request.headers.get("authorization") == BASIC
                else reply(401, headers={"WWW-Authenticate": "Basic"})
            )
        )
        world.log_in()
        (access,) = of(findings(world), "access")
        assert access.text.startswith(said.format(world.folder / "docker" / "config.json"))


def test_the_end_of_the_certificate_is_read_from_the_connection(world: World) -> None:
    world.registry(registry(), tls=True)
    (certificate,) = of(findings(world), "certificate")
    assert certificate.severity == "ok"
    assert "it is valid until 2090-01-01" in certificate.text
    tunnel(world)
    (certificate,) = of(findings(world), "certificate")
    assert "it is valid until 2090-01-01" in certificate.text, "through a proxy too"


def test_every_place_for_credentials_is_named_and_the_entry_that_was_used(world: World) -> None:
    world.registry(registry(challenge='Basic realm="x"', wanted=BASIC))
    file = world.folder / "run" / "containers" / "auth.json"
    file.parent.mkdir(parents=True)
    key = f"{world.host}/{REPOSITORY.partition('/')[0]}"
    file.write_text(json.dumps({"auths": {key: {"auth": BASIC.removeprefix("Basic ")}}}))
    world.environ |= {"XDG_RUNTIME_DIR": str(world.folder / "run"), "REGISTRY_AUTH_FILE": str(world.folder / "none")}
    (found,) = of(findings(world), "credentials")
    assert (found.severity, found.text) == (
        "ok",
        f"a password of alice ({file}) is stored for {world.host} (entry {key})",
    )
    assert found.place == (
        f"{world.folder}/none (not there), {world.folder}/docker/config.json (not there), {file}, "
        f"{world.folder}/.config/containers/auth.json (not there)"
    )
