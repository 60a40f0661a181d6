"""`trust key compromised`: what a key in strange hands can do and may have done, in every collection known here.

1. key       of the store, in a file, at a URI, or the first digits of its id
2. read      each collection, as its owner does; nothing is written, so that what was verified here before stays known
3. tell      its powers, what clients accept from it, what it has signed, what differs from what was verified here
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer

from keys.algorithms import accepted_fingerprints
from keys.errors import KeyAmbiguous
from trustcli.client.collection_list import listed_collections
from trustcli.commands.support.chosen_collections import Globs, chosen_collections
from trustcli.commands.support.compromise_view import ExaminedCollection, document, lines
from trustcli.commands.support.list_options import NamesFile
from trustcli.commands.support.named_key import named_key
from trustcli.commands.support.names import known_names
from trustcli.console.exit_codes import DONE, worst
from trustcli.console.failure_table import row_for
from trustcli.console.output import failure_document
from trustcli.publish.plan_view import as_time
from trustcli.session import Session
from trustdata.compromise import AccusedKey, examine
from trustdata.counting import counted
from trustdata.editing.repository_editor import public_keys
from trustdata.errors import TrustError, shown
from trustdata.gun import GUN


def compromised(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Of the store, a file, a key URI, or 12 digits of its id.")],
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    names_file: NamesFile = None,
    globs: Globs = None,
) -> int:
    """Show what a stolen key can do and has signed; without NAME in every collection that is known here."""
    session: Session = ctx.obj
    named = named_key(session, key)
    accused = AccusedKey(fingerprint=named.fingerprint, digits=named.digits)
    some = bool(names) or names_file is not None or bool(globs)
    guns = chosen_collections(session, names, names_file, globs=globs) if some else known_names(session)
    reading = Reading(session, accused)
    for gun in guns:
        reading.read(gun)
    if not some and session.settings.server_source == "--server":
        reading.ask_server(guns)
    reading.check_one_key(key)
    for line in lines(reading.examined):
        session.output.result(line)
    reading.summarise(key)
    status = worst(reading.statuses)
    session.output.document(
        {
            "at": as_time(session.at),
            "key": shown(key, 300),
            "fingerprint": accused.fingerprint or next(iter(reading.fingerprints), None),
            "collections": [document(each) for each in reading.examined],
            "unread": [{"gun": gun, "server": server} for gun, server in reading.unread],
            "failures": reading.failures,
            "exit": status,
        }
    )
    return status


@dataclass(slots=True)
class Reading:
    """What the key means in each collection that was read.

    `unread`: names that a server lists and that nothing here knows, with the server. `fingerprints`: of the keys that
    were meant.
    """

    session: Session
    key: AccusedKey
    examined: list[ExaminedCollection] = field(default_factory=list)
    unread: list[tuple[GUN, str]] = field(default_factory=list)
    failures: list[dict[str, object]] = field(default_factory=list)
    fingerprints: set[str] = field(default_factory=set)
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
        keys = public_keys(roles, {})
        self.fingerprints |= accepted_fingerprints(keys[keyid] for keyid in self.key.among(keys))
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

    def check_one_key(self, named: str) -> None:
        """Refuse digits that several keys have in common. Raises: KeyAmbiguous."""
        if self.key.digits and len(self.fingerprints) > 1:
            raise KeyAmbiguous(key=f"whose id begins with {shown(named)}", candidates=tuple(sorted(self.fingerprints)))

    def summarise(self, key: str) -> None:
        """Say what was found, and what was not looked at."""
        output = self.session.output
        naming = [each for each in self.examined if each.named]
        failed = sum(each.failure is not None for each in self.examined)
        alone = sum(claim.alone for each in naming if each.compromise for claim in each.compromise.claims)
        read = counted(len(self.examined) - failed, "collection")
        what = f"{read} read: {len(naming)} name the key, and it alone vouches for {counted(alone, 'tag')}"
        output.notice(what if naming else f"{read} read: none names the key {shown(key, 300)}")
        if failed:
            output.notice(f"{counted(failed, 'collection')} could not be read: whether they name the key is not known")
        if self.unread:
            some = ", ".join(gun for gun, _ in self.unread[:5])
            output.notice(f"{len(self.unread)} more are listed by the server and pinned nowhere here: {some}")
