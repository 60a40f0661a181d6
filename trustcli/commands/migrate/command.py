"""`trust migrate from-notary`: take over collections of another Notary server; their clients need no change.

1. names      those given, else all of the source's change feed
2. read       each one, verified from its first root, byte for byte
3. hand over  the whole root chain and every current file in one request, with the old server's keys if they are given
4. rotate     else, if a root key is here: publish one root that names our server's keys

Each collection is handled alone. After a failure, run the same command again: it continues with what is missing or has
changed since.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from keys.algorithms import PrivateKey
from keys.errors import KeyFileMalformed, KeysError
from keys.file_access import key_file_error
from keys.notary_signer_dump import SignerKey, read_signer_dump
from keys.passphrase import ask_and_try
from trustcli.client.notary_remote import NotaryRemote
from trustcli.commands.migrate.destination import Destination, rotation_need
from trustcli.commands.migrate.source import Source, SourceCollection
from trustcli.commands.support.aliases import refuse_alias
from trustcli.commands.support.change_options import OnlyPlan
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.many import carry_out
from trustcli.commands.support.name_lists import collection_names
from trustcli.commands.support.owner_decisions import AcceptExpired, owner_decisions
from trustcli.console.exit_codes import DONE, KEYS, OTHER
from trustcli.publish.bulk.work import Done
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.editing.owner_roles import OwnerDecisions
from trustdata.errors import CollectionExists, TrustError, shown
from trustdata.gun import GUN
from trustdata.roles import ONLINE, RELEASES, ROOT, TARGETS, RoleName
from trustdata.verification.target_lookup import unusable_targets

app = typer.Typer(
    add_completion=False, rich_markup_mode=None, no_args_is_help=True, help="Take collections over from another server."
)

_MAX_DUMP: Final = 256 * 1024 * 1024  # bytes
_WORDS: Final = {
    "taken over": "taken over",
    "here": "here already, nothing to do",
    "goes on here": "here already, and went on here",
    "would be taken over": "would be taken over",
}
Moved = Literal["taken over", "here", "goes on here", "would be taken over"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationResult:
    """What became of one collection.

    `imported_keys`: roles whose keys were imported from the old server. `rotated`: roles that have our server's keys
    now. `unrotated`: roles that still need them. `changed`: roles that changed on the old server after the collection
    was taken over and published to here.
    """

    gun: GUN
    found: SourceCollection | None = None
    done: Moved | None = None
    imported_keys: tuple[RoleName, ...] = ()
    rotated: tuple[RoleName, ...] = ()
    unrotated: tuple[RoleName, ...] = ()
    changed: tuple[RoleName, ...] = ()
    failure: TrustError | KeysError | None = None


@app.callback()
def _group() -> None:
    """Take collections over from another server."""


@app.command("from-notary")
def from_notary(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="URL", help="The Notary server that is left.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    server_keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A dump of the signer's table private_keys.")
    ] = None,
    no_rotation: Annotated[
        bool, typer.Option("--no-rotation", help="Rotate no keys, even where a root key is here.")
    ] = False,
    plan_: OnlyPlan = False,
    accept_expired: AcceptExpired = None,
) -> int:
    """Take over collections, with chain and files as they are; without names, all of the source's change feed."""
    session: Session = ctx.obj
    reader = Source(NotaryRemote(session.link(GUN(""), source)), at=session.at)
    guns, unusable = _names(reader, names or [], names_file)
    keys = _ServerKeys(session, server_keys)
    decisions = owner_decisions(guns=guns, accept_expired=accept_expired)
    run = _Run(session, reader, keys, rotates=not no_rotation, plan=plan_, decisions=decisions)
    for name in unusable:
        session.output.warn(f"{shown(name)} is no name of a container repository, and is left out")

    def move(gun: GUN) -> Done:
        outcome = run.one(gun)
        _tell(session, outcome, source=reader.name)
        failures = () if outcome.failure is None else (outcome.failure,)
        changed = outcome.done == "taken over"
        row = {**_row(outcome), **({"state": "not tried"} if outcome.done == "would be taken over" else {})}
        return Done(changed=changed, lines=_lines(outcome), row=row, failures=failures)

    # Each is verified whole before it is sent, and one that is broken on its old server keeps no other there.
    outcomes = carry_out(
        session, guns, check=lambda *_: (), do=move, checks_first=False, blank=_blank, counts=not plan_
    )
    rows = outcomes.rows("done", "nothing to do")
    session.output.notice(_summary([str(row["done"]) for row in rows], of=len(guns), plan=plan_))
    for row in rows:
        outcomes.add_status(KEYS if row["needs_rotation"] else OTHER if row["changed_on_source"] else DONE)
    return outcomes.report(source=reader.name, left_out=unusable)


