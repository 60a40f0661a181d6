"""`trust key remove`: delete keys from the store for good."""

from __future__ import annotations

from collections.abc import Sequence

from keys.errors import KeysError
from keys.uris.uri import shown_uri
from trustcli.commands.key.key_rows import row
from trustcli.commands.key.key_uses import key_uses
from trustcli.commands.support.confirmation import confirm_or_stop
from trustcli.console.exit_codes import DONE
from trustcli.console.output import failure_document
from trustcli.session import Session
from trustdata.errors import shown


def remove_keys(session: Session, references: Sequence[str], *, yes: bool) -> int:
    """Remove the keys that the references denote, each once, and return the exit status.

    `yes`: the user is not asked. A failure in the removing is that of the store, and so
    that of the other keys, too: they are not tried.

    Raises: KeysError (one is not in the store, or the store cannot be read), UsageError (the user says no); nothing is
    removed then.
    """
    found = {info.keyid: info for info in map(session.keystore.get, references)}
    uses = key_uses(session)
    used = {info.keyid: uses.of(info.public) for info in found.values()}
    for info in found.values():
        for gun, roles in used[info.keyid].items():
            session.output.warn(f"{info.described} is a {' and '.join(map(shown, roles))} key of {gun}")
    what = ", ".join(info.described for info in found.values())
    question = f"Remove {what} for good?"
    confirm_or_stop(session, question, yes=yes, nothing="nothing was removed", to=f"remove {what}")
    rows: list[dict[str, object]] = []
    failure: KeysError | None = None
    status = DONE
    for info in found.values():
        told: dict[str, object] = {**row(info), "collections": used[info.keyid], "state": "not tried", "error": None}
        if failure is not None:
            session.output.notice(f"{info.described}: not tried")
        else:
            try:
                session.keystore.remove(info.keyid)
            except KeysError as error:
                if not rows:
                    raise
                failure = error
                status = session.output.failure(error, subject=info.described)
                told |= {"state": "failed", "error": failure_document(error)}
            else:
                session.output.result(f"{info.described} removed")
                if info.uri:
                    session.output.notice(f"its private key stays at {shown_uri(info.uri)}")
                told["state"] = "done"
        rows.append(told)
    only = {name: value for name, value in rows[0].items() if name not in {"state", "error"}} if len(rows) == 1 else {}
    ended = {"error": failure_document(failure)} if failure is not None else {}
    session.output.document({**only, "keys": rows, **ended, "exit": status})
    return status
