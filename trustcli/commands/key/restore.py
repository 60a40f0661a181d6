"""`trust key restore` and `trust key backup-verify`: bring keys back from a backup, or see that they would come back.

Of a key that lives elsewhere an entry comes back, public key and URI; its private key is in no backup. The URI is as
trustworthy as the backup: what seals the keys seals it, too.

Restoring writes each key whole or not at all, and none over another: a key that is here already stays as it is. So the
same command, run again after anything that stopped it, does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from keys.backup.archive import Backup
from keys.backup.errors import KeyNotInBackup
from keys.errors import KeyExists, KeyNameTaken, KeyNotFound, KeysError, KeyUriMalformed
from keys.key_info import KeyInfo
from keys.key_opening import check_key_uri
from keys.passphrase import variables_for
from keys.rfc3339 import to_rfc3339
from keys.store import check_new, find
from trustcli.commands.key.backup_file import OpenedBackup, described, open_backup, tell_elsewhere
from trustcli.commands.key.key_rows import row
from trustcli.console.exit_codes import DONE, INTERRUPTED, worst
from trustcli.console.output import INTERRUPTION, failure_document
from trustcli.errors import UsageError
from trustcli.session import Session
from trustdata.counting import counted
from trustdata.roles import signer_role

BackupFile: TypeAlias = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
ShareFiles: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--share", metavar="FILE", help="A share; once for each.")
]


def backup_verify(ctx: typer.Context, file: BackupFile, shares: ShareFiles = None) -> int:
    """Open a backup in memory and prove every key of it by a signature; nothing is written."""
    session: Session = ctx.obj
    found = open_backup(session, file, shares or [])
    backup = found.backup
    for info in backup.infos:
        session.output.result(f"{info.described}: proven by a signature")
    tell_elsewhere(session, backup.elsewhere)
    made = f"made {to_rfc3339(backup.created)} by {backup.by}"
    session.output.result(f"{file} brings back {counted(len(backup.infos), 'key')}; {made}")
    given = {"given": sorted(read.share.number for read in found.shares)}
    keys = [row(info) for info in backup.infos]
    session.output.document({**described(backup), **given, "keys": keys, "exit": DONE})
    return DONE


def restore(
    ctx: typer.Context,
    file: BackupFile,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY...", help="Ids, the first digits of them, or names. [all]")
    ] = None,
    shares: ShareFiles = None,
    name: Annotated[str, typer.Option(help="What to call the key; for one key alone.")] = "",
) -> int:
    """Bring keys back from a backup into the store, under new passphrases; a key that is here stays as it is."""
    session: Session = ctx.obj
    if name:
        signer_role(name)  # the rule for names
    found = open_backup(session, file, shares or [])
    chosen = _chosen(found.backup, keys or [])
    if name and len(chosen) > 1:
        raise UsageError(f"--name is for one key, and these are {len(chosen)}: name one of them")
    restored = [_Restored(info=replace(info, name=name or info.name)) for info in chosen]
    _look(session, restored)
    passphrases = _passphrases(session, restored)
    _carry_out(session, found, restored, passphrases)
    return _report(session, found.backup, restored)


@dataclass(slots=True, kw_only=True)
class _Restored:
    """What becomes of one key. `info`: as it is stored."""

    info: KeyInfo
    state: str = "not tried"
    error: KeysError | KeyboardInterrupt | None = None

    @property
    def document(self) -> Mapping[str, object] | None:
        """What documents say of the error."""
        if isinstance(self.error, KeyboardInterrupt):
            return INTERRUPTION
        return None if self.error is None else failure_document(self.error)


def _chosen(backup: Backup, references: Sequence[str]) -> list[KeyInfo]:
    """Return the keys that the references denote, each once; all, if there are none.

    One that lives elsewhere has its `uri`: only an entry comes back. Raises: KeyNotInBackup.
    """
    held = [*backup.infos, *(replace(each.info, uri=each.uri) for each in backup.elsewhere)]
    found: dict[str, KeyInfo] = {}
    for reference in references:
        try:
            info = find(held, reference)
        except KeyNotFound as error:
            says = "trust key backup-verify says what it holds"
            raise KeyNotInBackup(place=backup.place, key=error.key, command=says) from error
        found[info.keyid] = info
    return list(found.values()) if references else held


def _look(session: Session, restored: Sequence[_Restored]) -> None:
    """Find out which keys are here, and which cannot be brought, before anybody is asked for a passphrase."""
    stored = list(session.keystore.list())
    for each in restored:
        try:
            check_new(stored, each.info)
            if each.info.uri:
                check_key_uri(each.info.uri)
        except (KeyNameTaken, KeyUriMalformed) as error:
            each.state, each.error = "failed", error
        except KeyExists:
            each.state = "nothing to do"
            each.info = next(
                info for info in stored if info.keyid == each.info.keyid
            )  # under the name that it has here
        else:
            stored.append(each.info)


def _passphrases(session: Session, restored: Sequence[_Restored]) -> dict[str, str]:
    """Return the passphrase of each key that is brought, by its id: one for all keys of a kind.

    Raises: PassphraseMissing, PassphraseUnreadable; nothing is written then.
    """
    by_kind: dict[str, list[KeyInfo]] = {}
    for each in restored:
        if each.state == "not tried" and not each.info.uri:
            by_kind.setdefault(variables_for(each.info.purpose)[0], []).append(each.info)
    found: dict[str, str] = {}
    for infos in by_kind.values():
        first = infos[0]
        called = first.described if len(infos) == 1 else f"{first.described} and {len(infos) - 1} more"
        passphrase = session.passphrases.passphrase(purpose=first.purpose, key=called, new=True)
        found |= {info.keyid: passphrase for info in infos}
    return found


def _carry_out(
    session: Session, found: OpenedBackup, restored: Sequence[_Restored], passphrases: dict[str, str]
) -> None:
    """Store each key that is not here. A failure of the store is that of the other keys, too: they are not tried."""
    for each in restored:
        if each.state != "not tried":
            continue
        keyid = each.info.keyid
        try:
            if each.info.uri:
                session.keystore.add_elsewhere(each.info)
            else:
                session.keystore.add(found.keys[keyid], each.info, passphrases[keyid])
        except KeyNameTaken as error:  # somebody was faster
            each.state, each.error = "failed", error
        except KeyExists:
            each.state = "nothing to do"
        except (KeysError, KeyboardInterrupt) as error:  # after Ctrl-C nobody knows what became of this one
            each.state, each.error = "failed", error
            return
        else:
            each.state = "done"


def _report(session: Session, backup: Backup, restored: Sequence[_Restored]) -> int:
    output = session.output
    statuses = [DONE]
    for each in restored:
        called = each.info.described
        if isinstance(each.error, KeyboardInterrupt):
            output.notice("error: interrupted")
            statuses.append(INTERRUPTED)
        elif each.error is not None:
            statuses.append(output.failure(each.error, subject=called))
        elif each.state == "done":
            how = "recorded: an entry alone" if each.info.uri else "restored"
            output.result(f"{called} {how}{', retired as it was' if each.info.retired else ''}")
        elif each.state == "nothing to do":
            output.notice(f"{called} is in the key store already: left as it is")
        else:
            output.notice(f"{called}: not tried")
    chosen = {each.info.keyid for each in restored}
    tell_elsewhere(session, [each for each in backup.elsewhere if each.info.keyid in chosen])
    status = INTERRUPTED if INTERRUPTED in statuses else worst(statuses)
    rows = [{**row(each.info), "state": each.state, "error": each.document} for each in restored]
    error = next((each.document for each in restored if each.document and each.document["exit"] == status), None)
    output.document({**described(backup), "keys": rows, **({"error": error} if error else {}), "exit": status})
    return status
