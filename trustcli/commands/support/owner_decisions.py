"""Decisions of an owner about roles that nobody vouches for (ADR 0041): their options, what is said of such roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeAlias

import typer

from trustcli.console.failure_table import row_for
from trustcli.errors import UsageError
from trustcli.publish.publisher import PublishResult
from trustcli.session import Session
from trustdata.digest import is_sha256_hex
from trustdata.editing.owner_roles import OwnerDecisions, OwnerRoles
from trustdata.editing.unseen import Look
from trustdata.errors import TrustError, shown, tag_list
from trustdata.gun import GUN
from trustdata.roles import is_delegated, parse_role
from trustdata.verification.vouching import listed_digests

AcceptUnsigned: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-unsigned",
        metavar="ROLE@sha256:HEX",
        help="Sign the content of exactly this stored file again, although nobody entitled has signed it.",
    ),
]
AcceptExpired: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-expired",
        metavar="ROLE@sha256:HEX",
        help="Sign the content of exactly this stored file again, although it has expired and is not known here.",
    ),
]
StartEmpty: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--start-empty",
        metavar="ROLE",
        help="Begin this delegation without tags, if nobody vouches for what is stored.",
    ),
]


def owner_decisions(
    *,
    guns: Sequence[GUN],
    accept_unsigned: Sequence[str] | None = None,
    accept_expired: Sequence[str] | None = None,
    start_empty: Sequence[str] | None = None,
    look: Look | None = None,
) -> OwnerDecisions:
    """Return the decisions that the options say. `guns`: the collections of the command. None: no such option.

    `look`: how the owner sees what is signed again as it stands. Raises: UsageError, InvalidName.
    """
    if start_empty and len(guns) != 1:
        raise UsageError("--start-empty is for one collection: name one")
    for role in start_empty or ():
        if not is_delegated(parse_role(role)):
            raise UsageError(
                f"--start-empty {role}: only a delegation can begin empty; {role} names the keys of other roles"
            )
    return OwnerDecisions(
        accept_unsigned=frozenset(stored_file(text, "--accept-unsigned") for text in accept_unsigned or ()),
        accept_expired=frozenset(stored_file(text, "--accept-expired") for text in accept_expired or ()),
        start_empty=frozenset(start_empty or ()),
        look=look,
    )


def stored_file(text: str, option: str) -> str:
    """Return the name of exactly one file, `ROLE@sha256:HEX`, as an option says it. Raises: UsageError, InvalidName."""
    role, _, digest = text.rpartition("@sha256:")
    if not role or not is_sha256_hex(digest):
        raise UsageError(f"{option} takes ROLE@sha256:HEX with 64 hex digits in lower case, not {shown(text)}")
    return f"{parse_role(role)}@sha256:{digest}"


def tell_what_was_unsound(
    session: Session, gun: GUN, outcome: PublishResult, *, told: Sequence[TrustError] = ()
) -> None:
    """Warn of each role that clients refused before the publish: signed again with its content, or left as it is.

    `told`: errors that the command reports itself.
    """
    for role, fault in outcome.roles.faults.items():
        if role not in outcome.uploads:
            continue
        begins_empty = role in outcome.roles.emptied
        how = "begins empty; it listed" if begins_empty else "was signed again with the content that it had:"
        tags = tag_list(listed_digests(outcome.roles.stored()[role]))
        session.output.warn(f"{gun}: {shown(role)} did not verify ({fault}), and {how} {tags}")
    warn_of_unvouched(session, gun, outcome.roles.after(outcome.uploads), told=told)


def warn_of_unvouched(session: Session, gun: GUN, roles: OwnerRoles, *, told: Sequence[TrustError] = ()) -> None:
    """Warn of each role that clients refuse and that is left as it is, with the ways out.

    Also of a decision to begin empty that the command has not carried out, because it does not sign the role.
    """
    for role in roles.emptied:
        if role not in roles.faults:
            session.output.warn(f"{gun}: {shown(role)} is left as it is: this command does not sign it")
    for role, fault in roles.faults.items():
        error = roles.unvouched.get(role, fault)
        if error in told:
            continue
        advice = row_for(error).advice(error) if role in roles.unvouched else ""
        session.output.warn(f"{gun}: clients refuse {shown(role)}, which is left as it is: {error}")
        if advice:
            session.output.notice(f"  next: {advice}")
