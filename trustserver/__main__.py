"""The command line of `trust-server`.

Exit status: 0 done; 1 `check` found something wrong, or `release` found nothing to release; 2 wrong usage, or an error
that is printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from keys.errors import KeysError, KeySupportMissing
from keys.extras import how_to_install
from trustdata.errors import TrustError
from trustdata.usage_words import command_meant, usage_sentence
from trustserver.admin import access_app, events_app, seal_app
from trustserver.admin.store_options import Config, Data, Database
from trustserver.settings import GivenSettings

app = typer.Typer(
    help="Content trust server: publishes and serves signed trust data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,  # the texts have defaults in square brackets, which Rich takes for markup
)
collections_app = typer.Typer(
    help="What the operator does to collections.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(collections_app, name="collections")
app.add_typer(events_app.app, name="events")
clock_app = typer.Typer(help="The clock that the server signs with.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(clock_app, name="clock")
app.add_typer(access_app.app, name="access")
app.add_typer(seal_app.app, name="seal")

_REFUSED: Final = 2
COMPLETE: Final = "__complete"
"""What the scripts of the shells call, with the words after the program's name."""


def _print_version(requested: bool) -> None:  # noqa: FBT001 - Typer's callback
    if requested:
        typer.echo(f"trust-server {version('content-trust')}")
        raise typer.Exit


@app.callback()
def _global(
    version_: Annotated[  # noqa: FBT002
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    del version_


SealKey = Annotated[
    Path | None,
    typer.Option(
        "--seal-key",
        help="Key-encryption key of the server-held keys. [DATA/seal.key, made at first start: there it protects only "
        "dumps of the database]",
    ),
]


NextSealKey = Annotated[
    Path | None,
    typer.Option(
        "--next-seal-key", help="The seal key that shall replace it: all new keys are sealed with it (seal rotate)."
    ),
]
OnlineKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--online-keys",
        metavar="URI",
        help="Where new server-held keys are made: the wrapping key of a token (pkcs11:), or sealed; others follow, "
        "where older ones live. [sealed]",
    ),
]
Witness = Annotated[
    Path | None,
    typer.Option(
        "--witness",
        help="File that knows what was published, so that a restored database is noticed. [DATA/revisions.witness]",
    ),
]


