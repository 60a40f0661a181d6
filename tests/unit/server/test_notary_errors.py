"""The table of Notary v1's errors (fact 3), and who is let in (fact 8)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from keys.errors import SigningFailed
from tests.support.notary_site import EMPTY, FORM, GUN_N, NotarySite, refusal
from tests.unit.server.guarded_site import Guarded as GuardedTuf
from tests.unit.server.guarded_site import bearer, challenge
from trustdata.errors import (
    CertificateOfAnotherName,
    CollectionExists,
    InvalidName,
    MalformedMetadata,
    MetadataExpired,
    MetadataMissing,
    NoTrustData,
    NotStored,
    PublishRefused,
    ServerKeyNotUsed,
    ThresholdNotMet,
    TooLarge,
    VersionConflict,
    VersionMismatch,
    WouldBreakRole,
)
from trustserver.api.notary_errors import LONGEST, Access, notary_error, send_notary_error
from trustserver.errors import (
    BadParameters,
    BadRequest,
    DiskFull,
    EncodingRefused,
    Forbidden,
    GoneCollection,
    NoFileName,
    NoSuchRoute,
    NotThere,
    Overloaded,
    RequestTooSlow,
    RevisionMoved,
    Stopping,
    TooMany,
    UnknownRole,
)

AT = datetime(2026, 11, 1, tzinfo=UTC)
UNSIGNED: Mapping[str, Any] = {"version": 2, "delegator": "x", "threshold": 1, "signed": (), "unsigned": ()}


def told(error: Exception, access: tuple[Access, ...] = ()) -> tuple[int, dict[str, Any]]:
    status, body = notary_error(error, access=access)
    assert len(body) <= LONGEST
    assert body.isascii()
    assert body.endswith(b"}\n")
    return status, json.loads(body)["errors"][0]


@pytest.mark.parametrize(
    ("error", "status", "code", "detail"),
    [
        (NoSuchRoute(what="x"), 404, "METADATA_NOT_FOUND", None),
        (NotThere(what="x"), 404, "METADATA_NOT_FOUND", {}),
        (NoTrustData(gun="x"), 404, "METADATA_NOT_FOUND", {}),
        (
            GoneCollection(gun="x", deleted_root="", versions={}, deleted_at="", subject="alice"),
            404,
            "METADATA_NOT_FOUND",
            {},
        ),
        (NoFileName(place="part 1"), 400, "NO_FILENAME", None),
        (UnknownRole(place="x\n"), 400, "INVALID_ROLE", "x\\n"),
        (BadRequest(place="body", reason="x"), 400, "MALFORMED_UPLOAD", None),
        (EncodingRefused(encoding="gzip"), 400, "MALFORMED_UPLOAD", None),
        (RequestTooSlow(seconds=1), 408, "MALFORMED_UPLOAD", None),
        (VersionConflict(role="targets", offered=1, stored=1), 400, "VERSION", {}),
        (BadParameters(place="records", reason="must be"), 400, "INVALID_PARAMETERS", "records: must be"),
        (NotStored(reason="secret"), 503, "UNAVAILABLE", None),
        (DiskFull(), 507, "UNAVAILABLE", None),
        (RevisionMoved(gun="x", base=1), 503, "UNAVAILABLE", None),
        (Stopping(), 503, "UNAVAILABLE", None),
        (Overloaded(what="uploads", seconds=7), 503, "UNAVAILABLE", None),
        (TooMany(what="names", limit=9), 507, "TOO_MANY", None),
        (RuntimeError("secret"), 500, "UNKNOWN", None),
        (SigningFailed(key="secret", reason="secret"), 500, "UNKNOWN", None),
        (
            InvalidName(kind="collection name", name="x", reason="y"),
            400,
            "INVALID_GUN",
            "'x' is no valid collection name: y",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_refusal_has_its_row(error: Exception, status: int, code: str, detail: object) -> None:
    found, entry = told(error)
    assert (found, entry["code"], entry.get("detail")) == (status, code, detail)
    assert ("detail" in entry) == (detail is not None)
    assert "secret" not in json.dumps(entry)


def test_what_is_no_fault_of_the_upload_is_told_in_its_own_words() -> None:
    for error in (RequestTooSlow(seconds=1), Overloaded(what="uploads"), TooMany(what="names", limit=9)):
        assert told(error)[1]["message"] == str(error)


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (Overloaded(what="uploads", seconds=7), b"7"),
        (Stopping(), b"1"),
        (NotStored(reason="secret"), b"1"),
        (DiskFull(), None),
        (TooMany(what="names", limit=9), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_who_is_turned_away_for_now_is_told_when_to_come_again(error: Exception, after: bytes | None) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(send_notary_error(send, error))
    assert dict(sent[0]["headers"]).get(b"retry-after") == after


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (ThresholdNotMet(role="root", **UNSIGNED), "ErrBadRoot"),
        (CertificateOfAnotherName(gun="x", keyid="ab", reason="y"), "ErrBadRoot"),
        (VersionMismatch(role="root", offered=5, expected=3), "ErrBadRoot"),
        (ThresholdNotMet(role="targets/alice", **UNSIGNED), "ErrBadTargets"),
        (MetadataExpired(role="targets", version=1, expires=AT, at=AT), "ErrBadTargets"),
        (MetadataMissing(role="targets/bob", reason="x"), "ErrBadTargets"),
        (WouldBreakRole(role="targets", reason="x"), "ErrBadTargets"),
        (MalformedMetadata(role="snapshot", path="signed", reason="x"), "ErrBadSnapshot"),
        (PublishRefused(role="snapshot", reason="x"), "ErrBadSnapshot"),
        (TooLarge(what="root metadata", limit=1), "ErrBadRoot"),
        (TooLarge(what="targets/alice", limit=1), "ErrBadTargets"),
        (TooLarge(what="upload", limit=1), "ErrValidation"),
        (CollectionExists(role="root", reason="x"), "ErrValidation"),
        (CollectionExists(role="collection", reason="x"), "ErrValidation"),
        (PublishRefused(role="root", reason="is missing"), "ErrValidation"),
        (PublishRefused(role="targets", reason="is missing"), "ErrValidation"),
        (PublishRefused(role="upload", reason="x"), "ErrValidation"),
        (ServerKeyNotUsed(role="timestamp", reason="x"), "ErrBadRoot"),
        (ServerKeyNotUsed(role="snapshot", reason="x"), "ErrBadHierarchy"),
    ],
    ids=str,
)
def test_an_update_that_is_refused_names_what_the_client_prints(error: Exception, name: str) -> None:
    status, entry = told(error)
    assert (status, entry["code"]) == (400, "INVALID_UPDATE")
    assert entry["detail"]["Name"] == name
    assert ("Missing" in entry["detail"]["Error"]) == (name == "ErrBadHierarchy")
    assert entry["detail"]["Error"]["Msg"]


@pytest.mark.parametrize("letter", ["x", "é", "\\", "\U0001f600", '"'])
def test_a_message_is_cut_to_what_fits_however_it_is_escaped(letter: str) -> None:
    error = PublishRefused(role="targets/alice", reason="")
    error.reason = letter * 290
    long = MalformedMetadata(role=letter * 100, path=letter * 100, reason=letter * 290)
    for each in (error, long):
        _, entry = told(each)
        assert letter in entry["detail"]["Error"]["Msg"]


def test_a_list_of_what_a_token_needs_that_does_not_fit_is_left_out() -> None:
    forbidden = Forbidden(action="read", gun="x", authenticated=False, challenge="Bearer")
    listed = tuple(Access(kind="repository", name="é" * 255, action=action) for action in ("push", "pull"))
    status, entry = told(forbidden, listed)
    assert (status, entry) == (401, {"code": "UNAUTHORIZED", "message": "authentication required"})


# --- tokens


class Guarded(GuardedTuf, NotarySite):
    """A site of Notary's that wants tokens."""


