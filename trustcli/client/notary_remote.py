"""A Notary v1 server over HTTP, ours or another: `ports.MetadataRemote` and `PublishRemote` on Notary's API.

Only the metadata files are signed. Other answers decide what is shown to the user and what is tried next, never what is
trusted. The API is described in docs/reference/notary-api.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from trustcli.client.collection_requests import CATALOG_SCOPE, full_scope, gun_in_path, pull_scope, push_scope
from trustcli.client.ports import CollectionState, DeletedCollection, PublishReceipt
from trustcli.client.server_link import LinkedRemote
from trustcli.errors import (
    RemoteClockJumped,
    RemoteMisbehaved,
    RemoteRefused,
)
from trustcli.http.messages import Response
from trustdata import bounded_json
from trustdata.errors import (
    NoTrustData,
    PublishRefused,
    ServerKeyNotUsed,
    TrustError,
    VersionConflict,
)
from trustdata.limits import MAX_NOTARY_TIMESTAMP
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP
from trustdata.wire.format_names import NOTARY_V1

if TYPE_CHECKING:
    from trustdata.gun import GUN
    from trustdata.model import Key
    from trustdata.roles import RoleName

MAX_ANSWER: Final = 64 * 1024
"""Largest accepted size in bytes of every answer but files and the change feed."""
MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
"""Largest accepted size in bytes of one page of the change feed."""
_PAGE_RECORDS: Final = 1000
_MAX_PAGES: Final = 1000
_BAD_ROLES: Final = {"ErrBadRoot": "root", "ErrBadTargets": "targets", "ErrBadSnapshot": "snapshot"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """One record of a change feed. `gun` is any text that the server sends, not a checked name."""

    id: str
    gun: str
    deleted: bool


class NotaryRemote(LinkedRemote):
    """One Notary server. It uses one connection, so one thread."""

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        """Return the file's bytes, complete and unchanged; None only if the server says that there is no such file.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        target, scope = _target(gun, f"/tuf/{filename}"), pull_scope(gun)
        return self._link.fetch(target, what=filename, scope=scope, limit=limit, failure=self._failure)

    def publish(self, gun: GUN, files: Mapping[RoleName, bytes]) -> PublishReceipt:
        """Store all the files or none; a snapshot is among them if its key is the owner's.

        The receipt has revision 0 and no versions, since Notary's API does not report them. Raises: VersionConflict,
        ServerKeyNotUsed, PublishRefused, RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        from trustcli.http.multipart import publish_form

        content_type, body = publish_form(files, encode=str)  # a part is named by the plain role
        headers = {"Content-Type": content_type}
        answer = self._ask("POST", gun, "/tuf/", push_scope(gun), body=body, headers=headers)
        if answer.ok:
            return PublishReceipt(revision=0, versions={})
        raise self._publish_failure(answer, with_snapshot=SNAPSHOT in files)

    def online_key(self, gun: GUN, role: RoleName) -> Key:
        """Return the public key that the server holds for `snapshot` or `timestamp`.

        The Go server makes another key at each call until the first publish. Raises: RemoteMisbehaved if the answer is
        no key; RemoteUnreachable, RemoteRefused, TooLarge.
        """
        return self._key(self._ask("GET", gun, f"/tuf/{role}.key", push_scope(gun)))

    def new_online_key(self, gun: GUN, role: RoleName) -> Key:
        """Return a new key of the server for the role; the server uses it once a root that names it is published.

        Raises: RemoteMisbehaved if the answer is no key; RemoteUnreachable, RemoteRefused, TooLarge.
        """
        return self._key(self._ask("POST", gun, f"/tuf/{role}.key", full_scope(gun), body=b""))

    def collection(self, gun: GUN) -> CollectionState | DeletedCollection | None:
        """Return the collection's name and format, or None; Notary's API reports neither versions nor tombstones.

        A 404 without Notary's own code is RemoteRefused: the server is not a trust server. Raises: RemoteUnreachable,
        RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        if not self.has(gun):
            if (doubt := self.doubtful_absence) is not None:
                raise doubt
            return None
        return CollectionState(gun=gun, format=NOTARY_V1, revision=0, versions={})

    def has(self, gun: GUN) -> bool:
        """Return whether a collection is there in this format; whose word it is that there is none is not looked at.

        A registry on the same host may answer Notary's paths beside a trust server that has none of them. Raises:
        RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        return self.fetch(gun, f"{TIMESTAMP}.json", limit=MAX_NOTARY_TIMESTAMP) is not None

    def delete(self, gun: GUN) -> int:
        """Delete the collection and return 0, since Notary's API reports no revision.

        Raises: NoTrustData, RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        if self.collection(gun) is None:
            raise NoTrustData(gun=gun)
        answer = self._ask("DELETE", gun, "/tuf/", full_scope(gun))
        if not answer.ok:
            raise self._failure(answer)
        return 0

    def tombstone(self, gun: GUN) -> DeletedCollection | None:
        """Return what our server's own API tells of a deleted collection; Notary's tells nothing, so None elsewhere.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        from trustcli.client.tuf_remote import TufRemote  # after a refusal only: start-up time

        return TufRemote(self._link).tombstone(gun)

    def changes(self) -> Iterator[FeedEntry]:
        """Return the change feed of the whole server, oldest first, page by page.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved (also for a feed without end), TooLarge.
        """
        after = "0"
        for _ in range(_MAX_PAGES):
            target = f"/v2/_trust/changefeed?change_id={quote(after)}&records={_PAGE_RECORDS}"
            answer = self._link.ask("GET", target, scope=CATALOG_SCOPE, limit=MAX_PAGE_BYTES)
            if not answer.ok:
                raise self._failure(answer)
            page = self._page(answer)
            yield from page
            if not page or page[-1].id == after:
                return
            after = page[-1].id
        raise RemoteMisbehaved(remote=self.name, reason="its change feed has no end")

    def _page(self, answer: Response) -> list[FeedEntry]:
        try:
            records = bounded_json.loads(answer.body)["records"] or []
            return [
                FeedEntry(id=str(record["ID"]), gun=str(record["GUN"]), deleted=record["Category"] == "deletion")
                for record in records
            ]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise RemoteMisbehaved(remote=self.name, reason="its change feed cannot be read") from error

    def _ask(
        self,
        method: str,
        gun: GUN,
        rest: str,
        scope: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        return self._link.ask(method, _target(gun, rest), scope=scope, limit=MAX_ANSWER, body=body, headers=headers)

    def _key(self, answer: Response) -> Key:
        if not answer.ok:
            raise self._failure(answer)
        from keys.algorithms import check_accepted  # publishing only: start-up time
        from keys.errors import KeyNotAccepted
        from keys.notary import NotaryKey

        try:
            members = bounded_json.loads(answer.body)
            key = NotaryKey.of(str(members["keytype"]), str(members["keyval"]["public"]))
            check_accepted(key)
        except (ValueError, LookupError, TypeError, RecursionError, KeyNotAccepted) as error:
            raise RemoteMisbehaved(remote=self.name, reason="its key cannot be read") from error
        return key

    def _failure(self, answer: Response) -> TrustError:
        from trustcli.client.problem_details import failure, refusal, refused_reason

        code, message, _ = _error_in(answer)
        generic = failure(answer, remote=self.name, tried=self._link.tried)
        if code == "CLOCK_JUMPED":
            return RemoteClockJumped(remote=self.name, reason=message)
        if code == "TOO_MANY" or (isinstance(generic, RemoteRefused) and code):
            members = {"code": code, **_who_lacks_what(answer)}
            reason = refused_reason(answer, members, said=message or code, tried=self._link.tried)
            return refusal(answer, members, remote=self.name, reason=reason)
        return generic

    def _publish_failure(self, answer: Response, *, with_snapshot: bool) -> TrustError:
        """Return the error for a refused upload: its class lets the publisher try again, ask for a key, or stop."""
        code, message, detail = _error_in(answer)
        if code == "VERSION":
            return VersionConflict(role=ROOT, offered=0, stored=0)  # the answer has neither role nor versions
        if code != "INVALID_UPDATE":
            return self._failure(answer)
        name, reason = _invalid_update(detail)
        # A Go server with a notary-signer returns the signer's "rpc error", a Go server without one ErrBadHierarchy.
        if not with_snapshot and (name == "ErrBadHierarchy" or reason.startswith("rpc error")):
            return ServerKeyNotUsed(
                role=SNAPSHOT,
                reason="its key is the owner's and not in this store: bring it (trust key import), or give the role to "
                "the server (trust key rotate snapshot)",
            )
        return PublishRefused(role=_BAD_ROLES.get(name, "upload"), reason=f"the server says: {reason or message}")


def _target(gun: GUN, rest: str) -> str:
    return f"/v2/{gun_in_path(gun)}/_trust{rest}"


def _error_in(answer: Response) -> tuple[str, str, object]:
    """Return code, message and detail of the one error in the answer; all empty if it holds none."""
    try:
        (error,) = bounded_json.loads(answer.body)["errors"]
        return str(error["code"]), str(error.get("message", "")), error.get("detail")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", "", None


def _who_lacks_what(answer: Response) -> dict[str, object]:
    """Return subject and right of the one error in the answer, which our own servers add; empty if it has none."""
    (error,) = bounded_json.loads(answer.body)["errors"]
    return {name: error[name] for name in ("subject", "right") if name in error}


def _invalid_update(detail: object) -> tuple[str, str]:
    """Return name and message of an INVALID_UPDATE error."""
    if not isinstance(detail, dict) or not isinstance(detail.get("Error"), dict):
        return "", ""
    return str(detail.get("Name", "")), str(detail["Error"].get("Msg", ""))
