"""What `trust-server` does, one function for each command. Results go to standard output."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import typer

from trustdata.gun import parse_gun
from trustserver import app
from trustserver.admin import check as checking
from trustserver.process.logs import start_logging
from trustserver.server import serving
from trustserver.settings import Listen, Settings, as_text, check_for_serving, load
from trustserver.storage import database
from trustserver.storage.ports import MetadataStore, Status

_log = logging.getLogger(__name__)


def serve(options: Mapping[str, object], environ: Mapping[str, str], config: Path | None) -> None:
    """Raises: StartRefused."""
    settings = load(options, environ, config).settings
    check_for_serving(settings)
    start_logging(settings.log_level)
    os.umask(0o077)  # the database holds sealed keys: nobody else reads it, wherever it is copied from
    with app.sole_server(settings, listen=f"starting on {settings.listen}") as sole:
        store = app.open_store(settings)
        try:
            run(settings, store, sole)
        finally:
            store.close()


def run(settings: Settings, store: MetadataStore, sole: app.SoleServer) -> None:
    """Serve this store. Raises: StartRefused."""
    before = sole.left_behind()
    if before is not None:
        _log.warning(
            "the last server on this data was on another host and did not end in order: make sure that it runs no more",
            extra={"host": before.host, "pid": before.pid, "since": before.since},
        )
    sealer = app.open_sealer(settings, store)
    application = app.compose(
        store=store,
        sealer=sealer,
        settings=settings,
        seconds=time.time,
        witness=app.open_witness(settings, store, sealer),
        authorizer=app.open_authorizer(settings),
    )
    tls = app.open_tls(settings)
    with serving.bind(settings.listen) as bound:
        port = bound.getsockname()[1]
        url = f"{'https' if tls else 'http'}://{Listen(host=settings.listen.host, port=port)}"
        sole.tell(url)

        def ready() -> None:
            typer.echo(f"trust-server at {url}")
            if tls is not None and tls.ca is not None:
                typer.echo(f"CA of its certificate: {tls.ca}")
            _log.info("serving", extra={"url": url, "data": str(settings.data)})

        serving.serve(application, bound, tls, ready=ready)
    _log.info("stopped")


def migrate(options: Mapping[str, object], environ: Mapping[str, str], config: Path | None) -> None:
    """Raises: StartRefused."""
    settings = load(options, environ, config).settings
    with app.sole_server(settings, listen="trust-server migrate"):
        engine = database.open_engine(settings.database_url)
        before = database.schema(engine)
        after = database.migrate(engine)
        engine.dispose()
    typer.echo(f"schema {after}" if before == after else f"schema {before or 'none'} -> {after}")


def check(
    options: Mapping[str, object],
    environ: Mapping[str, str],
    config: Path | None,
    *,
    against: Sequence[Path],
    accept: bool,
    as_json: bool,
) -> bool:
    """Print what was found; False if anything is wrong. Raises: StartRefused, NotStored."""
    report = checking.check(load(options, environ, config).settings, against=against, accept=accept)
    for line in [report.document()] if as_json else report.lines():
        typer.echo(line)
    return not report.wrong


def show_settings(options: Mapping[str, object], environ: Mapping[str, str], config: Path | None) -> None:
    """Raises: StartRefused."""
    sourced = load(options, environ, config)
    for field in fields(sourced.settings):
        value = as_text(getattr(sourced.settings, field.name))
        typer.echo(f"{field.name} = {value}  # {sourced.sources[field.name]}")


def list_collections(options: Mapping[str, object], environ: Mapping[str, str], config: Path | None) -> None:
    """Raises: StartRefused."""
    store = app.existing_store(load(options, environ, config).settings)
    try:
        for entry in store.collections():
            line = f"{entry.gun}  {entry.format}  {entry.status}  revision {entry.revision}"
            if entry.tombstone is not None:
                stone = entry.tombstone
                line += f"  deleted {stone.deleted_at:%Y-%m-%dT%H:%M:%SZ} by {stone.subject}"
                line += f"  root sha256:{stone.root_sha256}"
            typer.echo(line)
    finally:
        store.close()


def release(name: str, options: Mapping[str, object], environ: Mapping[str, str], config: Path | None) -> bool:
    """Whether there was a tombstone to release. Raises: StartRefused, InvalidName."""
    gun = parse_gun(name)
    store = app.existing_store(load(options, environ, config).settings)
    try:
        if store.release(gun):
            typer.echo(f"{gun} may be initialised anew")
            return True
        status = store.load(gun).status
        reason = "is released already" if status is Status.RELEASED else "has no tombstone"
        typer.echo(f"trust-server: {gun} {reason}", err=True)
        return status is Status.RELEASED
    finally:
        store.close()
