"""Decide by a policy file, reading it, the settings and the trust data anew for each image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from trustcli.client.policy_file import load_policy
from trustcli.hooks.deciding.decider import PolicyDecider
from trustcli.hooks.deciding.decision import Decision, SignedTags
from trustcli.hooks.deciding.once import OnceReader
from trustdata.errors import TrustError

if TYPE_CHECKING:
    from trustcli.registry.reference import ImageReference
    from trustcli.session import Session
    from trustdata.gun import GUN


class FileDecider:
    """A `Decider` by the policy in a file. Safe for threads: nothing is kept from one decision to the next.

    `open_session`: returns the session of one decision. A policy, settings or pins that cannot be read refuse every
    image until they can.
    """

    def __init__(self, policy: Path, open_session: Callable[[], Session]) -> None:
        self._policy = policy
        self._open = open_session

    def decide(self, reference: ImageReference, digest: str | None = None) -> Decision:
        """Decide about a name. `digest` (`sha256:HEX`): what the registry serves under it, if that is known."""
        session: Session | None = None
        try:
            session = self._open()
            return self._decider(session).decide(reference, digest)
        except TrustError as error:
            return Decision.refused(reference.given, reference.gun, error)
        finally:
            if session is not None:
                session.close()

    def signed_tags(self, gun: GUN) -> SignedTags:
        """Return the tags of a name that may run, by the same rules."""
        session: Session | None = None
        try:
            session = self._open()
            return self._decider(session).signed_tags(gun)
        except TrustError as error:
            return SignedTags(trust_name=gun, tags={}, refusal=error)
        finally:
            if session is not None:
                session.close()

    def _decider(self, session: Session) -> PolicyDecider:
        """Return the decider of one session. Raises: PolicyMalformed, FileNewer, FileExposed."""
        policy = load_policy(self._policy)
        reader = OnceReader(session, memory_required=True)
        return PolicyDecider(policy, session.settings.verifier.allow, reader, at=lambda: session.at)
