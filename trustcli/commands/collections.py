"""`trust collections`: what a trust server has, for those who may know all names."""

from __future__ import annotations

import contextlib
from typing import Any

import typer

from trustcli.client.collection_list import listed_collections
from trustcli.commands.support.trust_server_choice import ServerArgument, chosen_server
from trustcli.console.exit_codes import DONE
from trustcli.session import Session
from trustdata.gun import GUN

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("collections")
def command(
    ctx: typer.Context,
    server: ServerArgument = None,
) -> int:
    """List the collections of a trust server: format, tags, bytes, last publish and by whom, expiry."""
    session: Session = ctx.obj
    url, origin = chosen_server(session, server)
    rows: list[dict[str, Any]] = []
    with contextlib.closing(session.link(GUN(""), url)) as link:
        for row in listed_collections(link):
            if session.output.as_json:
                rows.append(dict(row))
                continue
            if not rows:
                rows.append({})
                session.output.result("COLLECTION\tFORMAT\tTAGS\tBYTES\tLAST PUBLISH\tBY\tOWNERS MUST RENEW BY")
            session.output.result(_line(row))
    if not rows:
        session.output.notice(f"{origin} has no collection")
    session.output.document({"server": str(origin), "collections": rows, "exit": DONE})
    return DONE


def _line(row: Any) -> str:
    if row["deleted"] is not None:
        return f"{row['gun']}\t{row['status']} on {row['deleted']['at']} by {row['deleted']['by']}"
    published, by = row["published_at"] or "-", row["published_by"] or "-"
    expires = f"{row['owner_expires']} ({row['owner_expires_role']})" if row["owner_expires"] else "-"
    return f"{row['gun']}\t{row['format']}\t{row['tags']}\t{row['bytes']}\t{published}\t{by}\t{expires}"
