"""One run of `trust`: settings, the time, and all objects that talk to files or servers, built in one place.

The reference time is read once, when the session is made. Constructors open no connection. Modules that not every
command needs are imported where they are used, since `trust verify` must start fast.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from keys.record import replace
from trustcli.client.collection import Collection
from trustcli.client.collection_names import CollectionNames, NamedCollection
from trustcli.client.failed_server import FailedServer
from trustcli.client.file_cache import FileCache
from trustcli.client.format_discovery import (
    cached_format,
    offered_format,
    other_format_offered,
    recorded_format,
    source_of_format,
)
from trustcli.client.local_state import LocalState
from trustcli.client.ports import CollectionState
from trustcli.client.remotes import remote_of
from trustcli.client.server_link import ServerLink
from trustcli.client.trust_credentials import EnvironmentToken, TrustServerCredentials
from trustcli.client.tuf_remote import TufRemote
from trustcli.client.unkept import unkept_cache, unkept_memory
from trustcli.config.credential_helper import HELPER_TIMEOUT
from trustcli.config.hook_environment import hook_environment
from trustcli.config.line_ends import plain_environment
from trustcli.config.settings import ServerChoice, Settings, load_hook_settings, load_settings
from trustcli.config.stored_credentials import StoredCredentials
from trustcli.console.client_log import start_log
from trustcli.console.output import Output
from trustcli.errors import SettingsUnusable
from trustcli.http.network import Network
from trustcli.http.patience import COMMAND_SECONDS, Patience
from trustcli.http.time_budget import Timeouts
from trustcli.http.tls import CertificateAuthorities
from trustcli.state.lockfile import LockFile
from trustcli.state.memory import MemoryFile
from trustcli.state.pins import PinEntry, PinsFile
from trustdata.errors import TrustError
from trustdata.gun import GUN
from trustdata.lifetimes import MaxLife
from trustdata.model import Signer
from trustdata.verification.lock_entry import SourcedLock
from trustdata.verification.trust_pinning import Pin, SourcedPin, parse_pin
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF

if TYPE_CHECKING:
    from keys.filestore import FileKeyStore
    from keys.passphrase import PassphraseProvider
    from trustcli.client.local_state import RollbackStore
    from trustcli.config.global_options import GlobalOptions
    from trustcli.console.caller_passphrases import AskCaller
    from trustcli.console.passphrase_comparison import ComparedPassphrases
    from trustcli.http.pool import ConnectionPool, PoolPerThread
    from trustcli.http.record import Observer
    from trustcli.publish.preparation import HeldKeys
    from trustcli.publish.publisher import Publisher
    from trustcli.publish.store_keys import StoreKeys
    from trustcli.registry.client import Registry
    from trustcli.registry.engine import Engine
    from trustdata.editing.owner_roles import OwnerRoles
    from trustdata.roles import RoleName

_log = logging.getLogger(__name__)


class Session:
    """The settings and services of one run of `trust`.

    `at`: the reference time (UTC) of the whole run. `helper_timeout`: how long a credential helper may take.
    `patience`: how long all requests together wait for busy servers. Both in seconds. `passphrases`: where they come
    from, if not from the environment and a prompt. `timeouts`: of each request, if not the usual ones.
    `kept_connections`: of each of several threads that ask trust servers; None if one thread does.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        environ: Mapping[str, str],
        output: Output,
        at: datetime,
        helper_timeout: float = HELPER_TIMEOUT,
        patience: float = COMMAND_SECONDS,
        passphrases: PassphraseProvider | None = None,
        timeouts: Timeouts | None = None,
        kept_connections: int | None = None,
    ) -> None:
        self.settings = settings
        self.environ = environ
        self.output = output
        self.at = at
        self.keeps = True  # whether what is verified is stored on this machine
        self.gathered: RollbackStore | None = None  # where it is kept for a while, in a run over many collections
        self._helper_seconds = helper_timeout
        self._patience = Patience(patience, notice=output.notice)
        self._passphrases = passphrases
        self._timeouts = timeouts or Timeouts()
        self._pool: ConnectionPool | PoolPerThread | None = None
        self._kept_connections = kept_connections
        self._registry: Registry | None = None
        if kept_connections is not None:
            self._shared_pool()  # made before there are threads

    def close(self) -> None:
        """Close all connections, for a process that goes on; a later request opens its own again."""
        for opened in (self._pool, self._registry):
            if opened is not None:
                opened.close()

    def another(self, output: Output) -> Session:
        """Return a session of this run for another thread; key store and passphrases are shared, connections not."""
        settings, environ, timeouts = self.settings, self.environ, self._timeouts
        other = type(self)(settings=settings, environ=environ, output=output, at=self.at, timeouts=timeouts)
        other.keeps, other.keystore, other.passphrases = self.keeps, self.keystore, self.passphrases
        return other

    # --- the local state

    @cached_property
    def pins(self) -> PinsFile:
        """The user's pins."""
        return PinsFile(self.settings.home / "pins.toml")

    @cached_property
    def memory(self) -> MemoryFile:
        """Rollback memory."""
        return MemoryFile(self.settings.memory_folder / "seen.json")

    def cache(self, gun: GUN, format_name: str) -> FileCache:
        """Return the cache of the collection's metadata in this format."""
        return FileCache(self.settings.memory_folder / "cache", format_name=format_name, gun=gun)

    @cached_property
    def names(self) -> CollectionNames:
        """The aliases of this machine: those of `pins.toml` and of its policy."""
        return CollectionNames(self.pins, self.settings.verifier.policy)

    def real_name(self, gun: GUN) -> GUN:
        """Return the name of the collection that a name stands for. Raises: as `CollectionNames.named`."""
        return self.names.named(gun).real

    def pinned_names(self) -> list[GUN]:
        """Return one pinned name of each collection, sorted: an alias only if its real name is not pinned itself.

        Raises: as `CollectionNames.named`.
        """
        pinned = self.pins.names_of_collections()
        return sorted({real if (real := self.real_name(gun)) in pinned else gun for gun in pinned})

    def known_pins(self, gun: GUN, policy_pins: Iterable[SourcedPin] = ()) -> list[SourcedPin]:
        """Return every pin of the name that counts: of the command line, then the policy, then the user's `pins.toml`.

        Of an alias, the pins of its real name count too. Of a name without a pin of its own, the pin of the most
        specific pattern counts. Raises: InvalidName (`--pin` is not a pin), SettingsUnusable
        (`pins.toml` cannot be read).
        """
        found = [SourcedPin(pin=parse_pin(pin), source="--pin")] if (pin := self.settings.pin) else []
        found += policy_pins
        source = str(self.settings.home / "pins.toml")
        entries = self.pins.entries_for(gun)
        if not entries and (fitting := self.pins.pattern_for(gun)) is not None:
            pattern, entry = fitting
            return [*found, SourcedPin(pin=entry.pin, source=f"{pattern} in {source}", of_pattern=True)]
        return found + [SourcedPin(pin=entry.pin, source=source, recorded=True) for entry in entries]

    def record_pin(self, gun: GUN, pin: Pin, how: str, wire: WireFormat) -> None:
        """Store a pin in `pins.toml`.

        `how`: `init`, `tofu` or `pin`. Raises: PinsDisagree or FormatChanged if another pin or format is recorded,
        SettingsUnusable, MemoryUnwritable.
        """
        self.pins.record(gun, PinEntry(pin=pin, format=wire.name, recorded=self.at, how=how))

    @cached_property
    def locks(self) -> Mapping[GUN, SourcedLock]:
        """The entries of the project's lock file by name, read once; empty if there is no lock file.

        Raises: SettingsUnusable (the file that was named does not exist), LockDamaged.
        """
        path = self.settings.lock
        if path is None:
            return {}
        entries = LockFile(path).load()
        if entries is None:
            raise SettingsUnusable(place=str(path), reason="there is no such lock file; trust lock IMAGE makes it")
        return {gun: SourcedLock(entry=entry, source=str(path)) for gun, entry in entries.items()}

    # --- collections

    def collection(
        self,
        gun: GUN,
        *,
        policy_pins: Iterable[SourcedPin] = (),
        policy_max_life: MaxLife | None = None,
        policy_server: str = "",
        by_policy: bool = False,
        memory_required: bool = False,
        memory: RollbackStore | None = None,
        locks: Mapping[GUN, SourcedLock] | None = None,
        wire: WireFormat | None = None,
        wrap_wire: Callable[[WireFormat], WireFormat] | None = None,
        offline: bool = False,
        keep: bool = True,
    ) -> Collection:
        """Return the collection as this machine knows it; the server is asked only for the format, at first contact.

        The collection of an alias is that of its real name: server, pins, rollback memory, cache and lock entry.
        `by_policy`: the rules of a policy count, and so have its aliases: those of the machine's policy do not.

        `wire`: the format, for a command that creates the collection; else the recorded format or, at first contact,
        the one that the server offers. `wrap_wire`: wraps the format, for a plan. `locks`: lock entries to use instead
        of those of the lock file. `policy_max_life`, `policy_server`: the policy's, which count before the settings;
        `--server` before both. `memory`: where rollback memory is kept, if not in `seen.json`. `keep=False`: write
        nothing on this machine: no pin, no rollback memory, no cache.

        Raises: FormatChanged, LockDamaged, NoTrustServer, InvalidName (the server's URL); as `CollectionNames.named`.
        """
        keep = keep and self.keeps
        named = self.names.named(gun, by_policy=not by_policy)
        asked, gun = named.pinned, named.real
        lock = self._lock(named, self.locks if locks is None else locks)
        link = self.link(gun, "" if self.settings.server_source == "--server" else policy_server)
        found, failure = self._format(asked, lock, wire, link=None if offline else link)
        cache = self.cache(gun, found.name)
        return Collection(
            gun=gun,
            wire=wrap_wire(found) if wrap_wire else found,
            server=remote_of(link, found) if failure is None else FailedServer(link.name, failure),
            local=LocalState(
                cache=cache if keep else unkept_cache(cache),
                memory=memory or self.gathered or (self.memory if keep else unkept_memory(self.memory)),
                pins=self.known_pins(asked, policy_pins),
                lock=lock,
                max_life=policy_max_life or self.settings.max_life_for(gun),
                record_pin=(lambda pin, how: self.record_pin(gun, pin, how, found)) if keep else None,
                memory_required=memory_required,
            ),
            tofu=self.settings.tofu,
            at=self.at,
            warn=self.output.warn,
            other_format=partial(other_format_offered, link, gun, found),
        )

    def _lock(self, named: NamedCollection, locks: Mapping[GUN, SourcedLock]) -> SourcedLock | None:
        """Return the lock entry of a collection; an alias is never locked itself. Raises: SettingsUnusable."""
        asked, gun = named.asked, named.real
        if named.is_alias and asked in locks:
            remedy = f"trust lock --remove {asked}, then trust lock {gun}"
            reason = f"locks {asked}, which {named.declared_in} makes an alias of {gun}; lock the real name: {remedy}"
            raise SettingsUnusable(place=locks[asked].source, reason=reason)
        return locks.get(gun)

    def _format(
        self, gun: GUN, lock: SourcedLock | None, requested: WireFormat | None, *, link: ServerLink | None
    ) -> tuple[WireFormat, TrustError | None]:
        """Return the format of the collection, and the error if its server had to be asked for it and failed.

        `link`: None if no server may be asked. Raises: FormatChanged, SettingsUnusable.
        """
        recorded = [(entry.format, str(self.settings.home / "pins.toml")) for entry in self.pins.entries_for(gun)]
        recorded += [(lock.entry.format, lock.source)] if lock else []
        found = recorded_format(gun, requested=requested, recorded=recorded)
        found = found or cached_format(lambda name: self.cache(gun, name))
        if found is not None or link is None:
            found = found or TUF
            _log.info("%s: the format is %s, as %s", gun, found.name, source_of_format(requested, recorded))
            return found, None
        try:
            found = offered_format(link, gun)
        except TrustError as failure:
            _log.info("%s: %s cannot say which format it has: %s", gun, link.name, failure.code)
            return TUF, failure
        _log.info("%s: the format is %s, as %s says", gun, found.name, link.name)
        return found, None

    def format_offered(self, gun: GUN) -> WireFormat:
        """Return the format in which the server has the collection; TUF 1.0 if it has it in none.

        Raises: RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge, NoTrustServer, InvalidName,
        SettingsUnusable.
        """
        return offered_format(self.link(gun), gun)

    def server_keys(self, gun: GUN) -> frozenset[str]:
        """Return the online roles of the current root whose private keys the server says that it holds.

        Raises: as `format_offered`.
        """
        state = TufRemote(self.link(gun)).collection(gun)
        return state.server_keys if isinstance(state, CollectionState) else frozenset()

    def take_over(self, gun: GUN, parts: Mapping[RoleName, bytes]) -> None:
        """Upload a collection of another Notary server, whole, to our server; again where that is busy.

        Raises: PublishRefused, RemoteUnreachable, RemoteRefused, RemoteMisbehaved, TooLarge, NoTrustServer,
        InvalidName, SettingsUnusable.
        """
        from trustcli.publish.backoff import JitteredBackoff
        from trustcli.publish.publisher import sent_when_free

        remote = TufRemote(self.link(gun))
        sent_when_free(lambda: remote.take_over(gun, parts), JitteredBackoff(self.output.notice))

    def link(self, gun: GUN, server: str = "", observer: Observer | None = None) -> ServerLink:
        """Return a link to the collection's trust server, or to `server` (a URL); nothing is connected yet.

        `observer`: notes what happens on the connection, for `trust doctor`.

        Raises: NoTrustServer, InvalidName (the URL), SettingsUnusable (no home folder to look for credentials in).
        """
        choice = ServerChoice(url=server, source="") if server else self.settings.server_choice(gun)
        network, pool = self.network(observer), self._shared_pool if observer is None else None
        link = ServerLink(choice.url, network, self.trust_credentials, shared_pool=pool, source=choice.source)
        if idle := network.authorities.idle_for(link.origin):
            self.output.warn(idle)
        if choice.source:
            _log.info("%s: the trust server is %s (%s)", gun, link.name, choice.source)
        return link

    def _shared_pool(self) -> ConnectionPool | PoolPerThread:
        """Return the connections to trust servers: one for each server, whatever number of collections is read."""
        if self._pool is None:
            from trustcli.http.pool import pool_of

            self._pool = pool_of(self.network(), self._kept_connections)
        return self._pool

    def publisher(
        self, collection: Collection, keys: HeldKeys, read: Callable[[], OwnerRoles] | None = None
    ) -> Publisher:
        """Return a publisher of the collection that signs with `keys`.

        `read`: how to read the current roles; by default as an owner does who has decided nothing.
        """
        from trustcli.publish.backoff import JitteredBackoff
        from trustcli.publish.key_record import KeyRecord
        from trustcli.publish.publisher import Publisher

        return Publisher(
            gun=collection.gun,
            wire=collection.wire,
            remote=collection.server,
            keys=keys,
            read=read or collection.owner_roles,
            at=lambda: self.at,
            backoff=JitteredBackoff(self.output.notice),
            refused=lambda: collection.warn_of_clocks("that may be the reason"),
            record=KeyRecord(self.settings.home, self.at, self.output.warn),
        )

    # --- keys

    @cached_property
    def keystore(self) -> FileKeyStore:
        """The store of the user's private keys."""
        from keys.filestore import FileKeyStore

        return FileKeyStore(self.settings.home / "private")

    @cached_property
    def passphrases(self) -> ComparedPassphrases:
        """Where passphrases come from: who has opened the session, or the environment and then a prompt."""
        from keys.passphrase import EnvironmentPassphrases
        from trustcli.console.passphrase_comparison import ComparedPassphrases
        from trustcli.console.prompt import TerminalPrompt

        prompt = None if self.settings.non_interactive else TerminalPrompt()
        source = self._passphrases or EnvironmentPassphrases(self.environ, prompt)
        return ComparedPassphrases(source, self.output.warn)

    def held_keys(self, extra: Iterable[Signer] = ()) -> StoreKeys:
        """Return the keys of the store and the extra ones, ready to sign."""
        from trustcli.publish.store_keys import StoreKeys

        return StoreKeys(self.keystore, self.passphrases, extra)

    # --- registry and container engine

    def network(self, observer: Observer | None = None) -> Network:
        """Return what all connections of this run share: certificate authorities, proxies and time limits.

        `observer`: notes what happens on a connection, for `trust doctor`.
        """
        settings, environ, patience, timeouts = self.settings, self.environ, self._patience, self._timeouts
        authorities = CertificateAuthorities(
            environ, cacert=settings.cacert, cacert_source=settings.cacert_source, by_host=settings.tls
        )
        return Network(
            authorities=authorities, environ=environ, observer=observer, patience=patience, timeouts=timeouts
        )

    @property
    def credentials(self) -> StoredCredentials:
        """The credentials that `docker login` and `podman login` stored. Raises: SettingsUnusable (no home folder)."""
        # Where a settings file is named, as for hooks, the home of whoever runs them must decide nothing.
        named_only = self.settings.config is not None
        return StoredCredentials(self.environ, helper_timeout=self._helper_seconds, named_only=named_only)

    @property
    def trust_credentials(self) -> TrustServerCredentials:
        """The credentials for trust servers: their own logins before all others. Raises: SettingsUnusable."""
        return TrustServerCredentials(self.credentials, EnvironmentToken(self.environ, self.settings))

    def registry(self, observer: Observer | None = None) -> Registry:
        """Return a client for image registries, the same each time; with an observer one of its own.

        `observer`: notes what happens on the connection, for `trust doctor`. Raises: SettingsUnusable (no home folder).
        """
        from trustcli.registry.client import Registry

        if observer is None and self._registry is not None:
            return self._registry
        made = Registry(self.network(observer), self.credentials, insecure=self.settings.insecure_registries)
        if observer is None:
            self._registry = made
        return made

    def engine(self) -> Engine:
        """Return a client for the container engine on this machine."""
        from trustcli.registry.engine import Engine

        return Engine(self.network())