@pytest.fixture
def guarded() -> Guarded:
    """One collection."""
    begun = NotarySite()
    begun.begin_notary()
    return Guarded(begun.store)


BASE = f"/v2/{GUN_N}/_trust/tuf/"


@pytest.mark.parametrize(
    ("method", "path", "actions"),
    [
        ("GET", f"{BASE}timestamp.json", ["pull"]),
        ("GET", f"{BASE}1.root.json", ["pull"]),
        ("GET", f"/v2/{GUN_N}/_trust/changefeed?records=1", ["pull"]),
        ("GET", f"{BASE}timestamp.key", ["push", "pull"]),
        ("POST", BASE, ["push", "pull"]),
        ("POST", f"{BASE}snapshot.key", ["*"]),
        ("DELETE", BASE, ["*"]),
    ],
)
def test_what_each_route_needs_is_challenged_and_listed(
    guarded: Guarded, method: str, path: str, actions: list[str]
) -> None:
    body = EMPTY if path == BASE and method == "POST" else None

    def asked(headers: Mapping[str, str]) -> httpx.Response:
        return guarded.request(method, path, content=body, headers={"Content-Type": FORM, **headers})

    answer = asked({})
    assert (answer.status_code, refusal(answer)) == (
        401,
        {
            "code": "UNAUTHORIZED",
            "message": "authentication required",
            "detail": [{"Type": "repository", "Class": "", "Name": GUN_N, "Action": action} for action in actions],
        },
    )
    scope = answer.headers["www-authenticate"]
    assert f'scope="repository:{GUN_N}:' in scope
    assert set(scope.split(f"{GUN_N}:")[1].rstrip('"').split(",")) == set(actions)
    again = asked(bearer("other", name=GUN_N))
    assert again.status_code == 401
    assert again.headers["www-authenticate"].endswith(',error="insufficient_scope"')
    assert asked(bearer(*actions, name=GUN_N)).status_code == 200


@pytest.mark.parametrize("path", ["/v2/", "/v2/_trust/changefeed?records=1"])
def test_the_ping_and_the_whole_feed_are_about_the_catalogue(guarded: Guarded, path: str) -> None:
    answer = guarded.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == challenge("registry:catalog:*")
    listed = [{"Type": "registry", "Class": "", "Name": "catalog", "Action": "*"}]
    assert refusal(answer)["detail"] == listed
    assert guarded.get(path, headers=bearer("*", name="catalog", kind="registry")).status_code == 200


def test_any_token_is_good_for_the_ping_and_not_for_the_feed_of_all(guarded: Guarded) -> None:
    held = bearer("*", name=GUN_N)
    assert guarded.get("/v2/", headers=held).status_code == 200
    assert guarded.get("/v2/_trust/changefeed?records=1", headers=held).status_code == 401


def test_health_and_what_is_nowhere_need_no_token(guarded: Guarded) -> None:
    assert guarded.get("/_notary_server/health").status_code == 200
    assert guarded.get("/v2/x").status_code == 404


def test_nothing_is_read_or_made_for_whoever_may_not(guarded: Guarded) -> None:
    before = guarded.store.load("never/seen")  # type: ignore[arg-type]
    assert guarded.get("/v2/never/seen/_trust/tuf/timestamp.key").status_code == 401
    assert guarded.store.load("never/seen") == before  # type: ignore[arg-type]
    assert guarded.get("/v2/never/seen/_trust/tuf/root.json").status_code == 401, "not 404: it would tell"
