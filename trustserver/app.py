"""The composition root: makes the parts of the server and connects them. The clock is read only here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from trustdata.errors import NotStored
from trustserver.admin.operator import operator
from trustserver.api.client_address import client_address
from trustserver.api.event_list import PAGES_AT_ONCE
from trustserver.api.fair_queue import FairQueue
from trustserver.api.fast_read import FastRead
from trustserver.api.graceful_shutdown import GracefulShutdown
from trustserver.api.gun_path import GunPaths
from trustserver.api.head_limits import HeadLimits
from trustserver.api.metrics import Metrics, metrics_pages
from trustserver.api.notary import NotaryApi
from trustserver.api.origin_check import OriginCheck
from trustserver.api.publish_requests import PublishRequests, UploadLimits
from trustserver.api.renewal_on_read import RenewalOnRead
from trustserver.api.request_times import RequestTimes
from trustserver.api.request_turns import RequestTurns
from trustserver.api.route_context import RouteContext, with_context
from trustserver.api.routes import routes
from trustserver.api.sending import with_nosniff
from trustserver.api.services import Services
from trustserver.api.stored_pieces import StoredPieces
from trustserver.api.tuf import TufReads
from trustserver.auth.api_tokens import make_first_admin
from trustserver.auth.authorizer import Authorizer
from trustserver.auth.client_certificates import ClientCertificates
from trustserver.auth.open_authorizer import OpenAuthorizer
from trustserver.auth.opening import open_authorizer, open_client_certificates, proxy_check
from trustserver.errors import ClockJumped, StartRefused
from trustserver.process import kernel_clock
from trustserver.process.heap import give_free_pages_back
from trustserver.process.helper_process import Helper
from trustserver.process.judge_process import open_judge
from trustserver.process.logs import start_logging
from trustserver.process.printed_secrets import readable_output
from trustserver.process.self_signed import self_signed_files
from trustserver.process.tls import ServedCertificate, TlsFiles
from trustserver.repository.clock_guard import ClockGuard
from trustserver.repository.collection_import import CollectionImport
from trustserver.repository.commit import Committer, PublishedLog
from trustserver.repository.judge_apart import Asked, JudgeApart
from trustserver.repository.judging import JudgeBySize
from trustserver.repository.notary_reads import NotaryReads
from trustserver.repository.online_roles import OnlineRoles
from trustserver.repository.parsed_cache import ParsedCache
from trustserver.repository.publish import Publishing
from trustserver.repository.quotas import NameLimits
from trustserver.repository.renewal import Renewal
from trustserver.repository.retention import Retention
from trustserver.repository.server_keys import ServerKeys
from trustserver.repository.stored_offers import StoredOffers
from trustserver.repository.tuf_reads import TufRetrieval
from trustserver.responses.in_flight import BodiesInFlight
from trustserver.responses.response_cache import ResponseCache
from trustserver.server import serving
from trustserver.server.listening import listening, url_of
from trustserver.settings import SEALED, GivenSettings, Listen, Settings, load
from trustserver.settings_check import check_for_serving
from trustserver.storage.key_port import ServerKeyStore
from trustserver.storage.opening import (
    ExclusiveUse,
    exclusive_use,
    has_credentials,
    open_access,
    open_exchanges,
    open_published_log,
    open_sealer,
    open_server_keys,
    open_store,
)
from trustserver.storage.ports import KeySealer, MetadataStore
from trustserver.storage.token_opening import open_tokens, take_secrets
from trustserver.webhooks.hooks import Hook
from trustserver.webhooks.one_request import Sender
from trustserver.webhooks.outbox import Outbox
from trustserver.webhooks.running import Webhooks

UPKEEP_SECONDS: Final = 60
"""Seconds between two rounds of renewal and cleaning up."""
NEAR_EXPIRY: Final = timedelta(days=30)
"""So long before a file of owners expires the record says so."""
TOLD_EXPIRING: Final = 100
"""How many such files one round records at most."""
_log = logging.getLogger(__name__)
_STDOUT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The whole server except for its socket. `asgi` answers the requests."""

    asgi: FastRead
    in_flight: GracefulShutdown
    publishing: Publishing
    renewal: Renewal
    online: OnlineRoles
    retention: Retention
    guard: ClockGuard
    store: MetadataStore
    published_log: PublishedLog | None
    metrics: Metrics
    clock: Callable[[], datetime]
    requests: PublishRequests
    authorizer: Authorizer
    webhooks: Webhooks | None
    server_keys: ServerKeys

    def close(self) -> None:
        """End the threads of the application, once they have nothing to do."""
        self.requests.close()
        self.authorizer.close()

    def look_again(self) -> None:
        """Look at once for what is otherwise looked for from time to time, as at SIGHUP."""
        self.authorizer.look_again()
        if self.webhooks is not None:
            self.webhooks.look_now()

    async def upkeep(self, stopping: asyncio.Event) -> None:
        """Renew expiring roles and clean up once a minute, until `stopping` is set."""
        while not stopping.is_set():
            if await self.upkeep_round():
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UPKEEP_SECONDS):
                    await stopping.wait()

    async def upkeep_round(self) -> bool:
        """Run one round of upkeep. Return whether there is more to renew at once."""
        try:
            if self.store.refusal() is not None:
                await asyncio.to_thread(self.store.probe)
                _log.info("the database takes writes again")
            if self.published_log is not None:
                await asyncio.to_thread(self.published_log.compact)
            at = self.clock()
            await asyncio.to_thread(give_free_pages_back)
            await asyncio.to_thread(self.server_keys.look)
            done = await asyncio.to_thread(self.renewal.round, at=at)
            await asyncio.to_thread(self.store.tell_expiring, at=at, until=at + NEAR_EXPIRY, limit=TOLD_EXPIRING)
            dropped = await asyncio.to_thread(self.retention.round, at)
            await asyncio.to_thread(self.guard.record_round, at)
        except (ClockJumped, NotStored, OSError) as error:
            _log.error("upkeep failed", extra={"reason": str(error)})
            return False
        self.metrics.renewals.labels("renewed").inc(done.renewed)
        self.metrics.renewals.labels("failed").inc(done.failed)
        if done.renewed or done.failed or dropped:
            _log.info("upkeep", extra={"renewed": done.renewed, "failed": done.failed, "versions_dropped": dropped})
        return done.full


