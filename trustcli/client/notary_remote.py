"""A Notary v1 server over HTTP, ours or another: `ports.MetadataRemote` and `PublishRemote` on its API.

Its answers are the server's word: they decide what is said to the user and what is tried next, never what is trusted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from trustcli.client.ports import CollectionState, PublishReceipt, Tombstone
from trustcli.client.server_link import ServerLink
from trustcli.http.messages import Response
from trustdata.errors import (
    NoTrustData,
    PublishRefused,
    RemoteMisbehaved,
    RemoteRefused,
    ServerKeyNotUsed,
    TrustError,
    VersionConflict,
)
from trustdata.gun import parse_gun
from trustdata.limits import MAX_NOTARY_TIMESTAMP
from trustdata.roles import ROOT, SNAPSHOT, TIMESTAMP
from trustdata.wire.names import NOTARY_V1

if TYPE_CHECKING:
    from trustdata.gun import GUN
    from trustdata.model import Key
    from trustdata.roles import RoleName

MAX_ANSWER: Final = 64 * 1024
"""Bytes of a key or of an error, at most; Notary's own clients read 1 024 of an error."""
MAX_CHANGES: Final = 4 * 1024 * 1024
_CHANGES: Final = 1000
_MOST_PAGES: Final = 1000
_PULL: Final = "pull"
_PUSH: Final = "pull,push"
_ALL: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """A record of a change feed; the name is whatever the server says."""

    id: str
    gun: str
    deleted: bool


class NotaryRemote:
    """One Notary server. One connection, so not for threads."""

    def __init__(self, link: ServerLink) -> None:
        self._link = link

    @property
    def name(self) -> str:
        return self._link.name

    def close(self) -> None:
        """Close the connection; a later request opens it again."""
        self._link.close()

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        """As promised by `MetadataRemote`."""
        target, scope = _place(gun, f"/tuf/{filename}"), _scope(gun, _PULL)
        return self._link.fetch(target, what=filename, scope=scope, limit=limit, failure=self._failure)

    def publish(self, gun: GUN, files: Mapping[RoleName, bytes]) -> PublishReceipt:
        """As promised by `PublishRemote`, with an owner-held snapshot among the files where there is one.

        Notary tells neither revision nor versions.
        """
        from trustcli.http.multipart import publish_form

        content_type, body = publish_form(files, encode=str)
        headers = {"Content-Type": content_type}
        answer = self._ask("POST", gun, "/tuf/", _PUSH, body=body, headers=headers)
        if answer.ok:
            return PublishReceipt(revision=0, versions={})
        raise self._publish_failure(answer, with_snapshot=SNAPSHOT in files)

    def online_key(self, gun: GUN, role: RoleName) -> Key:
        """As promised by `PublishRemote`. The Go server makes another one each time, until the first publish."""
        return self._key(self._ask("GET", gun, f"/tuf/{role}.key", _PUSH))

    def new_online_key(self, gun: GUN, role: RoleName) -> Key:
        """As promised by `PublishRemote`."""
        return self._key(self._ask("POST", gun, f"/tuf/{role}.key", _ALL, body=b""))

    def collection(self, gun: GUN) -> CollectionState | Tombstone | None:
        """As promised by `PublishRemote`; a Notary server tells no versions, and shows no tombstones."""
        if self.fetch(gun, f"{TIMESTAMP}.json", limit=MAX_NOTARY_TIMESTAMP) is None:
            return None
        return CollectionState(gun=gun, format=NOTARY_V1, revision=0, versions={})

    def delete(self, gun: GUN) -> int:
        """As promised by `PublishRemote`; the revision is unknown, so 0."""
        if self.collection(gun) is None:
            raise NoTrustData(gun=gun)
        answer = self._ask("DELETE", gun, "/tuf/", _ALL)
        if not answer.ok:
            raise self._failure(answer)
        return 0

    def changes(self) -> Iterator[FeedEntry]:
        """The change feed of the whole server, oldest first. Raises: as `fetch`; RemoteMisbehaved."""
        after = "0"
        for _ in range(_MOST_PAGES):
            target = f"/v2/_trust/changefeed?change_id={quote(after)}&records={_CHANGES}"
            answer = self._link.ask("GET", target, scope="registry:catalog:*", limit=MAX_CHANGES)
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
            records = json.loads(answer.body)["records"] or []
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
        actions: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        target, scope = _place(gun, rest), _scope(gun, actions)
        return self._link.ask(method, target, scope=scope, limit=MAX_ANSWER, body=body, headers=headers)

    def _key(self, answer: Response) -> Key:
        if not answer.ok:
            raise self._failure(answer)
        from keys.algorithms import check_accepted  # publishing only: start-up time
        from keys.errors import KeyNotAccepted
        from keys.notary import NotaryKey

        try:
            told = json.loads(answer.body)
            key = NotaryKey.of(str(told["keytype"]), str(told["keyval"]["public"]))
            check_accepted(key)
        except (ValueError, LookupError, TypeError, RecursionError, KeyNotAccepted) as error:
            raise RemoteMisbehaved(remote=self.name, reason="its key cannot be read") from error
        return key

    def _failure(self, answer: Response) -> TrustError:
        from trustcli.client.problem_details import failure

        code, message, _ = _told(answer)
        generic = failure(answer, remote=self.name, tried=self._link.tried)
        if isinstance(generic, RemoteRefused) and code:
            return RemoteRefused(
                remote=self.name, status=answer.status, reason=message or code, server_code=code, server_details={}
            )
        return generic

    def _publish_failure(self, answer: Response, *, with_snapshot: bool) -> TrustError:
        """The refusals of an upload as what they mean to the publisher."""
        code, message, detail = _told(answer)
        if code == "VERSION":
            return VersionConflict(role=ROOT, offered=0, stored=0)
        if code != "INVALID_UPDATE":
            return self._failure(answer)
        name, reason = _invalid_update(detail)
        # With a notary-signer, the Go server hands on that one's error where its own would be ErrBadHierarchy.
        if not with_snapshot and (name == "ErrBadHierarchy" or reason.startswith("rpc error")):
            return ServerKeyNotUsed(
                role=SNAPSHOT,
                reason="its key is the owner's and not in this store: bring it (trust key import), or give the role to "
                "the server (trust key rotate snapshot)",
            )
        return PublishRefused(role=_BAD_ROLES.get(name, "upload"), reason=f"the server says: {reason or message}")


_BAD_ROLES: Final = {"ErrBadRoot": "root", "ErrBadTargets": "targets", "ErrBadSnapshot": "snapshot"}


def _place(gun: GUN, rest: str) -> str:
    return f"/v2/{quote(parse_gun(gun), safe='/:')}/_trust{rest}"


def _scope(gun: GUN, actions: str) -> str:
    return f"repository:{gun}:{actions}"


def _told(answer: Response) -> tuple[str, str, object]:
    """Code, message and detail of the one error in the answer; empty if there is none."""
    try:
        (error,) = json.loads(answer.body)["errors"]
        return str(error["code"]), str(error.get("message", "")), error.get("detail")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "", "", None


def _invalid_update(detail: object) -> tuple[str, str]:
    """Name and message of an INVALID_UPDATE."""
    if not isinstance(detail, dict) or not isinstance(detail.get("Error"), dict):
        return "", ""
    return str(detail.get("Name", "")), str(detail["Error"].get("Msg", ""))