@app.command()
def serve(  # noqa: PLR0917 - Typer makes options of the parameters
    listen: Annotated[str | None, typer.Option("--listen", help="HOST:PORT, or unix:/FILE. [127.0.0.1:4443]")] = None,
    data: Data = None,
    database: Database = None,
    seal_key: SealKey = None,
    next_seal_key: NextSealKey = None,
    online_keys: OnlineKeys = None,
    platform_secrets: Annotated[
        bool | None, typer.Option("--platform-secrets", help="A platform has mounted --seal-key: others may read it.")
    ] = None,
    witness: Witness = None,
    webhooks: Annotated[
        Path | None, typer.Option("--webhooks", help="TOML file of the programs that are told of changes.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", help="Its private key, PEM.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option("--tls-client-ca", help="Who issues certificates of clients, PEM; none is demanded.")
    ] = None,
    tls_client_crl: Annotated[
        Path | None,
        typer.Option("--tls-client-crl", help="Lists of revoked client certificates, PEM: one of each issuer."),
    ] = None,
    certificate_header: Annotated[
        str | None,
        typer.Option("--certificate-header", help="Where a proxy writes the client certificate."),
    ] = None,
    proxy_secret: Annotated[
        Path | None, typer.Option("--proxy-secret", help="What the proxy sends as X-Trust-Proxy-Secret.")
    ] = None,
    proxy_certificate: Annotated[
        str | None,
        typer.Option("--proxy-certificate", help="Or the subject, or DNS:NAME, of the proxy's own certificate."),
    ] = None,
    self_signed: Annotated[
        bool | None, typer.Option("--self-signed", help="Make a CA and a certificate under DATA/tls/.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Worker processes: 1 until there are replicas.")
    ] = None,
    insecure_open: Annotated[
        bool | None, typer.Option("--insecure-open", help="Listen beyond loopback although everybody may publish.")
    ] = None,
    access: Annotated[
        Path | None, typer.Option("--access", help="File of rules on who may do what: docs/reference/access.md.")
    ] = None,
    auth_token_realm: Annotated[
        str | None, typer.Option("--auth-token-realm", help="URL of the token server that clients are sent to.")
    ] = None,
    auth_token_service: Annotated[
        str | None, typer.Option("--auth-token-service", help="Name of this server in its tokens (aud).")
    ] = None,
    auth_token_issuer: Annotated[
        str | None, typer.Option("--auth-token-issuer", help="Name of the token server in its tokens (iss).")
    ] = None,
    auth_token_cert: Annotated[
        Path | None, typer.Option("--auth-token-cert", help="Certificates of the keys that sign tokens, PEM.")
    ] = None,
    auth_token_jwks: Annotated[
        Path | None, typer.Option("--auth-token-jwks", help="Public keys that sign tokens, a JWK set.")
    ] = None,
    auth_anonymous_pull: Annotated[
        bool | None, typer.Option("--auth-anonymous-pull", help="Everybody may read without a token.")
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-proxy",
            metavar="ADDRESS[/BITS]",
            help="A proxy, or a network of them, whose X-Forwarded-For is believed; may be repeated.",
        ),
    ] = None,
    connections: Annotated[
        int | None, typer.Option("--connections", help="Connections at one time. [1024, or what open files allow]")
    ] = None,
    connections_per_address: Annotated[
        int | None, typer.Option("--connections-per-address", help="Connections of one address. [a quarter of all]")
    ] = None,
    head_seconds: Annotated[
        int | None, typer.Option("--head-seconds", help="Time for TLS handshake and first request. [10]")
    ] = None,
    upload_seconds: Annotated[
        int | None, typer.Option("--upload-seconds", help="Time that an upload may take. [60]")
    ] = None,
    upload_rate: Annotated[
        int | None, typer.Option("--upload-rate", help="Least rate of an upload, bytes per second; 0: none. [16384]")
    ] = None,
    publishes_per_collection: Annotated[
        int | None,
        typer.Option("--publishes-per-collection", help="Publishes of a collection in a minute. [600]"),
    ] = None,
    publishes_per_user: Annotated[
        int | None, typer.Option("--publishes-per-user", help="Publishes by a user in a minute. [3000]")
    ] = None,
    resign_seconds: Annotated[
        int | None,
        typer.Option("--resign-seconds", help="Age of a timestamp for an empty upload to renew it. [60]"),
    ] = None,
    keep_seconds: Annotated[
        int | None, typer.Option("--keep-seconds", help="Time that superseded versions are kept. [3600]")
    ] = None,
    keep_events: Annotated[
        int | None, typer.Option("--keep-events", help="Events of the record that are kept; 0: all. [0]")
    ] = None,
    named_expiries: Annotated[
        int | None,
        typer.Option("--named-expiries", help="Roles that /metrics names with collection and expiry, of owners. [0]"),
    ] = None,
    max_collections: Annotated[
        int | None, typer.Option("--max-collections", help="Names that may be in use; 0: no limit. [1000000]")
    ] = None,
    subject_collections: Annotated[
        int | None, typer.Option("--subject-collections", help="Names that one user may begin; 0: no limit. [50000]")
    ] = None,
    view_bytes: Annotated[int | None, typer.Option("--view-bytes", help="Memory for ready answers. [67108864]")] = None,
    log_level: Annotated[str | None, typer.Option("--log-level", help="debug, info, warning or error. [info]")] = None,
    init_admin: Annotated[  # noqa: FBT002
        bool, typer.Option("--init-admin", help="Make and print a token that may do everything, if there is none yet.")
    ] = False,
    config: Config = None,
) -> None:
    """Answer requests until SIGTERM. Ready when GET /readyz gives 200."""
    given = GivenSettings(
        listen=listen,
        data=data,
        database=database,
        seal_key=seal_key,
        next_seal_key=next_seal_key,
        online_keys=online_keys,
        platform_secrets=platform_secrets,
        witness=witness,
        webhooks=webhooks,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        tls_client_crl=tls_client_crl,
        certificate_header=certificate_header,
        proxy_secret=proxy_secret,
        proxy_certificate=proxy_certificate,
        self_signed=self_signed,
        workers=workers,
        insecure_open=insecure_open,
        access=access,
        auth_token_realm=auth_token_realm,
        auth_token_service=auth_token_service,
        auth_token_issuer=auth_token_issuer,
        auth_token_cert=auth_token_cert,
        auth_token_jwks=auth_token_jwks,
        auth_anonymous_pull=auth_anonymous_pull,
        trusted_proxy=trusted_proxy,
        connections=connections,
        connections_per_address=connections_per_address,
        head_seconds=head_seconds,
        upload_seconds=upload_seconds,
        upload_rate=upload_rate,
        publishes_per_collection=publishes_per_collection,
        publishes_per_user=publishes_per_user,
        resign_seconds=resign_seconds,
        keep_seconds=keep_seconds,
        keep_events=keep_events,
        named_expiries=named_expiries,
        max_collections=max_collections,
        subject_collections=subject_collections,
        view_bytes=view_bytes,
        log_level=log_level,
    )
    from trustserver.app import serve as run
    from trustserver.process.heap import give_large_blocks_back

    give_large_blocks_back()
    run(given, os.environ, config, init_admin=init_admin)


