"""`trust-server access user`: passwords that the server keeps itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import typer

from trustdata.counting import counted
from trustserver.admin.credentials import GivenRights, brought_along, check_name, opened, plain_name
from trustserver.admin.operator import operator
from trustserver.auth.api_tokens import PREFIX
from trustserver.auth.passwords import MAX_PASSWORD, MIN_PASSWORD, hash_password, is_bcrypt, require_bcrypt
from trustserver.errors import StartRefused
from trustserver.guarded_files import read_guarded
from trustserver.settings import GivenSettings
from trustserver.storage.access_port import AccessStore, CredentialKind, StoredCredential

_MAX_FILE: Final = 1024 * 1024


def add_user(
    name: str,
    given: GivenSettings,
    environ: Mapping[str, str],
    config: Path | None,
    *,
    password_file: Path | None,
    rights: GivenRights,
    at: datetime,
) -> None:
    """Add a user, or give a user another password and, if some are named, other rights. The password is asked or read.

    `password_file`: its first line is the password. Raises: InvalidName, StartRefused, NotStored.
    """
    name = plain_name(CredentialKind.USER, name)
    lists = rights.lists()
    with opened(given, environ, config) as store:
        before = _living(store).get(name)
        secret = hash_password(_password(password_file))
        user = _user(name, secret, at, lists)
        if before is not None and not user.rights:
            user = replace(user, rights=before.rights, names=before.names, roles=before.roles)
        store.put([user], by=operator())
    what = "is added" if before is None else f"has another password, and {brought_along(user)}"
    typer.echo(f"user:{name} {what}; a running server knows it within two seconds")


def import_users(
    file: Path,
    given: GivenSettings,
    environ: Mapping[str, str],
    config: Path | None,
    *,
    rights: GivenRights,
    at: datetime,
) -> None:
    """Add the users of an htpasswd file, all or none. Raises: InvalidName, StartRefused (with the line), NotStored."""
    require_bcrypt()
    lists, found = rights.lists(), _htpasswd(file)
    with opened(given, environ, config) as store:
        known = sorted(_living(store).keys() & found.keys())
        if known:
            reason = f"there are users of these names already: {', '.join(known[:10])}; remove them first, or there"
            raise StartRefused(what=str(file), reason=reason)
        store.put([_user(name, secret, at, lists) for name, secret in found.items()], by=operator())
    typer.echo(f"{counted(len(found), 'user')} added; a running server knows them within two seconds")


def _user(name: str, secret: str, at: datetime, lists: Mapping[str, tuple[str, ...]]) -> StoredCredential:
    return StoredCredential(
        kind=CredentialKind.USER,
        name=name,
        secret=secret,
        created=at,
        rights=lists["rights"],
        names=lists["names"],
        roles=lists["roles"],
    )


def _living(store: AccessStore) -> dict[str, StoredCredential]:
    users = (each for each in store.credentials() if each.kind is CredentialKind.USER)
    return {each.name: each for each in users if each.ended is None}


def _htpasswd(file: Path) -> dict[str, str]:
    """Return the hashes of an htpasswd file by user. Raises: InvalidName, StartRefused."""
    text = read_guarded(file, limit=_MAX_FILE)
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, secret = line.strip().partition(":")
        place = f"{file}, line {number}"
        if not is_bcrypt(secret):
            reason = "is no bcrypt hash of at most 2^14 rounds; htpasswd -B makes one, and other hashes are not taken"
            raise StartRefused(what=place, reason=reason)
        if name in found:
            raise StartRefused(what=place, reason="names a user for the second time")
        check_name("user", name)
        found[name] = secret
    if not found:
        raise StartRefused(what=str(file), reason="has no users")
    return found


def _password(file: Path | None) -> bytes:
    """Return a password from a file, a pipe, or a prompt. Raises: StartRefused if it is too short or too long."""
    if file is not None:
        text = read_guarded(file, limit=_MAX_FILE).partition("\n")[0]
    elif sys.stdin.isatty():
        text = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        text = sys.stdin.readline()
    password = text.rstrip("\r\n")
    if not password:
        place = str(file) if file is not None else "standard input"
        raise StartRefused(what="the password", reason=f"is missing: it is the first line of {place}")
    if len(password) < MIN_PASSWORD or len(password.encode()) > MAX_PASSWORD:
        reason = f"must have {MIN_PASSWORD} characters at least, and {MAX_PASSWORD} bytes at most"
        raise StartRefused(what="the password", reason=reason)
    if password.encode().startswith(PREFIX):
        raise StartRefused(what="the password", reason="begins as API tokens do, and would be taken for one")
    return password.encode()
