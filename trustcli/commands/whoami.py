"""`trust whoami`: who we are at a trust server, until when, and what we may do with a collection."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from trustcli.client.whoami import Identity, identity_at
from trustcli.commands.support.name_lists import collection_names
from trustcli.console.exit_codes import DONE
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.gun import GUN

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("whoami")
def command(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A collection.")] = None,
) -> int:
    """Show who you are at the trust server, until when, and your rights on a collection."""
    session: Session = ctx.obj
    gun = None if name is None else collection_names([name])[0]
    if gun is None and not session.settings.server:
        raise UsageError("name a collection, or give --server or TRUST_SERVER")
    with contextlib.closing(session.link(gun or GUN(""))) as link:
        place, server = link.origin.netloc, link.name
        stored = session.trust_credentials.credential_for(place) if link.may_carry_secrets else None
        found = identity_at(link, gun, log_in=stored is not None)
        if found.authenticated is None and stored is None:
            none = f"no login is stored for {place}" if link.may_carry_secrets else "no login goes over plain http"
            session.output.notice(none)
    _print(session, found, server, gun)
    if gun is None and not all(held.allowed for held in found.rights.values()):
        session.output.notice("these are the rights on every name; those on a collection: trust whoami NAME")
    rights = {right: {"allowed": held.allowed, "why": held.why} for right, held in found.rights.items()}
    session.output.document(
        {
            "server": server,
            "subject": found.subject,
            "authenticated": found.authenticated,
            "expires": found.expires,
            "name": gun,
            "rights": rights,
            "exit": DONE,
        }
    )
    return DONE


def _print(session: Session, found: Identity, server: str, gun: GUN | None) -> None:
    until = f" until {found.expires}" if found.expires else ""
    session.output.result(f"{found.subject} at {server}{until}, on {gun or 'every name'}:")
    width = max(map(len, found.rights), default=0)
    for right, held in found.rights.items():
        word = "allowed" if held.allowed else "refused"
        session.output.result(f"{right:{width}}  {word}  {held.why}")