def _blank(_: object) -> dict[str, object]:
    return {name: value for name, value in _row(MigrationResult(gun=GUN(""))).items() if name != "gun"}


def _names(source: Source, names: Sequence[str], file: Path | None) -> tuple[list[GUN], list[str]]:
    return (collection_names(names, file), []) if names or file is not None else source.collections()


class _ServerKeys:
    """Private keys of the old server, from a database dump; each one is decrypted when its collection is handled."""

    def __init__(self, session: Session, file: Path | None) -> None:
        self._session = session
        self._keys: dict[tuple[str, str], list[SignerKey]] = {}
        if file is not None:
            for key in read_signer_dump(_read(file), place=str(file)):
                self._keys.setdefault((key.gun, key.role), []).append(key)

    def of(self, found: SourceCollection) -> dict[RoleName, PrivateKey]:
        """Return the private keys that the collection's root names, by role. Raises: KeysError."""
        root = found.root.root
        opened = {}
        for role in ONLINE:
            for key in self._keys.get((found.gun, role), ()):
                if key.keyid in root.roles[role].keyids:
                    what = f"{key.place} (alias {shown(key.alias)})"
                    opened[role], _ = ask_and_try(self._session.passphrases, key.open, purpose="server", key=what)
        return opened


@dataclass(frozen=True, slots=True)
class _Run:
    session: Session
    source: Source
    keys: _ServerKeys
    rotates: bool = field(kw_only=True)
    plan: bool = field(kw_only=True)
    decisions: OwnerDecisions = field(kw_only=True)

    def one(self, gun: GUN) -> MigrationResult:
        """Move one collection; an error is part of the result. No TrustError or KeysError is raised."""
        outcome = MigrationResult(gun=gun)
        try:
            refuse_alias(self.session, gun)
            found = self.source.read(gun, self.session.known_pins(gun))
            outcome = MigrationResult(gun=gun, found=found)
            return self._move(found)
        except (TrustError, KeysError) as failure:
            return MigrationResult(gun=gun, found=outcome.found, failure=failure)

    def _move(self, found: SourceCollection) -> MigrationResult:
        destination = Destination(self.session)
        state = destination.state(found)
        if state == "other":
            raise CollectionExists(role=ROOT, reason=f"another collection has the name {found.gun} on our server")
        if state == "ahead":
            changed = destination.changed_on_source(found)
            return MigrationResult(gun=found.gun, found=found, done="goes on here", changed=tuple(changed))
        destination.check_newest(found)
        imported_keys = self.keys.of(found)
        held = self.session.held_keys()
        available = destination.keys(found) if state != "absent" else frozenset[str]()
        needed = rotation_need(found, {*imported_keys, *available}, held)
        rotates = needed.roles if self.rotates and needed.root_key_here else ()
        unrotated = () if rotates else needed.roles
        if rotates:
            destination.check_rotation(found, self.decisions)
        done: Moved = "here" if state == "same" and not rotates else "taken over"
        if self.plan:
            done = "here" if done == "here" and not imported_keys else "would be taken over"
        elif state != "same" or imported_keys:
            destination.take_over(found, imported_keys)
        if rotates and not self.plan:
            destination.rotate(found, rotates, held, self.decisions)
        return MigrationResult(
            gun=found.gun,
            found=found,
            done=done,
            imported_keys=tuple(imported_keys),
            rotated=tuple(rotates),
            unrotated=tuple(unrotated),
        )


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > _MAX_DUMP:
            raise KeyFileMalformed(place=str(file), reason=f"larger than {_MAX_DUMP} bytes")
        return file.read_bytes()
    except OSError as error:
        raise key_file_error(file, error) from error