@app.command()
def migrate(data: Data = None, database: Database = None, config: Config = None) -> None:
    """Bring the database's schema to the newest; `serve` does it too."""
    from trustserver.admin.commands import migrate as run
    from trustserver.process.kernel_clock import now

    run(GivenSettings(data=data, database=database), os.environ, config, at=now())


@app.command()
def check(  # noqa: PLR0917 - Typer makes options of the parameters
    data: Data = None,
    database: Database = None,
    seal_key: SealKey = None,
    next_seal_key: NextSealKey = None,
    online_keys: OnlineKeys = None,
    witness: Witness = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="A client's seen.json or a trust.lock: is anything older than it knows?"),
    ] = None,
    accept_restore: Annotated[  # noqa: FBT002
        bool,
        typer.Option(
            "--accept-restore",
            help="The database was restored on purpose: issue every snapshot and timestamp anew, above all that "
            "was published. The server must be stopped.",
        ),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", help="File that notes what is sound: an interrupted check goes on from there within a day."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Findings as JSON.")] = False,  # noqa: FBT002
    config: Config = None,
) -> None:
    """Verify the whole database as clients would, and look for what only the server can see; changes nothing."""
    given = GivenSettings(
        data=data,
        database=database,
        seal_key=seal_key,
        next_seal_key=next_seal_key,
        online_keys=online_keys,
        witness=witness,
    )
    from trustserver.admin.commands import check as run
    from trustserver.process.kernel_clock import now

    sound = run(
        given,
        os.environ,
        config,
        against=against or [],
        accept=accept_restore,
        as_json=as_json,
        at=now(),
        resume=resume,
    )
    if not sound:
        raise typer.Exit(1)


@app.command()
def settings(config: Config = None) -> None:
    """Show every setting with its value and where that comes from."""
    from trustserver.admin.shown_settings import show_settings as run

    run(GivenSettings(), os.environ, config)


