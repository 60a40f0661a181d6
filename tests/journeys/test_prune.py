"""`trust prune`: a tag goes only where the registry says in its own words that it has no such manifest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.journeys.hostile import Serve
from tests.support.hostile_server import Request, Wire, reply
from tests.support.images import build_image
from tests.support.programs import RunningProgram, push
from tests.support.stage import Put
from tests.support.trust_program import TrustUser

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

TAGS = ("1.0", "2.0", "3.0")


@pytest.fixture(params=["tuf", "notary"])
def signed(request: pytest.FixtureRequest, owner: TrustUser, gun: str, put: Put) -> str:
    """Three tags are signed, and the registry has one of them; the others are known by another's digest."""
    owner.run("init", gun, "--no-recovery-key", "--format", request.param)
    image = put("1.0")
    owner.run("sign", *(f"{gun}:{tag}@{image.digest}" for tag in TAGS))
    return gun


def test_what_the_registry_no_longer_has(owner: TrustUser, signed: str) -> None:
    owner.run("prune", signed, expect=2).said(f"{signed}:2.0 is signed, and no longer in the registry", "2 tags")
    (plan,) = owner.run("--json", "prune", signed, "--plan").document()["plans"]
    assert [(tag["tag"], tag["after"]) for tag in plan["released"]] == [("2.0", None), ("3.0", None)]
    owner.run("verify", *(f"{signed}:{tag}" for tag in TAGS))
    (row,) = owner.run("--json", "prune", signed, "--yes").document()["collections"]
    assert (row["state"], row["gone"], row["revoked"]) == ("done", ["2.0", "3.0"], ["2.0", "3.0"])
    assert (row["kept"], row["unjudged"]) == (1, [])
    owner.run("verify", f"{signed}:1.0")
    owner.run("verify", f"{signed}:2.0", expect=3)
    (row,) = owner.run("--json", "prune", signed).document()["collections"]
    assert (row["state"], row["gone"]) == ("nothing to do", [])


def test_one_rule_for_several(owner: TrustUser, signed: str, shared_registry: RunningProgram) -> None:
    other = f"{signed}-other"
    owner.run("init", other, "--no-recovery-key")
    push(build_image(owner.folder / "layout"), shared_registry, other.partition("/")[2], "1.0")
    owner.run("sign", f"{other}:1.0")
    failed = owner.run("--json", "prune", signed, f"{signed}-none", "--yes", expect=3).document()
    assert [row["state"] for row in failed["collections"]] == ["not tried", "failed"]
    owner.run("verify", f"{signed}:2.0")
    done = owner.run("--json", "prune", signed, other, "--yes").document()
    assert [row["state"] for row in done["collections"]] == ["done", "nothing to do"]


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NAME_UNKNOWN", 3),
        (404, "", 3),
        (401, "UNAUTHORIZED", 7),
        (403, "DENIED", 7),
        (400, "MANIFEST_UNKNOWN", 7),
        (500, "MANIFEST_UNKNOWN", 6),
        (200, "MANIFEST_UNKNOWN", 0),
        (404, "MANIFEST_UNKNOWN", None),
    ],
)
def test_whatever_else_keeps_the_tag(
    *, owner: TrustUser, serve: Serve, tmp_path: Path, status: int, code: str, expected: int | None
) -> None:
    image = build_image(tmp_path / "layout")
    refusal = json.dumps({"errors": [{"code": code, "message": "x"}]} if code else {}).encode()
    signed: list[str] = []

    def script(request: Request, wire: Wire) -> None:
        if signed and "/manifests/" in request.target:
            wire.send(reply(status, refusal, {"Content-Type": "application/json"}))
        else:
            wire.send(reply(200, image.raw, {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}))

    gun = f"{serve(script).url.partition('://')[2]}/app"
    owner.run("init", gun, "--no-recovery-key")
    owner.run("sign", f"{gun}:1.0")
    signed.append(gun)
    (row,) = owner.run("--json", "prune", gun, "--yes", expect=expected or 0).document()["collections"]
    if expected is None:
        assert (row["state"], row["revoked"]) == ("done", ["1.0"])
    else:
        assert (row["state"], row["gone"], row["revoked"]) == ("nothing to do", [], [])
        assert [each["tag"] for each in row["unjudged"]] == (["1.0"] if expected else [])
        owner.run("verify", f"{gun}:1.0")
