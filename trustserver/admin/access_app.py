"""The command line of `trust-server access`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from trustserver.admin.store_options import Config, Data, Database
from trustserver.settings import GivenSettings

app = typer.Typer(help="Who may do what.", no_args_is_help=True, rich_markup_mode=None)
token_app = typer.Typer(help="API tokens of this server.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(token_app, name="token")
user_app = typer.Typer(help="Passwords that this server keeps.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(user_app, name="user")

Rights = Annotated[
    str, typer.Option("--rights", help="Its own rights, with commas between: pull,push. [what rules allow]")
]
Names = Annotated[
    str, typer.Option("--names", help="On which collections, with commas between: registry.example.com/team/*.")
]
Roles = Annotated[
    str, typer.Option("--roles", help="The only roles that it may change: targets/ci,targets/releases. [all]")
]
Access = Annotated[Path | None, typer.Option("--access", help="The file of access rules.")]


@app.command("check")
def check(file: Annotated[Path, typer.Argument(help="The file of access rules.")]) -> None:
    """Check a file of access rules, as the server does at its start; warn of what looks like a mistake."""
    from trustserver.admin.access import check_rules as run

    run(file)


@app.command("explain")
def explain(  # noqa: PLR0917 - Typer makes options of the parameters
    subject: Annotated[str, typer.Argument(help="Who asks: anonymous, token:ci, user:alice.")],
    name: Annotated[str, typer.Argument(help="The collection.")],
    access: Access = None,
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Show for each right whether somebody has it on a collection, and which rule decides."""
    from trustserver.admin.access import explain as run
    from trustserver.process.kernel_clock import now

    run(subject, name, GivenSettings(access=access, data=data, database=database), os.environ, config, at=now())


@token_app.command("add")
def add_token(  # noqa: PLR0917 - Typer makes options of the parameters
    name: Annotated[str, typer.Argument(help="What rules and records call it: token:NAME.")],
    expires: Annotated[str, typer.Option("--expires", help="For how long it counts: 12h, 90d; or never.")],
    rights: Rights = "",
    names: Names = "",
    roles: Roles = "",
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Make an API token and print it, this once; a running server knows it within two seconds."""
    from trustserver.admin.credentials import GivenRights
    from trustserver.admin.credentials import add_token as run
    from trustserver.process.kernel_clock import now

    given = GivenSettings(data=data, database=database)
    along = GivenRights(rights=rights, names=names, roles=roles)
    run(name, given, os.environ, config, expires=expires, rights=along, at=now())


@token_app.command("list")
def list_tokens(data: Data = None, database: Database = None, config: Config = None) -> None:
    """Every API token with its rights, and until when it counts; no secrets."""
    from trustserver.admin.credentials import list_credentials as run
    from trustserver.process.kernel_clock import now
    from trustserver.storage.access_port import CredentialKind

    run(CredentialKind.TOKEN, GivenSettings(data=data, database=database), os.environ, config, at=now())


@token_app.command("revoke")
def revoke_token(
    name: Annotated[str, typer.Argument(help="The token.")],
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """End an API token; a running server knows it within two seconds."""
    from trustserver.admin.credentials import end_credential as run
    from trustserver.process.kernel_clock import now
    from trustserver.storage.access_port import CredentialKind

    given = GivenSettings(data=data, database=database)
    if not run(CredentialKind.TOKEN, name, given, os.environ, config, at=now()):
        raise typer.Exit(1)


@user_app.command("add")
def add_user(  # noqa: PLR0917 - Typer makes options of the parameters
    name: Annotated[str, typer.Argument(help="What rules and records call them: user:NAME.")],
    password_file: Annotated[
        Path | None,
        typer.Option("--password-file", help="Its first line is the password. [asked for, or standard input]"),
    ] = None,
    rights: Rights = "",
    names: Names = "",
    roles: Roles = "",
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Add a user, or give one another password and, where some are named, other rights; no password is an argument."""
    from trustserver.admin.credentials import GivenRights
    from trustserver.admin.users import add_user as run
    from trustserver.process.kernel_clock import now

    given = GivenSettings(data=data, database=database)
    along = GivenRights(rights=rights, names=names, roles=roles)
    run(name, given, os.environ, config, password_file=password_file, rights=along, at=now())


@user_app.command("import")
def import_users(  # noqa: PLR0917 - Typer makes options of the parameters
    file: Annotated[Path, typer.Argument(help="An htpasswd file with bcrypt hashes.")],
    rights: Rights = "",
    names: Names = "",
    roles: Roles = "",
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Add the users of an htpasswd file, all or none."""
    from trustserver.admin.credentials import GivenRights
    from trustserver.admin.users import import_users as run
    from trustserver.process.kernel_clock import now

    given = GivenSettings(data=data, database=database)
    along = GivenRights(rights=rights, names=names, roles=roles)
    run(file, given, os.environ, config, rights=along, at=now())


@user_app.command("list")
def list_users(data: Data = None, database: Database = None, config: Config = None) -> None:
    """Every user with their rights; no passwords."""
    from trustserver.admin.credentials import list_credentials as run
    from trustserver.process.kernel_clock import now
    from trustserver.storage.access_port import CredentialKind

    run(CredentialKind.USER, GivenSettings(data=data, database=database), os.environ, config, at=now())


@user_app.command("remove")
def remove_user(
    name: Annotated[str, typer.Argument(help="The user.")],
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Remove a user; a running server knows it within two seconds."""
    from trustserver.admin.credentials import end_credential as run
    from trustserver.process.kernel_clock import now
    from trustserver.storage.access_port import CredentialKind

    given = GivenSettings(data=data, database=database)
    if not run(CredentialKind.USER, name, given, os.environ, config, at=now()):
        raise typer.Exit(1)


EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "access check": ("trust-server access check access.toml", "trust-server access check /etc/trust-access.toml"),
    "access token add": (
        "trust-server access token add ci --rights pull,push --names 'registry.example.com/team/*' --expires 90d",
        "trust-server access token add auditor --rights audit --names '*' --expires never",
    ),
    "access token list": (
        "trust-server access token list",
        "trust-server access token list --data /var/lib/trust-server",
    ),
    "access token revoke": (
        "trust-server access token revoke ci",
        "trust-server access token revoke ci --data /var/lib/trust-server",
    ),
    "access user add": (
        "trust-server access user add alice --rights pull,push,init --names 'registry.example.com/team/*'",
        "trust-server access user add alice --password-file /run/secrets/alice",
    ),
    "access user import": (
        "trust-server access user import trust.htpasswd",
        "trust-server access user import trust.htpasswd --rights pull,push --names 'registry.example.com/*'",
    ),
    "access user list": (
        "trust-server access user list",
        "trust-server access user list --data /var/lib/trust-server",
    ),
    "access user remove": (
        "trust-server access user remove alice",
        "trust-server access user remove alice --data /var/lib/trust-server",
    ),
    "access explain": (
        "trust-server access explain token:ci registry.example.com/team/app --access access.toml",
        "trust-server access explain anonymous registry.example.com/team/app --config /etc/trust-server.toml",
    ),
}
