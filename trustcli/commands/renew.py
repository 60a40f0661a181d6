"""`trust renew`: sign offline roles again, before or after they expire: same content, new version, new expiry.

1. due       roles in the last third of their life, or those that expire within --within, or all
2. renew     sign what the keys here can sign, in one publish; report the rest with the holders of its keys
3. check     the new versions can be read back, and a client accepts them

With --due, in every collection that is known here: what others must renew is told and no failure before it has expired,
and a key that cannot be opened keeps nobody from what the other keys can sign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Final, TypeAlias

import typer

from keys.errors import KeyNotFound, KeysError
from keys.keyid import short_keyid
from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.change_options import OnlyPlan
from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.durations import duration_option
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.many import carry_out, plan_each
from trustcli.commands.support.name_lists import named_collections
from trustcli.commands.support.names import known_names
from trustcli.commands.support.owner_decisions import (
    AcceptExpired,
    AcceptUnsigned,
    StartEmpty,
    owner_decisions,
    tell_what_was_unsound,
)
from trustcli.commands.support.planning import Planning
from trustcli.commands.support.publication import check_visible
from trustcli.commands.support.sight import AcceptUnseen, Sight, keep_what_is_there
from trustcli.console.output import failure_document
from trustcli.console.shared_passphrase import SharedPassphrase
from trustcli.errors import UsageError
from trustcli.publish.bulk.work import Done
from trustcli.publish.effects import check_same_releases
from trustcli.publish.openable_keys import OpenableKeys
from trustcli.publish.plan import Failure, KeyPlace, Plan
from trustcli.publish.plan_view import as_time, key_row, key_words
from trustcli.publish.planner import absent_key
from trustcli.publish.preparation import HeldKeys, Roles
from trustcli.publish.store_keys import StoreKeys
from trustcli.session import Session
from trustdata.due import Due, in_its_last_third, offline_roles, within
from trustdata.editing import repository_editor
from trustdata.editing.owner_roles import NOTHING_DECIDED, OwnerDecisions, OwnerRoles
from trustdata.editing.repository_editor import Contents, EditTerms, public_keys, signing_keys
from trustdata.envelope import Envelope
from trustdata.errors import ContentUnseen, TrustError, shown
from trustdata.gun import GUN
from trustdata.lifetimes import Lifetimes
from trustdata.model import Targets
from trustdata.roles import RoleName

_TAGS_SHOWN: Final = 20
DueBy: TypeAlias = Callable[[Lifetimes], Due]
"""A test whether a file is due, by the lifetimes of its format."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("renew")
def command(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    within_: Annotated[
        str | None, typer.Option("--within", metavar="TIME", help="What expires within; else the last third of life.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every offline role, however fresh.")] = False,
    due_: Annotated[
        bool, typer.Option("--due", help="What is due wherever the keys here can sign; without NAME, not asked.")
    ] = False,
    plan_: OnlyPlan = False,
    accept_unsigned: AcceptUnsigned = None,
    accept_expired: AcceptExpired = None,
    accept_unseen: AcceptUnseen = None,
    start_empty: StartEmpty = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask: without NAME, of an alias, or of what is new here.")
    ] = False,
) -> int:
    """Sign what runs out again, content unchanged; without NAME in every pinned collection."""
    session: Session = ctx.obj
    if due_ and all_:
        raise UsageError("--due and --all contradict each other")
    due = _due(session, within_, everything=all_)
    named = bool(names) or names_file is not None
    everywhere = known_names if due_ else Session.pinned_names
    guns = named_collections(session, names, names_file) if named else everywhere(session)
    sight = Sight(session, accept_unseen, accept_unsigned, accept_expired, yes=yes, asks=not due_)
    decisions = owner_decisions(
        guns=guns,
        accept_unsigned=accept_unsigned,
        accept_expired=accept_expired,
        start_empty=start_empty,
        look=sight,
    )
    if named:
        agree_to_aliases(session, guns, yes=yes or plan_)
    if not guns:
        session.output.notice("no collection is pinned here: nothing to do")
    elif not named and not (plan_ or yes or due_):
        _ask(session, guns)

    def check(planning: Planning, gun: GUN) -> Sequence[Plan]:
        return [plan(session, planning, gun, due, decisions, only_ours=due_)]

    if plan_:
        return plan_each(session, guns, check)
    do = _renewing_ours(session, due, decisions) if due_ else lambda gun: _done(renew(session, gun, due, decisions))
    # Without names it is whatever this machine knows: what cannot be renewed must not let all others expire.
    checks_first = named and not due_
    return carry_out(
        session, guns, check=check, do=do, checks_first=checks_first, blank=_blank, each_with_its_keys=due_
    ).report()


