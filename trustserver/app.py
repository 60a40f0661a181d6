"""The composition root: everything is made and connected here, and here alone the clock is read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from keys.durable_file import make_private_folder
from trustdata.errors import NotStored
from trustserver.admin.audit import Soundness
from trustserver.admin.restore import Restoring
from trustserver.api.fast_read import FastRead
from trustserver.api.graceful_shutdown import InFlight
from trustserver.api.gun_path import GunPaths
from trustserver.api.health import health_router
from trustserver.api.management import management_router
from trustserver.api.metrics import Metrics, metrics_router
from trustserver.api.notary import NotaryApi
from trustserver.api.origin_check import NoBrowsers
from trustserver.api.problems import install
from trustserver.api.publish_requests import PublishRequests
from trustserver.api.renewal_on_read import RenewalOnRead
from trustserver.api.tuf import TufReads
from trustserver.auth.authorizer import Authorizer, OpenAuthorizer
from trustserver.auth.token_authorizer import TokenAuthorizer
from trustserver.auth.token_keys import load_keys
from trustserver.auth.tokens import TokenVerifier
from trustserver.errors import DatabaseOlder, StartRefused
from trustserver.process import lock as server_lock
from trustserver.process import tls
from trustserver.process.lock import Holder, ServerLock
from trustserver.repository.collection_import import TakingOver
from trustserver.repository.commit import Recorder, Witness
from trustserver.repository.notary_reads import NotaryRetrieval
from trustserver.repository.online_roles import OnlineRoles
from trustserver.repository.parsed_cache import ParsedCollections
from trustserver.repository.publish import Publishing
from trustserver.repository.renewal import Renewal
from trustserver.repository.tuf_reads import Retrieval
from trustserver.responses.cache import View
from trustserver.settings import Settings
from trustserver.storage.database import migrate, newest_schema, open_engine, schema, sqlite_file
from trustserver.storage.ports import KeySealer, MetadataStore
from trustserver.storage.published_log import WitnessFile, older, with_stored
from trustserver.storage.sealed_keys import SealedKeys, open_seal
from trustserver.storage.sql import SqlStore

UPKEEP_SECONDS: Final = 60
"""Between two rounds of renewal."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The server without its socket. `asgi` is what answers requests."""

    asgi: FastRead
    in_flight: InFlight
    publishing: Publishing
    renewal: Renewal
    online: OnlineRoles
    store: MetadataStore
    witness: Witness | None
    metrics: Metrics
    clock: Callable[[], datetime]

    async def upkeep(self, stopping: asyncio.Event) -> None:
        """Renew and clean up, round after round, until `stopping` is set."""
        while not stopping.is_set():
            if await self._round():
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UPKEEP_SECONDS):
                    await stopping.wait()

    async def _round(self) -> bool:
        """One round; whether there is more to do at once."""
        try:
            if self.store.refusal() is not None:
                await asyncio.to_thread(self.store.probe)
                _log.info("the database takes writes again")
            done = await asyncio.to_thread(self.renewal.round, at=self.clock())
            dropped = await asyncio.to_thread(self.online.drop_stale_offers, self.clock())
            if self.witness is not None:
                await asyncio.to_thread(self.witness.tidy)
        except (NotStored, OSError) as error:
            _log.error("upkeep failed", extra={"reason": str(error)})
            return False
        self.metrics.renewals.labels("renewed").inc(done.renewed)
        self.metrics.renewals.labels("failed").inc(done.failed)
        if done.renewed or done.failed or dropped:
            _log.info("upkeep", extra={"renewed": done.renewed, "failed": done.failed, "offers_dropped": dropped})
        return done.full


def now() -> datetime:
    """The clock of this program."""
    return datetime.now(UTC)


