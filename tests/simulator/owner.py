"""Those who publish to a simulated server: the owner with all keys, and signers, each with his own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from tests.simulator.client import Client
from tests.simulator.keyring import Ring
from tests.simulator.repository import RepositorySimulator
from trustcli.publish.preparation import Roles
from trustcli.publish.publisher import Edit, Publisher, PublishResult
from trustdata.denied import DENIED_MEMBER, denied_member, deny_list
from trustdata.editing import denying
from trustdata.editing import repository_editor as editor
from trustdata.editing.owner_roles import OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms, TagEdit
from trustdata.envelope import Envelope
from trustdata.gun import parse_tag
from trustdata.lifetimes import Lifetimes
from trustdata.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, RoleName
from trustdata.verification.trust_pinning import Pin, fingerprint

EVERY_KEY = ("root", "recovery", "targets", "alice", "bob")


def digest_of(text: str) -> str:
    """A digest that names its meaning: 64 hex digits made of the text."""
    return (text.encode().hex() + "0" * 64)[:64]


def tag_edit(tag: str, digest: str, *children: str) -> TagEdit:
    return TagEdit(tag=parse_tag(tag), digest=digest, length=1000, children=children)


class FakeBackoff:
    """`Backoff` without waiting: each pause costs its longest time on a clock of its own."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.leasts: list[float] = []

    def elapsed(self) -> float:
        return self.seconds

    def pause(self, longest: float, *, least: float = 0) -> None:
        self.pauses.append(longest)
        self.leasts.append(least)
        self.seconds += least + longest


class Owner:
    """Publishes through the production publisher; `keys` are the names of the keys that he holds."""

    def __init__(
        self,
        server: RepositorySimulator,
        *keys: str,
        lifetimes: Lifetimes | None = None,
        at: datetime | None = None,
    ) -> None:
        self.server = server
        self.ring = Ring(*(keys or EVERY_KEY))
        self.lifetimes = lifetimes or server.wire.lifetimes
        self.backoff = FakeBackoff()
        self._at = at

    @property
    def at(self) -> datetime:
        return self._at or self.server.at

    @property
    def terms(self) -> EditTerms:
        return EditTerms(at=self.at, lifetimes=self.lifetimes, wire=self.server.wire)

    def read(self) -> OwnerRoles:
        """The collection as the server has it now, verified (nothing before it is initialised)."""
        if not self.server.stored:
            return OwnerRoles()
        first = self.server.wire.parse(ROOT, self.server.files[self.server.wire.filename(ROOT, version=1)])
        return Client(self.server, pins=[fingerprint(first)], at=self.at).collection().owner_roles()

    def publisher(self, read: Callable[[], OwnerRoles] | None = None) -> Publisher:
        return Publisher(
            gun=self.server.gun,
            wire=self.server.wire,
            remote=self.server,
            keys=self.ring,
            read=read or self.read,
            at=lambda: self.at,
            backoff=self.backoff,
        )

    def publish(self, edit: Edit) -> PublishResult:
        return self.publisher().publish(edit)

    def prepare(self, edit: Edit) -> Mapping[RoleName, Envelope]:
        """Signed and judged, not sent."""
        roles = self.read()
        return self.publisher().prepare(roles, edit(roles))

    # --- what owners do

    def initialise(self, *root_keys: str, threshold: int = 1) -> Pin:
        """Make the collection; returns its pin."""
        contents = editor.new_collection(
            root_keys=[self.server.keys.root_key(name) for name in root_keys or ("root", "recovery")],
            threshold=threshold,
            targets_key=self.server.keys.key("targets"),
            snapshot_key=self.server.online_key(self.server.gun, SNAPSHOT),
            timestamp_key=self.server.online_key(self.server.gun, TIMESTAMP),
            terms=self.terms,
        )
        outcome = self.publish(lambda _: contents)
        return fingerprint(outcome.uploads[ROOT])

    def sign(self, tag: str, digest: str, *children: str) -> PublishResult:
        return self.publish(lambda roles: self.signing(roles, tag_edit(tag, digest, *children)))

    def signing(self, roles: Roles, *edits: TagEdit) -> Contents:
        into = editor.roles_for_signing(self.server.gun, roles, self.ring.held(editor.public_keys(roles, {})))
        return editor.set_tags(roles, edits, into=into, terms=self.terms)

    def revoke(self, tag: str) -> PublishResult:
        return self.publish(
            lambda roles: editor.remove_tags(
                roles,
                [tag],
                from_roles=editor.signable_roles(roles, self.ring.held(editor.public_keys(roles, {}))),
                terms=self.terms,
            )
        )

    def deny(self, *digests: str, reason: str = "") -> PublishResult:
        """Deny digests (hex), in Notary v1 as whoever writes the member with another program does."""
        reasons = {f"sha256:{digest}": reason for digest in digests}

        def edit(roles: Roles) -> Contents:
            if self.server.wire.keeps_members:
                return denying.deny(self.server.gun, roles, reasons, terms=self.terms)
            before = deny_list(self.server.gun, roles[TARGETS].targets)
            changed = editor.renew(roles, [TARGETS], terms=self.terms)
            changed[TARGETS].unrecognized_fields[DENIED_MEMBER] = denied_member(before.reasons() | reasons, before)
            return changed

        return self.publish(edit)

    def deny_no_longer(self, *digests: str) -> PublishResult:
        named = [f"sha256:{digest}" for digest in digests]
        return self.publish(lambda roles: denying.deny_no_longer(self.server.gun, roles, named, terms=self.terms))

    def add_signer(self, name: str) -> PublishResult:
        keys = [self.server.keys.key(name)]
        return self.publish(lambda roles: editor.add_signer(roles, name, keys, terms=self.terms))

    def remove_signer(self, name: str) -> PublishResult:
        return self.publish(lambda roles: editor.remove_signer(self.server.gun, roles, name, terms=self.terms))

    def renew(self, *roles: RoleName) -> PublishResult:
        return self.publish(lambda current: editor.renew(current, roles, terms=self.terms))

    def replace_online_key(self, role: RoleName) -> PublishResult:
        new = self.server.new_online_key(self.server.gun, role)
        return self.publish(lambda roles: editor.replace_online_keys(roles, {role: new}, terms=self.terms))
