"""Push a policy to the registry from which nodes fetch it: what is there now, what would change, and the change."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from keys.record import values_of
from trustcli.client.policy_file import read_to_distribute
from trustcli.errors import ImageNotFound, UsageError
from trustcli.registry.client import Registry
from trustcli.registry.policy_artifact import PolicyArtifact, fetch_policy, policy_artifact, policy_layer
from trustcli.registry.pushing import PUSH, push_artifact
from trustcli.registry.reference import ImageReference, parse_reference
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.errors import PolicyMalformed, shown
from trustdata.policy.review import Note, review_distributed


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPush:
    """A policy that is to be pushed.

    `reference`: `NAME:TAG`. `rules`: how many it has. `notes`: what its owner should know. `replaces`: the digest of
    what stands under the tag now, if anything. `overwrites`: a sentence, if that is no policy. `changes`: whether the
    registry lacks anything of it.
    """

    registry: Registry
    reference: ImageReference
    artifact: PolicyArtifact
    rules: int
    notes: tuple[Note, ...]
    replaces: str | None
    overwrites: str
    changes: bool

    @classmethod
    def of(cls, session: Session, file: Path, name: str) -> PolicyPush:
        """Read the file, and see what the registry has.

        Raises: PolicyMalformed, FileNewer, InvalidName, UsageError (no tag, or a digest), RemoteRefused,
        RemoteUnreachable, RemoteMisbehaved, ContentMismatch, TooLarge, SettingsUnusable.
        """
        raw, policy = read_to_distribute(file)
        reference = parse_reference(name)
        if reference.tag is None or reference.digest is not None:
            fault = "leave out the digest" if reference.digest is not None else "name the tag, too"
            raise UsageError(f"{shown(name)}: a policy is pushed to NAME:TAG; {fault}")
        registry, artifact = session.registry(), policy_artifact(raw)
        there = _standing(registry, reference)
        digest = None if there is None else f"sha256:{hashlib.sha256(there).hexdigest()}"
        is_there = digest == artifact.digest and _can_be_fetched(registry, reference, artifact)
        overwrites = ""
        if there is not None and not _is_policy(there, reference):
            overwrites = f"{reference} is {digest} in the registry, which is no policy"
        return cls(
            registry=registry,
            reference=reference,
            artifact=artifact,
            rules=len(policy.rules),
            notes=review_distributed(policy, session.at),
            replaces=None if digest == artifact.digest else digest,
            overwrites=overwrites,
            changes=not is_there,
        )

    def carry_out(self) -> None:
        """Push what is missing, and fetch it as nodes will.

        Raises: ImageNotFound, ContentMismatch, RemoteRefused, RemoteUnreachable, RemoteMisbehaved.
        """
        if self.changes:
            manifest, blobs = self.artifact.manifest, self.artifact.blobs
            push_artifact(self.registry, self.reference, manifest=manifest, blobs=blobs)
            fetch_policy(self.registry, _by_digest(self.reference, self.artifact))

    @property
    def pushed(self) -> ImageReference:
        """What is pushed, with its digest."""
        return replace(self.reference, digest=self.artifact.digest)

    @property
    def sign(self) -> str:
        """The command that signs it."""
        return f"trust sign {self.pushed}"

    @property
    def planned(self) -> str:
        """What would be done, in one line."""
        if not self.changes:
            return f"{self.pushed} is there: nothing to do"
        place = f", in place of {self.replaces}" if self.replaces else ""
        kind = ", which is no policy" if self.overwrites else ""
        return f"would be pushed: {self.pushed} ({counted(self.rules, 'rule')}){place}{kind}"

    @property
    def told(self) -> str:
        """What was done, in one line."""
        if not self.changes:
            return "it is there: nothing was pushed"
        return f"pushed {counted(self.rules, 'rule')}" + (f", in place of {self.replaces}" if self.replaces else "")

    @property
    def row(self) -> dict[str, object]:
        """What `--json` has of it."""
        return {
            "name": str(self.reference),
            "digest": self.artifact.digest,
            "rules": self.rules,
            "replaces": self.replaces,
            "sign": self.sign,
            "notes": [values_of(note) for note in self.notes],
        }


def _standing(registry: Registry, reference: ImageReference) -> bytes | None:
    """Return the manifest that stands under the tag now; None if there is none."""
    try:
        return registry.manifest_bytes(reference, actions=PUSH)
    except ImageNotFound:
        return None


def _is_policy(manifest: bytes, reference: ImageReference) -> bool:
    try:
        policy_layer(manifest, source=str(reference))
    except PolicyMalformed:
        return False
    return True


def _can_be_fetched(registry: Registry, reference: ImageReference, artifact: PolicyArtifact) -> bool:
    """Return whether the registry has the policy as well as its manifest."""
    try:
        fetch_policy(registry, _by_digest(reference, artifact))
    except ImageNotFound:
        return False
    return True


def _by_digest(reference: ImageReference, artifact: PolicyArtifact) -> ImageReference:
    return replace(reference, tag=None, digest=artifact.digest)