def compose(
    *,
    store: MetadataStore,
    sealer: KeySealer,
    settings: Settings,
    clock: Callable[[], datetime] = kernel_clock.now,
    seconds: Callable[[], float] | None = None,
    uptime: Callable[[], float] | None = None,
    is_synchronised: Callable[[], bool] = lambda: True,
    published_log: PublishedLog | None = None,
    authorizer: Authorizer | None = None,
    helper: Asked | None = None,
    webhooks: Webhooks | None = None,
    server_keys: ServerKeys | None = None,
    key_store: ServerKeyStore | None = None,
) -> Application:
    """Make the parts of the server and connect them.

    `seconds`: the same clock as `clock`, in seconds since 1970, because reads ask it often. `uptime`,
    `is_synchronised`: what the kernel says (ClockGuard); by default nothing that contradicts `clock`. `published_log`:
    None if nothing is to be logged. `authorizer`: decides who may do what; None lets everybody do everything.
    `helper`: the process that judges large uploads; None: the threads of this process do. `webhooks`: None: there are
    none. `server_keys`: None if all are sealed in the store; `key_store`: where keys that a token makes are offered.
    """
    cache = ResponseCache(limit=settings.view_bytes)
    bodies = BodiesInFlight(StoredPieces(store).read)
    read_seconds = seconds or (lambda: clock().timestamp())
    guard = ClockGuard(store, uptime=uptime or read_seconds, is_synchronised=is_synchronised)
    held = server_keys or ServerKeys(sealer)
    offers = StoredOffers(held, key_store) if held.makes_elsewhere and key_store is not None else None
    online = OnlineRoles(store, sealer, guard, keys=held, offers=offers)
    parsed = ParsedCache(store)
    retention = Retention(store, keep=timedelta(seconds=settings.keep_seconds), keep_events=settings.keep_events)
    committer = Committer(store, parsed, cache, published_log, retention=retention)
    names = NameLimits(in_all=settings.max_collections, of_subject=settings.subject_collections)
    apart = JudgeApart(helper) if helper is not None else None
    publishing = Publishing(
        store=store,
        online=online,
        parsed=parsed,
        committer=committer,
        resign=timedelta(seconds=settings.resign_seconds),
        names=names,
        judge=None if apart is None else JudgeBySize(apart, parsed),
    )
    collection_import = CollectionImport(
        store=store,
        sealer=sealer,
        parsed=parsed,
        committer=committer,
        names=names,
        verify=None if apart is None else apart.verify,
    )
    renewal = Renewal(store=store, online=online, parsed=parsed, committer=committer)
    authorizer = authorizer or OpenAuthorizer()
    metrics = Metrics()
    limits = UploadLimits(
        seconds=settings.upload_seconds,
        rate=settings.upload_rate,
        per_collection=settings.publishes_per_collection,
        per_user=settings.publishes_per_user,
    )
    requests = PublishRequests(publishing, metrics, clock=clock, uptime=uptime or read_seconds, limits=limits)
    renewal_on_read = RenewalOnRead(renewal, cache, clock)
    reads = TufReads(
        cache=cache,
        bodies=bodies,
        retrieval=TufRetrieval(store, cache),
        renewal=renewal_on_read,
        authorizer=authorizer,
        address_of=client_address,
        otherwise=with_nosniff(GunPaths(with_context(routes(), lambda: context))),
    )
    services = Services(
        store=store,
        publishing=publishing,
        requests=requests,
        online=online,
        authorizer=authorizer,
        metrics=metrics,
        clock=clock,
        address_of=client_address,
    )
    notary = NotaryApi(
        services=services,
        cache=cache,
        bodies=bodies,
        retrieval=NotaryReads(store, cache),
        renewal=renewal_on_read,
        otherwise=reads,
    )
    in_flight = GracefulShutdown(notary)
    times = RequestTimes(HeadLimits(RequestTurns(OriginCheck(in_flight))), metrics.registry)
    fast = FastRead(
        cache,
        times,
        read_seconds,
        authorizer=authorizer,
        bodies=bodies,
        stored={b"/tuf/": reads, b"/v2/": notary},
        observe=times.observe_read,
    )

    def warnings() -> list[str]:
        refusal = store.refusal()
        found = [f"writes are refused: {refusal.reason}"] if refusal is not None else []
        found += held.warnings() + authorizer.warnings() + ([] if webhooks is None else webhooks.warnings())
        return [*found, str(guard.refusal)] if guard.refusal is not None else found

    context = RouteContext(
        services=services,
        collection_import=collection_import,
        event_pages=FairQueue(PAGES_AT_ONCE, what="reads of the record"),
        metrics_pages=metrics_pages(
            metrics,
            fast=fast,
            reads=[reads.answered, notary.answered],
            cache=cache,
            store=store,
            guard=guard,
            committer=committer,
            clock=clock,
            access_warnings=authorizer.warnings,
            key_warnings=held.warnings,
            named_expiries=settings.named_expiries,
        ),
        is_stopping=lambda: in_flight.stopping,
        warnings=warnings,
    )
    return Application(
        asgi=fast,
        in_flight=in_flight,
        publishing=publishing,
        renewal=renewal,
        online=online,
        retention=retention,
        guard=guard,
        store=store,
        published_log=published_log,
        metrics=metrics,
        clock=clock,
        requests=requests,
        authorizer=authorizer,
        webhooks=webhooks,
        server_keys=held,
    )


