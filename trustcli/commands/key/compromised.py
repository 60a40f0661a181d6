"""`trust key compromised`: what a stolen key can do and may have done, in every collection known here.

1. key       of the store, in a file, at a URI, or the first digits of its id
2. read      each collection, as its owner does; nothing is written, so that what was verified here before stays known
3. tell      its powers, what clients accept from it, what it has signed, what differs from what was verified here
4. remove    with --remove: from all of them, by the rule of bulk runs; what nobody has chosen to keep is revoked
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from keys.algorithms import accepted_fingerprints, key_fingerprint
from keys.errors import KeyAmbiguous
from trustcli.client.collection_list import listed_collections
from trustcli.commands.key.key_response import KeyResponse, Response, released
from trustcli.commands.support.aliases import agree_to_aliases
from trustcli.commands.support.bulk import JOBS, BulkCommand, BulkOptions, Jobs, ReportFile
from trustcli.commands.support.change_options import WithoutAsking
from trustcli.commands.support.compromise_view import ExaminedCollection, document, lines
from trustcli.commands.support.compromised import compromised_list
from trustcli.commands.support.confirmation import confirm
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.name_lists import image_references
from trustcli.commands.support.named_key import named_key
from trustcli.commands.support.names import known_names
from trustcli.commands.support.owner_decisions import stored_file
from trustcli.commands.support.recovery_place import recovery_place
from trustcli.commands.support.selection import Globs, chosen_collections
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.errors import UsageError
from trustcli.publish.plan_view import as_time
from trustcli.session import Session
from trustcli.state.compromised import CompromisedKey
from trustdata.compromise import examine
from trustdata.counting import counted
from trustdata.digest import hex_of
from trustdata.editing import repository_editor
from trustdata.editing.repository_editor import public_keys
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN
from trustdata.roles import signer_name, signer_role
from trustdata.sought_key import SoughtKey


def compromised(
    ctx: typer.Context,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The key: of the store, a file, a key URI, or 12 digits of its id.")
    ],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    globs: Globs = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the key out everywhere, and revoke what is not kept.")
    ] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:TAG@DIGEST", help="A tag that stays as this digest; may be repeated."),
    ] = None,
    keep_images: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Tags that stay, NAME:TAG@DIGEST, one a line.")
    ] = None,
    keep_if_signed_by: Annotated[
        list[str] | None, typer.Option(metavar="SIGNER", help="What this signer vouches for stays; may be repeated.")
    ] = None,
    accept_keys: Annotated[
        list[str] | None,
        typer.Option(metavar="ROLE@sha256:HEX", help="All keys that exactly this file names are the owner's."),
    ] = None,
    recovery_key: Annotated[
        str | None,
        typer.Option(metavar="FILE|URI", help="Sign new roots with the recovery key in this file, or at this URI."),
    ] = None,
    new_recovery_key: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|URI", help="The stolen root key is replaced by the recovery key of this file, or URI."
        ),
    ] = None,
    jobs: Jobs = JOBS,
    report: ReportFile = None,
    yes: WithoutAsking = False,
    plan_: Annotated[bool, typer.Option("--plan", help="Show what --remove would do; nothing is written.")] = False,
) -> int:
    """Show what a stolen key can do and has signed, and take it out; without NAME in all collections known here."""
    session: Session = ctx.obj
    accused: SoughtKey = named_key(session, key)
    some = bool(names) or names_file is not None or bool(globs)
    guns = chosen_collections(session, names, names_file, globs=globs) if some else known_names(session)
    if accused.digits:
        accused = _found_by_digits(session, accused, guns)
    response = Response(
        key=accused,
        kept=_kept(session, keep, keep_images),
        vouching=frozenset(signer_name(signer_role(signer)) for signer in keep_if_signed_by or ()),
        accepted_keys=frozenset(stored_file(text, "--accept-keys") for text in accept_keys or ()),
        recovery=None if recovery_key is None else recovery_place(recovery_key),
        new_recovery=None if new_recovery_key is None else recovery_place(new_recovery_key),
    )
    acts = remove or plan_
    if response != Response(key=accused) and not acts:
        raise UsageError("what stays and with which keys is for --remove, or --plan, which shows what that would do")
    if acts:
        agree_to_aliases(session, guns, yes=yes or plan_)
    reading = Reading(session, accused)
    for gun in guns:
        reading.read(gun)
    if not some and session.settings.server_source == "--server":
        reading.ask_server(guns)
    if not acts:
        return _tell(reading, key)
    options = BulkOptions(typed=some, yes=True, jobs=jobs, report=report)
    return _respond(reading, response, options, named=key, plan=plan_, yes=yes)


def _found_by_digits(session: Session, key: SoughtKey, guns: Sequence[GUN]) -> SoughtKey:
    """Return the key that has an id with these digits somewhere: in Notary v1 each collection has ids of its own.

    If there is none, the digits stand for it. Raises: KeyAmbiguous.
    """
    found: set[str] = set()
    for gun in guns:
        with contextlib.suppress(TrustError):  # what cannot be read is told by whatever reads it next
            keys = public_keys(session.collection(gun, keep=False).owner_roles(), {})
            found |= accepted_fingerprints(keys[keyid] for keyid in key.among(keys))
    if len(found) > 1:
        raise KeyAmbiguous(key=f"whose id begins with {key.digits}", candidates=tuple(sorted(found)))
    return SoughtKey(fingerprint=found.pop()) if found else key


def _tell(reading: Reading, key: str) -> int:
    """Print what was found, and return the exit status."""
    session = reading.session
    for line in lines(reading.examined):
        session.output.result(line)
    reading.summarise(key)
    status = worst(reading.statuses)
    session.output.document(
        {
            "at": as_time(session.at),
            "key": shown(key, 300),
            "fingerprint": reading.key.fingerprint or None,
            "collections": [document(each) for each in reading.examined],
            "unread": [{"gun": gun, "server": server} for gun, server in reading.unread],
            "failures": reading.failures,
            "exit": status,
        }
    )
    return status


def _kept(session: Session, images: Sequence[str] | None, file: Path | None) -> dict[GUN, dict[str, str]]:
    """Return the tags that a person has chosen, with their digests in hex. Raises: UsageError, InvalidName."""
    kept: dict[GUN, dict[str, str]] = {}
    for reference in image_references(images, file, option="--keep-images") if images or file is not None else ():
        if reference.tag is None or reference.digest is None:
            raise UsageError(f"--keep {reference}: a tag stays as a digest that you know, NAME:TAG@sha256:HEX")
        digest = hex_of(reference.digest)
        tags = kept.setdefault(session.real_name(reference.gun), {})
        if tags.setdefault(reference.tag, digest) != digest:
            raise UsageError(f"--keep {reference}: {reference.tag} is to stay as another digest, too")
    return kept


def _respond(reading: Reading, response: Response, options: BulkOptions, *, named: str, plan: bool, yes: bool) -> int:
    """Take the key out where it is named; return the exit status. Raises: UsageError, PublishRefused and others."""
    session = reading.session
    reading.summarise(named)
    _check_kept(reading, response)
    _check_vouching(reading, response)
    # One that cannot be read fails in the run, and says why there.
    guns = [each.gun for each in reading.examined if each.named or each.failure is not None]
    fingerprint = response.key.fingerprint
    work = KeyResponse(session, response, reading.released, shows=plan)
    terms = {
        "key": fingerprint,
        "kept": {gun: dict(sorted(tags.items())) for gun, tags in sorted(response.kept.items())},
        "vouching": sorted(response.vouching),
    }
    bulk = BulkCommand(session, guns, what="key compromised", terms=terms, options=options, records=True)
    if plan:
        return bulk.plan(work)
    if guns and not yes:
        _ask(reading, response)
    if fingerprint:
        compromised_list(session).add(
            CompromisedKey(fingerprint=fingerprint, recorded=session.at, name=shown(named, 300))
        )
    outcomes = bulk.carry_out(work)
    if fingerprint and not outcomes.rows("failed", "not tried"):
        _retire(session, fingerprint)
    return bulk.report(key=shown(named, 300), fingerprint=fingerprint or None)


def _check_kept(reading: Reading, response: Response) -> None:
    """Refuse to keep what is not there: whoever mistypes a digest would lose the tag. Raises: UsageError."""
    for gun, tags in response.kept.items():
        released = reading.released.get(gun)
        for tag, digest in tags.items():
            now = released.get(tag) if released is not None else None
            if now != digest:
                why = f"it is released as sha256:{now}" if now else "there is no such released tag"
                if released is None:
                    why = f"{gun} was not read"
                raise UsageError(f"--keep {gun}:{shown(tag)}@sha256:{digest}: {why}")


def _check_vouching(reading: Reading, response: Response) -> None:
    """Refuse a voucher whom no collection knows: whoever mistypes a signer would lose the tags. Raises: UsageError."""
    known = frozenset[str]().union(*reading.signers.values())
    for signer in sorted(response.vouching - known):
        there = f"they have {', '.join(map(shown, sorted(known)))}" if known else "they have none"
        what = f"is a signer in no collection that was read: {there}"
        raise UsageError(f"--keep-if-signed-by {shown(signer)}: {shown(signer)} {what}")


def _ask(reading: Reading, response: Response) -> None:
    """List what goes, and ask. Raises: UsageError."""
    output = reading.session.output
    gone = stays = count = 0
    for each in reading.examined:
        if each.compromise is None or not each.named:
            continue
        count += 1
        revoked = response.revoked(each.gun, each.compromise)
        for claim in each.compromise.claims:
            if claim.released:
                goes = claim.tag in revoked
                gone, stays = gone + goes, stays + (not goes)
                output.notice(f"{'revoke' if goes else 'keep  '} {each.gun}:{shown(claim.tag)}@sha256:{claim.digest}")
    what = f"{counted(gone, 'tag')} revoked, {counted(stays, 'tag')} of it kept"
    if not confirm(reading.session, f"Take the key out of {counted(count, 'collection')} ({what})?"):
        raise UsageError(f"nothing was done ({what}); to see it all: --plan; without being asked: --yes")


def _retire(session: Session, fingerprint: str) -> None:
    for info in session.keystore.list():
        if key_fingerprint(info.public) == fingerprint and not info.retired:
            session.keystore.retire(info.keyid)


@dataclass(slots=True)
class Reading:
    """What the key means in each collection that was read.

    `unread`: names that a server lists and that nothing here knows, with the server.
    """

    session: Session
    key: SoughtKey
    examined: list[ExaminedCollection] = field(default_factory=list)
    unread: list[tuple[GUN, str]] = field(default_factory=list)
    failures: list[dict[str, object]] = field(default_factory=list)
    released: dict[GUN, dict[str, str]] = field(default_factory=dict)
    """What each collection releases: digests in hex by tag."""
    signers: dict[GUN, frozenset[str]] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=lambda: [DONE])

    def read(self, gun: GUN) -> None:
        """Read one collection; what fails is told and counted."""
        try:
            collection = self.session.collection(gun, keep=False)
            known = collection.verified_files()
            roles = collection.owner_roles()
        except TrustError as error:
            self.statuses.append(self.session.output.failure(error, subject=gun))
            self.examined.append(ExaminedCollection(gun=gun, failure=error))
            return
        self.released[collection.gun] = released(roles)
        self.signers[collection.gun] = frozenset(map(signer_name, repository_editor.signers_of(roles)))
        found = examine(roles, self.key, known=known, at=self.session.at)
        self.examined.append(ExaminedCollection(gun=gun, format=collection.wire.name, compromise=found))

    def ask_server(self, read: Sequence[GUN]) -> None:
        """Ask the server which names it has besides: of those nothing here says where trust begins."""
        known = {self.session.real_name(gun) for gun in read}
        for url in dict.fromkeys(self.session.settings.named_servers):
            try:
                with contextlib.closing(self.session.link(GUN(""), url)) as link:
                    rows = [GUN(row["gun"]) for row in listed_collections(link) if row["deleted"] is None]
            except TrustError as error:
                self.session.output.failure(error, subject=url)
                self.failures.append({"server": url, "error": failure_document(error)})
                self.statuses.append(row_for(error).status)
            else:
                self.unread += [(gun, url) for gun in rows if gun not in known]

    def summarise(self, key: str) -> None:
        """Say what was found, and what was not looked at."""
        output = self.session.output
        naming = [each for each in self.examined if each.named]
        failed = sum(each.failure is not None for each in self.examined)
        alone = sum(claim.alone for each in naming if each.compromise for claim in each.compromise.claims)
        read = counted(len(self.examined) - failed, "collection")
        what = f"{read} read: named in {len(naming)}, and alone to vouch for {counted(alone, 'tag')}"
        output.notice(what if naming else f"{read} read: none names the key {shown(key, 300)}")
        if failed:
            output.notice(f"{counted(failed, 'collection')} could not be read: whether they name the key is not known")
        if self.unread:
            some = ", ".join(gun for gun, _ in self.unread[:5])
            output.notice(f"{len(self.unread)} more are listed by the server and pinned nowhere here: {some}")
