"""`trust signer`: add, remove and list signers: who sign tags with keys of their own (ADR 0008)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from keys.file_access import key_file_error
from keys.keyid import short_keyid
from keys.pem import MAX_KEY_FILE
from keys.public_pem import read_public_pem
from trustcli.client.collection import Collection
from trustcli.commands.support.names import collection_names
from trustcli.commands.support.owner_decisions import (
    AcceptExpired,
    AcceptUnsigned,
    StartEmpty,
    owner_decisions,
    tell_what_was_unsound,
    warn_of_unvouched,
)
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.publication import check_visible
from trustcli.console.exit_codes import DONE
from trustcli.publish.effects import check_same_releases
from trustcli.publish.publisher import Edit, PublishResult
from trustcli.session import Session
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import OwnerDecisions, OwnerRoles, emptied
from trustdata.editing.repository_editor import Contents, EditTerms
from trustdata.envelope import Envelope
from trustdata.errors import ThresholdNotMet, shown, tag_list
from trustdata.gun import GUN
from trustdata.inspection import inspect
from trustdata.model import Key, Targets
from trustdata.roles import RELEASES, TARGETS, RoleName, signer_role
from trustdata.verification.checks import check_signatures
from trustdata.verification.vouching import listed_digests
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Add, remove and list signers.")

EditForFormat: TypeAlias = Callable[[WireFormat], Edit]
"""A function from a collection's format to an edit of it."""


@app.command("add")
def add(
    ctx: typer.Context,
    signer: Annotated[str, typer.Argument(metavar="SIGNER")],
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    key: Annotated[list[Path], typer.Option(help="The signer's public key (PEM); may be repeated.")],
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be done; nothing is written or sent.")] = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    start_empty: StartEmpty = None,
) -> int:
    """Add a signer, or further keys to one, in each collection."""
    session: Session = ctx.obj
    keys = [_read_key(file, session.at) for file in key]
    role = signer_role(signer)
    guns = collection_names(names)
    decisions = owner_decisions(
        guns=guns, accept_unsigned=accept_unsigned, accept_expired=accept_expired, start_empty=start_empty
    )

    def addition(wire: WireFormat) -> Edit:
        terms = EditTerms.of(wire, at=session.at)
        encoded = [wire.encode_key(k) for k in keys]

        def edit(roles: OwnerRoles) -> Contents:
            known_keyids = repository_editor.signers_of(roles).get(role, ())
            new = [k for k in encoded if k.keyid not in known_keyids]
            if not new:
                return {}
            begun = {r: emptied(file) for r, file in roles.undelegated.items() if r in decisions.start_empty}
            changed = repository_editor.add_signer(roles, signer, new, terms=terms)
            return changed | repository_editor.renew({**roles, **begun}, begun, terms=terms)

        return edit

    if plan_:
        return _plan(session, dict.fromkeys(guns, addition), decisions)
    for gun in guns:
        collection = session.collection(gun)
        outcome = _publish(session, collection, addition(collection.wire), decisions)
        signers, server = _signers_now(session, gun, outcome)
        keyids = {collection.wire.encode_key(k).keyid for k in keys}
        what = f"signer {signer} with key {', '.join(short_keyid(keyid) for keyid in sorted(keyids))} in {gun}"
        check_visible(keyids <= set(signers.get(role, ())), server=server, what=what)
        done = "added to" if outcome.published else "is a signer with these keys already of"
        session.output.result(f"signer {signer} {done} {gun}")
    session.output.document(
        {"signer": signer, "keys": [TUF.encode_key(k).keyid for k in keys], "collections": names, "exit": DONE}
    )
    return DONE


@app.command("remove")
def remove(
    ctx: typer.Context,
    signer: Annotated[str, typer.Argument(metavar="SIGNER")],
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be done; nothing is written or sent.")] = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    start_empty: StartEmpty = None,
) -> int:
    """Remove a signer; `targets/releases` is signed again in the same publish."""
    session: Session = ctx.obj
    guns = collection_names(names)
    decisions = owner_decisions(
        guns=guns, accept_unsigned=accept_unsigned, accept_expired=accept_expired, start_empty=start_empty
    )

    def removal(gun: GUN) -> EditForFormat:
        return lambda wire: _SignerRemoval(gun, signer, EditTerms.of(wire, at=session.at))

    edits = {gun: removal(gun) for gun in guns}
    if plan_:
        return _plan(session, edits, decisions)
    for gun, edit_for in edits.items():
        collection = session.collection(gun)
        edit = edit_for(collection.wire)
        outcome = _publish(session, collection, edit, decisions)
        _warn_of_inherited_tags(session, gun, edit, tense="now it has")
        signers, server = _signers_now(session, gun, outcome)
        check_visible(
            signer_role(signer) not in signers, server=server, what=f"the removal of signer {signer} from {gun}"
        )
        session.output.result(f"signer {signer} removed from {gun}")
    session.output.document({"signer": signer, "collections": names, "exit": DONE})
    return DONE


