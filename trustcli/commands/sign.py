"""`trust sign`: sign tags by digest, as the registry serves them, without a container engine (docs/adr/0029, 0033).

1. resolve   ask the registry for each image, and show the digest of the bytes that it returns
2. edit      set the tag; refuse if it has meanwhile moved to a third value
3. publish   all tags of a collection in one upload; try again if others publish
4. verify    judge the tags as a client does, before reporting success
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from trustcli.client.collection import Collection
from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.founding import Recovery, create, decide_recovery, recovery_choice
from trustcli.commands.support.founding import plan as plan_founding
from trustcli.commands.support.list_options import ImagesFile
from trustcli.commands.support.many import Done, carry_out, plan_each
from trustcli.commands.support.name_lists import image_references
from trustcli.commands.support.names import parse_format
from trustcli.commands.support.owner_decisions import (
    AcceptExpired,
    AcceptUnsigned,
    StartEmpty,
    owner_decisions,
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
from trustcli.publish.plan import Plan, Planned
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
    NoTrustData,
    TagMismatch,
    TrustError,
)
from trustdata.gun import GUN, Tag
from trustdata.judgement import Question, judge
from trustdata.model import UnusableTarget
from trustdata.roles import TARGETS, RoleName, is_delegated, signer_name, signer_role
from trustdata.verification.target_lookup import Target, read_target
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF

app = typer.Typer(add_completion=False, rich_markup_mode=None)


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
    """How images are signed: as one signer only, if `signer` names one; `decisions`: of the owner about other roles."""

    signer: str | None
    decisions: OwnerDecisions = NOTHING_DECIDED


@app.command("sign")
def command(
    ctx: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGE:TAG[@DIGEST]...")] = None,
    images_file: ImagesFile = None,
    signer: Annotated[str | None, typer.Option(help="Sign as this signer only.")] = None,
    local: Annotated[bool, typer.Option("--local", help="Take the digest that the container engine pushed.")] = False,
    init_: Annotated[bool, typer.Option("--init", help="Make the collection if nobody knows the name.")] = False,
    recovery_key: Annotated[Path | None, typer.Option(help="With --init: the recovery key's file.")] = None,
    no_recovery_key: Annotated[bool, typer.Option("--no-recovery-key", help="With --init: no recovery key.")] = False,
    format_: Annotated[str, typer.Option("--format", help="With --init: the wire format, tuf or notary.")] = "tuf",
    plan_: Annotated[bool, typer.Option("--plan", help="Show what would be done; nothing is written or sent.")] = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    start_empty: StartEmpty = None,
) -> int:
    """Sign tags by digest; several images of one collection are published together."""
    session: Session = ctx.obj
    recovery = recovery_choice(recovery_key, none=no_recovery_key)
    wire = parse_format(format_)
    by_gun: dict[GUN, list[ImageReference]] = {}
    for reference in image_references(images, images_file):
        by_gun.setdefault(reference.gun, []).append(_with_tag(reference))
    terms = SigningTerms(
        signer=signer,
        decisions=owner_decisions(
            guns=tuple(by_gun), accept_unsigned=accept_unsigned, accept_expired=accept_expired, start_empty=start_empty
        ),
    )
    looked_up = _LookedUp(session, by_gun, local=local)
    creation = _Creation(session, recovery, wire, create_unknown=init_)

    def check(planning: Planning, gun: GUN) -> Sequence[Plan]:
        items = looked_up.requests(gun)
        creates = init_ if planning.shown else creation.is_wanted(gun)
        planned = plan(
            session, planning, gun, items, terms, recovery=creation.recovery, wire=wire, create_unknown=creates
        )
        return [each.plan for each in planned]

    def sign(gun: GUN) -> Done:
        items = looked_up.requests(gun)
        keys = session.held_keys()
        creation.create_if_wanted(gun)
        changed = sign_tags(session, gun, items, terms, keys=keys)
        names = [f"{gun}:{item.tag}@{item.manifest.digest}" for item in items]
        rows = [
            {"name": name, "tag": item.tag, "digest": item.manifest.digest, "signed": True}
            for name, item in zip(names, items, strict=True)
        ]
        return Done(changed=changed, lines=tuple(names), row={"images": rows})

    if plan_:
        return plan_each(session, list(by_gun), check)
    outcomes = carry_out(session, list(by_gun), check=check, do=sign, blank=lambda _: {"images": []})
    signed = [image for row in outcomes.rows("done", "nothing to do") for image in row["images"]]
    return outcomes.report(images=signed)


def _with_tag(reference: ImageReference) -> ImageReference:
    if reference.tag is None:
        raise UsageError(f"{reference.given} names no tag; sign a tag, such as {reference.gun}:1.0")
    return reference


class _LookedUp:
    """The manifests of the images, by collection: each is looked up once, so that it stays what was shown."""

    def __init__(self, session: Session, by_gun: Mapping[GUN, Sequence[ImageReference]], *, local: bool) -> None:
        self._session = session
        self._by_gun = by_gun
        self._local = local
        self._found: dict[GUN, list[TagRequest]] = {}

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
    """Return the manifest of each image (step 1), and print its digest.

    Raises: UsageError (no tag), ImageNotFound, ImageNotSupported, SettingsUnusable, RemoteUnreachable, RemoteRefused,
    RemoteMisbehaved, TooLarge.
    """
    registry = session.registry()
    requests = []
    for reference in references:
        manifest = _pushed(session, registry, reference) if local else registry.resolve(reference)
        session.output.notice(f"{reference.gun}:{reference.tag} is {manifest.digest} ({manifest.size} bytes)")
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


class _Creation:
    """The decision whether an unknown collection is created, for each name once."""

    def __init__(self, session: Session, recovery: Recovery | None, wire: WireFormat, *, create_unknown: bool) -> None:
        self.recovery = recovery
        self._session = session
        self._wire = wire
        self._create_unknown = create_unknown
        self._wanted: dict[GUN, bool] = {}

    def is_wanted(self, gun: GUN) -> bool:
        """Return whether no pin, no lock entry, no memory and no server knows the name, and the user agrees.

        Raises: NoTrustData (the user does not agree, or cannot be asked), NotTrusted, RemoteUnreachable,
        RemoteRefused, RemoteMisbehaved.
        """
        session = self._session
        if gun not in self._wanted:
            unknown = _is_unknown(session.collection(gun, wire=_unpinned_format(session, gun, self._wire)))
            if unknown and not self._create_unknown:
                question = f"{gun} has no trust data. Make the collection now?"
                if session.settings.non_interactive or not confirm(session, question):
                    raise NoTrustData(gun=gun)
            if unknown:
                self.recovery = decide_recovery(session, self.recovery)
            self._wanted[gun] = unknown
        return self._wanted[gun]

    def create_if_wanted(self, gun: GUN) -> None:
        """Create the collection if it is wanted.

        Raises: as `is_wanted`; UsageError, CollectionExists, KeysError, PublishRefused.
        """
        if self.is_wanted(gun):
            create(self._session, gun, decide_recovery(self._session, self.recovery), wire=self._wire)


def _unpinned_format(session: Session, gun: GUN, wire: WireFormat) -> WireFormat | None:
    """Return the format in which the server is asked for an unpinned name, if it is not TUF 1.0."""
    return None if wire is TUF or gun in session.pins.load() else wire


def _is_unknown(collection: Collection) -> bool:
    return collection.known_by() is None and collection.on_server() is None


def plan(
    session: Session,
    planning: Planning,
    gun: GUN,
    items: Sequence[TagRequest],
    terms: SigningTerms,
    *,
    recovery: Recovery | None,
    wire: WireFormat,
    create_unknown: bool,
) -> list[Planned]:
    """Return what the command would publish for one collection: first the collection itself, if it must be created."""
    collection = planning.collection(gun, wire=_unpinned_format(session, gun, wire) if create_unknown else None)
    before: list[Planned] = []
    try:
        creates = create_unknown and _is_unknown(collection)
    except TrustError as refusal:
        return [Planned(plan=Plan(gun=gun, places={}, refusal=refusal))]
    if creates:
        collection = planning.collection(gun, wire=wire)
        before = [plan_founding(session, planning, gun, decide_recovery(session, recovery), wire=wire)]
        if before[0].after is None:
            return before
    keys = planning.keys.held_keys()
    edit = TagEdits(gun, items, keys, terms.signer, EditTerms.of(collection.wire, at=session.at))
    created = before[0].after if before else None
    read = None if created is None else lambda: created
    planned = planning.plan(
        collection,
        edit,
        keys,
        read=read,
        decisions=terms.decisions,
        afterwards=lambda after: check_signed(gun, items, terms, after),
    )
    return [*before, planned]


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