def compose(
    *,
    store: MetadataStore,
    sealer: KeySealer,
    settings: Settings,
    clock: Callable[[], datetime] = now,
    seconds: Callable[[], float] | None = None,
    witness: Witness | None = None,
    authorizer: Authorizer | None = None,
) -> Application:
    """Connect the parts. `seconds`: the same clock as seconds since 1970, for the hot path.

    `authorizer`: who may do what; everybody everything, if there is none.
    """
    view = View(limit=settings.view_bytes)
    online = OnlineRoles(store, sealer)
    parsed = ParsedCollections(store)
    recorder = Recorder(store, parsed, view, witness)
    publishing = Publishing(store=store, online=online, parsed=parsed, recorder=recorder)
    taking_over = TakingOver(store=store, sealer=sealer, parsed=parsed, recorder=recorder)
    renewal = Renewal(store=store, online=online, parsed=parsed, recorder=recorder)
    authorizer = authorizer or OpenAuthorizer()
    metrics = Metrics()
    requests = PublishRequests(publishing, metrics, clock=clock, seconds=settings.upload_seconds)
    on_read = RenewalOnRead(renewal, view, clock)
    pages = FastAPI(
        title="content-trust", version="1", openapi_url="/api/v1/openapi.json", docs_url=None, redoc_url=None
    )
    install(pages)
    reads = TufReads(
        view=view,
        retrieval=Retrieval(store, view),
        renewal=on_read,
        authorizer=authorizer,
        otherwise=GunPaths(pages),
    )
    notary = NotaryApi(
        view=view,
        retrieval=NotaryRetrieval(store, view),
        renewal=on_read,
        store=store,
        publishing=publishing,
        requests=requests,
        online=online,
        authorizer=authorizer,
        metrics=metrics,
        otherwise=reads,
        clock=clock,
    )
    in_flight = InFlight(notary)
    fast = FastRead(view, NoBrowsers(in_flight), seconds or (lambda: clock().timestamp()), authorizer=authorizer)
    pages.include_router(
        management_router(
            store=store,
            publishing=publishing,
            requests=requests,
            taking_over=taking_over,
            online=online,
            authorizer=authorizer,
            metrics=metrics,
            clock=clock,
        )
    )

    def warnings() -> list[str]:
        refusal = store.refusal()
        return [f"writes are refused: {refusal.reason}"] if refusal is not None else []

    pages.include_router(health_router(store, is_stopping=lambda: in_flight.stopping, warnings=warnings))
    counted = [reads.answered, notary.answered]
    pages.include_router(metrics_router(metrics, fast=fast, reads=counted, view=view, store=store, clock=clock))
    return Application(
        asgi=fast,
        in_flight=in_flight,
        publishing=publishing,
        renewal=renewal,
        online=online,
        store=store,
        witness=witness,
        metrics=metrics,
        clock=clock,
    )


def open_store(settings: Settings) -> MetadataStore:
    """The store that the settings name, its schema at the newest. Raises: StartRefused."""
    make_data_folder(settings.data)
    engine = open_engine(settings.database_url)
    migrate(engine)
    return SqlStore(engine)


def existing_store(settings: Settings) -> MetadataStore:
    """The store of a server that may be running: nothing is made or migrated. Raises: StartRefused."""
    if not settings.database and not (settings.data / "trust.db").exists():
        raise StartRefused(what=str(settings.data), reason="there is no database; `trust-server serve` makes one")
    engine = open_engine(settings.database_url)
    if schema(engine) != newest_schema():
        raise StartRefused(what="database", reason="its schema is of another version; run trust-server migrate")
    return SqlStore(engine)


def open_sealer(settings: Settings, store: MetadataStore) -> SealedKeys:
    """The seal that the store's keys were sealed with. Raises: StartRefused."""
    return open_seal(store, settings.seal_file, may_create=settings.seal_key is None)


