"""`trust sign`: sign tags by digest, and make a collection that nobody knows, if that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from trustcli.client.collection import Collection
from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.change_options import AgreeToAlias, OnlyPlan
from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.creation import Recovery, create, decide_recovery, recovery_choice
from trustcli.commands.support.creation import plan as plan_creation
from trustcli.commands.support.key_file import signers_of
from trustcli.commands.support.list_options import ImagesFile
from trustcli.commands.support.many import carry_out, plan_each
from trustcli.commands.support.name_lists import image_references
from trustcli.commands.support.names import parse_format
from trustcli.commands.support.owner_decisions import (
    AcceptExpired,
    AcceptUnsigned,
    StartEmpty,
    owner_decisions,
)
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.signing import LookedUpImages, SigningTerms, TagRequest, plan_tags, sign_tags
from trustcli.publish.bulk.work import Done
from trustcli.publish.plan import Plan, Planned
from trustcli.session import Session
from trustdata.errors import (
    NoTrustData,
    TrustError,
)
from trustdata.gun import GUN
from trustdata.wire import WireFormat
from trustdata.wire.tuf import TUF

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("sign")
def command(
    ctx: typer.Context,
    images: Annotated[list[str] | None, typer.Argument(metavar="IMAGE:TAG[@DIGEST]...")] = None,
    images_file: ImagesFile = None,
    signer: Annotated[str | None, typer.Option(help="Sign as this signer only.")] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Sign with this private key (PEM, or a key URI), too; it is not stored."),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Take the digest that the container engine pushed.")] = False,
    init_: Annotated[bool, typer.Option("--init", help="Make the collection if nobody knows the name.")] = False,
    recovery_key: Annotated[
        str | None, typer.Option(metavar="FILE|URI", help="With --init: the recovery key's file, or a key URI.")
    ] = None,
    no_recovery_key: Annotated[bool, typer.Option("--no-recovery-key", help="With --init: no recovery key.")] = False,
    format_: Annotated[str, typer.Option("--format", help="With --init: the wire format, tuf or notary.")] = "tuf",
    yes: AgreeToAlias = False,
    plan_: OnlyPlan = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    start_empty: StartEmpty = None,
) -> int:
    """Sign tags by digest; several images of one collection are published together."""
    session: Session = ctx.obj
    recovery = recovery_choice(recovery_key, none=no_recovery_key)
    wire = parse_format(format_)
    looked_up = LookedUpImages(session, image_references(images, images_file), local=local)
    terms = SigningTerms(
        signer=signer,
        extra=signers_of(session, key) if key is not None else (),
        decisions=owner_decisions(
            guns=looked_up.guns, accept_unsigned=accept_unsigned, accept_expired=accept_expired, start_empty=start_empty
        ),
    )
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
        keys = session.held_keys(terms.extra)
        creation.create_if_wanted(gun)
        changed = sign_tags(session, gun, items, terms, keys=keys)
        names = [f"{gun}:{item.tag}@{item.manifest.digest}" for item in items]
        rows = [
            {"name": name, "tag": item.tag, "digest": item.manifest.digest, "signed": True}
            for name, item in zip(names, items, strict=True)
        ]
        return Done(changed=changed, lines=tuple(names), row={"images": rows})

    agree_to_aliases(session, looked_up.guns, yes=yes or plan_)
    if plan_:
        return plan_each(session, looked_up.guns, check)
    outcomes = carry_out(session, looked_up.guns, check=check, do=sign, blank=lambda _: {"images": []})
    signed = [image for row in outcomes.rows("done", "nothing to do") for image in row["images"]]
    return outcomes.report(images=signed)


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
    return None if wire is TUF or session.names.named(gun).pinned in session.pins.load() else wire


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
        before = [plan_creation(session, planning, gun, decide_recovery(session, recovery), wire=wire)]
        if before[0].after is None:
            return before
    created = before[0].after if before else None
    return [*before, plan_tags(session, planning, collection, gun, items, terms, created=created)]