def open_session(options: GlobalOptions) -> Session:
    """Return the session of this process, from its environment and the global options. Raises: SettingsUnusable."""
    environ = plain_environment(os.environ)
    settings = load_settings(options, environ, interactive=sys.stdin is not None and sys.stdin.isatty())
    output = Output(stdout=sys.stdout, stderr=sys.stderr, as_json=settings.json)
    start_log(settings.log, output)
    _log.info("home folder %s, settings %s", settings.home, settings.file if settings.file.exists() else "none")
    return Session(settings=settings, environ=environ, output=output, at=datetime.now(UTC))


def open_called_session(
    options: GlobalOptions, environ: Mapping[str, str], *, output: Output, ask: AskCaller | None
) -> Session:
    """Return the session of one call of the Python API: nobody is asked at a terminal.

    A lock file counts only if it is named: where a process runs that embeds us is not its user's choice. `ask`: asks
    the calling program for passphrases. Raises: SettingsUnusable, FileNewer, FileExposed.
    """
    environ = plain_environment(environ)
    settings = load_settings(options, environ, interactive=False)
    if not options.lock:
        settings = replace(settings, lock=None)
    passphrases = None
    if ask is not None:
        from keys.passphrase import EnvironmentPassphrases
        from trustcli.console.caller_passphrases import CallerPassphrases

        passphrases = CallerPassphrases(ask, otherwise=EnvironmentPassphrases(environ, None))
    return Session(settings=settings, environ=environ, output=output, at=datetime.now(UTC), passphrases=passphrases)


def open_hook_session(*, config: Path | None, state: Path | None) -> Session:
    """Return the session of a pull-time hook; all its output but the verdict goes to standard error.

    With `config`, variables named TRUST_* are ignored, and Docker's configuration is read from `docker/` beside that
    file unless DOCKER_CONFIG is set: the container runtime's own environment and home folder must decide nothing.
    Credential helpers get half of the verdict's time limit, since a process that ends before its helpers would leave
    them running, and busy servers are waited for a quarter of it.

    Raises: SettingsUnusable.
    """
    environ = hook_environment(os.environ, config)
    settings = load_hook_settings(environ, config=config, state=state)
    output = Output(stdout=sys.stderr, stderr=sys.stderr, as_json=False)
    start_log(settings.log, output)
    timeout = settings.verifier.timeout
    return Session(
        settings=settings,
        environ=environ,
        output=output,
        at=datetime.now(UTC),
        helper_timeout=timeout / 2,
        patience=timeout / 4,
    )


def wall_clock() -> datetime:
    """Return what time it is (UTC), for processes that stay; all others read it once, as `Session.at`."""
    return datetime.now(UTC)
