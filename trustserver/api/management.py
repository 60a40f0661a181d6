"""The routes of /api/v1/collections/GUN: publish in TUF 1.0, import, server-held keys, state, deletion."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from trustdata.errors import NoTrustData
from trustdata.gun import GUN
from trustdata.roles import ONLINE, ROOT, RoleName
from trustdata.wire.formats import wire_named
from trustserver.api.actors import actor_of
from trustserver.api.client_address import sender_of
from trustserver.api.gun_path import GUN_KEY
from trustserver.api.permits import permit_for, still_allowed
from trustserver.api.route_context import context_of
from trustserver.api.services import Services
from trustserver.api.take_over import TakeOverParts, sort_parts
from trustserver.api.upload import TufParts
from trustserver.auth.authorizer import Action, Subject, known_name, stored_name
from trustserver.errors import BadRequest, RevisionMoved
from trustserver.repository.formats import SERVED_TUF
from trustserver.repository.online_roles import ATTEMPTS, held_key, refuse_tombstone, released_name
from trustserver.repository.publish import PublishedVersions, current_versions
from trustserver.responses.tuf import PROBLEM_TYPE
from trustserver.storage.ports import KeyRecord, KeyState, MetadataStore, Status, StoredCollection

_log = logging.getLogger(__name__)


class CollectionView(BaseModel):
    """A live collection: its revision, and the newest version of each role."""

    gun: str
    format: str
    revision: int
    versions: dict[str, int]


class StateView(CollectionView):
    """A live collection, and for which online roles this server holds the key that root names.

    These may be fewer than two if the collection was imported without the old server's keys.
    """

    server_keys: list[str]


class KeyView(BaseModel):
    """The public part of a server-held key: its key id and its TUF key object."""

    keyid: str
    key: dict[str, Any]


class DeletedView(BaseModel):
    """A deleted collection. `revision`: the revision of its tombstone."""

    gun: str
    revision: int


class ProblemView(BaseModel):
    """A problem document (RFC 9457). `code` names the error; the error's data are further members."""

    title: str
    status: int
    detail: str
    code: str


_PROBLEM: Final[dict[int | str, dict[str, Any]]] = {
    "default": {"model": ProblemView, "description": "A refusal.", "content": {PROBLEM_TYPE: {}}}
}
_UPLOAD: Final = {
    "requestBody": {
        "required": True,
        "description": "One part `files` for each of root, targets and delegations; its filename is the role, "
        "percent-encoded with no safe characters; its content the metadata file.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            }
        },
    }
}


_TAKE_OVER: Final = {
    "requestBody": {
        **_UPLOAD["requestBody"],
        "description": "One part `files` for each of `1.root` to the newest root, `timestamp`, `snapshot`, `targets` "
        "and every delegation that the snapshot lists (percent-encoded), and `key.timestamp`, `key.snapshot` for "
        "private keys of the old server (PKCS#8, PEM), where they are had.",
    }
}


async def _gun(request: Request, gun: str) -> GUN:
    del gun  # FastAPI needs it for its documentation; GunPaths has put the checked name into the scope
    checked = request.scope.get(GUN_KEY)
    if checked is None:
        raise BadRequest(place="path", reason="names no collection")
    return GUN(checked)


Gun = Annotated[GUN, Depends(_gun)]


router = APIRouter(prefix="/api/v1/collections", responses=_PROBLEM)
_PARTS: Final = TufParts()


async def _allowed(services: Services, request: Request, action: Action, gun: GUN) -> Subject:
    return await services.authorizer.authorize(sender_of(request.scope), action, gun)


@router.post("/{gun}/publish", openapi_extra=_UPLOAD)
async def publish(request: Request, gun: Gun) -> CollectionView:
    """Publish new versions of root, targets and delegations: all of them or none."""
    services = context_of(request).services
    subject = await _allowed(services, request, Action.PUBLISH, gun)
    published = await services.requests.publish(
        request.scope,
        request.receive,
        gun=gun,
        subject=subject,
        served_format=SERVED_TUF,
        parts=_PARTS,
        permit=permit_for(services.authorizer, subject, Action.PUBLISH, gun),
        address=services.address_of(request.scope),
    )
    return _view(published)