def open_tls(settings: Settings) -> ServedCertificate | None:
    """Return the certificate and key to serve with; None for plain HTTP.

    Raises: StartRefused if they cannot be read or made.
    """
    if settings.self_signed:
        folder = (settings.data / "tls").absolute()
        address = settings.listen.host if isinstance(settings.listen, Listen) else ""
        host = socket.gethostname().lower()
        return ServedCertificate(self_signed_files(folder, host=host, at=kernel_clock.now(), address=address))
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return ServedCertificate(TlsFiles(certificate=settings.tls_cert, key=settings.tls_key))


def serve(given: GivenSettings, environ: Mapping[str, str], config: Path | None, *, init_admin: bool = False) -> None:
    """Run the server until SIGTERM or SIGINT. `init_admin`: make the first token that may do everything, and print it.

    Raises: StartRefused (settings, files or keys are wrong), ServerRunning (another server uses the same data),
    DatabaseOlder (the database is older than what was published).
    """
    settings = load(given, environ, config).settings
    known = init_admin or (not settings.listen.is_local and has_credentials(settings))
    check_for_serving(settings, has_credentials=known)
    if init_admin and settings.insecure_open:
        raise StartRefused(what="--init-admin", reason="is of no use with --insecure-open, which lets everybody in")
    start_logging(settings.log_level)
    secrets = take_secrets(os.environ)
    os.umask(0o077)  # the database holds sealed keys, so nobody else may read it, nor what SQLite writes beside it
    with exclusive_use(settings, at=kernel_clock.now(), listen=f"starting on {settings.listen}") as use:
        store = open_store(settings)
        access, exchanged, keys = open_access(settings), open_exchanges(settings), open_server_keys(settings)
        try:
            token = make_first_admin(access, kernel_clock.now(), by=operator()) if init_admin else None
            if token is not None:
                sys.stdout.write(f"token that may do everything, shown this once: {token}\n")
                sys.stdout.flush()
                if file := readable_output(_STDOUT):
                    _log.warning("others may read the file with the token: chmod 600", extra={"file": file})
            with open_judge(settings) as helper, open_webhooks(settings, store) as webhooks:
                certificates = open_client_certificates(settings)
                authorizer = open_authorizer(settings, store=access, exchanged=exchanged, certificates=certificates)
                _serve(
                    settings,
                    store,
                    authorizer,
                    use,
                    helper=helper,
                    webhooks=webhooks,
                    certificates=certificates,
                    keys=keys,
                    secrets=secrets,
                )
        finally:
            keys.close()
            exchanged.close()
            access.close()
            store.close()


