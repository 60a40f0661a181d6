"""Sign tags by digest, as the registry serves them, for `trust sign` and the Python API (docs/adr/0029, 0033).

1. resolve   ask the registry for each image, and tell the digest of the bytes that it returns
2. edit      set the tag; refuse if it has meanwhile moved to a third value
3. publish   all tags of a collection in one upload; try again if others publish
4. verify    judge the tags as a client does, before reporting success
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from trustcli.client.collection import Collection
from trustcli.commands.support.owner_decisions import (
    tell_what_was_unsound,
)
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.publication import check_visible
from trustcli.commands.support.tag_movement import move_warning, released_as, tag_changed
from trustcli.errors import (
    ImageNotFound,
    ImageNotPushed,
    UsageError,
)
from trustcli.publish.plan import Current, Planned
from trustcli.publish.preparation import HeldKeys, Roles
from trustcli.publish.store_keys import StoreKeys
from trustcli.registry.client import Registry
from trustcli.registry.manifest import Manifest
from trustcli.registry.reference import ImageReference, parse_reference
from trustcli.session import Session
from trustdata.digest import hex_of
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import NOTHING_DECIDED, OwnerDecisions, OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms, TagEdit
from trustdata.errors import (
    TagMismatch,
)
from trustdata.gun import GUN, Tag
from trustdata.judgement import Question, judge
from trustdata.model import Signer, UnusableTarget
from trustdata.roles import TARGETS, RoleName, is_delegated, signer_name, signer_role
from trustdata.verification.target_lookup import Target, read_target


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRequest:
    """One image to sign: its reference, its tag, and the manifest that the tag shall stand for."""

    reference: ImageReference
    tag: Tag
    manifest: Manifest

    @property
    def edit(self) -> TagEdit:
        return TagEdit(
            tag=self.tag,
            digest=hex_of(self.manifest.digest),
            length=self.manifest.size,
            children=self.manifest.children,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningTerms:
    """How images are signed: as one signer only, if `signer` names one.

    `decisions`: of the owner about other roles. `extra`: signers besides the keys of the store.
    """

    signer: str | None
    decisions: OwnerDecisions = NOTHING_DECIDED
    extra: tuple[Signer, ...] = ()


class LookedUpImages:
    """The manifests of images, by collection: each is looked up once, so that it stays what was shown.

    `local`: take what the container engine has pushed. Raises: UsageError (an image without a tag), when made.
    """

    def __init__(self, session: Session, references: Iterable[ImageReference], *, local: bool) -> None:
        self._session = session
        self._local = local
        self._by_gun: dict[GUN, list[ImageReference]] = {}
        self._found: dict[GUN, list[TagRequest]] = {}
        for reference in references:
            if reference.tag is None:
                raise UsageError(f"{reference.given} names no tag; sign a tag, such as {reference.gun}:1.0")
            self._by_gun.setdefault(reference.gun, []).append(reference)

    @property
    def guns(self) -> tuple[GUN, ...]:
        """The collections of the images, each once, in order."""
        return tuple(self._by_gun)

    def requests(self, gun: GUN) -> list[TagRequest]:
        """Return the images of one collection, each tag once.

        Raises: UsageError (one tag as two digests), and as `resolve`.
        """
        if gun not in self._found:
            by_tag: dict[Tag, TagRequest] = {}
            for item in resolve(self._session, self._by_gun[gun], local=self._local):
                first = by_tag.setdefault(item.tag, item)
                if first.manifest.digest != item.manifest.digest:
                    digests = f"{first.manifest.digest} and as {item.manifest.digest}"
                    raise UsageError(f"{gun}:{item.tag} cannot be signed as {digests}")
            self._found[gun] = list(by_tag.values())
        return self._found[gun]


def resolve(session: Session, references: Sequence[ImageReference], *, local: bool) -> list[TagRequest]:
    """Return the manifest of each image (step 1), and tell its digest.

    Raises: UsageError (no tag), ImageNotFound, ImageNotSupported, SettingsUnusable, RemoteUnreachable, RemoteRefused,
    RemoteMisbehaved, TooLarge.
    """
    registry = session.registry()
    requests = []
    for reference in references:
        manifest = _pushed(session, registry, reference) if local else registry.resolve(reference)
        session.output.notice(
            f"{reference.gun}:{reference.tag} is {manifest.digest} (a manifest of {manifest.size} bytes)"
        )
        if reference.tag is None:
            raise UsageError(f"{reference} names no tag")
        requests.append(TagRequest(reference=reference, tag=reference.tag, manifest=manifest))
    return requests


def _pushed(session: Session, registry: Registry, reference: ImageReference) -> Manifest:
    """Return the manifest that the registry has under the reference, if it is one that the engine has pushed or pulled.

    An engine may know several digests of one repository, in no fixed order and not by tag: only the registry says which
    of them is behind the tag.

    Raises: ImageNotFound (push it first), ImageNotPushed, SettingsUnusable, EngineUnreachable, and the errors of
    `Registry.resolve`.
    """
    engine = session.engine()
    names = map(parse_reference, engine.repo_digests(reference.given.partition("@")[0]))
    known = [name.digest for name in names if name.gun == reference.gun and name.digest]
    if not known:
        reason = "the engine has not pushed it to this repository; push it first: docker push"
        raise ImageNotFound(image=reference.given, registry=engine.name, reason=reason)
    manifest = registry.resolve(reference)
    if manifest.digest not in known:
        raise ImageNotPushed(
            image=str(reference), found=manifest.digest, engine=engine.name, digests=tuple(sorted(known))
        )
    return manifest


def plan_tags(
    session: Session,
    planning: Planning,
    collection: Collection,
    gun: GUN,
    items: Sequence[TagRequest],
    terms: SigningTerms,
    *,
    created: Current | None = None,
) -> Planned:
    """Return what `sign_tags` would publish.

    `gun`: as it was named, perhaps an alias. `created`: the roles of a collection that must be made first. Raises: as
    `sign_tags`.
    """
    keys = planning.keys.held_keys(terms.extra)
    return planning.plan(
        collection,
        TagEdits(gun, items, keys, terms.signer, EditTerms.of(collection.wire, at=session.at)),
        keys,
        read=None if created is None else lambda: created,
        decisions=terms.decisions,
        afterwards=lambda after: check_signed(gun, items, terms, after),
    )


def check_signed(gun: GUN, items: Sequence[TagRequest], terms: SigningTerms, roles: OwnerRoles) -> None:
    """Check that a client would trust each image. `roles`: as they are after the publish. Raises: the refusal."""
    for item in items:
        refusal = judge(_question(gun, item, terms.signer), roles).refusal
        if refusal is not None:
            raise refusal


def _question(gun: GUN, item: TagRequest, signer: str | None) -> Question:
    required = (signer,) if signer else ()
    return Question(gun=gun, tag=item.tag, digest=item.manifest.digest, required_signers=required)


def sign_tags(session: Session, gun: GUN, items: Sequence[TagRequest], terms: SigningTerms, *, keys: StoreKeys) -> bool:
    """Run steps 2 to 4 for one collection; return False if all of it was signed already.

    Raises: TagChanged, PublishRefused, KeysError, NotTrusted, RemoteUnreachable, RemoteRefused, RemoteMisbehaved.
    """
    collection = session.collection(gun)
    edit_terms = EditTerms.of(collection.wire, at=session.at)
    edit = TagEdits(gun, items, keys, terms.signer, edit_terms, warn=session.output.warn)
    publisher = session.publisher(collection, keys, lambda: collection.owner_roles(terms.decisions))
    outcome = publisher.publish(edit, lambda _, after: check_signed(gun, items, terms, after))
    tell_what_was_unsound(session, gun, outcome)
    if outcome.published is None:
        session.output.notice(f"{gun}: signed already, nothing to publish")
    own = [role for role in outcome.uploads if is_delegated(role)]
    answers = session.collection(gun).judge((_question(gun, item, terms.signer) for item in items), own=own)
    for item, answer in zip(items, answers, strict=True):
        if isinstance(answer.refusal, TagMismatch):
            edit.check_still_ours(item, session.collection(gun).owner_roles(), server=collection.server.name)
        if answer.refusal is not None:
            raise answer.refusal
    return outcome.published is not None


class TagEdits:
    """Step 2: an edit that sets tags, and remembers what they stood for at the first call."""

    def __init__(
        self,
        gun: GUN,
        items: Sequence[TagRequest],
        keys: HeldKeys,
        signer: str | None,
        terms: EditTerms,
        *,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take `warn`, which is called once for each tag that is signed as something else, so far or besides."""
        self._gun = gun
        self._items = items
        self._keys = keys
        self._signer = signer
        self._terms = terms
        self._warn = warn
        self._seen: Mapping[str, str] | None = None

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return the contents that still have to change. Raises: TagChanged, PublishRefused, ReleaseConflict."""
        held = self._keys.held(repository_editor.public_keys(roles, {}))
        roles_to_sign = repository_editor.roles_for_signing(self._gun, roles, held, self._signer)
        roles.check_may_sign(roles_to_sign)
        current = {item.tag: roles.find_released(item.tag) for item in self._items}
        outdated = repository_editor.outdated_in_targets(roles, (item.edit for item in self._items))
        removable = TARGETS in repository_editor.signable_roles(roles, held) and TARGETS not in roles.unvouched
        if self._seen is None:
            for tag, digest in outdated.items() if not removable else ():
                self._warn(
                    f"targets lists {self._gun}:{tag} as sha256:{digest} still, which cannot be taken out from here: "
                    "clients that are shown no targets/releases take that; let the holder of the repository key sign "
                    "the tag again"
                )
            self._seen = {str(tag): released_as(target) for tag, target in current.items()}
            self._warn_of_moves(current, roles)
        missing = []
        for item in self._items:
            self._check_unmoved(item, current[item.tag], roles)
            if not all(_lists(roles, role, item.edit) for role in roles_to_sign):
                missing.append(item.edit)
        changed: Contents = {}
        if outdated and removable:
            changed = repository_editor.remove_tags(roles, outdated, from_roles=[TARGETS], terms=self._terms)
        if missing:
            changed |= repository_editor.set_tags(roles, missing, into=roles_to_sign, terms=self._terms)
        return changed

    def _warn_of_moves(self, current: Mapping[Tag, Target | None], roles: Roles) -> None:
        """Warn of each tag that is signed as another digest than the registry serves now, before it is signed again."""
        for item in self._items:
            target = current[item.tag]
            if target is not None and released_as(target) != item.manifest.digest:
                self._warn(move_warning(self._gun, item.tag, target, roles, to=item.manifest.digest))

    def check_still_ours(self, item: TagRequest, roles: OwnerRoles, *, server: str) -> None:
        """Check step 4 for a tag that stands for another digest than the signed one.

        Either somebody changed it after our publish (TagChanged), or the server did not store our publish
        (RemoteMisbehaved).
        """
        target = roles.find_released(item.tag)
        what = f"{self._gun}:{item.tag} as {item.manifest.digest}"
        check_visible(
            target is None or released_as(target) != (self._seen or {}).get(item.tag), server=server, what=what
        )
        self._check_unmoved(item, target, roles)

    def _check_unmoved(self, item: TagRequest, target: Target | None, roles: Roles) -> None:
        if released_as(target) in (item.manifest.digest, (self._seen or {})[item.tag]):
            return
        signers = (signer_name(signer_role(self._signer)),) if self._signer else ()
        raise tag_changed(self._gun, item.tag, target, roles, ours=item.manifest.digest, our_signers=signers)


def _lists(roles: Roles, role: RoleName, edit: TagEdit) -> bool:
    entry = roles[role].targets.targets.get(edit.tag) if role in roles else None
    if entry is None or isinstance(entry, UnusableTarget):
        return False
    listed = read_target(role, edit.tag, entry)
    return (listed.digest, listed.length, listed.children) == (edit.digest, edit.length, edit.children)