class _SignerRemoval:
    """An edit that removes a signer from one collection."""

    def __init__(self, gun: GUN, signer: str, terms: EditTerms) -> None:
        self._gun = gun
        self._signer = signer
        self._terms = terms
        self._attempted = False
        self.inherited: Envelope | None = None
        """The releases, if nobody who stays had signed them."""

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return the contents without the signer; none if an earlier attempt removed it.

        Raises: PublishRefused (no such signer).
        """
        if self._attempted and signer_role(self._signer) not in repository_editor.signers_of(roles):
            return {}  # an earlier attempt was stored, and only its reply was lost
        self._attempted = True
        changed = repository_editor.remove_signer(self._gun, roles, self._signer, terms=self._terms)
        self.inherited = _inherited_releases(roles, changed)
        return changed


def _publish(session: Session, collection: Collection, edit: Edit, decisions: OwnerDecisions) -> PublishResult:
    """Publish an edit that changes no tag, and warn of roles that clients refuse."""
    publisher = session.publisher(collection, session.held_keys(), lambda: collection.owner_roles(decisions))
    outcome = publisher.publish(edit, check_same_releases)
    tell_what_was_unsound(session, collection.gun, outcome)
    return outcome


def _inherited_releases(before: OwnerRoles, changed: Contents) -> Envelope | None:
    """Return the stored releases that are signed again if no key that stays has signed them; else None."""
    targets = changed[TARGETS]
    signed_again = RELEASES in before and RELEASES in changed and RELEASES not in before.faults
    if not signed_again or not isinstance(targets, Targets):
        return None
    try:
        check_signatures(targets, TARGETS, before[RELEASES])
    except ThresholdNotMet:
        return before[RELEASES]
    return None


def _warn_of_inherited_tags(session: Session, gun: GUN, edit: Edit, *, tense: str) -> None:
    """Warn if nobody who stays had signed the releases: the repository key vouches for what a removed one said."""
    releases = edit.inherited if isinstance(edit, _SignerRemoval) else None
    if releases is not None:
        tags = tag_list(listed_digests(releases))
        what = f"nobody who stays had signed {RELEASES} version {releases.version}, and {tense} a signature of yours"
        session.output.warn(f"{gun}: {what}; revoke what you do not know: {tags}")


def _plan(session: Session, edits: Mapping[GUN, EditForFormat], decisions: OwnerDecisions) -> int:
    planning = Planning(session)
    plans = []
    for gun, edit_for in edits.items():
        collection = planning.collection(gun)
        edit = edit_for(collection.wire)
        planned = planning.plan(
            collection,
            edit,
            planning.keys.held_keys(),
            decisions=decisions,
            check=check_same_releases,
        )
        plans.append(planned.plan)
        _warn_of_inherited_tags(session, gun, edit, tense="would get")
    return planning.report(plans)


@app.command("list")
def list_(ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME")]) -> int:
    """List the signers of a collection and the ids of their keys."""
    session: Session = ctx.obj
    (gun,) = collection_names([name])
    roles = session.collection(gun).owner_roles()
    warn_of_unvouched(session, gun, roles)
    signers = inspect(roles.sound()).signers
    for signer_keys in signers:
        session.output.result(f"{shown(signer_keys.name)}\t{', '.join(signer_keys.keyids)}")
    rows = [{"name": signer_keys.name, "keys": list(signer_keys.keyids)} for signer_keys in signers]
    session.output.document({"gun": gun, "signers": rows, "exit": DONE})
    return DONE


def _signers_now(session: Session, gun: GUN, outcome: PublishResult) -> tuple[dict[RoleName, tuple[str, ...]], str]:
    """Return the signers and their key ids as a client reads them now, and the name of the server."""
    collection = session.collection(gun)
    roles = collection.verify_published(outcome.uploads).roles()
    return repository_editor.signers_of(roles), collection.server.name


def _read_key(file: Path, at: datetime) -> Key:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise key_file_error(file, error) from error
    return read_public_pem(data, place=str(file), at=at)
