"""`trust-server access token`: give out credentials, list and end them. A running server learns of it soon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import typer

from keys.rfc3339 import to_rfc3339
from trustdata.duration import parse_duration
from trustdata.errors import InvalidName, shown
from trustserver.admin.operator import operator
from trustserver.auth.api_tokens import make_token
from trustserver.auth.credential_names import NAME_RULE, is_credential_name
from trustserver.auth.credentials import SECRET_PREFIXES
from trustserver.auth.rules import odd_roles, own_rule
from trustserver.errors import StartRefused
from trustserver.process.printed_secrets import readable_output
from trustserver.settings import GivenSettings, load
from trustserver.storage.access_port import AccessStore, CredentialKind, StoredCredential
from trustserver.storage.opening import existing_access

NEVER: Final = "never"
_MOST: Final = timedelta(days=36_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenRights:
    """The rights that a credential is to bring along, as lists separated by commas."""

    rights: str = ""
    names: str = ""
    roles: str = ""

    def lists(self) -> dict[str, tuple[str, ...]]:
        """Return the lists, checked as those of rules are. Raises: StartRefused."""
        split = {
            name: tuple(filter(None, (text.strip() for text in value.split(","))))
            for name, value in (("rights", self.rights), ("names", self.names), ("roles", self.roles))
        }
        if bool(split["rights"]) != bool(split["names"]):
            raise StartRefused(what="--rights and --names", reason="belong together: which rights, and on which names")
        if split["roles"] and not split["rights"]:
            raise StartRefused(what="--roles", reason="say what the right to push is for: give --rights and --names")
        if split["rights"]:
            own_rule(split["rights"], split["names"], split["roles"], what="--rights, --names and --roles")
        for warning in odd_roles(split["roles"], "--roles"):
            typer.echo(f"warning: {warning}", err=True)
        return split


def add_token(
    name: str,
    given: GivenSettings,
    environ: Mapping[str, str],
    config: Path | None,
    *,
    expires: str,
    rights: GivenRights,
    at: datetime,
) -> None:
    """Make an API token and print it. It is printed this once. Raises: InvalidName, StartRefused, NotStored."""
    name = plain_name(CredentialKind.TOKEN, name)
    until, lists = _until(expires, at), rights.lists()
    with opened(given, environ, config) as store:
        token = make_token(store, name, at=at, expires=until, by=operator(), **lists)
        if token is None:
            reason = "there is or was a token of this name, and records may name it: take another one"
            raise StartRefused(what=f"token {name}", reason=reason)
    typer.echo(token)
    ending = "does not expire" if until is None else f"expires {to_rfc3339(until)}"
    typer.echo(f"token:{name} {ending}; it is shown this once", err=True)
    if file := readable_output(1):
        typer.echo(f"warning: others may read the token in {shown(file, 300)}; run chmod 600 on it", err=True)


def list_credentials(
    kind: CredentialKind, given: GivenSettings, environ: Mapping[str, str], config: Path | None, *, at: datetime
) -> None:
    """Print every token or user, also those that have ended. Raises: StartRefused, NotStored."""
    with opened(given, environ, config) as store:
        for each in store.credentials():
            if each.kind is kind:
                typer.echo(_line(each, at))
        for name in store.unreadable():
            typer.echo(
                f"trust-server: the database's entry of {shown(name)} cannot be read; it does not count", err=True
            )


def end_credential(
    kind: CredentialKind,
    name: str,
    given: GivenSettings,
    environ: Mapping[str, str],
    config: Path | None,
    *,
    at: datetime,
) -> bool:
    """Revoke a token, or remove a user. Return whether there was one. Raises: StartRefused, NotStored."""
    name = name.removeprefix(f"{kind}:")
    with opened(given, environ, config) as store:
        done = store.end(kind, name, at, by=operator())
    if done:
        typer.echo(f"{kind}:{name} counts no more; a running server knows it within two seconds")
    else:
        typer.echo(f"trust-server: there is no {kind} {name!r} that counts", err=True)
        typer.echo(f"  next: trust-server access {kind} list", err=True)
    return done


def plain_name(kind: CredentialKind, text: str) -> str:
    """Return a name, also where it was written as rules and records have it: `user:alice`. Raises: InvalidName."""
    name = text.removeprefix(f"{kind}:")
    check_name(kind, name)
    return name


def check_name(kind: str, name: str) -> None:
    """Check the name of a token or user. Raises: InvalidName."""
    if not is_credential_name(name):
        raise InvalidName(kind=kind, name=name, reason=NAME_RULE)
    if name.startswith(SECRET_PREFIXES):
        raise InvalidName(
            kind=kind, name=name, reason=f"must not begin with {' or '.join(SECRET_PREFIXES)}, as tokens do"
        )


def _until(expires: str, at: datetime) -> datetime | None:
    """Return until when a token counts. Raises: StartRefused."""
    if expires == NEVER:
        return None
    try:
        span = parse_duration(expires)
    except ValueError as error:
        raise StartRefused(what="--expires", reason=f"{error}, or {NEVER}") from error
    if not timedelta(0) < span <= _MOST:
        raise StartRefused(what="--expires", reason=f"must be from 1s to {_MOST.days}d, or {NEVER}")
    return at + span


def brought_along(each: StoredCredential) -> str:
    """Return in words which rights a credential brings along."""
    if not each.rights:
        return "what rules allow"
    roles = f" for {','.join(each.roles)}" if each.roles else ""
    return f"{','.join(each.rights)} on {','.join(each.names)}{roles}"


def _line(each: StoredCredential, at: datetime) -> str:
    ended = f"revoked {to_rfc3339(each.ended)}" if each.ended is not None else ""
    expires = "does not expire" if each.expires is None else f"expires {to_rfc3339(each.expires)}"
    if not ended and not each.is_valid(at):
        expires = f"expired {to_rfc3339(each.expires or at)}"
    when = ended or (expires if each.kind is CredentialKind.TOKEN else "")
    return "  ".join(filter(None, (f"{each.kind}:{each.name}", brought_along(each), when)))


@contextmanager
def opened(given: GivenSettings, environ: Mapping[str, str], config: Path | None) -> Iterator[AccessStore]:
    """Open the credentials that the settings name, and close them at the end. Raises: StartRefused."""
    store = existing_access(load(given, environ, config).settings)
    try:
        yield store
    finally:
        store.close()
