"""What the commands of resident hooks share: their options, where their files are, and how old trust data may be."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from trustcli.commands.support.durations import duration_option
from trustcli.config.hook_environment import hook_environment
from trustcli.config.settings import load_hook_settings
from trustcli.console.client_log import start_log
from trustcli.errors import UsageError
from trustcli.hooks.resident.configuration import JournalOutput, Source

if TYPE_CHECKING:
    from trustcli.session import Session

DEFAULT_REFRESH: Final = "60s"
Refresh: TypeAlias = Annotated[
    str, typer.Option("--refresh", metavar="TIME", help="how old trust data in use may be (60s, 5m)")
]
SettingsFile: TypeAlias = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="the settings of this hook, a trust.toml")
]
StateFolder: TypeAlias = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="where it keeps memory, cache and what it makes, for it alone"),
]
TlsCertificate: TypeAlias = Annotated[
    Path | None, typer.Option("--tls-cert", metavar="FILE", help="the certificate, read again when it changes")
]
TlsKey: TypeAlias = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="its key, unencrypted")]
_SHORTEST: Final = timedelta(seconds=5)
_LONGEST: Final = timedelta(hours=1)


def resident_source(
    session: Session, *, config: Path | None, state: Path | None, default: str, policy: Path | None = None
) -> Source:
    """Return where the files of a resident hook are, and begin its log, which has warnings in any case.

    `config`, `state`, `policy`: its options. `default`: the folder of its own below the settings' state, without
    `--state`. Options of every command that say the same as a variable count as that variable.

    Raises: SettingsUnusable, FileNewer, FileExposed.
    """
    config = config.absolute() if config else None
    settings = session.settings
    environ = {**session.environ, "TRUST_HOME": str(settings.home.absolute())}
    if settings.server and settings.server_source == "--server":
        environ["TRUST_SERVER"] = settings.server
    if settings.pin:
        environ["TRUST_PIN"] = settings.pin
    if settings.cacert and settings.cacert_source == "--cacert":
        environ["TRUST_CACERT"] = str(settings.cacert.absolute())
    if state is None:
        found = load_hook_settings(hook_environment(environ, config), config=config, state=None)
        state = found.memory_folder / default
    output = JournalOutput(stdout=sys.stderr, stderr=sys.stderr, as_json=False)
    start_log(settings.log or "warning", output)
    return Source(
        environ=environ,
        output=output,
        config=config,
        state=state.absolute(),
        policy=policy.absolute() if policy else None,
    )


def refresh_option(text: str) -> float:
    """Return the seconds that `--refresh` says. Raises: UsageError."""
    found = duration_option("--refresh", text)
    if not _SHORTEST <= found <= _LONGEST:
        raise UsageError(f"--refresh is {text}, but must be from 5s to 1h")
    return found.total_seconds()
