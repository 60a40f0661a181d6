"""A trust server over HTTP, in TUF 1.0: `ports.MetadataRemote` and `PublishRemote` on our own API.

This module knows paths and answers of the API (docs/reference/http.md); `server_link` sends the requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from keys.keyid import short_keyid
from trustcli.client.collection_requests import full_scope, gun_in_path, pull_scope, push_scope
from trustcli.client.ports import CollectionState, DeletedCollection, PublishReceipt
from trustcli.client.server_link import LinkedRemote, page_instead
from trustcli.errors import (
    RemoteMisbehaved,
    RemoteRefused,
)
from trustcli.http.messages import Response
from trustdata import bounded_json
from trustdata.errors import (
    InvalidName,
    NoTrustData,
    TrustError,
)
from trustdata.roles import parse_role

if TYPE_CHECKING:
    from trustdata.gun import GUN
    from trustdata.model import Key
    from trustdata.roles import RoleName

COMPRESSED_FROM = 64 * 1024
"""Ask for gzip if a file may have this many bytes: unpacking then takes less time than the saved bytes on any network.

A file's size limit holds for the compressed bytes and for the unpacked ones.
"""
MAX_API_ANSWER = 1024 * 1024
"""Largest accepted size in bytes of an answer of the publishing API: the versions of some thousand roles."""


class TufRemote(LinkedRemote):
    """One trust server. It uses one connection, so one thread."""

    def fetch(self, gun: GUN, filename: str, *, limit: int) -> bytes | None:
        """Return the file's bytes, complete and unchanged; None only if the server says that there is no such file.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        target = f"/tuf/{gun_in_path(gun)}/metadata/{filename}"
        headers = {"Accept-Encoding": "gzip"} if limit >= COMPRESSED_FROM else {}
        return self._link.fetch(
            target, what=filename, scope=pull_scope(gun), limit=limit, failure=self._failure, headers=headers
        )

    def publish(self, gun: GUN, files: Mapping[RoleName, bytes]) -> PublishReceipt:
        """Store all the files or none: root, targets and delegations only, byte for byte.

        Raises: VersionConflict, WouldBreakRole, ServerKeyNotUsed, CollectionExists, RemoteUnreachable, RemoteRefused,
        RemoteMisbehaved, TooLarge.
        """
        from trustcli.client.problem_details import publish_failure
        from trustcli.http.multipart import publish_form

        content_type, body = publish_form(files)
        answer = self._api("POST", gun, "/publish", scope=push_scope(gun), body=body, content_type=content_type)
        if not answer.ok:
            raise publish_failure(answer, remote=self.name, tried=self._link.tried)
        members = self._object(answer, gun)
        return PublishReceipt(revision=self._number(members, "revision"), versions=self._versions(members))

    def take_over(self, gun: GUN, parts: Mapping[RoleName, bytes]) -> None:
        """Upload a collection of another Notary server; repeating it changes nothing.

        `parts`: the members of the form that `/take-over` expects (docs/reference/http.md). Raises: VersionConflict,
        WouldBreakRole, ServerKeyNotUsed, CollectionExists, RemoteUnreachable, RemoteRefused (also if private keys would
        be sent without https), RemoteMisbehaved, TooLarge.
        """
        from trustcli.client.problem_details import publish_failure
        from trustcli.http.multipart import publish_form

        if any(name.startswith("key.") for name in parts) and not self._link.may_carry_secrets:
            raise RemoteRefused(
                remote=self.name,
                status=0,
                reason="private keys go over https only",
                server_code="",
                server_details={},
            )
        content_type, body = publish_form(parts)
        scope = full_scope(gun)
        answer = self._api("POST", gun, "/take-over", scope=scope, body=body, content_type=content_type)
        if not answer.ok:
            raise publish_failure(answer, remote=self.name, tried=self._link.tried)

    def online_key(self, gun: GUN, role: RoleName) -> Key:
        """Return the public key that the server holds for `snapshot` or `timestamp`.

        The server makes one before the first publish; repeated calls return the same key. Raises: RemoteMisbehaved if
        the answer is no key, or its key id is wrong; RemoteUnreachable, RemoteRefused, TooLarge.
        """
        return self._key(self._api("GET", gun, f"/keys/{quote(role, safe='')}", scope=push_scope(gun)))

    def new_online_key(self, gun: GUN, role: RoleName) -> Key:
        """Return a new key of the server for the role; the server uses it once a root that names it is published.

        Raises: RemoteMisbehaved if the answer is no key, or its key id is wrong; RemoteUnreachable, RemoteRefused,
        TooLarge.
        """
        return self._key(self._api("POST", gun, f"/keys/{quote(role, safe='')}", scope=full_scope(gun), body=b""))

    def collection(self, gun: GUN) -> CollectionState | DeletedCollection | None:
        """Return the server's description of the collection; a tombstone if it was deleted, None if it never was.

        A 404 without our API's own code is RemoteRefused: the server is not a trust server. Raises: RemoteUnreachable,
        RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        answer = self._api("GET", gun, "", scope=pull_scope(gun))
        if answer.ok:
            members = self._object(answer, gun)
            return CollectionState(
                gun=gun,
                format=self._text(members, "format"),
                revision=self._number(members, "revision"),
                versions=self._versions(members),
                server_keys=_texts(members.get("server_keys")),
            )
        if answer.gone and _code(answer) == "collection-deleted":
            return self._tombstone(answer, gun)
        if answer.absent and _code(answer) == NoTrustData.code:
            return None
        raise self._failure(answer)

    def tombstone(self, gun: GUN) -> DeletedCollection | None:
        """Return what is left of a deleted collection, also if its name is free again; None if it never was.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        answer = self._api("GET", gun, "", scope=pull_scope(gun))
        if answer.gone and _code(answer) == "collection-deleted":
            return self._tombstone(answer, gun)
        if answer.absent and _code(answer) == NoTrustData.code and "deleted_root" in self._object(answer, None):
            return self._tombstone(answer, gun)
        return None

    def _tombstone(self, answer: Response, gun: GUN) -> DeletedCollection:
        members = self._object(answer, None)
        return DeletedCollection(
            gun=gun,
            deleted_root=self._text(members, "deleted_root"),
            versions=self._versions(members),
            deleted_at=self._text(members, "deleted_at"),
            subject=self._text(members, "subject"),
        )

    def delete(self, gun: GUN) -> int:
        """Delete the collection, leaving a tombstone, and return the revision after it.

        Raises: NoTrustData, RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
        """
        answer = self._api("DELETE", gun, "", scope=full_scope(gun))
        if answer.ok:
            return self._number(self._object(answer, gun), "revision")
        if (answer.absent or answer.gone) and _code(answer) in {NoTrustData.code, "collection-deleted"}:
            raise NoTrustData(gun=gun)
        raise self._failure(answer)

    def _api(
        self, method: str, gun: GUN, rest: str, *, scope: str, body: bytes | None = None, content_type: str = ""
    ) -> Response:
        target = f"/api/v1/collections/{gun_in_path(gun)}{rest}"
        headers = {"Content-Type": content_type} if content_type else {}
        return self._link.ask(method, target, scope=scope, limit=MAX_API_ANSWER, body=body, headers=headers)

    def _failure(self, answer: Response) -> TrustError:
        from trustcli.client.problem_details import failure

        return failure(answer, remote=self.name, tried=self._link.tried)

    def _key(self, answer: Response) -> Key:
        if not answer.ok:
            raise self._failure(answer)
        from securesystemslib.formats import encode_canonical  # publishing only: start-up time

        from trustdata.model import Key

        members = self._object(answer, None)
        keyid, content = self._text(members, "keyid"), members.get("key")
        try:
            key = Key.from_dict(keyid, dict(content) if isinstance(content, dict) else {})
            own = hashlib.sha256(str(encode_canonical(key.to_dict())).encode()).hexdigest()
        except Exception as error:  # securesystemslib documents no closed list of what a bad key raises
            raise RemoteMisbehaved(remote=self.name, reason="its key cannot be read") from error
        if own != keyid:
            raise RemoteMisbehaved(
                remote=self.name, reason=f"its key has the id {short_keyid(own)}, not {short_keyid(keyid)}"
            )
        return key

    def _object(self, answer: Response, gun: GUN | None) -> dict[str, object]:
        try:
            members = bounded_json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            page = page_instead(answer, what="an answer", remote=self.name)
            raise page or RemoteMisbehaved(
                remote=self.name, reason="its answer is not JSON; is it a trust server?"
            ) from error
        if not isinstance(members, dict):
            raise RemoteMisbehaved(remote=self.name, reason="its answer is not a JSON object")
        if gun is not None and members.get("gun") != gun:
            raise RemoteMisbehaved(remote=self.name, reason=f"it answers about another collection than {gun}")
        return members

    def _text(self, members: Mapping[str, object], name: str) -> str:
        value = members.get(name)
        if not isinstance(value, str):
            raise RemoteMisbehaved(remote=self.name, reason=f"{name} is missing in its answer, or is not text")
        return value

    def _number(self, members: Mapping[str, object], name: str) -> int:
        value = members.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise RemoteMisbehaved(remote=self.name, reason=f"{name} is missing in its answer, or is no number")
        return value

    def _versions(self, members: Mapping[str, object]) -> dict[RoleName, int]:
        versions = members.get("versions")
        if not isinstance(versions, dict):
            raise RemoteMisbehaved(remote=self.name, reason="versions are missing in its answer")
        try:
            return {parse_role(role): self._number(versions, role) for role in versions}
        except InvalidName as error:
            raise RemoteMisbehaved(remote=self.name, reason=str(error)) from error


def _texts(value: object) -> frozenset[str]:
    """Return the texts in a JSON list; empty if there is no list, as from servers before 0.1."""
    return frozenset(item for item in value if isinstance(item, str)) if isinstance(value, list) else frozenset()


def _code(answer: Response) -> str:
    from trustcli.client.problem_details import problem

    code = problem(answer).get("code")
    return code if isinstance(code, str) else ""