@app.command()
def completion(shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the script with which a shell completes commands and options."""
    from trustdata.suggestion import one_of
    from trustserver.admin.completion import SCRIPTS

    if shell not in SCRIPTS:
        raise typer.BadParameter(f"{shell} is unknown{one_of(shell, SCRIPTS)}", param_hint="SHELL")
    typer.echo(SCRIPTS[shell], nl=False)


@collections_app.command("list")
def list_collections(
    data: Data = None,
    database: Database = None,
    as_json: Annotated[  # noqa: FBT002
        bool, typer.Option("--json", help="With tags, bytes, last publish and expiry, as JSON.")
    ] = False,
    config: Config = None,
) -> None:
    """Every collection and tombstone: name, format, status, revision."""
    from trustserver.admin.commands import list_collections as run

    run(GivenSettings(data=data, database=database), os.environ, config, as_json=as_json)


@collections_app.command("release")
def release(
    name: Annotated[str, typer.Argument(help="The deleted collection.")],
    data: Data = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Allow a deleted collection's name to be initialised anew."""
    from trustserver.admin.commands import release as run
    from trustserver.process.kernel_clock import now

    if not run(name, GivenSettings(data=data, database=database), os.environ, config, at=now()):
        raise typer.Exit(1)


@clock_app.command("accept")
def accept_clock(data: Data = None, database: Database = None, config: Config = None) -> None:
    """Sign on with the clock as it is now, if it jumped forward and is right; a running server needs no restart."""
    from trustserver.admin.commands import accept_clock as run
    from trustserver.process.kernel_clock import now

    run(GivenSettings(data=data, database=database), os.environ, config, at=now())


EXAMPLES: Final[Mapping[str, tuple[str, str]]] = {
    "serve": ("trust-server serve", "trust-server serve --listen 0.0.0.0:4443 --config /etc/trust-server.toml"),
    "migrate": ("trust-server migrate", "trust-server migrate --data /var/lib/trust-server"),
    "check": ("trust-server check", "trust-server check --against trust.lock --json"),
    "settings": ("trust-server settings", "trust-server settings --config /etc/trust-server.toml"),
    "completion": ("trust-server completion bash", "trust-server completion fish"),
    "collections list": ("trust-server collections list", "trust-server collections list --json"),
    "collections release": (
        "trust-server collections release registry.example.com/team/app",
        "trust-server collections release registry.example.com/team/app --data /var/lib/trust-server",
    ),
    **events_app.EXAMPLES,
    **access_app.EXAMPLES,
    **seal_app.EXAMPLES,
    "clock accept": ("trust-server clock accept", "trust-server clock accept --data /var/lib/trust-server"),
}


def _teach(command: Any, path: str) -> None:
    """Name the values of options for people, cut no line of a list of commands, and show examples."""
    for parameter in command.params:
        if parameter.param_type_name == "option" and not parameter.metavar and not parameter.is_flag:
            kind = str(parameter.type_descriptor).lower()
            word = parameter.opts[0].rpartition("-")[2].upper()
            parameter.metavar = (
                "DIR" if word == "DATA" else "FILE" if "path" in kind else "N" if "int" in kind else word
            )
        elif parameter.param_type_name == "argument":
            parameter.metavar = parameter.name.upper()
            parameter.get_help_record = lambda _, row=(parameter.metavar, parameter.help): row
    if command.help:
        command.short_help = " ".join(command.help.split())
    if examples := EXAMPLES.get(path.removeprefix("trust-server").strip()):
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {example}" for example in examples)
    for name, below in getattr(command, "commands", {}).items():
        _teach(below, f"{path} {name}")


def main() -> None:
    """Run the program. An error of the domain, or of the command line, is printed in one line and ends it with 2."""
    command = typer.main.get_command(app)
    if sys.argv[1:2] == [COMPLETE]:
        from trustserver.admin.completion import suggestions

        typer.echo("".join(f"{word}\n" for word in suggestions(command, sys.argv[2:])), nl=False)
        return
    _teach(command, "trust-server")
    try:
        status = command.main(prog_name="trust-server", standalone_mode=False)
    except (TrustError, KeysError) as error:
        missing = f": {how_to_install(error.extra)}" if isinstance(error, KeySupportMissing) else ""
        typer.echo(f"trust-server: {error}{missing}", err=True)
        status = _REFUSED
    except typer.Abort:
        typer.echo("trust-server: interrupted", err=True)
        status = 1
    except BrokenPipeError:  # whoever read the output has gone: what is left of it has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except typer.TyperException as error:
        status = _explain(error, command)
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: Any, command: Any) -> int:
    """Print what is wrong with a command line, and whose help says more; return the exit status."""
    # A group without a command: the error's text is the help. Typer does not export its class.
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(str(error), err=True)
        return _REFUSED
    from trustserver.admin.command_paths import elsewhere, path_of

    sentence, path = usage_sentence(error.format_message()), path_of(command, sys.argv[1:])
    if other := elsewhere(command, sentence):
        sentence, path = f"{sentence.partition(';')[0]} here; there is {other}", other
    typer.echo(f"trust-server: {sentence}", err=True)
    typer.echo(f"  next: {' '.join(filter(None, (path, command_meant(sentence), '--help')))}", err=True)
    return _REFUSED


if __name__ == "__main__":
    main()
