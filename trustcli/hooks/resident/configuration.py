"""Settings, pins and policy of a resident hook, read together, and read again when one of the files was changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keys.record import record
from trustcli.client.policy_file import load_policy
from trustcli.config.hook_environment import hook_environment
from trustcli.config.settings import load_hook_settings
from trustcli.console.output import Output
from trustcli.errors import NoTrustServer, SettingsUnusable
from trustcli.hooks.deciding.context import context_hash
from trustcli.hooks.resident.memory_folder import MemoryFolder
from trustcli.hooks.resident.watched_files import Stamp, is_changed, stamps_of
from trustcli.http.time_budget import Timeouts
from trustcli.session import Session, wall_clock
from trustdata.errors import TrustError

if TYPE_CHECKING:
    from trustcli.client.collection import Collection
    from trustcli.config.settings import Settings
    from trustdata.gun import GUN
    from trustdata.policy import Alias, Policy, Rule
    from trustdata.verification.rollback_memory import Memory

_TIMEOUTS: Final = Timeouts(connect=5.0, read=10.0, overall=20.0)
"""Those who wait for a verdict are gone after that; a thread is better used for others then."""
_CONNECTIONS: Final = 16
"""How many connections each thread keeps."""
_HELPER_SECONDS: Final = 5.0


class JournalOutput(Output):
    """Output of a process that stays: a warning is written each time, since remembering them all would take memory."""

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.notice(f"warning: {text}")


@record
class Source:
    """Where the files are. `environ`: of the process. `config`: a settings file; it alone counts then.

    `state`: the folder for rollback memory and cache, of this hook alone. `policy`: used in place of the settings'.
    """

    environ: Mapping[str, str]
    output: Output
    state: Path
    config: Path | None = None
    policy: Path | None = None

    def settings(self) -> Settings:
        """Return the settings as they are now. Raises: SettingsUnusable, FileNewer, FileExposed."""
        environ = hook_environment(self.environ, self.config)
        return load_hook_settings(environ, config=self.config, state=self.state)


@record
class Configuration:
    """All by which images are decided about. `policy`: why it cannot be used, if it cannot; None if there is none.

    `aliases`: of the settings' policy, or why they cannot be read; they count where no policy decides.
    `contexts`: the hash of what decides, with the policy and the allow list, with the policy alone, with neither.
    `stamps`: of the files, before they were read.
    """

    session: Session
    policy: Policy | TrustError | None
    aliases: tuple[Alias, ...] | str
    contexts: tuple[str, str, str]
    stamps: Mapping[Path, Stamp]
    policy_file: Path | None

    @property
    def is_current(self) -> bool:
        """Whether no file was changed since."""
        return not any(is_changed(file, stamp) for file, stamp in self.stamps.items())

    def same_but_policy(self, other: Configuration) -> bool:
        """Return whether collections are opened in the same way: no other file was changed, and no alias."""
        return self.aliases == other.aliases and self._stamps_but_policy() == other._stamps_but_policy()

    def _stamps_but_policy(self) -> dict[Path, Stamp]:
        policies = {self.policy_file, self.session.settings.verifier.policy}
        return {file: stamp for file, stamp in self.stamps.items() if file not in policies}


def load_configuration(source: Source) -> Configuration:
    """Read settings and policy. Raises: SettingsUnusable, FileNewer, FileExposed.

    A policy that cannot be used raises nothing: the allow list still counts (`deciding.allow_list`).
    """
    before = source.settings()
    file = source.policy or before.verifier.policy
    policies = [policy for policy in (file, before.verifier.policy) if policy is not None]
    stamps = stamps_of([before.file, before.home / "pins.toml", *policies])
    settings = source.settings()
    if (source.policy or settings.verifier.policy) != file or settings.home != before.home:
        raise SettingsUnusable(place=str(settings.file), reason="was changed while it was read")
    try:
        contexts = (
            context_hash(settings, policy=file, with_allow_list=True),
            context_hash(settings, policy=file, with_allow_list=False),
            context_hash(settings, policy=None, with_allow_list=False),
        )
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsUnusable(place=str(error.filename or settings.home), reason=reason) from error
    session = Session(
        settings=settings,
        environ=hook_environment(source.environ, source.config),
        output=source.output,
        at=wall_clock(),
        helper_timeout=_HELPER_SECONDS,
        patience=0.0,
        timeouts=_TIMEOUTS,
        kept_connections=_CONNECTIONS,
    )
    return Configuration(
        session=session,
        policy=_policy_of(session, file),
        aliases=_aliases_of(session),
        contexts=contexts,
        stamps=stamps,
        policy_file=file,
    )


def _policy_of(session: Session, file: Path | None) -> Policy | TrustError | None:
    try:
        policy = load_policy(file) if file is not None else None
        if policy is not None:
            session.names.check(policy)
    except TrustError as error:
        return error
    return policy


def _aliases_of(session: Session) -> tuple[Alias, ...] | str:
    """Return the aliases of the settings' policy, for whoever is judged by none; or why they cannot be read."""
    try:
        return session.names.aliases
    except TrustError as error:
        return str(error)


class SessionCollections:
    """Opens collections of one session, for a `ResidentReader`: its `CollectionSource`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._memory = MemoryFolder(session.settings.memory_folder / "seen")

    def collection(self, gun: GUN, rule: Rule | None) -> Collection:
        """Return the collection as the rule wants it read. Raises: TrustError.

        A host is not asked only because somebody has named it in an image: whoever may create a Pod would send us
        where they cannot go themselves. What nothing pins could not be trusted anyway.
        """
        settings = self._session.settings
        if not (
            (rule and rule.server)
            or settings.names_server_for(gun)
            or self._is_pinned(gun, rule, by_policy=rule is not None)
        ):
            host = gun.partition("/")[0]
            raise NoTrustServer(gun=gun, registry=host, settings=str(settings.file), unpinned=True)
        return self._session.collection(
            gun,
            policy_pins=rule.sourced_pins() if rule else (),
            policy_max_life=rule.max_life if rule else None,
            policy_server=rule.server if rule else "",
            by_policy=rule is not None,
            memory=self._memory,
            memory_required=True,
        )

    def server(self, gun: GUN, rule: Rule | None) -> str:
        """Return the URL of its trust server; empty if none is known."""
        try:
            return (rule.server if rule else "") or self._session.settings.server_for(gun)
        except NoTrustServer:
            return ""

    def remembered(self, gun: GUN) -> tuple[GUN, Memory] | None:
        """Return the rollback memory of a name, and whose it is. Raises: TrustError (it cannot be read)."""
        real = self._session.real_name(gun)
        memory = self._memory.load(real)
        return None if memory is None else (real, memory)

    def knows(self, gun: GUN, rule: Rule | None) -> bool:
        """Return whether a pin is for it, or for names of which it is one. Raises: InvalidName, SettingsUnusable.

        A pin for every name is for none: whoever names an image would choose the host that is asked.
        """
        return self._is_pinned(
            gun, rule if rule is not None and rule.match != "*" else None, by_policy=rule is not None
        )

    def _is_pinned(self, gun: GUN, rule: Rule | None, *, by_policy: bool) -> bool:
        named = self._session.names.named(gun, by_policy=not by_policy)
        return bool(self._session.known_pins(named.pinned, rule.sourced_pins() if rule else ()))