def _renewing_ours(session: Session, due: DueBy, decisions: OwnerDecisions) -> Callable[[GUN], Done]:
    """Return what renews in one collection what the keys here can sign, and tells what others must renew."""
    keys = OpenableKeys(session.keystore, SharedPassphrase(session.passphrases))

    def do(gun: GUN) -> Done:
        outcome = _renew_ours(session, gun, due, decisions, keys)
        for unrenewed in outcome.unrenewed:
            if not unrenewed.is_failure(session.at):
                session.output.notice(_left_line(gun, unrenewed))
        return _done(outcome)

    return do


def _ask(session: Session, guns: Sequence[GUN]) -> None:
    """Ask whether to renew in names that nobody has typed. Raises: UsageError."""
    what = f"all {len(guns)} pinned collections" if len(guns) > 1 else f"{guns[0]}, the only pinned collection"
    if not confirm(session, f"Renew what is due in {what}?"):
        raise UsageError(f"nothing was renewed; to renew in {what}, without being asked: --yes, or --due")


def _blank(error: Mapping[str, object] | None) -> dict[str, object]:
    return {"renewed": [], "left": [], "errors": [] if error is None else [error]}


def _due(session: Session, span: str | None, *, everything: bool) -> DueBy:
    if everything:
        if span is not None:
            raise UsageError("--all and --within contradict each other")
        return lambda _: lambda _: True
    if span is not None:
        expiring = within(duration_option("--within", span), at=session.at)
        return lambda _: expiring
    return lambda lifetimes: in_its_last_third(lifetimes, at=session.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrenewed:
    """A due role that cannot be renewed here, and the keys of which `threshold` must sign it.

    `hindrance`: why one of them that is here could not be opened, if one could not.
    """

    file: Envelope
    threshold: int
    keys: tuple[KeyPlace, ...]
    hindrance: KeysError | None = None

    def is_failure(self, at: datetime) -> bool:
        """Return whether it is a failure also where others are expected to renew what is theirs."""
        return self.hindrance is not None or self.file.expires <= at


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The result for one collection. `before` and `after`: the renewed roles, in the same order."""

    gun: GUN
    before: tuple[Envelope, ...] = ()
    after: tuple[Envelope, ...] = ()
    unrenewed: tuple[Unrenewed, ...] = ()
    failures: tuple[Failure, ...] = ()


def _renew_ours(session: Session, gun: GUN, due: DueBy, decisions: OwnerDecisions, keys: OpenableKeys) -> Renewed:
    """Renew what the keys here can sign. What others must renew is a failure only once it has expired."""
    unopened = -1
    outcome = Renewed(gun=gun)
    while unopened < keys.unopened:  # a key that could not be opened is not held the next time
        unopened = keys.unopened
        outcome = renew(session, gun, due, decisions, keys, only_ours=True)
    return outcome


def renew(
    session: Session,
    gun: GUN,
    due: DueBy,
    decisions: OwnerDecisions = NOTHING_DECIDED,
    keys: StoreKeys | None = None,
    *,
    only_ours: bool = False,
) -> Renewed:
    """Renew the due roles of one collection. A TrustError or KeysError is part of the result, and is not raised.

    `keys`: which sign, if not those of the store. `only_ours`: what the keys here cannot sign is a failure only if it
    has expired, or if a key is here and cannot be opened.
    """
    renewed = Renewed(gun=gun)
    keys = keys or session.held_keys()
    try:
        collection = session.collection(gun, keep=False)  # what nobody has agreed to is not known afterwards
        terms = EditTerms.of(collection.wire, at=session.at)
        edit = RenewalEdit(gun, keys, due(collection.wire.lifetimes), terms, warn=session.output.warn)
        publisher = session.publisher(collection, keys, lambda: collection.owner_roles(decisions))
        outcome = publisher.publish(edit, check_same_releases)
        tell_what_was_unsound(session, gun, outcome, told=edit.unvouched)
        uploads = {role: envelope for role, envelope in outcome.uploads.items() if role in edit.seen}
        _check_visible(session, gun, uploads, server=collection.server.name)
        renewed = replace(
            renewed,
            before=tuple(edit.seen[role] for role in uploads),
            after=tuple(uploads.values()),
            unrenewed=edit.unrenewed,
            failures=(*edit.failures(edit.unrenewed, only_ours=only_ours), *edit.unvouched),
        )
        if uploads:
            session.collection(gun).verify_published(uploads, others=not edit.unvouched)
        elif not any(isinstance(error, ContentUnseen) for error in edit.unvouched):
            # As any look does: else an older state could be shown to the next run.
            keep_what_is_there(session, gun)
    except (TrustError, KeysError) as failure:
        return replace(renewed, failures=(*renewed.failures, failure))
    return renewed


def _check_visible(session: Session, gun: GUN, uploads: Roles, *, server: str) -> None:
    """Check that the server serves the new versions.

    Raises: RemoteMisbehaved, NotTrusted, RemoteUnreachable, RemoteRefused.
    """
    now = session.collection(gun, keep=False).owner_roles() if uploads else {}
    for role, envelope in uploads.items():
        visible = role in now and now[role].version >= envelope.version
        check_visible(visible, server=server, what=f"{role} version {envelope.version} of {gun}")


def plan(
    session: Session,
    planning: Planning,
    gun: GUN,
    due: DueBy,
    decisions: OwnerDecisions,
    *,
    only_ours: bool = False,
) -> Plan:
    """Return what `renew` would publish. `only_ours`: as there.

    What it would leave is no reason to hold back what it can do: only a plan that is shown is refused for it.
    """
    keys = planning.keys.held_keys()
    try:
        collection = planning.collection(gun)
        edit = RenewalEdit(gun, keys, due(collection.wire.lifetimes), EditTerms.of(collection.wire, at=session.at))
    except TrustError as refusal:
        return Plan(gun=gun, places={}, refusal=refusal)
    planned = planning.plan(collection, edit, keys, decisions=decisions, check=check_same_releases).plan
    failures = edit.failures(edit.unrenewed, only_ours=only_ours)
    left: list[Failure] = [*edit.unvouched, *failures] if planning.shown else []
    return replace(planned, refusal=planned.refusal or (left[0] if left else None))


class RenewalEdit:
    """An edit that signs due roles again.

    The roles are those that were due at the first call. At a later call, a role is left out that somebody else has
    renewed since, or whose keys are not here.
    """

    def __init__(
        self,
        gun: GUN,
        keys: HeldKeys,
        due: Due,
        terms: EditTerms,
        *,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take `warn`, which is called once for each role that has expired."""
        self._gun = gun
        self._keys = keys
        self._due = due
        self._terms = terms
        self._warn = warn
        self._first: dict[RoleName, Envelope] | None = None
        self.unrenewed: tuple[Unrenewed, ...] = ()
        self.unvouched: tuple[TrustError, ...] = ()
        """Why due roles were left out whose content must not be signed again, or was not seen by who would."""

    @property
    def seen(self) -> dict[RoleName, Envelope]:
        """The roles that were due at the first call."""
        return self._first or {}

    def __call__(self, roles: OwnerRoles) -> Contents:
        """Return the same contents with the next version and a new expiry.

        A role that clients refuse, or that begins empty, is due whenever it expires.
        """
        at_once = roles.faults.keys() | roles.emptied.keys()
        if self._first is None:
            due = offline_roles(roles, lambda file: file.role in at_once or self._due(file))
            self._first = {role: roles[role] for role in due}
            for file in self._first.values():
                if file.expires <= self._terms.at and file.role not in {*roles.unvouched, *roles.emptied}:
                    self._warn(self._warning(file, "has expired; make sure that it is the newest"))
        unchanged = [role for role, file in self.seen.items() if role in roles and roles[role].version == file.version]
        signable = [role for role in unchanged if self._signable(roles, role)]
        self.unrenewed = tuple(self._unrenewed(roles, role) for role in unchanged if role not in signable)
        # A role with a fault that nobody vouches for is not among the files: whose keys could sign it does not matter.
        left_out = [*(role for role in roles.faults if role not in roles), *signable]
        self.unvouched = tuple(dict.fromkeys(roles.unvouched[r] for r in left_out if r in roles.unvouched))
        vouched = [role for role in signable if role not in roles.unvouched]
        try:
            roles.check_may_sign(vouched)
        except ContentUnseen as unseen:
            self.unvouched = (*self.unvouched, unseen)
            vouched = [role for role in vouched if not any(file.startswith(f"{role}@") for file in unseen.files)]
        return repository_editor.renew(roles, vouched, terms=self._terms)

    def _warning(self, file: Envelope, wrong: str) -> str:
        """Return a warning that names the tags of the role, so that the user can check them before signing again.

        An expiry limits how long an old file can be replayed, and a signature says who wrote it. Signing the role again
        removes both protections.
        """
        what = f"{self._gun}: {shown(file.role)} version {file.version} {wrong}"
        if not isinstance(file.content, Targets):
            return what
        tags = sorted(file.targets.targets)
        more = f" and {len(tags) - _TAGS_SHOWN} more" if len(tags) > _TAGS_SHOWN else ""
        return f"{what}, for it lists {', '.join(map(shown, tags[:_TAGS_SHOWN])) or 'no tag'}{more}"

    def failures(self, unrenewed: Iterable[Unrenewed], *, only_ours: bool) -> list[KeysError]:
        """Return the errors for roles that cannot be renewed here: all, or those that nobody else is expected to renew.

        `only_ours`: what others must renew is a failure only once it has expired.
        """
        told = [each for each in unrenewed if not only_ours or each.is_failure(self._terms.at)]
        errors = [each.hindrance or self.missing(each) for each in told]
        return list({str(error): error for error in errors}.values())  # one key may be in the way of several roles

    def missing(self, unrenewed: Unrenewed) -> KeyNotFound:
        """Return the error for a role that cannot be renewed here; it names the holders of its keys."""
        keyids_text = ", ".join(short_keyid(key.keyid) for key in unrenewed.keys)
        holders = ", ".join(dict.fromkeys(shown(holder) for key in unrenewed.keys for holder in key.holders))
        role = shown(unrenewed.file.role)
        who = f"{unrenewed.threshold} of: {keyids_text or 'no key'}; who can renew it: {holders or 'nobody'}"
        return KeyNotFound(key=f"for {role} of {self._gun} ({who})")

    def _signable(self, roles: Roles, role: RoleName) -> bool:
        held = self._held(roles)
        needs = signing_keys(roles, {role: roles[role].content}, role)
        return all(len(held.intersection(keyids)) >= threshold for keyids, threshold in needs)

    def _held(self, roles: Roles) -> frozenset[str]:
        return self._keys.held(public_keys(roles, {}))

    def _unrenewed(self, roles: Roles, role: RoleName) -> Unrenewed:
        keyids, threshold = signing_keys(roles, {role: roles[role].content}, role)[-1]
        public = public_keys(roles, {})
        here, hindrance = self._held(roles), None
        if isinstance(self._keys, OpenableKeys):
            here = self._keys.stored(public)
            hindrance = self._keys.hindrance({keyid: public[keyid] for keyid in keyids if keyid in public})
        keys = [KeyPlace(keyid=keyid, place="store") if keyid in here else absent_key(roles, keyid) for keyid in keyids]
        return Unrenewed(file=roles[role], threshold=threshold, keys=tuple(keys), hindrance=hindrance)


def _left_line(gun: GUN, unrenewed: Unrenewed) -> str:
    """Return what is told of a role that others must renew."""
    file = unrenewed.file
    who = "; ".join(map(key_words, unrenewed.keys))
    return f"{gun}: {shown(file.role)} {file.version} expires {file.expires:%Y-%m-%d}; {unrenewed.threshold} of: {who}"


def _done(outcome: Renewed) -> Done:
    lines = tuple(
        f"{outcome.gun}: {shown(after.role)} {before.version} -> {after.version}, "
        f"expires {before.expires:%Y-%m-%d} -> {after.expires:%Y-%m-%d}"
        for before, after in zip(outcome.before, outcome.after, strict=True)
    )
    nothing = not outcome.after and not outcome.failures and not outcome.unrenewed
    return Done(
        changed=bool(outcome.after),
        lines=lines,
        note=f"{outcome.gun}: nothing is due" if nothing else "",
        row=_row(outcome),
        failures=outcome.failures,
    )


def _row(outcome: Renewed) -> dict[str, object]:
    return {
        "gun": outcome.gun,
        "renewed": [
            {
                "role": after.role,
                "version_before": before.version,
                "version_after": after.version,
                "expires_before": as_time(before.expires),
                "expires_after": as_time(after.expires),
            }
            for before, after in zip(outcome.before, outcome.after, strict=True)
        ],
        "left": [
            {
                "role": unrenewed.file.role,
                "version": unrenewed.file.version,
                "expires": as_time(unrenewed.file.expires),
                "threshold": unrenewed.threshold,
                "keys": [key_row(key) for key in unrenewed.keys],
            }
            for unrenewed in outcome.unrenewed
        ],
        "errors": [failure_document(failure) for failure in outcome.failures],
    }
