"""`trust audit`: who may sign what, who has signed it, and what is odd: for people, as JSON, or as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from keys.algorithms import key_fingerprint
from trustcli.commands.support import audit_csv, audit_view
from trustcli.commands.support.audit_view import AuditedCollection, KeyKeeping
from trustcli.commands.support.gathering import gathering
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.name_lists import named_collections
from trustcli.commands.support.names import known_names
from trustcli.commands.support.recovery_place import recovery_place, recovery_public
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.errors import UsageError
from trustcli.publish.plan_view import as_time
from trustcli.session import Session
from trustdata.audit import audit
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN
from trustdata.suggestion import did_you_mean

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("audit")
def command(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    all_: Annotated[bool, typer.Option("--all", help="Every collection that is pinned here.")] = False,
    signer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only what this signer may sign and has signed.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="KEYID", help="Only what this key may sign and has signed.")
    ] = None,
    recovery_key: Annotated[
        str | None,
        typer.Option(metavar="FILE|URI", help="Mark this recovery key: its file, which is not decrypted, or its URI."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="One table for spreadsheets, a record in each line.")] = False,
) -> int:
    """List every tag with its signers, every key with what it may sign, and what is odd."""
    session: Session = ctx.obj
    if csv and session.output.as_json:
        raise UsageError("--csv and --json contradict each other")
    if (bool(names) or names_file is not None) == all_:
        raise UsageError("name the collections to audit, or write --all for those that are pinned here")
    guns = known_names(session) if all_ else named_collections(session, names, names_file)
    keeping = KeyKeeping(
        stored={key_fingerprint(info.public): info for info in session.keystore.list()},
        recovery=_recovery_fingerprint(session, recovery_key),
    )
    with gathering(session):
        audited = [_audited(session, gun, keeping, Narrowing(signer=signer, key=key)) for gun in guns]
    _check_found(audited, signer, key)
    if not guns:
        session.output.notice("no collection is known here by a pin, so there is nothing to look at")
    for each in audited:
        if each.failure is not None:
            session.output.failure(each.failure, subject=each.gun)
    status = worst([DONE if each.failure is None else row_for(each.failure).status for each in audited])
    if csv:
        session.output.pieces(audit_csv.lines(audited))
    elif session.output.as_json:
        rows = [audit_view.document(each) for each in audited]
        session.output.document({"at": as_time(session.at), "collections": rows, "exit": status})
    else:
        for line in audit_view.lines(audited):
            session.output.result(line)
    return status


def _check_found(audited: Sequence[AuditedCollection], signer: str | None, key: str | None) -> None:
    """Refuse a signer or key that stands nowhere: an empty answer would read as one without rights.

    Raises: UsageError.
    """
    read = [each for each in audited if each.audit is not None]
    if (signer is None and key is None) or not read or any(each.audit and each.audit.keys for each in read):
        return
    holders = sorted({holder for each in read for holder in each.holders})
    if signer is not None and signer not in holders:
        known = ", ".join(map(shown, holders))
        raise UsageError(f"no collection here has a signer {shown(signer)}{did_you_mean(signer, holders)} ({known})")
    raise UsageError(f"no collection here has such a key: {shown(key or '')}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """Whose rights and signatures are asked for: of a signer, of a key (its id or first digits), or (None) of all."""

    signer: str | None
    key: str | None


def _audited(session: Session, gun: GUN, keeping: KeyKeeping, narrowing: Narrowing) -> AuditedCollection:
    try:
        collection = session.collection(gun)
        found = audit(collection.owner_roles(), collection.wire.lifetimes, at=session.at)
    except TrustError as error:
        return AuditedCollection(gun=gun, failure=error)
    holders = tuple(dict.fromkeys(holder for key in found.keys for holder in key.holders))
    if narrowing.signer is not None or narrowing.key is not None:
        found = found.narrowed(signer=narrowing.signer, keyid=narrowing.key)
    return AuditedCollection(gun=gun, format=collection.wire.name, audit=found, keeping=keeping, holders=holders)


def _recovery_fingerprint(session: Session, named: str | None) -> str | None:
    if named is None:
        return None
    return key_fingerprint(recovery_public(session, recovery_place(named), session.passphrases))