@router.post("/{gun}/take-over", openapi_extra=_TAKE_OVER)
async def take_over(request: Request, gun: Gun) -> CollectionView:
    """Take over a collection of another Notary server, verified and unchanged: all of it or nothing."""
    context = context_of(request)
    services = context.services
    subject = await _allowed(services, request, Action.TAKE_OVER, gun)

    def judge(files: Mapping[RoleName, bytes], at: datetime) -> PublishedVersions:
        permit = permit_for(services.authorizer, subject, Action.TAKE_OVER, gun)
        by = actor_of(request.scope, subject)
        return context.collection_import.take_over(
            gun, sort_parts(files), at=at, subject=known_name(subject), permit=permit, by=by
        )

    imported = await services.requests.accept(
        request.scope,
        request.receive,
        gun=gun,
        subject=subject,
        parts=TakeOverParts(),
        judge=judge,
        address=services.address_of(request.scope),
    )
    _log.warning("collection taken over", extra={"gun": gun, "subject": stored_name(subject)})
    return _view(imported)


@router.get("/{gun}/keys/{role}")
async def key(request: Request, gun: Gun, role: str) -> KeyView:
    """Return the server's key for snapshot or timestamp. Before the first publish it is offered for a day."""
    checked, services = _online(role), context_of(request).services
    # Reading is not enough, since a key for a rotation may be made and stored.
    subject = await _allowed(services, request, Action.PUBLISH, gun)
    by, permit = actor_of(request.scope, subject), still_allowed(services.authorizer, subject, Action.PUBLISH, gun)
    record = await asyncio.to_thread(
        services.online.key, gun, checked, services.clock(), wire=SERVED_TUF.wire, permit=permit, by=by
    )
    permit_for(services.authorizer, subject, Action.PUBLISH, gun)((), record.state is KeyState.OFFERED)
    return _key_view(record)


@router.post("/{gun}/keys/{role}")
async def new_key(request: Request, gun: Gun, role: str) -> KeyView:
    """Make a new key to rotate to. It is used as soon as a root that names it is published."""
    checked, services = _online(role), context_of(request).services
    subject = await _allowed(services, request, Action.MANAGE_KEYS, gun)
    by = actor_of(request.scope, subject)
    permit = still_allowed(services.authorizer, subject, Action.MANAGE_KEYS, gun)
    record = await asyncio.to_thread(
        services.online.new_key, gun, checked, services.clock(), wire=SERVED_TUF.wire, permit=permit, by=by
    )
    _log.info("key made", extra={"gun": gun, "subject": stored_name(subject), "role": role, "keyid": record.keyid})
    return _key_view(record)


@router.get("/{gun}")
async def state(request: Request, gun: Gun) -> StateView:
    """Return the collection's format, revision and versions, and for which roles the server holds the key."""
    services = context_of(request).services
    await _allowed(services, request, Action.READ, gun)
    return await asyncio.to_thread(_state, services.store, gun)


@router.delete("/{gun}")
async def delete(request: Request, gun: Gun) -> DeletedView:
    """Delete the collection with all of its files and keys. A tombstone remains."""
    services = context_of(request).services
    subject = await _allowed(services, request, Action.DELETE, gun)
    by, name = actor_of(request.scope, subject), stored_name(subject)
    permit = still_allowed(services.authorizer, subject, Action.DELETE, gun)
    revision = await asyncio.to_thread(
        services.publishing.delete, gun, subject=name, at=services.clock(), permit=permit, by=by
    )
    services.metrics.deletions.inc()
    _log.warning("collection deleted", extra={"gun": gun, "subject": stored_name(subject), "revision": revision})
    return DeletedView(gun=gun, revision=revision)


def _state(store: MetadataStore, gun: GUN) -> StateView:
    """Read the state of a collection, but of its files only root: the others may be large."""
    for _ in range(ATTEMPTS):
        found = store.load(gun, only=(ROOT,))
        refuse_tombstone(found)
        if found.status is Status.RELEASED and found.tombstone is not None:
            raise released_name(gun, found.tombstone)
        if found.status is not Status.LIVE:
            raise NoTrustData(gun=gun)
        versions = current_versions(store, gun)
        standing = store.standing(gun)
        if standing is not None and standing.revision == found.revision:
            return StateView(
                gun=gun,
                format=found.format,
                revision=found.revision,
                versions=versions,
                server_keys=_server_keys(found),
            )
    raise RevisionMoved(gun=gun, base=found.revision)


def _server_keys(found: StoredCollection) -> list[str]:
    wire = wire_named(found.format)
    root = wire.parse(ROOT, found.files[ROOT].raw).root
    return [str(role) for role in ONLINE if held_key(found, root, role, wire) is not None]


def _online(role: str) -> RoleName:
    for name in ONLINE:
        if role == name:
            return name
    raise BadRequest(place="role", reason="the server holds keys for snapshot and timestamp only")


def _view(published: PublishedVersions) -> CollectionView:
    return CollectionView(
        gun=published.gun, format=published.format, revision=published.revision, versions=dict(published.versions)
    )


def _key_view(key: KeyRecord) -> KeyView:
    return KeyView(keyid=key.keyid, key=json.loads(key.public))
