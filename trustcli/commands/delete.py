"""`trust delete`: delete collections at their trust server, and show what is left of them (docs/adr/0034, 0068).

The pin and the memory of this machine stay: whoever knows the name learns that it was deleted, and of which root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from trustcli.client.ports import CollectionState, DeletedCollection, PublishRemote
from trustcli.client.tuf_remote import TufRemote
from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.many import Done, carry_out
from trustcli.commands.support.name_lists import named_collections, real_names
from trustcli.commands.support.planning import Planning
from trustcli.errors import RemoteMisbehaved, RemoteRefused, RemoteUnreachable, UsageError
from trustcli.publish.plan import Plan
from trustcli.session import Session
from trustdata.errors import NoTrustData, shown
from trustdata.gun import GUN
from trustdata.roles import ROOT, TARGETS
from trustdata.wire.tuf import TUF

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("delete")
def command(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    names_file: NamesFile = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Delete collections at the trust server; clients that know them refuse the names from then on."""
    session: Session = ctx.obj
    guns = real_names(session, named_collections(session, names, names_file))

    def check(planning: Planning, gun: GUN) -> Sequence[Plan]:
        del planning
        _state(session, gun)
        return []

    if not yes:
        for gun in guns:
            session.output.notice(_described(session, gun))
        what = ", ".join(guns)
        if not confirm(session, f"Delete {what} for good?"):
            raise UsageError(f"nothing was deleted; to delete {what} without being asked: --yes")
    return carry_out(session, guns, check=check, do=lambda gun: _delete(session, gun), blank=_blank).report()


def _blank(_: object) -> dict[str, object]:
    return {"tombstone": None}


def _described(session: Session, gun: GUN) -> str:
    """Return what would be deleted, in one line. Raises: as `_state`."""
    state, server = _state(session, gun)
    if isinstance(state, DeletedCollection):
        return f"{gun}: {_epitaph(state)}"
    versions = "".join(f", {role} {state.versions[role]}" for role in (ROOT, TARGETS) if role in state.versions)
    pin = session.pins.load().get(gun)
    return f"{gun} at {server.name}: {state.format}{versions}; pinned here to {pin.pin if pin else 'nothing'}"


def _state(session: Session, gun: GUN) -> tuple[CollectionState | DeletedCollection, TufRemote | PublishRemote]:
    """Return what the server has of the name, and the interface that deletes it.

    Our servers are asked by their own interface in both formats, since Notary's tells of no tombstone.

    Raises: NoTrustData, NoTrustServer, InvalidName, RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge.
    """
    ours = TufRemote(session.link(gun))
    server: TufRemote | PublishRemote = ours
    try:
        state = ours.collection(gun) or ours.tombstone(gun)
    except (RemoteRefused, RemoteMisbehaved):
        collection = session.collection(gun)
        if collection.wire is TUF:
            raise
        server = collection.server
        state = server.collection(gun)
    if state is None:
        raise NoTrustData(gun=gun)
    return state, server


def _delete(session: Session, gun: GUN) -> Done:
    """Delete one collection, unless it is deleted.

    Raises: as `_state`; RemoteMisbehaved if it is still there afterwards.
    """
    state, server = _state(session, gun)
    if isinstance(state, DeletedCollection):
        return Done(changed=False, note=f"{gun}: {_epitaph(state)}: nothing to do", row=_row(state))
    lost: RemoteUnreachable | None = None
    try:
        server.delete(gun)
    except RemoteUnreachable as error:
        lost = error  # it may have been deleted, and only the reply lost
    after = server.collection(gun)
    if isinstance(after, CollectionState):
        if lost is not None:
            raise lost
        raise RemoteMisbehaved(remote=server.name, reason=f"it said that {gun} was deleted, but it is there")
    left = server.tombstone(gun) if isinstance(server, TufRemote) else None
    if left is None:
        return Done(lines=(f"{gun} deleted; this server keeps no tombstone",), row=_blank(None))
    return Done(lines=(f"{gun}: {_epitaph(left)}",), row=_row(left))


def _epitaph(deleted: DeletedCollection) -> str:
    versions = ", ".join(f"{shown(role)} {version}" for role, version in sorted(deleted.versions.items()))
    return (
        f"deleted on {shown(deleted.deleted_at)} by {shown(deleted.subject) or 'unknown'}; "
        f"its root was {shown(deleted.deleted_root)} ({versions})"
    )


def _row(deleted: DeletedCollection) -> dict[str, object]:
    return {
        "tombstone": {
            "deleted_root": deleted.deleted_root,
            "deleted_at": deleted.deleted_at,
            "subject": deleted.subject,
            "versions": {str(role): version for role, version in deleted.versions.items()},
        }
    }