def open_witness(settings: Settings, store: MetadataStore, sealer: KeySealer) -> WitnessFile:
    """The witness of what was published, ready to be written to. Raises: DatabaseOlder, StartRefused."""
    witness = WitnessFile(settings.witness_file, mark=sealer.mark)
    known = witness.load()
    stored = store.collections()
    missing = older(known or {}, stored)
    if missing:
        raise DatabaseOlder(what=str(sqlite_file(settings.database_url)), count=len(missing), example=missing[0].gun)
    if known is None and settings.witness_file.exists():
        _log.warning("the witness is of another database, or damaged: it begins anew")
    try:
        witness.begin(with_stored(known or {}, stored))
    except OSError as error:
        # A full disk: whoever could refuse here for want of a witness could not serve either.
        _log.error("no witness of what is published is kept", extra={"reason": str(error.strerror)})
    return witness


def open_soundness(store: MetadataStore, sealer: KeySealer | None) -> Soundness:
    """What looks at everything that is stored, now."""
    return Soundness(store, sealer, now())


def open_restoring(store: MetadataStore, sealer: KeySealer) -> Restoring:
    """What goes on from a restored store, which no server uses meanwhile."""
    online, parsed = OnlineRoles(store, sealer), ParsedCollections(store)
    recorder = Recorder(store, parsed, View(limit=0))
    return Restoring(store=store, online=online, parsed=parsed, recorder=recorder, at=now())


def open_authorizer(settings: Settings, *, clock: Callable[[], datetime] = now) -> Authorizer:
    """Who may do what, as the settings say: holders of tokens, or everybody. Raises: StartRefused."""
    if settings.tokens is None:
        return OpenAuthorizer()
    wanted = settings.tokens
    keys = load_keys(wanted.certificates, wanted.jwks)
    if keys.last_until <= clock():
        _log.warning("every certificate of the token server has expired: no token will be good")
    if not settings.tls and not settings.listen.is_loopback:
        _log.warning("tokens come in over plain http: TLS must end in front of this server, on this machine or its net")
    _log.info("tokens are wanted", extra={"realm": wanted.realm, "issuer": wanted.issuer, "service": wanted.service})
    return TokenAuthorizer(
        TokenVerifier(keys, issuer=wanted.issuer, service=wanted.service),
        realm=wanted.realm,
        service=wanted.service,
        anonymous_pull=settings.auth_anonymous_pull,
        clock=clock,
    )


def open_tls(settings: Settings) -> tls.TlsFiles | None:
    """Certificate and key to serve with, if TLS is wanted. Raises: StartRefused."""
    if settings.self_signed:
        return tls.self_signed((settings.data / "tls").absolute(), host=socket.gethostname().lower(), at=now())
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return tls.from_files(settings.tls_cert, settings.tls_key)


def make_data_folder(folder: Path) -> None:
    """Raises: StartRefused."""
    try:
        make_private_folder(folder.absolute())
    except OSError as error:
        raise StartRefused(what=str(folder), reason=f"cannot be made: {error.strerror}") from error


@contextmanager
def sole_server(settings: Settings, *, listen: str) -> Iterator[SoleServer]:
    """Hold the data folder and the database: a second server would answer from a view that it does not know is old.

    `listen`: what to say of this one until its address is known. Raises: StartRefused.
    """
    make_data_folder(settings.data)
    file = sqlite_file(settings.database_url)
    with (
        server_lock.hold(settings.data / "server.lock", what=str(settings.data)) as folder,
        # Another data folder may name the same database.
        server_lock.hold(file.with_name(f"{file.name}.lock"), what=str(file)) as database,
    ):
        sole = SoleServer((folder, database))
        sole.tell(listen)
        yield sole


class SoleServer:
    """What a server holds while it is the only one."""

    def __init__(self, locks: Sequence[ServerLock]) -> None:
        self._locks = tuple(locks)
        self._since = now()

    def tell(self, listen: str) -> None:
        """Write into the lock files who this is."""
        holder = Holder.this_process(at=self._since, listen=listen)
        for lock in self._locks:
            lock.tell(holder)

    def left_behind(self) -> Holder | None:
        """A server of another host that did not end in order. Where its lock does not reach here, it may still run."""
        here = socket.gethostname()
        return next(
            (lock.left_behind for lock in self._locks if lock.left_behind and lock.left_behind.host != here), None
        )