def open_webhooks(settings: Settings, store: MetadataStore) -> Webhooks:
    """Return the webhooks that the settings name. Raises: StartRefused if these cannot be read."""

    def open_outbox(hook: Hook) -> Outbox:
        return Outbox(hook, store, Sender(), uptime=time.monotonic, clock=kernel_clock.now)

    return Webhooks(settings.webhooks, open_outbox)


def _serve(
    settings: Settings,
    store: MetadataStore,
    authorizer: Authorizer,
    use: ExclusiveUse,
    *,
    helper: Helper,
    webhooks: Webhooks,
    certificates: ClientCertificates | None,
    keys: ServerKeyStore,
    secrets: Mapping[str, str],
) -> None:
    crashed = use.crashed_holder()
    if crashed is not None:
        _log.warning(
            "the last server on this data was on another host and did not end in order: make sure that it runs no more",
            extra={"host": crashed.host, "pid": crashed.pid, "since": crashed.since},
        )
    sealer = open_sealer(settings, store)
    keys.accept_next(sealer.mark if settings.next_seal_key is not None else "")
    sealer = open_sealer(settings, store)  # again: nobody has sealed with another one before that was noted
    tokens = open_tokens(settings, secrets, sealer)
    elsewhere = settings.online_keys[:1] not in {(), (SEALED,)}
    application = compose(
        store=store,
        sealer=sealer,
        server_keys=ServerKeys(sealer, places=tokens, makes_elsewhere=elsewhere),
        key_store=keys,
        settings=settings,
        seconds=time.time,
        uptime=kernel_clock.uptime,
        is_synchronised=kernel_clock.is_synchronised,
        published_log=open_published_log(settings, store, sealer),
        authorizer=authorizer,
        helper=helper,
        webhooks=webhooks,
    )
    certificate = open_tls(settings)
    if certificate is not None and certificates is not None:
        certificates.on_change(certificate.ask_clients)
    with listening(settings.listen) as bound:
        url = url_of(bound, settings.listen, tls=certificate is not None)
        use.write_holder(url)

        application.authorizer.start()

        def ready() -> None:
            sys.stdout.write(f"trust-server at {url}\n")
            if certificate is not None and certificate.files.ca is not None:
                sys.stdout.write(f"CA of its certificate: {certificate.files.ca}\n")
            sys.stdout.flush()
            _log.info("serving", extra={"url": url, "data": str(settings.data)})

        try:
            is_proxy = proxy_check(settings, certificates)
            serving.serve(application, bound, certificate, settings=settings, ready=ready, is_proxy=is_proxy)
        finally:
            application.close()
    _log.info("stopped")
