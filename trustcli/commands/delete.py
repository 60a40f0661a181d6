"""`trust delete`: delete collections at their trust server, and show what is left of them (docs/adr/0034, 0068).

The pin and the memory of this machine stay: whoever knows the name learns that it was deleted, and of which root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from trustcli.client.ports import CollectionState, DeletedCollection, PublishRemote
from trustcli.client.tuf_remote import TufRemote
from trustcli.commands.support.change_options import WithoutAsking
from trustcli.commands.support.confirmation import confirm_or_stop
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.many import carry_out
from trustcli.commands.support.name_lists import named_collections, real_names
from trustcli.commands.support.planning import Planning
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.output import failure_document
from trustcli.errors import RemoteMisbehaved, RemoteRefused, RemoteUnreachable
from trustcli.publish.bulk.work import Done
from trustcli.publish.plan import Plan
from trustcli.session import Session
from trustdata.errors import NoTrustData, TrustError, shown
from trustdata.gun import GUN
from trustdata.roles import ROOT, TARGETS
from trustdata.wire.tuf import TUF

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("delete")
def command(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    names_file: NamesFile = None,
    yes: WithoutAsking = False,
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be deleted; nothing is sent.")] = False,
) -> int:
    """Delete collections at the trust server; clients that know them refuse the names from then on."""
    session: Session = ctx.obj
    guns = real_names(session, named_collections(session, names, names_file))

    if plan_:
        return _plan(session, guns)

    def check(planning: Planning, gun: GUN) -> Sequence[Plan]:
        del planning
        _state(session, gun)
        return []

    if not yes:
        left = []
        for gun in guns:
            state, server = _state(session, gun)
            if not isinstance(state, DeletedCollection):  # else there is nothing to ask
                session.output.notice(_described(session, gun, state, server))
                left.append(gun)
        what = ", ".join(left)
        if left:
            question = f"Delete {what} for good?"
            confirm_or_stop(session, question, yes=False, nothing="nothing was deleted", to=f"delete {what}")
    return carry_out(session, guns, check=check, do=lambda gun: _delete(session, gun), blank=_blank).report()


def _plan(session: Session, guns: Sequence[GUN]) -> int:
    """Say what would be deleted, also after a name that cannot be; return the worst status. Nothing is changed."""
    statuses = [DONE]
    rows: list[dict[str, object]] = []
    for gun in guns:
        row: dict[str, object] = {"gun": gun, "server": None, "format": None, "versions": None, "pin": None}
        error = None
        deleted = _blank(None)
        try:
            state, server = _state(session, gun)
            pin = session.pins.load().get(gun)
            what = _described(session, gun, state, server)
            gone = isinstance(state, DeletedCollection)
            session.output.result(f"{what}: nothing to do" if gone else f"would be deleted: {what}")
        except TrustError as failure:
            statuses.append(session.output.failure(failure, subject=gun))
            error = failure_document(failure)
        else:
            row |= {"server": server.name, "pin": str(pin.pin) if pin else None}
            if isinstance(state, DeletedCollection):
                deleted = _row(state)
            else:
                row |= {"format": state.format, "versions": {str(role): v for role, v in state.versions.items()}}
        rows.append({**row, **deleted, "error": error})
    if len(guns) > 1:
        session.output.result(_sum(rows))
    status = worst(statuses)
    session.output.document({"plans": rows, "feasible": status == DONE, "exit": status})
    return status


def _sum(rows: Sequence[Mapping[str, object]]) -> str:
    """Return one line about several plans, as of every plan."""
    wrong = sum(row["error"] is not None for row in rows)
    gone = sum(row["tombstone"] is not None for row in rows)
    told = f"{len(rows)} plans: {len(rows) - wrong - gone} can be carried out, {wrong} cannot"
    return told + (f", {gone} change nothing" if gone else "")


def _blank(_: object) -> dict[str, object]:
    return {"tombstone": None}


def _described(
    session: Session, gun: GUN, state: CollectionState | DeletedCollection, server: TufRemote | PublishRemote
) -> str:
    """Return what would be deleted, in one line. Raises: SettingsUnusable (`pins.toml` cannot be read)."""
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