def _summary(done: Sequence[str], *, of: int, plan: bool) -> str:
    """Say how many collections are on our server; in a plan, how many would come and how many are here already."""
    every = counted(of, "collection")
    if not plan:
        return f"{len(done)} of {every} {'is' if len(done) == 1 else 'are'} here"
    coming = done.count("would be taken over")
    already = len(done) - coming
    here = f"; {already} {'is' if already == 1 else 'are'} here already" if already else ""
    return f"{coming} of {every} can be taken over{here}"


def _lines(outcome: MigrationResult) -> tuple[str, ...]:
    found = outcome.found
    if outcome.failure is not None or found is None or outcome.done is None:
        return ()
    words = [_WORDS[outcome.done], f"root {found.root.version}", counted(_tags(found), "tag")]
    if outcome.imported_keys:
        words.append(f"with the old server's keys of {', '.join(outcome.imported_keys)}")
    if outcome.rotated:
        got = "would get" if outcome.done == "would be taken over" else "got"
        words.append(f"{', '.join(outcome.rotated)} {got} new keys")
    return (f"{outcome.gun}: {', '.join(words)}",)


def _tell(session: Session, outcome: MigrationResult, *, source: str) -> None:
    """Warn of what came along, and of what is left to do."""
    found = outcome.found
    if outcome.failure is not None or found is None:
        return
    for unusable in unusable_targets(found.verified):
        session.output.warn(f"{outcome.gun}: {shown(unusable.target)} comes along and is unusable here: {unusable}")
    for role, error in found.broken.items():
        session.output.warn(f"{outcome.gun}: {shown(role)} does not verify, as on the source: {error}")
    if found.doubtful is not None:
        session.output.warn(
            f"{outcome.gun}: root version {found.doubtful.version} names a key that has not signed it: it may be a "
            f"stranger's; publish no pin before somebody who knew it has confirmed sha256:{found.roots[0].sha256}"
        )
    if outcome.changed:
        session.output.warn(
            f"{outcome.gun}: {', '.join(map(shown, outcome.changed))} was changed on the old server after the "
            "collection went on here: that is not taken over; sign it here"
        )
    if outcome.unrotated:
        roles = ", ".join(outcome.unrotated)
        session.output.warn(
            f"{outcome.gun}: only the old server has the keys of {roles}: nobody can publish, and the timestamp runs "
            f"out, until this is run where its root key is: trust migrate from-notary {source} {outcome.gun}"
        )


def _tags(found: SourceCollection) -> int:
    listing = [found.verified[role].targets.targets for role in (TARGETS, RELEASES) if role in found.verified]
    return len({tag for listed in listing for tag in listed})


def _row(outcome: MigrationResult) -> dict[str, object]:
    found = outcome.found
    return {
        "gun": outcome.gun,
        "done": outcome.done,
        "root_version": found.root.version if found else None,
        "root": f"sha256:{found.roots[0].sha256}" if found else None,
        "tags": _tags(found) if found else None,
        "keys_brought": list(outcome.imported_keys),
        "rotated": list(outcome.rotated),
        "needs_rotation": list(outcome.unrotated),
        "changed_on_source": list(outcome.changed),
        "broken": sorted(found.broken) if found else [],
    }
